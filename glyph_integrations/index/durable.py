"""Files that survive a crash: written whole or not at all, and the small head file that names the last promise kept."""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple

from ..errors import IndexCorruptError
from .record import Mark


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Write a file beside ``path`` that takes its place, synced, when the block ends without an error."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
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


class Head(NamedTuple):
    """What the database held when the last write returned. A database that holds less has lost something.

    SQLite alone opens without complaint when the end of its write-ahead log is gone, so the promise is kept in a second file.
    """

    name: str
    mark: Mark
    pages: int

    def write(self, path: Path) -> None:
        """Replace the head file, synced."""
        body = json.dumps(self)
        with replacing(path) as file:
            file.write(json.dumps({"head": self, "crc32": zlib.crc32(body.encode())}).encode())

    @classmethod
    def read(cls, path: Path) -> Head:
        """The head in a file.

        Raises:
            IndexCorruptError: the file is missing or damaged.
        """
        advice = "restore the index folder from a copy, or index again"
        try:
            data = json.loads(path.read_bytes())
            if zlib.crc32(json.dumps(data["head"]).encode()) != data["crc32"]:
                raise ValueError("checksum")
            name, mark, pages = data["head"]
            return cls(name, Mark(*mark), pages)
        except FileNotFoundError:
            raise IndexCorruptError(f"{path} is missing, so nothing says whether this index is whole; {advice}") from None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise IndexCorruptError(f"{path} is damaged ({error}); {advice}") from error
