"""`GlyphEmbedding`: an embedder of pages as a LlamaIndex embedding; and what a store that embeds by itself needs."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import BytesIO
from typing import Any

import numpy as np
from llama_index.core.bridge.pydantic import Field, PrivateAttr
from llama_index.core.embeddings import BaseEmbedding, MultiModalEmbedding
from llama_index.core.schema import ImageType

from ..embedding import Embedder
from ..embedding.embedder import Metric, Vectors
from ..embedding.single import SingleVectors
from ..errors import QueryError
from ..page import Page


class GlyphEmbedding(MultiModalEmbedding):
    """Gives any LlamaIndex vector store the vectors of an embedder of pages, one per text.

    A page that the embedder gives several vectors, one per window (`TextEmbedder`), counts by their mean; `GlyphVectorStore`
    keeps them all and scores a page by its best, which finds more.

    Args:
        embedder: such as `LexicalEmbedder`.
        style: how texts are laid out for an embedder that looks at pictures; a page as tall as the text needs.

    Raises:
        QueryError: while embedding: the embedder matches many vectors one by one (then use `GlyphVectorStore`), or a text is
            longer than the tallest page, some 90 thousand characters; or a picture is given to an embedder of text.
        DocumentError: a picture cannot be read. Only files are read, nothing is fetched.
    """

    embedder: Any = Field(exclude=True)
    style: str = "glyph-72"
    _vectors: SingleVectors = PrivateAttr()

    def __init__(self, embedder: Embedder, **kwargs: Any) -> None:
        kwargs.setdefault("model_name", f"{embedder.name}/{embedder.revision}")
        super().__init__(**{"embedder": embedder, **kwargs})
        self._vectors = SingleVectors(embedder, self.style)

    @classmethod
    def class_name(cls) -> str:
        """Name in serialised form."""
        return "GlyphEmbedding"

    def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        rows: list[list[float]] = self._vectors.of_texts(texts).tolist()
        return rows

    def _get_text_embedding(self, text: str) -> list[float]:
        return self._get_text_embeddings([text])[0]

    def _get_query_embedding(self, query: str) -> list[float]:
        row: list[float] = self._vectors.of_question(query).tolist()
        return row

    def _get_image_embeddings(self, img_file_paths: list[ImageType]) -> list[list[float]]:
        files = [file.getvalue() if isinstance(file, BytesIO) else file for file in img_file_paths]
        rows: list[list[float]] = self._vectors.of_pictures(files).tolist()
        return rows

    def _get_image_embedding(self, img_file_path: ImageType) -> list[float]:
        return self._get_image_embeddings([img_file_path])[0]

    async def _aget_image_embeddings(self, img_file_paths: list[ImageType]) -> list[list[float]]:
        return await asyncio.to_thread(self._get_image_embeddings, img_file_paths)

    async def _aget_image_embedding(self, img_file_path: ImageType) -> list[float]:
        return await asyncio.to_thread(self._get_image_embedding, img_file_path)

    async def _aget_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        return await asyncio.to_thread(self._get_text_embeddings, texts)

    async def _aget_text_embedding(self, text: str) -> list[float]:
        return await asyncio.to_thread(self._get_text_embedding, text)

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return await asyncio.to_thread(self._get_query_embedding, query)


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


class NodeVectors:
    """An `Embedder` that takes the vectors nodes bring along, and asks another embedder where they bring none.

    Args:
        embedder: the one the nodes' embeddings are of, for questions and other pages.
    """

    stored = True

    def __init__(self, embedder: Embedder) -> None:
        self.embedder = embedder
        self.name: str = embedder.name
        self.revision: str = embedder.revision
        self.metric: Metric = embedder.metric
        self._brought: dict[str, Vectors] = {}

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return self.embedder.dim

    @contextmanager
    def bringing(self, embeddings: Mapping[str, Sequence[float]]) -> Iterator[None]:
        """Within it, pages with these ids have these vectors.

        Raises:
            QueryError: a vector of another length than the embedder's.
        """
        brought = {page_id: np.asarray(values, dtype=np.float32)[None] for page_id, values in embeddings.items()}
        for page_id, vectors in brought.items():
            if vectors.shape != (1, self.dim):
                raise QueryError(
                    f"the embedding of node {page_id} has {vectors.shape[1]} numbers; {self.name} makes {self.dim}: "
                    "give the store the embedder that made it"
                )
        self._brought |= brought
        try:
            yield
        finally:
            for page_id in brought:
                self._brought.pop(page_id, None)

    def embed_pages(self, pages: Sequence[Page]) -> list[Vectors]:
        """One float32 array [n, dim] per page."""
        brought = [self._brought.get(page.id) for page in pages]
        made = iter(self.embedder.embed_pages([page for page, v in zip(pages, brought, strict=True) if v is None]))
        return [next(made) if vectors is None else vectors for vectors in brought]

    def embed_query(self, text: str) -> Vectors:
        """What the embedder says."""
        return self.embedder.embed_query(text)
