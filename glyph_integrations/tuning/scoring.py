"""Styles scored one after the other or several at a time, in order, as far as there is time."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from types import TracebackType

from ..style import PageStyle
from ..workers import worker_processes
from .evaluator import Evaluator, Score
from .kept_scores import KeptScores
from .sample import Sample

_own: tuple[Evaluator, Sample] | None = None  # of a worker process


def _start(evaluator: Evaluator, sample: Sample) -> None:
    global _own
    _own = evaluator, sample


def _evaluate(style: PageStyle) -> Score:
    assert _own is not None
    return _checked(_own[0].evaluate(style, _own[1]))


def _checked(score: Score) -> Score:
    if not 0 <= score.error <= 1:  # also false of a NaN
        raise ValueError(f"an error of {score.error}: an evaluator's error is from 0 to 1")
    return score


class Scoring:
    """Scores styles by an evaluator on a sample; those that are kept are not scored again. Use it as a context manager.

    Args:
        jobs: how many at a time; with 1 no process is started.

    Attributes:
        calls: of the evaluator's model, so far.
    """

    def __init__(self, evaluator: Evaluator, sample: Sample, kept: KeptScores, jobs: int) -> None:
        self._evaluator, self._sample, self._kept, self._jobs = evaluator, sample, kept, jobs
        self._pool: Executor | None = None
        self.calls = 0

    def __enter__(self) -> Scoring:
        if self._jobs > 1 and not self._evaluator.in_process:
            self._pool = ThreadPoolExecutor(self._jobs)
        elif self._jobs > 1:
            self._pool = worker_processes(self._jobs, _start, self._evaluator, self._sample)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._pool:
            self._pool.shutdown(cancel_futures=True)

    def scores(
        self, styles: Sequence[PageStyle], ends: float = math.inf, calls: float = math.inf
    ) -> Iterator[Score | Exception]:
        """The score of each style in order, or what its evaluation raised. Stops at the time ``ends`` (`time.monotonic`), or
        after so many calls, with what is being scored then."""
        waiting: deque[tuple[PageStyle, Future[Score] | Score]] = deque()
        left = deque(styles)
        while left or waiting:
            while left and len(waiting) < self._jobs + (self._jobs > 1) and time.monotonic() < ends and self.calls < calls:
                style = left.popleft()
                waiting.append((style, self._kept.score(style, self._sample, self._evaluator) or self._begin(style)))
            if not waiting:
                return
            style, found = waiting.popleft()
            yield found if isinstance(found, Score) else self._finish(style, found)

    def _begin(self, style: PageStyle) -> Future[Score]:
        future: Future[Score] = Future()
        try:
            if isinstance(self._pool, ProcessPoolExecutor):
                return self._pool.submit(_evaluate, style)
            if self._pool:
                return self._pool.submit(self._here, style)
            future.set_result(self._here(style))
        except Exception as error:  # also of sending an evaluator to a process that cannot be sent
            future.set_exception(error)
        return future

    def _here(self, style: PageStyle) -> Score:
        return _checked(self._evaluator.evaluate(style, self._sample))

    def _finish(self, style: PageStyle, future: Future[Score]) -> Score | Exception:
        try:
            score = future.result()
        except Exception as error:  # an evaluator is anybody's; what it raises is told
            return error
        self.calls += score.calls
        self._kept.keep_score(style, self._sample, self._evaluator, score)
        return score
