"""`GlyphRetriever` and `tag_pages`: pages on their way into a prompt."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForRetrieverRun, CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.runnables import RunnableLambda
from langchain_core.vectorstores import VectorStoreRetriever

from ..index.page_index import Mode
from ..reading import REGISTRY
from ..rendering import Renderer
from .page_documents import pages_of, tagged
from .vector_store import GlyphVectorStore


class GlyphRetriever(VectorStoreRetriever):
    """Retrieves pages, from a `GlyphVectorStore` or any vector store that page Documents were added to.

    Every page it hands out is registered in this process, so that `ChatGlyph` knows its tag again. A plain Document is
    handed out as pages of its own.

    Example:
        ``{"context": store.as_retriever(k=5) | format_docs, "question": RunnablePassthrough()} | prompt | ChatGlyph(llm=...)``
    """

    k: int | None = None
    """How many Documents; None: the store's own default (4)."""
    filter: dict[str, Any] | None = None
    """Conditions on metadata, as the store takes them; see `PageIndex.search`."""
    mode: Mode | None = None
    """``hybrid | dense | lexical``, for a `GlyphVectorStore`."""
    score_threshold: float | None = None
    """Least relevance, 0 to 1, of a Document."""
    page_tags: bool = True
    """Whether the content is ``<page n="57" source="..." id="...">text</page>``, which any prompt template carries along and a
    text model reads as it is. The raw text is then in the metadata, as ``glyph_text``. False: the raw text, for a reranker; put
    `tag_pages` after it."""

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
            found = await self.vectorstore.asimilarity_search_with_relevance_scores(query, **options)
            return self._handed_out([document for document, _ in found])
        return self._handed_out(await super()._aget_relevant_documents(query, run_manager=run_manager, **options))

    def _options(self, given: dict[str, Any]) -> dict[str, Any]:
        own = {"k": self.k, "filter": self.filter, "mode": self.mode, "score_threshold": self.score_threshold}
        return {key: value for key, value in own.items() if value is not None} | self.search_kwargs | given

    def _handed_out(self, documents: list[Document]) -> list[Document]:
        if self.page_tags:
            renderer = self.vectorstore.renderer if isinstance(self.vectorstore, GlyphVectorStore) else _renderer()
            return _tagged(documents, renderer)
        REGISTRY.register(page for page in pages_of(documents) if page)
        return documents


def _tagged(documents: Sequence[Document], renderer: Renderer) -> list[Document]:
    out = []
    for document, page in zip(documents, pages_of(documents), strict=True):
        document, pages = tagged(document, page, renderer)
        REGISTRY.register(pages)
        out.append(document)
    return out


def _tag(documents: Sequence[Document]) -> list[Document]:
    return _tagged(documents, _renderer())


@cache
def _renderer() -> Renderer:
    return Renderer()


tag_pages: RunnableLambda[Sequence[Document], list[Document]] = RunnableLambda(_tag, name="tag_pages")
"""Documents to the same Documents, tagged and registered as `GlyphRetriever` does it: for use after a reranker, or after any
retriever. Documents that are tagged already stay as they are."""
