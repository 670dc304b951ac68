"""Page retrieval on the shared question sets with the default embedder: is the page that holds the answer found?

    python benchmarks/retrieval.py [FOLDER OF CORPORA] [SET ...]

Two tables: short pages, an index per set; and full pages, one index of all sets. A page is gold when its span overlaps a gold
span of the question. ``chance`` is the expected hit@k of k pages drawn at random: for a question with g gold pages among P,
1 - C(P - g, k) / C(P, k), averaged over the questions. ``bm25`` is the default (mode ``hybrid``); ``dense`` the hashed vectors.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import sys
import time
from collections.abc import Collection
from pathlib import Path
from typing import Any, NamedTuple

from glyph_integrations.index import Mode, PageIndex
from glyph_integrations.page import Page
from glyph_integrations.rendering import Renderer
from glyph_integrations.style import PageStyle

SETS = ["fairytaleqa_val", *(f"xquad12_{language}" for language in ("en", "ar", "hi", "ru", "th", "zh"))]
MODES: dict[str, Mode] = {"bm25": "hybrid", "dense": "dense"}


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
    rows = _lines(folder / f"{name}.queries.jsonl")
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


def report(name: str, index: PageIndex, questions: list[Question]) -> None:
    """One row of a table: the pages of these questions' documents, and how they are found among all."""
    documents = {question.document for question in questions}
    lengths = [len(page.text) for page in index if page.source in documents]
    cells = [f"{name:16}", f"{len(questions):9}", f"{len(lengths):6}", f"{round(statistics.mean(lengths)):11}"]
    for mode in MODES.values():
        first, fifth, milliseconds = measure(index, questions, mode)
        cells.append(f"{first:5.3f} / {fifth:5.3f} {milliseconds:5.1f} ms")
    cells.append(f"{chance(index, questions, 1):5.3f} / {chance(index, questions, 5):5.3f}")
    print(" | ".join(cells), flush=True)


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description="page retrieval with the default embedder")
    beside = Path(__file__).resolve().parents[2] / "shared" / "corpora"
    parser.add_argument("folder", nargs="?", type=Path, default=Path(os.environ.get("GLYPH_CORPORA", beside)))
    parser.add_argument("sets", nargs="*", default=SETS)
    arguments = parser.parse_args()
    if not arguments.folder.is_dir():
        sys.exit(f"{arguments.folder} is not there; name the folder of corpora, or set GLYPH_CORPORA")
    sets = {name: read(arguments.folder, name) for name in arguments.sets}
    modes = [f"{name} hit@1 / @5, median" for name in MODES]
    header = ["set".ljust(16), "questions", " pages", "characters/page".rjust(11), *modes, "chance @1 / @5"]

    print("Short pages, one index per set\n" + " | ".join(header))
    for name, (documents, questions) in sets.items():
        renderer = Renderer(style_for(documents.values(), 1500 if name.startswith("fairytaleqa") else 700))
        with PageIndex.open() as index:
            for source, text in documents.items():
                index.add(renderer.paginate(text, source=source))
            report(name, index, questions)

    print("\nFull pages (glyph-72), one index of all sets\n" + " | ".join(header))
    renderer = Renderer(PageStyle.preset("glyph-72"))
    with PageIndex.open() as index:
        for documents, _ in sets.values():
            for source, text in documents.items():
                index.add(renderer.paginate(text, source=source))
        for name, (_, questions) in sets.items():
            report(name, index, questions)
        report("all", index, [question for _, questions in sets.values() for question in questions])


if __name__ == "__main__":
    main()
