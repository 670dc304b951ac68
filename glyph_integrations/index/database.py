"""One SQLite file: how it is opened, and what its errors mean."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..errors import GlyphError, IndexCorruptError, IndexLockedError


class Database:
    """A connection that speaks in errors of ours. Not safe to use from several threads at once.

    Args:
        path: the file, made if need be; None in memory.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        name = path.absolute().as_uri() if path else "file::memory:"
        fixed = path is not None and path.exists() and not os.access(path.parent, os.W_OK)  # as on a read-only disk
        with self.errors():
            self._db = sqlite3.connect(
                name + ("?immutable=1" if fixed else ""), uri=True, isolation_level=None, check_same_thread=False, timeout=30
            )
        try:
            with self.errors():
                if not fixed:
                    self._db.execute("PRAGMA journal_mode=WAL")
                for pragma in ("synchronous=FULL", "trusted_schema=OFF", "cell_size_check=ON", "cache_size=-16000"):
                    self._db.execute(f"PRAGMA {pragma}")
        except BaseException:
            self._db.close()
            raise

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    def rows(self, sql: str, *arguments: Any) -> list[Any]:
        """All rows of the answer."""
        with self.errors():
            return self._db.execute(sql, arguments).fetchall()

    def each(self, sql: str, *arguments: Any) -> Iterator[Any]:
        """The rows of the answer, one by one."""
        with self.errors():
            yield from self._db.execute(sql, arguments)

    def insert(self, sql: str, *arguments: Any) -> int:
        """Insert a row; returns its number."""
        with self.errors():
            row = self._db.execute(sql, arguments).lastrowid
        assert row is not None
        return row

    def script(self, sql: str) -> None:
        """Run several statements."""
        with self.errors():
            self._db.executescript(sql)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All of the block or none of it; on disk when it returns."""
        with self.errors():
            self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            with self.errors():
                self._db.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):  # the first error is the one to tell; the next opening rolls back
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
            raise

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """The block reads one state, whatever other processes write meanwhile."""
        if self._db.in_transaction:
            yield
            return
        with self.errors():
            self._db.execute("BEGIN")
        try:
            yield
        finally:
            with contextlib.suppress(sqlite3.Error):
                self._db.execute("COMMIT")

    def shrink(self, least: float) -> None:
        """Give space that deleted rows left back to the disk, if it is this share of the file or more. Needs as much free disk
        as the file will take; safe against crashes."""
        ((free,),), ((size,),) = self.rows("PRAGMA freelist_count"), self.rows("PRAGMA page_count")
        if free >= least * size:
            self.rows("VACUUM")
            self.rows("PRAGMA wal_checkpoint(TRUNCATE)")

    def check_structure(self) -> list[str]:
        """SQLite's own integrity check (tables against their indexes); problems, one line each."""
        try:
            return [f"database: {line}" for (line,) in self.rows("PRAGMA integrity_check(20)") if line != "ok"]
        except IndexCorruptError as error:
            return [str(error)]

    def damage(self, what: str) -> IndexCorruptError:
        """The error to raise for something that failed its checksum."""
        where = self.path or "the index in memory"
        return IndexCorruptError(f"{where}: {what} failed its checksum; {ADVICE}")

    @contextmanager
    def errors(self) -> Iterator[None]:
        """SQLite's errors within the block become ours."""
        try:
            yield
        except sqlite3.OperationalError as error:
            message = str(error)
            if "locked" in message or "busy" in message:
                raise IndexLockedError(f"{self.path}: {message}; another process is using it") from error
            if any(word in message for word in ("full", "readonly", "unable to open", "I/O")):
                raise GlyphError(f"{self.path}: {message}") from error
            raise IndexCorruptError(f"{self.path} is damaged: {message}; {ADVICE}") from error
        except (sqlite3.DatabaseError, UnicodeDecodeError) as error:  # a message may quote what is damaged, which is no text
            raise IndexCorruptError(f"{self.path} is damaged: {error}; {ADVICE}") from error


ADVICE = "restore the index folder from a copy, or save what is sound with: glyph index --repair -i DIR"
"""What to do about a damaged truth."""
