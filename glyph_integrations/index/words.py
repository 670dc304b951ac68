"""BM25 kept abreast of the truth: behind the back of adds, and waited for by the searches that need it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import closing

from ..errors import GlyphError, IndexCorruptError, IndexLockedError
from .bm25 import Bm25
from .folder import IndexFolder
from .log import PORTION
from .progress import progress_bar
from .record import Made, Mark
from .store import Store

BACKGROUND = 2_000
"""So many changes behind (some 10 seconds of work), BM25 is built again: from the moment of opening, with a progress bar, and
writes do not wait for it."""

WAIT = 60.0
"""Seconds a reader waits for a writer that is bringing BM25 up to date but gets no further."""


class Words:
    """BM25 of one `Store`. On disk only the holder of the write lock may touch it. A thread brings it up to date after each
    write, several small ones at once, for a commit of tantivy's takes as long as ten of SQLite's; a reader that finds it behind
    takes the lock for a while, or waits for the process that has it.

    Not safe to use from several threads at once but for `wait` and `stop`.

    Args:
        store: the truth.
        made: what the index is made of.
        folder: None in memory.
        progress: whether building it again shows a bar on standard error; None where that is a terminal.
    """

    def __init__(self, store: Store, made: Made, folder: IndexFolder | None, progress: bool | None = None) -> None:
        self._store = store
        self._made = made
        self._folder = folder
        self._progress = progress
        self._bm25 = Bm25(folder.words if folder else None, made.name)
        self._counted = False
        self._thread: threading.Thread | None = None
        self._turn = threading.Lock()  # over the next two
        self._running = False
        self._again = False  # there is more, which the thread may not have seen
        self._stop = threading.Event()

    @property
    def building(self) -> bool:
        """Whether BM25 is being brought up to date in the background."""
        return self._running

    @property
    def recorded(self) -> Mark | None:
        """See `Bm25.recorded`."""
        return self._bm25.recorded

    @property
    def behind(self) -> int:
        """How many changes BM25 has yet to see, by what it has recorded."""
        return self._store.behind(self.recorded)

    def start(self) -> None:
        """If BM25 is far behind, begin to build it in the background; unless another process writes: then that is its business.
        Damage is not looked for."""
        if self._folder and (behind := self.behind) >= BACKGROUND:
            self._start(behind)

    def hasten(self) -> None:
        """`start`, but having looked at the files themselves. With `wait`, then `current`, nobody else is held up."""
        if self._folder and not self._running:
            self.wait()  # it may still be letting go
            if (behind := self._store.behind(self._bm25.mark)) >= BACKGROUND:
                self._start(behind)

    def follow(self) -> None:
        """See to it that BM25 takes in what was just written; the caller holds the write lock."""
        behind = self.behind
        if self._folder is None:
            if behind >= PORTION:
                self._bm25.catch_up(self._store)
            return
        self._start(behind)
        if min(PORTION, self._bm25.pages // 4) < behind < BACKGROUND:
            self.wait()  # or another process would find by BM25 what is no longer there

    def wait(self) -> None:
        """Return when nothing is going on in the background."""
        while (thread := self._thread) and thread.is_alive():
            thread.join(0.2)  # in portions, for Ctrl-C

    def current(self) -> Bm25:
        """BM25, at or after the end of the log as it is now."""
        self.wait()
        end = self._store.mark()
        if not self._reaches(end):
            self._write(end, lambda: self._bm25.catch_up(self._store))
        if not self._counted:
            if self._miscounts():  # sound file by file, and yet not of these pages
                self._write(None, self._bm25.discard)
                self._write(end, lambda: self._bm25.catch_up(self._store))
                if self._miscounts():
                    raise IndexCorruptError("the log of changes does not lead to the stored pages; restore from a copy")
            self._counted = True
        return self._bm25

    def stop(self) -> None:
        """Let what goes on in the background end after the portion it is at; the next opening goes on from there."""
        self._stop.set()

    def close(self) -> None:
        """Finish what is little, `stop` what is much."""
        if self._running and self.behind > 2 * PORTION:
            self.stop()
        self.wait()
        self._bm25.close()

    # -- in the background ----------------------------------------------------------------------------------------------

    def _start(self, behind: int) -> None:
        assert self._folder
        with self._turn:
            self._again = True
            if self._running:
                return
        self.wait()
        lock, done = self._folder.lock, self._folder.lock.release
        try:
            lock.acquire()
        except IndexLockedError:
            return
        except OSError:  # nobody can write here: BM25 in memory
            self._bm25, done = Bm25(None, self._made.name), lambda: None
        self._running = True
        arguments = (self._folder, behind, self._folder.claimed, done)
        self._thread = threading.Thread(target=self._run, args=arguments, name="glyph-bm25")
        self._thread.start()

    def _run(self, folder: IndexFolder, behind: int, go_on: bool, done: Callable[[], None]) -> None:
        """``go_on``: this process will write more, so what writes may stay open."""
        try:
            shown = self._progress if behind >= BACKGROUND else False
            with closing(Store(folder.database, None)) as store, progress_bar("BM25", behind, shown) as seen:
                while self._more():
                    self._bm25.catch_up(store, self._stopped, seen)
        except (GlyphError, OSError):
            pass  # the search that needs it meets the same, and says so
        finally:
            with self._turn:
                self._running = False
            try:
                if not go_on:
                    self._bm25.close()
            finally:
                done()

    def _more(self) -> bool:
        """Whether to look into the log, at first and after each time that something was added."""
        with self._turn:
            self._running = self._again and not self._stopped()
            self._again = False
            return self._running

    def _stopped(self) -> bool:
        return self._stop.is_set() or not threading.main_thread().is_alive()  # the interpreter waits for its threads

    # -- in the foreground ----------------------------------------------------------------------------------------------

    def _reaches(self, end: Mark) -> bool:
        mark = self._bm25.mark
        return mark is not None and mark.seq >= end.seq and self._store.knows(mark)

    def _miscounts(self) -> bool:
        end = self._store.mark()
        differs = self._bm25.mark == end and self._bm25.pages != self._store.count()
        return differs and self._store.mark() == end

    def _write(self, end: Mark | None, act: Callable[[], None]) -> None:
        lock = self._folder.lock if self._folder else None
        if lock is None or lock.held:
            act()
            return
        seen, patience = self.recorded, time.monotonic() + WAIT
        while True:
            try:
                lock.acquire(wait=0.02)
                break
            except IndexLockedError:
                if end and self._reaches(end):
                    return
                if seen != self.recorded:
                    seen, patience = self.recorded, time.monotonic() + WAIT
                if time.monotonic() > patience:
                    raise
            except OSError:  # nobody can write here: BM25 in memory
                self._bm25 = Bm25(None, self._made.name)
                self._bm25.catch_up(self._store)
                return
        try:
            act()
            self._bm25.close()
        finally:
            lock.release()
