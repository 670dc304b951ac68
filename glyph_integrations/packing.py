"""Whole numbers as one compact string: variable-length, deflated, base 85."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterable


def pack(values: Iterable[int]) -> str:
    """Numbers from 0 up as a string without white space, quotes, commas, slashes, dots or colons; of none an empty string."""
    out = bytearray()
    for value in values:
        while value > 127:
            out.append(value & 127 | 128)
            value >>= 7
        out.append(value)
    return base64.b85encode(zlib.compress(bytes(out), 9)).decode("ascii") if out else ""


def unpack(packed: str, most: int) -> list[int]:
    """The inverse of `pack`.

    Args:
        packed: from anywhere.
        most: bytes that the numbers may take, so that a small string cannot fill the memory.

    Raises:
        ValueError: not made by `pack`, or too long.
    """
    if not packed:
        return []
    decoder = zlib.decompressobj()
    try:
        data = decoder.decompress(base64.b85decode(packed), most)
    except zlib.error as error:
        raise ValueError(str(error)) from error
    if not decoder.eof:
        raise ValueError("too long for its text")
    values: list[int] = []
    value = shift = 0
    for byte in data:
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            values.append(value)
            value = shift = 0
        elif shift > 63:
            raise ValueError("a number is too large")
    return values


def fold(value: int) -> int:
    """A number of either sign as one from 0 up: 0, -1, 1, -2 become 0, 1, 2, 3."""
    return value << 1 if value >= 0 else (-value << 1) - 1


def unfold(value: int) -> int:
    """The inverse of `fold`."""
    return -(value + 1 >> 1) if value & 1 else value >> 1
