"""One document as text: `SourceDocument`, and `open_document`, which reads it from a file or from bytes."""

from __future__ import annotations

import codecs
import hashlib
import os
from bisect import bisect_left
from dataclasses import dataclass
from pathlib import Path

from ..errors import DocumentError
from ..page import Run, normalize_source
from .media_type import EPUB, IMAGES, OFFICE, PDF, bare, binary_type, is_code, is_html, is_text, text_type
from .page_file import OPENED, FilePage, PageFile
from .text import decode, shown_encoding


@dataclass(frozen=True)
class SourceDocument:
    """A document that was read.

    Attributes:
        text: all of it. For text, Markdown and source code as it stands in the file, newlines as they were, without a byte
            order mark; for HTML, office files and books what was extracted.
        name: a relative path with forward slashes; pages carry it as their ``source``.
        media_type: of the file, such as ``text/plain``.
        sha256: of the bytes that were read, 64 hex digits.
        runs: stretches of the text with a role, sorted by start, nested or apart. Blocks: ``heading1`` to ``heading6``,
            ``quote``, ``list``, ``table``, ``codeblock``; inside them: ``strong``, ``emphasis``, ``code``, ``link``; in source
            code: ``keyword``, ``comment``, ``string``, ``number``, ``name``; and ``syntax`` for marks that are not drawn.
        source_map: for HTML where the text came from: (offset in the text, offset in the file's characters, length), sorted;
            see `source_span`. Empty: the text is the file's.
        pages: of a PDF its pages, of an image its frames; their spans tile the text, which is what the file says stands on
            them, a form feed between two. Empty for all else.
        file: the bytes of a PDF or an image, from which its pages are drawn.
    """

    text: str
    name: str = ""
    media_type: str = "text/plain"
    sha256: str = ""
    runs: tuple[Run, ...] = ()
    source_map: tuple[tuple[int, int, int], ...] = ()
    pages: tuple[FilePage, ...] = ()
    file: PageFile | None = None

    def source_span(self, start: int, end: int) -> tuple[int, int]:
        """Where characters ``start:end`` of the text stand in the file, in characters of the decoded file.

        The same for text, Markdown and source code, and for office files and books, which have no such place. In HTML from the
        first to the last of these characters that came from the file; empty where none did (a bullet).
        """
        pieces = self.source_map
        if not pieces:
            return start, end
        first = bisect_left(pieces, (start,))
        if first and pieces[first - 1][0] + pieces[first - 1][2] > start:
            first -= 1
        while first < len(pieces) and not pieces[first][2]:
            first += 1
        last = bisect_left(pieces, (end,)) - 1
        while last >= first and not pieces[last][2]:
            last -= 1
        if first > last:  # nothing between: just after what came before
            at, source, length = pieces[max(0, min(first, len(pieces)) - 1)]
            here = source + min(length, max(0, start - at))
            return here, here
        at, source, length = pieces[last]
        stop = source + min(end - at, length)
        if at + length <= end and last + 1 < len(pieces) and pieces[last + 1][0] == at + length and not pieces[last + 1][2]:
            stop = pieces[last + 1][1]
        at, source, _ = pieces[first]
        return source + max(0, start - at), stop


def open_document(
    path_or_bytes: str | os.PathLike[str] | bytes,
    media_type: str | None = None,
    *,
    name: str | None = None,
    encoding: str | None = None,
    errors: str = "strict",
    password: str | None = None,
) -> SourceDocument:
    """Read a document: plain text, Markdown, HTML, source code, PDF, an image (PNG, JPEG, TIFF, WebP, GIF, BMP), Word,
    PowerPoint, Excel (extra ``office``) or EPUB.

    Text, Markdown and source code stay as they stand; what their marks say becomes runs. The pages of a PDF, and the frames of
    an image, are pages as they are; the bytes of the last such files (up to 256 MiB) are kept, so that any `Renderer` of this
    process can draw their pages.

    Args:
        path_or_bytes: a file, or its content.
        media_type: what it is; if None told by its first bytes, then its name, then how its text begins.
        name: of the document; the file's own name if None, empty for bytes. See `source_name` for files of a folder.
        encoding: of text, any of Python's; one of a whole folder may be named, for it is not asked where a byte order mark or
            letters beyond ASCII show that a text is UTF-8, UTF-16 or UTF-32. None: UTF-8, or what the mark says, or an HTML
            page of itself.
        errors: what to do with bytes that are not in the encoding: ``strict`` raises, ``replace`` puts U+FFFD in their place.
        password: of an encrypted PDF.

    Raises:
        DocumentError: missing, not readable, not a regular file, empty, of a kind that cannot be read (the message names it),
            damaged, or encrypted.
        EncodingError: a DocumentError: a text that is not in the encoding (the message names byte and line).
        PasswordError: a DocumentError: an encrypted PDF, and the password is not given or wrong.
        MissingExtraError: an Office file, without the extra ``office``.
    """
    if isinstance(path_or_bytes, bytes | bytearray | memoryview):
        data, label, file_name = bytes(path_or_bytes), name or "document", name or ""
    else:
        path = Path(path_or_bytes)
        data, label, file_name = _read(path), str(path), path.name
    if name is None:
        name = file_name
    binary = binary_type(data)
    if encoding and (media_type or binary is None or binary.media_type not in (PDF, *IMAGES, *OFFICE, EPUB)):
        binary = None  # text, whatever its first bytes look like
    kind = bare(media_type) if media_type else binary.media_type if binary else None
    if kind in (PDF, *IMAGES) and (binary is None or binary.media_type == kind):
        return _pictured(data, kind, normalize_source(name), label, password)
    if kind in (*OFFICE, EPUB) and (binary is None or binary.media_type in (kind, "application/zip")):
        text, runs, source_map = _packed(data, kind, label)
    elif binary is not None:
        raise DocumentError(f"{label} is {binary.phrase}, not text; extract its text first and pass that")
    elif kind is not None and not is_text(kind):
        raise DocumentError(
            f"{label}: {media_type} is not a text type; only text, HTML, PDF, images, Office files and EPUB can be read"
        )
    else:
        encoding = (shown_encoding(data) or encoding) if encoding else _own_encoding(data, name, kind)
        text = decode(data, label, encoding, errors)
        _refuse_empty(text, label)
        media_type = media_type or text_type(name, text)
        text, runs, source_map = _marked_up(text, media_type, name, label)
    digest = hashlib.sha256(data).hexdigest()
    return SourceDocument(text, normalize_source(name), media_type or kind or "", digest, runs, source_map)


def _pictured(data: bytes, kind: str, name: str, label: str, password: str | None) -> SourceDocument:
    """A document whose pages are pictures."""
    if kind == PDF:
        from .pdf import read_pdf

        file, text, pages = read_pdf(data, label, password)
    else:
        from .images import read_image

        file, text, pages = read_image(data, label)
    document = SourceDocument(text, name, kind, file.sha256, pages=pages, file=file)
    OPENED.keep(document)
    return document


_Parts = tuple[str, tuple[Run, ...], tuple[tuple[int, int, int], ...]]


def _marked_up(text: str, media_type: str, name: str, label: str) -> _Parts:
    """The text to be drawn, its runs and where it came from."""
    if bare(media_type) == "text/markdown":
        from .markdown import markdown_runs

        return text, markdown_runs(text), ()
    if is_html(media_type):
        from .html import extract_html

        return extract_html(text, label)
    if is_code(media_type):
        from .source_code import code_runs

        return text, code_runs(text, bare(media_type), name), ()
    return text, (), ()


def _packed(data: bytes, kind: str, label: str) -> _Parts:
    """A document of several files in one: by way of HTML, to which no offset of the file leads."""
    from .html import extract_html

    if kind == EPUB:
        from .epub import epub_html

        source = epub_html(data, label)
    else:
        from .office import office_html

        source = office_html(data, kind, label)
    text, runs, _ = extract_html(source, label)
    return text, runs, ()


def _own_encoding(data: bytes, name: str, kind: str | None) -> str | None:
    marked = data.startswith((codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    if not marked and is_html(kind or text_type(name, data[:10_000].decode("latin-1"))):
        from .html import declared_encoding

        return declared_encoding(data)
    return None


def _refuse_empty(text: str, label: str) -> None:
    if not text.strip():
        raise DocumentError(f"{label} is empty" if not text else f"{label} is empty: it holds only white space")


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
