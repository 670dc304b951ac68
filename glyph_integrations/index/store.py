"""The truth: pages, vectors and the log of changes in one SQLite file, every row with a checksum."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from ..errors import GlyphError, IndexCorruptError, IndexMismatchError, PageFormatError
from .database import ADVICE, Database
from .durable import Head
from .log import PORTION, ChangeLog, in_portions
from .log import TABLE as CHANGES
from .precision import Form
from .record import START, Change, Fields, Made, Mark, Record, digest, to_blob, to_text
from .vector_table import TABLE as VECTORS
from .vector_table import VectorTable

SCHEMA = 1
KEPT = 1_000
"""The log of changes is not cut shorter than this."""


# The short columns come first: a filter then reads no overflow pages. Texts are blobs, for a lone surrogate is no SQL text.
# AUTOINCREMENT: a row number is never used again, so what is derived may keep it.
_TABLES = f"""
CREATE TABLE meta (value TEXT NOT NULL, checksum BLOB NOT NULL);
CREATE TABLE pages (
    row INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, content TEXT NOT NULL, source BLOB NOT NULL,
    number INTEGER NOT NULL, metadata TEXT NOT NULL, fields_checksum INTEGER NOT NULL, checksum BLOB NOT NULL,
    layout TEXT NOT NULL, text BLOB NOT NULL);
CREATE INDEX pages_by_content ON pages (content);
CREATE INDEX pages_by_source ON pages (source);
{VECTORS}{CHANGES}"""

_RECORD = ", ".join(Record._fields)
_FIELDS = ", ".join(Fields._fields)


class Store:
    """Reads and writes the one file. Not safe to use from several threads at once; `PageIndex` sees to that.

    Args:
        path: the database; None for one in memory.
        head: file of the `Head`; None in memory.

    Attributes:
        vectors: the table of them.
    """

    def __init__(self, path: Path | None, head: Path | None) -> None:
        self._path = path
        self._head = head
        self._end = START  # of the log, while a transaction writes it
        self._database = Database(path)
        self._changes = ChangeLog(self._database)
        self.vectors = VectorTable(self._database)

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    # -- what the index is ----------------------------------------------------------------------------------------------

    @property
    def empty(self) -> bool:
        """Whether nothing was ever created here."""
        return not self._rows("SELECT 1 FROM sqlite_master LIMIT 1")

    def create(self, made: Made) -> None:
        """Make the tables, all or none."""
        value = json.dumps(made._asdict())
        with self._database.transaction():
            for statement in _TABLES.split(";"):
                self._rows(statement)
            self._rows("INSERT INTO meta VALUES (?, ?)", value, digest(value))

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
        with self.snapshot():  # else another process may write between two of these
            mark, pages, known = self.mark(), self.count(), self.knows(head.mark)
        if not known or (mark == head.mark and pages != head.pages):
            if Head.read(self._head) != head:  # another process wrote, and cut the log short
                return self.check_promise()
            raise IndexCorruptError(
                f"{self._path} has lost something: it ends at change {mark.seq} with {pages} pages, but change {head.mark.seq} "
                f"with {head.pages} pages was written; {ADVICE}"
            )

    def check_structure(self) -> list[str]:
        """SQLite's own integrity check (tables against their indexes); problems, one line each."""
        return self._database.check_structure()

    # -- reading --------------------------------------------------------------------------------------------------------

    def snapshot(self) -> AbstractContextManager[None]:
        """The block reads one state, whatever other processes write meanwhile."""
        return self._database.snapshot()

    def mark(self) -> Mark:
        """The end of the log."""
        return self._changes.end()

    def knows(self, mark: Mark) -> bool:
        """Whether `changes` can go on from this mark: the log passed it, and still has what came after."""
        return self._changes.knows(mark)

    def behind(self, mark: Mark | None) -> int:
        """How many changes are to be seen after a mark; from the start when it is None or unknown."""
        return self._changes.behind(mark)

    def log_length(self) -> int:
        """Number of entries in the log."""
        return self._changes.length()

    def count(self) -> int:
        """Number of pages."""
        return int(self._rows("SELECT count(*) FROM pages")[0][0])

    def changes(self, after: Mark) -> list[Change]:
        """The next `PORTION` changes after a mark that the log knows. From `START` on, first every page as it is now."""
        return self._changes.after(after)

    def check_deleted(self, rows: Collection[int]) -> None:
        """See that these rows, which are gone, were deleted.

        Raises:
            IndexCorruptError: the log does not say so.
        """
        for row in set(rows) - self._changes.deleted(rows):
            raise IndexCorruptError(f"{self._path}: row {row} is gone, though it was not deleted; {ADVICE}")

    def rows_of(self, ids: Sequence[str]) -> dict[str, int]:
        """Row numbers of the ids that exist."""
        found: dict[str, int] = {}
        for portion in in_portions(ids):  # more is read than the id, for SQLite's index has no checksum
            sql = f"SELECT fields_checksum, {_FIELDS} FROM pages WHERE id IN (SELECT value FROM json_each(?))"
            found.update((fields.id, fields.row) for fields in self._checked(self._rows(sql, json.dumps(portion))))
        return found

    def records(self, rows: Iterable[int]) -> dict[int, Record]:
        """The records in these rows, those that exist, checked."""
        found = {}
        for portion in in_portions(rows):
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

    def fields(self, rows: Iterable[int]) -> Iterator[Fields]:
        """What filters read of the pages in these rows, those that exist, checked."""
        for portion in in_portions(rows):
            sql = f"SELECT fields_checksum, {_FIELDS} FROM pages WHERE row IN (SELECT value FROM json_each(?)) ORDER BY row"
            yield from self._checked(self._rows(sql, json.dumps(portion)))

    def scan_fields(self) -> Iterator[Fields]:
        """`fields` of all pages by row, read in portions. Pages added meanwhile may appear at the end."""
        last = 0
        while rows := self._rows(
            f"SELECT fields_checksum, {_FIELDS} FROM pages WHERE row > ? ORDER BY row LIMIT {PORTION}", last
        ):
            for fields in self._checked(rows):
                yield fields
                last = fields.row

    def _checked(self, rows: Iterable[Sequence[Any]]) -> Iterator[Fields]:
        for checksum, *columns in rows:
            fields = Fields(*columns)
            if fields.checksum() != checksum:
                raise self._damage(f"row {fields.row}")
            yield fields

    def all_ids(self) -> list[str]:
        """Every id, in order of row."""
        return [page_id for (page_id,) in self._rows("SELECT id FROM pages ORDER BY row")]

    def rows_of_source(self, source: str) -> dict[int, str]:
        """Rows and ids of a source's pages."""
        sql = f"SELECT fields_checksum, {_FIELDS} FROM pages WHERE source = ? ORDER BY row"
        return {fields.row: fields.id for fields in self._checked(self._rows(sql, to_blob(source)))}

    def sources(self) -> dict[str, int]:
        """Every source and its number of pages, in order of name."""
        rows = self._rows("SELECT source, count(*) FROM pages GROUP BY source ORDER BY source")
        return {to_text(name): n for name, n in rows}

    # -- writing --------------------------------------------------------------------------------------------------------

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All of the block or none of it; when it returns, the change is on disk and the head file says so."""
        with self._database.transaction():
            self._end = self.mark()
            yield
        self._write_head(self._end)

    def prune(self, times: int = 1) -> None:
        """When the log holds so many times more changes than there are pages, drop all but as many as there are pages."""
        keep = max(KEPT, self.count())
        if self.log_length() > times * keep:
            self._write_head(self.mark())  # a crash may have left it at a change that is about to go
            with self._database.transaction():
                self._changes.prune(keep)

    def shrink(self, least: float = 0.25) -> None:
        """Give freed space back to the disk if it is this share of the file: VACUUM, which needs as much free disk again."""
        self._database.shrink(least)

    def _write_head(self, mark: Mark) -> None:
        if self._head:
            head = Head(self.made().name, mark, self.count())
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
            row = self._database.insert(sql, *columns)
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
        self._rows(sql, record.fields(row).checksum(), checksum, row)
        self._log(op, row, checksum)
        return op

    def delete(self, rows: Iterable[int]) -> None:
        """Delete pages, and vectors that no page needs any more."""
        for portion in in_portions(rows):
            listed = json.dumps(portion)
            gone = self._rows("SELECT row, checksum, content FROM pages WHERE row IN (SELECT value FROM json_each(?))", listed)
            self._rows("DELETE FROM pages WHERE row IN (SELECT value FROM json_each(?))", listed)
            for row, checksum, _ in gone:
                self._log("del", row, checksum)
            self.vectors.drop_unused(content for _, _, content in gone)

    def _log(self, op: str, row: int, record: bytes) -> None:
        self._end = self._changes.append(self._end, op, row, record)

    # -- checks ---------------------------------------------------------------------------------------------------------

    def problems(self, form: Form, stored: bool, seen: Callable[[int], None]) -> Iterator[str]:
        """Everything wrong with what is stored, one line each; reads all of it.

        Args:
            form: of the vectors.
            stored: whether every page has to have vectors here.
            seen: is called with a number of pages read.
        """
        yield from self.check_structure()
        rows = [row for (row,) in self._rows("SELECT row FROM pages ORDER BY row")]
        for portion in in_portions(rows):
            yield from _told(portion, lambda some: self._page_problems(some, stored))
            seen(len(portion))
        for portion in in_portions(self.vectors.contents()):
            yield from _told(portion, lambda some: self._vector_problems(some, form))
        yield from self._changes.problems()

    def _vector_problems(self, contents: Collection[str], form: Form) -> list[str]:
        self.vectors.of(contents, form)  # raises
        return []

    def _page_problems(self, rows: Collection[int], stored: bool) -> list[str]:
        problems = []
        records = self.records(rows)
        without = self.vectors.missing(record.content for record in records.values()) if stored else set()
        for record in records.values():
            try:
                record.page()
            except PageFormatError as error:
                problems.append(f"page {record.id}: {error}")
            if record.content in without:
                problems.append(f"page {record.id} has no vectors")
        return problems

    def _record(self, row: int, checksum: bytes, columns: Sequence[Any]) -> Record:
        record = Record(*columns)
        if record.checksum(row) != checksum:
            raise self._damage(f"row {row}")
        return record

    def _damage(self, what: str) -> IndexCorruptError:
        return self._database.damage(what)

    def _rows(self, sql: str, *arguments: Any) -> list[Any]:
        return self._database.rows(sql, *arguments)


def _told(portion: list[Any], check: Callable[[list[Any]], list[str]]) -> Iterator[str]:
    """What a check says of a portion; if it raises, of each member alone."""
    try:
        yield from check(portion)
    except IndexCorruptError as error:
        if len(portion) == 1:
            yield str(error)
        else:
            for one in portion:
                yield from _told([one], check)
