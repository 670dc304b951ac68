"""Parts of a page: the text of some of its lines, and which lines surround what matches a question."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ..page import Page

Lines = tuple[int, int]
"""First and last line of a part of a page, numbered from 1."""

_BESIDE = (8, 3, 0)  # lines shown above and below what matches, the most generous choice first
_NEAR = 0.5  # of the best match's score: another match that counts


class Match(NamedTuple):
    """Characters ``start:end`` of a page's text that bear on a question, and how much."""

    start: int
    end: int
    score: float


def lines_text(page: Page, lines: Lines) -> str:
    """The text drawn on some lines of a page, line ends and unseen marks between them included."""
    first, last = lines
    if page.picture_lines:
        shown = page.picture_lines[first - 1 : last]
        return page.text[shown[0].start : shown[-1].end] if shown else ""
    fragments = [fragment for line in page.lines[first - 1 : last] for fragment in line]
    if not fragments:
        return ""
    return page.text[min(f.start for f in fragments) : max(f.end for f in fragments)]


def lines_around(page: Page, matches: Sequence[Match]) -> list[Lines]:
    """Which lines to show of a page that cannot be shown whole, the most generous choice first: all good matches that fit into
    half of the page, then the best alone, each with 8, 3 or no lines above and below. None without matches.

    Args:
        matches: the page's own, best first.
    """
    count = len(page.picture_lines) or len(page.lines)
    if not matches or not count:
        return []
    first, last = best = _lines_of(page, matches[0])
    for match in matches[1:]:
        if match.score < _NEAR * matches[0].score:
            break
        low, high = _lines_of(page, match)
        if 2 * (max(high, last) - min(low, first) + 1) <= count:
            first, last = min(low, first), max(high, last)
    choices = [_widened(lines, beside, count) for lines in ((first, last), best) for beside in _BESIDE]
    return [lines for lines in dict.fromkeys(choices) if lines != (1, count)]


def _lines_of(page: Page, match: Match) -> Lines:
    return page.line_of(match.start), page.line_of(match.end - 1)


def _widened(lines: Lines, beside: int, count: int) -> Lines:
    return max(1, lines[0] - beside), min(count, lines[1] + beside)
