"""A server on loopback that speaks vLLM's pooling API and embeds for real: the greys of a picture, the letters of a text."""

from __future__ import annotations

import base64
import json
import time
from contextlib import AbstractContextManager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image
from serving import serving

DIM = 32


class PoolingServer(ThreadingHTTPServer):
    """Makes a vector per eighth of a picture's height and width, and one per word of a text; or one in all.

    Attributes:
        requests: all it was sent.
        single: one vector for each.
        dim: of the vectors.
        troubles: HTTP statuses to answer with first, one a request.
        wait: seconds before each answer.
        answer: what to answer with instead.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.requests: list[dict[str, Any]] = []
        self.single = False
        self.dim = DIM
        self.troubles: list[int] = []
        self.wait = 0.0
        self.answer: bytes | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # a client that hangs up is no error here

    def embed(self, request: dict[str, Any]) -> Any:
        if "messages" in request:
            (message,) = request["messages"]
            (picture,) = [part for part in message["content"] if part["type"] == "image_url"]
            data = base64.b64decode(picture["image_url"]["url"].removeprefix("data:image/png;base64,"))
            image = Image.open(BytesIO(data)).convert("L").resize((64, 64), Image.Resampling.BOX)
            parts = np.asarray(image, dtype=np.float32).reshape(8, 8, 8, 8).transpose(0, 2, 1, 3).reshape(64, 64) / 255 - 0.5
        else:
            parts = np.stack([np.bincount([ord(c) % 64 for c in word], minlength=64) for word in request["input"].split()])
        vectors = parts @ np.random.default_rng(7).normal(size=(64, self.dim)) + 0.01
        if self.single:
            vectors = (parts.reshape(1, -1) if len(parts) == 64 else parts.sum(axis=0, keepdims=True)).repeat(1, axis=0)
            vectors = np.resize(vectors, (1, 4096)) @ np.random.default_rng(8).normal(size=(4096, self.dim)) + 0.01
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        return vectors[0].tolist() if self.single else vectors.tolist()


def pooling_server() -> AbstractContextManager[PoolingServer]:
    return serving(PoolingServer())


class _Handler(BaseHTTPRequestHandler):
    server: PoolingServer

    def log_message(self, *args: Any) -> None:
        pass

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.requests.append(request)
        time.sleep(self.server.wait)
        if self.path != "/pooling":
            return self._reply(404, b'{"detail":"Not Found"}')
        if self.server.troubles:
            return self._reply(self.server.troubles.pop(0), b'{"error":{"message":"the request has too many tokens"}}')
        if self.server.answer is not None:
            return self._reply(200, self.server.answer)
        data = [{"index": 0, "object": "pooling", "data": self.server.embed(request)}]
        return self._reply(
            200, json.dumps({"id": "pool-1", "object": "list", "model": request["model"], "data": data}).encode()
        )

    def _reply(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("retry-after-ms", "1")
        self.end_headers()
        self.wfile.write(body)
