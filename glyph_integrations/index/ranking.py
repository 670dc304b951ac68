"""Ranks rows for a query, by words and by vectors, and keeps both indexes abreast of the truth first."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from ..embedding import Embedder, LexicalEmbedder
from ..embedding.embedder import Vectors, checked_vectors
from ..errors import IndexLockedError
from .ann import Ann
from .bm25 import Bm25, Ranked
from .fields import FieldIndex
from .filters import Condition
from .folder import IndexFolder
from .log import PORTION
from .max_sim import Bags, Found, Rows, ranked
from .question import Question
from .record import START, Made
from .store import Store
from .training import Training
from .vectors import VectorIndex, VectorStats
from .words import Words

EXACT = 100_000
"""Pages under a filter that have so few vectors are scored one by one from the truth, without FAISS..."""

FEW = 2_000
"""...if they are no more pages than this: a page takes 10 microseconds to read, and FAISS 20 nanoseconds to skip."""

FOLLOWED = 1_000
"""An add that leaves more changes than this to the next search brings the vector index up to date itself."""

FUSED = 100
"""So many pages of BM25 and so many of the vectors are fused, or twice as many as are asked for."""

NEARNESS = 0.3
"""Weight of the vectors in a fusion where none is given. Chosen on English questions with a small model: see
docs/measurements.md."""


class Ranking:
    """What is derived from one `Store`. Each ranking first replays the log, so that no answer is behind the truth.

    BM25 lives on disk (see `Words`). Vectors are held by each process in memory and brought up to date there. Not safe to use
    from several threads at once: whoever calls holds ``guard``, which the training of the vector index takes in between.

    Attributes:
        bm25: its upkeep.
    """

    def __init__(
        self, store: Store, embedder: Embedder, made: Made, folder: IndexFolder | None, guard: threading.RLock,
        progress: bool | None = None, ann: Ann | None = None,
    ) -> None:  # fmt: skip
        self._store = store
        self._embedder = embedder
        self._made = made
        self._folder = folder
        self.bm25 = Words(store, made, folder, progress)
        self._guard = guard
        self._ann = (ann or Ann()) if embedder.stored else Ann(kind="flat")
        self._dense: VectorIndex | None = None
        self._fields: FieldIndex | None = None
        self._training: Training | None = None
        self._warned = False
        self._seen = store.mark()

    # -- ranking --------------------------------------------------------------------------------------------------------

    def ranked(self, questions: Sequence[Question], limit: int, rows: Rows | None = None) -> list[list[Ranked]]:
        """For each question the best pages, at least ``limit`` if there are so many, among ``rows`` (sorted) if given."""
        near: dict[int, list[Ranked]] = {}
        for mode, depth in (("dense", limit), ("hybrid", max(FUSED, 2 * limit))):
            asked = {i: own.vectors for i, own in enumerate(questions) if own.mode == mode and own.vectors is not None}
            near |= zip(asked, self.by_vectors(list(asked.values()), depth, rows), strict=True)
        return [self._ranked(question, limit, rows, near.get(i, [])) for i, question in enumerate(questions)]

    def _ranked(self, question: Question, limit: int, rows: Rows | None, near: list[Ranked]) -> list[Ranked]:
        if question.mode == "lexical":
            return self.by_words(question.text, limit, rows)
        if question.vectors is None:
            vectors = self.query_vectors(question)
            # a page that shares nothing with the question is no answer to it
            return [hit for hit in self.by_vectors([vectors], limit, rows)[0] if hit.score > 0]
        return near if question.mode == "dense" else self.fused(question, near, limit, rows)

    def query_vectors(self, question: Question) -> Vectors:
        """The vectors of a question, those of a `LexicalEmbedder` weighted by rarity."""
        if question.vectors is not None:
            return question.vectors
        assert isinstance(self._embedder, LexicalEmbedder)
        return self._embedder.embed_query(question.text, idf=self.words().idf)

    def by_words(self, query: str, limit: int, rows: Rows | None = None) -> list[Ranked]:
        """BM25: pages that share a feature with the query, among ``rows`` if given. Relevance: see `Bm25.search`."""
        return self.words().search(query, limit, rows)

    def by_vectors(self, queries: Sequence[Vectors], limit: int, rows: Rows | None = None) -> list[list[Ranked]]:
        """For each question, vectors [n, dim], the best pages by MaxSim, among ``rows`` (sorted) if given. FAISS is asked once
        for all."""
        if not queries:
            return []
        dense = self.vectors()
        depths = [self._depth(dense, query, limit, rows) for query in queries]
        asked = [query for query, depth in zip(queries, depths, strict=True) if depth]
        found = iter(dense.search_many(asked, max(depths), rows))
        hits = []
        for query, depth in zip(queries, depths, strict=True):
            near = next(found).best(depth) if depth else None
            if near is None or not dense.exact(query):
                among = near.rows if near else dense.rows() if rows is None else rows
                near = self.exact(query, among if len(query) else among[:0])
            hits.append(_hits(near, limit))
        return hits

    def _depth(self, dense: VectorIndex, query: Vectors, limit: int, rows: Rows | None) -> int:
        """How many pages FAISS is to find; 0 where it is not asked, and each page is scored from the truth."""
        depth = limit if dense.exact(query) else dense.depth(query, limit)
        possible = dense.pages if rows is None else len(rows)
        few = rows is not None and possible <= FEW and possible * dense.per_page <= EXACT
        rough = (len(query) > 1 or dense.pooled) and possible <= 2 * depth
        return 0 if not len(query) or (self._embedder.stored and (few or rough) and not dense.exact(query)) else depth

    def fused(self, question: Question, near: list[Ranked], limit: int, rows: Rows | None = None) -> list[Ranked]:
        """Both, by a convex combination of their scores (Bruch, Gai and Ingber 2023, "An Analysis of Fusion Functions for
        Hybrid Retrieval"): ``1 - weight`` times BM25's relevance, 0 beyond its best 100, plus ``weight`` times the MaxSim,
        stretched so that the hundredth nearest page has 0 and a cosine of 1 stays 1: models differ in how high their cosines
        lie. Relevance is that of the vectors. ``near`` are the best pages by these."""
        assert question.vectors is not None
        nearness = NEARNESS if question.weight is None else question.weight
        words = self.by_words(question.text, max(FUSED, 2 * limit), rows)
        similar = {hit.row: hit.score for hit in near}
        others = np.array(sorted(hit.row for hit in words if hit.row not in similar), dtype=np.int64)
        found = self.exact(question.vectors, others)
        similar |= dict(zip(found.rows.tolist(), found.scores.tolist(), strict=True))
        least, most = (near[:FUSED][-1].score, max(1.0, near[0].score)) if near else (0.0, 1.0)
        fused = {row: nearness * max(0.0, score - least) / max(most - least, 1e-6) for row, score in similar.items()}
        for hit in words:
            fused[hit.row] = fused.get(hit.row, 0.0) + (1 - nearness) * hit.relevance
        best = sorted(fused, key=lambda row: (-fused[row], row))[:limit]
        return [Ranked(row, fused[row], _clipped(similar.get(row, 0.0))) for row in best]

    def bags(self, rows: list[int]) -> Bags:
        """The vectors of these rows, those that exist: from the truth, or computed again where they are not stored."""
        if self._embedder.stored:
            return self._store.vectors.bags(rows, self._made.form)
        records = self._store.records(rows)
        pages = [record.page() for record in records.values()]
        vectors = checked_vectors(self._embedder, self._embedder.embed_pages(pages), len(pages))
        return Bags.of(list(records), vectors, self._made.dim)

    def vectors_of(self, rows: Iterable[int]) -> dict[int, Vectors]:
        """The vectors [n, dim] of each of these rows that exists."""
        bags = self.bags(list(rows))
        return dict(zip(bags.rows.tolist(), bags.split(), strict=True))

    def exact(self, query: Vectors, rows: Rows) -> Found:
        """All of these pages that exist and have vectors, by their true MaxSim; read in portions."""
        found = []
        step = min(PORTION, self._dense.portion) if self._dense else PORTION
        for start in range(0, len(rows), step):
            found.append(self.bags(rows[start : start + step].tolist()).max_sim(query))
        if not found:
            return Found(rows, np.zeros(0, dtype=np.float32))
        return ranked(np.concatenate([part.rows for part in found]), np.concatenate([part.scores for part in found]))

    def matching(self, condition: Condition) -> Rows:
        """The rows that meet a filter's condition, sorted, at the end of the log as it is now; see `FieldIndex.matching`."""
        return self.fields().matching(condition)

    # -- keeping up -----------------------------------------------------------------------------------------------------

    def follow(self) -> None:
        """Bring up to date after a write what searches should not have to wait for; the caller holds the write lock."""
        self.bm25.follow()
        if not self._embedder.stored:
            return
        if self._dense is None and self._store.mark().seq - self._seen.seq > FOLLOWED:
            self._dense = self._load()
        if self._dense is not None:
            self._dense.catch_up(self._store, self.bags, 4)  # after an add a portion; more while there is a backlog
            self._train()
            if self._dense.unsaved * 2 > len(self._dense):
                self._save_vectors()

    def words(self) -> Bm25:
        """BM25, at or after the end of the log as it is now."""
        return self.bm25.current()

    def vectors(self) -> VectorIndex:
        """The vector index, at the end of the log as it is now."""
        if self._dense is None:
            self._dense = self._load()
        with self._store.snapshot():
            self._dense.catch_up(self._store, self.bags)
        self._train()
        if self._dense.unsaved * 10 > len(self._dense):
            self._save_vectors()
        return self._dense

    def fields(self) -> FieldIndex:
        """The index of metadata, at the end of the log as it is now."""
        if self._fields is None:
            self._fields = FieldIndex(self._folder.fields if self._folder else None, self._made)
        with self._store.snapshot():
            self._fields.catch_up(self._store)
        if self._fields.unsaved > max(1000, len(self._fields) // 10):
            self._save_fields()
        return self._fields

    def problems(self, alone: bool = True) -> list[str]:
        """What is wrong with what is derived. Vectors are looked at only where they were derived before, and BM25 only if no
        other process may be changing it (``alone``)."""
        with self._store.snapshot():
            return list(self._problems(alone))

    def _problems(self, alone: bool) -> Iterator[str]:
        rows = {fields.row for fields in self._store.scan_fields()}
        if alone and self.words().rows() != rows:
            yield "BM25 does not hold the stored pages; close the index and delete its folder 'bm25'"
        derived = (self._dense is not None and self._dense.mark != START) or (self._folder and self._folder.vectors.exists())
        if derived:
            found = set(self.vectors().rows().tolist())
            if not found <= rows or any(self._has_vectors(row) for row in rows - found):
                yield "the vector index does not hold the stored pages; close the index and delete 'vectors.faiss'"
        derived = self._fields is not None or (self._folder and self._folder.fields.exists())
        if derived and set(self.fields().rows().tolist()) != rows:
            yield "the index of metadata does not hold the stored pages; close the index and delete 'fields.bin'"

    def stop(self) -> None:
        """Give up what goes on in the background."""
        self.bm25.stop()
        if self._training:
            self._training.stop()

    def close(self) -> None:
        """Write what is pending."""
        self.bm25.close()
        self.stop()
        if self._dense and self._dense.unsaved * 100 > len(self._dense):  # what is less is sooner replayed than written
            self._save_vectors()
        if self._fields is not None:
            if self._fields.unsaved * 100 > len(self._fields):
                self._save_fields()
            self._fields.close()

    def stats(self) -> VectorStats:
        """How vectors are searched, as of now; nothing is brought up to date."""
        training = self._training is not None and self._training.running
        if self._dense is None:
            self._dense = self._load()
        return self._dense.stats(self._ann, training)

    def _load(self) -> VectorIndex:
        return VectorIndex.load(self._folder.vectors if self._folder else None, self._made, self._ann)

    def _train(self) -> None:
        dense = self._dense
        if dense is None or not self._ann.wants(len(dense), dense.trained) or (self._training and self._training.running):
            return
        if self._training and (error := self._training.error):
            if not self._warned:
                warnings.warn(f"vectors stay in a flat index, for its training failed: {error}", RuntimeWarning, stacklevel=2)
            self._warned = True
            return

        def done(new: VectorIndex) -> None:
            self._dense = new

        self._training = Training(self._store, self._made, self._ann, self.bags, self._guard, dense, done)

    def _has_vectors(self, row: int) -> bool:
        return bool(self.bags([row]).counts.any())

    def _save_vectors(self) -> None:
        if not self._dense or not self._folder:
            return
        try:
            with self._folder.lock.holding():
                self._dense.save(self._folder.vectors)
        except (IndexLockedError, OSError):
            pass  # the process that writes saves its own; this one keeps what it has in memory

    def _save_fields(self) -> None:
        if self._fields is None or not self._folder:
            return
        try:
            with self._folder.lock.holding():
                self._fields.save()
        except (IndexLockedError, OSError):
            pass  # as above


def _hits(found: Found, limit: int) -> list[Ranked]:
    pairs = zip(found.rows[:limit].tolist(), found.scores[:limit].tolist(), strict=True)
    return [Ranked(row, score, _clipped(score)) for row, score in pairs]


def _clipped(score: float) -> float:
    return min(1.0, max(0.0, score))
