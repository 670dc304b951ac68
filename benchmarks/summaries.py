"""Summaries: how near the extractive ones come to people's, what summarizing costs, and what a second run costs.

    python benchmarks/summaries.py rouge CORPORA                 # the extractive summarizer against four references per
    question python benchmarks/summaries.py cost CORPORA                  # wall time, calls, tokens, faithfulness, a second run
    python benchmarks/summaries.py ocr CORPORA [--pages 8]       # the same with a server that sees pixels only (extra ocr;
    slow)

CORPORA holds ``texts/`` and ``squality_dev.{docs,queries}.jsonl``. The models are stand-ins that choose sentences: one reads
the pages' text, the other reads the pixels by OCR, behind a server. What they write is no measure of a language model; calls,
tokens, citations and what is cached are real.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from statistics import mean

import numpy as np

from glyph_integrations import ExtractiveModel, OcrModel, OpenAIModel, Page, Renderer, Summarizer, open_document
from glyph_integrations.embedding.lexical import lexical_features
from glyph_integrations.reading import PagePart, TextPart, Turn
from glyph_integrations.reading.models.quoting import quotable_texts
from glyph_integrations.reading.passages import sentences
from glyph_integrations.summarizing import Summary
from glyph_integrations.summarizing.centrality import centrality, choose, tf_idf

# -- ROUGE (Lin 2004), words in lower case, no stemming: the F1 of the best reference ------------------------------------------

Rouge = tuple[float, float, float]


def words_of(text: str) -> list[str]:
    return re.findall(r"[a-z0-9]+", text.lower())


def f1(shared: float, made: int, wanted: int) -> float:
    return 2 * shared / (made + wanted) if shared else 0.0


def longest_common(a: Sequence[str], b: Sequence[str]) -> int:
    """Length of the longest common subsequence, bit by bit (Hyyrö 2004)."""
    places: Counter[str] = Counter()
    for i, word in enumerate(a):
        places[word] |= 1 << i
    row = whole = (1 << len(a)) - 1
    for word in b:
        met = row & places[word]
        row = ((row + met) | (row - met)) & whole
    return len(a) - row.bit_count()


def rouge(text: str, references: Iterable[str]) -> Rouge:
    made = words_of(text)
    scores = []
    for reference in references:
        wanted = words_of(reference)
        grams = []
        for n in (1, 2):
            a, b = (Counter(zip(*(w[i:] for i in range(n)), strict=False)) for w in (made, wanted))
            grams.append(f1((a & b).total(), a.total(), b.total()))
        scores.append((*grams, f1(longest_common(made, wanted), len(made), len(wanted))))
    one, two, long = (max(s) for s in zip(*scores, strict=True))
    return one, two, long


# -- what is compared ---------------------------------------------------------------------------------------------------------

CITATION = re.compile(r"\s*\[p\. \d+\]")


def extractive(pages: Sequence[Page], style: str, question: str | None) -> str:
    return CITATION.sub("", Summarizer(style=style, question=question).summarize(pages).text)  # type: ignore[arg-type]


def as_many(chosen: Iterable[str], words: int) -> str:
    """Sentences until there are so many words."""
    out: list[str] = []
    for sentence in chosen:
        out += sentence.split()
        if len(out) >= words:
            break
    return " ".join(out[:words])


def half(lines: Sequence[dict], odd: bool) -> list[dict]:
    names = sorted({line["doc_id"] for line in lines})
    return [line for line in lines if names.index(line["doc_id"]) % 2 == odd]


def compare(corpora: Path, tuned: bool) -> None:
    texts = {d["doc_id"]: d["text"] for d in read_lines(corpora / "squality_dev.docs.jsonl")}
    questions = half(read_lines(corpora / "squality_dev.queries.jsonl"), odd=not tuned)
    pages = {name: list(Renderer().paginate(text, source=name)) for name, text in texts.items()}
    plots = [q for q in questions if q["question"].startswith("What is the plot")]
    others = [q for q in questions if q not in plots]
    print(f"{len({q['doc_id'] for q in questions})} stories, those {'it was tuned on' if tuned else 'kept for the report'}")
    print(f"{'':10}{'':24}{'ROUGE-1':>9}{'ROUGE-2':>9}{'ROUGE-L':>9}{'words':>8}")
    for style, asked in (("brief", plots), ("detailed", plots), ("question", others)):
        rows: dict[str, list[Rouge]] = {}
        lengths = []
        for q in asked:
            text = texts[q["doc_id"]]
            found = extractive(pages[q["doc_id"]], style, q["question"] if style == "question" else None)
            length = len(found.split())
            lengths.append(length)
            all_sentences = [text[a:b] for a, b in sentences(text)]
            rows.setdefault("chosen", []).append(rouge(found, q["answers"]))
            rows.setdefault("lead", []).append(rouge(as_many(all_sentences, length), q["answers"]))
            for seed in range(5):
                mixed = random.Random(seed).sample(all_sentences, len(all_sentences))
                rows.setdefault("random", []).append(rouge(as_many(mixed, length), q["answers"]))
        for name, scores in rows.items():
            one, two, long = (mean(column) for column in zip(*scores, strict=True))
            print(f"{style:10}{name:24}{one:9.3f}{two:9.3f}{long:9.3f}{mean(lengths):8.0f}")


# -- stand-ins for models -----------------------------------------------------------------------------------------------------


def central(texts: Sequence[tuple[str, str]], words: int = 120) -> str:
    """The most central sentences of labelled texts, cited; of notes, their own citations are kept."""
    found = [(label, s) for label, text in texts for s in split(text) if len(s) > 30 and re.search(r"\w{3}", s)]
    if not found:
        return ""
    vectors = tf_idf([lexical_features(s) for _, s in found])
    chosen = choose(vectors, centrality(vectors), [len(lexical_features(s)) / 4 for _, s in found], words, 0.3)
    numbers = [re.search(r"\d+", label) for label, _ in found]
    return " ".join(found[i][1] + (f" [p. {n[0]}]" if (n := numbers[i]) else "") for i in chosen)


def split(text: str) -> list[str]:
    """Sentences; those of notes with their citations."""
    if "[p. " in text:
        text = re.sub(r"^(?:Part|Document) \d+:$", "", text, flags=re.M)
        return re.split(r"(?<=\d\]) (?!\[p\. )", " ".join(text.split()))
    return [" ".join(text[a:b].split()) for a, b in sentences(text)]


def shown(turns: Sequence[Turn]) -> list[Turn]:
    """What is to be summarized: neither the instructions before it nor those after it."""
    *parts, last = turns[-1].parts
    if not parts and isinstance(last, TextPart):  # a server is sent plain text in one piece
        parts = [TextPart(last.text.rpartition("Above are")[0])]
    return [turns[-1].with_parts(parts)]


class TextReader(ExtractiveModel):
    """Sees the text of pages."""

    name = "text-reader"

    def _answer(self, turns: Sequence[Turn]) -> str:
        return central(quotable_texts(shown(turns), "", lambda part: part.text if isinstance(part, PagePart) else None))


class PixelReader(OcrModel):
    """Sees pixels."""

    def _answer(self, turns: Sequence[Turn]) -> str:
        return central(quotable_texts(shown(turns), "", self.transcribe))


# -- cost ---------------------------------------------------------------------------------------------------------------------


def knowledge_bases(corpora: Path) -> dict[str, list[Page]]:
    files = sorted((corpora / "texts").iterdir())
    stories = read_lines(corpora / "squality_dev.docs.jsonl")
    renderer = Renderer()
    return {
        "texts": [page for file in files for page in renderer.paginate(open_document(file), source=file.name)],
        "squality_dev": [page for d in stories for page in renderer.paginate(d["text"], source=f"{d['doc_id']}.txt")],
    }


def changed(pages: Sequence[Page], source: str, sentence: str) -> list[Page]:
    """The same with a sentence put into the middle of one document: one that its summary will want, so that this changes,
    too."""
    text = "".join(page.text for page in pages if page.source == source)
    middle = text.index("\n", len(text) // 2)
    edited = f"{text[:middle]}\n{sentence}{text[middle:]}"
    order = list(dict.fromkeys(page.source for page in pages))
    fresh = [*(p for p in pages if p.source != source), *Renderer().paginate(edited, source=source)]
    return sorted(fresh, key=lambda page: order.index(page.source))


def tell(name: str, how: str, work: Callable[[], Summary]) -> None:
    began = time.perf_counter()
    summary = work()
    used = summary.usage
    tokens = f"{used.prompt_tokens:,} of {used.prompt_tokens_as_text:,}" if used.calls else "none"
    faithful = mean(part.faithfulness for part in summary.parts or (summary,))
    print(
        f"{name:14}{how:28}{time.perf_counter() - began:6.1f} s {used.calls:4} calls {used.cached:4} cached  tokens "
        f"{tokens:>22}  faithful {summary.faithfulness:.2f} (documents {faithful:.2f})  cited {summary.cited:.2f}"
    )
    sys.stdout.flush()


def cost(corpora: Path) -> None:
    for name, pages in knowledge_bases(corpora).items():
        sources = sorted({page.source for page in pages})
        print(f"{name}: {len(sources)} documents, {len(pages)} pages")
        tell(name, "extractive", partial(Summarizer().summarize, pages))
        with tempfile.TemporaryDirectory() as cache:
            summarizer = Summarizer(TextReader("glyph"), cache=cache)
            estimate = summarizer.estimate(pages)
            told = f"{estimate.calls} calls, {estimate.prompt_tokens:,} of {estimate.prompt_tokens_as_text:,} tokens"
            print(f"{name:14}estimate: {told}")
            tell(name, "text reader, as Glyph counts", partial(summarizer.summarize, pages))
            tell(name, "again", partial(summarizer.summarize, pages))
            largest = max(sources, key=lambda s: sum(p.source == s for p in pages))
            part = next(p for p in summarizer.summarize(pages).parts if p.source == largest)
            said = CITATION.split(part.text)[0]
            edited = changed(pages, largest, f"In short, {said}")
            tell(name, f"a sentence into {largest[:18]}", partial(summarizer.summarize, edited))


def ocr(corpora: Path, most: int) -> None:
    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
    from ocr_server import ocr_server, shared_reader

    stories = knowledge_bases(corpora)["squality_dev"]
    names = list(dict.fromkeys(page.source for page in stories))[:2]
    chosen = [page for name in names for page in [p for p in stories if p.source == name][: most // 2]]
    with ocr_server(PixelReader(shared_reader(), "glyph")) as server, tempfile.TemporaryDirectory() as cache:
        model = OpenAIModel("glyph", server.url)
        summarizer = Summarizer(model, cache=cache, concurrency=2)
        print(f"squality_dev: {len({p.source for p in chosen})} documents, {len(chosen)} pages")
        tell("squality_dev", "OCR server", partial(summarizer.summarize, chosen))
        tell("squality_dev", "again", partial(summarizer.summarize, chosen))


def read_lines(file: Path) -> list[dict]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("rouge", "cost", "ocr"))
    parser.add_argument("corpora", type=Path)
    parser.add_argument("--tuned", action="store_true", help="rouge: the half that the defaults were tuned on")
    parser.add_argument("--pages", type=int, default=8, help="ocr: how many pages of two stories are read")
    wanted = parser.parse_args()
    np.random.seed(0)
    if wanted.what == "rouge":
        compare(wanted.corpora, wanted.tuned)
    elif wanted.what == "cost":
        cost(wanted.corpora)
    else:
        ocr(wanted.corpora, wanted.pages)


if __name__ == "__main__":
    main()
