"""One writer at a time: a lock the operating system holds, so that a killed process lets go of it."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import IO

from ..errors import IndexLockedError


class WriteLock:
    """An exclusive lock on a file, held until `release` or the end of the process."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[bytes] | None = None

    @property
    def held(self) -> bool:
        """Whether this object holds the lock."""
        return self._file is not None

    def acquire(self, wait: float = 0) -> None:
        """Take the lock, if need be waiting some seconds for another to let go; nothing happens when it is held already.

        Raises:
            IndexLockedError: another process, or another `PageIndex` of this one, holds it.
            OSError: the file cannot be opened for writing.
        """
        patience = time.monotonic() + wait
        while not self._file:
            file = open(self._path, "ab")  # noqa: SIM115 - stays open as long as the lock is held
            try:
                _lock(file)
            except OSError:
                file.close()
                if time.monotonic() >= patience:
                    raise IndexLockedError(
                        f"{self._path.parent} is being written by another process (or another PageIndex of process "
                        f"{os.getpid()}); close it there first"
                    ) from None
                time.sleep(0.02)
            else:
                self._file = file

    def release(self) -> None:
        """Let go of the lock; nothing happens when it is not held."""
        if self._file:
            self._file.close()
            self._file = None


def _lock(file: IO[bytes]) -> None:
    if sys.platform == "win32":
        import msvcrt

        file.seek(0)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
