"""The stored vectors: a table of the database, one row for all pages of equal content, each with a checksum."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from operator import itemgetter
from typing import get_args

import numpy as np

from ..embedding.embedder import Vectors
from ..errors import IndexCorruptError
from .database import ADVICE, Database
from .log import PORTION, in_portions
from .max_sim import Bags
from .precision import Form, Precision
from .record import digest

TABLE = """
CREATE TABLE vectors (content TEXT NOT NULL PRIMARY KEY, data BLOB NOT NULL, checksum BLOB NOT NULL);
"""


class VectorTable:
    """Vectors by content hash, in whichever `Form` the index keeps them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # -- reading --------------------------------------------------------------------------------------------------------

    def count(self, form: Form) -> int:
        """Number of vectors."""
        return int(self._database.rows("SELECT coalesce(sum(length(data)), 0) FROM vectors")[0][0]) // form.size

    def contents(self) -> list[str]:
        """All content hashes that can be one."""
        rows = self._database.rows("SELECT content FROM vectors ORDER BY content")
        return [content for (content,) in rows if isinstance(content, str)]

    def readable(self) -> bool:
        """Whether it is empty, or one of its first rows is sound in some form."""
        rows = self._database.rows(f"SELECT content, data, checksum FROM vectors LIMIT {PORTION}")
        forms = [Form(1, precision) for precision in get_args(Precision)]
        return not rows or any(
            isinstance(content, str) and _checksum(content, data, form) == checksum
            for content, data, checksum in rows for form in forms
        )  # fmt: skip

    def of(self, contents: Iterable[str], form: Form) -> dict[str, Vectors]:
        """By content hash, float32 [n, dim], checked."""
        found = {}
        for portion in in_portions(dict.fromkeys(contents)):
            sql = "SELECT content, data, checksum FROM vectors WHERE content IN (SELECT value FROM json_each(?))"
            for content, data, checksum in self._database.rows(sql, json.dumps(portion)):
                found[content] = form.unpack(self._checked(content, data, checksum, form))
        return found

    def bags(self, rows: Sequence[int], form: Form) -> Bags:
        """The vectors of these rows of pages, those that exist, in order of row and checked; no text is read."""
        found: list[tuple[int, bytes]] = []
        for portion in in_portions(rows):
            # a damaged content hash finds no vectors, so the rows' own checksums need not be read
            sql = (
                "SELECT row, id, content, data, vectors.checksum FROM pages LEFT JOIN vectors USING (content)"
                " WHERE row IN (SELECT value FROM json_each(?))"
            )
            for row, page_id, content, data, checksum in self._database.rows(sql, json.dumps(portion)):
                if data is None:
                    raise IndexCorruptError(f"the vectors of page {page_id} are gone; {ADVICE}")
                found.append((row, self._checked(content, data, checksum, form)))
        found.sort(key=itemgetter(0))  # SQLite would carry all the vectors through its sorter
        counts = np.array([len(data) // form.size for _, data in found], dtype=np.int64)
        vectors = form.unpack(b"".join(data for _, data in found))
        return Bags(np.array([row for row, _ in found], dtype=np.int64), counts, vectors)

    def missing(self, contents: Iterable[str]) -> set[str]:
        """Those of these content hashes that have no vectors here."""
        missing = set(contents)
        for portion in in_portions(list(missing)):
            sql = "SELECT content FROM vectors WHERE content IN (SELECT value FROM json_each(?))"
            missing.difference_update(content for (content,) in self._database.rows(sql, json.dumps(portion)))
        return missing

    # -- writing, within a transaction ------------------------------------------------------------------------------------

    def put(self, content: str, vectors: Vectors, form: Form) -> None:
        """Store vectors [n, dim] for a content hash."""
        data = form.pack(vectors)
        self._database.rows("INSERT OR REPLACE INTO vectors VALUES (?, ?, ?)", content, data, _checksum(content, data, form))

    def drop_unused(self, contents: Iterable[str]) -> None:
        """Of these content hashes, forget those that no page has any more."""
        self._database.rows(
            "DELETE FROM vectors WHERE content IN (SELECT value FROM json_each(?))"
            " AND NOT EXISTS (SELECT 1 FROM pages WHERE pages.content = vectors.content)",
            json.dumps(list(contents)),
        )

    def _checked(self, content: str, data: bytes, checksum: bytes, form: Form) -> bytes:
        if _checksum(content, data, form) != checksum or len(data) % form.size:
            raise self._database.damage(f"vectors of content {content}")
        return data


def _checksum(content: str, data: bytes, form: Form) -> bytes:
    """Bytes of one form do not pass for those of another; half precision is unnamed, for so it was from the first."""
    return digest(content, data) if form.precision == "fp16" else digest(content, data, form.precision)
