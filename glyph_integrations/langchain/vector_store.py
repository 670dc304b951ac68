"""`GlyphVectorStore`: the page index as a LangChain vector store."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.runnables import run_in_executor
from langchain_core.vectorstores import VectorStore

from ..embedding import Embedder
from ..embedding.text import TextEmbedder
from ..embedding.wordless import tell_wordless
from ..index import Mode, PageIndex, Precision
from ..page import Page, PageHit
from ..rendering import Renderer
from .page_documents import document_id, page_document, pages_of, paginate_plain, plain_source

if TYPE_CHECKING:
    from .retriever import GlyphRetriever

_ID = "langchain_id"  # metadata of a page whose Document has another id than the page


class GlyphVectorStore(VectorStore):
    """Pages and plain Documents, found by BM25, by vectors, or both.

    Page Documents (of `GlyphLoader`, `PageSplitter` or any store) are kept as their pages. Any other Document is kept as pages
    of its own, so that it can be drawn as well; it comes back as it was. One longer than a page comes back whole by its id, and
    from a search as the page that matched. A page Document whose text was edited or split counts as plain, with a warning.

    Ids: the caller's win; else a page Document has its page's id, and a plain one an id made from its content. One page is one
    entry: added again under another id, it answers to the newer. Adding an id again replaces what it named.

    Args:
        embedding: LangChain ``Embeddings`` or an `Embedder`; None: `LexicalEmbedder`, which needs no model.
        path: folder of the index; None: in memory.
        index: an open index, instead of ``embedding``, ``path`` and ``precision``.
        renderer: makes the pages of plain Documents (default ``Renderer()``).
        precision: how a new index keeps vectors, ``fp16``, ``int8`` or ``bits``; see `PageIndex.open`.

    Raises:
        IndexMismatchError, IndexCorruptError: see `PageIndex.open`.

    Example:
        ``store = GlyphVectorStore.from_documents(GlyphLoader("book.txt").load())``
    """

    def __init__(
        self,
        embedding: Embedder | Embeddings | None = None,
        *,
        path: str | os.PathLike[str] | None = None,
        index: PageIndex | None = None,
        renderer: Renderer | None = None,
        precision: Precision | None = None,
    ) -> None:
        if index is not None and (embedding is not None or path is not None or precision is not None):
            raise ValueError("pass either index=, or embedding=, path= and precision=, not both")
        self._embeddings = embedding if isinstance(embedding, Embeddings) else None
        embedder = TextEmbedder(embedding) if isinstance(embedding, Embeddings) else embedding
        self.index = index if index is not None else PageIndex.open(path, embedder, precision=precision)
        self.renderer = renderer or Renderer()

    @property
    def embeddings(self) -> Embeddings | None:
        """The LangChain embeddings it was made with, if any."""
        return self._embeddings

    @classmethod
    def from_documents(
        cls, documents: list[Document], embedding: Embedder | Embeddings | None = None, **kwargs: Any
    ) -> GlyphVectorStore:
        """A store with these Documents. ``ids`` goes to `add_documents`, other keywords to the constructor."""
        ids = kwargs.pop("ids", None)
        store = cls(embedding, **kwargs)
        store.add_documents(documents, ids=ids)
        return store

    @classmethod
    async def afrom_documents(
        cls, documents: list[Document], embedding: Embedder | Embeddings | None = None, **kwargs: Any
    ) -> GlyphVectorStore:
        """`from_documents` in a thread."""
        return await run_in_executor(None, cls.from_documents, documents, embedding, **kwargs)

    @classmethod
    def from_texts(
        cls,
        texts: list[str],
        embedding: Embedder | Embeddings | None = None,
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: list[str] | None = None,
        **kwargs: Any,
    ) -> GlyphVectorStore:
        """A store with these texts; other keywords go to the constructor."""
        store = cls(embedding, **kwargs)
        store.add_texts(texts, metadatas, ids=ids)
        return store

    @classmethod
    async def afrom_texts(
        cls,
        texts: list[str],
        embedding: Embedder | Embeddings | None = None,
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: list[str] | None = None,
        **kwargs: Any,
    ) -> GlyphVectorStore:
        """`from_texts` in a thread."""
        return await run_in_executor(None, cls.from_texts, texts, embedding, metadatas, ids=ids, **kwargs)

    # -- writing --------------------------------------------------------------------------------------------------------

    def add_texts(
        self,
        texts: Iterable[str],
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: list[str] | None = None,
        **kwargs: Any,
    ) -> list[str]:
        """Add texts with their metadata; see `add_documents`.

        Raises:
            ValueError: another number of metadatas or ids than texts.
        """
        texts = list(texts)
        if metadatas and len(metadatas) != len(texts):
            raise ValueError(f"{len(texts)} texts came with {len(metadatas)} metadatas; give one for each")
        documents = [Document(text, metadata=m) for text, m in zip(texts, metadatas or [{}] * len(texts), strict=True)]
        return self.add_documents(documents, ids=ids)

    def add_documents(self, documents: list[Document], *, ids: Sequence[str | None] | None = None, **kwargs: Any) -> list[str]:
        """Add Documents, replacing those with the same id; returns their ids in order. Unknown keywords are ignored.

        Raises:
            ValueError: another number of ids than Documents.
            PageFormatError: metadata that JSON cannot hold. Nothing of that batch is written.
            IndexLockedError: another process is writing.
        """
        documents = list(documents)
        if ids is not None and len(ids) != len(documents):
            raise ValueError(f"{len(documents)} Documents came with {len(ids)} ids; give one for each")
        named: list[str] = []
        entries: dict[str, list[Page]] = {}
        unsure: set[str] = set()  # ids that may name something else already
        for i, (document, page) in enumerate(zip(documents, pages_of(documents), strict=True)):
            given = (ids[i] if ids else None) or document.id
            name = given or (page.id if page else document_id(document))
            named.append(name)
            if page is None:
                pages = paginate_plain(document, name, self.renderer)
                entries[name] = [pages[0].with_metadata(**{_ID: name})] if len(pages) == 1 else pages
            else:
                entries[name] = [page if page.id == name else page.with_metadata(**{_ID: name})]
            if given and not (page and page.id == given):
                unsure.add(name)
        new = [page for pages in entries.values() for page in pages]
        kept = {page.id for page in new}
        old = [page.id for pages in self._named(unsure).values() for page in pages if page.id not in kept]
        tell_wordless(new, self.index.embedder)
        self.index.add(new)
        if old:
            self.index.delete(old)
        return named

    def delete(self, ids: list[str] | None = None, *, filter: Mapping[str, Any] | None = None, **kwargs: Any) -> bool:
        """Delete the Documents with these ids (None: all), of them those that match a filter if given; ids that are not there
        are ignored."""
        if ids is None:
            self.index.delete(filter=filter or {})
        else:
            self.index.delete([page.id for pages in self._named(ids).values() for page in pages], filter=filter)
        return True

    # -- reading --------------------------------------------------------------------------------------------------------

    def get_by_ids(self, ids: Sequence[str], /) -> list[Document]:
        """The Documents with these ids, in that order; ids that are not there are skipped."""
        documents = []
        for name, pages in self._named(ids).items():
            document = _document(pages[0])
            if len(pages) > 1:  # a plain Document of several pages
                document = Document("".join(page.text for page in pages), metadata=dict(pages[0].metadata))
            documents.append(document.model_copy(update={"id": name}))
        return documents

    def similarity_search(
        self, query: str, k: int = 4, *, filter: Mapping[str, Any] | None = None, mode: Mode = "hybrid",
        weight: float | None = None, **kwargs: Any,
    ) -> list[Document]:  # fmt: skip
        """The best ``k`` Documents, best first. ``filter``, ``mode`` and ``weight`` are those of `PageIndex.search`; unknown
        keywords are ignored."""
        return [_document(hit.page) for hit in self.index.search(query, k, filter, mode, weight)]

    def similarity_search_with_score(
        self, query: str, k: int = 4, *, filter: Mapping[str, Any] | None = None, mode: Mode = "hybrid",
        weight: float | None = None, **kwargs: Any,
    ) -> list[tuple[Document, float]]:  # fmt: skip
        """`similarity_search` with scores; higher is better. They order the results of one search, no more: for a threshold
        there is `similarity_search_with_relevance_scores`."""
        return [(_document(hit.page), hit.score) for hit in self.index.search(query, k, filter, mode, weight)]

    def similarity_search_by_vector(
        self, embedding: list[float], k: int = 4, *, filter: Mapping[str, Any] | None = None, **kwargs: Any
    ) -> list[Document]:
        """The ``k`` Documents whose vectors are nearest to this one.

        Raises:
            QueryError: a vector of another length than the embedder's.
        """
        return [_document(hit.page) for hit in self.index.search(np.asarray(embedding, dtype=np.float32), k, filter)]

    def max_marginal_relevance_search(
        self,
        query: str,
        k: int = 4,
        fetch_k: int = 20,
        lambda_mult: float = 0.5,
        *,
        filter: Mapping[str, Any] | None = None,
        mode: Mode = "hybrid",
        weight: float | None = None,
        **kwargs: Any,
    ) -> list[Document]:
        """``k`` of the best ``fetch_k`` Documents, chosen to be near the question and unlike each other; ``lambda_mult`` is
        from 0 (most different) to 1 (nearest). See `PageIndex.diverse`."""
        return [_document(hit.page) for hit in self.index.diverse(query, k, fetch_k, lambda_mult, filter, mode, weight)]

    def max_marginal_relevance_search_by_vector(
        self,
        embedding: list[float],
        k: int = 4,
        fetch_k: int = 20,
        lambda_mult: float = 0.5,
        *,
        filter: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> list[Document]:
        """`max_marginal_relevance_search` for a vector instead of a question.

        Raises:
            QueryError: a vector of another length than the embedder's.
        """
        vector = np.asarray(embedding, dtype=np.float32)
        return [_document(hit.page) for hit in self.index.diverse(vector, k, fetch_k, lambda_mult, filter)]

    async def amax_marginal_relevance_search_by_vector(
        self, embedding: list[float], k: int = 4, fetch_k: int = 20, lambda_mult: float = 0.5, **kwargs: Any
    ) -> list[Document]:
        """`max_marginal_relevance_search_by_vector` in a thread."""
        search = self.max_marginal_relevance_search_by_vector
        return await run_in_executor(None, search, embedding, k, fetch_k, lambda_mult, **kwargs)

    def _similarity_search_with_relevance_scores(
        self, query: str, k: int = 4, *, filter: Mapping[str, Any] | None = None, mode: Mode = "hybrid",
        weight: float | None = None, **kwargs: Any,
    ) -> list[tuple[Document, float]]:  # fmt: skip
        hits: list[PageHit] = self.index.search(query, k, filter, mode, weight)
        return [(_document(hit.page), hit.relevance) for hit in hits]

    async def _asimilarity_search_with_relevance_scores(
        self, query: str, k: int = 4, **kwargs: Any
    ) -> list[tuple[Document, float]]:
        return await run_in_executor(None, self._similarity_search_with_relevance_scores, query, k, **kwargs)

    def as_retriever(self, **kwargs: Any) -> GlyphRetriever:
        """A `GlyphRetriever` over this store; keywords are its fields."""
        from .retriever import GlyphRetriever

        tags = kwargs.pop("tags", None) or self._get_retriever_tags()
        return GlyphRetriever(vectorstore=self, tags=tags, **kwargs)

    def _named(self, names: Iterable[str]) -> dict[str, list[Page]]:
        """The pages that each of these ids names, for those that name any, in the order given."""
        names = list(dict.fromkeys(names))
        found = {page.id: [page] for page in self.index.get(names)}
        for name in names:
            if name not in found and (pages := list(self.index.pages(plain_source(name)))):
                found[name] = sorted(pages, key=lambda page: page.start)
        rest = [name for name in names if name not in found]
        if rest:
            named = {_ID: {"$exists": True, "$in": rest}}  # there may be no page with such an id
            found |= {str(page.metadata[_ID]): [page] for page in self.index.pages(filter=named)}
        return {name: found[name] for name in names if name in found}


def _document(page: Page) -> Document:
    name = page.metadata.get(_ID)
    document = page_document(page)
    if name is not None:
        metadata = dict(page.metadata if page.source == plain_source(str(name)) else document.metadata)
        del metadata[_ID]
        document = Document(page.text, id=str(name), metadata=metadata)
    return document
