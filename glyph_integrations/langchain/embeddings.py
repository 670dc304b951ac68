"""`GlyphEmbeddings`: an embedder of pages as LangChain embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from urllib.parse import urlsplit
from urllib.request import url2pathname

from langchain_core.embeddings import Embeddings

from ..embedding import Embedder, LexicalEmbedder
from ..embedding.single import SingleVectors
from ..errors import DocumentError
from ..style import PageStyle


class GlyphEmbeddings(Embeddings):
    """Gives any LangChain vector store the vectors of an embedder of pages, one per text.

    A page that the embedder gives several vectors, one per window (`TextEmbedder`), counts by their mean; `GlyphVectorStore`
    keeps them all and scores a page by its best, which finds more.

    Args:
        embedder: default `LexicalEmbedder`, which needs no model.
        style: how texts are laid out for an embedder that looks at pictures; a page as tall as the text needs.

    Raises:
        QueryError: while embedding: the embedder matches many vectors one by one (then use `GlyphVectorStore`), or a text is
            longer than the tallest page, some 90 thousand characters.

    Example:
        ``QdrantVectorStore.from_documents(pages, GlyphEmbeddings(TextEmbedder("all-MiniLM-L6-v2")), location=":memory:")``
    """

    def __init__(self, embedder: Embedder | None = None, *, style: PageStyle | str = "glyph-72") -> None:
        self.embedder = embedder or LexicalEmbedder()
        self._vectors = SingleVectors(self.embedder, style)

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """One vector per text."""
        rows: list[list[float]] = self._vectors.of_texts(texts).tolist()
        return rows

    def embed_query(self, text: str) -> list[float]:
        """The vector of a question."""
        row: list[float] = self._vectors.of_question(text).tolist()
        return row

    def embed_image(self, uris: Sequence[str | PathLike[str]]) -> list[list[float]]:
        """One vector per picture file, for an embedder that looks at pictures.

        Args:
            uris: paths, or ``file:`` URLs. Nothing is fetched from the network.

        Raises:
            QueryError: the embedder makes nothing of a picture: it embeds text.
            DocumentError: a file cannot be read, is no picture, or is named by another kind of URL.
        """
        rows: list[list[float]] = self._vectors.of_pictures([_path(uri) for uri in uris]).tolist()
        return rows


def _path(uri: str | PathLike[str]) -> str:
    text = str(uri)
    url = urlsplit(text)
    if url.scheme == "file":
        return url2pathname(url.path)
    if "://" in text or url.scheme == "data":
        raise DocumentError(f"pictures are embedded from files, not from {url.scheme}: URLs; save it to a file first")
    return text
