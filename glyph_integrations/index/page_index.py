"""`PageIndex`: the door to the index. All it answers comes from the truth in `store`; what is derived only finds rows."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from os import PathLike
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import numpy as np

from ..embedding import Embedder, LexicalEmbedder
from ..embedding.embedder import Vectors, checked_vectors
from ..errors import GlyphError, IndexCorruptError, IndexMismatchError, PageFormatError, QueryError
from ..page import Page, PageHit
from .bm25 import Ranked
from .folder import IndexFolder
from .ranking import Ranking
from .record import Made, Record
from .store import PORTION, SCHEMA, Store

Mode = Literal["hybrid", "dense", "lexical"]

CHECKED = 256 * 2**20
"""A database of up to so many bytes has its structure checked on opening; a larger one only by `PageIndex.verify`."""


class Synced(NamedTuple):
    """What `PageIndex.sync` did: pages ``added``, ``updated`` (same content, other number, offset or metadata),
    left ``unchanged``, and ``deleted``."""

    added: int
    updated: int
    unchanged: int
    deleted: int


class PageIndex:
    """Pages, findable. Safe to use from several threads; several processes may read while one writes.

    Attributes:
        embedder: what makes the vectors.
        path: the folder, or None in memory.
    """

    def __init__(self, store: Store, embedder: Embedder, made: Made, folder: IndexFolder | None) -> None:
        """Use `open`."""
        self.path = folder.path if folder else None
        self.embedder = embedder
        self._store = store
        self._folder = folder
        self._ranking = Ranking(store, embedder, made, folder)
        self._guard = threading.RLock()
        self._closed = False

    @classmethod
    def open(cls, path: str | PathLike[str] | None = None, embedder: Embedder | None = None) -> PageIndex:
        """Open the index in a folder, creating both if need be; without a path, one in memory.

        ``embedder=None`` means a `LexicalEmbedder` (of the recorded dim when the index exists). No lock is taken until the
        first write; it is then held until `close`.

        Raises:
            IndexMismatchError: made by another embedder, dim, metric or a newer schema; or the path is something else.
            IndexCorruptError: the database is damaged, or behind its head file.
        """

        def make(name: str) -> Made:
            maker = embedder or LexicalEmbedder()
            return Made(name, SCHEMA, maker.name, maker.revision, maker.dim, maker.metric)

        folder = None if path is None else IndexFolder(Path(path))
        store = folder.open(make) if folder else Store(None, None)
        try:
            if folder is None:
                store.create(make("memory"))
            elif folder.database.stat().st_size <= CHECKED and (problems := store.check_structure()):
                raise IndexCorruptError(f"{folder.database} is damaged: {problems[0]}; restore the index folder from a copy")
            made = store.made()
            if embedder is None and made.embedder == LexicalEmbedder.name:
                embedder = LexicalEmbedder(made.dim)
            if make(made.name)[2:] != made[2:]:
                mine = make("") if embedder else "the default one"
                raise IndexMismatchError(f"{path} was made with {made}, not with {mine}; open it with that")
            return cls(store, embedder or LexicalEmbedder(), made, folder)
        except BaseException:
            store.close()
            raise

    @staticmethod
    def exists(path: str | PathLike[str]) -> bool:
        """Whether a folder holds a page index (no check of its health)."""
        return IndexFolder(Path(path)).exists

    # -- writing --------------------------------------------------------------------------------------------------------

    def add(self, pages: Iterable[Page]) -> list[str]:
        """Store pages, replacing those with the same id; returns the ids in order of input (duplicates included).

        Takes any iterable, in batches of 256; each batch is one transaction, on disk before the next is asked for.
        A page already there with the same values costs nothing; equal content is embedded once.

        Raises:
            IndexLockedError: another process is writing.
            PageFormatError: not a page, or metadata that JSON cannot hold. Nothing of that batch is written.
            ModelError: the embedder returned other shapes than promised, or NaN. Nothing of that batch is written.
        """
        return [page_id for page_id, _ in self._put(pages)]

    def sync(self, source: str, pages: Iterable[Page]) -> Synced:
        """Make these the pages of a source: add what is new, then delete the source's pages that are not among them.

        Raises:
            PageFormatError: a page of another source; else as `add`.
        """

        def checked() -> Iterator[Page]:
            for page in pages:
                if isinstance(page, Page) and page.source != source:
                    raise PageFormatError(f"page {page.number} is of {page.source!r}; the source being synced is {source!r}")
                yield page

        done: dict[str, str] = {}
        for page_id, op in self._put(checked()):
            done.setdefault(page_id, op)
        with self._writing():
            old = [row for row, page_id in self._store.rows_of_source(source).items() if page_id not in done]
            self._delete(old)
        ops = list(done.values())
        return Synced(ops.count("put"), ops.count("set"), ops.count("same"), len(old))

    def delete(self, ids: Iterable[str]) -> int:
        """Delete pages; returns how many existed. Unknown ids are ignored.

        Raises:
            IndexLockedError: another process is writing.
        """
        with self._writing():
            rows = self._store.rows_of(list(dict.fromkeys(ids)))
            self._delete(rows.values())
            return len(rows)

    def delete_source(self, source: str) -> int:
        """Delete all pages of a source; returns how many there were.

        Raises:
            IndexLockedError: another process is writing.
        """
        with self._writing():
            rows = self._store.rows_of_source(source)
            self._delete(rows)
            return len(rows)

    def _put(self, pages: Iterable[Page]) -> Iterator[tuple[str, str]]:
        source = iter(pages)
        while batch := list(islice(source, PORTION)):
            records = [Record.of(page) for page in batch]
            with self._writing():
                contents = {r.content: p for r, p in zip(records, batch, strict=True)} if self.embedder.stored else {}
                missing = self._store.without_vectors(contents)
            # outside the lock: a slow model must not keep others from searching
            new = self._embed({content: page for content, page in contents.items() if content in missing})
            with self._writing():
                with self._store.transaction():
                    lost = self._store.without_vectors(contents) - new.keys()  # another thread deleted them meanwhile
                    new |= self._embed({content: contents[content] for content in lost})
                    ops = [self._store.put(record) for record in records]
                    for content, vectors in new.items():
                        self._store.put_vectors(content, vectors)
                self._ranking.follow()
            yield from zip((record.id for record in records), ops, strict=True)

    def _delete(self, rows: Collection[int]) -> None:
        if rows:
            with self._store.transaction():
                self._store.delete(rows)
            self._ranking.follow()

    def _embed(self, pages: Mapping[str, Page]) -> dict[str, Vectors]:
        if not pages:
            return {}
        vectors = self.embedder.embed_pages(list(pages.values()))
        return dict(zip(pages, checked_vectors(self.embedder, vectors, len(pages)), strict=True))

    @contextmanager
    def _writing(self) -> Iterator[None]:
        with self._reading():
            if self._folder:
                try:
                    self._folder.lock.acquire()
                except OSError as error:
                    raise GlyphError(f"{self.path} cannot be written: {error.strerror or error}") from error
            yield

    # -- reading --------------------------------------------------------------------------------------------------------

    def get(self, ids: Iterable[str]) -> list[Page]:
        """The pages with these ids, in that order; ids that are not there are skipped.

        Raises:
            IndexCorruptError: a row failed its checksum.
        """
        ids = list(ids)
        with self._reading():
            rows = self._store.rows_of(ids)
            records = self._store.records(rows.values())
        return [records[rows[page_id]].page() for page_id in ids if rows.get(page_id) in records]

    def pages(self, source: str | None = None, filter: Mapping[str, Any] | None = None) -> Iterator[Page]:
        """All pages in the order they were first added, read in portions; of one source, or matching a filter, if given."""
        if filter is not None:
            with self._reading():
                ids = list(self._store.matching(filter).values())
            for start in range(0, len(ids), PORTION):
                yield from (page for page in self.get(ids[start : start + PORTION]) if source in (None, page.source))
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
            return self._store.all_ids() if filter is None else list(self._store.matching(filter).values())

    def sources(self) -> dict[str, int]:
        """Every source and its number of pages, by name."""
        with self._reading():
            return self._store.sources()

    def vectors(self, ids: Iterable[str]) -> list[Vectors]:
        """The vectors, float32 [n, dim], of the pages with these ids, in that order; ids that are not there are skipped."""
        ids = list(ids)
        with self._reading():
            rows = self._store.rows_of(ids)
            found = self._ranking.vectors_of(self._store.records(rows.values()))
        return [found[rows[page_id]] for page_id in ids if rows.get(page_id) in found]

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
        query: str | Vectors,
        k: int = 5,
        filter: Mapping[str, Any] | None = None,
        mode: Mode = "hybrid",
    ) -> list[PageHit]:
        """The best ``k`` pages, best first; fewer only when fewer match.

        A hit's ``score`` orders it. Its ``relevance``, cut to 0..1, is in lexical mode the BM25 score as a share of the highest
        score any page could reach; else the cosine, or mean MaxSim, of its vectors.

        Args:
            query: a question; or vectors of shape [dim] or [n, dim], which are searched densely.
            k: how many.
            filter: conditions on metadata that must all hold: ``{"field": value}`` or ``{"field": {"$in": [values]}}``.
                Fields are the caller's own metadata, or ``glyph_id``, ``glyph_source``, ``glyph_n``; ``source`` is the page's
                own source where the caller gave none. None matches a page without the field.
            mode: ``lexical`` (BM25), ``dense`` (vectors) or ``hybrid``: both, fused by reciprocal rank (1 / (60 + rank),
                Cormack et al. 2009). With a `LexicalEmbedder`, whose vectors know less than BM25, hybrid is lexical.

        Raises:
            QueryError: k below 1, an unknown mode or filter operator, or vectors of another dim.
            IndexCorruptError: a row failed its checksum.
            ModelError: the embedder returned other shapes than promised, or NaN.
        """
        if isinstance(k, bool) or not isinstance(k, int) or k < 1:
            raise QueryError(f"k={k!r}: must be a whole number from 1")
        if mode not in get_args(Mode):
            raise QueryError(f"mode={mode!r}: choose one of {', '.join(get_args(Mode))}")
        if isinstance(query, str):
            question = query
            lexical = isinstance(self.embedder, LexicalEmbedder)
            mode = "lexical" if lexical and mode == "hybrid" else mode
            if not query.strip():
                return []
            vectors = None
            if not lexical and mode != "lexical":
                vectors = checked_vectors(self.embedder, [self.embedder.embed_query(query)], 1)[0]
        else:
            question, vectors, mode = "", self._query_vectors(query), "dense"
        with self._reading():
            rows = None if filter is None else set(self._store.matching(filter))
            limit = k
            while True:
                ranked = self._ranked(question, vectors, limit, rows, mode)
                records = self._store.records(hit.row for hit in ranked)
                # what another process deleted a moment ago is ranked but gone: look further down
                if len(ranked) < limit or len(records) >= k:
                    break
                limit *= 2
        return [PageHit(records[row].page(), score, relevance) for row, score, relevance in ranked if row in records][:k]

    def _ranked(self, query: str, vectors: Vectors | None, limit: int, rows: set[int] | None, mode: Mode) -> list[Ranked]:
        if mode == "lexical":
            return self._ranking.by_words(query, limit, rows)
        if vectors is None:
            assert isinstance(self.embedder, LexicalEmbedder)
            vectors = self.embedder.embed_query(query, idf=self._ranking.words().idf)
            # a page that shares nothing with the question is no answer to it
            return [hit for hit in self._ranking.by_vectors(vectors, limit, rows) if hit.score > 0]
        if mode == "dense":
            return self._ranking.by_vectors(vectors, limit, rows)
        return self._ranking.fused(query, vectors, limit, rows)

    def _query_vectors(self, query: Vectors) -> Vectors:
        array = np.atleast_2d(np.asarray(query, dtype=np.float32))
        if array.ndim != 2 or array.shape[1] != self.embedder.dim or not len(array) or not np.isfinite(array).all():
            shape = f"[n, {self.embedder.dim}]"
            raise QueryError(f"query vectors of shape {np.shape(query)}: expected finite numbers in {shape}, n at least 1")
        return checked_vectors(self.embedder, [array], 1)[0]

    # -- checking and closing -------------------------------------------------------------------------------------------

    def verify(self) -> list[str]:
        """Read and check everything: rows, vectors, change log, derived files. Returns the problems found, one line each."""
        with self._reading():
            problems = list(self._store.problems(self.embedder.dim, self.embedder.stored))
            try:
                self._store.check_promise()
                return problems or self._ranking.problems()
            except IndexCorruptError as error:
                return [*problems, str(error)]

    def close(self) -> None:
        """Write what is pending and let go of the files. Safe to call twice."""
        with self._guard:
            if self._closed:
                return
            self._closed = True
            try:
                self._ranking.close()
            finally:
                self._store.close()
                if self._folder:
                    self._folder.lock.release()

    @contextmanager
    def _reading(self) -> Iterator[None]:
        with self._guard:
            if self._closed:
                raise GlyphError("this index is closed; open it again with PageIndex.open")
            yield

    def __enter__(self) -> PageIndex:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
