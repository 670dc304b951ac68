"""`QualityMonitor`: some of the pages that go to a model in production, read back by OCR and compared with their text."""

from __future__ import annotations

import heapq
import logging
import os
import queue
import random
import threading
import time
import weakref
from collections import deque
from functools import partial
from itertools import count
from typing import NamedTuple

from ..errors import ModelError
from ..ocr import Reader
from ..page import Page
from ..reading import ContextReport, Gate, Placement
from ..rendering.crop import crop_lines
from .legibility import LineReading, check_scripts, choose_crops, read_crops, split_into_crops
from .prometheus import exposition
from .tally import BUCKETS, Counts, Tally

_log = logging.getLogger("glyph_integrations")
_LINES = 12  # of a page, in one picture: 3 s of an engine
_GROUPS = 64  # style and resolution; what comes after them is counted together
_PITCH = 20  # pixels from line to line that engines read well


class Misread(NamedTuple):
    """A page that was read badly.

    Attributes:
        error_rate: characters misread for each one drawn, on the lines that were read.
        page: which; its text and all that is needed to draw it again.
        dpi: at which it was drawn.
        line: number, from 1, of the worst line.
        drawn, read: that line as drawn and as read.
    """

    error_rate: float
    page: Page
    dpi: int
    line: int
    drawn: str
    read: str


class _Sample(NamedTuple):
    placement: Placement
    gate: Gate
    seed: int


class QualityMonitor:
    """Reads some of the pages back that are sent to a model, and tells when they cannot be read.

    Give it to whatever builds prompts: ``ContextBuilder(..., monitor=monitor)``, ``ChatGlyph(..., monitor=monitor)``,
    ``GlyphLLM``, ``GlyphSynthesizer``. Nothing is watched unless you do.

    A sampled page is put on a short queue; a thread draws it again (the same picture: that depends on the page alone), shrinks
    it as the model would, reads at most twelve of its lines and compares. When the queue is full the page is dropped and
    counted. So an answer never waits, and never fails for it; the engine does take processor time beside it.

    A page misread by more than ``warn_above`` is logged at level WARNING, at most once a minute for each style.

    Args:
        rate: how many of the pages are sampled, 0 to 1.
        reader: the OCR engine; default `RapidOcrReader` on one core, loaded with the first sample (extra ``ocr``: Latin,
            Chinese and Japanese script).
        warn_above: error rate, in characters, from which on a page counts as misread.
        waiting: pages on the queue at most.
        worst: how many of the worst pages are kept.
        seed: of which pages, and which of their lines, are chosen.

    Raises:
        ValueError: a rate beyond 0 to 1, or ``waiting`` or ``worst`` below 1.
        MissingExtraError: no ``reader`` was given, and the extra ``ocr`` is not installed.
    """

    def __init__(
        self,
        rate: float = 0.01,
        reader: Reader | None = None,
        *,
        warn_above: float = 0.1,
        waiting: int = 16,
        worst: int = 20,
        seed: int = 0,
    ) -> None:
        if not 0 <= rate <= 1:
            raise ValueError(f"rate={rate}: must be from 0 to 1")
        if waiting < 1 or worst < 1:
            raise ValueError("waiting and worst must be at least 1")
        if reader is None:
            _check_installed()
        self.rate = rate
        self.warn_above = warn_above
        self._given, self._seed, self._waiting, self._most = reader, seed, waiting, worst
        self._closed = False
        self._begin()
        _monitors.add(self)

    def _begin(self) -> None:
        """Nothing was seen yet, and nothing runs: at first, and in a process that was forked, which has none of the threads."""
        self._reader = self._given
        self._dice = random.Random(self._seed)
        self._queue: queue.Queue[_Sample | None] = queue.Queue(self._waiting)
        self._counts = Counts()
        self._tallies: dict[tuple[str, int], Tally] = {}
        self._worst: list[tuple[float, int, Misread]] = []  # a heap, the least bad first
        self._order = count()
        self._warned: dict[tuple[str, int], float] = {}
        self._complained: deque[str] = deque(maxlen=16)
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def __deepcopy__(self, memo: object) -> QualityMonitor:
        return self  # a copied model is watched by the same monitor

    def __reduce__(self) -> tuple[partial[QualityMonitor], tuple[float, Reader | None]]:
        alike = partial(QualityMonitor, warn_above=self.warn_above, waiting=self._waiting, worst=self._most, seed=self._seed)
        return alike, (self.rate, self._given)  # another process counts for itself

    # -- what prompt builders call ---------------------------------------------------------------------------------------

    def watch(self, report: ContextReport, gate: Gate) -> None:
        """Sample the images of a prompt. Returns at once, and raises nothing."""
        try:
            images = report.images
            with self._lock:  # so that nothing is put on the queue behind the end that `close` puts there
                if not images or self._closed:
                    return
                self._counts.seen += len(images)
                chosen = [_Sample(p, gate, self._dice.getrandbits(32)) for p in images if self._dice.random() < self.rate]
                self._counts.sampled += len(chosen)
                if chosen and self._thread is None:
                    self._thread = threading.Thread(target=self._work, name="glyph-quality", daemon=True)
                    self._thread.start()
                for sample in chosen:
                    try:
                        self._queue.put_nowait(sample)
                    except queue.Full:
                        self._counts.dropped += 1
        except Exception as error:  # whatever it is, the answer goes on
            self._complain(error)

    # -- what is known so far --------------------------------------------------------------------------------------------

    @property
    def counts(self) -> Counts:
        """What became of the pages so far."""
        with self._lock:
            return Counts(**vars(self._counts))

    @property
    def total(self) -> Tally:
        """What was read so far, all styles together."""
        total = Tally()
        for tally in self.tallies.values():
            _add(total, tally)
        return total

    @property
    def tallies(self) -> dict[tuple[str, int], Tally]:
        """What was read so far, by style and dpi."""
        with self._lock:
            return {key: Tally(**{**vars(tally), "buckets": list(tally.buckets)}) for key, tally in self._tallies.items()}

    @property
    def worst(self) -> list[Misread]:
        """The pages that were read worst, the worst first."""
        with self._lock:
            return [misread for _, _, misread in sorted(self._worst, key=lambda item: (-item[0], item[1]))]

    def prometheus(self) -> str:
        """All counters in Prometheus' text format (version 0.0.4), to be served at ``/metrics`` or written to a file for the
        node exporter."""
        return exposition(self.counts, self.tallies)

    # -- the thread ------------------------------------------------------------------------------------------------------

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until what is on the queue was read; False when that took longer than ``timeout`` seconds."""
        until = None if timeout is None else time.monotonic() + timeout
        with self._queue.all_tasks_done:
            while self._queue.unfinished_tasks:
                left = None if until is None else until - time.monotonic()
                if left is not None and left <= 0:
                    return False
                self._queue.all_tasks_done.wait(left)
        return True

    def close(self) -> None:
        """Stop: what is on the queue is not read any more. Counters stay. Safe to call twice."""
        with self._lock:
            self._closed = True
            thread = self._thread
        if thread is None:
            return
        while thread.is_alive():
            try:
                self._queue.put_nowait(None)
                break
            except queue.Full:
                self._drop_one()
        thread.join()

    def __enter__(self) -> QualityMonitor:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _drop_one(self) -> None:
        try:
            self._queue.get_nowait()
        except queue.Empty:
            return
        self._queue.task_done()
        with self._lock:
            self._counts.dropped += 1

    def _work(self) -> None:
        while (sample := self._queue.get()) is not None:
            try:
                if self._closed:
                    with self._lock:
                        self._counts.dropped += 1
                else:
                    self._check(sample)
            except Exception as error:  # engines and files raise their own
                with self._lock:
                    self._counts.failed += 1
                self._complain(error)
            finally:
                self._queue.task_done()
        self._queue.task_done()

    def _check(self, sample: _Sample) -> None:
        placement, gate, seed = sample
        if self._reader is None:
            from ..ocr import RapidOcrReader

            self._reader = RapidOcrReader(threads=1)
        page = placement.page
        dpi = gate.dpi_of(page, placement.dpi)
        readings = []
        if page.picture is None and _knows(self._reader, placement.text):
            readings = _read(placement, gate, dpi, self._reader, seed)
        if not readings:
            with self._lock:
                self._counts.skipped += 1
            return
        self._record(page, dpi, readings)

    def _record(self, page: Page, dpi: int, readings: list[LineReading]) -> None:
        characters, errors = sum(len(r.drawn) for r in readings), sum(r.errors for r in readings)
        rate = errors / characters
        line = max(readings, key=lambda reading: reading.error_rate)
        misread = Misread(rate, page, dpi, line.line, line.drawn, line.read)
        key = (str(page.style), dpi)
        with self._lock:
            if key not in self._tallies and len(self._tallies) >= _GROUPS:
                key = ("other", 0)
            tally = self._tallies.setdefault(key, Tally())
            own = Tally(1, len(readings), characters, errors, sum(not r.read for r in readings), int(rate > self.warn_above))
            own.buckets, own.error_rates = [int(rate <= bound) for bound in BUCKETS], rate
            _add(tally, own)
            entry = (rate, -next(self._order), misread)
            if len(self._worst) < self._most:
                heapq.heappush(self._worst, entry)
            else:
                heapq.heappushpop(self._worst, entry)
            now = time.monotonic()
            warn = rate > self.warn_above and now - self._warned.get(key, -60.0) >= 60
            if warn:
                self._warned[key] = now
        if warn:
            where = f"{page.label} of {page.source}" if page.source else page.label
            _log.warning(
                "%s, drawn in style %s at %d dpi, was misread: %.0f %% of %d characters; line %d is %r and was read as %r",
                where, page.style, dpi, 100 * rate, characters, line.line, line.drawn[:80], line.read[:80],
            )  # fmt: skip

    def _complain(self, error: Exception) -> None:
        told = f"{type(error).__name__}: {error}"
        if told not in self._complained:
            self._complained.append(told)
            _log.warning("quality monitor: %s", told)


_monitors: weakref.WeakSet[QualityMonitor] = weakref.WeakSet()


def _begin_all() -> None:
    for monitor in list(_monitors):
        monitor._begin()


if hasattr(os, "register_at_fork"):  # servers load an application once, and fork their workers
    os.register_at_fork(after_in_child=_begin_all)


def _knows(reader: Reader, text: str) -> bool:
    """Whether an engine knows most letters of a text."""
    try:
        check_scripts(reader, [text])
    except ModelError:
        return False
    return True


def _read(placement: Placement, gate: Gate, dpi: int, reader: Reader, seed: int) -> list[LineReading]:
    """Some lines of a page, as a model sees them; empty when there are none."""
    page, lines, renderer, vision = placement.page, placement.lines, gate.renderer, gate.vision
    first = lines[0] if lines else 1
    part = page if lines is None else crop_lines(page, lines)
    crops = choose_crops(split_into_crops(part), _LINES, seed)
    if not crops:
        return []
    seen = (1.0, 1.0)
    if vision is not None:
        width, height = renderer.size(page, dpi=dpi, vision=vision, lines=lines)
        if size := vision.resized(width, height):
            seen = min(1.0, size[0] / width), min(1.0, size[1] / height)
    pitch = page.style.line_height * dpi / 72 * seen[1]
    upscale = min(3.0, max(1.0, _PITCH / pitch))
    found = read_crops(renderer, crops, reader, upscale, seen, dpi)
    return [LineReading(r.page, r.line + first - 1, r.drawn, r.read) for r in found]


def _add(tally: Tally, more: Tally) -> None:
    for name in ("pages", "lines", "characters", "errors", "unread", "misread", "error_rates"):
        setattr(tally, name, getattr(tally, name) + getattr(more, name))
    tally.buckets = [a + b for a, b in zip(tally.buckets, more.buckets, strict=True)]


def _check_installed() -> None:
    from importlib.util import find_spec

    from ..errors import MissingExtraError

    for package in ("rapidocr", "onnxruntime"):
        if find_spec(package) is None:
            raise MissingExtraError(package, "ocr")
