"""The truth: pages, vectors and the log of changes in one SQLite file, every row with a checksum."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from ..embedding.embedder import Vectors
from ..errors import GlyphError, IndexCorruptError, IndexLockedError, IndexMismatchError, PageFormatError
from .durable import Head
from .filters import filter_condition
from .record import START, Change, Made, Mark, Record, digest, fields_checksum, to_blob, to_text

SCHEMA = 1
PORTION = 256
"""Rows read or written at a time."""

# The short columns come first: a filter then reads no overflow pages. Texts are blobs, for a lone surrogate is no SQL text.
# AUTOINCREMENT: a row number is never used again, so what is derived may keep it.
_TABLES = """
CREATE TABLE meta (value TEXT NOT NULL, checksum BLOB NOT NULL);
CREATE TABLE pages (
    row INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, content TEXT NOT NULL, source BLOB NOT NULL,
    number INTEGER NOT NULL, metadata TEXT NOT NULL, fields_checksum INTEGER NOT NULL, checksum BLOB NOT NULL,
    layout TEXT NOT NULL, text BLOB NOT NULL);
CREATE INDEX pages_by_content ON pages (content);
CREATE INDEX pages_by_source ON pages (source);
CREATE TABLE vectors (content TEXT PRIMARY KEY, data BLOB NOT NULL, checksum BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE changes (
    seq INTEGER PRIMARY KEY, op TEXT NOT NULL, page INTEGER NOT NULL, record BLOB NOT NULL, checksum BLOB NOT NULL);
"""


_RECORD = ", ".join(Record._fields)
_CHANGE = "seq, op, page, record, checksum"


class Store:
    """Reads and writes the one file. Not safe to use from several threads at once; `PageIndex` sees to that.

    Args:
        path: the database; None for one in memory.
        head: file of the `Head`; None in memory.
    """

    def __init__(self, path: Path | None, head: Path | None) -> None:
        self._path = path
        self._head = head
        self._end = START  # of the log, while a transaction writes it
        name = path.absolute().as_uri() if path else "file::memory:"
        fixed = path is not None and path.exists() and not os.access(path.parent, os.W_OK)  # as on a read-only disk
        with self._errors():
            self._db = sqlite3.connect(
                name + ("?immutable=1" if fixed else ""), uri=True, isolation_level=None, check_same_thread=False, timeout=30
            )
            if not fixed:
                self._db.execute("PRAGMA journal_mode=WAL")
            for pragma in ("synchronous=FULL", "trusted_schema=OFF", "cell_size_check=ON", "cache_size=-16000"):
                self._db.execute(f"PRAGMA {pragma}")

    def close(self) -> None:
        """Close the database."""
        self._db.close()

    # -- what the index is ----------------------------------------------------------------------------------------------

    @property
    def empty(self) -> bool:
        """Whether nothing was ever created here."""
        return not self._rows("SELECT 1 FROM sqlite_master LIMIT 1")

    def create(self, made: Made) -> None:
        """Make the tables, all or none."""
        value = json.dumps(made._asdict())
        with self._errors():
            self._db.executescript(f"BEGIN IMMEDIATE; {_TABLES}")
            self._db.execute("INSERT INTO meta VALUES (?, ?)", (value, digest(value)))
            self._db.execute("COMMIT")

    def made(self) -> Made:
        """What the index was made of.

        Raises:
            IndexMismatchError: made by a newer version of this package.
            IndexCorruptError: cannot be read.
        """
        rows = self._rows("SELECT value, checksum FROM meta")
        if len(rows) != 1 or digest(rows[0][0]) != rows[0][1]:
            raise self._damage("its description")
        data = json.loads(rows[0][0])
        if data["schema"] > SCHEMA:
            raise IndexMismatchError(
                f"{self._path} has schema {data['schema']}, this version of glyph_integrations knows up to {SCHEMA}; upgrade it"
            )
        return Made(**data)

    def check_promise(self) -> None:
        """Compare with the head file.

        Raises:
            IndexCorruptError: the database holds less than what was promised.
        """
        if self._head is None:
            return
        head = Head.read(self._head)  # before the database, which only goes forward
        if head.name != self.made().name:
            raise IndexCorruptError(f"{self._head} belongs to another index; restore the whole folder from one copy")
        mark, pages = self.mark(), self.count()
        if not self.knows(head.mark) or (mark == head.mark and pages != head.pages):
            raise IndexCorruptError(
                f"{self._path} has lost something: it ends at change {mark.seq} with {pages} pages, but change {head.mark.seq} "
                f"with {head.pages} pages was written; restore the whole folder from a copy, or index again"
            )

    def check_structure(self) -> list[str]:
        """SQLite's own integrity check (tables against their indexes); problems, one line each."""
        try:
            return [f"database: {line}" for (line,) in self._rows("PRAGMA integrity_check(20)") if line != "ok"]
        except IndexCorruptError as error:
            return [str(error)]

    # -- reading --------------------------------------------------------------------------------------------------------

    def mark(self) -> Mark:
        """The end of the log."""
        rows = self._rows(f"SELECT {_CHANGE} FROM changes ORDER BY seq DESC LIMIT 2")
        before = START if len(rows) < 2 else Mark(rows[1][0], _hex(rows[1][-1]))
        return self._verified(before, rows[0]).mark if rows else START

    def knows(self, mark: Mark) -> bool:
        """Whether the log passed this mark."""
        rows = self._rows("SELECT checksum FROM changes WHERE seq = ?", mark.seq)
        return mark == START or [_hex(checksum) for (checksum,) in rows] == [mark.checksum]

    def count(self) -> int:
        """Number of pages."""
        return int(self._rows("SELECT count(*) FROM pages")[0][0])

    def changes(self, after: Mark) -> list[Change]:
        """The next `PORTION` changes after a mark that the log passed."""
        changes: list[Change] = []
        for columns in self._rows(f"SELECT {_CHANGE} FROM changes WHERE seq > ? ORDER BY seq LIMIT {PORTION}", after.seq):
            changes.append(self._verified(changes[-1].mark if changes else after, columns))
        return changes

    def rows_of(self, ids: Sequence[str]) -> dict[str, int]:
        """Row numbers of the ids that exist."""
        found: dict[str, int] = {}
        for portion in _portions(ids):
            sql = "SELECT id, row FROM pages WHERE id IN (SELECT value FROM json_each(?))"
            found.update(self._rows(sql, json.dumps(portion)))
        return found

    def records(self, rows: Iterable[int]) -> dict[int, Record]:
        """The records in these rows, those that exist, checked."""
        found = {}
        for portion in _portions(rows):
            sql = f"SELECT row, checksum, {_RECORD} FROM pages WHERE row IN (SELECT value FROM json_each(?))"
            for row, checksum, *columns in self._rows(sql, json.dumps(portion)):
                found[row] = self._record(row, checksum, columns)
        return found

    def scan(self, source: str | None = None) -> Iterator[tuple[int, Record]]:
        """All records by row, read in portions; of one source if given. Pages added meanwhile may appear at the end."""
        last = 0
        where, arguments = ("", ()) if source is None else ("AND source = ?", (to_blob(source),))
        while rows := self._rows(
            f"SELECT row, checksum, {_RECORD} FROM pages WHERE row > ? {where} ORDER BY row LIMIT {PORTION}", last, *arguments
        ):
            for row, checksum, *columns in rows:
                yield row, self._record(row, checksum, columns)
            last = rows[-1][0]

    def matching(self, filter: Mapping[str, Any]) -> dict[int, str]:
        """Rows and ids of the pages that match a filter, in order of row. Every page's fields are checked on the way, for
        damaged metadata would go unfound in silence."""
        condition, parameters = filter_condition(filter)
        found: dict[int, str] = {}
        with self._errors():
            cursor = self._db.execute(
                f"SELECT {condition}, fields_checksum, row, id, source, number, metadata FROM pages ORDER BY row", parameters
            )
            for matches, checksum, *fields in cursor:
                if fields_checksum(*fields) != checksum:
                    raise self._damage(f"row {fields[0]}")
                if matches:
                    found[fields[0]] = fields[1]
        return found

    def all_ids(self) -> list[str]:
        """Every id, in order of row."""
        return [page_id for (page_id,) in self._rows("SELECT id FROM pages ORDER BY row")]

    def rows_of_source(self, source: str) -> dict[int, str]:
        """Rows and ids of a source's pages."""
        return dict(self._rows("SELECT row, id FROM pages WHERE source = ? ORDER BY row", to_blob(source)))

    def sources(self) -> dict[str, int]:
        """Every source and its number of pages, in order of name."""
        rows = self._rows("SELECT source, count(*) FROM pages GROUP BY source ORDER BY source")
        return {to_text(name): n for name, n in rows}

    def vectors(self, contents: Iterable[str], dim: int) -> dict[str, Vectors]:
        """Stored vectors by content hash, float32 [n, dim], checked."""
        found = {}
        for portion in _portions(dict.fromkeys(contents)):
            sql = "SELECT content, data, checksum FROM vectors WHERE content IN (SELECT value FROM json_each(?))"
            for content, data, checksum in self._rows(sql, json.dumps(portion)):
                if digest(content, data) != checksum or len(data) % (2 * dim):
                    raise self._damage(f"vectors of content {content}")
                found[content] = np.frombuffer(data, dtype="<f2").reshape(-1, dim).astype(np.float32)
        return found

    def without_vectors(self, contents: Iterable[str]) -> set[str]:
        """Those of these content hashes that have no stored vectors."""
        missing = set(contents)
        for portion in _portions(list(missing)):
            sql = "SELECT content FROM vectors WHERE content IN (SELECT value FROM json_each(?))"
            missing.difference_update(content for (content,) in self._rows(sql, json.dumps(portion)))
        return missing

    # -- writing --------------------------------------------------------------------------------------------------------

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All of the block or none of it; when it returns, the change is on disk and the head file says so."""
        with self._errors():
            self._db.execute("BEGIN IMMEDIATE")
        try:
            self._end = self.mark()
            yield
            with self._errors():
                self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise
        if self._head:
            head = Head(self.made().name, self._end, self.count())
            try:
                head.write(self._head)
            except OSError as error:
                raise GlyphError(f"{self._head} cannot be written: {error.strerror or error}") from error

    def put(self, record: Record) -> str:
        """Insert a page, or replace the one with its id. Returns ``put``, ``set``, or ``same`` when nothing had to change."""
        old = self._rows("SELECT row, checksum FROM pages WHERE id = ?", record.id)
        if not old:
            columns = (*record, 0, b"")
            sql = f"INSERT INTO pages ({_RECORD}, fields_checksum, checksum) VALUES ({', '.join('?' * len(columns))})"
            with self._errors():
                row = self._db.execute(sql, columns).lastrowid
            assert row is not None
            op = "put"
        else:
            row, checksum = old[0]
            if checksum == record.checksum(row):
                return "same"
            assignments = ", ".join(f"{name} = ?" for name in Record._fields)
            self._rows(f"UPDATE pages SET {assignments} WHERE row = ?", *record, row)
            op = "set"
        checksum = record.checksum(row)
        sql = "UPDATE pages SET fields_checksum = ?, checksum = ? WHERE row = ?"
        self._rows(sql, record.fields_checksum(row), checksum, row)
        self._log(op, row, checksum)
        return op

    def put_vectors(self, content: str, vectors: Vectors) -> None:
        """Store vectors [n, dim] for a content hash, in half precision."""
        data = vectors.astype("<f2").tobytes()
        self._rows("INSERT OR REPLACE INTO vectors VALUES (?, ?, ?)", content, data, digest(content, data))

    def delete(self, rows: Iterable[int]) -> None:
        """Delete pages, and vectors that no page needs any more."""
        for portion in _portions(rows):
            listed = json.dumps(portion)
            gone = self._rows("SELECT row, checksum, content FROM pages WHERE row IN (SELECT value FROM json_each(?))", listed)
            self._rows("DELETE FROM pages WHERE row IN (SELECT value FROM json_each(?))", listed)
            for row, checksum, _ in gone:
                self._log("del", row, checksum)
            self._rows(
                "DELETE FROM vectors WHERE content IN (SELECT value FROM json_each(?))"
                " AND NOT EXISTS (SELECT 1 FROM pages WHERE pages.content = vectors.content)",
                json.dumps([content for _, _, content in gone]),
            )

    def _log(self, op: str, row: int, record: bytes) -> None:
        change = Change.after(self._end, op, row, record)
        seq, checksum = self._end = change.mark
        self._rows("INSERT INTO changes VALUES (?, ?, ?, ?, ?)", seq, op, row, record, bytes.fromhex(checksum))

    # -- checks ---------------------------------------------------------------------------------------------------------

    def problems(self, dim: int, stored: bool) -> Iterator[str]:
        """Everything wrong with what is stored, one line each; reads all of it."""
        yield from self.check_structure()
        for (row,) in self._rows("SELECT row FROM pages ORDER BY row"):
            try:
                for record in self.records([row]).values():
                    record.page()
                    if stored and self.without_vectors([record.content]):
                        yield f"page {record.id} has no vectors"
            except (IndexCorruptError, PageFormatError) as error:
                yield str(error)
        for (content,) in self._rows("SELECT content FROM vectors ORDER BY content"):
            try:
                self.vectors([content], dim)
            except IndexCorruptError as error:
                yield str(error)
        try:
            mark = START
            while changes := self.changes(mark):
                mark = changes[-1].mark
        except IndexCorruptError as error:
            yield str(error)
        logged = "(SELECT page FROM changes WHERE op = 'put' EXCEPT SELECT page FROM changes WHERE op = 'del')"
        for (row,) in self._rows(f"SELECT row FROM pages WHERE row NOT IN {logged}"):
            yield f"row {row} is not in the log of changes"
        for (row,) in self._rows(f"SELECT page FROM {logged} WHERE page NOT IN (SELECT row FROM pages)"):
            yield f"row {row} is gone, but the log of changes does not say it was deleted"

    def _record(self, row: int, checksum: bytes, columns: Sequence[Any]) -> Record:
        record = Record(*columns)
        if record.checksum(row) != checksum:
            raise self._damage(f"row {row}")
        return record

    def _verified(self, previous: Mark, columns: Sequence[Any]) -> Change:
        seq, op, row, record, checksum = columns
        change = Change.after(previous, op, row, record)
        if change.mark != (seq, _hex(checksum)):
            raise self._damage(f"change {seq}")
        return change

    def _damage(self, what: str) -> IndexCorruptError:
        where = self._path or "the index in memory"
        return IndexCorruptError(f"{where}: {what} failed its checksum; restore the index folder from a copy, or index again")

    def _rows(self, sql: str, *arguments: Any) -> list[Any]:
        with self._errors():
            return self._db.execute(sql, arguments).fetchall()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            message = str(error)
            if "locked" in message or "busy" in message:
                raise IndexLockedError(f"{self._path}: {message}; another process is using it") from error
            if any(word in message for word in ("full", "readonly", "unable to open", "I/O")):
                raise GlyphError(f"{self._path}: {message}") from error
            raise IndexCorruptError(f"{self._path} is damaged: {message}; restore the index folder from a copy") from error
        except sqlite3.DatabaseError as error:
            raise IndexCorruptError(f"{self._path} is damaged: {error}; restore the index folder from a copy") from error


def _portions(values: Iterable[Any]) -> Iterator[list[Any]]:
    values = list(values)
    for start in count(0, PORTION):
        if start >= len(values):
            return
        yield values[start : start + PORTION]


def _hex(checksum: object) -> str:
    return checksum.hex() if isinstance(checksum, bytes) else "damaged"
