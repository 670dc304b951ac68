"""`GlyphVectorStore`: a `PageIndex` as a LlamaIndex vector store."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from llama_index.core.bridge.pydantic import Field, PrivateAttr
from llama_index.core.embeddings import BaseEmbedding
from llama_index.core.readers.file.base import is_default_fs
from llama_index.core.schema import BaseNode, ImageNode, NodeRelationship, RelatedNodeInfo, TextNode
from llama_index.core.vector_stores.simple import DEFAULT_VECTOR_STORE, NAMESPACE_SEP
from llama_index.core.vector_stores.types import (
    DEFAULT_PERSIST_DIR,
    DEFAULT_PERSIST_FNAME,
    BasePydanticVectorStore,
    MetadataFilters,
    VectorStoreQuery,
    VectorStoreQueryMode,
    VectorStoreQueryResult,
)
from llama_index.core.vector_stores.utils import metadata_dict_to_node, node_to_metadata_dict

from ..embedding import Embedder, TextEmbedder
from ..embedding.wordless import tell_wordless
from ..errors import IndexMismatchError, QueryError
from ..index import Mode, PageIndex, Precision, copy_index
from ..page import Page
from ..reading import REGISTRY
from .embedding import NodeVectors, StandInEmbedding
from .filters import REF_DOC_ID, page_filter
from .node_parser import shared_renderer
from .page_nodes import as_pages, page_node, plain_source

_MODES: dict[VectorStoreQueryMode, Mode] = {
    VectorStoreQueryMode.DEFAULT: "hybrid",
    VectorStoreQueryMode.HYBRID: "hybrid",
    VectorStoreQueryMode.SEMANTIC_HYBRID: "hybrid",
    VectorStoreQueryMode.TEXT_SEARCH: "lexical",
    VectorStoreQueryMode.SPARSE: "lexical",
    VectorStoreQueryMode.MMR: "hybrid",
}
_WEIGHED: dict[float | None, Mode] = {0.0: "lexical", 1.0: "dense"}  # the two values of ``alpha`` that name a leg
_NODE_ID = "_node_id"  # metadata of a row: the id its node goes by, where that is not the page's own
_OURS = {_NODE_ID, REF_DOC_ID, "_node_content", "_node_type"}


class GlyphVectorStore(BasePydanticVectorStore):
    """Holds nodes as pages, and finds them. It embeds pages and questions itself, so no embedding model is needed:
    pass `embed_model`, a stand-in, wherever LlamaIndex insists on one. (An ``IngestionPipeline`` insists without saying so: it
    stores no node unless the last of its transformations embeds.) Embeddings that nodes bring are not used, unless
    ``use_embeddings`` says so.

    A node that is not a page, or whose text was edited, is kept as the pages its text fills; when it fills several, each
    comes back as a node with ``PARENT`` pointing to the one, and the node's id still names (gets, deletes) them all. An image
    on a node that is not a page is kept; such a node comes back as an ``ImageNode``.

    Args:
        index: the pages; None: the index in the folder ``path``, or one in memory.
        path: see ``index``.
        embedder: of an index opened here: an `Embedder`, or a LlamaIndex ``BaseEmbedding``, which embeds pages by windows (see
            `TextEmbedder`). Default `LexicalEmbedder`.
        use_embeddings: take the embedding of a node that fills one page for its vector; ``embedder``, which must be the model
            that made it, embeds the questions, and nodes that bring none.
        precision: how an index made here keeps vectors, ``fp16``, ``int8`` or ``bits``; see `PageIndex.open`.
        style: how plain nodes are laid out, as a preset or short string.

    Raises:
        IndexMismatchError: the index in ``path`` was made by another embedder.
        ValueError: ``use_embeddings`` without ``embedder``.

    Example:
        ``VectorStoreIndex.from_vector_store(store, embed_model=store.embed_model).as_retriever()``
    """

    stores_text: bool = True
    is_embedding_query: bool = False
    path: str | None = Field(default=None, description="Folder of the index; None: in memory.")
    style: str = Field(default="glyph-72", description="Layout of nodes that are not pages.")
    _index: PageIndex = PrivateAttr()

    def __init__(
        self,
        index: PageIndex | None = None,
        path: str | os.PathLike[str] | None = None,
        embedder: Embedder | BaseEmbedding | None = None,
        use_embeddings: bool = False,
        precision: Precision | None = None,
        **kwargs: Any,
    ) -> None:
        if isinstance(embedder, BaseEmbedding):
            embedder = TextEmbedder(embedder)
        if use_embeddings:
            if embedder is None:
                raise ValueError("use_embeddings needs embedder=, the model that made the embeddings of the nodes")
            embedder = NodeVectors(embedder)
        index = index if index is not None else PageIndex.open(path, embedder, precision=precision)
        if not isinstance(index, PageIndex):
            raise TypeError(f"GlyphVectorStore(index=...): expected a PageIndex, not {type(index).__name__}; a folder is path=")
        super().__init__(**{**kwargs, "path": None if index.path is None else str(index.path)})
        self._index = index

    @classmethod
    def class_name(cls) -> str:
        """Name in serialised form."""
        return "GlyphVectorStore"

    @property
    def client(self) -> PageIndex:
        """The index."""
        return self._index

    @property
    def embed_model(self) -> StandInEmbedding:
        """What to pass as ``embed_model`` (`VectorStoreIndex`) or as last transformation (`IngestionPipeline`)."""
        return StandInEmbedding()

    # -- writing --------------------------------------------------------------------------------------------------------

    def add(self, nodes: Sequence[BaseNode], **kwargs: Any) -> list[str]:
        """Store nodes, replacing those with the same id; returns their ids, in order.

        Raises:
            QueryError: ``use_embeddings``, and an embedding has another length than the embedder's vectors.
            PageFormatError: metadata that JSON cannot hold. Nothing of that batch is written.
            IndexLockedError: another process is writing.
        """
        latest = {node.node_id: node for node in nodes}
        rows: list[Page] = []
        embeddings: dict[str, list[float]] = {}
        for node, pages in zip(latest.values(), as_pages(latest.values(), shared_renderer(self.style)), strict=True):
            rows += _rows(node, pages)
            if node.embedding is not None and len(pages) == 1:
                embeddings[pages[0].id] = node.embedding
        kept = {row.id for row in rows}
        # a page under its own id is replaced by that id; only an edited text may have been kept under another
        replaced = [page.id for page in self._rows_of(latest, searched=set(latest) - kept) if page.id not in kept]
        embedder = self._index.embedder
        if not isinstance(embedder, NodeVectors):
            tell_wordless(rows, embedder)
        with embedder.bringing(embeddings) if isinstance(embedder, NodeVectors) else nullcontext():
            self._index.add(rows)
        if replaced:
            self._index.delete(replaced)
        return [node.node_id for node in nodes]

    def delete(self, ref_doc_id: str, **delete_kwargs: Any) -> None:
        """Delete all nodes of a document."""
        self._index.delete(filter=page_filter(None, doc_ids=[ref_doc_id]))

    def delete_nodes(
        self, node_ids: list[str] | None = None, filters: MetadataFilters | None = None, **delete_kwargs: Any
    ) -> None:
        """Delete the nodes with these ids and matching these filters, of which at least one must be given."""
        chosen = self._filter(filters, node_ids)
        if chosen is None:
            raise QueryError("delete_nodes needs node_ids or filters; to delete everything, call clear()")
        self._index.delete(filter=chosen)

    def clear(self) -> None:
        """Delete everything."""
        self._index.delete(filter={})

    # -- reading --------------------------------------------------------------------------------------------------------

    def get_nodes(self, node_ids: list[str] | None = None, filters: MetadataFilters | None = None) -> list[BaseNode]:
        """The nodes with these ids and matching these filters; all nodes when neither is given."""
        return [_node(page) for page in self._index.pages(filter=self._filter(filters, node_ids))]

    def query(self, query: VectorStoreQuery, **kwargs: Any) -> VectorStoreQueryResult:
        """The best ``similarity_top_k`` pages, best first; similarities are relevance, 0 to 1.

        ``DEFAULT``, ``HYBRID`` and ``SEMANTIC_HYBRID`` are the index's ``hybrid`` search, ``TEXT_SEARCH`` and ``SPARSE`` its
        ``lexical`` one. ``MMR`` chooses, among the best, pages unlike each other: ``mmr_threshold`` is from 0 (most different)
        to 1 (nearest; default 0.5), and as many as the keyword ``mmr_prefetch_k`` says, or ``mmr_prefetch_factor`` times the
        pages asked for (default 4 times, at least 20), are chosen from. In each of these the keyword ``mode`` (``hybrid``,
        ``dense`` or ``lexical``) says how pages are searched, and so do ``alpha=1`` (dense) and ``alpha=0`` (lexical); between
        them it is the weight of the vectors (None: the index's own). ``hybrid_top_k`` is how many pages ``HYBRID`` returns,
        where given. A query without text searches with its embedding.

        Raises:
            QueryError: another mode, a filter that `page_filter` refuses or on a field that no page has, neither text nor
                embedding, k below 1, an ``alpha`` or ``mmr_threshold`` beyond 0 to 1.
        """
        mode = kwargs.get("mode") or _WEIGHED.get(query.alpha) or _MODES.get(query.mode)
        if mode is None:
            known = ", ".join(m.value for m in _MODES)
            raise QueryError(f"query mode {query.mode.value!r} is not supported; choose one of {known}")
        asked: Any = query.query_str
        if asked is None:
            if query.query_embedding is None:
                raise QueryError("a query needs query_str or query_embedding")
            asked = np.asarray(query.query_embedding, dtype=np.float32)
        chosen = self._filter(query.filters, query.node_ids or None, query.doc_ids or None)
        k = query.similarity_top_k
        if query.mode == VectorStoreQueryMode.MMR:
            nearness = query.mmr_threshold if query.mmr_threshold is not None else kwargs.get("mmr_threshold", 0.5)
            fetch_k = kwargs.get("mmr_prefetch_k") or max(20, round(k * kwargs.get("mmr_prefetch_factor", 4)))
            hits = self._index.diverse(asked, k, fetch_k, nearness, chosen, mode, query.alpha)
        else:
            k = query.hybrid_top_k or k if query.mode == VectorStoreQueryMode.HYBRID else k
            hits = self._index.search(asked, k, chosen, mode, query.alpha)
        nodes = [_node(hit.page) for hit in hits]
        REGISTRY.register(_plain(hit.page) for hit in hits)
        return VectorStoreQueryResult(nodes, [hit.relevance for hit in hits], [node.node_id for node in nodes])

    def _filter(
        self, filters: MetadataFilters | None, node_ids: Sequence[str] | None = None, doc_ids: Sequence[str] | None = None
    ) -> dict[str, Any] | None:
        ids = None if node_ids is None else [page.id for page in self._rows_of(node_ids)]
        return page_filter(filters, ids, doc_ids)

    def _rows_of(self, node_ids: Iterable[str], searched: set[str] | None = None) -> list[Page]:
        """The rows that these node ids name. Ids that are neither a page's nor a plain node's are looked for in metadata, if
        they are in ``searched`` (None: all are)."""
        node_ids = list(dict.fromkeys(node_ids))
        found = self._index.get(node_ids)
        found += [page for name in node_ids for page in self._index.pages(plain_source(name))]
        named = {page.id for page in found} | {page.source.removeprefix("/") for page in found}
        rest = [name for name in node_ids if name not in named and (searched is None or name in searched)]
        if rest:
            found += self._index.pages(filter={_NODE_ID: {"$exists": True, "$in": rest}})  # there may be no such row
        return found

    # -- at rest --------------------------------------------------------------------------------------------------------

    def persist(self, persist_path: str, fs: Any = None) -> None:
        """Write the index to a folder beside ``persist_path``: its name with ``.json`` replaced by ``.glyph``. (A store opened
        with ``path`` is durable there without this; then it is a copy.) Nothing is embedded again; see `copy_index`, and
        `from_persist_dir` for the way back.

        Raises:
            QueryError: ``fs`` is not the local file system, which SQLite needs.
        """
        folder = _folder(persist_path, fs)
        folder.parent.mkdir(parents=True, exist_ok=True)
        copy_index(self._index, folder)

    @classmethod
    def from_persist_path(
        cls, persist_path: str, fs: Any = None, embedder: Embedder | None = None, **kwargs: Any
    ) -> GlyphVectorStore:
        """The store that `persist` wrote for this path.

        Raises:
            IndexMismatchError: there is none, or it was made by another embedder.
        """
        folder = _folder(persist_path, fs)
        if not PageIndex.exists(folder):
            raise IndexMismatchError(f"{folder} holds no page index; check the path, or persist a GlyphVectorStore first")
        return cls(path=folder, embedder=embedder, **kwargs)

    @classmethod
    def from_persist_dir(
        cls,
        persist_dir: str = DEFAULT_PERSIST_DIR,
        namespace: str = DEFAULT_VECTOR_STORE,
        fs: Any = None,
        embedder: Embedder | None = None,
        **kwargs: Any,
    ) -> GlyphVectorStore:
        """The store in a folder that `StorageContext.persist` wrote. To load that folder, pass it on:
        ``StorageContext.from_defaults(persist_dir=folder, vector_store=GlyphVectorStore.from_persist_dir(folder))``.

        Raises:
            IndexMismatchError: there is none, or it was made by another embedder.
        """
        path = os.path.join(persist_dir, f"{namespace}{NAMESPACE_SEP}{DEFAULT_PERSIST_FNAME}")
        return cls.from_persist_path(path, fs, embedder, **kwargs)

    # -- without blocking the event loop --------------------------------------------------------------------------------

    async def async_add(self, nodes: Sequence[BaseNode], **kwargs: Any) -> list[str]:
        """`add` in a thread."""
        return await asyncio.to_thread(self.add, nodes, **kwargs)

    async def adelete(self, ref_doc_id: str, **delete_kwargs: Any) -> None:
        """`delete` in a thread."""
        await asyncio.to_thread(self.delete, ref_doc_id, **delete_kwargs)

    async def adelete_nodes(
        self, node_ids: list[str] | None = None, filters: MetadataFilters | None = None, **delete_kwargs: Any
    ) -> None:
        """`delete_nodes` in a thread."""
        await asyncio.to_thread(self.delete_nodes, node_ids, filters)

    async def aclear(self) -> None:
        """`clear` in a thread."""
        await asyncio.to_thread(self.clear)

    async def aget_nodes(self, node_ids: list[str] | None = None, filters: MetadataFilters | None = None) -> list[BaseNode]:
        """`get_nodes` in a thread."""
        return await asyncio.to_thread(self.get_nodes, node_ids, filters)

    async def aquery(self, query: VectorStoreQuery, **kwargs: Any) -> VectorStoreQueryResult:
        """`query` in a thread."""
        return await asyncio.to_thread(self.query, query, **kwargs)


def _rows(node: BaseNode, pages: Sequence[Page]) -> list[Page]:
    """Pages that carry what else there is to know of their node."""
    rows = []
    node = _storable(node, pages)
    for page in pages:
        bare = node.model_copy(update={"metadata": {}, "embedding": None})
        if len(pages) > 1:
            parent = RelatedNodeInfo(node_id=node.node_id, node_type=node.get_type())
            bare.id_ = page.id
            bare.relationships = {**node.relationships, NodeRelationship.PARENT: parent}
        kept = node_to_metadata_dict(bare, remove_text=True)
        values = {key: kept[key] for key in ("_node_content", "_node_type")}
        if node.ref_doc_id is not None:
            values[REF_DOC_ID] = node.ref_doc_id
        if page.id != node.node_id and page.source != plain_source(node.node_id):
            values[_NODE_ID] = node.node_id
        rows.append(page.with_metadata(**values))
    return rows


def _storable(node: BaseNode, pages: Sequence[Page]) -> BaseNode:
    """A node of a kind that LlamaIndex restores whole, with the same id: it forgets the image of any other.

    A page's own picture is not kept, for it can be drawn again.
    """
    resource = getattr(node, "image_resource", None)
    if len(pages) == 1 and pages[0].id == node.metadata.get("glyph_id"):
        kind: type[TextNode] = TextNode
        changes: dict[str, Any] = {}
    elif isinstance(node, ImageNode):
        kind, changes = ImageNode, {}
    elif resource is not None and (resource.data or resource.path or resource.url):
        changes = {
            "image": resource.data.decode("ascii") if resource.data else None,
            "image_path": str(resource.path) if resource.path else None,
            "image_url": str(resource.url) if resource.url else None,
            "image_mimetype": resource.mimetype,
        }
        kind = ImageNode
    else:
        return node
    if type(node) is kind:
        return node
    names = {"metadata", "id_", "relationships", "text", "start_char_idx", "end_char_idx"} | set(kind.model_fields)
    fields = {name: getattr(node, name) for name in names if hasattr(node, name)}
    return kind(**{**fields, **changes})


def _plain(page: Page) -> Page:
    """The page as it was before `_rows`."""
    return replace(page, metadata={key: value for key, value in page.metadata.items() if key not in _OURS})


def _node(page: Page) -> BaseNode:
    """The node of a row; a page that did not come from LlamaIndex gets a node of its own."""
    fresh = page_node(_plain(page))
    if "_node_content" not in page.metadata:
        return fresh
    node = metadata_dict_to_node(dict(page.metadata), text=page.text)
    node.metadata = fresh.metadata
    for name in ("excluded_embed_metadata_keys", "excluded_llm_metadata_keys"):  # a plain node has become a page
        known: list[str] = getattr(node, name)
        known += [key for key in getattr(fresh, name) if key not in known]
    for name in ("start_char_idx", "end_char_idx"):
        if hasattr(node, name) and node.parent_node is not None:
            setattr(node, name, getattr(fresh, name))
    return node


def _folder(persist_path: str, fs: Any) -> Path:
    if fs is not None and not is_default_fs(fs):
        raise QueryError(f"a page index lives in a local folder, not in {type(fs).__name__}; persist it locally, then copy it")
    return Path(persist_path).with_suffix(".glyph")
