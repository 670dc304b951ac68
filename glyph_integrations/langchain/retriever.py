"""`GlyphRetriever` and `tag_pages`: pages on their way into a prompt."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any, Self

from langchain_core.callbacks import AsyncCallbackManagerForRetrieverRun, CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.retrievers import LangSmithRetrieverParams
from langchain_core.runnables import RunnableLambda, run_in_executor
from langchain_core.vectorstores import VectorStoreRetriever
from pydantic import model_validator

from ..embedding import embed_picture
from ..errors import QueryError
from ..index import Mode
from ..reading import REGISTRY
from ..reading.placement import default_renderer
from ..rendering import Renderer
from .page_documents import pages_of, tagged
from .vector_store import GlyphVectorStore

if TYPE_CHECKING:
    from PIL import Image


class GlyphRetriever(VectorStoreRetriever):
    """Retrieves pages, from a `GlyphVectorStore` or any vector store that page Documents were added to.

    Every page it hands out is registered in this process, so that `ChatGlyph` knows its tag again. A plain Document is
    handed out as pages of its own. ``search_type`` and ``search_kwargs`` are those of LangChain: ``similarity`` (default),
    ``mmr`` (with ``fetch_k`` and ``lambda_mult``) and ``similarity_score_threshold``.

    Raises:
        ValueError: ``mode`` with another store than a `GlyphVectorStore`, or a threshold with ``mmr``, which has no scores
            (pydantic's ValidationError).

    Example:
        ``{"context": store.as_retriever(k=5) | format_docs, "question": RunnablePassthrough()} | prompt | ChatGlyph(llm=...)``
    """

    k: int | None = None
    """How many Documents; None: the store's own default (4)."""
    filter: Any = None
    """Conditions on metadata, as the store takes them; for a `GlyphVectorStore` see `PageIndex.search`."""
    mode: Mode | None = None
    """``hybrid | dense | lexical``, for a `GlyphVectorStore`."""
    score_threshold: float | None = None
    """Least relevance, 0 to 1, of a Document."""
    page_tags: bool = True
    """Whether the content is ``<page n="57" source="..." id="...">text</page>``, which any prompt template carries along and a
    text model reads as it is. The raw text is then in the metadata, as ``glyph_text``. False: the raw text, for a reranker; put
    `tag_pages` after it."""

    @model_validator(mode="before")
    @classmethod
    def _threshold_as_asked(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Let the field stand for the entry of ``search_kwargs`` that LangChain asks for."""
        threshold = values.get("score_threshold")
        if threshold is not None and values.get("search_type") == "similarity_score_threshold":
            values = {**values, "search_kwargs": {"score_threshold": float(threshold), **values.get("search_kwargs", {})}}
        return values

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.mode is not None and not isinstance(self.vectorstore, GlyphVectorStore):
            raise ValueError(
                f"mode={self.mode!r} is for a GlyphVectorStore; {type(self.vectorstore).__name__} has its own ways"
            )
        if self.score_threshold is not None and self.search_type == "mmr":
            raise ValueError("score_threshold goes with a similarity search; mmr has no scores")
        return self

    def _get_ls_params(self, **kwargs: Any) -> LangSmithRetrieverParams:
        params = super()._get_ls_params(**kwargs)
        store = self.vectorstore
        if isinstance(store, GlyphVectorStore):
            embedder = store.index.embedder
            params["ls_embedding_provider"] = type(store.embeddings or embedder).__name__
            params["ls_embedding_model"] = embedder.name
        return params

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun, **kwargs: Any
    ) -> list[Document]:
        options = self._options(kwargs)
        if "score_threshold" in options:
            found = self.vectorstore.similarity_search_with_relevance_scores(query, **options)
            return self._handed_out([document for document, _ in found])
        return self._handed_out(super()._get_relevant_documents(query, run_manager=run_manager, **options))

    async def _aget_relevant_documents(
        self, query: str, *, run_manager: AsyncCallbackManagerForRetrieverRun, **kwargs: Any
    ) -> list[Document]:
        options = self._options(kwargs)
        if "score_threshold" in options:
            scored = await self.vectorstore.asimilarity_search_with_relevance_scores(query, **options)
            found = [document for document, _ in scored]
        else:
            found = await super()._aget_relevant_documents(query, run_manager=run_manager, **options)
        return await run_in_executor(None, self._handed_out, found)  # plain Documents are laid out

    def retrieve_image(self, image: Image.Image | str | PathLike[str] | bytes, **kwargs: Any) -> list[Document]:
        """The pages that look like a picture (a PIL image, a file of one, or its bytes), for a `GlyphVectorStore` with a
        `VisualEmbedder`. Keywords are ``k`` and ``filter``.

        Raises:
            QueryError: the store is another or embeds text, or there is nothing on the picture.
            DocumentError: the file cannot be read, or is no picture.
        """
        store = self.vectorstore
        if not isinstance(store, GlyphVectorStore):
            raise QueryError(f"{type(store).__name__} takes no pictures; use a GlyphVectorStore with a VisualEmbedder")
        vectors: Any = embed_picture(store.index.embedder, image)
        options = {key: value for key, value in self._options(kwargs).items() if key in ("k", "filter")}
        return self._handed_out(store.similarity_search_by_vector(vectors, **options))

    async def aretrieve_image(self, image: Image.Image | str | PathLike[str] | bytes, **kwargs: Any) -> list[Document]:
        """`retrieve_image` in a thread."""
        return await run_in_executor(None, self.retrieve_image, image, **kwargs)

    def _options(self, given: dict[str, Any]) -> dict[str, Any]:
        own = {"k": self.k, "filter": self.filter, "mode": self.mode, "score_threshold": self.score_threshold}
        return {key: value for key, value in own.items() if value is not None} | self.search_kwargs | given

    def _handed_out(self, documents: list[Document]) -> list[Document]:
        if self.page_tags:
            return tag_documents(
                documents, self.vectorstore.renderer if isinstance(self.vectorstore, GlyphVectorStore) else None
            )
        REGISTRY.register(page for page in pages_of(documents) if page)
        return documents


def tag_documents(documents: Sequence[Document], renderer: Renderer | None = None) -> list[Document]:
    """The Documents with their pages as tags; the pages are registered. ``renderer`` makes pages of plain ones."""
    out = []
    for document, page in zip(documents, pages_of(documents), strict=True):
        document, pages = tagged(document, page, renderer or default_renderer())
        REGISTRY.register(pages)
        out.append(document)
    return out


def _tag(documents: Sequence[Document]) -> list[Document]:
    return tag_documents(documents)


tag_pages: RunnableLambda[Sequence[Document], list[Document]] = RunnableLambda(_tag, name="tag_pages")
"""Documents to the same Documents, tagged and registered as `GlyphRetriever` does it: for use after a reranker, or after any
retriever. Documents that are tagged already stay as they are."""
