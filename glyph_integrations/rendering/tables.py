"""Tables of a Markdown or HTML text, one row a line: cells set under each other where the table fits the page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Cell = tuple[int, int]
_PIPE, _BACKSLASH, _SPACE = 0x7C, 0x5C, 0x20


def align_rows(
    codes: npt.NDArray[np.uint32],
    rows: Sequence[Cell],
    width_of: Callable[[int, int], int],
    pipe: int,
    space: int,
    room: int,
) -> dict[int, list[tuple[int, int, int]]]:
    """Where the bars and cells of a table stand.

    Args:
        codes: code points of the text the offsets count in.
        rows: start and end of each drawn row.
        width_of: width of a stretch of text in pixels.
        pipe, space: widths of a bar and of a space.
        room: width of a line.

    Returns:
        By the start of each row its pieces: start, end and x from the line's left edge. Empty when a row has no bars, or when
        the table is wider than a line: its rows are then set as ordinary lines.
    """
    table = [_cells(codes, start, end) for start, end in rows]
    if not table or any(not bars for bars, _ in table):
        return {}
    columns = max(len(cells) for _, cells in table)
    widths = [0] * columns
    for _, cells in table:
        for number, (start, end) in enumerate(cells):
            widths[number] = max(widths[number], width_of(start, end))
    opens = any(codes[start] == _PIPE for start, _ in rows)
    left = [pipe + space if opens else 0]
    for width in widths:
        left.append(left[-1] + width + pipe + 2 * space)
    if left[-1] > room:
        return {}
    placed: dict[int, list[tuple[int, int, int]]] = {}
    for (begin, _), (bars, cells) in zip(rows, table, strict=True):
        pieces: list[Any] = [(start, end, left[number]) for number, (start, end) in enumerate(cells) if end > start]
        skipped = 0 if codes[begin] == _PIPE else 1
        for number, bar in enumerate(bars):
            pieces.append((bar, bar + 1, max(0, left[number + skipped] - pipe - space)))
        placed[begin] = sorted(pieces)
    return placed


def _cells(codes: npt.NDArray[np.uint32], start: int, end: int) -> tuple[list[int], list[Cell]]:
    """Offsets of the bars of a row, and its cells without the spaces around them."""
    bars = [at + start for at in np.nonzero(codes[start:end] == _PIPE)[0].tolist()]
    bars = [at for at in bars if at == start or codes[at - 1] != _BACKSLASH]
    edges = [start - 1, *bars, end]
    if bars and bars[0] == start:
        edges = edges[1:]
    if bars and bars[-1] == end - 1:
        edges = edges[:-1]
    cells = []
    for low, high in zip(edges, edges[1:], strict=False):  # noqa: RUF007
        first, last = low + 1, high
        while first < last and codes[first] == _SPACE:
            first += 1
        while last > first and codes[last - 1] == _SPACE:
            last -= 1
        cells.append((first, last))
    return bars, cells
