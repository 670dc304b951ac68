"""What a file is: by its first bytes, then by its name, then by the beginning of its text."""

from __future__ import annotations

import io
import re
import zipfile
from pathlib import PurePath
from typing import NamedTuple

from .source_code import code_media_type, has_lexer

DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
PPTX = "application/vnd.openxmlformats-officedocument.presentationml.presentation"
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
EPUB = "application/epub+zip"
OFFICE = (DOCX, PPTX, XLSX)
PDF = "application/pdf"
IMAGES = ("image/png", "image/jpeg", "image/tiff", "image/webp", "image/gif", "image/bmp")


class Binary(NamedTuple):
    """A kind of file that is not text: its media type, and what a message calls it."""

    media_type: str
    phrase: str


_ENCRYPTED = Binary("application/encrypted", "an Office file encrypted with a password; remove the password and save it again")
_OLD_OFFICE = Binary("application/x-ole-storage", "an old Office file (.doc, .xls, .ppt)")
_ZIP = Binary("application/zip", "a ZIP archive")
_SIGNATURES = (
    (b"%PDF-", Binary(PDF, "a PDF file")),
    (b"\x89PNG\r\n\x1a\n", Binary("image/png", "a PNG picture")),
    (b"\xff\xd8\xff", Binary("image/jpeg", "a JPEG picture")),
    (b"GIF87a", Binary("image/gif", "a GIF picture")),
    (b"GIF89a", Binary("image/gif", "a GIF picture")),
    (b"II*\x00", Binary("image/tiff", "a TIFF picture")),
    (b"MM\x00*", Binary("image/tiff", "a TIFF picture")),
    (b"PK\x05\x06", Binary("application/zip", "an empty ZIP archive")),
    (b"{\\rtf", Binary("application/rtf", "a Rich Text file")),
    (b"\x1f\x8b", Binary("application/gzip", "gzip data")),
    (b"BZh", Binary("application/x-bzip2", "bzip2 data")),
    (b"\xfd7zXZ\x00", Binary("application/x-xz", "xz data")),
    (b"7z\xbc\xaf\x27\x1c", Binary("application/x-7z-compressed", "a 7-Zip archive")),
    (b"Rar!\x1a\x07", Binary("application/vnd.rar", "a RAR archive")),
    (b"SQLite format 3\x00", Binary("application/vnd.sqlite3", "an SQLite database")),
    (b"\x7fELF", Binary("application/x-executable", "a program")),
)
_BY_FOLDER = (
    ("word/", Binary(DOCX, "a Word file")),
    ("ppt/", Binary(PPTX, "a PowerPoint file")),
    ("xl/", Binary(XLSX, "an Excel file")),
)
_BY_SUFFIX = {
    ".txt": "text/plain", ".text": "text/plain", ".log": "text/plain", ".md": "text/markdown", ".markdown": "text/markdown",
    ".rst": "text/x-rst", ".html": "text/html", ".htm": "text/html", ".xhtml": "application/xhtml+xml", ".csv": "text/csv",
    ".tsv": "text/tab-separated-values", ".json": "application/json", ".jsonl": "application/jsonl", ".xml": "application/xml",
    ".svg": "application/xml", ".yaml": "application/yaml", ".yml": "application/yaml", ".toml": "application/toml",
    ".tex": "text/x-tex", ".srt": "text/plain", ".vtt": "text/vtt",
}  # fmt: skip
_PLAIN = "text/plain"
_DATA = frozenset({
    _PLAIN, "text/markdown", "text/x-rst", "text/html", "application/xhtml+xml", "text/csv", "text/tab-separated-values",
    "application/json", "application/jsonl", "application/xml", "text/xml", "application/yaml",
    "application/toml", "text/vtt", "text/x-tex", "application/x-ipynb+json",
})  # fmt: skip
_HTML = re.compile(r"\s*(?:<\?xml[^>]*>\s*)?(?:<!--(?:[^-]|-(?!->))*-->\s*)*<(?:!doctype\s+html|html)[\s>]", re.I)
_PROGRAMS = {
    "python": "a.py", "bash": "a.sh", "sh": "a.sh", "zsh": "a.sh", "perl": "a.pl", "ruby": "a.rb", "node": "a.js",
    "lua": "a.lua", "php": "a.php", "Rscript": "a.R",
}  # fmt: skip
_SHEBANG = re.compile(rf"#!\s*\S*?(?:/env\s+|/)({'|'.join(_PROGRAMS)})[\d.]*(?:\s|\Z)")


def binary_type(data: bytes) -> Binary | None:
    """What kind of binary file these bytes are; None if they may be text."""
    if data.startswith(b"PK\x03\x04"):
        return _zip_type(data)
    if data.startswith(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"):
        return _ENCRYPTED if "EncryptedPackage".encode("utf-16-le") in data else _OLD_OFFICE
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return Binary("image/webp", "a WebP picture")
    if data[:2] == b"BM" and data[6:10] == bytes(4) and data[15:18] == bytes(3):
        return Binary("image/bmp", "a BMP picture")
    return next((kind for signature, kind in _SIGNATURES if data.startswith(signature)), None)


def text_type(name: str, text: str = "") -> str:
    """The media type of a text by its name, or where that says nothing by how it begins; ``text/plain`` if neither tells."""
    found = _BY_SUFFIX.get(PurePath(name).suffix.lower()) or code_media_type(PurePath(name).name, text) or _PLAIN
    if found in (_PLAIN, "application/xml") and _HTML.match(text[:10_000]):
        return "text/html"
    if found == _PLAIN and (match := _SHEBANG.match(text[:200])):
        return code_media_type(_PROGRAMS[match[1]]) or _PLAIN
    return found


def is_html(media_type: str) -> bool:
    """Whether this is a media type of web pages."""
    return bare(media_type) in ("text/html", "application/xhtml+xml")


def is_code(media_type: str) -> bool:
    """Whether this is a media type of programs, and not of prose or data."""
    return bare(media_type) not in _DATA and not bare(media_type).endswith(("+json", "+xml", "+yaml"))


def is_text(media_type: str) -> bool:
    """Whether this is a media type of text files."""
    kind = bare(media_type)
    return kind.startswith("text/") or kind in _DATA or kind.endswith(("+json", "+xml", "+yaml")) or has_lexer(kind)


def bare(media_type: str) -> str:
    """The media type without parameters, in lower case."""
    return media_type.partition(";")[0].strip().lower()


def _zip_type(data: bytes) -> Binary:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return _local_zip_type(data)
    if "[Content_Types].xml" in names:
        return next((kind for folder, kind in _BY_FOLDER if any(name.startswith(folder) for name in names)), _ZIP)
    return Binary(EPUB, "an EPUB book") if "META-INF/container.xml" in names else _mimetype(data) or _ZIP


def _local_zip_type(data: bytes) -> Binary:
    # truncated: the list of files, at the end, is lost; the names stand before the files, too
    if mimetype := _mimetype(data):
        return mimetype
    if b"[Content_Types].xml" in data[:4096]:
        return next((kind for folder, kind in _BY_FOLDER if folder.encode() in data), _ZIP)
    return _ZIP


def _mimetype(data: bytes) -> Binary | None:
    # EPUB and OpenDocument begin with an uncompressed file that names the type
    size, name, extra = (int.from_bytes(data[a:b], "little") for a, b in ((18, 22), (26, 28), (28, 30)))
    if data[30 : 30 + name] != b"mimetype" or size > 200:
        return None
    kind = data[30 + name + extra :][:size].decode("ascii", "replace").strip()
    return Binary(kind, "an EPUB book" if kind == EPUB else f"a file of type {kind}") if "/" in kind else None
