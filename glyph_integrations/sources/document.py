"""One document as text: `SourceDocument`, and `open_document`, which reads it from a file or from bytes."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path, PurePath

from ..errors import DocumentError
from ..page import Run, normalize_source
from .text import decode, text_media_type


@dataclass(frozen=True)
class SourceDocument:
    """A document that was read.

    Attributes:
        text: all of it, newlines as they were, without a byte order mark.
        name: a relative path with forward slashes; pages carry it as their ``source``.
        media_type: such as ``text/plain``.
        sha256: of the bytes that were read, 64 hex digits.
        runs: stretches of the text with a role; none for plain text.
    """

    text: str
    name: str = ""
    media_type: str = "text/plain"
    sha256: str = ""
    runs: tuple[Run, ...] = ()


def open_document(
    path_or_bytes: str | os.PathLike[str] | bytes,
    media_type: str | None = None,
    *,
    name: str | None = None,
    encoding: str | None = None,
    errors: str = "strict",
) -> SourceDocument:
    """Read a document. Text of any kind (prose, Markdown, source code, data) is read as it stands.

    Args:
        path_or_bytes: a file, or its content.
        media_type: a text type; guessed from the file's name if None.
        name: of the document; the file's own name if None, empty for bytes. See `source_name` for files of a folder.
        encoding: any of Python's text encodings. None: UTF-8, or what a byte order mark says (UTF-8, UTF-16, UTF-32).
        errors: what to do with bytes that are not in the encoding: ``strict`` raises, ``replace`` puts U+FFFD in their place.

    Raises:
        DocumentError: missing, not readable, not a regular file, empty, binary (the message names the kind), or not in the
            encoding (the message names byte and line).
    """
    if isinstance(path_or_bytes, bytes | bytearray | memoryview):
        data, label, file_name = bytes(path_or_bytes), name or "document", name or ""
    else:
        path = Path(path_or_bytes)
        data, label, file_name = _read(path), str(path), path.name
    if name is None:
        name = file_name
    if media_type is None:
        media_type = text_media_type(PurePath(name).suffix)
    elif not _is_text(media_type):
        raise DocumentError(f"{label}: {media_type} is not a text type; only text documents can be read")
    text = decode(data, label, encoding, errors)
    if not text.strip():
        raise DocumentError(f"{label} is empty" if not text else f"{label} is empty: it holds only white space")
    return SourceDocument(text, normalize_source(name), media_type, hashlib.sha256(data).hexdigest())


def _read(path: Path) -> bytes:
    try:
        if path.is_dir():
            raise DocumentError(f"{path} is a folder; pass one of its files, or list them with find_files")
        if path.exists() and not path.is_file():
            raise DocumentError(f"{path} is not a regular file")
        return path.read_bytes()
    except FileNotFoundError as error:
        raise DocumentError(f"{path} does not exist; check the path") from error
    except OSError as error:
        raise DocumentError(f"cannot read {path}: {error.strerror or error}") from error
    except ValueError as error:  # a NUL byte in the path
        raise DocumentError(f"{str(path)!r} is not a path: {error}") from error


def _is_text(media_type: str) -> bool:
    kind = media_type.partition(";")[0].strip().lower()
    known = ("application/json", "application/xml", "application/yaml", "application/toml", "application/javascript")
    return kind.startswith("text/") or kind in known or kind.endswith(("+json", "+xml", "+yaml"))
