"""What readers of markup share: spans to runs, and texts whose newlines are one character each."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable
from itertools import pairwise

from ..page import Run

Span = tuple[int, int, str]
"""Start, end and role of a run to be."""


def newlines_to_lf(text: str) -> tuple[str, Callable[[int], int]]:
    """The text with every newline as one line feed, and how offsets in that lead back to the text."""
    if "\r" not in text:
        return text, int
    pairs = [match.start() - before for before, match in enumerate(re.finditer("\r\n", text))]
    return re.sub("\r\n?", "\n", text), lambda at: at + bisect_left(pairs, at)


def in_order(spans: Iterable[Span], to_text: Callable[[int], int] = int) -> tuple[Run, ...]:
    """Runs sorted by start, the outer before the inner. Stretches of ``syntax`` that touch or overlap are one, cut where
    another run begins or ends, so that runs are nested or apart."""
    hidden: list[list[int]] = []
    found: list[Span] = []
    for start, end, role in sorted(spans):
        if role != "syntax":
            found.append((start, end, role))
        elif hidden and start <= hidden[-1][1]:
            hidden[-1][1] = max(hidden[-1][1], end)
        else:
            hidden.append([start, end])
    edges = sorted({at for start, end, _ in found for at in (start, end)})
    for start, end in hidden:
        cuts = edges[bisect_right(edges, start) : bisect_left(edges, end)]
        found += ((a, b, "syntax") for a, b in pairwise([start, *cuts, end]))
    found.sort(key=lambda span: (span[0], -span[1], span[2] == "syntax"))
    return tuple(Run(to_text(start), to_text(end), role) for start, end, role in found)
