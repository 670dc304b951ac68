"""Summaries without a model: the most central sentences, each with its page."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from ..embedding.lexical import lexical_features
from ..page import Page
from ..reading.passages import best_passages, sentences
from ..vision import count_text_tokens
from .centrality import Floats, centrality, choose, tf_idf
from .cited import MARK, Cited
from .instructions import Wanted
from .summary import Cost, Failure
from .tree import Job, Node, Tree

_BLOCK = 16_000  # tokens of text whose sentences are compared: some nine full pages
_TOKENS_PER_WORD = 4 / 3
_REDUNDANCY = 0.3
_SHORTEST, _LONGEST = 25, 400  # characters of a sentence that can stand alone; of a script without spaces a third
_QUESTION = 1.0  # how much bearing on the question weighs beside centrality
_STEM = 6  # letters: words that begin alike count as one
_FULL = 20  # tokens; a shorter sentence, such as a cry in a dialogue, counts for less
_OMITTED = ("heading", "codeblock", "table", "syntax")
_WORD = re.compile(r"[^\W_]+")
_UNSPACED = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7ff]")
_TERMINAL = re.compile(r"[.!?…。！？｡؟۔][\"'”’»)\]」』]*\Z")


class Sentence(NamedTuple):
    """A sentence of a page, white space made single."""

    text: str
    page: Page


class ExtractWriter:
    """Chooses sentences: the most central of each block of pages, then of these the most central, and so on.

    A block is compared within itself, so time grows with the text, not with its square. Left out are headings, code, tables,
    scraps, and sentences that run across a page end.
    """

    def __init__(self, wanted: Wanted) -> None:
        self._wanted = wanted

    def tree(self) -> Tree:
        """Blocks of some nine full pages; as many parts are combined as make another."""
        room = [max(2, int(_BLOCK / (self._wanted.words(final) * _TOKENS_PER_WORD))) for final in (False, True)]
        return Tree(
            lambda pages: [1.0 + count_text_tokens(page.text).count for page in pages], _BLOCK, (room[0], room[1])
        )  # fmt: skip

    def write(self, job: Job) -> Node:
        """The node of a job; its text is None when its pages hold no words."""
        words = any(page.text.strip() for page in job.pages)
        found = list(_sentences(job.pages)) if job.pages else [s for child in job.children for s in _kept(child.text)]
        failures = tuple(
            Failure(job.source or "", (page.number, page.number), "no text is known of it; read_scans gives scans their text")
            for page in job.pages
            if page.picture and not page.text.strip()
        )
        text = self._written(self._chosen(found, job.final), job.final) if words or job.children else None
        first, last = job.span
        return Node(job.level, job.source, job.mark, job.final, first, last, text, Cost(), failures)

    async def awrite(self, job: Job) -> Node:
        """`write`, without blocking the event loop."""
        return await asyncio.to_thread(self.write, job)

    def estimate(self, job: Job) -> Node:
        """Without a model nothing costs tokens."""
        first, last = job.span
        return Node(job.level, job.source, job.mark, job.final, first, last, None)

    def _chosen(self, found: Sequence[Sentence], final: bool) -> list[Sentence]:
        found = list(dict.fromkeys(found))
        if not found:
            return []
        vectors = tf_idf([_features(sentence.text) for sentence in found])
        costs = np.array([_cost(sentence.text) for sentence in found])
        scores = centrality(vectors) * np.minimum(1, costs / _FULL)
        if self._wanted.question:
            bearing = _bearing(self._wanted.question, found)
            if not bearing.any():
                return []
            scores = np.where(bearing > 0, scores / scores.max() + _QUESTION * bearing, 0.0)
            keep = np.flatnonzero(bearing > 0)
            found, scores, costs = [found[i] for i in keep], scores[keep], costs[keep]
            vectors = tf_idf([_features(sentence.text) for sentence in found])
        room = self._wanted.words(final) * _TOKENS_PER_WORD
        return [found[i] for i in choose(vectors, scores, costs.tolist(), room, _REDUNDANCY)]

    def _written(self, chosen: Sequence[Sentence], final: bool) -> Cited:
        pages = list(dict.fromkeys(sentence.page for sentence in chosen))
        numbers = {page.id: i for i, page in enumerate(pages)}
        cited = [f"{sentence.text} ⟦{numbers[sentence.page.id]}⟧" for sentence in chosen]
        if not final:
            return Cited("\n".join(cited), tuple(pages))
        if self._wanted.style == "bullets":
            return Cited("\n".join(f"- {sentence}" for sentence in cited), tuple(pages))
        size = 4 if self._wanted.style == "detailed" else len(cited) or 1
        paragraphs = [" ".join(cited[i : i + size]) for i in range(0, len(cited), size)]
        return Cited("\n\n".join(paragraphs), tuple(pages))


def _features(text: str) -> list[str]:
    features: list[str] = []
    for word in _WORD.findall(text.casefold()):
        features += lexical_features(word) if _UNSPACED.search(word) else [word[:_STEM]]
    return features


def _kept(text: Cited | None) -> Iterator[Sentence]:
    """The sentences of a part, as `ExtractWriter` wrote them."""
    for line in re.split(r"(?<=⟧)\s+", text.text) if text else ():
        match = MARK.search(line)
        if text and match:
            yield Sentence(line[: match.start()].removeprefix("- ").strip(), text.pages[int(match[1])])


def _sentences(pages: Sequence[Page]) -> Iterator[Sentence]:
    for i, page in enumerate(pages):
        text = _prose(page)
        spans = sentences(text)
        follows = i + 1 < len(pages) and pages[i + 1].entry.continues
        for n, (start, end) in enumerate(spans):
            words = " ".join(text[start:end].replace("⟦", "[").replace("⟧", "]").split())
            cut = (n == 0 and page.entry.continues) or (n == len(spans) - 1 and follows and not _TERMINAL.search(words))
            if not cut and _stands_alone(words):
                yield Sentence(words, page)


def _prose(page: Page) -> str:
    """The text with blanks for what is no prose, by its runs; an empty line keeps apart what stands around a heading."""
    text = page.text
    for start, end, role in page.runs:
        if role.startswith(_OMITTED):
            blank = "\n" * (end - start) if role != "syntax" else " " * (end - start)
            text = text[:start] + blank + text[end:]
    return text


def _stands_alone(words: str) -> bool:
    letters = sum(map(str.isalpha, words))
    wide = sum("\u0e00" <= c <= "\u0eff" or "\u2e80" <= c <= "\uffef" for c in words)
    shortest = _SHORTEST // 3 if 2 * wide > letters else _SHORTEST
    whole = bool(_TERMINAL.search(words)) or 2 * wide > letters
    return whole and shortest <= len(words) <= _LONGEST and letters >= 0.65 * len(words.replace(" ", ""))


def _bearing(question: str, found: Sequence[Sentence]) -> Floats:
    """How much each sentence bears on a question, 0 to 1."""
    scores = np.zeros(len(found))
    passages = best_passages(question, [sentence.text for sentence in found])
    for passage in passages:
        scores[passage.text_index] = max(scores[passage.text_index], passage.score / passages[0].score)
    return scores


@lru_cache(maxsize=4096)
def _cost(text: str) -> int:
    return count_text_tokens(text).count
