"""Pages as LangChain Documents, and Documents as pages."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from langchain_core.documents import Document

from ..errors import PageFormatError
from ..page import Page
from ..reading import page_tag
from ..rendering import Renderer

_TEXT = "glyph_text"  # metadata of a tagged Document: the page's raw text


def page_document(page: Page) -> Document:
    """A page as a Document: its raw text, `Page.to_metadata`, and its id."""
    return Document(id=page.id, page_content=page.text, metadata=page.to_metadata())


def page_of(document: Document) -> Page | None:
    """The page that a Document holds, tagged or not; None when it holds none, or when its text was edited or split.

    A warning says so in the second case.
    """
    return pages_of([document])[0]


def pages_of(documents: Iterable[Document]) -> list[Page | None]:
    """`page_of` for each Document, with one warning for all."""
    pages: list[Page | None] = []
    stale = 0
    for document in documents:
        try:
            pages.append(_page_of(document))
        except PageFormatError:
            pages.append(None)
            stale += 1
    if stale:
        warnings.warn(
            f"{stale} Document(s) carry the metadata of a page but no longer its text (something split or edited them); "
            "they are treated as plain text",
            stacklevel=3,
        )
    return pages


def plain_metadata(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Metadata without what describes a page."""
    return {key: value for key, value in metadata.items() if not key.startswith("glyph_")}


def document_id(document: Document) -> str:
    """A Document's own id, or one made from its content, so that the same Document gets the same id again."""
    if document.id is not None:
        return document.id
    values = json.dumps([document.page_content, plain_metadata(document.metadata)], sort_keys=True, default=str)
    return hashlib.blake2b(values.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def plain_source(document_id: str) -> str:
    """The ``source`` under which the pages of a plain Document are known. The leading slash, which the name of a file never
    has, keeps it apart from every document that was read."""
    return f"/{document_id}"


def paginate_plain(document: Document, document_id: str, renderer: Renderer) -> list[Page]:
    """The pages of a Document that holds none, at least one."""
    source, metadata = plain_source(document_id), plain_metadata(document.metadata)
    pages = [replace(page, source=source, metadata=metadata) for page in renderer.paginate(document.page_content)]
    if not pages:  # nothing visible in it: one empty page, so that the Document is not lost
        style = renderer.style.replace(newline="keep")
        pages = [Page(text=document.page_content, style=style, lines=(), source=source, metadata=metadata)]
    return pages


def tagged(document: Document, page: Page | None, renderer: Renderer) -> tuple[Document, list[Page]]:
    """A Document with its page as a tag for content, and the pages it now holds. A plain Document is paginated first.

    The raw text stays in the metadata, as ``glyph_text``, beside the page's own values.
    """
    if page is None and _TEXT in document.metadata:  # several tags, or edited ones
        return document, []
    text = document.metadata.get(_TEXT, document.page_content) if page else document.page_content
    pages = [page] if page else paginate_plain(document, document_id(document), renderer)
    values: dict[str, Any] = plain_metadata(document.metadata)
    if len(pages) == 1:
        values |= {key: value for key, value in pages[0].to_metadata().items() if key.startswith("glyph_")}
    content = "\n".join(page_tag(p) for p in pages)
    return Document(id=document.id, page_content=content, metadata={**values, _TEXT: text}), pages


def _page_of(document: Document) -> Page | None:
    metadata = document.metadata
    if not Page.in_metadata(metadata):
        return None
    raw = metadata.get(_TEXT)
    page = Page.from_metadata(raw if isinstance(raw, str) else document.page_content, metadata)
    if isinstance(raw, str) and document.page_content not in (raw, page_tag(page)):
        raise PageFormatError("the tag is not that of the page")
    return page
