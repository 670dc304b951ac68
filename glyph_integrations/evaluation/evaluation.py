"""Questions put to an index in each of its modes, and how well each finds the pages that answer them."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any, NamedTuple, get_args

import numpy as np

from ..embedding import LexicalEmbedder
from ..errors import QueryError
from ..index import Mode, PageIndex, Question
from ..index.recorded import Absent
from .figures import GAIN_DEPTH, Estimate, Floats, Metric, Places, difference, gain, hit, mean, reciprocal_rank
from .gold import Gold, find_gold
from .questions import LabelledQuestion

MODES: tuple[Mode, ...] = ("lexical", "dense", "hybrid")

Track = Callable[[Sequence[int]], Iterable[int]]
"""Passes on the numbers of the questions, and may show how far they have come."""


class LeftOut(NamedTuple):
    """A question that no page of the index answers, and why."""

    question: LabelledQuestion
    reason: str


class Put(NamedTuple):
    """Questions that have gold pages, in the order given, and those that have none."""

    questions: tuple[LabelledQuestion, ...]
    gold: tuple[frozenset[str], ...]
    left_out: tuple[LeftOut, ...]


@dataclass(frozen=True)
class Evaluation:
    """How well an index finds the pages that answer some questions. Of one question, a figure is 0 to 1; `score` is its mean.

    Attributes:
        pages: how many the index holds.
        k: so many pages a reader would be given.
        questions: those asked, in order.
        gold: of each, how many pages answer it.
        places: mode -> for each question, where its gold pages stood among the pages found, from 1. As many pages as ``k``, and
            at least ten, are looked at.
        milliseconds: mode -> median time of a search, the embedding of the question included.
        unserved: mode -> why the index cannot serve it.
        left_out: questions that were not asked, since no page of the index answers them. They count nowhere.
    """

    pages: int
    k: int
    questions: tuple[LabelledQuestion, ...]
    gold: tuple[int, ...]
    places: Mapping[Mode, tuple[Places, ...]]
    milliseconds: Mapping[Mode, float]
    unserved: Mapping[Mode, str]
    left_out: tuple[LeftOut, ...]

    @property
    def modes(self) -> tuple[Mode, ...]:
        """The modes measured."""
        return tuple(self.places)

    @cached_property
    def metrics(self) -> Mapping[str, Metric]:
        """By name: hit@1, hit@5, hit@k, MRR (within the pages looked at) and nDCG@10."""
        depths = sorted({1, 5, self.k})
        return {metric.name: metric for metric in (*map(hit, depths), reciprocal_rank(depth_of(self.k)), gain())}

    def score(self, mode: Mode, metric: str) -> Estimate:
        """A figure of a mode, with its 95 % confidence interval (Wilson's, see `figures.mean`)."""
        return mean(self.values(mode, metric))

    def values(self, mode: Mode, metric: str) -> Floats:
        """A figure question by question, [n]."""
        of = self.metrics[metric].of
        return np.array([of(places, gold) for places, gold in zip(self.places[mode], self.gold, strict=True)])

    def chance(self, metric: str) -> float:
        """What pages drawn at random would score."""
        chances = {gold: self.metrics[metric].chance(gold, self.pages) for gold in set(self.gold)}
        return statistics.fmean(chances[gold] for gold in self.gold)

    def gain(self, mode: Mode, over: Mode, metric: str = f"nDCG@{GAIN_DEPTH}") -> Estimate:
        """How much better one mode is than another, with the 95 % interval of the paired bootstrap: one that holds 0 tells that
        these questions cannot tell the two apart."""
        return difference(self.values(mode, metric), self.values(over, metric))

    def to_dict(self) -> dict[str, Any]:
        """All of it for JSON."""
        scores = {
            mode: {name: self.score(mode, name)._asdict() for name in self.metrics}
            | {"milliseconds": round(self.milliseconds[mode], 2)}
            for mode in self.modes
        }
        results = [
            {"line": question.line, "question": question.question, "gold_pages": gold}
            | {"places": {mode: list(self.places[mode][number]) for mode in self.modes}}
            for number, (question, gold) in enumerate(zip(self.questions, self.gold, strict=True))
        ]
        return {
            "pages": self.pages,
            "questions": len(self.questions),
            "k": self.k,
            "modes": scores,
            "chance": {name: self.chance(name) for name in self.metrics},
            "unserved": dict(self.unserved),
            "left_out": [
                {"line": one.question.line, "question": one.question.question, "reason": one.reason} for one in self.left_out
            ],
            "results": results,
        }


def evaluate(
    index: PageIndex,
    questions: Iterable[LabelledQuestion],
    modes: Sequence[Mode] | None = None,
    k: int = 10,
    weight: float | None = None,
    track: Track = iter,
) -> Evaluation:
    """Put questions to an index, and see where the pages that answer them come.

    Args:
        index: the pages, opened with their embedder.
        questions: see `read_questions` and `make_questions`.
        modes: ``lexical``, ``dense`` and ``hybrid``, or some of them. None: those that the index can serve.
        k: how many pages a reader would be given.
        weight: of the vectors in hybrid mode, see `PageIndex.search`.
        track: shows how far it has come.

    Raises:
        QueryError: a mode that is unknown or that the index cannot serve, k below 1, or no question that a page answers.
        ModelError: the embedder failed.
    """
    if isinstance(k, bool) or not isinstance(k, int) or k < 1:
        raise QueryError(f"k={k!r}: must be a whole number from 1")
    if modes is not None and (unknown := [mode for mode in modes if mode not in get_args(Mode)]):
        raise QueryError(f"mode={unknown[0]!r}: choose of {', '.join(get_args(Mode))}")
    unserved = unserved_modes(index)
    if modes is not None and (cannot := [mode for mode in modes if mode in unserved]):
        raise QueryError(f"mode {cannot[0]}: {unserved[cannot[0]]}")
    chosen = [mode for mode in MODES if (mode in modes if modes is not None else mode not in unserved)]
    put = answerable(index, questions)
    places: dict[Mode, list[Places]] = {mode: [] for mode in chosen}
    times: dict[Mode, list[float]] = {mode: [] for mode in chosen}
    for number in track(range(len(put.questions))):
        text = put.questions[number].question
        began = time.perf_counter()
        asked = Question.of(text, "lexical" if chosen == ["lexical"] else "hybrid", index.embedder, weight)
        embedding = time.perf_counter() - began
        for mode in chosen:
            began = time.perf_counter()
            places[mode].append(places_of(index, asked._replace(mode=mode), depth_of(k), put.gold[number]))
            times[mode].append(time.perf_counter() - began + (embedding if mode != "lexical" else 0))
    return Evaluation(
        pages=len(index),
        k=k,
        questions=put.questions,
        gold=tuple(len(gold) for gold in put.gold),
        places=MappingProxyType({mode: tuple(found) for mode, found in places.items()}),
        milliseconds=MappingProxyType({mode: 1000 * statistics.median(found) for mode, found in times.items()}),
        unserved=MappingProxyType({mode: reason for mode, reason in unserved.items() if modes is None}),
        left_out=put.left_out,
    )


def unserved_modes(index: PageIndex) -> dict[Mode, str]:
    """The modes that an index cannot serve, and why."""
    if isinstance(index.embedder, Absent):
        reason = f"needs the embedder {index.embedder.name!r} that the index was made with"
        return {"dense": reason, "hybrid": reason}
    if isinstance(index.embedder, LexicalEmbedder):
        return {"hybrid": "is the same as lexical with an index made without a model"}
    return {}


def answerable(index: PageIndex, questions: Iterable[LabelledQuestion]) -> Put:
    """The questions that some page of the index answers, and those that none does.

    Raises:
        QueryError: no page answers any.
    """
    asked = list(questions)
    gold: list[Gold] = find_gold(index, asked)
    left_out = tuple(LeftOut(question, found.reason) for question, found in zip(asked, gold, strict=True) if not found.pages)
    if len(left_out) == len(asked):
        why = f": {left_out[0].reason}" if left_out else ""
        raise QueryError(f"of {len(asked):,} questions none is answered by a page of this index{why}")
    kept = [(question, found.pages) for question, found in zip(asked, gold, strict=True) if found.pages]
    return Put(tuple(question for question, _ in kept), tuple(pages for _, pages in kept), left_out)


def places_of(index: PageIndex, question: Question, depth: int, gold: frozenset[str]) -> Places:
    """Where the gold pages stand among the first ``depth`` that are found."""
    hits = index.search(question, depth)
    return tuple(place for place, found in enumerate(hits, 1) if found.page.id in gold)


def depth_of(k: int) -> int:
    """How many pages are looked at."""
    return max(k, GAIN_DEPTH)
