"""Which sentences say most of what the others say: LexRank (Erkan and Radev 2004), continuous, over sparse tf-idf vectors."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_DAMPING = 0.85
_ROUNDS = 60
_CLOSE = 1e-6


class Vectors(NamedTuple):
    """Sparse rows of length 1: ``values`` at ``rows`` and ``columns``. Memory: 24 bytes for each."""

    rows: NDArray[np.intp]
    columns: NDArray[np.intp]
    values: Floats
    height: int
    width: int

    def times(self, column: Floats) -> Floats:
        """The product with a vector of ``width``."""
        return _sums(self.rows, self.values * column[self.columns], self.height)

    def transposed_times(self, row: Floats) -> Floats:
        """The product of the transposed matrix with a vector of ``height``."""
        return _sums(self.columns, self.values * row[self.rows], self.width)

    def row(self, number: int) -> Floats:
        """One row, written out."""
        own = slice(*np.searchsorted(self.rows, (number, number + 1)))
        return _sums(self.columns[own], self.values[own], self.width)


def _sums(places: NDArray[np.intp], values: Floats, size: int) -> Floats:
    return np.bincount(places, values, size).astype(np.float64, copy=False)


def tf_idf(bags: Sequence[Sequence[str]]) -> Vectors:
    """A row per bag of features: count times log of rarity, made length 1; empty for a bag whose features are everywhere."""
    counts = [Counter(bag) for bag in bags]
    frequency = Counter(feature for count in counts for feature in count)
    numbers = {feature: i for i, feature in enumerate(frequency)}
    idf = np.array([math.log(1 + len(bags) / n) for n in frequency.values()])
    rows = np.repeat(np.arange(len(bags)), [len(count) for count in counts])
    columns = np.array([numbers[feature] for count in counts for feature in count], np.intp)
    tf = np.array([n for count in counts for n in count.values()], np.float64)
    values = tf * idf[columns] if len(columns) else tf
    norms = np.sqrt(np.bincount(rows, values**2, len(bags)))
    return Vectors(rows, columns, values / np.maximum(norms[rows], 1e-12), len(bags), len(numbers))


def centrality(vectors: Vectors, bias: Floats | None = None) -> Floats:
    """How central each row is: the stationary probabilities of a walk from sentence to sentence, each step as likely as the two
    are similar (cosine), with a jump by ``bias`` in 15 of 100 steps. The similarities are never written out: a step costs as
    much as there are values, so time and memory grow with the text.

    Args:
        vectors: the sentences, as many as 1 or more.
        bias: where jumps lead, positive; None: anywhere.
    """
    count = vectors.height
    jump = np.full(count, 1 / count) if bias is None else bias / bias.sum()
    self_similar = _sums(vectors.rows, vectors.values**2, count)
    degree = vectors.times(vectors.transposed_times(np.ones(count))) - self_similar
    linked = degree > 1e-9
    ranks = jump.copy()
    for _ in range(_ROUNDS):
        given = np.divide(ranks, degree, out=np.zeros(count), where=linked)
        moved = vectors.times(vectors.transposed_times(given)) - self_similar * given
        fresh = (1 - _DAMPING) * jump + _DAMPING * (moved + ranks[~linked].sum() * jump)
        done = np.abs(fresh - ranks).sum() < _CLOSE
        ranks = fresh
        if done:
            break
    return ranks


def choose(vectors: Vectors, scores: Floats, costs: Sequence[float], room: float, redundancy: float) -> list[int]:
    """The rows that score highest and repeat each other least, as many as fit ``room``; at least one (maximal marginal
    relevance, Carbonell and Goldstein 1998).

    Args:
        costs: of the rows.
        redundancy: how much the similarity to a chosen row counts against a row's own score, 0 to 1.
    """
    own = scores / max(float(scores.max()), 1e-12)
    nearest = np.zeros(vectors.height)
    open_rows = np.ones(vectors.height, bool)
    prices = np.asarray(costs, np.float64)
    chosen: list[int] = []
    while open_rows.any():
        value = np.where(open_rows, (1 - redundancy) * own - redundancy * nearest, -np.inf)
        best = int(value.argmax())
        chosen.append(best)
        room -= prices[best]
        open_rows[best] = False
        open_rows &= prices <= room
        nearest = np.maximum(nearest, vectors.times(vectors.row(best)))
    return sorted(chosen)
