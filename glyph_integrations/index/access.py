"""Who may use an index: one thread at a time, to write only under the folder's lock, nobody once it is closed."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from ..errors import GlyphError
from .folder import IndexFolder


class Access:
    """Gives threads their turns.

    Attributes:
        guard: held by the thread whose turn it is.
        closed: whether all is over.
    """

    def __init__(self, folder: IndexFolder | None) -> None:
        self.guard = threading.RLock()
        self.closed = False
        self._folder = folder

    @contextmanager
    def reading(self) -> Iterator[None]:
        """The block has its turn.

        Raises:
            GlyphError: the index is closed.
        """
        with self.guard:
            if self.closed:
                raise GlyphError("this index is closed; open it again with PageIndex.open")
            yield

    @contextmanager
    def writing(self) -> Iterator[None]:
        """The block has its turn, and may write; this process then keeps the right to until the index is closed.

        Raises:
            IndexLockedError: another process, or another `PageIndex`, writes.
            GlyphError: the index is closed, or cannot be written.
        """
        with self.reading():
            if self._folder:
                self._folder.claim()
            yield
