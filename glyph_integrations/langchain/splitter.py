"""`PageSplitter`: any Documents to page Documents."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from langchain_core.documents import BaseDocumentTransformer, Document

from ..page import normalize_source
from ..rendering import Renderer
from .page_documents import page_document, pages_of, plain_metadata


class PageSplitter(BaseDocumentTransformer):
    """Splits Documents into pages: a text splitter whose chunks can be drawn.

    Each page keeps its Document's metadata, beside its own under ``glyph_*``; its span counts from the start of that Document.
    The page's source is the Document's ``source``, or else its id. Documents of one source are numbered through. Documents
    that already hold a page stay as they are; one without visible text gives no page.

    Args:
        renderer: makes the pages (default ``Renderer()``).
    """

    def __init__(self, renderer: Renderer | None = None) -> None:
        self.renderer = renderer or Renderer()

    def transform_documents(self, documents: Sequence[Document], **kwargs: Any) -> list[Document]:
        """The pages of all Documents, in order."""
        return list(self._split(documents))

    def split_documents(self, documents: Iterable[Document]) -> list[Document]:
        """`transform_documents`, under the name text splitters have for it."""
        return list(self._split(documents))

    def _split(self, documents: Iterable[Document]) -> Iterator[Document]:
        numbers: Counter[str] = Counter()
        contents: Counter[tuple[str, str]] = Counter()
        documents = list(documents)
        for document, page in zip(documents, pages_of(documents), strict=True):
            if page is not None:
                yield document
                continue
            named = document.metadata.get("source")
            source = normalize_source(named if isinstance(named, str) else document.id or "")
            first = numbers[source]
            own: Counter[tuple[str, str]] = Counter()
            for page in self.renderer.paginate(document.page_content, source, plain_metadata(document.metadata)):
                content = (source, page.content_hash)
                own[content] += 1
                if first:  # not the first Document of its source
                    page = replace(page, number=first + page.number, ordinal=contents[content] + page.ordinal)
                numbers[source] = page.number
                yield page_document(page)
            contents.update(own)
