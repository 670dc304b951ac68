"""Documents coming in: uploaded, pasted, from the folder that was chosen at the start, or the sample."""

from __future__ import annotations

import os
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing, nullcontext
from itertools import islice
from pathlib import Path
from typing import IO, NamedTuple

from ..errors import DocumentError, EncodingError, PasswordError
from ..page import normalize_source
from ..sources import SourceDocument, find_files, open_document, source_name
from ..sources.sample import language_reference
from .drawing import document_values
from .session import Session, Sessions
from .work import Event, Job

_MOST_FILES = 500
_SMALL = 500_000  # bytes; such documents wait for nobody


ENCODINGS = {
    "gb18030": "Chinese, simplified (GB 18030, GBK)", "big5": "Chinese, traditional (Big5)", "cp932": "Japanese (Shift JIS)",
    "euc-jp": "Japanese (EUC)", "cp949": "Korean", "cp1252": "Western European (Windows)",
    "iso8859-15": "Western European (ISO)", "cp1250": "Central European", "cp1251": "Cyrillic (Windows)",
    "koi8-r": "Cyrillic (KOI8)", "cp1253": "Greek", "cp1254": "Turkish", "cp1255": "Hebrew", "cp1256": "Arabic",
    "cp874": "Thai", "cp1258": "Vietnamese",
}  # fmt: skip
"""What a text that is not UTF-8 can be read as. Not every codec of Python's: some take hours for a crafted text."""


class Opening(NamedTuple):
    """What a person said of a document that does not open by itself."""

    password: str | None = None
    encoding: str | None = None


class TooLargeError(DocumentError):
    """A body that goes on past the limit, whatever it announced."""


async def receive(chunks: AsyncIterator[bytes], limit: int) -> IO[bytes]:
    """A body in a temporary file without a name, which is gone when it is closed.

    Raises:
        TooLargeError: it is larger than the limit; no more of it is read.
    """
    file = tempfile.TemporaryFile()  # noqa: SIM115  # the caller closes it
    try:
        size = 0
        async for chunk in chunks:
            size += len(chunk)
            if size > limit:
                raise TooLargeError(f"too large: a document may have {limit:,} bytes")
            file.write(chunk)
    except BaseException:
        file.close()
        raise
    file.seek(0)
    return file


def take(job: Job, sessions: Sessions, session: Session, name: str, file: IO[bytes], opening: Opening) -> Iterator[Event]:
    """Read an uploaded document and keep it; the file is closed."""
    name = normalize_source(name)[-200:] or "document"
    with closing(file):
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        yield _taken(job, sessions, session, size, opening, lambda: open_document(file.read(), name=name, **opening._asdict()))


def take_sample(job: Job, sessions: Sessions, session: Session) -> Iterator[Event]:
    """Keep the sample document."""
    document = language_reference()
    yield _taken(job, sessions, session, len(document.text), Opening(), lambda: document)


def _taken(
    job: Job, sessions: Sessions, session: Session, size: int, opening: Opening, read: Callable[[], SourceDocument]
) -> Event:
    """A document that is kept; or that its password or its encoding is asked for."""
    with sessions.room(size), job.reading() if size > _SMALL else nullcontext():
        try:
            document = read()
        except PasswordError:
            return {"kind": "password", "wrong": opening.password is not None}
        except EncodingError:
            return {"kind": "encoding", "wrong": opening.encoding is not None, "choices": list(ENCODINGS.items())}
        job.check()  # a person who pressed stop does not want it after all
        return {"kind": "document", **document_values(session.add(document, size))}


class Folder:
    """The files below a folder, by name. A name is looked up among those that are there, never made into a path.

    Args:
        root: the folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def names(self) -> list[str]:
        """The first 500 names, sorted as `find_files` does: no hidden files, no links that lead outside."""
        return [source_name(file, self.root) for file in islice(find_files(self.root), _MOST_FILES)]

    def take(self, job: Job, sessions: Sessions, session: Session, name: str, limit: int, opening: Opening) -> Iterator[Event]:
        """Read a file of the folder and keep it."""
        file = next((file for file in islice(find_files(self.root), _MOST_FILES) if source_name(file, self.root) == name), None)
        if file is None:
            raise DocumentError(f"{name!r} is not a file of the folder that was chosen at the start")
        size = file.stat().st_size
        if size > limit:
            raise TooLargeError(f"too large: a document may have {limit:,} bytes")
        yield _taken(job, sessions, session, size, opening, lambda: open_document(file, name=name, **opening._asdict()))
