"""What stands on a page beside its text: the label at the top and the line numbers in the gutter."""

from __future__ import annotations

from typing import NamedTuple

from ..page import Page
from .geometry import NUMBER_DIGITS, Places, column_shift


class Note(NamedTuple):
    """A short text drawn at a place: its right end at ``right`` and its top at ``top``, both in points."""

    text: str
    right: float
    top: float


def notes_of(page: Page, places: Places, gutter: float) -> list[Note]:
    """The label and line numbers of a page.

    Args:
        places: of the page's lines.
        gutter: width of the column of line numbers in points, without the space after it.
    """
    style = page.style
    notes = []
    if style.label:
        text = str(page.number)
        if style.label == "source" and page.source:
            text = f"{page.source[-60:]} · {text}"
        notes.append(Note(text, style.width - style.margin_x, style.margin_y))
    if style.line_numbers and page.entry.line:
        last = None
        for line, top, column in zip(page.lines, places.top.tolist(), places.column.tolist(), strict=True):
            if not line or (page.entry.continues and last is None and line[0].start == 0):
                last = page.entry.line if line else last
                continue
            number = page.entry.line + page.text.count("\n", 0, min(f.start for f in line))
            if number != last:
                right = style.margin_x + style.left_indent + column * column_shift(style) + gutter
                notes.append(Note(str(number)[-NUMBER_DIGITS:], right, top))
            last = number
    return notes
