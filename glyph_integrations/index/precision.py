"""How precisely an index keeps vectors, and the bytes they are kept as."""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from ..embedding.embedder import Vectors
from ..embedding.quantize import BitVectors, from_bits, to_bits, to_int8
from ..errors import QueryError

Precision = Literal["fp16", "int8", "bits"]


class Form(NamedTuple):
    """The form of stored vectors: their length, and ``fp16`` (2 bytes a number), ``int8`` (1 byte, and 4 for the scale of
    each vector) or ``bits`` (signs alone, 8 to a byte)."""

    dim: int
    precision: Precision = "fp16"

    def check(self, metric: str) -> None:
        """Refuse what cannot be.

        Raises:
            QueryError: an unknown precision, or bits of vectors whose length matters.
        """
        if self.precision not in get_args(Precision):
            raise QueryError(f"precision={self.precision!r}: choose one of {', '.join(get_args(Precision))}")
        if self.precision == "bits" and metric != "cosine":
            raise QueryError(f"precision='bits' keeps only directions, which does not fit the metric {metric!r}")

    @property
    def size(self) -> int:
        """Bytes of a vector."""
        return {"fp16": 2 * self.dim, "int8": self.dim + 4, "bits": -(-self.dim // 8)}[self.precision]

    def pack(self, vectors: Vectors) -> bytes:
        """Vectors [n, dim] as ``n * size`` bytes, one vector after the other."""
        if self.precision == "fp16":
            return vectors.astype("<f2").tobytes()
        if self.precision == "bits":
            return to_bits(vectors).bits.tobytes()
        rows = np.empty(len(vectors), dtype=self._row)
        rows["codes"], rows["scale"] = to_int8(vectors)
        return rows.tobytes()

    def unpack(self, data: bytes) -> Vectors:
        """What `pack` was given, as far as it was kept: float32 [n, dim]."""
        if self.precision == "fp16":
            return _whole(np.frombuffer(data, dtype="<i2")).reshape(-1, self.dim)
        if self.precision == "bits":
            return from_bits(BitVectors(np.frombuffer(data, dtype=np.uint8).reshape(-1, self.size), self.dim))
        rows = np.frombuffer(data, dtype=self._row)
        vectors: Vectors = rows["codes"].astype(np.float32)
        vectors *= rows["scale"][:, None]
        return vectors

    @property
    def _row(self) -> np.dtype[np.void]:
        return np.dtype([("scale", "<f4"), ("codes", "i1", (self.dim,))])


def _whole(halves: NDArray[np.int16]) -> Vectors:
    """The float32 of finite half-precision numbers, given as their bits: some 5 times as fast as numpy's own conversion. Sign,
    exponent and fraction go where float32 has them; its exponent counts from 112 lower."""
    bits = halves.astype("<i4")
    bits <<= 13
    bits &= np.int32(-0x70002000)  # the sign, and what was below it
    vectors: Vectors = bits.view("<f4")
    vectors *= np.float32(2.0**112)
    return vectors
