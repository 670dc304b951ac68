"""What is searched for: words, vectors or both."""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

import numpy as np

from ..embedding import Embedder, LexicalEmbedder
from ..embedding.embedder import Vectors, checked_vectors
from ..errors import QueryError

Mode = Literal["hybrid", "dense", "lexical"]


class Question(NamedTuple):
    """A query, embedded. ``vectors`` are None where they are not needed, or (dense, of a `LexicalEmbedder`) depend on BM25.
    ``weight`` is theirs in a hybrid search, 0 to 1; None: as chosen by measurement."""

    text: str
    vectors: Vectors | None
    mode: Mode
    weight: float | None = None

    @classmethod
    def of(cls, query: str | Vectors | Question, mode: Mode, embedder: Embedder, weight: float | None = None) -> Question:
        """Check and embed what `PageIndex.search` was given. A question that is embedded already stays as it is.

        Raises:
            QueryError: an unknown mode, a weight beyond 0 to 1, or vectors of another dim.
            ModelError: the embedder returned other shapes than promised, or NaN.
        """
        if mode not in get_args(Mode):
            raise QueryError(f"mode={mode!r}: choose one of {', '.join(get_args(Mode))}")
        if weight is not None and not 0 <= weight <= 1:
            raise QueryError(f"weight={weight!r}: must be from 0 (words alone) to 1 (vectors alone)")
        if isinstance(query, Question):
            return query
        if not isinstance(query, str):
            return cls("", _given_vectors(query, embedder), "dense")
        if isinstance(embedder, LexicalEmbedder):
            return cls(query, None, "lexical" if mode == "hybrid" else mode)
        if mode == "lexical" or not query.strip():
            return cls(query, None, mode)
        return cls(query, checked_vectors(embedder, [embedder.embed_query(query)], 1)[0], mode, weight)

    @property
    def empty(self) -> bool:
        """Whether there is nothing to look for."""
        return self.vectors is None and not self.text.strip()

    @property
    def needs_words(self) -> bool:
        """Whether BM25 has a say in the answer."""
        return self.mode != "dense" or self.vectors is None


def _given_vectors(query: Vectors, embedder: Embedder) -> Vectors:
    try:
        array = np.atleast_2d(np.asarray(query, dtype=np.float32))
    except (TypeError, ValueError) as error:
        raise QueryError(f"a query is a string, or vectors of numbers in one array, not {query!r:.100}") from error
    if array.ndim != 2 or array.shape[1] != embedder.dim or not len(array) or not np.isfinite(array).all():
        shape = f"[n, {embedder.dim}]"
        raise QueryError(f"query vectors of shape {np.shape(query)}: expected finite numbers in {shape}, n at least 1")
    return checked_vectors(embedder, [array], 1)[0]


def check_k(k: int) -> None:
    """Refuse a number of hits that cannot be.

    Raises:
        QueryError: below 1, or no whole number.
    """
    if isinstance(k, bool) or not isinstance(k, int) or k < 1:
        raise QueryError(f"k={k!r}: must be a whole number from 1")
