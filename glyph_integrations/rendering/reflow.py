"""Text that was wrapped by hand: is it, at what width, and which of its newlines are only wrapping."""

from __future__ import annotations

import re
from itertools import pairwise

import numpy as np

_SAMPLE = 256_000
# what only opens a line: an item, a quoted line, a row between bars, a command, a ruler, a name and a colon
_OPENING = re.compile(r"(?:[-*+•$#]|\d{1,3}[.)]|[a-z][.)]|[A-Z][\w-]*:)\s|[>|]|[^\w\s]{4,}(?:\s|\Z)")
_GAP = re.compile(r"(?<=\S) {3,}(?=\S)")
_CELLS = re.compile(r"(?<=\S)(?: *\t| {8})")  # a gap that neither a sentence nor justified text has
_FIRST_LINE = 8  # a paragraph's first line is indented by no more than that, and the others follow at the margin
_NARROWEST, _WIDEST = 30, 160
_SHARE = 0.4


def wrap_width(text: str) -> int:
    """The width in characters at which a text was wrapped by hand, or 0 when it was not.

    A newline was forced by width ``w`` when its line is at most ``w`` long and the next line's first word would not have
    fitted on it. The width is the one that explains most newlines between adjoining lines; it counts when it explains at
    least 10 of them and 40 %, and when at least half of those break a sentence, so that records of equal length (a log, a
    table) are not taken for prose. (Measured: novels 100 %, technical prose with code and lists 50 to 75 %, source code 17 %.)
    What a letter quotes (``>``) tells nothing about its own width. Looks at the first 256,000 characters.
    """
    lines = [line.rstrip() for line in text[:_SAMPLE].split("\n")]
    pairs = [(line, after) for line, after in pairwise(lines) if line and after and not after.startswith(">")]
    explained = np.zeros((2, _WIDEST + 2), np.int64)  # by width, as difference arrays: all, and those inside a sentence
    for line, after in pairs:
        need = _needed(line, after)
        if need and len(line) <= _WIDEST:
            rows = slice(0, 2 if _goes_on(line, after) else 1)
            explained[rows, len(line)] += 1
            explained[rows, min(need, _WIDEST + 1)] -= 1
    count, inside = np.cumsum(explained, axis=1)
    count[:_NARROWEST] = 0
    width = int(count.argmax())
    return width if count[width] >= max(10, _SHARE * len(pairs)) and 2 * inside[width] >= count[width] else 0


def _goes_on(line: str, after: str) -> bool:
    """Whether a sentence goes on over a newline, as far as its next letter tells."""
    first = after.lstrip()[0]
    if first.islower() or not first.isalpha():
        return first.islower()
    return not first.isupper() and line[-1] not in ".!?。！？।؟"  # a script without capitals


def _needed(line: str, after: str) -> int:
    """How long a line would have been with the next line's first word; 0 when the newline is there for another reason: the
    next line is indented further, or much less, or opens as only a line of its own does, or one of them is a ruler, a row of a
    table or of a heading."""
    line, after = line.rstrip(), after.rstrip()
    words = after.split(None, 1)
    if not words or not any(map(str.isalnum, line)):
        return 0
    indent = len(line) - len(line.lstrip())
    indent_after = len(after) - len(after.lstrip())
    if not indent_after <= indent <= indent_after + _FIRST_LINE or _OPENING.match(after, indent_after):
        return 0
    if _in_columns(line, after):
        return 0
    return len(line) + 1 + len(words[0])


def _in_columns(line: str, after: str) -> bool:
    """Whether two lines have something after a wide gap in the same column, as rows of a table do, or one has a gap so wide
    that nothing else explains it."""
    if _CELLS.search(line) or _CELLS.search(after):
        return True
    ends = {gap.end() for gap in _GAP.finditer(line)} if "   " in after else ()
    return bool(ends) and any(gap.end() in ends for gap in _GAP.finditer(after))


def is_forced(line: str, after: str, width: int) -> bool:
    """Whether the newline between two lines is only wrapping at ``width``, give or take the few characters by which the width
    of a ragged text is uncertain."""
    return len(line.rstrip()) <= width + 10 and width < _needed(line, after)
