"""The folder of an index on disk: its files, how it comes to be, and how it is opened."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from pathlib import Path

from ..embedding import Embedder, LexicalEmbedder
from ..errors import GlyphError, IndexCorruptError, IndexLockedError, IndexMismatchError
from .database import ADVICE
from .durable import Head, sync_folder
from .lock import WriteLock
from .precision import Precision
from .record import START, Made
from .store import SCHEMA, Store

CHECKED = 256 * 2**20
"""A database of up to so many bytes has its structure checked on opening; a larger one only by `PageIndex.verify`."""

PATIENCE = 5.0
"""Seconds that a writer waits for the lock: a process that only reads holds it while it saves what it derived."""


class IndexFolder:
    """Where an index lives: ``pages.sqlite`` and ``head.json`` are the truth; what is in `derived` may be deleted while the
    index is closed; ``lock`` is held by the one process that writes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.database = path / "pages.sqlite"
        self.head = path / "head.json"
        self.words = path / "bm25"
        self.vectors = path / "vectors.faiss"
        self.fields = path / "fields.bin"
        self.derived = (self.words, self.vectors, self.fields)
        self.files = (self.database, path / "pages.sqlite-wal", self.head, *self.derived)
        self.repaired = path / "repaired"
        self.lock = WriteLock(path / "lock")
        self.claimed = False

    def claim(self) -> None:
        """Take the write lock, to keep it until `let_go`; nothing happens when that was done before.

        Raises:
            IndexLockedError: another process, or another `PageIndex`, writes, and still does after `PATIENCE`.
            GlyphError: the folder cannot be written.
        """
        if not self.claimed:
            try:
                self.lock.acquire(wait=PATIENCE)
            except OSError as error:
                raise GlyphError(f"{self.path} cannot be written: {error.strerror or error}") from error
            self.claimed = True

    def let_go(self) -> None:
        """Undo `claim`."""
        if self.claimed:
            self.claimed = False
            self.lock.release()

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
        if self.repaired.exists():
            raise IndexCorruptError(f"the repair of {self.path} was interrupted; run: glyph index --repair -i {self.path}")
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


def open_truth(
    path: Path | None, embedder: Embedder | None, precision: Precision | None = None
) -> tuple[Store, Embedder, Made, IndexFolder | None]:
    """The truth in a folder, or a new one in memory, with an embedder that fits it, and what it is made of.

    Args:
        path: the folder; None in memory.
        embedder: None for a `LexicalEmbedder` of the recorded dim.
        precision: None for the recorded one, or ``fp16`` in a new index.

    Raises:
        QueryError: a precision that cannot be.
        IndexMismatchError, IndexCorruptError: as `PageIndex.open`.
        TypeError: no embedder.
    """
    if not (embedder is None or hasattr(embedder, "embed_pages")):
        raise TypeError(f"{embedder!r:.100} is no embedder; give a TextEmbedder or VisualEmbedder, or None for words alone")

    def made_with(name: str, kept: Precision) -> Made:
        maker = embedder or LexicalEmbedder()
        return Made(name, SCHEMA, maker.name, maker.revision, maker.dim, maker.metric, kept)

    def make(name: str) -> Made:
        return made_with(name, "fp16" if precision is None else precision)

    asked = make("")
    asked.form.check(asked.metric)
    folder = None if path is None else IndexFolder(path)
    store = folder.open(make) if folder else Store(None, None)
    try:
        if folder is None:
            store.create(make("memory"))
        elif folder.database.stat().st_size <= CHECKED and (problems := store.check_structure()):
            raise IndexCorruptError(f"{folder.database} is damaged: {problems[0]}; {ADVICE}")
        made = store.made()
        if embedder is None and made.embedder == LexicalEmbedder.name:
            embedder = LexicalEmbedder(made.dim)
        mine = made_with(made.name, made.precision if precision is None else precision)
        if mine[2:] != made[2:]:
            own = mine if embedder or precision else "the default one"
            raise IndexMismatchError(f"{path} was made with {made}, not with {own}; open it with that")
        return store, embedder or LexicalEmbedder(), made, folder
    except BaseException:
        store.close()
        raise
