"""Pages as LlamaIndex nodes, and nodes as pages."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from llama_index.core.schema import BaseNode, MetadataMode, NodeWithScore, TextNode

from ..errors import PageFormatError
from ..page import Page
from ..rendering import Renderer

_FOR_LLM = ("glyph_n", "glyph_source")  # what a text model may read beside the text


def page_node(page: Page) -> TextNode:
    """A page as a node: its id, its raw text, `Page.to_metadata`. None of that metadata is embedded; of it an LLM that is given
    the node as text reads the page number and the source. Of a page without words these two are embedded too: LlamaIndex
    silently drops a node with nothing to embed."""
    metadata = page.to_metadata()
    own = [key for key in metadata if key.startswith("glyph_")]
    wordless = not page.text.strip()
    return TextNode(
        id_=page.id,
        text=page.text,
        metadata=metadata,
        start_char_idx=page.start,
        end_char_idx=page.end,
        excluded_embed_metadata_keys=[key for key in own if not (wordless and key in _FOR_LLM)],
        excluded_llm_metadata_keys=[key for key in own if key not in _FOR_LLM],
    )


def page_of(node: BaseNode | NodeWithScore) -> Page | None:
    """The page that a node holds; None when it holds none, or when its text was edited or split.

    A warning says so in the second case.
    """
    return pages_in([node.node if isinstance(node, NodeWithScore) else node])[0]


def pages_in(nodes: Iterable[BaseNode]) -> list[Page | None]:
    """The page that each node holds; None for one that holds none, or whose text was edited or split.

    One warning says so in the second case.
    """
    pages: list[Page | None] = []
    stale = 0
    for node in nodes:
        page = None
        if Page.in_metadata(node.metadata):
            try:
                page = Page.from_metadata(node.get_content(MetadataMode.NONE), node.metadata)
            except PageFormatError:
                stale += 1
        pages.append(page)
    if stale:
        warnings.warn(
            f"{stale} node(s) carry the metadata of a page but no longer its text (something split or edited them); "
            "they are treated as plain text",
            stacklevel=3,
        )
    return pages


def as_pages(nodes: Iterable[BaseNode], renderer: Renderer) -> list[list[Page]]:
    """Per node the page it holds or, for a plain node, the pages that its text fills."""
    nodes = list(nodes)
    return [[page] if page else paginate_plain(node, renderer) for node, page in zip(nodes, pages_in(nodes), strict=True)]


def paginate_plain(node: BaseNode, renderer: Renderer) -> list[Page]:
    """The pages of a node that holds none, at least one."""
    text, source = node.get_content(MetadataMode.NONE), plain_source(node.node_id)
    first = getattr(node, "start_char_idx", None) or 0
    metadata = plain_metadata(node.metadata)
    pages = [replace(p, source=source, start=first + p.start, metadata=metadata) for p in renderer.paginate(text)]
    if not pages:  # nothing visible: a blank page, so that the node is not lost
        pages = [Page(text, renderer.style.replace(newline="keep"), (), source, start=first, metadata=metadata)]
    return pages


def plain_source(node_id: str) -> str:
    """The ``source`` under which the pages of a plain node are known. The leading slash, which the name of a file never has,
    keeps it apart from every document that was read."""
    return f"/{node_id}"


def plain_metadata(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Metadata without what describes a page."""
    return {key: value for key, value in metadata.items() if not key.startswith("glyph_")}
