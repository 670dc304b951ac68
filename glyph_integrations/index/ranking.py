"""Ranks rows for a query, by words and by vectors, and keeps both indexes abreast of the truth first."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping

from ..embedding import Embedder
from ..embedding.embedder import Vectors, checked_vectors
from ..errors import IndexCorruptError, IndexLockedError
from .bm25 import Bm25, Ranked
from .folder import IndexFolder
from .record import Made, Mark, Record
from .store import Store
from .vectors import VectorIndex, max_sim

EXACT = 100_000
"""Up to so many vectors under a filter are scored one by one, without FAISS."""

WAIT = 60.0
"""Seconds a reader waits for a writer that is bringing BM25 up to date."""


class Ranking:
    """What is derived from one `Store`. Each ranking first replays the log, so that no answer is behind the truth.

    BM25 lives on disk, where only the holder of the write lock may touch it; a reader that finds it behind takes the lock for
    a moment, or waits for the process that has it. Vectors are held by each process in memory and brought up to date there.
    """

    def __init__(self, store: Store, embedder: Embedder, made: Made, folder: IndexFolder | None) -> None:
        self._store = store
        self._embedder = embedder
        self._made = made
        self._folder = folder
        self._words = Bm25(folder.words if folder else None, made.name)
        self._counted = False
        self._dense: VectorIndex | None = None

    # -- ranking --------------------------------------------------------------------------------------------------------

    def by_words(self, query: str, limit: int, rows: set[int] | None = None) -> list[Ranked]:
        """BM25: pages that share a feature with the query, among ``rows`` if given. Relevance: see `Bm25.search`."""
        return self.words().search(query, limit, rows)

    def by_vectors(self, query: Vectors, limit: int, rows: set[int] | None = None) -> list[Ranked]:
        """The best pages by `max_sim` with query vectors [n, dim], among ``rows`` if given."""
        dense = self.vectors()
        if not len(dense) or not len(query) or (rows is not None and not rows):
            return []
        if dense.single and len(query) == 1:
            return _best(dense.search(query, limit, rows), limit)
        few = rows is not None and self._embedder.stored and len(rows) * len(dense) <= EXACT * self._store.count()
        candidates: Iterable[int] = rows if rows and few else dense.search(query, max(100, 10 * limit), rows)
        return _best(self._exact(query, candidates), limit)

    def fused(self, query: str, vectors: Vectors, limit: int, rows: set[int] | None = None) -> list[Ranked]:
        """Both, fused by reciprocal rank: the sum of 1 / (60 + rank), Cormack et al. 2009. Relevance is that of the vectors."""
        depth = max(50, 2 * limit)
        fused: dict[int, float] = {}
        for leg in (self.by_words(query, depth, rows), self.by_vectors(vectors, depth, rows)):
            for rank, hit in enumerate(leg, 1):
                fused[hit.row] = fused.get(hit.row, 0.0) + 1 / (60 + rank)
        best = sorted(fused, key=lambda row: (-fused[row], row))[:limit]
        similar = self._exact(vectors, best)
        return [Ranked(row, fused[row], _clipped(similar.get(row, 0.0))) for row in best]

    def vectors_of(self, records: Mapping[int, Record]) -> dict[int, Vectors]:
        """The vectors [n, dim] of each row: from the truth, or computed again where the embedder's are not stored."""
        if not self._embedder.stored:
            pages = [record.page() for record in records.values()]
            vectors = checked_vectors(self._embedder, self._embedder.embed_pages(pages), len(pages))
            return dict(zip(records, vectors, strict=True))
        stored = self._store.vectors((record.content for record in records.values()), self._made.dim)
        for record in records.values():
            if record.content not in stored:
                raise IndexCorruptError(f"the vectors of page {record.id} are gone; restore the index folder from a copy")
        return {row: stored[record.content] for row, record in records.items()}

    def _exact(self, query: Vectors, rows: Iterable[int]) -> dict[int, float]:
        found = self.vectors_of(self._store.records(rows))
        return {row: max_sim(query, vectors) for row, vectors in found.items() if len(vectors)}

    # -- keeping up -----------------------------------------------------------------------------------------------------

    def follow(self) -> None:
        """Bring BM25 up to date after a write; the caller holds the write lock."""
        self._words.catch_up(self._store)

    def words(self) -> Bm25:
        """BM25, at or after the end of the log as it is now."""
        end = self._store.mark()
        if not self._reaches(end):
            self._write_words(end, lambda: self._words.catch_up(self._store))
        if not self._counted:
            if self._miscounts():  # sound file by file, and yet not of these pages
                self._write_words(None, self._words.discard)
                self._write_words(end, lambda: self._words.catch_up(self._store))
                if self._miscounts():
                    raise IndexCorruptError("the log of changes does not lead to the stored pages; restore from a copy")
            self._counted = True
        return self._words

    def vectors(self) -> VectorIndex:
        """The vector index, at the end of the log as it is now."""
        if self._dense is None:
            self._dense = VectorIndex(self._folder.vectors if self._folder else None, self._made)
        self._dense.catch_up(self._store, self.vectors_of)
        if self._dense.unsaved * 10 > len(self._dense):
            self._save_vectors()
        return self._dense

    def problems(self) -> list[str]:
        """What is wrong with what is derived. Vectors are looked at only where they were derived before."""
        problems = []
        rows = {row for row, _ in self._store.scan()}
        if self.words().rows() != rows:
            problems.append("BM25 does not hold the stored pages; close the index and delete its folder 'bm25'")
        if self._dense or (self._folder and self._folder.vectors.exists()):
            found = self.vectors().rows()
            if not found <= rows or any(self._has_vectors(row) for row in rows - found):
                problems.append("the vector index does not hold the stored pages; close the index and delete 'vectors.faiss'")
        return problems

    def close(self) -> None:
        """Write what is pending."""
        self._words.close()
        if self._dense and self._dense.unsaved:
            self._save_vectors()

    def _reaches(self, end: Mark) -> bool:
        mark = self._words.mark
        return mark is not None and mark.seq >= end.seq and self._store.knows(mark)

    def _has_vectors(self, row: int) -> bool:
        return any(len(vectors) for vectors in self.vectors_of(self._store.records([row])).values())

    def _miscounts(self) -> bool:
        end = self._store.mark()
        differs = self._words.mark == end and self._words.pages != self._store.count()
        return differs and self._store.mark() == end

    def _write_words(self, end: Mark | None, act: Callable[[], None]) -> None:
        lock = self._folder.lock if self._folder else None
        if lock is None or lock.held:
            act()
            return
        patience = time.monotonic() + WAIT
        while True:
            try:
                lock.acquire(wait=0.02)
                break
            except IndexLockedError:
                if end and self._reaches(end):
                    return
                if time.monotonic() > patience:
                    raise
            except OSError:  # nobody can write here: BM25 in memory
                self._words = Bm25(None, self._made.name)
                self._words.catch_up(self._store)
                return
        try:
            act()
            self._words.close()
        finally:
            lock.release()

    def _save_vectors(self) -> None:
        if not self._dense or not self._folder:
            return
        lock = self._folder.lock
        held = lock.held
        try:
            lock.acquire()
            self._dense.save()
        except (IndexLockedError, OSError):
            pass  # the process that writes saves its own; this one keeps what it has in memory
        finally:
            if not held:
                lock.release()


def _best(scores: Mapping[int, float], limit: int) -> list[Ranked]:
    best = sorted(scores, key=lambda row: (-scores[row], row))[:limit]
    return [Ranked(row, scores[row], _clipped(scores[row])) for row in best]


def _clipped(score: float) -> float:
    return min(1.0, max(0.0, score))
