"""ZIP archives from strangers: what is inside is looked at before anything is unpacked."""

from __future__ import annotations

import io
import zipfile

from ..errors import DocumentError

MAX_FILES = 10_000
MAX_FILE = 64_000_000
MAX_TOTAL = 256_000_000
MAX_RATIO = 100
"""Packed formats of text shrink 3 to 30 times; a bomb shrinks 1,000 times."""


def open_archive(data: bytes, label: str) -> zipfile.ZipFile:
    """The archive in these bytes, if it is safe to unpack. Reading a file of it yields no more than its declared size.

    Raises:
        DocumentError: damaged or truncated; encrypted; over 10,000 files; a file over 64 MB or 256 MB in all, or 100 times
            as large as the archive (and over 10 MB).
    """
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
        entries = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise DocumentError(f"{label} is damaged or truncated: {error}; get a whole copy of it") from error
    total = sum(entry.file_size for entry in entries)
    largest = max((entry.file_size for entry in entries), default=0)
    if any(entry.flag_bits & 1 for entry in entries):
        raise DocumentError(f"{label} is encrypted; remove the password and save it again")
    if len(entries) > MAX_FILES or largest > MAX_FILE or total > MAX_TOTAL or total > max(10_000_000, MAX_RATIO * len(data)):
        raise DocumentError(
            f"{label} would unpack to {total:,} bytes in {len(entries):,} files from {len(data):,}; "
            f"refused as a possible bomb (limits: {MAX_FILE:,} bytes a file, {MAX_TOTAL:,} in all, {MAX_RATIO} times its size)"
        )
    return archive


def read_entry(archive: zipfile.ZipFile, name: str, label: str) -> bytes:
    """A file of the archive.

    Raises:
        DocumentError: it is missing or damaged.
    """
    try:
        return archive.read(name)
    except KeyError as error:
        raise DocumentError(f"{label} lacks its part {name}; it is damaged or of another kind") from error
    except (zipfile.BadZipFile, OSError, EOFError, ValueError, NotImplementedError, RuntimeError) as error:
        raise DocumentError(f"{label} is damaged in its part {name}: {error}") from error
    except Exception as error:
        if type(error).__module__ in ("zlib", "lzma"):
            raise DocumentError(f"{label} is damaged in its part {name}: {error}") from error
        raise
