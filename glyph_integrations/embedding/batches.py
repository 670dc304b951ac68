"""Pictures through a model in batches: while one runs the next are prepared and the last finished; smaller if memory ends."""

from __future__ import annotations

import logging
import queue
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from PIL import Image

from ..accelerator import free_memory, out_of_memory
from ..errors import ModelError
from .encoders import THREADS, Encoded, Encoder

_log = logging.getLogger("glyph_integrations")
_Given = TypeVar("_Given")
_Made = TypeVar("_Made")
_AHEAD = 3  # batches that are prepared at once; each takes some 100 MB


class Batches:
    """Runs copies of one model, each in a thread.

    Args:
        name: of the model, for messages.
        encoders: the copies, one a device.
        pixels: of a batch, at most; a larger picture is one of its own.
        area: pixels that the model makes of a picture, from its width and height.

    Attributes:
        pixels: the same; smaller once memory ran out.
    """

    def __init__(self, name: str, encoders: Sequence[Encoder], pixels: int, area: Callable[[int, int], int]) -> None:
        self._name = name
        self._area = area
        self._encoders = tuple(encoders)
        self._idle: queue.SimpleQueue[Encoder] = queue.SimpleQueue()
        for encoder in encoders:
            self._idle.put(encoder)
        self.pixels = pixels

    def run(
        self,
        images: Iterable[Image.Image],
        finish: Callable[[Encoded], _Made],
        done: Callable[[int], None] = lambda count: None,
    ) -> list[_Made]:
        """What ``finish`` makes of what the model makes of each picture, in order; ``done`` is told how many more are ready.
        Pictures are taken from the iterable a few at a time; ``finish`` runs in threads of its own, while the model is at the
        next batch. When interrupted it ends with the batches that are running.

        Raises:
            ModelError: the model failed, or memory does not suffice for one picture alone.
        """
        found: list[_Made] = []
        waiting: list[Future[list[Future[_Made]]]] = []
        preparing = min(_AHEAD, THREADS)
        room = threading.Semaphore(len(self._encoders) + preparing)
        with (
            ThreadPoolExecutor(THREADS, thread_name_prefix="glyph-visual-finish") as finishers,
            ThreadPoolExecutor(preparing, thread_name_prefix="glyph-visual-prepare") as preparers,
            ThreadPoolExecutor(len(self._encoders), thread_name_prefix="glyph-visual") as workers,
        ):

            def through(batch: list[Image.Image], prepared: Future[object]) -> list[Future[_Made]]:
                return [finishers.submit(finish, made) for made in self._run(batch, prepared.result())]

            try:
                for batch in self._cut(images):
                    room.acquire()
                    prepared = preparers.submit(self._prepare, self._encoders[0], batch)
                    future = workers.submit(through, batch, prepared)
                    future.add_done_callback(lambda _: room.release())
                    waiting.append(future)
                    while waiting and waiting[0].done() and all(made.done() for made in waiting[0].result()):
                        self._take(waiting, found, done)
                while waiting:
                    self._take(waiting, found, done)
            except BaseException:
                for future in waiting:
                    future.cancel()
                preparers.shutdown(cancel_futures=True)
                workers.shutdown()
                finishers.shutdown(cancel_futures=True)
                raise
        return found

    @staticmethod
    def _take(waiting: list[Future[list[Future[_Made]]]], found: list[_Made], done: Callable[[int], None]) -> None:
        made = [future.result() for future in waiting.pop(0).result()]
        found += made
        done(len(made))

    def _cut(self, images: Iterable[Image.Image]) -> Iterator[list[Image.Image]]:
        batch: list[Image.Image] = []
        largest = 0  # smaller ones are padded to it
        for image in images:
            area = self._area(*image.size)
            largest = max(largest, area)
            if batch and largest * (len(batch) + 1) > self.pixels:
                yield batch
                batch, largest = [], area
            batch.append(image)
        if batch:
            yield batch

    def _prepare(self, encoder: Encoder, batch: list[Image.Image]) -> object:
        try:
            return encoder.prepare(batch)
        except Exception as error:  # each processor raises its own
            raise self._failed(error, batch) from error

    def _run(self, batch: list[Image.Image], prepared: object) -> list[Encoded]:
        encoder = self._idle.get()
        try:
            return self._halving(encoder, batch, prepared)
        finally:
            self._idle.put(encoder)

    def _halving(self, encoder: Encoder, batch: list[Image.Image], prepared: object) -> list[Encoded]:
        try:
            found = encoder.run(prepared)
        except Exception as error:
            if not out_of_memory(error):
                raise self._failed(error, batch) from error
            if len(batch) == 1:
                image = batch[0]
                raise ModelError(
                    f"{self._name} runs out of memory with one picture of {image.width} x {image.height} pixels: lower "
                    f"page_pixels, or choose a smaller dtype or another device ({_told(error)})"
                ) from error
        else:
            if len(found) != len(batch):
                raise ModelError(f"{self._name} made vectors of {len(found)} pictures instead of {len(batch)}")
            return found
        # out of the except clause, whose traceback would hold the tensors
        del prepared
        free_memory()
        half = len(batch) // 2
        pixels = half * max(self._area(*image.size) for image in batch)
        if pixels < self.pixels:
            self.pixels = pixels
            _log.warning("%s ran out of memory with %d pages at a time: going on with %d", self._name, len(batch), half)
        return [
            made for part in (batch[:half], batch[half:]) for made in self._halving(encoder, part, self._prepare(encoder, part))
        ]

    def _failed(self, error: Exception, batch: list[Image.Image]) -> ModelError:
        sizes = ", ".join(sorted({f"{image.width} x {image.height}" for image in batch})[:3])
        return ModelError(f"{self._name} failed on {len(batch)} pictures ({sizes} pixels): {_told(error)}")


def ahead(work: Callable[[_Given], _Made], items: Iterable[_Given]) -> Generator[_Made, None, None]:
    """What ``work`` makes of each item, in order; a few threads work on those that will be asked for next."""
    with ThreadPoolExecutor(THREADS, thread_name_prefix="glyph-visual-draw") as pool:
        waiting: deque[Future[_Made]] = deque()
        try:
            for item in items:
                waiting.append(pool.submit(work, item))
                if len(waiting) > THREADS:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
