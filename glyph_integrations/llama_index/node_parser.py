"""`PageNodeParser`: Documents to page nodes."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from llama_index.core.bridge.pydantic import Field, field_validator
from llama_index.core.node_parser import NodeParser
from llama_index.core.node_parser.interface import IdFuncCallable
from llama_index.core.node_parser.node_utils import default_id_func
from llama_index.core.schema import BaseNode, Document, MetadataMode, NodeRelationship, RelatedNodeInfo
from llama_index.core.utils import get_tqdm_iterable

from ..page import normalize_source
from ..rendering import Renderer
from ..sources import SourceDocument
from ..sources.media_type import IMAGES, PDF
from ..sources.page_file import OPENED
from ..style import PageStyle
from .page_nodes import page_node, pages_in

_log = logging.getLogger("glyph_integrations")


class PageNodeParser(NodeParser):
    """Cuts Documents into pages, one node each.

    A node's id is its page's id (an edit elsewhere in the document does not change it), its text the page's raw text,
    ``start_char_idx`` and ``end_char_idx`` where that stands in the Document. Nodes that are pages already stay as they are.
    A document is known by its metadata ``source``, else ``file_path``, else ``file_name``, else its id. The ingestion cache of
    LlamaIndex compares metadata and text, not ids: give Documents that may have equal text one of the first three.
    A PDF or an image that `GlyphReader` read in this process keeps its own pages; in another its text is drawn.

    Attributes:
        style: how pages look: a `PageStyle`, the name of a preset or a style's short string form, which is what is kept.
        fonts: further font files, see `Renderer`.

    Raises:
        ValueError: the style is impossible (pydantic's ValidationError around a `StyleError`).
    """

    style: str | PageStyle = Field(default="glyph-72", validate_default=True, description="How pages look, as a short string.")
    fonts: tuple[str, ...] = Field(default=(), description="Further font files.")

    id_func: IdFuncCallable = Field(default=default_id_func, exclude=True, description="Not used: ids are the pages' own.")

    @field_validator("style", mode="before")
    @classmethod
    def _compact(cls, style: Any) -> Any:
        return str(PageStyle.parse(style)) if isinstance(style, str) else str(style) if isinstance(style, PageStyle) else style

    @classmethod
    def class_name(cls) -> str:
        """Name in serialised form."""
        return "PageNodeParser"

    def _parse_nodes(self, nodes: Sequence[BaseNode], show_progress: bool = False, **kwargs: Any) -> list[BaseNode]:
        renderer = shared_renderer(str(self.style), self.fonts)
        parsed: list[BaseNode] = []
        pages_already = pages_in(nodes)
        for document, page in zip(get_tqdm_iterable(nodes, show_progress, "Paginating"), pages_already, strict=True):
            if page is not None:
                parsed.append(document)
                continue
            origin = document.as_related_node_info()  # hashes the whole text, so once per document
            for page in renderer.paginate(_content(document), source=document_source(document)):
                node = page_node(page)
                node.relationships[NodeRelationship.SOURCE] = origin
                node.excluded_embed_metadata_keys += document.excluded_embed_metadata_keys
                node.excluded_llm_metadata_keys += [*document.excluded_llm_metadata_keys, "source"]  # glyph_source says it
                parsed.append(node)
        return parsed

    def _postprocess_parsed_nodes(self, nodes: list[BaseNode], parent_doc_map: dict[str, Document]) -> list[BaseNode]:
        spans = [(getattr(node, "start_char_idx", None), getattr(node, "end_char_idx", None)) for node in nodes]
        nodes = super()._postprocess_parsed_nodes(nodes, parent_doc_map)
        for node, (start, end) in zip(nodes, spans, strict=True):
            # the base class searches for the text, and finds an equal one elsewhere
            node.start_char_idx, node.end_char_idx = start, end  # type: ignore[attr-defined]
            for relation in (NodeRelationship.PREVIOUS, NodeRelationship.NEXT):
                neighbour = node.relationships.get(relation)
                if isinstance(neighbour, RelatedNodeInfo):  # a copy of the neighbour's metadata would treble what is stored
                    node.relationships[relation] = neighbour.model_copy(update={"metadata": {}})
        return nodes


def _content(document: BaseNode) -> str | SourceDocument:
    """What to paginate: the text, or the PDF or image that this Document was read from, with its own pages."""
    text = document.get_content(MetadataMode.NONE)
    known = OPENED.get(str(document.metadata.get("sha256")))
    if known is not None and known.pages and known.text == text:
        return known
    if document.metadata.get("media_type") in (PDF, *IMAGES):
        _log.warning("%s was not read by this process: its text is drawn, not its own pages", document_source(document))
    return text


def document_source(document: BaseNode) -> str:
    """The name under which a Document's pages are known."""
    keys = ("source", "file_path", "file_name")
    name = next((str(document.metadata[key]) for key in keys if document.metadata.get(key)), document.node_id)
    return normalize_source(name)


@lru_cache(maxsize=8)
def shared_renderer(style: str, fonts: tuple[str, ...] = ()) -> Renderer:
    """A renderer per style and fonts, kept here and not on the components, which must be serialisable."""
    return Renderer(PageStyle.parse(style), fonts)
