"""Which FAISS index a page index uses: every vector compared, or, past a size, only those of the nearest cells."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import sqrt
from typing import Any, Literal, NamedTuple, get_args

import numpy as np

from ..embedding.embedder import Vectors, unit
from ..errors import MissingExtraError, QueryError

Kind = Literal["auto", "flat", "ivf"]
Quantizer = Literal["fp16", "sq8", "pq"]

LEAST = 1_000
"""Vectors below which there is nothing to train on."""

GROWN = 2
"""An index trained on so many times fewer vectors than it holds is trained again."""

PER_CELL = 40
"""Vectors per cell that the cells are trained on; FAISS warns below 39."""

_ROUNDS = 8  # of k-means
_CHUNK = 4096  # vectors compared with all cells before training looks whether to stop: about 0.1 s
_PQ_SAMPLE = 16_384


@dataclass(frozen=True)
class Ann:
    """How vectors are searched (approximate nearest neighbours).

    A flat index compares the query with every vector: exact, 18 ms for 100 thousand vectors of 384 numbers on one core. An
    inverted file (IVF) compares it with those of the ``nprobe`` nearest of ``nlist`` cells, and the best pages are then scored
    exactly; it is trained in the background, and takes over once it holds everything. The recall@10 of the whole search is
    measured then, on vectors of its own pages; questions that are unlike any page may fare worse.

    Args:
        kind: ``auto`` (flat below ``threshold`` vectors, IVF from there on), ``flat``, or ``ivf`` (from 1,000 vectors on).
        threshold: for ``auto``; a page has one vector or many (see ``page_vectors``).
        recall: share of the ten nearest pages that must be found; the smallest ``nprobe`` that measures so is used.
        nlist: cells; None: 4 times the square root of the number of vectors, when trained.
        nprobe: cells searched; None: chosen for ``recall``.
        quantizer: a vector in an IVF takes ``2 * dim`` bytes (``fp16``), ``dim`` (``sq8``), or ``dim / 8`` (``pq``: product
            quantisation, for very large indexes; more candidates are then scored exactly). Flat is always ``fp16``.
        page_vectors: of a page with more vectors than this, FAISS holds so many that stand for them (`pool_roughly`), or an
            eighth of its own if that is more; more candidates are then scored exactly.

    Raises:
        QueryError: a value is out of range.
    """

    kind: Kind = "auto"
    threshold: int = 100_000
    recall: float = 0.98
    nlist: int | None = None
    nprobe: int | None = None
    quantizer: Quantizer = "sq8"
    page_vectors: int = 64

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind) or self.quantizer not in get_args(Quantizer):
            known = ", ".join((*get_args(Kind), *get_args(Quantizer)))
            raise QueryError(f"ann kind={self.kind!r}, quantizer={self.quantizer!r}: choose among {known}")
        for name in ("threshold", "nlist", "nprobe", "page_vectors"):
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
                raise QueryError(f"ann {name}={value!r}: must be a whole number from 1")
        if not 0 < self.recall <= 1:
            raise QueryError(f"ann recall={self.recall!r}: must be above 0 and at most 1")

    def cells(self, vectors: int) -> int:
        """How many cells for so many vectors."""
        return max(1, min(self.nlist or round(4 * sqrt(vectors)), vectors // PER_CELL))

    def wants(self, vectors: int, trained: Trained | None) -> bool:
        """Whether an index of so many vectors is to be trained now."""
        if self.kind == "flat" or vectors < (LEAST if self.kind == "ivf" else max(self.threshold, LEAST)):
            return False
        if trained is None or trained.quantizer != self.quantizer or (self.nlist and trained.asked != self.nlist):
            return True
        return vectors > GROWN * trained.vectors


class Trained(NamedTuple):
    """How an IVF came to be: trained when there were so many ``vectors``; its measured ``recall`` at 10 with ``nprobe``
    cells searched; ``asked`` is the number of cells the caller wished for, if any."""

    vectors: int
    quantizer: Quantizer
    nlist: int
    asked: int | None
    nprobe: int
    recall: float

    def depth(self, limit: int) -> int:
        """How many candidates to score exactly for so many hits."""
        return max(100, 10 * limit) if self.quantizer == "pq" else limit + max(10, limit // 2)


def faiss() -> Any:
    """The library.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        import faiss
    except ImportError as error:
        raise MissingExtraError("faiss-cpu", "all") from error
    return faiss


@contextmanager
def one_thread(single: bool) -> Iterator[None]:
    """Search one query on the calling thread: FAISS has nothing to share out then, but would wake its threads and wait."""
    if not single:
        yield
        return
    threads = faiss().omp_get_max_threads()
    faiss().omp_set_num_threads(1)  # of this thread only
    try:
        yield
    finally:
        faiss().omp_set_num_threads(threads)


def flat_index(dim: int) -> Any:
    """An empty index that compares a query with every vector, in half precision, the precision the truth keeps."""
    library = faiss()
    codes = library.IndexScalarQuantizer(dim, library.ScalarQuantizer.QT_fp16, library.METRIC_INNER_PRODUCT)
    index = library.IndexIDMap(codes)
    index.train(np.zeros((1, dim), dtype=np.float32))
    return index


def ivf_index(sample: Vectors, nlist: int, quantizer: Quantizer, stopped: Callable[[], bool]) -> Any:
    """An empty index with cells trained on a sample [n, dim]; None when ``stopped()`` became true."""
    library = faiss()
    dim = sample.shape[1]
    centres = cell_centres(sample, nlist, stopped)
    if centres is None:
        return None
    cells = library.IndexFlatIP(dim)
    cells.add(centres)
    metric = library.METRIC_INNER_PRODUCT
    if quantizer == "pq":
        index = library.IndexIVFPQ(cells, dim, nlist, _parts(dim), 8, metric)
        index.pq.cp.niter = _ROUNDS
        index.pq.cp.min_points_per_centroid = 1  # else FAISS prints a warning
        sample = sample[:_PQ_SAMPLE]
    else:
        kind = {"fp16": library.ScalarQuantizer.QT_fp16, "sq8": library.ScalarQuantizer.QT_8bit}[quantizer]
        index = library.IndexIVFScalarQuantizer(cells, dim, nlist, kind, metric, False)
    cells.this.disown()
    index.own_fields = True
    index.train(sample)  # the codes alone, for the cells are there
    return index


def cell_centres(sample: Vectors, count: int, stopped: Callable[[], bool]) -> Vectors | None:
    """Directions [count, dim] that vectors gather around: spherical k-means (Dhillon and Modha 2001) in steps short enough
    to be interrupted. None when ``stopped()`` became true."""
    rng = np.random.default_rng(count)
    centres = unit(sample[rng.choice(len(sample), count, replace=False)])
    for _ in range(_ROUNDS):
        index = faiss().IndexFlatIP(sample.shape[1])
        index.add(centres)
        sums = np.zeros_like(centres)
        for start in range(0, len(sample), _CHUNK):
            if stopped():
                return None
            chunk = sample[start : start + _CHUNK]
            nearest = index.search(chunk, 1)[1][:, 0]
            order = np.argsort(nearest, kind="stable")
            cells, first = np.unique(nearest[order], return_index=True)
            sums[cells] += np.add.reduceat(chunk[order], first, axis=0)
        empty = ~sums.any(axis=1)
        sums[empty] = sample[rng.choice(len(sample), int(empty.sum()))]
        centres = unit(sums)
    return centres


def _parts(dim: int) -> int:
    """Parts of a product quantiser: of about 8 numbers each."""
    return next(parts for parts in range(max(1, dim // 8), 0, -1) if dim % parts == 0)
