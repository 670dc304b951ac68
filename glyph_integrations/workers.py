"""Processes that work for this one, and end with it."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any


def worker_processes(count: int, start: Callable[..., None], *given: Any) -> ProcessPoolExecutor:
    """Processes that each call ``start(*given)`` and then wait for work.

    They are spawned, which is safe beside threads and the same everywhere. When this process is killed they end, too; by
    themselves they would wait forever, with all that they have loaded.
    """
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(count, context, initializer=_begin, initargs=(start, given))


def _begin(start: Callable[..., None], given: tuple[Any, ...]) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    start(*given)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
