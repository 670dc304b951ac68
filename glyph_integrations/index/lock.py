"""One writer at a time: a lock the operating system holds, so that a killed process lets go of it."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from ..errors import IndexLockedError


class WriteLock:
    """An exclusive lock on a file, until it was released as often as it was acquired, or to the end of the process.

    Threads that share this object share the lock.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[bytes] | None = None
        self._holders = 0
        self._guard = threading.RLock()  # reentrant, for the garbage collector may release at any moment

    @property
    def held(self) -> bool:
        """Whether this object holds the lock."""
        return self._file is not None

    def acquire(self, wait: float = 0) -> None:
        """Take the lock, if need be waiting some seconds for another to let go.

        Raises:
            IndexLockedError: another process, or another `PageIndex` of this one, holds it.
            OSError: the file cannot be opened for writing.
        """
        patience = time.monotonic() + wait
        while not self._take():
            if time.monotonic() >= patience:
                raise IndexLockedError(
                    f"{self._path.parent} is being written by another process (or another PageIndex of process "
                    f"{os.getpid()}); close it there first"
                )
            time.sleep(0.02)

    def release(self) -> None:
        """Undo one `acquire`."""
        with self._guard:
            self._holders -= 1
            if self._file and not self._holders:
                self._file.close()
                self._file = None

    @contextmanager
    def holding(self) -> Iterator[None]:
        """The block holds the lock.

        Raises:
            IndexLockedError, OSError: as `acquire`.
        """
        self.acquire()
        try:
            yield
        finally:
            self.release()

    def _take(self) -> bool:
        with self._guard:
            if self._file is None:
                file = open(self._path, "ab")  # noqa: SIM115 - stays open as long as the lock is held
                try:
                    _lock(file)
                except OSError:
                    file.close()
                    return False
                self._file = file
            self._holders += 1
            return True


def _lock(file: IO[bytes]) -> None:
    if sys.platform == "win32":
        import msvcrt

        file.seek(0)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
