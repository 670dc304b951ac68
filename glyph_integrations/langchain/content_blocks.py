"""Pages as pictures and as content blocks of a message, for prompts composed by hand."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import Any

from langchain_core.documents import Document
from PIL import Image

from ..errors import PageFormatError
from ..page import Page
from ..reading import REGISTRY
from ..reading.placement import Candidate, default_renderer, labels_of
from ..rendering import Renderer
from ..vision import VisionProfile
from .page_documents import page_of


def page_image(
    page: Page | Document,
    *,
    dpi: int | None = None,
    vision: VisionProfile | str | None = None,
    renderer: Renderer | None = None,
) -> Image.Image:
    """The picture of a page, or of the page that a Document holds; see `Renderer.draw`.

    A page of a PDF or an image that this process has not opened needs ``renderer=Renderer(root=...)``.

    Raises:
        PageFormatError: the Document holds no page.
        DocumentError: the file of a page of a PDF or an image is not at hand.
    """
    return (renderer or default_renderer()).draw(_page(page), dpi=dpi, vision=vision)


def page_content_blocks(
    pages: Page | Document | Iterable[Page | Document],
    *,
    dpi: int | None = None,
    vision: VisionProfile | str | None = None,
    renderer: Renderer | None = None,
) -> list[dict[str, Any]]:
    """Pages as content blocks of a message: for each its label as text (``Page 57``, or ``Page 57 of jane_eyre.txt`` where
    several sources are among them), then its image as a data URL.

    Args:
        pages: a page, a Document that holds one, or several.
        dpi: resolution; default the page style's own.
        vision: the model that will see them, or its name; see `Renderer.draw`.
        renderer: draws them (default ``Renderer()``).

    Raises:
        PageFormatError: a Document holds no page.
        DocumentError: the file of a page of a PDF or an image is not at hand.
    """
    chosen = [_page(item) for item in ([pages] if isinstance(pages, Page | Document) else pages)]
    labels = labels_of([Candidate(page) for page in chosen])
    blocks = []
    for page in chosen:
        png = (renderer or default_renderer()).png(page, dpi=dpi, vision=vision)
        REGISTRY.register_png(png, page)
        blocks += [{"type": "text", "text": labels[page.id]}, image_block(png)]
    return blocks


def image_block(data: bytes, media_type: str = "image/png") -> dict[str, Any]:
    """An image as the block that every provider's adapter takes: OpenAI's ``image_url`` with a data URL."""
    url = f"data:{media_type};base64,{base64.b64encode(data).decode('ascii')}"
    return {"type": "image_url", "image_url": {"url": url}}


def _page(item: Page | Document) -> Page:
    page = item if isinstance(item, Page) else page_of(item)
    if page is None:
        raise PageFormatError(f"Document {item.id!r} holds no page; make page Documents with GlyphLoader or PageSplitter")
    return page
