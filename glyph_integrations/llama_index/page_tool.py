"""`create_page_tool`: page search as a tool for agents."""

from __future__ import annotations

import asyncio
from typing import Any

from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.base.llms.types import ContentBlock, ImageBlock, TextBlock
from llama_index.core.bridge.pydantic import BaseModel, Field
from llama_index.core.schema import MetadataMode, NodeWithScore
from llama_index.core.tools import AsyncBaseTool, ToolMetadata, ToolOutput

from ..index import PageIndex
from ..reading import REGISTRY, page_tag
from ..reading.page_search import DESCRIPTION, NAME, NOTHING, QUERY
from ..reading.placement import Candidate, default_renderer, labels_of
from ..rendering import Renderer
from ..vision import VisionProfile
from .page_nodes import pages_in
from .retriever import GlyphRetriever
from .vector_store import GlyphVectorStore


class PageQuery(BaseModel):
    """What the tool is called with."""

    query: str = Field(description=QUERY)


class PageTool(AsyncBaseTool):
    """Page search as a tool; see `create_page_tool`."""

    def __init__(
        self,
        retriever: BaseRetriever,
        metadata: ToolMetadata,
        images: bool,
        dpi: int | None,
        vision: VisionProfile | str | None,
        renderer: Renderer | None,
    ) -> None:
        self._retriever = retriever
        self._metadata = metadata
        self._images = images
        self._dpi = dpi
        self._vision = None if vision is None else VisionProfile.get(vision)
        self._renderer = renderer

    @property
    def metadata(self) -> ToolMetadata:
        """What a model is told of the tool."""
        return self._metadata

    def call(self, query: str) -> ToolOutput:
        """Search."""
        return self._output(query, self._retriever.retrieve(query))

    async def acall(self, query: str) -> ToolOutput:
        """Search, without blocking the event loop."""
        return await asyncio.to_thread(self._output, query, await self._retriever.aretrieve(query))

    def _output(self, query: str, found: list[NodeWithScore]) -> ToolOutput:
        blocks = self._shown(found) if self._images else self._told(found)
        return ToolOutput(
            tool_name=self._metadata.get_name(), blocks=blocks or [TextBlock(text=NOTHING)],
            raw_input={"query": query}, raw_output=found,
        )  # fmt: skip

    def _told(self, found: list[NodeWithScore]) -> list[ContentBlock]:
        pages = pages_in(n.node for n in found)
        REGISTRY.register(page for page in pages if page)
        texts = [
            page_tag(page) if page else scored.node.get_content(MetadataMode.LLM)
            for scored, page in zip(found, pages, strict=True)
        ]
        return [TextBlock(text="\n\n".join(texts))] if texts else []

    def _shown(self, found: list[NodeWithScore]) -> list[ContentBlock]:
        renderer = self._renderer or default_renderer()
        pages = pages_in(n.node for n in found)
        labels = labels_of([Candidate(page) for page in pages if page])
        blocks: list[ContentBlock] = []
        for scored, page in zip(found, pages, strict=True):
            if page is None or renderer.missing_file(page):
                blocks += self._told([scored])
                continue
            png = renderer.png(page, dpi=self._dpi, vision=self._vision)
            REGISTRY.register_png(png, page)
            blocks += [TextBlock(text=labels[page.id]), ImageBlock(image=png, image_mimetype="image/png")]
        return blocks


def create_page_tool(
    pages: BaseRetriever | GlyphVectorStore | PageIndex,
    name: str = NAME,
    description: str = DESCRIPTION,
    *,
    images: bool = False,
    dpi: int | None = None,
    vision: VisionProfile | str | None = None,
    renderer: Renderer | None = None,
    **kwargs: Any,
) -> PageTool:
    """A tool with which an agent searches pages.

    Its output is text, each page tagged ``<page n="57" source="..." id="...">text</page>``, which `GlyphLLM` turns into images
    where that costs less; or, with ``images=True``, an image per page, for an LLM that takes images in tool messages. The
    retrieved nodes are its ``raw_output``.

    Args:
        pages: a retriever whose nodes hold pages, a `GlyphVectorStore` or a `PageIndex`.
        name, description: what the model is told of the tool.
        images: whether pages are sent as images. A page whose file is not at hand, and a node that is no page, are sent as text
            all the same.
        dpi, vision: resolution of the images, and the model that will see them; see `Renderer.draw`.
        renderer: draws them (default ``Renderer()``).
        kwargs: with a store or an index: those of its `GlyphRetriever`, such as ``similarity_top_k``, ``filters`` and ``mode``.

    Raises:
        TypeError: ``pages`` is none of these, or options came with a retriever, which has its own.
        UnknownModelError: ``vision`` names no known profile.
    """
    if isinstance(pages, BaseRetriever) and kwargs:
        raise TypeError(f"{', '.join(kwargs)}: set these on the retriever")
    retriever = pages if isinstance(pages, BaseRetriever) else GlyphRetriever(pages, **kwargs)
    metadata = ToolMetadata(description=description, name=name, fn_schema=PageQuery)
    return PageTool(retriever, metadata, images, dpi, vision, renderer)
