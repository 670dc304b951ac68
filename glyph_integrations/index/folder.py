"""The folder of an index on disk: its files, and how it comes to be."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from pathlib import Path

from ..errors import GlyphError, IndexCorruptError, IndexLockedError, IndexMismatchError
from .durable import Head, sync_folder
from .lock import WriteLock
from .record import START, Made
from .store import Store


class IndexFolder:
    """Where an index lives: ``pages.sqlite`` and ``head.json`` are the truth; ``bm25`` and ``vectors.faiss`` are derived and
    may be deleted while the index is closed; ``lock`` is held by the one process that writes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.database = path / "pages.sqlite"
        self.head = path / "head.json"
        self.words = path / "bm25"
        self.vectors = path / "vectors.faiss"
        self.lock = WriteLock(path / "lock")

    @property
    def exists(self) -> bool:
        """Whether an index was begun here."""
        return self.database.is_file() or self.head.is_file()

    @property
    def _begun(self) -> bool:
        return self.head.is_file() and self.database.is_file() and self.database.stat().st_size > 0

    def open(self, make: Callable[[str], Made]) -> Store:
        """The truth in this folder, checked against its head; made first if there is none.

        Args:
            make: what a new index of a given name is to be made of.

        Raises:
            IndexMismatchError: the path is a file, or a folder of something else.
            IndexCorruptError: the database is damaged or behind its head.
        """
        if self.path.exists() and not self.path.is_dir():
            raise IndexMismatchError(f"{self.path} is a file, not an index folder; give another path")
        if not self.exists and self.path.is_dir() and {entry.name for entry in self.path.iterdir()} - {"lock"}:
            raise IndexMismatchError(f"{self.path} holds other files and is no page index; give a new or empty folder")
        if not self._begun:
            self._create(make)
        store = Store(self.database, self.head)
        try:
            if store.empty:
                store.close()
                self._create(make)
                store = Store(self.database, self.head)
            store.check_promise()
        except BaseException:
            store.close()
            raise
        return store

    def _create(self, make: Callable[[str], Made]) -> None:
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self.lock.acquire(wait=10)
        except IndexLockedError:
            if self._begun:
                return  # another process made it, and goes on writing
            raise
        except OSError as error:
            raise GlyphError(f"cannot make an index in {self.path}: {error.strerror or error}") from error
        try:
            store = Store(self.database, self.head)
            try:
                if not self.head.exists():
                    if not store.empty:
                        Head.read(self.head)  # raises: a database without its head is refused
                    # the head comes first, so that a database with pages never lacks one
                    Head(uuid.uuid4().hex, START, 0).write(self.head)
                head = Head.read(self.head)
                if store.empty:
                    if head.mark != START:
                        raise IndexCorruptError(
                            f"{self.database} is missing or empty, but {head.pages} pages were written; restore it from a copy"
                        )
                    store.create(make(head.name))
                    sync_folder(self.path)
            finally:
                store.close()
        finally:
            self.lock.release()
