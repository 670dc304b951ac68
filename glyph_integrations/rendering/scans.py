"""Text for pages that are pictures alone, by OCR: they can then be searched by words, quoted and cited by box."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache

from PIL import Image

from ..ocr import CachedReader, Reader, open_reader, read_lines
from ..ocr.reader import Stretch
from ..picture import TextLine, pack_text_lines
from ..sources import SourceDocument
from ..sources.page_file import OPENED, FilePage

_DPI = 200  # that pages of a PDF are read at
_WIDEST = 4000  # pixels that an engine reads; what is high is read in bands
_MOST = _WIDEST * _WIDEST  # pixels of a picture that is read


def read_scans(
    document: SourceDocument, reader: Reader | str = "rapidocr", progress: Callable[[int, int], None] | None = None
) -> SourceDocument:
    """The document with the text that OCR finds on its pages without any: frames of an image, pages of a PDF that are scans.
    Other pages, and other documents, stay as they are.

    A line of the picture is a line of the text, from top to bottom; a word divided at a line's end is one word, with a soft
    hyphen (U+00AD) where it was divided. Inside a line words are placed as if all characters were equally wide.

    RapidOCR takes some 10 to 20 s a full page on 2 cores, Tesseract 2 to 3. Give a `CachedReader` with a folder to many pages:
    what it read before an interruption it does not read again.

    Args:
        document: from `open_document`.
        reader: the engine, or the name of one: ``rapidocr``, ``tesseract`` or ``tesseract:LANGUAGE``. A named one is opened
            once in a process, and remembers what it read.
        progress: called with the number of pages read and of all without text, after each.

    Raises:
        MissingExtraError: the engine's package is not installed (extra ``ocr``).
        ModelError: there is no such engine, or it failed.
        DocumentError: a page cannot be drawn.
        TypeError: ``reader`` is neither an engine nor the name of one.
    """
    count = len(textless(document))
    if not count or document.file is None:
        return document
    if isinstance(reader, str):
        reader = _named(reader)
    elif not isinstance(reader, Reader):
        raise TypeError(f"{type(reader).__name__} is no OCR engine: one has a name, scripts and read(), as RapidOcrReader has")
    texts: list[str] = []
    pages: list[FilePage] = []
    at = done = 0
    for index, page in enumerate(document.pages):
        text, boxes = document.text[page.start : page.end], page.boxes
        if not text.strip():
            scale = _scale(page, document.media_type)
            size = max(1, int(page.width * scale)), max(1, int(page.height * scale))
            picture = document.file.draw(index, *size, document.name or "the file")
            found, boxes = _placed(picture, reader, page.width / size[0], page.height / size[1], page)
            text = found + text
            done += 1
            if progress:
                progress(done, count)
        texts.append(text)
        pages.append(page._replace(start=at, end=at + len(text), boxes=boxes))
        at += len(text)
    read = replace(document, text="".join(texts), pages=tuple(pages))
    OPENED.keep(read)
    return read


@lru_cache(maxsize=4)
def _named(name: str) -> Reader:
    return CachedReader(open_reader(name))


def textless(document: SourceDocument) -> list[int]:
    """The pages (from 1) of a PDF or an image on which no text is known."""
    spans = ((number, page.start, page.end) for number, page in enumerate(document.pages, 1))
    return [number for number, start, end in spans if not document.text[start:end].strip()]


def _scale(page: FilePage, media_type: str) -> float:
    """Pixels per unit that a page is read at."""
    wanted = 1.0 if media_type.startswith("image/") else _DPI / 72
    return min(wanted, _WIDEST / page.width, math.sqrt(_MOST / (page.width * page.height)))


def _placed(picture: Image.Image, reader: Reader, across: float, down: float, page: FilePage) -> tuple[str, str]:
    """The text of a picture and its packed boxes, in units of the page; ``across`` and ``down`` are units of a pixel."""
    text = ""
    lines: list[TextLine] = []
    for stretch in read_lines(picture, reader):
        content = " ".join(stretch.text.split())
        if not content:
            continue
        if re.search(r"\w[-\u00ad]\n\Z", text) and content[0].islower():
            text = text[:-2] + "\u00ad"
        start = len(text)
        text += content + "\n"
        if line := _line(stretch, content, start, across, down, page):
            lines.append(line)
    text = text.removesuffix("\n")
    return text, pack_text_lines(text, lines)


def _line(stretch: Stretch, content: str, start: int, across: float, down: float, page: FilePage) -> TextLine | None:
    right_edge, lower_edge = math.ceil(page.width), math.ceil(page.height)
    left, right = max(0, int(stretch.left * across)), min(right_edge, math.ceil(stretch.right * across))
    top, bottom = max(0, int(stretch.top * down)), min(lower_edge, math.ceil(stretch.bottom * down))
    if left >= right or top >= bottom:
        return None
    end = start + len(content)
    if any(unicodedata.bidirectional(char) in ("R", "AL") for char in content):
        return TextLine(start, end, left, top, right, bottom)  # runs both ways, perhaps: only the whole box is known
    begins = [match.end() for match in re.finditer(r"\s+", content)]
    stops = ((start, left), *((start + i, left + (right - left) * i / len(content)) for i in begins), (end, right))
    return TextLine(start, end, left, top, right, bottom, stops)
