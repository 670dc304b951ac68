"""Choosing pages that are near a question and unlike each other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..embedding.embedder import Vectors, unit
from ..errors import QueryError
from .max_sim import Bags


def marginally_relevant(query: Vectors, pages: Sequence[Vectors], k: int, weight: float) -> list[int]:
    """Maximal marginal relevance (Carbonell and Goldstein 1998): one page after the other, each time the one with the highest
    ``weight * (similarity to the query) - (1 - weight) * (highest similarity to a page chosen before)``.

    Similarity to the query is MaxSim of unit vectors; that of two pages is the cosine of the means of their vectors. A page
    without vectors is similar to nothing.

    Args:
        query: float32 [n, dim].
        pages: float32 [n, dim] each.
        k: how many to choose.
        weight: 0 (as different as can be) to 1 (as near as can be).

    Returns:
        Places in ``pages``, in the order chosen.

    Raises:
        QueryError: weight beyond 0 to 1.
    """
    if not 0 <= weight <= 1:
        raise QueryError(f"lambda_mult={weight!r}: must be from 0 to 1")
    bags = Bags.of(range(len(pages)), [unit(own) for own in pages], query.shape[1])
    near = np.zeros(len(pages), dtype=np.float32)
    found = bags.max_sim(unit(query))
    near[found.rows] = found.scores
    means = unit(np.array([own.mean(axis=0) if len(own) else np.zeros(query.shape[1]) for own in pages], dtype=np.float32))
    like = np.full(len(pages), -np.inf, dtype=np.float32)  # of each page, to the chosen one most like it
    chosen: list[int] = []
    for _ in range(min(k, len(pages))):
        value = weight * near - (1 - weight) * like if chosen else near.copy()
        value[chosen] = -np.inf
        chosen.append(int(value.argmax()))
        like = np.maximum(like, means @ means[chosen[-1]])
    return chosen
