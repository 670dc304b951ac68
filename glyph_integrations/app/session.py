"""What one browser has put in: documents, how they are laid out, what was asked of them."""

from __future__ import annotations

import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from ..errors import DocumentError, GlyphError
from ..index import PageIndex
from ..page import Page
from ..sources import SourceDocument
from ..style import PageStyle

_MAX_DOCUMENTS = 50
_MAX_EXCHANGES = 50
_MAX_CITED = 2000


class SessionGoneError(GlyphError):
    """The session has ended: it was unused for longest when others needed the room, or the app was started anew."""


class FullError(GlyphError):
    """There is no room for another session or document just now."""


@dataclass(frozen=True)
class Held:
    """A document of a session. ``size`` is its bytes."""

    id: str
    document: SourceDocument
    size: int

    @property
    def weight(self) -> int:
        """What it counts for: its bytes, or its characters where the bytes are packed."""
        return max(self.size, len(self.document.text))


@dataclass
class Layout:
    """The pages of documents in one style; they grow until ``whole``. ``index`` is made when first asked."""

    style: PageStyle
    documents: tuple[Held, ...]
    pages: dict[str, Page] = field(default_factory=dict)
    of: dict[str, list[str]] = field(default_factory=dict)
    whole: bool = False
    index: PageIndex | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)

    def is_of(self, style: PageStyle, documents: tuple[Held, ...]) -> bool:
        """Whether these are the pages of these documents in this style, all of them."""
        return self.whole and self.style == style and [h.id for h in self.documents] == [h.id for h in documents]

    def take(self, held: Held, page: Page) -> None:
        """Add the next page of a document."""
        self.pages[page.id] = page
        self.of.setdefault(held.id, []).append(page.id)

    def close(self) -> None:
        """Let go of the index, once nobody is using it."""
        with self.lock:
            if self.index is not None:
                self.index.close()
                self.index = None


@dataclass(frozen=True)
class Exchange:
    """A question, its answer, and what the page shows of both."""

    question: str
    answer: str
    shown: dict[str, Any]
    pages: tuple[Page, ...]


class Session:
    """One browser's. Safe to use from several threads.

    Args:
        limit: bytes of documents that it may hold.
    """

    def __init__(self, limit: int) -> None:
        self.id = secrets.token_urlsafe(24)
        self.busy = 0
        self.used = time.monotonic()
        self._limit = limit
        self._lock = threading.Lock()
        self._held: dict[str, Held] = {}
        self._layouts: list[Layout] = []  # the last two: pictures of the one before may still be asked for
        self._cited: OrderedDict[str, Page] = OrderedDict()
        self._talks: dict[str, list[Exchange]] = {}

    @property
    def documents(self) -> tuple[Held, ...]:
        """In the order they came."""
        with self._lock:
            return tuple(self._held.values())

    @property
    def size(self) -> int:
        """What its documents count for."""
        return sum(held.weight for held in self.documents)

    def add(self, document: SourceDocument, size: int) -> Held:
        """Keep a document, under a name that no other has.

        Raises:
            FullError: it has 50 already, or they are too large together.
        """
        with self._lock:
            added = Held(secrets.token_hex(8), document, size)
            if len(self._held) >= _MAX_DOCUMENTS or sum(h.weight for h in (*self._held.values(), added)) > self._limit:
                most = f"{_MAX_DOCUMENTS} documents of {self._limit:,} bytes together"
                raise FullError(f"at most {most} fit here; remove one first, or make an index of them")
            taken = {held.document.name for held in self._held.values()}
            name, number = document.name or "document", 1
            stem, dot, suffix = name.rpartition(".")
            while name in taken:
                number += 1
                name = f"{stem} ({number}){dot}{suffix}" if stem else f"{suffix} ({number})"
            held = self._held[added.id] = replace(added, document=replace(document, name=name))
            return held

    def remove(self, document_id: str) -> None:
        """Forget a document; an unknown one is no error."""
        with self._lock:
            self._held.pop(document_id, None)

    def chosen(self, ids: Iterable[str] | None = None) -> tuple[Held, ...]:
        """The documents with these ids, or all.

        Raises:
            DocumentError: there are none.
        """
        wanted = None if ids is None else set(ids)
        found = tuple(held for held in self.documents if wanted is None or held.id in wanted)
        if not found:
            raise DocumentError("there is no document yet; paste a text, drop a file, or try the sample")
        return found

    def layout(self, style: PageStyle, documents: tuple[Held, ...]) -> Layout | None:
        """The pages, if they were laid out lately."""
        with self._lock:
            return next((layout for layout in self._layouts if layout.is_of(style, documents)), None)

    def start(self, layout: Layout) -> None:
        """Make these the pages that are looked at; of older ones the last are kept."""
        with self._lock:
            old = self._layouts[1:]
            self._layouts = [layout, *self._layouts[:1]]
        for each in old:
            each.close()

    def pages_of(self, document_id: str, first: int, count: int) -> list[Page]:
        """Pages of a document as it was last laid out, from the one at position ``first``."""
        with self._lock:
            if not self._layouts:
                return []
            layout = self._layouts[0]
            return [layout.pages[i] for i in layout.of.get(document_id, [])[first : first + count]]

    def page(self, page_id: str) -> Page | None:
        """A page that was shown."""
        with self._lock:
            for layout in self._layouts:
                if page_id in layout.pages:
                    return layout.pages[page_id]
            return self._cited.get(page_id)

    def beside(self, page: Page) -> tuple[str, str] | None:
        """The ids of the pages before and after one that is looked at; empty where there is none. None: it is not looked at."""
        with self._lock:
            for layout in self._layouts:
                for ids in list(layout.of.values()):  # it may be growing
                    if page.number <= len(ids) and ids[page.number - 1] == page.id:
                        return "".join(ids[max(0, page.number - 2) : page.number - 1]), "".join(ids[page.number :][:1])
            return None

    def keep(self, pages: Iterable[Page]) -> None:
        """Remember pages that an answer cites, whatever becomes of their layout."""
        with self._lock:
            for page in pages:
                self._cited[page.id] = page
                self._cited.move_to_end(page.id)
            while len(self._cited) > _MAX_CITED:
                self._cited.popitem(last=False)

    def talk(self, scope: str) -> list[Exchange]:
        """What was asked and answered, oldest first."""
        with self._lock:
            return list(self._talks.get(scope, ()))

    def said(self, scope: str, exchange: Exchange) -> None:
        """Add to the conversation; the oldest exchange goes when there are 50."""
        self.keep(exchange.pages)
        with self._lock:
            self._talks[scope] = [*self._talks.get(scope, ()), exchange][-_MAX_EXCHANGES:]

    def forget(self, scope: str) -> None:
        """Begin the conversation anew."""
        with self._lock:
            self._talks.pop(scope, None)

    def close(self) -> None:
        """Let go of everything."""
        with self._lock:
            layouts, self._layouts = self._layouts, []
            self._held.clear()
        for layout in layouts:
            layout.close()


class Sessions:
    """All sessions of an app, within bounds. Room is made by ending those unused for longest: empty ones at once, others once
    they have rested.

    Args:
        most: how many.
        max_held: bytes of documents that they hold together; one of them half of it.
        rest: seconds without a request after which a session with documents may be ended.
    """

    def __init__(self, most: int, max_held: int, rest: float = 600) -> None:
        self._most = most
        self._max_held = max_held
        self._rest = rest
        self._lock = threading.Lock()
        self._open: OrderedDict[str, Session] = OrderedDict()
        self._coming = 0  # bytes of documents that are being read

    def find(self, session_id: str) -> Session:
        """The session of a browser, which is now the one used last.

        Raises:
            SessionGoneError: it has ended.
        """
        with self._lock:
            if session_id not in self._open:
                raise SessionGoneError("this session has ended; reload the page and add your documents again")
            self._open.move_to_end(session_id)
            self._open[session_id].used = time.monotonic()
            return self._open[session_id]

    def new(self) -> Session:
        """A new session.

        Raises:
            FullError: there are as many as may be, and all are in use.
        """
        with self._lock:
            if len(self._open) >= self._most and not self._end_one():
                raise FullError("too many people are at work here just now; try again in some minutes")
            session = Session(self._max_held // 2)
            self._open[session.id] = session
            return session

    @contextmanager
    def room(self, size: int) -> Iterator[None]:
        """Keeps room for a document of so many bytes while it is being read.

        Raises:
            FullError: there is none.
        """
        with self._lock:
            while sum(session.size for session in self._open.values()) + self._coming + size > self._max_held:
                if not self._end_one(holding=True):
                    raise FullError(
                        f"no room just now: all documents here together may take {self._max_held:,} bytes; remove one of "
                        "yours, or try again in some minutes"
                    )
            self._coming += size
        try:
            yield
        finally:
            with self._lock:
                self._coming -= size

    @contextmanager
    def using(self, session: Session) -> Iterator[Session]:
        """A session that is at work, and so is not ended."""
        with self._lock:
            session.busy += 1
        try:
            yield session
        finally:
            with self._lock:
                session.busy -= 1
                session.used = time.monotonic()

    def _end_one(self, holding: bool = False) -> bool:
        """End the best session to end; with ``holding`` only one that gives back room. Whether there was one."""
        idle = [session for session in self._open.values() if session.busy == 0]
        empty = [] if holding else [session for session in idle if not session.size]
        rested = [session for session in idle if session.size and time.monotonic() - session.used >= self._rest]
        for session in [*empty, *rested][:1]:
            del self._open[session.id]
            session.close()
            return True
        return False

    def close(self) -> None:
        """End all."""
        with self._lock:
            for session in self._open.values():
                session.close()
            self._open.clear()

    def __len__(self) -> int:
        return len(self._open)
