"""A picture of text -> the text, in paragraphs: cut into crops that an engine reads well, and put together again."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from .reader import Reader, Stretch

CROP_LINES = 12  # engines take time out of proportion for more
BORDER = 16  # pixels around a crop: engines lose what touches the edge
_PITCH = 24  # pixels from line to line that engines read well
_MOST = 2.0  # times that a crop is enlarged
_FAINT = 32  # grey values from the paper that are still paper
_UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u312f\u31a0-\u9fff\uf900-\ufaff\uff00-\uff60]")


class _Line(NamedTuple):
    """A line or a part of one as read; its box in pixels of the picture."""

    text: str
    middle: float
    height: float
    left: float
    right: float


def transcribe(image: Image.Image, reader: Reader) -> str:
    """The text in a picture: lines of one paragraph joined, paragraphs apart by an empty line or, after a short line, a
    newline. Empty when there is no ink or nothing legible.

    The picture is cut between lines into crops of at most 12, which are enlarged (at most twice, bicubic) until their lines
    are about 24 pixels apart. Text is taken to stand upright in one column; what stands side by side is one line.

    Args:
        image: any mode; what is transparent is white.
        reader: the engine; a `CachedReader` reads no crop twice.
    """
    return _join(_lines(image, reader))


def read_lines(image: Image.Image, reader: Reader) -> list[Stretch]:
    """The lines of text in a picture, from top to bottom, each with its box in pixels of the picture; found as by
    `transcribe`."""
    found = _lines(image, reader)
    return [Stretch(text, middle - high / 2, middle + high / 2, left, right) for text, middle, high, left, right in found]


def _lines(image: Image.Image, reader: Reader) -> list[_Line]:
    grey = _grey(image)
    pixels = np.asarray(grey)
    paper = int(np.bincount(pixels.ravel(), minlength=256).argmax())
    ink = np.abs(pixels.astype(np.int16) - paper) > _FAINT
    rows = ink.sum(axis=1)
    inked = np.flatnonzero(rows)
    if not len(inked):
        return []
    columns = np.flatnonzero(ink.any(axis=0))
    left, right = int(columns[0]), int(columns[-1]) + 1
    pitch = _line_pitch(rows[inked[0] : inked[-1] + 1])
    lines: list[_Line] = []
    joined = (ink[1:] & ink[:-1]).sum(axis=1)  # strokes that go on from a row to the next
    for top, bottom in _cuts(joined, int(inked[0]), int(inked[-1]) + 1, pitch):
        if rows[top:bottom].any():
            lines += _read(grey.crop((left, top, right, bottom)), reader, pitch, paper, left, top)
    return lines


def _grey(image: Image.Image) -> Image.Image:
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("L")


def _line_pitch(rows: npt.NDArray[Any]) -> float:
    """Pixels from line to line: from one dense run of rows to the next, in the closest part of the picture, since paragraphs
    stand apart. Of lone lines, what the height of their run suggests. (Of 2,255 pages in every preset and in type of up to 36
    points, English and Chinese, 98 % are taken for 0.7 to 1.6 times what they are.)"""
    usual = float(np.percentile(rows[rows > 0], 90))
    dense = np.concatenate([[False], rows > 0.25 * usual, [False]])
    begins: list[int] = np.flatnonzero(dense[1:] & ~dense[:-1]).tolist()
    ends: list[int] = np.flatnonzero(~dense[1:] & dense[:-1]).tolist()
    runs: list[tuple[int, int]] = []
    for begin, end in zip(begins, ends, strict=True):
        if runs and rows[runs[-1][1] : begin].min() >= 0.08 * usual:  # strokes of large type, with ink between them
            runs[-1] = runs[-1][0], end
        else:
            runs.append((begin, end))
    pitch = 2.2 * float(np.median([end - begin for begin, end in runs]))
    if len(runs) > 1:
        pitch = min(pitch, float(np.percentile(np.diff([begin for begin, _ in runs]), 5)))
    return max(5.0, pitch)


def _cuts(joined: npt.NDArray[Any], top: int, bottom: int, pitch: float) -> list[tuple[int, int]]:
    """Bands of at most 12 lines, cut where the fewest strokes go on."""
    bands = []
    while bottom - top > (CROP_LINES + 0.5) * pitch:
        low, high = top + int((CROP_LINES - 1.25) * pitch), top + int(CROP_LINES * pitch)
        cut = high - int(np.argmin(joined[low:high][::-1]))
        bands.append((top, cut))
        top = cut
    return [*bands, (top, bottom)]


def _read(crop: Image.Image, reader: Reader, pitch: float, paper: int, left: int, top: int) -> list[_Line]:
    """The lines of a crop, whose corner in the picture is given."""
    scale = min(_MOST, max(0.5, _PITCH / pitch))
    size = max(1, round(crop.width * scale)), max(1, round(crop.height * scale))
    enlarged = ImageOps.expand(crop.resize(size, Image.Resampling.BICUBIC), BORDER, paper)
    found = [
        _Line(
            s.text.strip(), (s.top + s.bottom - 2 * BORDER) / (2 * scale) + top, (s.bottom - s.top) / scale,
            (s.left - BORDER) / scale + left, (s.right - BORDER) / scale + left,
        ) for s in reader.read(enlarged) if s.text.strip()
    ]  # fmt: skip
    lines: list[list[_Line]] = []
    for piece in sorted(found, key=lambda line: line.middle):
        before = lines[-1][-1] if lines else None
        if before and piece.middle - before.middle < 0.4 * min(piece.height, before.height):
            lines[-1].append(piece)
        else:
            lines.append([piece])
    return [_beside(pieces) for pieces in lines]


def _beside(pieces: list[_Line]) -> _Line:
    """The parts of one line, from left to right, as one."""
    texts, middles, heights, lefts, rights = zip(*sorted(pieces, key=lambda piece: piece.left), strict=True)
    return _Line(" ".join(texts), sum(middles) / len(pieces), max(heights), min(lefts), max(rights))


def _join(lines: list[_Line]) -> str:
    if not lines:
        return ""
    apart = [b.middle - a.middle for a, b in pairwise(lines)]
    usual = float(np.percentile(apart, 30)) if apart else 0.0  # the closer ones: paragraphs stand apart
    full = max(line.right for line in lines)
    text = lines[0].text
    for before, line in pairwise(lines):
        if line.middle - before.middle > 1.3 * usual:
            text += f"\n\n{line.text}"
        elif before.right < 0.8 * full:
            text += f"\n{line.text}"
        else:
            tight = _UNSPACED.match(text[-1]) or _UNSPACED.match(line.text) or re.search(r"\w-\Z", text)
            text += line.text if tight else f" {line.text}"
    return text
