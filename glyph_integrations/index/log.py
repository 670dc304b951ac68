"""The log of changes, in a table of the database: what everything derived replays, and what proves that nothing was lost."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

from ..errors import IndexCorruptError, IndexLockedError
from .database import Database
from .record import START, Change, Mark, digest

PORTION = 256
"""Rows read or written at a time."""


def in_portions(values: Iterable[Any]) -> Iterator[list[Any]]:
    """So many at a time."""
    values = list(values)
    for start in range(0, len(values), PORTION):
        yield values[start : start + PORTION]


TABLE = """
CREATE TABLE changes (
    seq INTEGER PRIMARY KEY, op TEXT NOT NULL, page INTEGER NOT NULL, record BLOB NOT NULL, checksum BLOB NOT NULL);
"""

_CHANGE = "seq, op, page, record, checksum"


class ChangeLog:
    """Entries chained by checksums. The oldest may be gone: then the first row has op ``base``, stands in the place of the last
    entry that was dropped, and counts the pages there were then in its column ``page``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # -- reading --------------------------------------------------------------------------------------------------------

    def end(self) -> Mark:
        """The mark of the last entry, checked."""
        rows = self._database.rows(f"SELECT {_CHANGE} FROM changes ORDER BY seq DESC LIMIT 2")
        if not rows:
            return START
        before = START if len(rows) < 2 else Mark(rows[1][0], _hex(rows[1][-1]))
        return self._verified(before, rows[0]).mark

    def knows(self, mark: Mark) -> bool:
        """Whether one can replay from this mark on: the log passed it, and still has what came after."""
        if mark.read:
            mark = mark.read[1]
        rows = self._database.rows("SELECT checksum FROM changes WHERE seq = ?", mark.seq)
        return mark == START or [_hex(checksum) for (checksum,) in rows] == [mark.checksum]

    def after(self, mark: Mark) -> list[Change]:
        """The next `PORTION` changes after a mark that the log knows. From the start, first every page as it is now."""
        if mark == START and (end := self.end()) != START:
            return self._pages_after(0, end)
        if mark.read:
            return self._pages_after(*mark.read)
        changes = self._entries_after(mark)
        if changes and changes[0].op == "base":
            raise IndexLockedError("the log of changes was cut short by another process just now; ask again")
        return changes

    def _pages_after(self, row: int, since: Mark) -> list[Change]:
        """Pages after a row, as entries that put them; the last page carries the mark ``since``."""
        rows = self._database.rows(f"SELECT row, checksum FROM pages WHERE row > ? ORDER BY row LIMIT {PORTION}", row)
        changes = [Change("put", row, checksum, Mark.reading(row, since)) for row, checksum in rows]
        if not changes:
            return [Change("del", 0, b"", since)]  # there is no row 0
        if len(changes) < PORTION:
            changes[-1] = changes[-1]._replace(mark=since)
        return changes

    def behind(self, mark: Mark | None) -> int:
        """How many changes come after a mark; None or one that the log does not know means from the start."""
        if mark is None or not self.knows(mark):
            mark = START
        row, since = mark.read or (0, self.end() if mark == START else mark)
        if mark.seq > 0:
            return self.end().seq - since.seq
        ((pages,),) = self._database.rows("SELECT count(*) FROM pages WHERE row > ?", row)
        return int(pages) + self.end().seq - since.seq

    def length(self) -> int:
        """Number of entries."""
        ((first, last),) = self._database.rows("SELECT min(seq), max(seq) FROM changes")
        return 0 if first is None else int(last - first + 1)

    def deleted(self, rows: Collection[int]) -> set[int]:
        """Those of these rows that the log says were deleted."""
        sql = "SELECT page FROM changes WHERE op = 'del' AND page IN (SELECT value FROM json_each(?))"
        return {row for (row,) in self._database.rows(sql, json.dumps(list(rows)))}

    # -- writing, within a transaction ------------------------------------------------------------------------------------

    def append(self, end: Mark, op: str, row: int, record: bytes) -> Mark:
        """Add an entry after the last one, which has the mark ``end``."""
        change = Change.after(end, op, row, record)
        seq, checksum = change.mark
        self._database.rows("INSERT INTO changes VALUES (?, ?, ?, ?, ?)", seq, op, row, record, bytes.fromhex(checksum))
        return change.mark

    def prune(self, keep: int) -> None:
        """Drop all entries but the last ``keep``. What is derived and older reads the pages again."""
        seq = self.end().seq - max(1, keep)
        rows = self._database.rows("SELECT checksum FROM changes WHERE seq = ?", seq)
        if not rows:
            return
        sql = (
            "SELECT (SELECT count(*) FROM pages) - (SELECT count(*) FROM changes WHERE seq > ?1 AND op = 'put')"
            " + (SELECT count(*) FROM changes WHERE seq > ?1 AND op = 'del')"
        )
        ((pages,),), ((checksum,),) = self._database.rows(sql, seq), rows
        self._database.rows("DELETE FROM changes WHERE seq <= ?", seq)
        columns = (seq, "base", pages, digest("base", seq, pages, checksum), checksum)
        self._database.rows("INSERT INTO changes VALUES (?, ?, ?, ?, ?)", *columns)

    # -- checks ---------------------------------------------------------------------------------------------------------

    def problems(self) -> Iterator[str]:
        """What is wrong with the log, or with the pages as it tells them, one line each."""
        rows = self._database.rows(f"SELECT {_CHANGE} FROM changes ORDER BY seq LIMIT 1")
        base, pages = START, 0
        try:
            if rows and rows[0][1] == "base":
                base, pages = self._verified(START, rows[0]).mark, rows[0][2]
            while changes := self._entries_after(base):
                base = changes[-1].mark
        except IndexCorruptError as error:
            yield str(error)
            return
        put, gone = (f"(SELECT page FROM changes WHERE op = '{op}')" for op in ("put", "del"))
        for (row,) in self._database.rows(
            f"SELECT page FROM changes WHERE op = 'put' AND page NOT IN {gone} AND page NOT IN (SELECT row FROM pages)"
        ):
            yield f"row {row} is gone, but the log of changes does not say it was deleted"
        for (row,) in self._database.rows(f"SELECT row FROM pages WHERE row IN {gone}"):
            yield f"row {row} is there, but the log of changes says it was deleted"
        unlogged = [row for (row,) in self._database.rows(f"SELECT row FROM pages WHERE row NOT IN {put}")]
        ((deleted,),) = self._database.rows(f"SELECT count(*) FROM changes WHERE op = 'del' AND page NOT IN {put}")
        if len(unlogged) + deleted != pages:
            if pages:
                yield f"{pages} pages are older than the log of changes, but {len(unlogged) + deleted} are told of"
            else:
                yield from (f"row {row} is not in the log of changes" for row in unlogged)

    def _entries_after(self, mark: Mark) -> list[Change]:
        changes: list[Change] = []
        sql = f"SELECT {_CHANGE} FROM changes WHERE seq > ? ORDER BY seq LIMIT {PORTION}"
        for columns in self._database.rows(sql, mark.seq):
            changes.append(self._verified(changes[-1].mark if changes else mark, columns))
        return changes

    def _verified(self, previous: Mark, columns: Sequence[Any]) -> Change:
        seq, op, row, record, checksum = columns
        if op == "base":
            if digest("base", seq, row, checksum) != record:
                raise self._database.damage(f"change {seq}")
            return Change(op, row, record, Mark(seq, _hex(checksum)))
        change = Change.after(previous, op, row, record)
        if change.mark != (seq, _hex(checksum)):
            raise self._database.damage(f"change {seq}")
        return change


def _hex(checksum: object) -> str:
    return checksum.hex() if isinstance(checksum, bytes) else "damaged"
