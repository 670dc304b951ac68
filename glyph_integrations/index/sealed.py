"""Derived files that prove themselves: magic bytes, a JSON header, a body, and the CRC-32 of all that comes before it."""

from __future__ import annotations

import json
import os
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from .durable import replacing

_LENGTH = struct.Struct("<I")
_BLOCK = 1 << 20


@contextmanager
def sealing(path: Path, magic: bytes, header: Mapping[str, Any]) -> Iterator[Callable[[bytes], int]]:
    """Write a file, whole or not at all. Yields ``write(bytes) -> int`` for the body.

    Raises:
        OSError: it cannot be written; what stood there before still does.
    """
    crc = 0
    with replacing(path) as file:

        def write(data: bytes) -> int:
            nonlocal crc
            crc = zlib.crc32(data, crc)
            file.write(data)
            return len(data)

        described = json.dumps(header).encode()
        write(magic + _LENGTH.pack(len(described)) + described)
        yield write
        file.write(_LENGTH.pack(crc))


@contextmanager
def unsealed(path: Path, magic: bytes) -> Iterator[tuple[dict[str, Any], BinaryIO]]:
    """Yields the header of a file that `sealing` wrote, and the file itself at the start of its body, all of it checked.

    Raises:
        OSError: it cannot be read.
        ValueError: damaged, cut short, or of another format.
    """
    with open(path, "rb") as file:
        _check(path, file)
        if file.read(len(magic)) != magic:
            raise ValueError(f"{path} is of another format")
        header: dict[str, Any] = json.loads(file.read(int.from_bytes(file.read(_LENGTH.size), "little")))
        yield header, file


def check_sealed(path: Path) -> None:
    """Read a file that `sealing` wrote.

    Raises:
        OSError: it cannot be read.
        ValueError: damaged or cut short.
    """
    with open(path, "rb") as file:
        _check(path, file)


def _check(path: Path, file: BinaryIO) -> None:
    left, crc = os.fstat(file.fileno()).st_size - _LENGTH.size, 0  # not of the path: another file may stand there by now
    while left > 0 and (block := file.read(min(left, _BLOCK))):
        crc = zlib.crc32(block, crc)
        left -= len(block)
    if left or file.read() != _LENGTH.pack(crc):
        raise ValueError(f"{path} failed its checksum")
    file.seek(0)
