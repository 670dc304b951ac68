"""What a `QualityMonitor` counts."""

from __future__ import annotations

from dataclasses import dataclass, field

BUCKETS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
"""Upper bounds of error rates of pages, in a histogram."""


@dataclass
class Tally:
    """What was read of pages of one style at one resolution.

    Attributes:
        pages, lines, characters: that were read.
        errors: characters to replace, add or drop.
        unread: lines of which nothing was read.
        misread: pages whose error rate is above the monitor's ``warn_above``.
        buckets: pages whose error rate is at most each of `BUCKETS`.
        error_rates: the sum of the pages' error rates.
    """

    pages: int = 0
    lines: int = 0
    characters: int = 0
    errors: int = 0
    unread: int = 0
    misread: int = 0
    buckets: list[int] = field(default_factory=lambda: [0] * len(BUCKETS))
    error_rates: float = 0.0

    @property
    def error_rate(self) -> float:
        """Characters misread for each one drawn; 0 before any was read."""
        return self.errors / self.characters if self.characters else 0.0


@dataclass
class Counts:
    """What became of the pages a monitor was shown.

    Attributes:
        seen: pages that went to a model as images.
        sampled: of these, chosen to be read back.
        dropped: of these, not read because too many were waiting.
        skipped: of these, not read because the engine cannot: a picture from a file, a script it does not know, no text.
        failed: of these, not read because the engine or the drawing failed.
    """

    seen: int = 0
    sampled: int = 0
    dropped: int = 0
    skipped: int = 0
    failed: int = 0
