"""Ranking by words: a tantivy index derived from the truth, in any script."""

from __future__ import annotations

import json
import math
import shutil
import struct
import zlib
from collections import Counter
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ..embedding import lexical_features
from ..errors import GlyphError, MissingExtraError
from .durable import replacing
from .record import START, Mark, to_text
from .store import Store

if TYPE_CHECKING:
    import tantivy

FORMAT = 1
"""Goes up whenever features or fields change; an index of another format is built again."""

QUERY_FEATURES = 1024
"""A longer query is searched by its rarest features."""

_FOOTER = struct.Struct("<II")
_MAGIC = 1337


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
        recorded = self._recorded()
        if recorded is None or recorded == self._mark:
            return recorded
        try:
            if self._index is None:
                check_segments(self._folder)
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

    def catch_up(self, store: Store) -> None:
        """Replay the log from where this stands, or from the start if the log never was there. On disk the caller holds the
        write lock.

        Replaying a change twice does no harm, so the recorded mark may lag behind a crash; it never runs ahead.

        Raises:
            GlyphError: it cannot be written.
        """
        mark = self.mark
        if mark is None or not store.knows(mark):
            self.discard()
            mark = START
        while changes := store.changes(mark):
            writer = self._open_writer()
            added = store.records(change.row for change in changes if change.op == "put")
            # not delete_documents_by_term: it makes a signed term of a number, which matches nothing, and says nothing
            rows = [change.row for change in changes if change.op != "set"]  # the text of a row never changes
            try:
                writer.delete_documents_by_query(self._tantivy.Query.term_set_query(self._schema, "row", rows))
                for row, record in added.items():
                    document = self._tantivy.Document()
                    document.add_unsigned("row", row)
                    document.add_text("text", " ".join(lexical_features(to_text(record.text))))
                    writer.add_document(document)
                writer.commit()
                mark = changes[-1].mark
                self._record(mark)
            except (OSError, ValueError) as error:
                self._writer = None
                message = f"BM25 in {self._folder or 'memory'} cannot be written: {error}; the pages are stored; it catches up"
                raise GlyphError(message) from error
        if self._index:
            self._use(self._index)

    def discard(self) -> None:
        """Throw everything away; the next `catch_up` builds it again. On disk the caller holds the write lock."""
        self.close()
        if self._folder is None:
            self._use(self._tantivy.Index(self._schema))
        else:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder.mkdir(parents=True, exist_ok=True)
            self._use(self._tantivy.Index(self._schema, path=str(self._folder), reuse=False))
        self._record(START)

    def idf(self, feature: str) -> float:
        """``ln(1 + (N - n + 0.5) / (n + 0.5))`` for a feature on n of N pages; 0 for one on no page."""
        n = self._frequency(feature)
        return _idf(n, self.pages) if n else 0.0

    def search(self, query: str, limit: int, rows: Collection[int] | None = None) -> list[Ranked]:
        """The best pages that share a feature with the query, best first, of ``rows`` only if given.

        Relevance is the score as a share of the highest any page could reach: BM25's limit for endless repetition of every
        feature of the query, (k1 + 1) times their summed idf, features that no page has included.
        """
        if self._searcher is None or not self.pages or (rows is not None and not rows):
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
        if rows is not None:
            among = make.const_score_query(make.term_set_query(self._schema, "row", list(rows)), 0.0)
            wanted = make.boolean_query([(occur.Must, wanted), (occur.Must, among)])
        hits = self._searcher.search(wanted, limit=max(1, min(limit, pages)), count=False).hits
        found = self._searcher.fast_field_values("row", [address for _, address in hits])
        ranked = [Ranked(int(row or 0), score, min(1.0, score / highest)) for (score, _), row in zip(hits, found, strict=True)]
        return sorted(ranked, key=lambda hit: (-hit.score, hit.row))

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
        return self._writer

    def _record(self, mark: Mark) -> None:
        self._mark = mark
        if self._folder:
            with replacing(self._folder / "state.json") as file:
                file.write(json.dumps({"format": FORMAT, "index": self._name, "mark": mark}).encode())

    def _recorded(self) -> Mark | None:
        assert self._folder is not None
        try:
            state: Any = json.loads((self._folder / "state.json").read_bytes())
            if (state["format"], state["index"]) == (FORMAT, self._name):
                seq, checksum = state["mark"]
                return Mark(int(seq), str(checksum))
        except (OSError, ValueError, KeyError, TypeError):
            pass
        return None


def check_segments(folder: Path) -> None:
    """Compare every file of every live tantivy segment with the CRC-32 in its footer: body, JSON with ``crc``, length, 1337.

    Raises:
        ValueError, KeyError, TypeError: a file is damaged.
        OSError: a file cannot be read.
    """
    meta = json.loads((folder / "meta.json").read_bytes())
    live = {segment["segment_id"].replace("-", "") for segment in meta["segments"]}
    for path in folder.iterdir():
        if path.name.partition(".")[0] not in live:
            continue
        data = path.read_bytes()
        if len(data) < _FOOTER.size:
            raise ValueError(f"{path} is too short")
        length, magic = _FOOTER.unpack(data[-_FOOTER.size :])
        body = len(data) - _FOOTER.size - length
        if magic != _MAGIC or body < 0:
            raise ValueError(f"{path} has no footer")
        if json.loads(data[body : -_FOOTER.size])["crc"] != zlib.crc32(memoryview(data)[:body]):
            raise ValueError(f"{path} failed its checksum")


def _idf(n: int, pages: int) -> float:
    return math.log(1 + (max(0, pages - n) + 0.5) / (n + 0.5))
