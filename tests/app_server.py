"""The app, served for real on loopback for as long as a block lasts, and a browser's way to talk to it."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from glyph_integrations.app import Settings, create_app

PAGES = {"style": {"preset": "glyph-72"}, "family": "glyph"}


@contextmanager
def app_server(**settings: Any) -> Iterator[str]:
    """Yields the address, such as ``http://127.0.0.1:41234``."""
    import uvicorn

    config = uvicorn.Config(
        create_app(Settings(**settings)), host="127.0.0.1", port=0, log_level="warning", access_log=False, ws="none"
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive(), "the server did not start"
            time.sleep(0.01)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(10)


class Browser(httpx.Client):
    """Keeps cookies, and begins a session."""

    def __init__(self, address: str, **options: Any) -> None:
        super().__init__(base_url=address, timeout=60, trust_env=False, **options)

    def __enter__(self) -> Browser:
        super().__enter__()
        self.get("/api/about")
        return self

    def stream_events(self, method: str, path: str, **options: Any) -> Iterator[dict[str, Any]]:
        with self.stream(method, path, **options) as response:
            if response.status_code != 200:
                response.read()
                yield {"kind": "refused", "status": response.status_code, "message": response.json()["error"]}
                return
            for line in response.iter_lines():
                yield json.loads(line)

    def events(self, method: str, path: str, **options: Any) -> list[dict[str, Any]]:
        return list(self.stream_events(method, path, **options))

    def add(self, data: bytes | str, name: str = "pasted.txt") -> dict[str, Any]:
        """Upload a document; the last event."""
        content = data.encode() if isinstance(data, str) else data
        return self.events("PUT", "/api/documents", params={"name": name}, content=content)[-1]

    def draw(self, **values: Any) -> dict[str, dict[str, Any]]:
        """Lay the pages out: the first pages, and the account of all."""
        return {event["kind"]: event for event in self.events("POST", "/api/preview", json={**PAGES, **values})}

    def ask(self, question: str, **values: Any) -> dict[str, Any]:
        """The last event of an answer."""
        return self.events("POST", "/api/ask", json={**PAGES, "question": question, **values})[-1]
