"""Which neighbours are summarized together: like page ends, the ends depend on what stands around them, so that an edit changes
the groups near it and no others."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import accumulate


def group_ends(sizes: Sequence[float], marks: Sequence[int], most: float) -> list[int]:
    """Where groups of neighbours end (each end is the next one's start), so that no group is larger than ``most``, except for a
    single item that is.

    An item whose mark is the least within half of ``most`` on both sides begins a group wherever the groups before it ended.
    Between two such items that are too far apart, a group ends before the least mark that leaves both sides a quarter of
    ``most``.

    Args:
        sizes: of the items, all positive.
        marks: of the items: numbers that depend on their content alone, such as hashes.
        most: the largest size of a group.
    """
    starts = [0.0, *accumulate(sizes)]
    anchors = [*_anchors(starts, marks, most / 2), len(sizes)]
    ends: list[int] = []
    at = 0
    while at < len(sizes):
        full = max(at + 1, bisect_right(starts, starts[at] + most + 1e-9) - 1)
        anchor = anchors[bisect_right(anchors, at)]
        if anchor > full:
            low = bisect_left(starts, max(starts[at] + most / 4, min(starts[anchor] - most, starts[full])), at + 1, full)
            high = max(low, min(full, bisect_right(starts, starts[anchor] - most / 4) - 1))
            anchor = min(range(low, high + 1), key=lambda i: (marks[i], -i))
        ends.append(anchor)
        at = anchor
    return ends


def _anchors(starts: Sequence[float], marks: Sequence[int], sight: float) -> list[int]:
    """Items whose mark is the least as far as they see; the ends of the list rank below all."""
    found = []
    for i in range(bisect_left(starts, sight), bisect_right(starts, starts[-1] - sight)):
        low, high = bisect_left(starts, starts[i] - sight), min(len(marks), bisect_right(starts, starts[i] + sight))
        if 0 < i < len(marks) and marks[i] < min(marks[low:i], default=marks[i] + 1) and marks[i] <= min(marks[i:high]):
            found.append(i)
    return found
