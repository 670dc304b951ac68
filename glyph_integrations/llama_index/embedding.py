"""`GlyphEmbedding`: an embedder of pages as a LlamaIndex embedding; `StandInEmbedding`: for a store that embeds by itself."""

from __future__ import annotations

import asyncio
from typing import Any

from llama_index.core.bridge.pydantic import Field
from llama_index.core.embeddings import BaseEmbedding

from ..embedding import Embedder
from ..embedding.embedder import Vectors
from ..errors import QueryError
from ..page import Page
from ..style import PageStyle
from .node_parser import shared_renderer


class GlyphEmbedding(BaseEmbedding):
    """Gives any LlamaIndex vector store the vectors of an embedder of pages that makes exactly one of a page.

    Args:
        embedder: such as `LexicalEmbedder`.
        style: how texts are laid out for an embedder that looks at pictures; a page as tall as the text needs.

    Raises:
        QueryError: while embedding: the embedder makes several vectors (then use `GlyphVectorStore`), or a text is longer than
            the tallest page, some 90 thousand characters.
    """

    embedder: Any = Field(exclude=True)
    style: str = "glyph-72"

    def __init__(self, embedder: Embedder, **kwargs: Any) -> None:
        kwargs.setdefault("model_name", f"{embedder.name}/{embedder.revision}")
        super().__init__(**{"embedder": embedder, **kwargs})

    @classmethod
    def class_name(cls) -> str:
        """Name in serialised form."""
        return "GlyphEmbedding"

    def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        return [self._one(vectors) for vectors in self.embedder.embed_pages([self._page(text) for text in texts])]

    def _get_text_embedding(self, text: str) -> list[float]:
        return self._get_text_embeddings([text])[0]

    def _get_query_embedding(self, query: str) -> list[float]:
        return self._one(self.embedder.embed_query(query))

    async def _aget_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        return await asyncio.to_thread(self._get_text_embeddings, texts)

    async def _aget_text_embedding(self, text: str) -> list[float]:
        return await asyncio.to_thread(self._get_text_embedding, text)

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return await asyncio.to_thread(self._get_query_embedding, query)

    def _page(self, text: str) -> Page:
        tall = str(PageStyle.parse(self.style).replace(height=10_000))
        pages = list(shared_renderer(tall).paginate(text))
        if len(pages) > 1:
            raise QueryError(f"a text of {len(text)} characters fits on no page; cut it with PageNodeParser first")
        return pages[0] if pages else Page(text, PageStyle.parse(tall).replace(newline="keep"), ())

    def _one(self, vectors: Vectors) -> list[float]:
        if len(vectors) != 1:
            raise QueryError(
                f"{self.embedder.name} made {len(vectors)} vectors where LlamaIndex's stores hold one; use GlyphVectorStore"
            )
        values: list[float] = vectors[0].tolist()
        return values


class StandInEmbedding(BaseEmbedding):
    """What `VectorStoreIndex` and `IngestionPipeline` ask an embedding model for, where the store makes its own vectors: a
    constant that nothing reads, and no model. See `GlyphVectorStore.embed_model`."""

    model_name: str = "made by the vector store"

    @classmethod
    def class_name(cls) -> str:
        """Name in serialised form."""
        return "StandInEmbedding"

    def _get_text_embedding(self, text: str) -> list[float]:
        return [0.0]

    def _get_query_embedding(self, query: str) -> list[float]:
        return [0.0]

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return [0.0]
