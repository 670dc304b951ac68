"""Fewer vectors for a page: hierarchical token pooling, and a rougher kind that is quick."""

from __future__ import annotations

import numpy as np

from ..errors import MissingExtraError
from .embedder import Vectors, unit

_ROUNDS = 2  # of k-means


def pool_vectors(vectors: Vectors, factor: float) -> Vectors:
    """About ``len(vectors) / factor`` vectors in place of all: those that are alike become their mean.

    Ward's hierarchical clustering on cosine distance, cut at ``len(vectors) // factor`` clusters; means are normalised (token
    pooling, Clavié, Chaffin and Adams 2024). Published loss of quality: none at factor 2, 1 % at 3; measured here, see the
    reference. About 40 ms for 1,000 vectors.

    Args:
        vectors: float32 [n, dim].
        factor: 1 or less changes nothing.

    Raises:
        MissingExtraError: scipy is not installed.
    """
    if factor <= 1:
        return vectors
    count = max(1, int(len(vectors) / factor))
    if count >= len(vectors):
        return vectors
    if count == 1:
        return unit(vectors.mean(axis=0, keepdims=True))
    try:
        from scipy.cluster.hierarchy import fcluster, linkage
    except ImportError:
        raise MissingExtraError("scipy", "transformers") from None
    directions = unit(vectors)
    apart = np.clip(1 - directions @ directions.T, 0, 2)
    labels = fcluster(linkage(apart[np.triu_indices(len(vectors), 1)], "ward"), count, "maxclust")
    _, cluster = np.unique(labels, return_inverse=True)
    sums: Vectors = np.zeros((int(cluster.max()) + 1, vectors.shape[1]), dtype=np.float32)
    np.add.at(sums, cluster, vectors)
    return unit(sums)  # of the same direction as the mean


def pool_roughly(vectors: Vectors, count: int) -> Vectors:
    """At most ``count`` vectors in place of all: the centres of two rounds of spherical k-means (Dhillon and Modha 2001), begun
    from vectors at even distances, each as long as its members are on average. Coarser than `pool_vectors` and some 50
    times as fast, below a millisecond for 1,000 vectors: for finding a page, not for scoring it.

    Args:
        vectors: float32 [n, dim].
        count: at least 1.
    """
    if len(vectors) <= count:
        return vectors
    lengths = np.linalg.norm(vectors, axis=1)
    centres = unit(vectors[np.linspace(0, len(vectors) - 1, count).astype(np.int64)])
    for _ in range(_ROUNDS):
        nearest = (vectors @ centres.T).argmax(axis=1)
        order = np.argsort(nearest, kind="stable")
        clusters, first = np.unique(nearest[order], return_index=True)
        centres[clusters] = unit(np.add.reduceat(vectors[order], first, axis=0))
    members = np.bincount(nearest, minlength=count)
    means = np.bincount(nearest, lengths, count) / np.maximum(members, 1)
    pooled: Vectors = (centres * means[:, None])[members > 0].astype(np.float32)
    return pooled
