"""`GlyphRetriever`: pages for a question, from our store or from any other that holds them."""

from __future__ import annotations

import asyncio
from os import PathLike
from typing import TYPE_CHECKING, Any

from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.schema import NodeWithScore, QueryBundle
from llama_index.core.vector_stores.types import (
    MetadataFilters,
    VectorStoreQuery,
    VectorStoreQueryMode,
    VectorStoreQueryResult,
)

from ..embedding import embed_picture
from ..errors import QueryError
from ..index import PageIndex
from ..reading import REGISTRY
from .page_nodes import pages_in
from .vector_store import GlyphVectorStore

if TYPE_CHECKING:
    from PIL import Image


class GlyphRetriever(BaseRetriever):
    """Retrieves page nodes, with relevance (0 to 1) as their score, and registers their pages, so that a model adapter of this
    process that meets one knows it.

    Args:
        pages: a `GlyphVectorStore` or `PageIndex`; or any LlamaIndex retriever whose nodes hold pages, such as one over
            a Qdrant collection that page nodes were written to; its nodes come back as they are.
        similarity_top_k: how many nodes; a wrapped retriever has its own number.
        filters: conditions on metadata; likewise.
        mode: see `GlyphVectorStore.query`; likewise.
        alpha: weight of the vectors in hybrid modes, 0 to 1; likewise.
        kwargs: those of `BaseRetriever`.

    Raises:
        TypeError: ``pages`` is none of these.
    """

    def __init__(
        self,
        pages: GlyphVectorStore | PageIndex | BaseRetriever,
        similarity_top_k: int = 5,
        filters: MetadataFilters | None = None,
        mode: VectorStoreQueryMode | str = VectorStoreQueryMode.DEFAULT,
        alpha: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if isinstance(pages, PageIndex):
            pages = GlyphVectorStore(pages)
        if not isinstance(pages, GlyphVectorStore | BaseRetriever):
            raise TypeError(f"{type(pages).__name__}: pass a GlyphVectorStore, a PageIndex or a LlamaIndex retriever")
        self._pages = pages
        self.similarity_top_k = similarity_top_k
        self.filters = filters
        self.mode = VectorStoreQueryMode(mode)
        self.alpha = alpha

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        if isinstance(self._pages, BaseRetriever):
            return _registered(self._pages.retrieve(query_bundle))
        return _scored(self._pages.query(self._query(query_bundle)))

    async def _aretrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        if isinstance(self._pages, BaseRetriever):
            return _registered(await self._pages.aretrieve(query_bundle))
        return _scored(await self._pages.aquery(self._query(query_bundle)))

    def retrieve_image(self, image: Image.Image | str | PathLike[str] | bytes) -> list[NodeWithScore]:
        """The pages that look like a picture (a PIL image, a file of one, or its bytes), for a store with a `VisualEmbedder`.

        Raises:
            QueryError: the store's embedder embeds text, this wraps another retriever, or there is nothing on the picture.
            DocumentError: the file cannot be read, or is no picture.
        """
        if isinstance(self._pages, BaseRetriever):
            raise QueryError(f"{type(self._pages).__name__} takes no pictures; make the retriever of a GlyphVectorStore")
        vectors: Any = embed_picture(self._pages.client.embedder, image)
        query = VectorStoreQuery(query_embedding=vectors, similarity_top_k=self.similarity_top_k, filters=self.filters)
        return _scored(self._pages.query(query))

    async def aretrieve_image(self, image: Image.Image | str | PathLike[str] | bytes) -> list[NodeWithScore]:
        """`retrieve_image` in a thread."""
        return await asyncio.to_thread(self.retrieve_image, image)

    def _query(self, query_bundle: QueryBundle) -> VectorStoreQuery:
        return VectorStoreQuery(
            query_str=query_bundle.query_str, similarity_top_k=self.similarity_top_k, filters=self.filters, mode=self.mode,
            alpha=self.alpha,
        )  # fmt: skip


def _scored(result: VectorStoreQueryResult) -> list[NodeWithScore]:
    nodes, scores = result.nodes or [], result.similarities or []
    return [NodeWithScore(node=node, score=score) for node, score in zip(nodes, scores, strict=True)]


def _registered(nodes: list[NodeWithScore]) -> list[NodeWithScore]:
    REGISTRY.register(page for page in pages_in(n.node for n in nodes) if page is not None)
    return nodes
