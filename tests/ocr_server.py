"""A server on loopback that speaks the OpenAI chat protocol and answers from the pixels it is sent, read by an OCR engine.

It can be told to misbehave, request by request; see `OcrServer.behave`.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from serving import serving

from glyph_integrations.errors import GlyphError
from glyph_integrations.ocr import CachedReader, RapidOcrReader
from glyph_integrations.reading import Answer, OcrModel, Part, PicturePart, TextPart, Turn

LOOP = "The ferry left. "
INVENTED = "“The moon is made of green cheese, says the mayor of Amrum.” (Page 999)"
FIXED = {"nothing": "", "nonsense": INVENTED, "broken json": '{"keeper": ['}


@cache
def shared_reader() -> CachedReader:
    """An engine for all tests: no stretch of lines is read twice in a run."""
    return CachedReader(RapidOcrReader())


class OcrServer(ThreadingHTTPServer):
    """Answers chat requests, streamed or not, with what ``model`` reads on their images. Keeps every request.

    Its usage numbers are the model's. Images must be data URLs: an address is refused with status 400, and never fetched.
    """

    daemon_threads = True

    def __init__(self, model: OcrModel) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.model = model
        self.requests: list[dict[str, Any]] = []
        self.released = threading.Event()
        self._behaviours: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def behave(self, *behaviours: str) -> None:
        """What becomes of the next requests, in order; later ones are answered.

        ``429``: limits the rate, Retry-After 0.2 s; ``refuse images``; ``hang``; ``cut``: the connection breaks amid the
        answer; ``end early``: a stream ends cleanly, but before the answer does; ``nothing``: an empty answer; ``loop``: says
        the same until its limit; ``nonsense``: invents a quotation; ``page 999``: cites that page; ``broken json``.
        """
        self._behaviours = list(behaviours)

    def next_behaviour(self) -> str:
        return self._behaviours.pop(0) if self._behaviours else ""

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # a client that hangs up is no error here

    def answer(self, request: dict[str, Any], behaviour: str) -> Answer:
        if behaviour == "loop":
            return Answer(LOOP * 200, stop_reason="length")
        if behaviour in FIXED:
            return Answer(FIXED[behaviour])
        answer = self.model.read(turns_of(request), max_tokens=request.get("max_tokens"), stop=request.get("stop"))
        if behaviour == "page 999":
            return Answer(re.sub(r"\(Page \d+", "(Page 999", answer.text), answer.usage)
        return answer

    def texts(self) -> str:
        """All text of the last request."""
        return "\n".join(part.text for turn in turns_of(self.requests[-1]) for part in turn.parts if isinstance(part, TextPart))

    def images(self) -> list[bytes]:
        """The images of the last request."""
        return [part.data for turn in turns_of(self.requests[-1]) for part in turn.parts if isinstance(part, PicturePart)]


@contextmanager
def ocr_server(model: OcrModel) -> Iterator[OcrServer]:
    with serving(OcrServer(model)) as server:
        try:
            yield server
        finally:
            server.released.set()


class RefusedError(ValueError):
    """A request that the protocol does not allow, or this server does not take."""


def turns_of(request: dict[str, Any]) -> list[Turn]:
    """The messages of a request as turns."""
    turns = []
    for message in request["messages"]:
        content = message.get("content") or ""
        blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
        role = {"developer": "system"}.get(message["role"], message["role"])
        turns.append(Turn(role, [_part(block) for block in blocks]))
    return turns


def _part(block: dict[str, Any]) -> Part:
    if block["type"] == "text":
        return TextPart(block["text"])
    if block["type"] != "image_url":
        raise RefusedError(f"this model takes text and images, and no {block['type']}")
    url = block["image_url"]["url"]
    match = re.fullmatch(r"data:(image/[\w.+-]+);base64,(.*)", url, re.S)
    if match is None:
        raise RefusedError(f"images are taken as data URLs only, and not from {url[:60]}")
    try:
        return PicturePart(base64.b64decode(match[2], validate=True), match[1])
    except binascii.Error as error:
        raise RefusedError(f"an image is not base64: {error}") from error


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # so that a stream that breaks off is told from one that ends
    server: OcrServer

    def log_message(self, *args: Any) -> None:
        pass

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.requests.append(request)
        behaviour = self.server.next_behaviour()
        if behaviour == "hang":
            self.server.released.wait(20)
            self.close_connection = True
            return
        if behaviour == "429":
            self._error(429, "slow down, please", {"Retry-After": "0.2"})
            return
        try:
            if behaviour == "refuse images" and self.server.images():
                raise RefusedError("this model does not support image input")
            answer = self.server.answer(request, behaviour)
        except (GlyphError, RefusedError, KeyError) as error:
            self._error(400, str(error))
            return
        (self._stream if request.get("stream") else self._whole)(request, answer, behaviour)

    def _whole(self, request: dict[str, Any], answer: Answer, behaviour: str) -> None:
        message = {"role": "assistant", "content": answer.text}
        choice = {"index": 0, "message": message, "finish_reason": answer.stop_reason}
        body = json.dumps({**_base(request), "object": "chat.completion", "choices": [choice], "usage": _usage(answer)})
        data = body.encode()
        self._head(200, "application/json", {"Content-Length": str(len(data))})
        self.wfile.write(data[: len(data) // 2] if behaviour == "cut" else data)
        self.close_connection = self.close_connection or behaviour == "cut"

    def _stream(self, request: dict[str, Any], answer: Answer, behaviour: str) -> None:
        self._head(200, "text/event-stream", {"Transfer-Encoding": "chunked"})
        base = {**_base(request), "object": "chat.completion.chunk"}
        words = re.findall(r"\s*\S+|\s+\Z", answer.text)
        for word in words[: len(words) // 2] if behaviour in ("cut", "end early") else words:
            self._event({**base, "choices": [{"index": 0, "delta": {"content": word}, "finish_reason": None}]})
        if behaviour == "cut":
            self.close_connection = True
            return
        if behaviour != "end early":
            self._event({**base, "choices": [{"index": 0, "delta": {}, "finish_reason": answer.stop_reason}]})
            if (request.get("stream_options") or {}).get("include_usage"):
                self._event({**base, "choices": [], "usage": _usage(answer)})
            self._chunk(b"data: [DONE]\n\n")
        self.wfile.write(b"0\r\n\r\n")

    def _event(self, event: dict[str, Any]) -> None:
        self._chunk(f"data: {json.dumps(event)}\n\n".encode())

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()

    def _error(self, status: int, message: str, headers: dict[str, str] | None = None) -> None:
        data = json.dumps({"error": {"message": message, "type": "invalid_request_error"}}).encode()
        self._head(status, "application/json", {"Content-Length": str(len(data)), **(headers or {})})
        self.wfile.write(data)

    def _head(self, status: int, media_type: str, headers: dict[str, str]) -> None:
        self.send_response(status)
        self.send_header("Content-Type", media_type)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()


def _base(request: dict[str, Any]) -> dict[str, Any]:
    return {"id": "chatcmpl-1", "created": 1, "model": request["model"]}


def _usage(answer: Answer) -> dict[str, int]:
    used, made = answer.usage[:2] if answer.usage else (0, len(answer.text) // 4)
    return {"prompt_tokens": used, "completion_tokens": made, "total_tokens": used + made}
