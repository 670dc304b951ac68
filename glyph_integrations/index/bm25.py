"""Ranking by words: a tantivy index derived from the truth, in any script."""

from __future__ import annotations

import json
import math
import shutil
import struct
import zlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..embedding.lexical import joined_features, lexical_features
from ..errors import GlyphError, MissingExtraError
from .durable import checked_json, from_checked_json, replacing
from .max_sim import Rows
from .record import START, Change, Mark, Record, to_text
from .store import Store

if TYPE_CHECKING:
    import tantivy

FORMAT = 1
"""Goes up whenever features or fields change; an index of another format is built again."""

QUERY_FEATURES = 1024
"""A longer query is searched by its rarest features."""

COMMON = 50
"""Among one page in so many or more, the best of all pages are looked through first: a set of rows costs tantivy 0.7
microseconds a row."""

_FOOTER = struct.Struct("<II")
_MAGIC = 1337
_KINDS = ("idx", "pos", "term", "store", "fast", "fieldnorm")  # files of a segment


class Ranked(NamedTuple):
    """A row that was found: the score that orders it, and its relevance, 0 to 1."""

    row: int
    score: float
    relevance: float


class Bm25:
    """BM25 (k1 1.2, b 0.75) over `lexical_features`. On disk it is a folder that records which change it has seen.

    As in Lucene, deleted pages count in the statistics until tantivy merges them away.
    Damage is found on opening by tantivy's own checksums; what does not check is thrown away and built again from the truth.

    Args:
        folder: where it lives; None in memory.
        name: of the index it is derived from.
    """

    def __init__(self, folder: Path | None, name: str) -> None:
        try:
            import tantivy
        except ImportError as error:
            raise MissingExtraError("tantivy", "all") from error
        self._tantivy = tantivy
        builder = tantivy.SchemaBuilder()
        builder.add_unsigned_field("row", indexed=True, fast=True)
        builder.add_text_field("text", tokenizer_name="whitespace", index_option="freq")
        self._schema = builder.build()
        self._folder = folder
        self._name = name
        self._mark: Mark | None = START if folder is None else None
        self._writer: tantivy.IndexWriter | None = None
        self._index: tantivy.Index | None = None
        self._searcher: tantivy.Searcher | None = None
        if folder is None:
            self._use(tantivy.Index(self._schema))

    @property
    def mark(self) -> Mark | None:
        """The change up to which searches see the truth; None when nothing sound is on disk. Another process may move it."""
        if self._folder is None or self._writer:
            return self._mark
        recorded = self.recorded
        if recorded is None or recorded == self._mark:
            return recorded
        try:
            if self._index is None:
                check_files(self._folder)
            self._use(self._index or self._tantivy.Index(self._schema, path=str(self._folder)))
        except (OSError, ValueError, KeyError, TypeError):  # damaged, or swept away by a writer just now
            self._index = self._searcher = self._mark = None
        else:
            self._mark = recorded
        return self._mark

    @property
    def pages(self) -> int:
        """How many pages can be found."""
        return int(self._searcher.num_docs) if self._searcher else 0

    @property
    def recorded(self) -> Mark | None:
        """The mark on disk, whatever the health of the files beside it."""
        if self._folder is None:
            return self._mark
        state = _state(self._folder)
        if state and (state["format"], state["index"]) == (FORMAT, self._name):
            return Mark(*state["mark"])
        return None

    def catch_up(
        self, store: Store, stop: Callable[[], bool] = lambda: False, seen: Callable[[int], None] = lambda count: None
    ) -> None:
        """Replay the log from where this stands, or from the start if the log never was there. On disk the caller holds the
        write lock.

        Replaying a change twice does no harm, so the recorded mark may lag behind a crash; it never runs ahead.

        Args:
            store: the truth.
            stop: whether to end before the next portion. What was done is kept.
            seen: is told of every portion's number of changes.

        Raises:
            GlyphError: it cannot be written.
        """
        try:
            mark = self.mark
            if mark is None or not store.knows(mark):
                self.discard()
                mark = START
            while not stop() and (changes := store.changes(mark)):
                self._record(mark, len(changes))
                self._apply(changes, store.records(change.row for change in changes if change.op == "put"))
                mark = changes[-1].mark
                self._record(mark)
                seen(len(changes))
            if self._index:
                self._use(self._index)
        except (OSError, ValueError) as error:
            self._writer = None
            message = f"BM25 in {self._folder or 'memory'} cannot be written: {error}; the pages are stored; it catches up"
            raise GlyphError(message) from error

    def _apply(self, changes: Sequence[Change], added: Mapping[int, Record]) -> None:
        writer = self._open_writer()
        # not delete_documents_by_term: it makes a signed term of a number, which matches nothing, and says nothing
        rows = [change.row for change in changes if change.op != "set"]  # the text of a row never changes
        writer.delete_documents_by_query(self._tantivy.Query.term_set_query(self._schema, "row", rows))
        for row, record in added.items():
            document = self._tantivy.Document()
            document.add_unsigned("row", row)
            document.add_text("text", joined_features(to_text(record.text)))
            writer.add_document(document)
        writer.commit()

    def discard(self) -> None:
        """Throw everything away; the next `catch_up` builds it again. On disk the caller holds the write lock."""
        self.close()
        if self._folder is None:
            self._use(self._tantivy.Index(self._schema))
        else:
            (self._folder / "state.json").unlink(missing_ok=True)  # first, for who is killed now must not leave a whole look
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder.mkdir(parents=True, exist_ok=True)
            self._use(self._tantivy.Index(self._schema, path=str(self._folder), reuse=False))
        self._record(START)

    def idf(self, feature: str) -> float:
        """``ln(1 + (N - n + 0.5) / (n + 0.5))`` for a feature on n of N pages; 0 for one on no page."""
        n = self._frequency(feature)
        return _idf(n, self.pages) if n else 0.0

    def search(self, query: str, limit: int, rows: Rows | None = None) -> list[Ranked]:
        """The best pages that share a feature with the query, best first, of ``rows`` only if given (sorted).

        Relevance is the score as a share of the highest any page could reach: BM25's limit for endless repetition of every
        feature of the query, (k1 + 1) times their summed idf, features that no page has included.
        """
        if self._searcher is None or not self.pages or (rows is not None and not len(rows)):
            return []
        counts = Counter(lexical_features(query))
        pages = self.pages
        weights = {feature: n * _idf(self._frequency(feature), pages) for feature, n in counts.items()}
        highest = 2.2 * sum(weights.values())
        chosen = sorted(weights, key=weights.__getitem__, reverse=True)[:QUERY_FEATURES]
        make, occur = self._tantivy.Query, self._tantivy.Occur
        clauses = []
        for feature in chosen:
            term = make.term_query(self._schema, "text", feature, index_option="freq")
            clauses.append((occur.Should, make.boost_query(term, float(counts[feature])) if counts[feature] > 1 else term))
        if not clauses:
            return []
        wanted = make.boolean_query(clauses)
        best = None
        if rows is None:
            best = self._top(wanted, limit)
        elif len(rows) * COMMON >= pages:
            depth = 2 * limit * pages // len(rows) + 50
            seen = self._top(wanted, depth)
            found = np.array([row for row, _ in seen], dtype=np.int64)
            kept = rows[np.minimum(np.searchsorted(rows, found), len(rows) - 1)] == found
            if np.count_nonzero(kept) >= limit or len(seen) < depth:
                best = [hit for hit, keep in zip(seen, kept, strict=True) if keep][:limit]
        if best is None:
            assert rows is not None
            among = make.const_score_query(make.term_set_query(self._schema, "row", rows.tolist()), 0.0)
            best = self._top(make.boolean_query([(occur.Must, wanted), (occur.Must, among)]), limit)
        ranked = [Ranked(row, score, min(1.0, score / highest)) for row, score in best]
        return sorted(ranked, key=lambda hit: (-hit.score, hit.row))

    def _top(self, query: tantivy.Query, limit: int) -> list[tuple[int, float]]:
        """Rows and scores, best first."""
        assert self._searcher is not None
        hits = self._searcher.search(query, limit=max(1, min(limit, self.pages)), count=False).hits
        rows = self._searcher.fast_field_values("row", [address for _, address in hits])
        return [(int(row or 0), score) for row, (score, _) in zip(rows, hits, strict=True)]

    def rows(self) -> set[int]:
        """The rows of all pages that can be found."""
        if self._searcher is None or not self.pages:
            return set()
        hits = self._searcher.search(self._tantivy.Query.all_query(), limit=self.pages, count=False).hits
        return {int(row or 0) for row in self._searcher.fast_field_values("row", [address for _, address in hits])}

    def close(self) -> None:
        """Stop writing; what was caught up is on disk."""
        if self._writer:
            self._writer.wait_merging_threads()
            self._writer = None

    def _frequency(self, feature: str) -> int:
        return int(self._searcher.doc_freq("text", feature)) if self._searcher else 0

    def _use(self, index: tantivy.Index) -> None:
        index.config_reader("manual")  # no thread that watches the folder
        index.reload()
        self._index, self._searcher = index, index.searcher()

    def _open_writer(self) -> tantivy.IndexWriter:
        if self._writer is None:
            assert self._index is not None
            self._writer = self._index.writer(heap_size=64_000_000, num_threads=1)
            if self._folder:
                self._writer.garbage_collect_files()  # a killed process leaves some, whose names would be taken
        return self._writer

    def _record(self, mark: Mark, more: int = 0) -> None:
        """Say where this stands, how many pages it has, and how many changes more may be in it after a crash."""
        self._mark = mark
        if self._folder:
            pages = _count(json.loads((self._folder / "meta.json").read_bytes()))
            state = {"format": FORMAT, "index": self._name, "mark": mark, "pages": pages, "more": more}
            with replacing(self._folder / "state.json", sync=not more) as file:
                file.write(checked_json(state))


def check_files(folder: Path) -> None:
    """Check every file of every live segment by the CRC-32 in its footer (body, JSON with ``crc``, length, 1337), and the list
    of segments, which tantivy also changes on its own when it merges some, by the number of pages in all of them.

    Raises:
        ValueError, KeyError, TypeError: a file is damaged.
        OSError: a file cannot be read.
    """
    meta, state = json.loads((folder / "meta.json").read_bytes()), _state(folder)
    if not state or abs(_count(meta) - state["pages"]) > state["more"]:
        raise ValueError(f"{folder / 'meta.json'} does not fit state.json")
    for segment in meta["segments"]:
        name = segment["segment_id"].replace("-", "")
        for kind in (*_KINDS, f"{segment['deletes']['opstamp']}.del" if segment["deletes"] else "idx"):
            _check_footer(folder / f"{name}.{kind}")  # a missing one too: some are only looked for when they are needed


def _check_footer(path: Path) -> None:
    size = path.stat().st_size
    with open(path, "rb") as file:
        file.seek(max(0, size - _FOOTER.size))
        if size < _FOOTER.size:
            raise ValueError(f"{path} is too short")
        length, magic = _FOOTER.unpack(file.read())
        left = size - _FOOTER.size - length
        if magic != _MAGIC or left < 0:
            raise ValueError(f"{path} has no footer")
        file.seek(0)
        crc = 0
        while left > 0 and (block := file.read(min(left, 1 << 20))):
            left, crc = left - len(block), zlib.crc32(block, crc)
        if json.loads(file.read(length))["crc"] != crc:
            raise ValueError(f"{path} failed its checksum")


def _state(folder: Path) -> dict[str, Any] | None:
    try:
        state: dict[str, Any] = from_checked_json((folder / "state.json").read_bytes())
        return state
    except (OSError, ValueError):
        return None


def _count(meta: Any) -> int:
    """The number of pages that a list of segments tells of."""
    return sum(
        int(segment["max_doc"]) - (segment["deletes"]["num_deleted_docs"] if segment["deletes"] else 0)
        for segment in meta["segments"]
    )


def _idf(n: int, pages: int) -> float:
    return math.log(1 + (max(0, pages - n) + 0.5) / (n + 0.5))
