"""The knowledge base of an index folder: what is in it, its pages in order, and searching it."""

from __future__ import annotations

from itertools import islice
from typing import Any

from ..index import PageIndex
from ..index.recorded import Absent
from ..page import Page, PageHit
from .conversation import Question, hit_values, search, shorten, visible
from .form import FormError

_MOST_SOURCES = 200


class Knowledge:
    """An index that people may read and search, and never change."""

    def __init__(self, index: PageIndex) -> None:
        self.index = index

    def overview(self) -> dict[str, Any]:
        """How large it is, what it was made of, and how it can be searched."""
        stats = self.index.stats()
        absent = isinstance(self.index.embedder, Absent)
        dense = not absent and stats.embedder != "lexical"
        return {
            "name": self.index.path.name if self.index.path else "", "pages": stats.pages, "sources": stats.sources,
            "vectors": stats.vectors, "embedder": stats.embedder, "dim": stats.dim, "metric": stats.metric,
            "bytes": sum(stats.files.values()), "bytes_per_page": round(stats.bytes_per_page),
            "modes": ["lexical"] if absent else ["hybrid", "lexical", "dense"] if dense else ["lexical", "dense"],
            "words_only": absent,
        }  # fmt: skip

    def sources(self, like: str = "") -> dict[str, Any]:
        """Documents by name, the first 200 of those whose name holds a text."""
        wanted = like.casefold().strip()
        found = [(name, count) for name, count in self.index.sources().items() if wanted in name.casefold()]
        rows = [{"name": name, "pages": count} for name, count in sorted(found)[:_MOST_SOURCES]]
        return {"sources": rows, "of": len(found)}

    def pages(self, source: str, first: int, count: int) -> dict[str, Any]:
        """Pages of a document, in order, from the one at position ``first``."""
        found = list(islice(self.index.pages(source), first, first + count + 1))
        rows = [
            {"id": page.id, "number": page.number, "source": page.source, "excerpt": shorten(visible(page, 0, 400))}
            for page in found[:count]
        ]
        return {"pages": rows, "more": len(found) > count}

    def search(self, question: Question) -> dict[str, Any]:
        """The best pages for a question.

        Raises:
            FormError: the question is empty.
            QueryError: it cannot be searched.
        """
        if not question.text.strip():
            raise FormError("type what to search for")
        return {"hits": [hit_values(hit, question.text) for hit in search(self.index, question)]}

    def find(self, question: Question) -> tuple[list[PageHit], int]:
        """The best pages to answer a question from, and how many there are in all."""
        return search(self.index, question), len(self.index)

    def page(self, page_id: str) -> Page | None:
        """A page by its id."""
        return next(iter(self.index.get([page_id])), None)

    def beside(self, page: Page) -> tuple[str, str]:
        """The ids of the pages before and after a page of its document; empty where there is none."""

        def at(number: int) -> str:
            return next(iter(self.index.ids({"glyph_source": page.source, "glyph_n": number})), "")

        return at(page.number - 1), at(page.number + 1)
