"""How legible pages are: they are drawn, read by an OCR engine, and compared line by line with what was drawn."""

from __future__ import annotations

import random
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple, TypeVar

from PIL import Image, ImageOps

from ..errors import DocumentError, ModelError
from ..ocr import Reader, Stretch
from ..ocr.transcript import BORDER, CROP_LINES
from ..page import Page
from ..rendering import Renderer
from ..sources import SourceDocument
from ..style import PageStyle
from ..vision import VisionProfile
from .edit_distance import Edit, edits, normalize

_Line = TypeVar("_Line")


class Confusion(NamedTuple):
    """``drawn`` was read as ``read`` so many ``times``; one of the two may be empty."""

    drawn: str
    read: str
    times: int


@dataclass(frozen=True)
class LineReading:
    """One line as drawn and as read, both normalised (see `normalize`).

    Attributes:
        page, line: numbers, from 1.
        drawn, read: the texts.
    """

    page: int
    line: int
    drawn: str
    read: str

    @cached_property
    def edits(self) -> tuple[Edit, ...]:
        """What was misread."""
        return tuple(edits(self.drawn, self.read))

    @property
    def errors(self) -> int:
        """Characters to replace, add or drop: the Levenshtein distance of the two texts."""
        return sum(edit.cost for edit in self.edits)

    @property
    def error_rate(self) -> float:
        """`errors` for each character drawn; above 1 where much was read that was not drawn."""
        return self.errors / len(self.drawn)


@dataclass(frozen=True)
class Legibility:
    """How well an engine read pages of one style, and what these pages cost.

    Attributes:
        style: of the pages, as resolved for the text.
        reader: name of the engine.
        vision: name of the model family whose tokens were counted.
        lines: what was read, in order of the document; lines without visible characters are left out.
        tokens_per_1000: visual tokens for 1,000 characters of the text, over all pages (not the sample alone).
    """

    style: PageStyle
    reader: str
    vision: str
    lines: tuple[LineReading, ...]
    tokens_per_1000: float

    @property
    def characters(self) -> int:
        """Characters that were drawn on the lines read, normalised."""
        return sum(len(line.drawn) for line in self.lines)

    @property
    def errors(self) -> int:
        """Characters misread."""
        return sum(line.errors for line in self.lines)

    @property
    def error_rate(self) -> float:
        """Character error rate: errors for each character drawn."""
        return self.errors / self.characters

    @property
    def standard_error(self) -> float:
        """How far `error_rate` would vary between samples of as many lines: that of a ratio of two sums over lines
        (Cochran, Sampling Techniques, 1977, chapter 6). Two rates that differ by less than twice this are not told apart.
        """
        count = len(self.lines)
        if count < 2:
            return self.error_rate
        spread = sum((line.errors - self.error_rate * len(line.drawn)) ** 2 for line in self.lines)
        return float((spread * count / (count - 1)) ** 0.5 / self.characters)

    @property
    def unread(self) -> int:
        """Lines of which nothing was read."""
        return sum(not line.read for line in self.lines)

    def confusions(self, most: int = 10) -> list[Confusion]:
        """What was misread most often, the commonest first; neighbouring errors are one confusion (``rn`` read as ``m``)."""
        counts = Counter((line.drawn[e.start : e.end], e.read) for line in self.lines for e in line.edits)
        worst = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        return [Confusion(*pair, count) for pair, count in worst[:most]]


class Crop(NamedTuple):
    """A page with a few of its lines; ``first`` is the number of the first of these on the whole page."""

    page: Page
    first: int


def measure_legibility(
    what: str | SourceDocument | Iterable[Page],
    reader: Reader,
    style: PageStyle | Renderer | None = None,
    *,
    vision: VisionProfile | str = "glyph",
    lines: int | None = 36,
    seed: int = 0,
    upscale: float = 2.0,
    track: Callable[[Sequence[Crop]], Iterable[Crop]] = iter,
) -> Legibility:
    """Draw pages, read some lines back, and compare.

    Pages are read in crops of at most 12 lines, drawn at the style's own dpi. Crops are taken at random places of the text,
    the same for every style, so that styles are compared on the same passages.

    Args:
        what: a text or a document to be drawn, or pages of one document and style.
        reader: the engine, such as ``CachedReader(RapidOcrReader(), folder)``.
        style: how to draw a text or document; default preset ``glyph-72``. Pages have their own. A `Renderer` where further
            fonts are to be used, or glyphs drawn before to be used again.
        vision: the model whose tokens are counted, or its name.
        lines: how many lines with visible characters to read; None: all.
        seed: of the places.
        upscale: how much a crop is enlarged (bicubic) before it is read; engines are trained on larger letters.
        track: wraps the crops while they are read, to show progress.

    Raises:
        DocumentError: nothing visible to read.
        ModelError: the engine fails, or most letters are of scripts that it does not know.
        UnknownModelError: ``vision`` names no known model.
        ValueError: ``lines`` below 1, or ``upscale`` not from 0.5 to 8.
    """
    if lines is not None and lines < 1:
        raise ValueError(f"lines={lines}: must be at least 1, or None for all")
    if not 0.5 <= upscale <= 8:
        raise ValueError(f"upscale={upscale}: must be from 0.5 to 8")
    vision = VisionProfile.get(vision)
    if isinstance(what, str | SourceDocument):
        renderer = style if isinstance(style, Renderer) else Renderer(style)
        pages = list(renderer.paginate(what))
    else:
        pages = list(what)
        renderer = style if isinstance(style, Renderer) else Renderer(pages[0].style if pages else None)
    crops = [crop for page in pages for crop in split_into_crops(page)]
    check_scripts(reader, (page.text for page in pages))
    cost = sum(vision.count(*renderer.size(page, vision=vision)) for page in pages)
    chosen = crops if lines is None else choose_crops(crops, lines, seed)
    found = [reading for crop in track(chosen) for reading in read_crops(renderer, [crop], reader, upscale)]
    if not found:
        raise DocumentError(
            "nothing to read: the pages are blank, or pictures from a file; give a text with visible characters"
        )
    characters = sum(len(page.text) for page in pages)
    return Legibility(pages[0].style, reader.name, vision.name, tuple(found), 1000 * cost / characters)


def drawn_text(page: Page, number: int) -> str:
    """The text drawn on a line (numbered from 1), normalised: without hidden characters; tabs, joined newlines and the room
    between cells as spaces."""
    fragments = sorted(page.lines[number - 1])
    parts = []
    for at, fragment in enumerate(fragments):
        if at:
            before = fragments[at - 1]
            room = fragment.x > before.x + before.width and not (fragment.level or before.level)
            if room or any(map(str.isspace, page.text[before.end : fragment.start])):
                parts.append(" ")
        parts.append(page.text[fragment.start : fragment.end])
    return normalize("".join(parts))


def split_into_crops(page: Page) -> list[Crop]:
    """The lines of a page in groups of at most 12, without its label and line numbers; groups of blank lines are left out."""
    page = replace(page, style=page.style.replace(label="", line_numbers=False))  # lines stand where they stand
    groups = ((page.lines[at : at + CROP_LINES], at + 1) for at in range(0, len(page.lines), CROP_LINES))
    return [Crop(replace(page, lines=lines), first) for lines, first in groups if any(lines)]


def _visible(crop: Crop) -> list[int]:
    """Numbers of the lines of a crop that hold something to read."""
    return [n for n in range(1, len(crop.page.lines) + 1) if drawn_text(crop.page, n)]


def choose_crops(crops: Sequence[Crop], lines: int, seed: int) -> list[Crop]:
    """Crops that hold so many visible lines (the last one is cut), or all; those nearest to random places of the text."""
    starts = [crop.page.start + min(f.start for line in crop.page.lines for f in line) for crop in crops]
    dice = random.Random(seed)
    left = dict(enumerate(starts))
    chosen: dict[int, Crop] = {}
    while left and lines > 0:
        place = dice.random() * (starts[-1] + 1)
        nearest = min(left, key=lambda n: abs(left[n] - place))
        del left[nearest]
        crop = crops[nearest]
        visible = _visible(crop)
        if len(visible) > lines:
            crop = crop._replace(page=replace(crop.page, lines=crop.page.lines[: visible[lines - 1]]))
        if visible:
            chosen[nearest] = crop
        lines -= len(visible)
    return [chosen[n] for n in sorted(chosen)]


def check_scripts(reader: Reader, texts: Iterable[str]) -> None:
    """Refuse texts most letters of which an engine does not know.

    Raises:
        ModelError: it could not be told from bad pages.
    """
    if not reader.scripts:
        return
    counts = Counter(c for text in texts for c in text if c.isalpha())
    unknown = sum(n for c, n in counts.items() if not unicodedata.name(c, "").startswith(reader.scripts))
    if 2 * unknown > counts.total():
        raise ModelError(
            f"{reader.name} cannot read this text: {100 * unknown / counts.total():.0f} % of its letters are of scripts other "
            f"than {', '.join(reader.scripts)}; use tesseract with a language pack (such as tesseract:ara)"
        )


def read_crops(
    renderer: Renderer, crops: Sequence[Crop], reader: Reader, upscale: float, seen: tuple[float, float] = (1.0, 1.0),
    dpi: int | None = None,
) -> list[LineReading]:  # fmt: skip
    """What an engine reads on crops of one style, drawn one under the other as one picture.

    Args:
        seen: width and height at which a model sees a page, relative to the page as drawn; the engine is given no more.
        dpi: resolution; default the style's own.
    """
    style = crops[0].page.style
    pictures: list[Image.Image] = []
    rows: dict[tuple[int, int], tuple[float, float]] = {}
    top = BORDER
    for number, crop in enumerate(crops):
        image = draw_crop(renderer, crop.page, dpi)
        if seen != (1.0, 1.0):
            image = image.resize(_scaled(image, *seen), Image.Resampling.BICUBIC)
        if upscale != 1:
            image = image.resize(_scaled(image, upscale, upscale), Image.Resampling.BICUBIC)
        scale = upscale * seen[1]
        for line, box in renderer.boxes(crop.page, 0, len(crop.page.text), dpi):
            rows[number, line] = top + box.top * scale, top + box.bottom * scale
        pictures.append(image)
        top += image.height
    canvas = Image.new("L", (max(image.width for image in pictures), top - BORDER), style.background)
    top = 0
    for image in pictures:
        canvas.paste(image, (0, top))
        top += image.height
    read = assign(reader.read(ImageOps.expand(canvas, BORDER, style.background)), rows)
    return [
        LineReading(crop.page.number, crop.first + n - 1, drawn_text(crop.page, n), normalize(" ".join(read.get((at, n), ()))))
        for at, crop in enumerate(crops)
        for n in _visible(crop)
    ]


def _scaled(image: Image.Image, x: float, y: float) -> tuple[int, int]:
    return max(1, round(image.width * x)), max(1, round(image.height * y))


def draw_crop(renderer: Renderer, page: Page, dpi: int | None = None) -> Image.Image:
    """A page with nothing on it but its text: the marks of newlines are painted over."""
    image = renderer.draw(page, dpi)
    if page.style.newline == "marked":
        for fragment in (f for line in page.lines for f in line):
            for at in range(fragment.start, fragment.end):
                if page.text[at] == "\n":
                    for _, box in renderer.boxes(page, at, at + 1, dpi):
                        image.paste(page.style.background, box)
    return image


def assign(stretches: Iterable[Stretch], rows: dict[_Line, tuple[float, float]]) -> dict[_Line, list[str]]:
    """The texts read on each line: a stretch is of the line whose middle is nearest to its own.

    Args:
        stretches: in reading order within a line.
        rows: top and bottom of each line.
    """
    found: dict[_Line, list[str]] = {}
    for stretch in stretches:
        if rows:
            nearest = min(rows, key=lambda line: abs(sum(rows[line]) - stretch.top - stretch.bottom))
            found.setdefault(nearest, []).append(stretch.text)
    return found
