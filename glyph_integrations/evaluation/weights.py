"""The weight of the vectors in hybrid search, chosen on one's own questions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import QueryError
from ..index import PageIndex, Question
from ..index.ranking import NEARNESS
from .evaluation import Track, answerable, places_of, unserved_modes
from .figures import GAIN_DEPTH, Estimate, difference, gain, mean, resamples
from .questions import LabelledQuestion

GRID = tuple(tenth / 10 for tenth in range(11))
"""Weights that are tried, beside the one in use."""


@dataclass(frozen=True)
class Tuning:
    """Which weight of the vectors ranks the answers to some questions best, by nDCG@10.

    Attributes:
        weights: those tried, ascending.
        scores: of each, the mean over the questions with its 95 % interval.
        usual: the weight that searches have where none is given.
        best: the weight with the highest mean; of several the one nearest to ``usual``.
        likely: the best weight lay between these in 95 % of 2,000 samples drawn from the questions (bootstrap).
        gain: what choosing is worth: the weight that is best on all other questions against ``usual``, for each question, with
            the interval of the paired bootstrap. The mean of ``best`` itself flatters, for it was chosen on these questions.
        questions: how many were asked.
    """

    weights: tuple[float, ...]
    scores: tuple[Estimate, ...]
    usual: float
    best: float
    likely: tuple[float, float]
    gain: Estimate
    questions: int

    @property
    def worthwhile(self) -> bool:
        """Whether these questions show that another weight is better than the usual one."""
        return self.gain.low > 0

    def to_dict(self) -> dict[str, Any]:
        """All of it for JSON."""
        scores = [{"weight": w, **score._asdict()} for w, score in zip(self.weights, self.scores, strict=True)]
        return {
            "best": self.best, "usual": self.usual, "likely": list(self.likely), "gain": self.gain._asdict(),
            "worthwhile": self.worthwhile, "questions": self.questions, "metric": f"nDCG@{GAIN_DEPTH}", "scores": scores,
        }  # fmt: skip


def tune(
    index: PageIndex, questions: Iterable[LabelledQuestion], weights: Sequence[float] = GRID, track: Track = iter
) -> Tuning:
    """Try weights of the vectors in hybrid search on questions whose answers are known. Each question is embedded once, and
    searched once for each weight.

    Raises:
        QueryError: the index has no hybrid mode, a weight is beyond 0 to 1, or no question is answered by a page.
        ModelError: the embedder failed.
    """
    if reason := unserved_modes(index).get("hybrid"):
        raise QueryError(f"there is no weight to tune: hybrid {reason}")
    tried = tuple(sorted({*weights, NEARNESS}))
    if not 0 <= tried[0] <= tried[-1] <= 1:
        raise QueryError(f"weights {list(weights)}: each must be from 0 (words alone) to 1 (vectors alone)")
    put = answerable(index, questions)
    metric = gain()
    rows = []
    for number in track(range(len(put.questions))):
        gold = put.gold[number]
        asked = Question.of(put.questions[number].question, "hybrid", index.embedder, tried[0])
        found = [places_of(index, asked._replace(weight=weight), GAIN_DEPTH, gold) for weight in tried]
        rows.append([metric.of(places, len(gold)) for places in found])
    scores = np.array(rows)
    order = np.argsort([abs(weight - NEARNESS) for weight in tried], kind="stable")  # of equals the nearest to the usual wins
    ranked = scores[:, order]
    total = ranked.sum(axis=0)
    others = np.round(total - ranked, 9).argmax(axis=1)  # best on all questions but this one
    drawn = np.concatenate([np.round(sample @ ranked, 9).argmax(axis=1) for sample in resamples(len(scores))])
    low, high = np.quantile(np.array(tried)[order][drawn], (0.025, 0.975), method="nearest")
    return Tuning(
        weights=tried,
        scores=tuple(mean(scores[:, column]) for column in range(len(tried))),
        usual=NEARNESS,
        best=tried[order[int(np.round(total, 9).argmax())]],
        likely=(float(low), float(high)),
        gain=difference(ranked[np.arange(len(ranked)), others], ranked[:, 0]),
        questions=len(put.questions),
    )
