"""Figures of merit of ranked pages, what chance would score, and how sure a figure is."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Places = tuple[int, ...]
"""Where the gold pages of a question stood among the pages found, from 1, in order."""

GAIN_DEPTH = 10
"""nDCG looks so far down."""

_Z = 1.959964  # of the normal distribution, for 95 %
_RESAMPLES = 2000
_BLOCK = 1_000_000  # numbers drawn at once


class Estimate(NamedTuple):
    """A mean over the questions, and its 95 % confidence interval."""

    value: float
    low: float
    high: float


class Metric(NamedTuple):
    """A figure of merit, 0 to 1.

    Attributes:
        name: such as ``hit@5``.
        of: its value for the places of a question's gold pages, and how many of these there are.
        chance: its expected value when the pages are drawn at random: of the number of gold pages and that of all pages.
    """

    name: str
    of: Callable[[Places, int], float]
    chance: Callable[[int, int], float]


def hit(k: int) -> Metric:
    """Whether a gold page is among the first ``k``. By chance 1 - C(P - g, k) / C(P, k) for g gold pages of P."""

    def chance(gold: int, pages: int) -> float:
        return 1 - math.comb(pages - gold, min(k, pages)) / math.comb(pages, min(k, pages))

    return Metric(f"hit@{k}", lambda places, gold: float(any(place <= k for place in places)), chance)


def reciprocal_rank(depth: int) -> Metric:
    """1 / place of the first gold page, 0 beyond ``depth``; its mean is MRR."""

    def chance(gold: int, pages: int) -> float:
        total, none_before = 0.0, 1.0  # none_before: probability that no gold page came before this place
        for place in range(1, min(depth, pages - gold + 1) + 1):
            here = gold / (pages - place + 1)
            total += none_before * here / place
            none_before *= 1 - here
        return total

    def of(places: Places, gold: int) -> float:
        return 1 / places[0] if places and places[0] <= depth else 0.0

    return Metric("MRR", of, chance)


def gain() -> Metric:
    """nDCG@10 with a gain of 1 for each gold page (Järvelin and Kekäläinen 2002): the sum of 1 / log2(1 + place) over the gold
    pages among the first ten, as a share of the highest possible."""

    def ideal(gold: int) -> float:
        return _discounts(min(gold, GAIN_DEPTH))

    def of(places: Places, gold: int) -> float:
        return sum(1 / math.log2(1 + place) for place in places if place <= GAIN_DEPTH) / ideal(gold)

    return Metric(f"nDCG@{GAIN_DEPTH}", of, lambda gold, pages: gold / pages * _discounts(min(pages, GAIN_DEPTH)) / ideal(gold))


def _discounts(count: int) -> float:
    return sum(1 / math.log2(1 + place) for place in range(1, count + 1))


def mean(values: Floats | Sequence[float]) -> Estimate:
    """The mean of values from 0 to 1 with Wilson's score interval (1927). That is made for shares such as hit@k, and stays
    honest where all of few questions hit; for values between 0 and 1, such as those of MRR, it is wider than need be."""
    value, n = float(np.mean(values)), len(values)
    middle = (value + _Z * _Z / (2 * n)) / (1 + _Z * _Z / n)
    reach = _Z / (1 + _Z * _Z / n) * math.sqrt(value * (1 - value) / n + _Z * _Z / (4 * n * n))
    return Estimate(value, max(0.0, middle - reach), min(1.0, middle + reach))


def difference(one: Floats, other: Floats) -> Estimate:
    """The mean of ``one - other``, question by question, with the interval of the paired bootstrap (percentiles of 2,000
    resamples): far narrower than the intervals of the two means, since a hard question is hard for both."""
    values = one - other
    means = [drawn @ values for drawn in resamples(len(values))]
    low, high = np.percentile(np.concatenate(means), (2.5, 97.5))
    return Estimate(float(values.mean()), float(low), float(high))


def resamples(count: int) -> Iterator[Floats]:
    """2,000 samples of so many questions, drawn with replacement from these: the share of each question, a row a sample, in
    blocks. The same ones each time."""
    random = np.random.default_rng(0)
    rows = max(1, _BLOCK // count)
    for start in range(0, _RESAMPLES, rows):
        yield random.multinomial(count, np.full(count, 1 / count), min(rows, _RESAMPLES - start)) / count
