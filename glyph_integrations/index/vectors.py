"""Ranking by vectors: a FAISS index derived from the truth, every vector under the row of its page."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..embedding.embedder import Vectors
from .ann import Ann, Trained, faiss, flat_index, one_thread
from .log import PORTION
from .max_sim import Bags, Found, Rows, estimated, ranked
from .record import START, Made, Mark
from .sealed import sealing, unsealed
from .store import Store

_MAGIC = b"glyphfaiss3\n"
_CHUNK = 4096  # vectors added at a time
_LEAST, _MOST = 1_000, 8_192  # vectors found for each of several query vectors: a quarter as many as pages, within these

_TOGETHER = 1_024  # query vectors that FAISS is given at a time
_SURE = 300  # candidates scored exactly, at least, where FAISS holds fewer vectors than the truth or a page has many

READ = 65_536
"""Vectors held at a time while reading many."""

BagsOf = Callable[[list[int]], Bags]
"""Rows -> the vectors of those that exist."""


class Portion(NamedTuple):
    """A stretch of the log: rows deleted, pages that came (and still exist), the highest row and the mark at its end."""

    gone: Rows
    bags: Bags
    last: int
    mark: Mark


class VectorStats(NamedTuple):
    """How vectors are searched.

    Attributes:
        kind: ``flat`` or ``ivf``; see `Ann`.
        pages: that can be found.
        vectors: that FAISS holds for them.
        pooled: whether some pages have more vectors than that, see `Ann.page_vectors`.
        memory: bytes they take in this process.
        quantizer: how a vector is kept in memory.
        nlist, nprobe: cells, and how many are searched; 0 when flat.
        recall: share of the ten best pages that the whole search finds, measured against comparing with every stored vector
            when it was trained, with as many cells searched as then; 1 when flat.
        reached: whether that is the recall that was wanted.
        training: whether an index is being trained in the background.
    """

    kind: str
    pages: int
    vectors: int
    pooled: bool
    memory: int
    quantizer: str
    nlist: int
    nprobe: int
    recall: float
    reached: bool
    training: bool


class VectorIndex:
    """The pages of an index in FAISS, held in memory; its file carries the change it reflects and a checksum.

    A deleted page stays in FAISS, where it is never returned, until a tenth is deleted; then all such vectors are taken out,
    which takes time in proportion to the whole. Row numbers never change.

    Args:
        made: what the index is made of.
        ann: how it is searched.
        index: an empty FAISS index; None: a flat one.
        trained: how ``index`` was trained; None for a flat one.
    """

    def __init__(self, made: Made, ann: Ann, index: Any = None, trained: Trained | None = None) -> None:
        self._made = made
        self._ann = ann
        self._begin(index or flat_index(made.dim), trained)

    def _begin(self, index: Any, trained: Trained | None) -> None:
        self._index = index
        self._alive: NDArray[np.bool_] = np.zeros(1024, dtype=np.bool_)  # by row: has vectors here and is not deleted
        self._living: Any = None  # the same as a selector, while nothing changes
        self._last = 0  # rows only grow: those up to this one have been added
        self._dead = 0  # pages that are deleted, but whose vectors are still in FAISS
        self.pages = 0
        self.mark = START
        self.single = True  # no page has more than one vector
        self.given = (0, 0)  # pages that ever came, and how many vectors they had
        self.pooled = False  # FAISS holds fewer of some
        self.unsaved = 0  # vectors added, or pages deleted, since the file was written
        self.trained = trained

    @classmethod
    def load(cls, path: Path | None, made: Made, ann: Ann) -> VectorIndex:
        """From its file; an empty one if that is missing, damaged or of something else."""
        if path is None:
            return cls(made, ann)
        try:
            with unsealed(path, _MAGIC) as (header, file):  # checked before FAISS sees a byte: it trusts what it reads
                trained = Trained(*header["trained"]) if header["trained"] else None
                old = header["page_vectors"] != ann.page_vectors or (trained and ann.kind == "flat")
                if Made(*header["made"]) != made or old:
                    raise ValueError("of another index")
                index = faiss().read_index(faiss().PyCallbackIOReader(file.read, 1 << 20))
            if index.ntotal != header["count"] or index.d != made.dim:
                raise ValueError("another size")
            found = cls(made, ann, index, trained)
            found._last, found.single, found.mark = header["last"], header["single"], Mark(*header["mark"])
            found.given, found.pooled = (header["given"][0], header["given"][1]), header["pooled"]
            found._grow(found._last)
            found._alive[_ids(index)] = True
            found.pages = int(np.count_nonzero(found._alive))
            return found
        except (OSError, ValueError, KeyError, TypeError, IndexError, RuntimeError):
            return cls(made, ann)  # built again from the truth

    def save(self, path: Path) -> None:
        """Write the file, whole or not at all.

        Raises:
            OSError: it cannot be written.
        """
        self._compact()
        state = {
            "made": self._made, "mark": self.mark, "last": self._last, "single": self.single, "count": len(self),
            "trained": self.trained, "given": self.given, "pooled": self.pooled, "page_vectors": self._ann.page_vectors,
        }  # fmt: skip
        with sealing(path, _MAGIC, state) as write:
            writer = faiss().PyCallbackIOWriter(write, 1 << 20)
            faiss().write_index(self._index, writer)
            del writer  # flushes
        self.unsaved = 0

    def __len__(self) -> int:
        """Vectors held, those of deleted pages included."""
        return int(self._index.ntotal)

    def stats(self, ann: Ann, training: bool) -> VectorStats:
        """How vectors are searched here."""
        code = self._index.code_size if self.trained else 2 * self._made.dim
        memory = len(self) * (code + 8) + len(self._alive)
        if not self.trained:
            return VectorStats("flat", self.pages, len(self), self.pooled, memory, "fp16", 0, 0, 1.0, True, training)
        _, quantizer, nlist, _, _, recall = self.trained
        return VectorStats(
            "ivf", self.pages, len(self), self.pooled, memory, quantizer, nlist, self._probes, recall, recall >= ann.recall,
            training,
        )  # fmt: skip

    def rows(self) -> Rows:
        """The rows that can be found here, sorted."""
        return np.flatnonzero(self._alive)

    # -- following the log ----------------------------------------------------------------------------------------------

    def catch_up(self, store: Store, bags_of: BagsOf, portions: int | None = None) -> None:
        """Replay the log from where this stands, or from the start if the log never was there; so many portions at most."""
        if not store.knows(self.mark):
            self._begin(flat_index(self._made.dim), None)
            self.unsaved = 1
        while portions != 0 and (portion := self.read(store, bags_of)):
            self.apply(portion)
            portions = portions and portions - 1

    def read(self, store: Store, bags_of: BagsOf) -> Portion | None:
        """What comes next in the log; None at its end. Changes nothing here."""
        if not (changes := store.changes(self.mark)[: min(PORTION, self.portion)]):
            return None
        new = [change.row for change in changes if change.op == "put" and change.row > self._last]
        gone = np.array([change.row for change in changes if change.op == "del"], dtype=np.int64)
        return Portion(gone, bags_of(new), max(new, default=self._last), changes[-1].mark)

    @property
    def per_page(self) -> float:
        """Vectors of a page, as stored, on average."""
        pages, vectors = self.given
        return max(1.0, vectors / pages) if pages else 1.0

    @property
    def portion(self) -> int:
        """How many pages to read at a time."""
        return max(1, int(READ / self.per_page))

    def apply(self, portion: Portion, stopped: Callable[[], bool] = lambda: False) -> bool:
        """Take in a stretch of the log. False when ``stopped()`` became true: this index is then good for nothing."""
        gone = portion.gone[portion.gone <= self._last]
        self._dead += (died := int(np.count_nonzero(self._alive[gone])))
        self._alive[gone] = False
        bags = portion.bags.without_empty()
        self.given = (self.given[0] + len(bags.rows), self.given[1] + len(bags.vectors))
        all_of_them, bags = len(bags.vectors), bags.pooled(self._ann.page_vectors)
        self.pooled = self.pooled or len(bags.vectors) < all_of_them
        self._grow(portion.last)
        self._alive[bags.rows] = True
        self._living = None
        self.single = self.single and len(bags.rows) == len(bags.vectors)
        ids = np.repeat(bags.rows, bags.counts)
        for start in range(0, len(ids), _CHUNK):
            if stopped():
                return False
            self._index.add_with_ids(bags.vectors[start : start + _CHUNK], ids[start : start + _CHUNK])
        self.pages += len(bags.rows) - died
        self.unsaved += len(ids) + died
        self._last, self.mark = portion.last, portion.mark
        if self._dead * 10 > self.pages + self._dead:
            self._compact()
        return True

    def _grow(self, last: int) -> None:
        if last >= len(self._alive):
            more = np.zeros(max(last + 1, 2 * len(self._alive)) - len(self._alive), dtype=np.bool_)
            self._alive = np.concatenate([self._alive, more])

    def _compact(self) -> None:
        if self._dead:
            self._index.remove_ids(_selector(~self._alive))
            self._dead, self._living = 0, None

    # -- searching ------------------------------------------------------------------------------------------------------

    def exact(self, query: Vectors) -> bool:
        """Whether the scores of `search` are final: one query vector, and no vector left out or coarser than the truth."""
        return self.trained is None and len(query) == 1 and not self.pooled and self._made.precision == "fp16"

    def depth(self, query: Vectors, limit: int) -> int:
        """How many candidates to score exactly for so many hits."""
        if len(query) == 1 and not self.pooled:
            return self.trained.depth(limit) if self.trained else limit
        return max(3 * limit, min(400, max(_SURE, self.portion)))

    def search(self, query: Vectors, limit: int, rows: Rows | None = None) -> Found:
        """`search_many` of one question."""
        return self.search_many([query], limit, rows)[0]

    def search_many(self, queries: Sequence[Vectors], limit: int, rows: Rows | None = None) -> list[Found]:
        """For each question, vectors [n, dim], pages near them, best first: at least ``limit``, or all there are, of ``rows``
        if given. Scores are estimates unless `exact`."""
        among = self._alive
        pages = self.pages
        if rows is not None:
            among = np.zeros_like(self._alive)
            among[rows[rows <= self._last]] = True
            among &= self._alive
            pages = int(np.count_nonzero(among))
        limit = min(limit, pages)
        if not limit:
            return [Found(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.float32))] * len(queries)
        selector = self._among_living() if rows is None else _selector(among)
        total, cells = len(self), self.trained.nlist if self.trained else 1
        # of the vectors in the cells searched only a share counts: search that many more of them
        probes = min(cells, (self._probes * self.pages + pages - 1) // pages)

        def answered(some: Sequence[Vectors], probes: int, want: int) -> Iterator[Found]:
            """The first answer of FAISS; to each question that it does not answer, others."""
            with one_thread(sum(map(len, some)) == 1):
                scores, found = self._index.search(np.concatenate(some), want, params=self._parameters(selector, probes))
            ends = np.cumsum([len(query) for query in some])
            for query, own_scores, own in zip(some, np.split(scores, ends[:-1]), np.split(found, ends[:-1]), strict=True):
                best = _first(own[0], own_scores[0], self.single) if len(query) == 1 else estimated(own, own_scores)
                if len(best.rows) >= limit or (want == total and probes == cells):
                    yield best
                elif probes < cells and (own[:, -1] < 0).any():
                    yield from answered([query], min(cells, 4 * probes), want)
                elif want < total:
                    yield from answered([query], probes, min(total, 4 * want))
                else:
                    yield from answered([query], cells, want)

        several = any(len(query) > 1 for query in queries)
        want = min(total, max(limit, min(max(_LEAST, pages // 4), _MOST)) if several else limit)
        step = max(1, _TOGETHER // max(1, *map(len, queries)))
        parts = (queries[start : start + step] for start in range(0, len(queries), step))
        return [found for part in parts for found in answered(part, probes, want)]

    def _among_living(self) -> Any:
        if self._dead and self._living is None:
            self._living = _selector(self._alive)
        return self._living

    @property
    def _probes(self) -> int:
        return self._ann.nprobe or (self.trained.nprobe if self.trained else 1)

    def _parameters(self, selector: Any, probes: int) -> Any:
        if self.trained:
            return faiss().SearchParametersIVF(nprobe=probes, sel=selector)
        return faiss().SearchParameters(sel=selector) if selector else None


def _first(rows: Rows, scores: Vectors, single: bool) -> Found:
    """The pages of vectors found, best first, each with its best score."""
    valid = rows >= 0
    rows, scores = rows[valid], scores[valid]
    if not single:
        rows, places = np.unique(rows, return_index=True)
        scores = scores[places]
    return ranked(rows, scores)


def _selector(rows: NDArray[np.bool_]) -> Any:
    return faiss().IDSelectorBitmap(np.packbits(rows, bitorder="little"))


def _ids(index: Any) -> Rows:
    library = faiss()
    if hasattr(index, "id_map"):
        ids: Rows = library.vector_to_array(index.id_map)
        return ids
    lists = index.invlists
    parts = [library.rev_swig_ptr(lists.get_ids(n), lists.list_size(n)) for n in range(lists.nlist) if lists.list_size(n)]
    return np.concatenate(parts).astype(np.int64) if parts else np.zeros(0, dtype=np.int64)
