"""Pages handed out by this process, by id and by hash of their PNG; the only place where a tag becomes a page again."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol, TypeVar

from ..page import Page
from .tags import PageTag

_Key = TypeVar("_Key", str, bytes)


class PageStore(Protocol):
    """Anything with the ``get`` of a `PageIndex`."""

    def get(self, ids: Sequence[str]) -> list[Page]:
        """The pages with these ids; unknown ids are left out or raise a KeyError."""


PageSource = PageStore | Callable[[str], Page | None]
"""Where a tag may be looked up besides the registry: a `PageIndex`, or a function from page id to page (unknown: None or a
KeyError)."""


class Registry:
    """A bounded map, safe to share between threads. The least recently used entries go first.

    Args:
        limit: how many pages, and how many drawn pages, are kept.
    """

    def __init__(self, limit: int = 2048) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._pages: OrderedDict[str, Page] = OrderedDict()
        self._drawn: OrderedDict[bytes, Page] = OrderedDict()

    def __len__(self) -> int:
        return len(self._pages)

    def register(self, pages: Iterable[Page]) -> None:
        """Remember pages that are being handed out, by id."""
        for page in pages:
            self._remember(self._pages, page.id, page)

    def register_png(self, png: bytes, page: Page) -> None:
        """Remember that these image bytes are a drawing of this page, and the page by id."""
        self._remember(self._drawn, hashlib.sha256(png).digest(), page)
        self._remember(self._pages, page.id, page)

    def page(self, page_id: str) -> Page | None:
        """The page with this id, if it was handed out."""
        return self._recall(self._pages, page_id)

    def find(self, page_id: str, pages: PageSource | None = None) -> Page | None:
        """`page`, or else what ``pages`` has under this id."""
        return self.page(page_id) or (_look_up(pages, page_id) if pages is not None else None)

    def page_of_png(self, png: bytes) -> Page | None:
        """The page these exact bytes are a drawing of, if they were drawn here."""
        return self._recall(self._drawn, hashlib.sha256(png).digest())

    def resolve(self, tag: PageTag, pages: PageSource | None = None) -> Page | None:
        """The page a tag stands for: looked up here, then in ``pages``; None unless the tag's text is that page's text."""
        page = self.page(tag.id)
        if page is None and pages is not None:
            page = _look_up(pages, tag.id)
        return page if page is not None and page.id == tag.id and page.text == tag.text else None

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._pages.clear()
            self._drawn.clear()

    def _remember(self, entries: OrderedDict[_Key, Page], key: _Key, page: Page) -> None:
        with self._lock:
            entries[key] = page
            entries.move_to_end(key)
            while len(entries) > self._limit:
                entries.popitem(last=False)

    def _recall(self, entries: OrderedDict[_Key, Page], key: _Key) -> Page | None:
        with self._lock:
            if key in entries:
                entries.move_to_end(key)
            return entries.get(key)


def _look_up(pages: PageSource, page_id: str) -> Page | None:
    try:
        return pages(page_id) if callable(pages) else next(iter(pages.get([page_id])), None)
    except KeyError:
        return None


REGISTRY = Registry()
"""The registry of this process, shared by retrievers, chat models and postprocessors."""
