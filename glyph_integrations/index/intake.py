"""Taking pages in: what is new is embedded and stored, a batch at a time."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from itertools import islice
from typing import NamedTuple

from ..embedding import Embedder
from ..embedding.embedder import Vectors, checked_vectors
from ..errors import PageFormatError
from ..page import Page
from .log import PORTION
from .precision import Form
from .ranking import Ranking
from .record import Record
from .store import Store

SPELL = 10.0
"""Seconds of embedding that an interruption may cost; a batch that would take longer is made smaller."""

FIRST = 16
"""Pages of the first batch, which tells how quick an embedder is."""


class Synced(NamedTuple):
    """What `PageIndex.sync` did: pages ``added``, ``updated`` (same content, other number, offset or metadata),
    left ``unchanged``, and ``deleted``."""

    added: int
    updated: int
    unchanged: int
    deleted: int


class Intake:
    """Writes to one `Store`, and lets what is derived follow.

    Args:
        store: the truth.
        ranking: what is derived.
        embedder: makes the vectors.
        form: they are stored in.
        writing: gives the right to write, and the lock on the other three.
    """

    def __init__(
        self,
        store: Store,
        ranking: Ranking,
        embedder: Embedder,
        form: Form,
        writing: Callable[[], AbstractContextManager[None]],
    ) -> None:
        self._form = form
        self._size = FIRST if embedder.stored else PORTION
        self._store, self._ranking, self._embedder, self._writing = store, ranking, embedder, writing

    def put(self, pages: Iterable[Page]) -> Iterator[tuple[str, str]]:
        """Store pages; yields the id of each, and what `Store.put` says, when its batch is on disk."""
        source = iter(pages)
        while batch := list(islice(source, self._size)):
            records = [Record.of(page) for page in batch]
            with self._writing():
                contents = {r.content: p for r, p in zip(records, batch, strict=True)} if self._embedder.stored else {}
                missing = self._store.vectors.missing(contents)
            # outside the lock: a slow model must not keep others from searching
            began = time.monotonic()
            new = self._embed({content: page for content, page in contents.items() if content in missing})
            self._measure(len(new), time.monotonic() - began)
            with self._writing():
                with self._store.transaction():
                    lost = self._store.vectors.missing(contents) - new.keys()  # another thread deleted them meanwhile
                    new |= self._embed({content: contents[content] for content in lost})
                    ops = [self._store.put(record) for record in records]
                    for content, vectors in new.items():
                        self._store.vectors.put(content, vectors, self._form)
                self._ranking.follow()
            yield from zip((record.id for record in records), ops, strict=True)

    def _measure(self, pages: int, seconds: float) -> None:
        """Make the next batch as large as is embedded in `SPELL` seconds."""
        if pages:
            self._size = max(1, min(PORTION, 4 * self._size, int(SPELL * pages / max(seconds, 1e-9))))

    def sync(self, source: str, pages: Iterable[Page]) -> Synced:
        """See `PageIndex.sync`."""

        def checked() -> Iterator[Page]:
            for page in pages:
                if isinstance(page, Page) and page.source != source:
                    raise PageFormatError(f"page {page.number} is of {page.source!r}; the source being synced is {source!r}")
                yield page

        done: dict[str, str] = {}
        for page_id, op in self.put(checked()):
            done.setdefault(page_id, op)
        with self._writing():
            old = [row for row, page_id in self._store.rows_of_source(source).items() if page_id not in done]
            self.delete(old)
        ops = list(done.values())
        return Synced(ops.count("put"), ops.count("set"), ops.count("same"), len(old))

    def delete(self, rows: Collection[int]) -> None:
        """Delete rows; the caller has the right to write."""
        if rows:
            with self._store.transaction():
                self._store.delete(rows)
            self._ranking.follow()

    def _embed(self, pages: Mapping[str, Page]) -> dict[str, Vectors]:
        if not pages:
            return {}
        vectors = self._embedder.embed_pages(list(pages.values()))
        return dict(zip(pages, checked_vectors(self._embedder, vectors, len(pages)), strict=True))
