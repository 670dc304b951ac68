"""Long work off the event loop: each piece tells its story as a stream of events, and stops when nobody listens any more."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from typing import Any, NamedTuple, TypeVar

from starlette.types import Receive, Scope, Send

from ..errors import GlyphError

_log = logging.getLogger("glyph_integrations")
_Result = TypeVar("_Result")

Event = dict[str, Any]
"""What is told: ``kind`` says what it is."""

Work = Callable[["Job"], Iterator[Event]]


class Stopped(Exception):
    """The person has gone, or pressed stop."""


class Workers:
    """The threads of one app.

    Args:
        heavy: how many pieces of work may lay out, index or read pages at one time; others wait their turn.
        reading: how many large documents may be opened at one time: a megabyte of Markdown takes a second.
    """

    def __init__(self, heavy: int = 2, reading: int = 2) -> None:
        self._streams = ThreadPoolExecutor(32, "glyph-work")
        self._quick = ThreadPoolExecutor(4, "glyph-quick")
        self.slots = Slots(threading.BoundedSemaphore(heavy), threading.BoundedSemaphore(reading))

    async def quickly(self, function: Callable[..., _Result], *arguments: Any) -> _Result:
        """The result of a function that takes milliseconds, without holding up others."""
        return await asyncio.get_running_loop().run_in_executor(self._quick, function, *arguments)

    def stream(self, work: Work) -> EventStream:
        """The response that carries the events of a piece of work."""
        return EventStream(work, self)

    def submit(self, function: Callable[[], None]) -> None:
        """Run a piece of work as soon as a thread is free."""
        self._streams.submit(function)

    def close(self) -> None:
        """Take no more work."""
        self._streams.shutdown(wait=False, cancel_futures=True)
        self._quick.shutdown(wait=False, cancel_futures=True)


class Slots(NamedTuple):
    """Turns to do heavy work, and to open documents."""

    heavy: threading.BoundedSemaphore
    reading: threading.BoundedSemaphore


class Job:
    """One piece of work while it runs."""

    def __init__(self, slots: Slots, tell: Callable[[Event], None]) -> None:
        self._slots = slots
        self.tell = tell
        self.stop = threading.Event()

    def check(self) -> None:
        """Go on only if somebody still listens.

        Raises:
            Stopped: nobody does.
        """
        if self.stop.is_set():
            raise Stopped

    def heavy(self) -> AbstractContextManager[None]:
        """A turn to do heavy work; tells when that takes a moment to come."""
        return self._turn(self._slots.heavy)

    def reading(self) -> AbstractContextManager[None]:
        """A turn to open a document."""
        return self._turn(self._slots.reading)

    @contextmanager
    def _turn(self, slot: threading.BoundedSemaphore) -> Iterator[None]:
        self.check()
        if not slot.acquire(timeout=0.3):
            self.tell({"kind": "waiting"})
            while not slot.acquire(timeout=0.2):
                self.check()
        try:
            yield
        finally:
            slot.release()


class EventStream:
    """An ASGI response of one JSON object a line; when the client goes away the work is told to stop."""

    def __init__(self, work: Work, workers: Workers) -> None:
        self._work = work
        self._workers = workers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the events as they come."""
        loop = asyncio.get_running_loop()
        queue: asyncio.Queue[Event | None] = asyncio.Queue()

        def tell(event: Event | None) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(queue.put_nowait, event)

        job = Job(self._workers.slots, tell)
        self._workers.submit(lambda: _run(self._work, job, tell))
        gone = asyncio.ensure_future(_gone(receive))
        try:
            headers = [(b"content-type", b"application/x-ndjson"), (b"cache-control", b"no-store")]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            while True:
                following = asyncio.ensure_future(queue.get())
                await asyncio.wait((following, gone), return_when=asyncio.FIRST_COMPLETED)
                if not following.done():
                    following.cancel()
                    return
                event = following.result()
                if event is None:
                    break
                line = json.dumps(event, ensure_ascii=False).encode("utf-8", "replace") + b"\n"
                await send({"type": "http.response.body", "body": line, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        finally:
            job.stop.set()
            gone.cancel()


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _run(work: Work, job: Job, tell: Callable[[Event | None], None]) -> None:
    try:
        job.check()
        for event in work(job):
            job.check()
            tell(event)
    except Stopped:
        pass
    except Exception as error:
        tell({"kind": "error", "message": message_of(error)})
    finally:
        tell(None)


def message_of(error: Exception) -> str:
    """What a person is told of an error: our own in their words; of any other only that there was one, the rest is logged."""
    if isinstance(error, GlyphError):
        return str(error)
    if isinstance(error, MemoryError):
        return "there is not enough memory for that; try a smaller document"
    _log.error("the app met an error it does not know", exc_info=error)
    return f"something went wrong here ({type(error).__name__}); the log of the server says more"
