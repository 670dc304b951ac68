"""A document laid out as pages, and what is to be said about it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..errors import DocumentError
from .terminal import Terminal, counted

if TYPE_CHECKING:
    from ..page import Page
    from ..rendering import Renderer
    from ..sources import SourceDocument


def lay_out(terminal: Terminal, renderer: Renderer, document: SourceDocument) -> list[Page]:
    """All pages of a document, with a progress bar.

    Raises:
        DocumentError: the document has nothing to draw.
    """
    pages = list(terminal.track(renderer.paginate(document), "Laying out pages"))
    if not pages:
        raise DocumentError(f"{document.name} holds no visible characters, so it has no pages")
    return pages


def tell_layout(terminal: Terminal, pages: Sequence[Page]) -> None:
    """Say what a reader of the pages should know: that lines were joined, and which characters no font could draw."""
    if pages[0].style.newline == "reflow":
        terminal.step("", "wrapped by hand, so reflowed: lines fill the page (style 'glyph-72;newline=keep' draws it as it is)")
    if missing := sorted({character for page in pages for character in page.missing}):
        codes = " ".join(f"U+{ord(character):04X}" for character in missing[:10]) + " …" * (len(missing) > 10)
        terminal.warn(f"no font here has {counted(len(missing), 'character')} of the text, drawn as codes: {codes}")
