"""The vectors that a picture is searched by."""

from __future__ import annotations

import numpy as np
from PIL import Image

from ..errors import QueryError
from .embedder import Vectors
from .pooling import pool_vectors

_MOST = 64  # enough to find what looks like it, and about as quick as a question


def picture_query(image: Image.Image, vectors: Vectors) -> Vectors:
    """At most 64 of a picture's own vectors, the one nearest to the mean of each group that is alike.

    Own ones, not the means: those of a page that is there as it is are then met exactly.

    Args:
        image: the picture, for the message.
        vectors: float32 [n, dim], of unit length.

    Raises:
        QueryError: it has none, for there is nothing on it.
    """
    if not len(vectors):
        raise QueryError(f"there is nothing on the picture of {image.width} x {image.height} pixels to search for")
    means = pool_vectors(vectors, len(vectors) / _MOST)
    return vectors[np.unique((vectors @ means.T).argmax(axis=0))] if len(means) < len(vectors) else vectors
