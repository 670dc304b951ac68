"""`create_page_tool`: page search as a tool for agents."""

from __future__ import annotations

from typing import Any

from langchain_core.callbacks import Callbacks
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import run_in_executor
from langchain_core.tools import StructuredTool
from langchain_core.vectorstores import VectorStore
from pydantic import BaseModel, Field

from ..reading.page_search import DESCRIPTION, NAME, NOTHING, QUERY
from ..reading.placement import default_renderer
from ..rendering import Renderer
from ..vision import VisionProfile
from .content_blocks import page_content_blocks
from .page_documents import pages_of
from .retriever import GlyphRetriever, tag_documents


class PageQuery(BaseModel):
    """What the tool is called with."""

    query: str = Field(description=QUERY)


def create_page_tool(
    pages: BaseRetriever | VectorStore,
    name: str = NAME,
    description: str = DESCRIPTION,
    *,
    images: bool = False,
    dpi: int | None = None,
    vision: VisionProfile | str | None = None,
    renderer: Renderer | None = None,
    **kwargs: Any,
) -> StructuredTool:
    """A tool with which an agent searches pages.

    The tool's message is text, each page tagged as `GlyphRetriever` tags it, which `ChatGlyph` turns into images where that
    costs less; or, with ``images=True``, an image per page, for a chat model that takes images in tool messages. The Documents
    are its artifact, so citations can be checked: ``verify_answer(answer, [page_of(d) for d in message.artifact])``.

    Args:
        pages: a retriever, or a vector store that page Documents were added to.
        name, description: what the model is told of the tool.
        images: whether pages are sent as images. A page whose file is not at hand (see `page_image`), and text that is no
            page, are sent as text all the same.
        dpi, vision: resolution of the images, and the model that will see them; see `Renderer.draw`.
        renderer: draws them (default ``Renderer()``).
        kwargs: with a store: fields of its `GlyphRetriever`, such as ``k``, ``filter``, ``mode`` and ``score_threshold``.

    Raises:
        TypeError: ``pages`` is neither, or fields came with a retriever, which has its own.
        UnknownModelError: ``vision`` names no known profile.
    """
    if isinstance(pages, VectorStore):
        retriever: BaseRetriever = GlyphRetriever(vectorstore=pages, **kwargs)
    elif not isinstance(pages, BaseRetriever):
        raise TypeError(f"{type(pages).__name__}: pass a retriever or a vector store")
    elif kwargs:
        raise TypeError(f"{', '.join(kwargs)}: set these on the retriever")
    else:
        retriever = pages
    if vision is not None:
        vision = VisionProfile.get(vision)

    def answer(found: list[Document]) -> tuple[str | list[Any], list[Document]]:
        documents = tag_documents(found)
        if not documents:
            return NOTHING, []
        if not images:
            return "\n\n".join(document.page_content for document in documents), documents
        draws = renderer or default_renderer()
        shown = [page for page in pages_of(documents) if page and not draws.missing_file(page)]
        known = {page.id for page in shown}
        told = [{"type": "text", "text": d.page_content} for d in documents if d.metadata.get("glyph_id") not in known]
        return [*page_content_blocks(shown, dpi=dpi, vision=vision, renderer=draws), *told], documents

    def search(query: str, callbacks: Callbacks = None) -> tuple[str | list[Any], list[Document]]:
        return answer(retriever.invoke(query, config={"callbacks": callbacks}))

    async def asearch(query: str, callbacks: Callbacks = None) -> tuple[str | list[Any], list[Document]]:
        return await run_in_executor(None, answer, await retriever.ainvoke(query, config={"callbacks": callbacks}))

    return StructuredTool(
        name=name, description=description, func=search, coroutine=asearch, args_schema=PageQuery,
        response_format="content_and_artifact",
    )  # fmt: skip
