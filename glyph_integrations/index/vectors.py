"""Ranking by vectors: a FAISS index derived from the truth, every vector under the row of its page."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..embedding.embedder import Vectors
from ..errors import MissingExtraError
from .durable import replacing
from .record import START, Change, Made, Mark, Record
from .store import Store

_MAGIC = b"glyphfaiss1\n"
_LENGTH = struct.Struct("<I")

VectorsOf = Callable[[Mapping[int, Record]], Mapping[int, Vectors]]
"""Rows and their records -> float32 [n, dim] per row."""


class VectorIndex:
    """Exhaustive inner-product search (``IndexIDMap2`` over an fp16 scalar quantiser, the precision the truth keeps), so a
    page's score here is exact. Held in memory; its file carries the change it reflects and a checksum.

    Args:
        path: its file; None in memory only.
        made: what the index is made of; a file made of anything else is built again.
    """

    def __init__(self, path: Path | None, made: Made) -> None:
        try:
            import faiss
        except ImportError as error:
            raise MissingExtraError("faiss-cpu", "all") from error
        self._faiss: Any = faiss
        self._path = path
        self._made = made
        self._index = self._empty()
        self._last = 0  # rows only grow: those up to this one have been added
        self.mark = START
        self.single = True  # no page has more than one vector, so a page's score here is its final score
        self.unsaved = 0  # vectors added or removed since the file was written
        if path:
            self._load(path)

    def __len__(self) -> int:
        return int(self._index.ntotal)

    def discard(self) -> None:
        """Forget everything; the next `catch_up` builds it again."""
        self._index = self._empty()
        self._last, self.mark, self.single, self.unsaved = 0, START, True, 1

    def rows(self) -> set[int]:
        """The rows that have vectors here."""
        return set(self._faiss.vector_to_array(self._index.id_map).tolist())

    def catch_up(self, store: Store, vectors_of: VectorsOf) -> None:
        """Replay the log from where this stands, or from the start if the log never was there."""
        if not store.knows(self.mark):
            self.discard()
        while changes := store.changes(self.mark):
            gone = [change.row for change in changes if change.op == "del" and change.row <= self._last]
            if gone:
                self.unsaved += self._index.remove_ids(np.array(gone, dtype=np.int64))
            self._add(store, changes, vectors_of)
            self.mark = changes[-1].mark

    def _add(self, store: Store, changes: Iterable[Change], vectors_of: VectorsOf) -> None:
        new = [change.row for change in changes if change.op == "put" and change.row > self._last]
        if not new:
            return
        for row, vectors in vectors_of(store.records(new)).items():
            self.single = self.single and len(vectors) <= 1
            if len(vectors):
                self._index.add_with_ids(np.ascontiguousarray(vectors), np.full(len(vectors), row, dtype=np.int64))
                self.unsaved += len(vectors)
        self._last = max(new)

    def search(self, query: Vectors, limit: int, rows: Collection[int] | None = None) -> dict[int, float]:
        """For each query vector [n, dim] the nearest vectors, until at least ``limit`` pages are met (or all there are):
        row -> best inner product with any query vector. With one vector a page and one in the query that is the exact ranking.
        """
        total = len(self)
        parameters = None
        if rows is not None:
            selector = self._faiss.IDSelectorBatch(np.fromiter(rows, dtype=np.int64, count=len(rows)))
            parameters = self._faiss.SearchParameters(sel=selector)
        want = min(total, limit)
        while want:
            scores, found = self._index.search(np.ascontiguousarray(query), want, params=parameters)
            best: dict[int, float] = {}
            pairs: Iterable[tuple[int, float]] = zip(found.ravel().tolist(), scores.ravel().tolist(), strict=True)
            for row, score in pairs:
                if row >= 0 and score > best.get(row, -np.inf):
                    best[row] = score
            if len(best) >= limit or want == total or (found[:, -1] < 0).all():
                return best
            want = min(total, want * 4)
        return {}

    # -- the file: magic, length and JSON of a header, the FAISS index, CRC-32 of all before it ----------------------------

    def save(self) -> None:
        """Write the file, whole or not at all."""
        if self._path is None:
            return
        crc = 0
        with replacing(self._path) as file:

            def write(data: bytes) -> int:
                nonlocal crc
                crc = zlib.crc32(data, crc)
                file.write(data)
                return len(data)

            state = {"made": self._made, "mark": self.mark, "last": self._last, "single": self.single, "count": len(self)}
            header = json.dumps(state).encode()
            write(_MAGIC + _LENGTH.pack(len(header)) + header)
            writer = self._faiss.PyCallbackIOWriter(write, 1 << 20)
            self._faiss.write_index(self._index, writer)
            del writer  # flushes
            file.write(_LENGTH.pack(crc))
        self.unsaved = 0

    def _load(self, path: Path) -> None:
        try:
            size = path.stat().st_size
            with open(path, "rb") as file:
                left, crc = size - _LENGTH.size, 0
                while left > 0 and (block := file.read(min(left, 1 << 20))):
                    crc = zlib.crc32(block, crc)
                    left -= len(block)
                if left or file.read() != _LENGTH.pack(crc):
                    raise ValueError("checksum")  # before FAISS sees a byte: it trusts what it reads
                file.seek(0)
                if file.read(len(_MAGIC)) != _MAGIC:
                    raise ValueError("another format")
                header: dict[str, Any] = json.loads(file.read(*_LENGTH.unpack(file.read(_LENGTH.size))))
                if Made(*header["made"]) != self._made:
                    raise ValueError("of another index")
                index = self._faiss.read_index(self._faiss.PyCallbackIOReader(file.read, 1 << 20))
            if index.ntotal != header["count"] or index.d != self._made.dim:
                raise ValueError("another size")
        except (OSError, ValueError, KeyError, TypeError, RuntimeError, struct.error):
            return  # missing, damaged or foreign: built again from the truth
        self._index, self._last, self.single, self.mark = index, header["last"], header["single"], Mark(*header["mark"])

    def _empty(self) -> Any:
        quantizer = self._faiss.ScalarQuantizer.QT_fp16
        flat = self._faiss.IndexScalarQuantizer(self._made.dim, quantizer, self._faiss.METRIC_INNER_PRODUCT)
        index = self._faiss.IndexIDMap2(flat)
        index.train(np.zeros((1, self._made.dim), dtype=np.float32))
        return index


def max_sim(query: Vectors, page: Vectors) -> float:
    """Mean over the query's vectors of the best inner product with the page's (ColBERT's MaxSim, Khattab & Zaharia 2020,
    divided by the number of query vectors). 0 for a page without vectors."""
    if not len(page):
        return 0.0
    products: NDArray[np.float32] = query @ page.T
    return float(products.max(axis=1).mean())
