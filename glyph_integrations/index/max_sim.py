"""MaxSim over pages of any number of vectors: exact, and estimated from a nearest-neighbour search. Nothing is padded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..embedding.embedder import Vectors
from ..embedding.pooling import pool_roughly

Rows = NDArray[np.int64]
"""Row numbers of pages."""


class Found(NamedTuple):
    """Pages and their scores, best first; equal scores in order of row."""

    rows: Rows
    scores: Vectors

    def best(self, limit: int) -> Found:
        """The first so many."""
        return Found(self.rows[:limit], self.scores[:limit])


class Bags(NamedTuple):
    """Pages as bags of vectors, laid end to end: ``vectors`` float32 [n, dim], of which the page in ``rows[i]`` has
    ``counts[i]``, in order."""

    rows: Rows
    counts: NDArray[np.int64]
    vectors: Vectors

    @classmethod
    def of(cls, rows: Sequence[int], vectors: Sequence[Vectors], dim: int) -> Bags:
        """From one array [n, dim] per page."""
        counts = np.fromiter((len(own) for own in vectors), np.int64, len(vectors))
        together = np.concatenate(vectors) if vectors else np.zeros((0, dim), dtype=np.float32)
        return cls(np.array(rows, dtype=np.int64), counts, together)

    def split(self) -> list[Vectors]:
        """One array [n, dim] per page."""
        return np.split(self.vectors, np.cumsum(self.counts)[:-1]) if len(self.rows) else []

    def without_empty(self) -> Bags:
        """Only the pages that have vectors."""
        some = self.counts > 0
        return self if some.all() else Bags(self.rows[some], self.counts[some], self.vectors)

    def pooled(self, most: int) -> Bags:
        """Pages with more vectors than ``most`` have so many in their place, or an eighth; see `pool_roughly`."""
        if not (self.counts > most).any():
            return self
        pooled = [pool_roughly(own, max(most, len(own) // 8)) for own in self.split()]
        return Bags.of(self.rows.tolist(), pooled, self.vectors.shape[1])

    def best(self, query: Vectors) -> Vectors:
        """For each query vector and each page (all with vectors) the best inner product: float32 [queries, pages]."""
        if not len(self.rows):
            return np.zeros((len(query), 0), dtype=np.float32)
        products: Vectors = self.vectors @ query.T  # half the time of its transpose
        if len(self.rows) < len(self.vectors):
            products = np.maximum.reduceat(products, np.cumsum(self.counts) - self.counts, axis=0)
        return products.T

    def max_sim(self, query: Vectors) -> Found:
        """Each page's mean over the query's vectors of the best inner product with one of its own (ColBERT's MaxSim, Khattab
        and Zaharia 2020, divided by the number of query vectors). Pages without vectors have no score and are left out."""
        pages = self.without_empty()
        return ranked(pages.rows, pages.best(query).mean(axis=0))


def ranked(rows: Rows, scores: Vectors) -> Found:
    """Pages in order of their scores, best first."""
    order = np.lexsort((rows, -scores))
    return Found(rows[order], scores[order])


def estimated(rows: Rows, scores: Vectors) -> Found:
    """MaxSim of pages as far as a nearest-neighbour search can tell.

    A page that a query vector's search did not return scores, with that vector, no better than the worst that was returned;
    so that is put in its place, and the estimate is a bound from above.

    Args:
        rows: [queries, found], the page of each vector found; negative where there was none.
        scores: the same shape, inner products, best first.
    """
    valid = rows >= 0
    there = rows[valid]
    seen = np.zeros(there.max(initial=0) + 1, dtype=np.bool_)  # row numbers are dense: quicker than sorting them
    seen[there] = True
    pages, places = np.flatnonzero(seen), np.cumsum(seen)[there] - 1
    worst = np.where(valid, scores, np.inf).min(axis=1)
    worst[np.isinf(worst)] = 0.0  # found nothing at all: says nothing about any page
    best = np.repeat(worst[:, None], len(pages), axis=1)
    asked = np.broadcast_to(np.arange(len(rows))[:, None], rows.shape)[valid]
    np.maximum.at(best, (asked, places), scores[valid])
    return ranked(pages, best.mean(axis=0))
