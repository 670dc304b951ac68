"""Some lines of a page, drawn alone."""

from __future__ import annotations

import math
from dataclasses import replace

from ..page import Page
from .geometry import column_shift, place_lines, to_pixels
from .rasterize_file import picture_size

Lines = tuple[int, int]
"""First and last line of a part of a page, numbered from 1."""

_BESIDE = 3  # points of the picture that stay above and below the lines


def crop_lines(page: Page, lines: Lines) -> Page:
    """A page of text without its other lines: what is drawn of it, since offsets still count in its whole text.

    Raises:
        ValueError: the page has no such lines.
    """
    first, last = _checked(page, lines, len(page.lines))
    kept = page.lines[first - 1 : last]
    style = page.style
    if style.columns > 1:  # the lines may stand in another column now
        before = place_lines([bool(line) for line in page.lines], style).column[first - 1 : last].tolist()
        after = place_lines([bool(line) for line in kept], style).column.tolist()
        wide = to_pixels(column_shift(style), style.dpi)
        kept = tuple(
            tuple(f._replace(x=f.x + wide * (new - old)) for f in line)
            for line, old, new in zip(kept, before, after, strict=True)
        )
    return replace(page, lines=kept)


def picture_rows(page: Page, lines: Lines, dpi: int) -> tuple[int, int]:
    """First and last (exclusive) pixel row of the strip of a picture that holds some lines of its text.

    Raises:
        ValueError: no text stands on the picture, or not so many lines.
    """
    assert page.picture is not None
    first, last = _checked(page, lines, len(page.picture_lines))
    _, height = picture_size(page.picture, dpi)
    scale = height / page.picture.height
    shown = page.picture_lines[first - 1 : last]
    top = max(0, math.floor((min(line.top for line in shown) - _BESIDE) * scale))
    return top, min(height, math.ceil((max(line.bottom for line in shown) + _BESIDE) * scale))


def _checked(page: Page, lines: Lines, count: int) -> Lines:
    first, last = lines
    if not 1 <= first <= last <= count:
        raise ValueError(
            f"lines={lines}: {page.label.lower()} has lines 1 to {count}" if count else f"{page.label} has no lines"
        )
    return first, last
