"""`PageIndex`: the door to the index. All it answers comes from the truth in `store`; what is derived only finds rows."""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from os import PathLike
from pathlib import Path
from typing import Any

from ..embedding import Embedder
from ..embedding.embedder import Vectors
from ..errors import GlyphError, QueryError
from ..page import Page, PageHit
from .access import Access
from .ann import Ann
from .diversity import marginally_relevant
from .filters import parse_filter
from .folder import IndexFolder, open_truth
from .health import IndexStats, problems, stats
from .intake import Intake, Synced
from .log import PORTION
from .max_sim import Rows
from .precision import Precision
from .question import Mode, Question, check_k
from .ranking import Ranking
from .record import Made
from .repair import Repaired, repair
from .store import Store

_TRIES = 10  # to outrun another process that deletes


class PageIndex:
    """Pages, findable. Safe to use from several threads; several processes may read while one writes.

    Attributes:
        embedder: what makes the vectors.
        path: the folder, or None in memory.
        precision: how vectors are kept.
    """

    def __init__(
        self, store: Store, embedder: Embedder, made: Made, folder: IndexFolder | None, progress: bool | None = None,
        ann: Ann | None = None,
    ) -> None:  # fmt: skip
        """Use `open`."""
        self.path = folder.path if folder else None
        self.embedder = embedder
        self.precision: Precision = made.precision
        self._store = store
        self._folder = folder
        self._access = Access(folder)
        self._reading, self._writing = self._access.reading, self._access.writing
        self._ranking = Ranking(store, embedder, made, folder, self._access.guard, progress, ann)
        self._intake = Intake(store, self._ranking, embedder, made.form, self._writing)
        self._finalizer = weakref.finalize(self, _let_go, store, self._ranking, folder)  # when it was not closed
        self._ranking.bm25.start()

    @classmethod
    def open(
        cls, path: str | PathLike[str] | None = None, embedder: Embedder | None = None, progress: bool | None = None,
        ann: Ann | None = None, precision: Precision | None = None,
    ) -> PageIndex:  # fmt: skip
        """Open the index in a folder, creating both if need be; without a path, one in memory.

        ``embedder=None`` means a `LexicalEmbedder` (of the recorded dim when the index exists). The lock is taken by the first
        write, and held until `close`. When BM25 is missing or far behind, it is at once built again in the background, under
        the lock; searches that need it wait, `close` stops it, and the next `open` goes on from there. That is shown as a bar
        on standard error: with ``progress=None`` if that is a terminal. ``ann`` says how vectors are searched; see `Ann`.

        ``precision`` says how a new index keeps vectors: ``fp16`` (the default), ``int8`` (half of that) or ``bits`` (signs
        alone, a sixteenth; for the metric ``cosine``). Questions stay as they are. It is recorded, and need not be said again.

        Raises:
            IndexMismatchError: made by another embedder, dim, metric, precision or a newer schema; or the path is something
                else.
            QueryError: an unknown precision, or one that does not fit the metric.
            IndexCorruptError: the database is damaged, or behind its head file.
        """
        store, embedder, made, folder = open_truth(None if path is None else Path(path), embedder, precision)
        return cls(store, embedder, made, folder, progress, ann)

    @staticmethod
    def exists(path: str | PathLike[str]) -> bool:
        """Whether a folder holds a page index (no check of its health)."""
        return IndexFolder(Path(path)).exists

    # -- writing --------------------------------------------------------------------------------------------------------

    def add(self, pages: Iterable[Page]) -> list[str]:
        """Store pages, replacing those with the same id; returns the ids in order of input (duplicates included).

        Takes any iterable, in batches of 256, or fewer where embedding as many takes above ten seconds; each batch is one
        transaction, on disk before the next is asked for.
        A page already there with the same values costs nothing; equal content is embedded once.

        Raises:
            IndexLockedError: another process is writing.
            PageFormatError: not a page, or metadata that JSON cannot hold. Nothing of that batch is written.
            ModelError: the embedder returned other shapes than promised, or NaN. Nothing of that batch is written.
        """
        return [page_id for page_id, _ in self._intake.put(pages)]

    def sync(self, source: str, pages: Iterable[Page]) -> Synced:
        """Make these the pages of a source: add what is new, then delete the source's pages that are not among them.

        Raises:
            PageFormatError: a page of another source; else as `add`.
        """
        return self._intake.sync(source, pages)

    def delete(self, ids: Iterable[str] | None = None, *, filter: Mapping[str, Any] | None = None) -> int:
        """Delete the pages with these ids, or those that match a filter, or of these ids those that match; returns how many
        existed. Unknown ids are ignored. The filter ``{}`` matches every page.

        Raises:
            QueryError: neither ids nor a filter, one string for ids, or a filter that cannot be read; see `search`.
            IndexLockedError: another process is writing.
        """
        if ids is None and filter is None:
            raise QueryError("delete needs ids or a filter; to delete every page, give the filter {}")
        condition = None if filter is None else parse_filter(filter)
        ids = None if ids is None else list(dict.fromkeys(_several(ids)))
        with self._writing():
            rows = None if ids is None else set(self._store.rows_of(ids).values())
            if condition is not None:
                matching = set(self._ranking.matching(condition).tolist())
                rows = matching if rows is None else rows & matching
            self._intake.delete(rows or ())
            return len(rows or ())

    def delete_source(self, source: str) -> int:
        """Delete all pages of a source; returns how many there were.

        Raises:
            IndexLockedError: another process is writing.
        """
        with self._writing():
            rows = self._store.rows_of_source(source)
            self._intake.delete(rows)
            return len(rows)

    # -- reading --------------------------------------------------------------------------------------------------------

    def get(self, ids: Iterable[str]) -> list[Page]:
        """The pages with these ids, in that order; ids that are not there are skipped.

        Raises:
            QueryError: one string for ids.
            IndexCorruptError: a row failed its checksum.
        """
        ids = _several(ids)
        with self._reading():
            rows = self._store.rows_of(ids)
            records = self._store.records(rows.values())
        return [records[rows[page_id]].page() for page_id in ids if rows.get(page_id) in records]

    def pages(self, source: str | None = None, filter: Mapping[str, Any] | None = None) -> Iterator[Page]:
        """All pages in the order they were first added, read in portions; of one source, or matching a filter, if given."""
        if filter is not None:
            rows = self._matching(filter)
            for start in range(0, len(rows), PORTION):
                with self._reading():
                    records = self._store.records(rows[start : start + PORTION].tolist())
                pages = (record.page() for _, record in sorted(records.items()))
                yield from (page for page in pages if source in (None, page.source))
            return
        scan = self._store.scan(source)
        while True:
            with self._reading():
                portion = list(islice(scan, PORTION))
            yield from (record.page() for _, record in portion)
            if len(portion) < PORTION:
                return

    def ids(self, filter: Mapping[str, Any] | None = None) -> list[str]:
        """Ids of all pages, or of those matching a filter, in the order they were first added."""
        with self._reading():
            if filter is None:
                return self._store.all_ids()
            return [fields.id for fields in self._store.fields(self._matching(filter).tolist())]

    def _matching(self, filter: Mapping[str, Any]) -> Rows:
        condition = parse_filter(filter)
        with self._reading():
            return self._ranking.matching(condition)

    def sources(self) -> dict[str, int]:
        """Every source and its number of pages, by name."""
        with self._reading():
            return self._store.sources()

    def vectors(self, ids: Iterable[str]) -> list[Vectors]:
        """The vectors, float32 [n, dim], of the pages with these ids, in that order; ids that are not there are skipped.

        Raises:
            QueryError: one string for ids.
            IndexCorruptError: a row failed its checksum.
        """
        ids = _several(ids)
        found = self._vectors_of(ids)
        return [found[page_id] for page_id in ids if page_id in found]

    def _vectors_of(self, ids: Sequence[str]) -> dict[str, Vectors]:
        with self._reading():
            rows = self._store.rows_of(ids)
            found = self._ranking.vectors_of(rows.values())
        return {page_id: found[row] for page_id, row in rows.items() if row in found}

    def __len__(self) -> int:
        with self._reading():
            return self._store.count()

    def __contains__(self, page_id: object) -> bool:
        with self._reading():
            return isinstance(page_id, str) and bool(self._store.rows_of([page_id]))

    def __iter__(self) -> Iterator[Page]:
        return self.pages()

    def __bool__(self) -> bool:
        return True  # an empty index is still an index

    # -- searching ------------------------------------------------------------------------------------------------------

    def search(
        self,
        query: str | Vectors | Question,
        k: int = 5,
        filter: Mapping[str, Any] | None = None,
        mode: Mode = "hybrid",
        weight: float | None = None,
    ) -> list[PageHit]:
        """The best ``k`` pages, best first; fewer only when fewer match.

        A hit's ``score`` orders it. Its ``relevance``, cut to 0..1, is in lexical mode the BM25 score as a share of the highest
        score any page could reach; else the cosine, or mean MaxSim, of its vectors.

        Args:
            query: a question; or vectors of shape [dim] or [n, dim], which are searched densely; or a `Question`, embedded
                before, which says its own mode and weight.
            k: how many.
            filter: conditions on metadata that must all hold, such as ``{"lang": "en", "year": {"$gte": 1850}}``, or any
                other filter that `glyph_integrations.index.filters` tells of. Fields are the caller's own metadata, or
                ``glyph_id``, ``glyph_source``, ``glyph_n``; ``source`` is the page's own source where the caller gave none.
            mode: ``lexical`` (BM25), ``dense`` (vectors) or ``hybrid``: 0.7 times BM25's relevance + 0.3 times
                the similarity of the vectors, stretched so that the hundredth nearest page has 0 (a convex combination: Bruch
                et al. 2023). With a `LexicalEmbedder`, whose vectors know less than BM25, hybrid is lexical.
            weight: of the vectors in hybrid mode, 0 to 1, where not as above; `glyph_integrations.evaluation.tune` finds yours.

        Raises:
            QueryError: k below 1, an unknown mode, a weight beyond 0 to 1, vectors of another dim, or a filter with an unknown
                operator, a value that cannot be compared, or a field that no page has.
            IndexCorruptError: a row failed its checksum.
            ModelError: the embedder returned other shapes than promised, or NaN.
        """
        check_k(k)
        return self._search([Question.of(query, mode, self.embedder, weight)], k, filter)[0]

    def search_many(
        self,
        queries: Iterable[str | Vectors | Question],
        k: int = 5,
        filter: Mapping[str, Any] | None = None,
        mode: Mode = "hybrid",
        weight: float | None = None,
    ) -> list[list[PageHit]]:
        """`search` for each of several queries, with the same arguments and errors; quicker than one after the other, for FAISS
        is asked once for all, on all cores."""
        check_k(k)
        if isinstance(queries, str):  # its letters would be asked for
            raise QueryError(f"search_many takes a list of queries, not one string; give [{queries!r:.100}]")
        return self._search([Question.of(query, mode, self.embedder, weight) for query in queries], k, filter)

    def _search(self, questions: Sequence[Question], k: int, filter: Mapping[str, Any] | None) -> list[list[PageHit]]:
        condition = None if filter is None else parse_filter(filter)
        asked = [question for question in questions if not question.empty]
        if not asked:
            return [[] for _ in questions]
        if any(question.needs_words for question in asked):
            with self._reading():
                self._ranking.bm25.hasten()
            self._ranking.bm25.wait()  # dense searches and writes of other threads go on meanwhile
        with self._reading():
            for _ in range(_TRIES):
                answers = self._ranking.ranked(asked, k, None if condition is None else self._ranking.matching(condition))
                wanted = {hit.row for answer in answers for hit in answer}
                records = self._store.records(wanted)
                gone = wanted - records.keys()
                if not gone:
                    break
                self._store.check_deleted(gone)  # by another process, a moment ago: once more
        pages = {row: record.page() for row, record in records.items()}
        found = (
            [PageHit(pages[row], score, relevance) for row, score, relevance in own if row in pages][:k] for own in answers
        )
        return [[] if question.empty else next(found) for question in questions]

    def diverse(
        self,
        query: str | Vectors | Question,
        k: int = 5,
        fetch_k: int = 20,
        lambda_mult: float = 0.5,
        filter: Mapping[str, Any] | None = None,
        mode: Mode = "hybrid",
        weight: float | None = None,
    ) -> list[PageHit]:
        """``k`` of the best ``fetch_k`` pages, chosen to be near the question and unlike each other: maximal marginal
        relevance (Carbonell and Goldstein 1998), in the order chosen; scores and relevances are those of `search`.

        Args:
            query, filter, mode, weight: as for `search`.
            k: how many.
            fetch_k: how many pages to choose from; at least ``k`` are.
            lambda_mult: 0 (as different as can be) to 1 (as near as can be).

        Raises:
            QueryError: ``lambda_mult`` beyond 0 to 1; else as `search`.
        """
        check_k(k)
        question = Question.of(query, mode, self.embedder, weight)
        hits = self._search([question], max(k, fetch_k), filter)[0]
        if question.mode == "lexical":
            question = Question.of(question.text, "dense", self.embedder)
        found = self._vectors_of([hit.page.id for hit in hits])
        hits = [hit for hit in hits if hit.page.id in found]  # another process may have deleted some
        if not hits:
            return []
        with self._reading():
            asked = self._ranking.query_vectors(question)
        return [hits[i] for i in marginally_relevant(asked, [found[hit.page.id] for hit in hits], k, lambda_mult)]

    # -- checking and closing -------------------------------------------------------------------------------------------

    def verify(self, progress: bool | None = False) -> list[str]:
        """Read and check everything: rows, vectors, log of changes, derived files. Returns the problems found, one line each.
        Files that another process may be changing, since it writes, are not looked at. With ``progress``, a bar on standard
        error; None shows it if that is a terminal."""
        with self._reading():
            return problems(self._store, self._ranking, self.embedder, self._folder, progress)

    def stats(self) -> IndexStats:
        """How large the index is, what it was made of, and how far what is derived has come; nothing is brought up to date."""
        with self._reading():
            return stats(self._store, self._ranking, self._folder)

    def compact(self) -> None:
        """Drop changes from the log that nothing needs any more, and give back disk space that deleted pages left.

        `close` does the first by itself when the log holds four times more changes than there are pages.

        Raises:
            IndexLockedError: another process is writing.
            GlyphError: the disk has not as much room again as the database will take.
        """
        with self._writing():
            self._store.prune()
            self._store.shrink()

    @staticmethod
    def repair(path: str | PathLike[str], embedder: Embedder | None = None, progress: bool | None = False) -> Repaired:
        """Save a damaged index that nobody has open: keep every page and vector that passes its checksum, in a new database.

        The files as they were stay beside it, in a folder ``damaged-...``. What is derived is built again when needed. Nothing
        is made up: a page without its vectors is lost too, unless the embedder is given, which makes them again.

        Args:
            path: the folder.
            embedder: the one the index was made with; needed only for vectors that are lost, or when no one can tell what the
                index was made of.
            progress: whether to show a bar on standard error; None if that is a terminal.

        Raises:
            IndexCorruptError: nothing in it can be read.
            IndexMismatchError: made by another embedder, or a newer schema.
            IndexLockedError: somebody is writing to it.
            GlyphError: it cannot be written.
        """
        return repair(Path(path), embedder, progress)

    def close(self) -> None:
        """Write what is pending and let go of the files. Safe to call twice."""
        with self._access.guard:
            if self._access.closed:
                return
            self._access.closed = True
            try:
                self._ranking.close()
                if self._folder and self._folder.claimed:
                    with suppress(GlyphError):  # it can wait
                        self._store.prune(times=4)
            finally:
                self._finalizer()

    def __enter__(self) -> PageIndex:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def _several(ids: Iterable[str]) -> list[str]:
    if isinstance(ids, str):  # its letters would be looked for, in vain
        raise QueryError(f"ids are a list, not one string; give [{ids!r:.100}]")
    return list(ids)


def _let_go(store: Store, ranking: Ranking, folder: IndexFolder | None) -> None:
    ranking.stop()
    store.close()
    if folder:
        folder.let_go()
