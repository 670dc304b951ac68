"""Pages that no search can find: pictures without text, in an index that looks for words."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from ..page import Page
from .embedder import Embedder

_log = logging.getLogger("glyph_integrations")
_told: set[str] = set()  # names of embedders


def wordless(pages: Iterable[Page], embedder: Embedder) -> list[Page]:
    """Those of the pages on which no text is known, if the embedder does not look at pictures."""
    if hasattr(embedder, "embed_images"):
        return []
    return [page for page in pages if page.picture is not None and not page.text.strip()]


def tell_wordless(pages: Iterable[Page], embedder: Embedder) -> None:
    """Log a warning if there are pages that nothing can find; once in a process for each kind of embedder."""
    if (found := wordless(pages, embedder)) and embedder.name not in _told:
        _told.add(embedder.name)
        _log.warning(
            "%s of %s has no text, and %s finds pages by their words: no search will find it. Read such pages with ocr=True, "
            "or find them by sight with a VisualEmbedder (this is said once)",
            found[0].label, found[0].source or "a document", embedder.name,
        )  # fmt: skip
