"""Files that survive a crash: written whole or not at all, and the small head file that names the last promise kept."""

from __future__ import annotations

import json
import os
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from ..errors import IndexCorruptError
from .database import ADVICE
from .record import Mark


@contextmanager
def replacing(path: Path, sync: bool = True) -> Iterator[BinaryIO]:
    """Write a file beside ``path`` that takes its place when the block ends without an error; on disk by then, unless told
    not to ``sync``."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}-{threading.get_ident()}.tmp")
    try:
        with open(temporary, "wb") as file:
            yield file
            file.flush()
            if sync:
                os.fsync(file.fileno())
        os.replace(temporary, path)
        if sync:
            sync_folder(path.parent)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def sync_folder(folder: Path) -> None:
    """Make new names in a folder durable. (Windows has no such call and needs none.)"""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def checked_json(value: object) -> bytes:
    """A JSON value with the CRC-32 of itself."""
    body = json.dumps(value)
    return b'{"value": %s, "crc32": %d}' % (body.encode(), zlib.crc32(body.encode()))


def from_checked_json(data: bytes) -> Any:
    """The inverse of `checked_json`.

    Raises:
        ValueError: damaged.
    """
    try:
        found = json.loads(data)
        if zlib.crc32(json.dumps(found["value"]).encode()) == found["crc32"]:
            return found["value"]
    except (TypeError, KeyError, RecursionError):
        pass
    raise ValueError("it failed its checksum")


class Head(NamedTuple):
    """What the database held when the last write returned. A database that holds less has lost something.

    SQLite alone opens without complaint when the end of its write-ahead log is gone, so the promise is kept in a second file.
    """

    name: str
    mark: Mark
    pages: int

    def write(self, path: Path) -> None:
        """Replace the head file, synced."""
        with replacing(path) as file:
            file.write(checked_json(self))

    @classmethod
    def read(cls, path: Path) -> Head:
        """The head in a file.

        Raises:
            IndexCorruptError: the file is missing or damaged.
        """
        try:
            name, mark, pages = from_checked_json(path.read_bytes())
            return cls(name, Mark(*mark), pages)
        except FileNotFoundError:
            raise IndexCorruptError(f"{path} is missing, so nothing says whether this index is whole; {ADVICE}") from None
        except (OSError, ValueError, TypeError) as error:
            raise IndexCorruptError(f"{path} is damaged ({error}); {ADVICE}") from error
