"""Paragraphs to lines: where each line of a text starts and ends, at the style's own dpi.

Text is taken in blocks of 64 thousand characters, so that memory does not grow with it; within a block everything that can be
an array operation is one. About 70 ns a character.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from ..page import Run
from ..style import PageStyle
from .atlas import Atlas
from .bidi import line_levels, visual_runs
from .block import Block, Gap
from .geometry import NUMBER_DIGITS, column_width
from .raster import decode
from .tables import align_rows

BLOCK = 65_536
_new = tuple.__new__
LONGEST_LINE = 4096  # characters; only text without width (marks, format characters) comes near


Pieces = tuple[tuple[int, int, int, int, int], ...]
"""Start, end, x, width and level of each fragment."""


class LaidLine(NamedTuple):
    """A line of a document. ``start`` is where it begins in the document's text (its first fragment may begin later);
    ``fragments`` are those of a `Line`, with offsets into the document too. ``opening`` says how well a page may begin here:
    0 a form feed came before, 1 a paragraph after a blank line, 2 a paragraph, 3 inside a paragraph."""

    start: int
    fragments: Pieces
    opening: int


class _Measure:
    """The room for a line of the first column, in pixels at the style's own dpi."""

    def __init__(self, style: PageStyle, space: int, digit: int) -> None:
        to_px = style.dpi / 72
        gutter = digit * NUMBER_DIGITS + space if style.line_numbers else 0
        self.left = round((style.margin_x + style.left_indent) * to_px) + gutter
        self.room = round((style.margin_x + column_width(style) - style.right_indent) * to_px) - self.left
        self.indent = round(style.indent * to_px)
        self.tab = style.tab_width * space
        self.align = style.align


def lay_lines(text: str, runs: Sequence[Run], style: PageStyle, atlas: Atlas, wrap: int) -> Iterator[LaidLine]:
    """The lines of a text.

    Args:
        runs: sorted by start.
        style: with ``newline`` resolved.
        atlas: of the style's own dpi.
        wrap: the width in characters at which the text was wrapped, for ``newline="reflow"``.
    """
    digit = int(atlas.advance[atlas.glyphs(decode("0"))[0]]) if style.line_numbers else 0
    measure = _Measure(style, atlas.space, digit)
    position, size = 0, BLOCK
    opening, inside = 1, False
    while position < len(text):
        end = min(position + size, len(text))
        if end < len(text) and text[end - 1] == "\r":  # never between the two halves of a newline
            end += 1
        end = _after_table(runs, position, end)
        block = Block(text, _overlapping(runs, position, end), position, end, style, atlas, wrap)
        rows = _table_rows(block, runs, measure, atlas) if runs else {}
        whole = end == len(text)
        paragraphs = list(block.breaks)
        if whole and (not paragraphs or paragraphs[-1][1] < block.length):
            paragraphs.append((block.length, block.length))
        begin = 0
        solid = block.solid.item
        plain = block.is_plain and measure.align == "left" and not measure.indent
        for stop, after in paragraphs:
            blank = not inside and solid(stop) <= begin
            if blank and block.is_unseen(begin, stop):
                begin = after
                continue
            if blank:
                yield _new(LaidLine, (position + begin, (), opening))
            elif begin in rows and not inside:
                yield LaidLine(position + begin, rows[begin], opening)
            else:
                broken = (
                    _plain_lines(block, begin, stop, measure)
                    if plain
                    else _break_paragraph(block, begin, stop, measure, inside)
                )
                rank = 3 if inside else opening
                for start, line, _ in broken:
                    yield _new(LaidLine, (position + start, line, rank))  # half the cost of LaidLine(...)
                    rank = 3
            form_feed = after > stop and block.codes[stop] == 0x0C
            opening = 0 if form_feed or (blank and opening == 0) else 1 if blank else 2
            begin, inside = after, False
        if not whole:  # the paragraph that leaves the block, up to the first line that text to come could change
            for start, line, after in list(_break_paragraph(block, begin, block.length, measure, inside, whole=False)):
                yield LaidLine(position + start, line, 3 if inside or start > begin else opening)
                begin, inside = after, True
        size = BLOCK if begin else size * 2
        position += begin


def _after_table(runs: Sequence[Run], start: int, end: int) -> int:
    """The end of a block, moved behind a table that it would cut; one longer than a block is cut all the same."""
    for run in _overlapping(runs, end - 1, end):
        if run.role == "table" and start <= run.start < end < run.end <= run.start + BLOCK:
            return run.end
    return end


def _table_rows(block: Block, runs: Sequence[Run], measure: _Measure, atlas: Atlas) -> dict[int, Pieces]:
    """The aligned rows of a block's tables, by their start in the block."""
    found: dict[int, Pieces] = {}
    if block.levels is not None:
        return found
    pipe = int(atlas.advance[atlas.glyphs(decode("|"))[0]])
    bounds = [0, *(after for _, after in block.breaks)]
    stops = [*(stop for stop, _ in block.breaks), block.length]
    for run in _overlapping(runs, block.start, block.start + block.length):
        low, high = run.start - block.start, run.end - block.start
        if run.role != "table" or low < 0 or high > block.length:
            continue
        lines = range(bisect_left(bounds, low), bisect_left(bounds, high))
        rows = [(bounds[n], int(block.solid[stops[n]])) for n in lines if not block.is_unseen(bounds[n], stops[n])]
        if any(end <= start for start, end in rows):
            continue

        def width_of(start: int, end: int) -> int:
            return int(block.pen.item(end) - block.pen.item(start))

        placed = align_rows(block.codes, rows, width_of, pipe, atlas.space, measure.room)
        for begin, pieces in placed.items():
            found[begin] = tuple(
                piece for start, end, x in pieces for piece in _fragments(block, start, end, measure.left + x, measure.tab)
            )
    return found


def _overlapping(runs: Sequence[Run], start: int, end: int) -> Sequence[Run]:
    if not runs:
        return runs
    # a run may be as long as a code block is: those that began a block earlier are looked at too
    low = bisect_left(runs, start - BLOCK, key=lambda run: run.start)
    return runs[low : bisect_left(runs, end, key=lambda run: run.start)]


def _break_paragraph(
    block: Block, begin: int, stop: int, measure: _Measure, inside: bool, *, whole: bool = True
) -> Iterator[tuple[int, Pieces, int]]:
    """Greedy line breaking: the start, fragments and next start of each line of ``block[begin:stop]``. With ``whole=False`` the
    paragraph goes on beyond the block, and lines near its end, which that could change, are left out."""
    pen = block.pen
    surely = pen.item(max(begin, stop - 64))
    start = begin
    while start < stop:
        first = start == begin and not inside
        x = measure.left + (measure.indent if first else 0)
        room = measure.room - (measure.indent if first else 0)
        here = pen.item(start)
        if block.tabs and bisect_left(block.tabs, start) < bisect_left(block.tabs, min(stop, start + LONGEST_LINE)):
            after = _tabbed_break(block, start, stop, room, measure.tab)
        else:
            after = _plain_break(block, start, stop, here + room)
        if not whole and (after >= stop or (surely <= here + room) or stop - after < 64):
            return
        visible = int(block.solid[after])
        line = _fragments(block, start, max(start, visible), x, measure.tab)
        if block.levels is not None and line:
            line = _bidirectional(block, line, x, room, block.base_at(start))
        if measure.align != "left" and line:
            line = _aligned(line, measure, x, room, last=after >= stop)
        yield start, line, after
        start = after


def _plain_lines(block: Block, begin: int, stop: int, measure: _Measure) -> list[tuple[int, Pieces, int]]:
    """`_break_paragraph` for what most text is: one piece per line, flush left. About 2 microseconds a line."""
    lines: list[tuple[int, Pieces, int]] = []
    starts, reach, offset, x, room = block.starts, block.reach, block.start, measure.left, measure.room
    pen, solid = block.pen.item, block.solid.item
    end = solid(stop)
    end_pen = pen(end)
    at = bisect_left(starts, begin)
    start, here = begin, pen(begin)
    while start < stop:
        limit = here + room
        if end_pen <= limit and stop - start <= LONGEST_LINE:
            visible, after, width = end, stop, end_pen - here
        else:
            found = bisect_right(reach, limit, at) - 1
            while found >= at and (starts[found] > start + LONGEST_LINE or starts[found] >= stop):
                found -= 1
            after = starts[found] if found >= at else start
            visible = solid(after)
            if after > start and visible > start:
                at, width = found, reach[found] - here
            else:
                after = _forced_break(block, start, stop, limit)
                visible = solid(after)
                width = pen(visible) - here
        lines.append((start, ((offset + start, offset + visible, x, width, 0),) if visible > start else (), after))
        start = after
        here = pen(after)
    return lines


def _plain_break(block: Block, start: int, stop: int, limit: int) -> int:
    """Where the line after the one at ``start`` begins, when it may reach pen position ``limit``."""
    if block.pen.item(int(block.solid[stop])) <= limit and stop - start <= LONGEST_LINE:
        return stop
    at = bisect_right(block.reach, limit) - 1
    while at >= 0 and (block.starts[at] > start + LONGEST_LINE or block.starts[at] >= stop):
        at -= 1
    if at >= 0 and block.starts[at] > start and block.solid[block.starts[at]] > start:
        return int(block.starts[at])
    return _forced_break(block, start, stop, limit)


def _forced_break(block: Block, start: int, stop: int, limit: int) -> int:
    """Inside a word that is longer than a line. Marks stay with their letter: they do not move the pen."""
    after = int(np.searchsorted(block.pen, limit, side="right")) - 1
    return max(start + 1, min(after, stop, start + LONGEST_LINE))


def _tabbed_break(block: Block, start: int, stop: int, room: int, tab: int) -> int:
    """`_plain_break` for a line with tabs: each segment between tabs is shifted to its tab stop."""
    stop_here = min(stop, start + LONGEST_LINE)
    here = block.pen.item(start)
    shift, best, low = 0, 0, start
    tabs = block.tabs[bisect_left(block.tabs, start) : bisect_left(block.tabs, stop_here)]
    for until in (*tabs, stop_here):
        limit = here + room - shift
        at = min(bisect_right(block.reach, limit), bisect_right(block.starts, until)) - 1
        if at >= 0 and block.starts[at] > low and block.starts[at] < stop and block.solid[block.starts[at]] > start:
            best = block.starts[at]
        if block.pen.item(min(int(block.solid[until]), until)) > limit and block.solid[until] > low:
            break
        if until == stop_here:
            return stop if stop_here == stop else best or stop_here
        pen = block.pen.item(until) - here + shift
        shift += (pen // tab + 1) * tab - pen
        low = until
        if pen + tab > room + tab:
            break
    else:
        return stop
    return best or max(_forced_break(block, start, stop, here + room - shift), low + 1 if low > start else start + 1)


def _fragments(block: Block, start: int, end: int, x: int, tab: int) -> Pieces:
    """The pieces of a line between tabs and joined newlines, offsets in the document."""
    if end <= start:
        return ()
    at = bisect_left(block.gap_starts, start)
    if at == len(block.gaps) or block.gaps[at].start >= end:
        width = block.pen.item(end) - block.pen.item(start)
        return ((block.start + start, block.start + end, x, width, 0),)
    pieces, pen, cursor = [], x, start
    for gap in (*block.gaps[at : bisect_left(block.gap_starts, end)], Gap(end, end, False)):
        width = block.pen.item(gap.start) - block.pen.item(cursor)
        if gap.start > cursor:
            pieces.append((block.start + cursor, block.start + gap.start, pen, width, 0))
        pen += width
        if gap.tab:
            pen = x + ((pen - x) // tab + 1) * tab
        else:
            pen += block.pen.item(min(gap.end, end)) - block.pen.item(gap.start)
        cursor = gap.end
    return tuple(pieces)


def _bidirectional(block: Block, line: Pieces, x: int, room: int, base: int) -> Pieces:
    """The pieces of a line cut where the direction changes, at their places from left to right; in a right-to-left paragraph
    the line ends at the right edge."""
    assert block.levels is not None
    first, last = line[0][0] - block.start, line[-1][1] - block.start
    levels = line_levels(block.codes[first:last], block.levels[first:last], base)
    if not base and not levels.any():
        return tuple((*piece[:4], 0) for piece in line)
    gaps = {a[1]: b[2] - a[2] - a[3] for a, b in pairwise(line)}  # room after a piece: a tab, a joined newline
    cuts = sorted({at for start, end, *_ in line for at in (start - block.start - first, end - block.start - first)})
    pen = x
    placed = []
    for start, end, level in visual_runs(levels):
        inner = [start, *(c for c in cuts if start < c < end), end]
        spans = list(pairwise(inner))
        for a, b in reversed(spans) if level & 1 else spans:
            at, stop = first + a, first + b
            if not any(piece[0] <= block.start + at < piece[1] for piece in line):
                continue
            width = block.pen.item(stop) - block.pen.item(at)
            gap = gaps.get(block.start + stop, 0)
            if level & 1:
                pen += gap
            placed.append((block.start + at, block.start + stop, pen, width, level))
            pen += width + (0 if level & 1 else gap)
    shift = max(0, x + room - pen) if base else 0
    return tuple(sorted((a, b, at + shift, width, level) for a, b, at, width, level in placed))


def _aligned(line: Pieces, measure: _Measure, x: int, room: int, *, last: bool) -> Pieces:
    start, end, pen, width, level = line[-1]
    spare = x + room - max(piece[2] + piece[3] for piece in line)
    if measure.align == "justify":
        if last or len(line) > 1 or spare <= 0:
            return line
        return ((start, end, pen, width + spare, level),)
    shift = spare if measure.align == "right" else spare // 2
    return tuple((start, end, pen + max(0, shift), width, level) for start, end, pen, width, level in line)
