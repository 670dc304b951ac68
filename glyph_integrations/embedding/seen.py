"""`Seen`: what a model is shown of a page or a picture: the part with ink, at the size that the model reads best."""

from __future__ import annotations

import math
from io import BytesIO
from os import PathLike
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps

from ..errors import DocumentError, PictureSizeError
from ..page import Page
from ..rendering import Renderer
from ..rendering.rasterize_file import find_file, picture_pixels, plain
from ..sources.images import FORMATS, flat
from .picture_size import PictureSize
from .trim import Cut, Pixels, find_ink, paper_of

_FILE_DPI = 300  # the most that a page of a file is drawn at
_LARGEST = 4.0  # times that a given picture is enlarged at most
_MOST = 100_000_000  # pixels of a given picture


class Seen(NamedTuple):
    """What a model is shown.

    Attributes:
        image: the picture for the model, mode ``RGB``; the part with ink from its upper left corner on, then paper.
        whole: the picture before anything was cut off, mode ``L``, or ``RGB`` where it has colours.
        cut: the part of ``whole`` that has ink.
        size: width and height of that part in ``image``.
    """

    image: Image.Image
    whole: Image.Image
    cut: Cut
    size: tuple[int, int]


def see_page(page: Page, renderer: Renderer, size: PictureSize, trim: bool = True) -> Seen | None:
    """A page, drawn for a model at the resolution at which its part with ink is as large as the model takes, but at most at
    four times its style's resolution, or a page of a file at 300 dpi. Smaller than its style draws it, it is shrunk from that:
    letters drawn tiny do not look like letters shrunk. A page of text is grey, one of a file has its colours. None if there is
    nothing on it.

    Raises:
        DocumentError: the file of a page of a PDF or an image is not at hand, or damaged.
    """
    own = page.style.dpi
    most = 4 * own if page.picture is None else max(own, _FILE_DPI)
    width, height = renderer.size(page, own)
    dpi = _within(own * size.scale(width, height), own, most)
    pixels = _drawn(page, renderer, dpi)
    if trim and (cut := find_ink(pixels)):
        larger = _within(dpi * size.scale(*cut.size), own, most)
        if larger > dpi:
            pixels = _drawn(page, renderer, larger)
    return _seen(pixels, size, trim, 1.0)


def see_image(image: Image.Image, size: PictureSize, trim: bool = True) -> Seen | None:
    """A picture of any mode, in its colours, transparent parts on white, and enlarged at most four times; None if there is
    nothing on it.

    Raises:
        PictureSizeError: over 100 million pixels.
        DocumentError: its file is damaged.
    """
    if image.width * image.height > _MOST:
        raise PictureSizeError(
            f"a picture of {image.width} x {image.height} pixels is too large; at most {_MOST:,} are embedded"
        )
    try:
        upright = flat(ImageOps.exif_transpose(image))
        upright = upright.convert("L") if upright.mode == "1" else upright
    except (OSError, ValueError, SyntaxError, EOFError) as error:  # Pillow reads a file when its pixels are asked for
        raise DocumentError(f"the picture cannot be decoded: {error}") from error
    times = math.isqrt(upright.width * upright.height // (4 * (size.pixels or size.longest**2)))
    return _seen(plain(np.asarray(upright.reduce(times) if times > 1 else upright)), size, trim, _LARGEST)


def read_picture(picture: Image.Image | str | PathLike[str] | bytes) -> Image.Image:
    """A picture, from its file or the bytes of one if need be.

    Raises:
        DocumentError: the file cannot be read, or is no picture.
    """
    if isinstance(picture, Image.Image):
        return picture
    label = "the picture" if isinstance(picture, bytes) else str(picture)
    try:
        data = picture if isinstance(picture, bytes) else Path(picture).read_bytes()
        return Image.open(BytesIO(data), formats=FORMATS)
    except (OSError, Image.DecompressionBombError) as error:
        raise DocumentError(f"{label} cannot be read, or is no picture: {error}") from error


def _drawn(page: Page, renderer: Renderer, dpi: int) -> Pixels:
    if page.picture is None:
        return renderer.pixels(page, dpi)
    return picture_pixels(page, page.picture, find_file(page.picture, renderer.root), dpi, color=True)


def _seen(pixels: Pixels, size: PictureSize, trim: bool, enlarged: float) -> Seen | None:
    height, width = pixels.shape[:2]
    cut = find_ink(pixels) if trim else Cut(0, width, ((0, height),))
    if cut is None:
        return None
    part = Image.fromarray(cut.of(pixels))
    fitting, padded = size.fit(*part.size, enlarged)
    if max(abs(a - b) for a, b in zip(fitting, part.size, strict=True)) > 1:
        part = part.resize(fitting, Image.Resampling.LANCZOS)
    paper = paper_of(pixels)
    canvas = Image.new(part.mode, padded, paper if part.mode == "RGB" else paper[0])
    canvas.paste(part)
    return Seen(canvas.convert("RGB"), Image.fromarray(pixels), cut, part.size)


def _within(dpi: float, least: int, most: int) -> int:
    return min(max(int(dpi), least), most, 1200)
