"""Smaller vectors: whole numbers of 8 bits, and single bits; scored against questions that stay as they are."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .embedder import Vectors

_ROWS = 16_384  # of bits, made numbers at a time


class Int8Vectors(NamedTuple):
    """``codes`` int8 [n, dim], and the ``scales`` float32 [n] that make a row of them a vector again."""

    codes: NDArray[np.int8]
    scales: NDArray[np.float32]


class BitVectors(NamedTuple):
    """``bits`` uint8 [n, ceil(dim / 8)], eight signs a byte, the first the highest; ``dim`` of them a row."""

    bits: NDArray[np.uint8]
    dim: int


def to_int8(vectors: Vectors) -> Int8Vectors:
    """A quarter of float32: each vector scaled so that its largest component is 127, and rounded."""
    scales = np.abs(vectors).max(axis=1, initial=0) / 127
    codes = np.rint(vectors / np.where(scales > 0, scales, 1)[:, None]).astype(np.int8)
    return Int8Vectors(codes, scales.astype(np.float32))


def from_int8(small: Int8Vectors) -> Vectors:
    """Float32 [n, dim], off by at most half a step of 1/127 of each vector's largest component."""
    vectors: Vectors = small.codes.astype(np.float32) * small.scales[:, None]
    return vectors


def to_bits(vectors: Vectors) -> BitVectors:
    """A 32nd of float32: of each component its sign."""
    return BitVectors(np.packbits(vectors > 0, axis=1), vectors.shape[1])


def from_bits(small: BitVectors) -> Vectors:
    """Float32 [n, dim] of unit length: each component 1 or -1 over the square root of dim."""
    signs = np.unpackbits(small.bits, axis=1, count=small.dim).astype(np.float32)
    vectors: Vectors = (2 * signs - 1) / np.float32(np.sqrt(small.dim))
    return vectors


def products(query: Vectors, small: Int8Vectors | BitVectors) -> Vectors:
    """Inner products, float32 [questions, n], of vectors as they are with small ones (asymmetric scoring, which loses less than
    making the question small too). MaxSim is their maximum over a page's columns."""
    count = len(small[0])
    scores = np.empty((len(query), count), dtype=np.float32)
    for start in range(0, count, _ROWS):
        part = slice(start, start + _ROWS)
        if isinstance(small, BitVectors):
            scores[:, part] = query @ from_bits(BitVectors(small.bits[part], small.dim)).T
        else:
            scores[:, part] = (query @ small.codes[part].astype(np.float32).T) * small.scales[part]
    return scores
