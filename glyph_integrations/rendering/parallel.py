"""Drawing with several processes, for jobs of thousands of pages."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from itertools import islice

from ..page import Page
from ..vision import VisionProfile
from ..workers import worker_processes
from .renderer import Renderer

_BATCH = 16
_own: Renderer | None = None  # of a worker process


def _start(renderer: Renderer) -> None:
    global _own
    _own = renderer


def _draw(pages: list[Page], dpi: int | None, vision: VisionProfile | str | None) -> list[bytes]:
    assert _own is not None
    return [_own.png(page, dpi, vision) for page in pages]


def png_in_parallel(
    renderer: Renderer,
    pages: Iterable[Page],
    dpi: int | None = None,
    vision: VisionProfile | str | None = None,
    processes: int | None = None,
) -> Iterator[bytes]:
    """The PNG of each page, in order, drawn by several processes. ``pages`` may be the iterator that `Renderer.paginate`
    returns: it is read a few batches ahead only, so memory does not grow with it.

    Args:
        renderer: its style and fonts are used in every process.
        dpi, vision: as in `Renderer.draw`.
        processes: default one per core; with 1 no process is started.

    Starting a process costs about half a second, so this pays from some hundred pages on.
    """
    processes = processes or os.cpu_count() or 1
    if processes == 1:
        for page in pages:
            yield renderer.png(page, dpi, vision)
        return
    source = iter(pages)
    pool = worker_processes(processes, _start, renderer)
    waiting: deque[Future[list[bytes]]] = deque()
    try:
        while True:
            while len(waiting) < 2 * processes and (batch := list(islice(source, _BATCH))):
                waiting.append(pool.submit(_draw, batch, dpi, vision))
            if not waiting:
                return
            yield from waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
