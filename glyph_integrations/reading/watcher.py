"""Who may look at the pages that go to a model, without being in the way."""

from __future__ import annotations

from typing import Protocol

from .placement import Gate
from .report import ContextReport


class PageWatcher(Protocol):
    """Told of every prompt that holds pages, such as a `QualityMonitor`."""

    def watch(self, report: ContextReport, gate: Gate) -> None:
        """Take note of the pages of a prompt that is about to be sent. Returns at once, and raises nothing."""
