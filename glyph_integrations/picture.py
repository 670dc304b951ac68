"""`Picture`: where the picture of a page comes from when it is not drawn from text, and where on it that text stands."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, NamedTuple

from .errors import PageFormatError
from .packing import fold, pack, unfold, unpack

Way = Literal[0, 1, 2]
"""How a line of text runs: 0 from left to right, 1 from right to left, 2 otherwise (then only its whole box is known)."""


class TextLine(NamedTuple):
    """A line of text on a picture.

    ``start`` and ``end`` are offsets into the page's text; ``left``, ``top``, ``right`` and ``bottom`` points from the upper
    left corner of the picture; ``stops`` the pen position, ``(offset, x)``, where the line begins and ends, where each further
    word begins, and about where the one before that ends. A line that runs neither to the right nor to the left has none.
    """

    start: int
    end: int
    left: int
    top: int
    right: int
    bottom: int
    stops: tuple[tuple[int, float], ...] = ()

    def across(self, start: int, end: int) -> tuple[float, float]:
        """Left and right end of characters ``start:end`` of the page's text, as far as they are on this line; inside a word
        its characters are taken to be equally wide."""
        if not self.stops:
            return self.left, self.right
        a, b = self._x(max(start, self.start)), self._x(min(end, self.end))
        return min(a, b), max(a, b)

    def _x(self, offset: int) -> float:
        for (a, x), (b, y) in pairwise(self.stops):
            if offset <= b:
                return x + (y - x) * (offset - a) / (b - a)
        return self.stops[-1][1]


@dataclass(frozen=True)
class Picture:
    """A page of a PDF, or a frame of an image.

    Attributes:
        name: of the file, a relative path with forward slashes. It is opened only by a renderer that was given a ``root``.
        sha256: of the file's bytes, 64 hex digits.
        index: of the page or frame, from 0.
        width, height: size at 72 dpi. A PDF page: its own size in points. A frame: its pixels, or the style's page width and
            the height that goes with it if that is less.
        boxes: `pack_text_lines` of the text on it; empty when there is none.
    """

    name: str
    sha256: str
    index: int
    width: float
    height: float
    boxes: str = ""

    def __post_init__(self) -> None:
        sizes = (self.width, self.height)
        if not (re.fullmatch("[0-9a-f]{64}", self.sha256) and 0 <= self.index < 10_000_000):
            raise PageFormatError(f"page {self.index} of a file with sha256 {self.sha256[:80]!r}: no such picture can be")
        if not all(math.isfinite(size) and 0 < size <= 10_000_000 for size in sizes):
            raise PageFormatError(f"a picture of {self.width} x {self.height} points has no size that can be drawn")

    def __str__(self) -> str:
        return ",".join((self.sha256, str(self.index), f"{self.width!r}", f"{self.height!r}", self.boxes, self.name))

    @classmethod
    def parse(cls, text: str) -> Picture:
        """The inverse of ``str(picture)``.

        Raises:
            PageFormatError: not such a string, or sizes that nothing can have.
        """
        try:
            sha256, index, width, height, boxes, name = text.split(",", 5)
            return cls(name, sha256, int(index), float(width), float(height), boxes)
        except ValueError as error:
            raise PageFormatError(f"the picture of a page cannot be decoded: {error}") from error

    def lines(self, text: str) -> tuple[TextLine, ...]:
        """The lines of the page's text on the picture, in the order of the text.

        Raises:
            PageFormatError: ``boxes`` is damaged or belongs to another text.
        """
        try:
            return tuple(_unpack(self.boxes, text, math.ceil(self.width), math.ceil(self.height)))
        except (ValueError, StopIteration, RuntimeError) as error:
            raise PageFormatError(f"the text boxes of a picture cannot be decoded: {error or 'they end too early'}") from error


def pack_text_lines(text: str, lines: Iterable[TextLine]) -> str:
    """Lines of a page's text as one compact string, to be read with the same text at hand. Of ``stops`` those where words
    begin are kept, as what they differ from equally wide characters, so that a full page takes some 600 characters.

    Args:
        text: of the page.
        lines: one after the other in the text, ``stops`` at the start of the line, of each further word, and at its end.
    """
    values: list[int] = []
    at = left = top = 0
    for line in lines:
        way: Way = 2 if not line.stops else 0 if line.stops[0][1] <= line.stops[-1][1] else 1
        values += (line.start - at, line.end - line.start, fold(line.left - left), fold(line.top - top))
        values += (line.right - line.left, line.bottom - line.top, way)
        known = dict(line.stops)
        if way < 2:
            values += (fold(round(known[b]) - _guess(line, way, b)) for _, b in _gaps(text, line.start, line.end))
        at, left, top = line.end, line.left, line.top
    return pack(values)


def _unpack(boxes: str, text: str, width: int, height: int) -> Iterable[TextLine]:
    numbers = iter(unpack(boxes, 16 * (len(text) + 100)))
    at = left = top = 0
    for skipped in numbers:
        start = at + skipped
        end = start + next(numbers)
        left += unfold(next(numbers))
        top += unfold(next(numbers))
        line = TextLine(start, end, left, top, left + next(numbers), top + next(numbers))
        way = next(numbers)
        if not (
            start < end <= len(text) and 0 <= left <= line.right <= width and 0 <= top <= line.bottom <= height and way <= 2
        ):
            raise ValueError("a line lies outside of its page or text")
        at = end
        if way == 2:
            yield line
            continue
        first, last = (line.left, line.right) if way == 0 else (line.right, line.left)
        stops: list[tuple[int, float]] = [(start, first)]
        for a, b in _gaps(text, start, end):
            x = min(max(_guess(line, way, b) + unfold(next(numbers)), line.left), line.right)
            begun, before = stops[-1]
            word, gap = a - begun, _SPACE * (b - a)
            stops += ((a, before + (x - before) * word / (word + gap)), (b, x))
        yield line._replace(stops=(*stops, (end, last)))


_SPACE = 0.5  # its width, in characters of the word before it


def _gaps(text: str, start: int, end: int) -> list[tuple[int, int]]:
    """The white space between the words of a line."""
    return [(start + match.start(), start + match.end()) for match in re.finditer(r"(?<=\S)\s+(?=\S)", text[start:end])]


def _guess(line: TextLine, way: int, offset: int) -> int:
    moved = (line.right - line.left) * (offset - line.start) // (line.end - line.start)
    return line.right - moved if way else line.left + moved
