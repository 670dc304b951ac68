"""What the index asks of an embedder: a page is a bag of vectors, and one vector is a bag of one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from ..errors import ModelError
from ..page import Page

Vectors = NDArray[np.float32]
Metric = Literal["cosine", "ip"]


@runtime_checkable
class Embedder(Protocol):
    """Turns pages and queries into vectors.

    The score of a page is MaxSim: for each query vector the best of the page's vectors, averaged over the query's vectors.
    With one vector on each side that is the plain cosine or inner product.

    Attributes:
        name, revision: which model, and which version of its weights or features. An index records both and refuses others.
        dim: length of a vector.
        metric: ``cosine`` (the index normalises) or ``ip`` (inner product of the vectors as they are).
        stored: whether an index keeps the vectors. False for vectors that are quickly computed again from the page's text.
    """

    @property
    def name(self) -> str:
        """Which model."""
        ...

    @property
    def revision(self) -> str:
        """Which version of it."""
        ...

    @property
    def dim(self) -> int:
        """Length of a vector."""
        ...

    @property
    def metric(self) -> Metric:
        """``cosine`` or ``ip``."""
        ...

    @property
    def stored(self) -> bool:
        """Whether an index keeps the vectors."""
        ...

    def embed_pages(self, pages: Sequence[Page]) -> list[Vectors]:
        """One float32 array of shape [n, dim] per page, in order; n may differ from page to page, and be 0."""
        ...

    def embed_query(self, text: str) -> Vectors:
        """A float32 array of shape [n, dim], n at least 1."""
        ...


def checked_vectors(embedder: Embedder, vectors: Sequence[Vectors], count: int) -> list[Vectors]:
    """What an embedder returned for ``count`` pages, as an index keeps it: float32 [n, dim], normalised if the metric is
    ``cosine`` (a zero vector stays zero), and rounded to half precision.

    Raises:
        ModelError: another number of pages or another shape than promised, NaN, or numbers beyond half precision.
    """
    if len(vectors) != count:
        raise ModelError(f"embedder {embedder.name!r} returned vectors for {len(vectors)} pages instead of {count}")
    checked = []
    for array in vectors:
        array = np.asarray(array, dtype=np.float32)
        if array.ndim != 2 or array.shape[1] != embedder.dim:
            raise ModelError(f"embedder {embedder.name!r} returned shape {array.shape}, promised [n, {embedder.dim}]")
        if embedder.metric == "cosine":
            norms = np.linalg.norm(array, axis=1, keepdims=True)
            array = (array / np.where(norms > 0, norms, 1)).astype(np.float32)
        with np.errstate(over="ignore"):
            half = array.astype(np.float16)
        if not np.isfinite(half).all():
            raise ModelError(f"embedder {embedder.name!r} returned NaN, infinity or numbers beyond half precision (65,504)")
        checked.append(half.astype(np.float32))
    return checked


def unit(vectors: Vectors) -> Vectors:
    """Vectors [..., dim] of length 1; a zero vector stays zero."""
    norms = np.linalg.norm(vectors, axis=-1, keepdims=True)
    directions: Vectors = (vectors / np.where(norms > 0, norms, 1)).astype(np.float32, copy=False)
    return directions
