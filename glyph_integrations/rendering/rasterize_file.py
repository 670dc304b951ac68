"""Pages whose picture comes from a file: a PDF's pages, an image's frames."""

from __future__ import annotations

import hashlib
import logging
import math
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from ..errors import DocumentError
from ..page import Box, Page, Scalar
from ..picture import Picture, pack_text_lines
from ..sources import SourceDocument
from ..sources.page_file import OPENED, PageFile
from ..style import PageStyle

_log = logging.getLogger("glyph_integrations")
_MAX_PIXELS = 99_000_000  # so that padding does not lift it over 100 million
_LONGEST_SIDE = 30_000
_FAINT = 8  # of 255 that the channels of a grey may differ


def file_pages(document: SourceDocument, style: PageStyle, source: str, metadata: dict[str, Scalar]) -> Iterator[Page]:
    """One `Page` for each page of a PDF or frame of an image.

    At 72 dpi a PDF page has its own size in points. A frame has its own size in pixels unless it is wider than the style's
    page; then it is as wide as that.
    """
    OPENED.keep(document)
    style = style.replace(newline="keep")
    for index, (start, end, width, height, boxes) in enumerate(document.pages):
        if document.media_type.startswith("image/"):
            shrink = min(1.0, style.width / width)
            if shrink < 1 and boxes:
                boxes = _shrunk(Picture("", document.sha256, index, width, height, boxes), document.text[start:end], shrink)
            width, height = width * shrink, max(1.0, height * shrink)
        picture = Picture(document.name, document.sha256, index, round(width, 2), round(height, 2), boxes)
        yield Page(
            text=document.text[start:end], style=style, lines=(), source=source, number=index + 1, start=start,
            picture=picture, metadata=metadata,
        )  # fmt: skip


def _shrunk(picture: Picture, text: str, shrink: float) -> str:
    """The text boxes of a picture that is made smaller."""
    lines = [
        line._replace(
            left=int(line.left * shrink), top=int(line.top * shrink), right=math.ceil(line.right * shrink),
            bottom=math.ceil(line.bottom * shrink), stops=tuple((offset, x * shrink) for offset, x in line.stops),
        ) for line in picture.lines(text)
    ]  # fmt: skip
    return pack_text_lines(text, lines)


def picture_size(picture: Picture, dpi: int) -> tuple[int, int]:
    """Width and height in pixels at a resolution; less where that would be over 99 million pixels or 30,000 on a side."""
    scale = _scale(picture, dpi)
    return max(1, int(picture.width * scale + 0.5)), max(1, int(picture.height * scale + 0.5))


def _scale(picture: Picture, dpi: int) -> float:
    longest = _LONGEST_SIDE / max(picture.width, picture.height)
    return min(dpi / 72, longest, math.sqrt(_MAX_PIXELS / (picture.width * picture.height)))


def picture_boxes(page: Page, picture: Picture, start: int, end: int, dpi: int) -> list[tuple[int, Box]]:
    """Line number and box in pixels of characters ``start:end`` of a page's text, for each line that holds any of them."""
    scale = _scale(picture, dpi)
    found = []
    for number, line in enumerate(page.picture_lines, 1):
        if line.start < end and start < line.end:
            left, right = line.across(start, end)
            box = (
                math.floor(left * scale),
                math.floor(line.top * scale),
                math.ceil(right * scale),
                math.ceil(line.bottom * scale),
            )
            found.append((number, Box(*box)))
    return found


def picture_pixels(page: Page, picture: Picture, file: PageFile, dpi: int, color: bool = False) -> npt.NDArray[np.uint8]:
    """``uint8[height, width]`` grey values of the picture; with ``color``, ``uint8[height, width, 3]`` where it has colours.

    Raises:
        DocumentError: the file cannot be drawn.
    """
    width, height = picture_size(picture, dpi)
    label = f"page {page.number} of {page.source}" if page.source else f"page {page.number}"
    if (got := 72 * _scale(picture, dpi)) < 0.99 * dpi:
        size = f"{picture.width:g} x {picture.height:g} points"
        _log.warning("%s is %s: drawn at %.3g dpi in place of %d", label, size, got, dpi)
    return plain(np.asarray(file.draw(picture.index, width, height, page.source or "the file", color)))


def plain(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Grey values where no pixel has a colour that shows: channels up to 8 of 255 apart are those of a printer's black."""
    if pixels.ndim == 2:
        return pixels
    red, green, blue = pixels[..., 0], pixels[..., 1], pixels[..., 2]
    apart = np.maximum(np.maximum(red, green), blue) - np.minimum(np.minimum(red, green), blue)
    return pixels if apart.max(initial=0) > _FAINT else np.asarray(Image.fromarray(pixels).convert("L"))


def find_file(picture: Picture, root: Path | None) -> PageFile:
    """The file of a picture: one that this process opened, or one below ``root`` that has the picture's hash.

    Raises:
        DocumentError: there is none, and why.
    """
    document = OPENED.get(picture.sha256)
    if document is not None and document.file is not None:
        return document.file
    name = picture.name or "the file"
    if root is None:
        raise DocumentError(
            f"{name} is not at hand: open it in this process, or give the renderer root=, a folder that holds it"
        )
    folder = root.resolve()
    try:
        path = (folder / picture.name).resolve()
        if not (picture.name and path.is_relative_to(folder) and path.is_file()):
            raise DocumentError(f"{name} is not below {root}")
        status = path.stat()
        same = _sha256(str(path), status.st_mtime_ns, status.st_size) == picture.sha256
        data = path.read_bytes() if same else b""
    except (OSError, ValueError) as error:
        raise DocumentError(f"{name} below {root} cannot be read: {error}") from error
    if hashlib.sha256(data).hexdigest() != picture.sha256:  # of these bytes: the file may be changing
        raise DocumentError(f"{name} below {root} is not the file that the page was made from: its hash is another")
    file = PageFile(data, picture.sha256)
    file.check(name)
    OPENED.keep(SourceDocument("", name=picture.name, sha256=picture.sha256, file=file))
    return file


@lru_cache(maxsize=256)
def _sha256(path: str, changed: int, size: int) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
