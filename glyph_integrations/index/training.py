"""Training a vector index in the background, beside the one that answers meanwhile."""

from __future__ import annotations

import atexit
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np

from ..embedding.embedder import Vectors
from .ann import PER_CELL, Ann, Trained, faiss, ivf_index
from .log import PORTION
from .max_sim import Bags, Rows
from .record import Made
from .store import Store
from .vectors import BagsOf, VectorIndex

_ASKED = 256  # vectors that recall is measured with
_NEAREST = 10


class Training:
    """A thread that trains cells on a sample of the truth, fills a new index by replaying the whole log, measures its recall,
    and hands it over once it has caught up. It reads the truth in portions, under the lock that everybody uses, and works
    without it.

    Args:
        store, made, ann, bags_of: as for `VectorIndex`.
        guard: the lock on ``store``.
        old: the index in use; what there is to sample.
        done: takes the new index, under the lock.
    """

    def __init__(
        self, store: Store, made: Made, ann: Ann, bags_of: BagsOf, guard: threading.RLock,
        old: VectorIndex, done: Callable[[VectorIndex], None],
    ) -> None:  # fmt: skip
        self._store, self._made, self._ann, self._bags_of = store, made, ann, bags_of
        self._guard = guard
        self._rows, self._vectors = old.rows(), len(old)
        self._done = done
        self._stop = threading.Event()
        self.error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="glyph-training", daemon=True)
        atexit.register(self.stop)  # a thread inside FAISS must not outlive the interpreter
        self._thread.start()

    @property
    def running(self) -> bool:
        """Whether it is still at work."""
        return self._thread.is_alive()

    def stop(self) -> None:
        """Give up, unless it is done; returns within a fraction of a second. The caller may hold the lock."""
        self._stop.set()
        if self._thread is not threading.current_thread():
            self._thread.join()
        atexit.unregister(self.stop)

    def _run(self) -> None:
        try:
            faiss().omp_set_num_threads(max(1, (os.cpu_count() or 1) - 1))  # of this thread: searches want a core too
            self._train()
        except _Stopped:
            pass
        except Exception as error:
            self.error = error
        finally:
            atexit.unregister(self.stop)

    def _train(self) -> None:
        nlist = self._ann.cells(self._vectors)
        rng = np.random.default_rng(nlist)
        sample, rows = self._sample(nlist * PER_CELL + _ASKED, rng)
        asked = min(_ASKED, len(sample) // 4)
        recall = Recall(rows[:asked], sample[:asked].copy())  # what is asked takes no part in the training
        index = ivf_index(sample[asked:], nlist, self._ann.quantizer, self._stop.is_set)
        if index is None:
            return
        del sample
        new = VectorIndex(
            self._made, self._ann, index, Trained(self._vectors, self._ann.quantizer, nlist, self._ann.nlist, 1, 0)
        )
        while True:
            with self._lock():
                portion = new.read(self._store, self._bags_of)
            if portion is None:
                break
            if not new.apply(portion, self._stop.is_set):
                return
            recall.see(portion.bags)
        self._tune(new, recall)
        with self._lock():
            new.catch_up(self._store, self._bags_of)
            self._done(new)

    def _sample(self, wanted: int, rng: np.random.Generator) -> tuple[Vectors, Rows]:
        """About so many vectors, and their pages, spread over all pages."""
        wanted = min(wanted, self._vectors)
        each = -(-wanted // len(self._rows))
        rows = self._rows if each > 1 else np.sort(rng.choice(self._rows, wanted, replace=False))
        vectors, pages = [], []
        for start in range(0, len(rows), PORTION):
            with self._lock():
                bags = self._bags_of(rows[start : start + PORTION].tolist())
            ends = np.cumsum(bags.counts)
            for row, end, count in zip(bags.rows, ends, bags.counts, strict=True):
                chosen = end - count + rng.permutation(count)[:each]
                vectors.append(bags.vectors[chosen])
                pages += [row] * len(chosen)
        order = rng.permutation(len(pages))
        return np.concatenate(vectors)[order], np.array(pages, dtype=np.int64)[order]

    def _tune(self, new: VectorIndex, recall: Recall) -> None:
        """Search as few cells as reach the recall that is wanted, or all that makes a difference."""
        trained = new.trained
        assert trained is not None
        tried: list[Trained] = []
        probes = self._ann.nprobe or 1
        while True:
            new.trained = trained._replace(nprobe=min(probes, trained.nlist))
            tried.append(new.trained._replace(recall=recall.of(new, self._stopped)))
            if self._ann.nprobe or tried[-1].recall >= self._ann.recall or probes >= trained.nlist:
                break
            probes += max(1, probes // 3)
        enough = min(self._ann.recall, max(one.recall for one in tried) - 0.001)
        new.trained = next(one for one in tried if one.recall >= enough)

    @contextmanager
    def _lock(self) -> Iterator[None]:
        while not self._guard.acquire(timeout=0.05):
            self._stopped()
        try:
            self._stopped()
            yield
        finally:
            self._guard.release()
            time.sleep(0.001)  # whoever waits for the lock gets it: Python's locks know no queue

    def _stopped(self) -> None:
        if self._stop.is_set():
            raise _Stopped


class _Stopped(Exception):
    """The training is given up."""


class Recall:
    """Of some vectors the ten nearest other pages, found by comparing with every vector that passes by; what a search finds
    is measured against them.

    Args:
        rows: the pages that the vectors belong to.
        vectors: float32 [n, dim].
    """

    def __init__(self, rows: Rows, vectors: Vectors) -> None:
        self._own = rows
        self._vectors = vectors
        self._rows = np.full((len(rows), _NEAREST), -1, dtype=np.int64)
        self._scores = np.full((len(rows), _NEAREST), -np.inf, dtype=np.float32)

    def see(self, bags: Bags) -> None:
        """Compare with some more pages."""
        bags = bags.without_empty()
        scores = bags.best(self._vectors)
        scores[self._own[:, None] == bags.rows] = -np.inf
        scores = np.concatenate([self._scores, scores], axis=1)
        rows = np.concatenate([self._rows, np.broadcast_to(bags.rows, (len(self._own), len(bags.rows)))], axis=1)
        best = np.argpartition(-scores, _NEAREST - 1, axis=1)[:, :_NEAREST]
        self._rows, self._scores = np.take_along_axis(rows, best, 1), np.take_along_axis(scores, best, 1)

    def of(self, index: VectorIndex, check: Callable[[], None] = lambda: None) -> float:
        """The share of them that an index offers to be scored exactly when ten pages are asked for."""
        assert index.trained is not None
        wanted = found = 0
        alive = np.isin(self._rows, index.rows())  # some may be deleted by now
        for own, vector, rows, there in zip(self._own, self._vectors, self._rows, alive, strict=True):
            check()
            nearest = rows[there]
            hits = index.search(vector[None], index.trained.depth(_NEAREST) + 1).rows  # one more: its own page
            hits = hits[hits != own][: index.trained.depth(_NEAREST)]
            wanted, found = wanted + len(nearest), found + int(np.isin(nearest, hits).sum())
        return found / wanted if wanted else 1.0
