"""EPUB books to HTML: their chapters in reading order."""

from __future__ import annotations

import posixpath
import re
from urllib.parse import unquote
from xml.etree import ElementTree

from ..errors import DocumentError
from .archive import open_archive, read_entry
from .html import MAX_CHARACTERS
from .text import decode

_MAX_CONTENTS = 10_000_000  # bytes of XML: a tree of it takes some 25 times that
# none of these looks further than the next bracket or quote: a book may be made to keep them searching for hours
_ENCRYPTED_TEXT = re.compile(rb"CipherReference\s+URI\s*=\s*[\"'][^<>\"']*\.(?:x?html?|opf)[\"'?]", re.I)
_BODY = re.compile(r"<body(?:\s[^<>]*)?>", re.I)
_BODY_END = re.compile(r"</body\s*>", re.I)
# XHTML closes an empty <i/> like this, HTML does not
_CLOSED = re.compile(r"<((?!(?:area|base|br|col|hr|img|input|link|meta|wbr)\b)[A-Za-z][\w:-]*)((?:\s[^<>]*)?)/>")


def epub_html(data: bytes, label: str) -> str:
    """The chapters of a book as one HTML document.

    Raises:
        DocumentError: damaged, encrypted (DRM), a bomb, over 10 million characters, or without chapters.
    """
    archive = open_archive(data, label)
    names = set(archive.namelist())
    if "META-INF/encryption.xml" in names and _ENCRYPTED_TEXT.search(read_entry(archive, "META-INF/encryption.xml", label)):
        raise DocumentError(f"{label} is encrypted (DRM); its text cannot be read")
    container = _xml(read_entry(archive, "META-INF/container.xml", label), label)
    package_name = next((element.get("full-path", "") for element in container.findall(".//{*}rootfile")), "")
    package = _xml(read_entry(archive, package_name, label), label)
    files = {element.get("id"): element for element in package.findall(".//{*}item")}
    chapters: list[str] = []
    size = 0
    for reference in package.findall(".//{*}itemref"):
        item = files.get(reference.get("idref"))
        if item is None or "html" not in item.get("media-type", "") or "nav" in item.get("properties", "").split():
            continue
        name = posixpath.normpath(posixpath.join(posixpath.dirname(package_name), unquote(item.get("href", ""))))
        chapter = decode(read_entry(archive, name, label), f"{label}: {name}")
        body = _BODY.search(chapter)
        ends = [match.start() for match in _BODY_END.finditer(chapter, body.end())] if body else []
        chapter = chapter[body.end() : ends[-1]] if body and ends else chapter
        size += len(chapter)
        if size > MAX_CHARACTERS:  # a book may name one chapter a million times
            raise DocumentError(f"{label} holds over {MAX_CHARACTERS:,} characters; split it")
        chapters += "<section>", _CLOSED.sub(r"<\1\2></\1>", chapter), "</section>"
    if not chapters:
        raise DocumentError(f"{label} lists no chapters; it is damaged or holds only pictures")
    return "".join(chapters)


def _xml(data: bytes, label: str) -> ElementTree.Element:
    if len(data) > _MAX_CONTENTS:
        raise DocumentError(f"{label} has a table of contents of {len(data):,} bytes, over {_MAX_CONTENTS:,}; refused")
    if b"<!ENTITY" in data:
        raise DocumentError(f"{label} defines XML entities in its table of contents; refused")
    try:
        return ElementTree.fromstring(data)
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise DocumentError(f"{label} is damaged: {error}") from error
