"""Reading a damaged database: every page that passes its checksum, and what can be told of the others."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from contextlib import suppress
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

from ..embedding.embedder import Vectors
from ..errors import GlyphError, IndexCorruptError
from .database import Database
from .durable import Head
from .log import PORTION
from .precision import Form
from .record import Made, Record, to_text
from .store import Store

_FIRST_PAGE = 4096  # bytes; SQLite's default


class LostPage(NamedTuple):
    """A page that could not be saved; its id and source where they can still be read."""

    id: str | None
    source: str | None


class Salvage:
    """A damaged database, read around the damage. Nothing is taken that does not pass its checksum.

    Args:
        path: a copy of the database, with its write-ahead log beside it; it may be written to.

    Raises:
        IndexCorruptError: it cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self._store = Store(path, None)
        self._database = Database(path)

    @classmethod
    def of(cls, database: Path, work: Path) -> Salvage:
        """Open a copy. Where the tables cannot be read, their first page (the header, and where each table begins) may be what
        is damaged: then as a new database has it, whichever serves best.

        Args:
            database: the damaged one; it is only read.
            work: an empty folder for the copy.

        Raises:
            IndexCorruptError: nothing in it can be read.
        """
        copy = work / "damaged.sqlite"

        def opened(vacuumed: bool | None) -> Salvage:
            for suffix in ("", "-wal"):
                with suppress(FileNotFoundError):
                    shutil.copyfile(f"{database}{suffix}", f"{copy}{suffix}")
            if vacuumed is not None:
                page = _first_page(copy, vacuumed)
                with open(copy, "r+b") as file:
                    file.write(page)
            return cls(copy)

        best: tuple[int, bool | None] = (0, None)
        for vacuumed in (None, False, True):
            with suppress(IndexCorruptError):
                salvage = opened(vacuumed)
                if (readable := salvage._readable()) == 4:
                    return salvage
                best = max(best, (readable, vacuumed), key=itemgetter(0))
                salvage.close()
        if best[0]:
            return opened(best[1])
        raise IndexCorruptError(f"nothing in {database} can be read; index again")

    def close(self) -> None:
        """Let go of the file."""
        self._database.close()
        self._store.close()

    def made(self) -> Made:
        """What the index was made of.

        Raises:
            IndexCorruptError, IndexMismatchError: as `Store.made`.
        """
        return self._store.made()

    def pages(self) -> int:
        """How many pages to look for."""
        return len(self._numbers())

    def records(self) -> Iterator[dict[int, Record]]:
        """Sound records by row, in portions and in order."""
        numbers = self._numbers()
        for start in range(0, len(numbers), PORTION):
            portion = numbers[start : start + PORTION]
            try:
                yield self._store.records(portion)
            except IndexCorruptError:
                found: dict[int, Record] = {}
                for row in portion:
                    with suppress(IndexCorruptError):
                        found |= self._store.records([row])
                yield found

    def vectors(self, contents: Iterable[str], form: Form) -> dict[str, Vectors]:
        """Sound vectors [n, dim] by content hash."""
        contents = list(contents)
        try:
            return self._store.vectors.of(contents, form)
        except IndexCorruptError:
            found: dict[str, Vectors] = {}
            for content in contents:
                with suppress(IndexCorruptError):
                    found |= self._store.vectors.of([content], form)
            return found

    def lost(self, kept: set[int]) -> list[LostPage]:
        """The pages that were there and are not among these rows. Told by the tables, their indexes and the log."""
        ids = {row: _text(value) for row, value in self._each("SELECT row, id FROM pages", "id")}
        sources = {row: _text(value) for row, value in self._each("SELECT row, source FROM pages", "source")}
        log = set(self._each("SELECT page, op FROM changes", "seq"))
        deleted = {row for row, op in log if op == "del"}
        rows = ids.keys() | sources.keys() | {row for row, op in log if op == "put"}
        for row, *columns in self._each("SELECT row, id, source FROM pages", "row"):
            rows.add(row)
            if row not in ids:
                ids[row] = _text(columns[0])
            if row not in sources:
                sources[row] = _text(columns[1])
        gone = sorted(row for row in rows - kept - deleted if isinstance(row, int))
        return [LostPage(ids.get(row), sources.get(row)) for row in gone]

    def complete(self, head: Path, pages: int) -> bool:
        """Whether the head file confirms that there were so many pages, and no later writes."""
        try:
            promised, end = Head.read(head), self._store.mark()
            return self._store.knows(promised.mark) and (end != promised.mark or pages == promised.pages)
        except IndexCorruptError:
            return False

    def _readable(self) -> int:
        """In how many of the four tables something sound is to be found, or nothing at all."""
        count = 0
        for table in ("meta", "changes", "pages", "vectors"):
            with suppress(GlyphError):
                count += self._is_readable(table)
        return count

    def _is_readable(self, table: str) -> bool:
        match table:
            case "meta":
                return bool(self.made())
            case "changes":
                return bool(self._store.mark())
            case "pages":
                return any(self.records()) or not self._database.rows("SELECT 1 FROM pages LIMIT 1")
        return self._store.vectors.readable()

    def _numbers(self) -> list[int] | range:
        try:
            return [row for (row,) in self._database.rows("SELECT row FROM pages ORDER BY row")]
        except IndexCorruptError:  # look for each number there can be
            queries = (("SELECT seq FROM sqlite_sequence", "seq"), ("SELECT row FROM pages", "row"),
                       ("SELECT row FROM pages", "id"), ("SELECT page FROM changes", "seq"))  # fmt: skip
            numbers = (row for query in queries for (row,) in self._each(*query) if isinstance(row, int))
            return range(1, max(numbers, default=0) + 1)

    def _each(self, sql: str, order: str) -> Iterator[Any]:
        """Rows of a query from the beginning up to the damage, then from the end back to it. An index that holds all that is
        asked for is read in place of its table."""
        for direction in ("ASC", "DESC"):
            with suppress(IndexCorruptError):
                yield from self._database.each(f"{sql} ORDER BY {order} {direction}")
                return


def _first_page(damaged: Path, vacuumed: bool) -> bytes:
    """The first page of a new database, told the size of a damaged one. Tables begin elsewhere once it was vacuumed."""
    path = damaged.with_name("new")
    store = Store(path, None)
    store.create(Made("", 0, "", "", 0, ""))
    if vacuumed:
        store.shrink(least=0)
    store.close()
    page = bytearray(path.read_bytes()[:_FIRST_PAGE])
    path.unlink()
    page[28:32] = (damaged.stat().st_size // _FIRST_PAGE).to_bytes(4, "big")
    page[32:40] = bytes(8)  # no free pages
    return bytes(page)


def _text(value: object) -> str | None:
    if isinstance(value, bytes):
        with suppress(UnicodeDecodeError):
            return to_text(value)
    return value if isinstance(value, str) else None
