"""`SingleVectors`: an embedder of pages as embedding models are known elsewhere, one vector per text."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import QueryError
from ..page import Page
from ..rendering import Renderer
from ..sources import open_document
from ..style import PageStyle
from .embedder import Embedder, Vectors


class SingleVectors:
    """One vector per text, question or picture, for stores that hold one vector an entry.

    A text is laid out as one page, as tall as it needs, so that an embedder that looks at pictures can see it. An embedder that
    asks with one vector but gives a page several, one per window (`TextEmbedder`), counts by their mean, each window
    normalised first, as the recipes of hosted models have it. One that asks with several (late interaction) is refused:
    a mean of those means nothing.

    Args:
        embedder: makes the vectors.
        style: how texts are laid out.

    Raises:
        QueryError: while embedding: the embedder asks with several vectors, a text is longer than the tallest page, some 90
            thousand characters, or the embedder makes nothing of a picture.
    """

    def __init__(self, embedder: Embedder, style: PageStyle | str = "glyph-72") -> None:
        self.embedder = embedder
        self._style = PageStyle.parse(style) if isinstance(style, str) else style

    def of_texts(self, texts: Sequence[str]) -> Vectors:
        """A float32 array [len(texts), dim]; zeros for a text in which there is nothing to embed."""
        return self._of_pages([self._page(text) for text in texts])

    def of_question(self, text: str) -> NDArray[np.float32]:
        """A float32 array [dim]."""
        vectors = self.embedder.embed_query(text)
        if len(vectors) != 1:
            raise self._several(len(vectors))
        question: NDArray[np.float32] = vectors[0]
        return question

    def of_pictures(self, files: Sequence[str | Path | bytes]) -> Vectors:
        """A float32 array [len(files), dim], for picture files of one frame, or the bytes of such.

        Raises:
            DocumentError: a file cannot be read, or is no picture.
        """
        pages = []
        for file in files:
            found = list(self._renderer.paginate(open_document(file)))
            if len(found) != 1 or found[0].picture is None:
                raise QueryError(f"{_label(file)} holds {len(found)} pages; a picture of one page is embedded")
            pages += found
        vectors = self._of_pages(pages)
        for file, vector in zip(files, vectors, strict=True):
            if not vector.any():
                raise QueryError(
                    f"{self.embedder.name} makes nothing of {_label(file)}: it embeds text, or the picture is blank"
                )
        return vectors

    def _of_pages(self, pages: Sequence[Page]) -> Vectors:
        rows = np.zeros((len(pages), self.embedder.dim), dtype=np.float32)
        for row, vectors in zip(rows, self.embedder.embed_pages(pages), strict=True):
            if len(vectors) > 1:
                if self._asks_with > 1:
                    raise self._several(len(vectors))
                norms = np.linalg.norm(vectors, axis=1, keepdims=True)
                row[:] = (vectors / np.where(norms > 0, norms, 1)).mean(axis=0)
            elif len(vectors):
                row[:] = vectors[0]
        return rows

    @cached_property
    def _asks_with(self) -> int:
        return len(self.embedder.embed_query("page"))

    @cached_property
    def _renderer(self) -> Renderer:
        return Renderer(self._style.replace(height=10_000))

    def _page(self, text: str) -> Page:
        pages = list(self._renderer.paginate(text))
        if len(pages) > 1:
            raise QueryError(f"a text of {len(text)} characters fits on no page; cut it into pages first")
        return pages[0] if pages else Page(text, self._renderer.style.replace(newline="keep"), ())

    def _several(self, count: int) -> QueryError:
        return QueryError(
            f"{self.embedder.name} made {count} vectors where one is wanted, and it matches them one by one: "
            "use GlyphVectorStore, which holds them all"
        )


def _label(file: str | Path | bytes) -> str:
    return "the picture" if isinstance(file, bytes) else f"the picture {file}"
