"""Bytes to text: encodings, byte order marks, and telling binary files by their first bytes."""

from __future__ import annotations

import codecs

from ..errors import DocumentError

_MARKS = (  # UTF-32 first: its little-endian mark begins with that of UTF-16
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_SIGNATURES = (
    (b"%PDF-", "a PDF file"),
    (b"\x89PNG\r\n\x1a\n", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"GIF87a", "a GIF picture"),
    (b"GIF89a", "a GIF picture"),
    (b"II*\x00", "a TIFF picture"),
    (b"MM\x00*", "a TIFF picture"),
    (b"PK\x03\x04", "a ZIP archive (also what .docx, .xlsx, .pptx and .epub files are)"),
    (b"PK\x05\x06", "an empty ZIP archive"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Office file"),
    (b"{\\rtf", "a Rich Text file"),
    (b"\x1f\x8b", "gzip data"),
    (b"BZh", "bzip2 data"),
    (b"\xfd7zXZ\x00", "xz data"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (b"Rar!\x1a\x07", "a RAR archive"),
    (b"SQLite format 3\x00", "an SQLite database"),
    (b"\x7fELF", "a program"),
)
_MEDIA_TYPES = {
    ".md": "text/markdown", ".markdown": "text/markdown", ".rst": "text/x-rst", ".html": "text/html", ".htm": "text/html",
    ".csv": "text/csv", ".tsv": "text/tab-separated-values", ".css": "text/css", ".js": "text/javascript",
    ".json": "application/json", ".xml": "application/xml", ".yaml": "application/yaml", ".yml": "application/yaml",
    ".toml": "application/toml", ".py": "text/x-python", ".tex": "text/x-tex", ".c": "text/x-c", ".h": "text/x-c",
    ".cpp": "text/x-c++", ".java": "text/x-java", ".rs": "text/x-rust", ".go": "text/x-go", ".sh": "text/x-shellscript",
}  # fmt: skip


def text_media_type(suffix: str) -> str:
    """The media type of a text file by the end of its name (with the dot); ``text/plain`` if it says nothing."""
    return _MEDIA_TYPES.get(suffix.lower(), "text/plain")


def decode(data: bytes, label: str, encoding: str | None = None, errors: str = "strict") -> str:
    """The text of a file's bytes, newlines untouched, without its byte order mark.

    Args:
        data: all bytes of the file.
        label: what messages call the file.
        encoding: None for UTF-8, or what a byte order mark says; otherwise taken at its word.
        errors: an error handler of Python's codecs, such as ``strict`` or ``replace``.

    Raises:
        DocumentError: the bytes are of a binary kind, or not in the encoding.
    """
    mark, codec = b"", encoding or "utf-8"
    if encoding is None:
        for signature, kind in _SIGNATURES:
            if data.startswith(signature):
                raise DocumentError(f"{label} is {kind}, not text; extract its text first and pass that")
        if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
            raise DocumentError(f"{label} is a WebP picture, not text; extract its text first and pass that")
        mark, codec = next(((m, c) for m, c in _MARKS if data.startswith(m)), (mark, codec))
        if codec == "utf-8" and (at := data.find(0)) >= 0:
            raise DocumentError(
                f"{label} is a binary file: byte {at} is NUL. If it is text without a byte order mark, name its encoding, "
                "for example encoding='utf-16-le'"
            )
    try:
        text = data[len(mark) :].decode(codec, errors)
    except UnicodeDecodeError as error:
        at = len(mark) + error.start
        line = data[len(mark) : at].decode(codec, "replace").count("\n") + 1
        found = data[at : len(mark) + error.end][:4].hex().upper()
        raise DocumentError(
            f"{label} is not {codec} text: byte {at} (line {line}) is 0x{found}: {error.reason}. "
            "Name its encoding, for example encoding='cp1252', or pass errors='replace'"
        ) from error
    except (LookupError, UnicodeError) as error:
        raise DocumentError(f"{label}: encoding {codec!r} with errors {errors!r} cannot be used: {error}") from error
    return text.removeprefix("\ufeff") if encoding else text
