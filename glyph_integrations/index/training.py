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

_ASKED = 256  # vectors of questions that recall is measured with
_TOKENS = 16  # vectors of a question, where pages have as many
_BLUR = 0.7  # of another vector, in each of these
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
        self._rows, self._vectors, self._portion = old.rows(), len(old), min(PORTION, old.portion)
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
        each = max(1, min(_TOKENS, self._vectors // len(self._rows)))
        asked = rng.choice(self._rows, min(_ASKED // each, max(1, len(self._rows) // 4)), replace=False)
        recall = Recall(*self._questions(np.sort(asked), each, rng))
        sample = self._sample(np.setdiff1d(self._rows, asked), nlist * PER_CELL, rng)  # what is asked takes no part...
        if len(sample) < nlist:
            sample = self._sample(self._rows, nlist * PER_CELL, rng)  # ...unless there is hardly anything else
        index = ivf_index(sample, nlist, self._ann.quantizer, self._stop.is_set)
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

    def _questions(self, rows: Rows, each: int, rng: np.random.Generator) -> tuple[Rows, list[Vectors]]:
        """Pages, and of each so many of its vectors (or all), a question that is its own. Where they are several, each is
        blurred by one of another page, for the vectors of a real question lie beside those of any page."""
        bags = [bags.without_empty() for bags in self._read(rows)]
        questions = [own[rng.permutation(len(own))[:each]] for some in bags for own in some.split()]
        if each > 1:
            together = np.concatenate(questions)
            together += np.float32(_BLUR) * rng.permutation(together)
            questions = np.split(together, np.cumsum([len(own) for own in questions])[:-1])
        return np.concatenate([some.rows for some in bags]), questions

    def _sample(self, rows: Rows, wanted: int, rng: np.random.Generator) -> Vectors:
        """About so many of the vectors that FAISS will hold of these pages: of each page half, or more if there are too few."""
        if not len(rows):
            return np.zeros((0, self._made.dim), dtype=np.float32)
        held = self._vectors / len(self._rows)
        pages = min(len(rows), -(-wanted // max(1, int(held / 2))))
        each = -(-wanted // pages)
        chosen = np.sort(rng.choice(rows, pages, replace=False))
        vectors = [
            own[rng.permutation(len(own))[:each]]
            for bags in self._read(chosen) for own in bags.pooled(self._ann.page_vectors).split()
        ]  # fmt: skip
        return rng.permutation(np.concatenate(vectors))

    def _read(self, rows: Rows) -> Iterator[Bags]:
        for start in range(0, len(rows), self._portion):
            with self._lock():
                bags = self._bags_of(rows[start : start + self._portion].tolist())
            yield bags

    def _tune(self, new: VectorIndex, recall: Recall) -> None:
        """Search as few cells as halve the misses that are allowed, for questions from elsewhere fare worse than those made of
        pages; or all that makes a difference."""
        trained = new.trained
        assert trained is not None
        aim, tried = (1 + self._ann.recall) / 2, list[Trained]()
        probes = self._ann.nprobe or 1
        while True:
            new.trained = trained._replace(nprobe=min(probes, trained.nlist))
            tried.append(new.trained._replace(recall=recall.of(new, self._stopped)))
            if self._ann.nprobe or tried[-1].recall >= aim or probes >= trained.nlist:
                break
            probes += max(1, probes // 3)
        most = max(one.recall for one in tried)
        enough = min(aim, most - (0.005 if most > self._ann.recall + 0.005 else 0.001))
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
    """Of some questions the ten best other pages, found by comparing with every stored vector that passes by; what a search
    finds is measured against them.

    Args:
        rows: the page that each question is made of.
        questions: float32 [n, dim] each.
    """

    def __init__(self, rows: Rows, questions: list[Vectors]) -> None:
        self._own = rows
        self._questions = questions
        self._rows = np.full((len(rows), _NEAREST), -1, dtype=np.int64)
        self._scores = np.full((len(rows), _NEAREST), -np.inf, dtype=np.float32)

    def see(self, bags: Bags) -> None:
        """Compare with some more pages."""
        bags = bags.without_empty()
        sizes = np.array([len(question) for question in self._questions])
        ends = np.cumsum(sizes)
        best = bags.best(np.concatenate(self._questions))  # MaxSim, but of all questions at once
        scores = np.add.reduceat(best, ends - sizes, axis=0) / sizes[:, None]
        scores[self._own[:, None] == bags.rows] = -np.inf
        scores = np.concatenate([self._scores, scores], axis=1)
        rows = np.concatenate([self._rows, np.broadcast_to(bags.rows, (len(self._own), len(bags.rows)))], axis=1)
        top = np.argpartition(-scores, _NEAREST - 1, axis=1)[:, :_NEAREST]
        self._rows, self._scores = np.take_along_axis(rows, top, 1), np.take_along_axis(scores, top, 1)

    def of(self, index: VectorIndex, check: Callable[[], None] = lambda: None) -> float:
        """The share of them that an index offers to be scored exactly when ten pages are asked for: what the whole search
        finds, for exact scores then put them first."""
        wanted = found = 0
        alive = np.isin(self._rows, index.rows())  # some may be deleted by now
        for own, question, rows, there in zip(self._own, self._questions, self._rows, alive, strict=True):
            check()
            nearest = rows[there]
            depth = index.depth(question, _NEAREST)
            hits = index.search(question, depth + 1).best(depth + 1).rows  # one more: its own page
            hits = hits[hits != own][:depth]
            wanted, found = wanted + len(nearest), found + int(np.isin(nearest, hits).sum())
        return found / wanted if wanted else 1.0
