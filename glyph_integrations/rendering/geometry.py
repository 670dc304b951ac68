"""Where the lines of a page stand: rows, thin blank lines, columns, the label, the gutter of line numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ..style import PageStyle

NUMBER_DIGITS = 5


class Places(NamedTuple):
    """Of each line the ``top`` in points from the page's top and the ``column`` (from 0); ``height`` of the page in points,
    trimmed to its lines."""

    top: npt.NDArray[np.float64]
    column: npt.NDArray[np.int32]
    height: float


def place_lines(inked: Sequence[bool], style: PageStyle) -> Places:
    """Where lines stand, given which of them hold anything."""
    first = style.margin_y + (style.line_height if style.label else 0)
    heights = np.where(np.asarray(inked, bool), style.line_height, style.line_height * style.blank_height)
    top = np.cumsum(heights) - heights
    column = np.zeros(len(heights), np.int32)
    lowest = float(heights.sum())
    if style.columns > 1:
        room = rows_per_column(style) * style.line_height + 1e-6
        at, here, lowest = 0.0, 0, 0.0
        for number, height in enumerate(heights.tolist()):
            if at + height > room and here + 1 < style.columns:
                here, at = here + 1, 0.0
            top[number], column[number] = at, here
            at += height
            lowest = max(lowest, at)
    return Places(first + top, column, first + lowest + style.margin_y)


def page_height(inked: Sequence[bool], style: PageStyle) -> float:
    """`Places.height` of `place_lines`, without the places."""
    if style.columns > 1:
        return place_lines(inked, style).height
    full = sum(inked)
    lines = full + (len(inked) - full) * style.blank_height + (1 if style.label else 0)
    return 2 * style.margin_y + lines * style.line_height


def rows_per_column(style: PageStyle) -> int:
    """How many full lines a column holds."""
    room = style.height - 2 * style.margin_y - (style.line_height if style.label else 0)
    return max(1, int(room / style.line_height + 1e-9))


def column_width(style: PageStyle) -> float:
    """Width of a column in points, indents and line numbers included."""
    return (style.width - 2 * style.margin_x - (style.columns - 1) * style.column_gap) / style.columns


def column_shift(style: PageStyle) -> float:
    """From one column's left edge to the next, in points."""
    return column_width(style) + style.column_gap


def to_pixels(points: float, dpi: int) -> int:
    """Points to whole pixels, halves up."""
    return int(points * dpi / 72 + 0.5)
