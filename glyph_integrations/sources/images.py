"""Image files: one page a frame, without text."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import TYPE_CHECKING

from ..errors import DocumentError
from .media_type import IMAGES, binary_type
from .page_file import FilePage, PageFile

if TYPE_CHECKING:
    from PIL import Image

FORMATS = ("PNG", "JPEG", "TIFF", "WEBP", "GIF", "BMP")
_MAX_PIXELS = 89_000_000  # a frame; Pillow warns above 89,478,485
_MAX_FRAMES = 10_000
_ORIENTATION = 0x0112  # EXIF; from 5 on the picture lies on its side


def read_image(data: bytes, label: str) -> tuple[PageFile, str, tuple[FilePage, ...]]:
    """An image's frames as pages without text. Each frame of a TIFF file is one; of an animation only the first picture is.

    The picture of a file with one frame is decoded, to know that it is whole; of a TIFF file with several, only where their
    data is.

    Args:
        data: all bytes of the file.
        label: what messages call the file.

    Raises:
        DocumentError: not an image that can be read, truncated, damaged, or a frame of over 89 million pixels.
    """
    with _opened(data, label) as image:
        frames = getattr(image, "n_frames", 1) if image.format == "TIFF" else 1
        if frames > _MAX_FRAMES:
            raise DocumentError(f"{label} has {frames:,} frames; at most {_MAX_FRAMES:,} are read. Split it")
        pages = []
        for index in range(frames):
            _seek(image, index, label)
            if frames == 1:
                image.load()
            else:
                _check_strips(image, len(data), label)
            width, height = image.size
            if image.format != "TIFF" and image.getexif().get(_ORIENTATION, 1) >= 5:
                width, height = height, width
            pages.append(FilePage(index, index + (index < frames - 1), width, height))
    return PageFile(data, hashlib.sha256(data).hexdigest()), "\f" * (frames - 1), tuple(pages)


def draw_frame(data: bytes, index: int, width: int, height: int, label: str, color: bool = False) -> Image.Image:
    """A frame (from 0) at a size, mode ``L``: turned upright as EXIF says, colours made grey, transparent parts on white; with
    ``color`` mode ``RGB``.

    Raises:
        DocumentError: it cannot be decoded.
    """
    from PIL import Image, ImageOps

    with _opened(data, label) as image:
        _seek(image, index, label)
        frame = flat(ImageOps.exif_transpose(image)).convert("RGB" if color else "L")
        return frame if frame.size == (width, height) else frame.resize((width, height), Image.Resampling.LANCZOS)


@contextmanager
def _opened(data: bytes, label: str) -> Iterator[Image.Image]:
    import struct

    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(BytesIO(data), formats=FORMATS) as image:
            yield image
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise DocumentError(f"{label}: its picture is too large: {error}") from error
    except (OSError, ValueError, SyntaxError, KeyError, TypeError, IndexError, EOFError, OverflowError, struct.error) as error:
        kind = binary_type(data)
        if kind is None or kind.media_type not in IMAGES:
            raise DocumentError(f"{label} is not a PNG, JPEG, TIFF, WebP, GIF or BMP picture") from error
        why = "its beginning" if isinstance(error, UnidentifiedImageError) else str(error)
        raise DocumentError(f"{label} is {kind.phrase} that cannot be read; it is truncated or damaged: {why}") from error


def _seek(image: Image.Image, index: int, label: str) -> None:
    """Go to a frame, and refuse one that would fill the memory before it is decoded."""
    if index:
        image.seek(index)
    if image.width * image.height > _MAX_PIXELS:
        raise DocumentError(
            f"{label}: a picture of {image.width} x {image.height} pixels is too large; at most {_MAX_PIXELS:,} are decoded"
        )


def _check_strips(image: Image.Image, size: int, label: str) -> None:
    """That the data of a TIFF frame lies inside of the file."""
    tags = getattr(image, "tag_v2", {})
    for offsets, lengths in ((273, 279), (324, 325)):  # strips, tiles
        starts, counts = tags.get(offsets, ()), tags.get(lengths, ())
        if any(start + count > size for start, count in zip(starts, counts, strict=False)):
            raise DocumentError(f"{label}: frame {image.tell() + 1} goes beyond the end of the file: it is truncated")


def flat(image: Image.Image) -> Image.Image:
    """Any mode as ``L``, ``1`` or, where it has colours, ``RGB``; what is transparent is white."""
    import numpy as np
    from PIL import Image

    mode = image.mode
    if mode in ("I", "F") or mode.startswith("I;"):  # Pillow would cut off all above 255
        values = np.asarray(image, np.float64)
        low, high = min(0.0, float(values.min())), float(values.max())
        if mode != "F":  # 16 bits hold scans of 12, too
            high = next((most for most in (255.0, 4095.0, 65535.0) if high <= most), high)
        return Image.fromarray(np.uint8((values - low) * (255 / max(high - low, 1e-9)) + 0.5))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        paper = Image.new("RGBA", image.size, "white")
        paper.alpha_composite(image)
        image = paper
    return image if image.mode in ("L", "1") else image.convert("RGB")
