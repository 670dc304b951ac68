"""What a run's role means for the eye: bold, slanted, monospaced, hidden, or kept line by line."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from ..page import Run

Looks = npt.NDArray[np.uint8]

BOLD, SLANT, MONO, HIDDEN, VERBATIM = 1, 2, 4, 8, 16
DRAWN = BOLD | SLANT | MONO
"""The part of a look that chooses the glyph."""

ROLES = {
    **{f"heading{level}": BOLD for level in range(1, 7)},
    "heading": BOLD,
    "strong": BOLD,
    "emphasis": SLANT,
    "code": MONO,
    "codeblock": MONO | VERBATIM,
    "table": VERBATIM,
    "syntax": HIDDEN,
    "keyword": BOLD,
    "comment": SLANT,
}


def looks_of(runs: Iterable[Run], start: int, end: int) -> Looks | None:
    """The look of each character of ``text[start:end]``: ``uint8[end - start]`` of flags, or None when all are plain."""
    looks: Looks | None = None
    for run in runs:
        flags = ROLES.get(run.role, 0)
        if flags and run.start < end and run.end > start:
            if looks is None:
                looks = np.zeros(end - start, np.uint8)
            looks[max(0, run.start - start) : max(0, run.end - start)] |= np.uint8(flags)
    return looks
