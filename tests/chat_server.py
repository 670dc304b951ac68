"""A server on loopback that speaks the OpenAI chat protocol: it says what it saw, calls tools, fills in schemas."""

from __future__ import annotations

import json
from contextlib import AbstractContextManager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from serving import serving


class ChatServer(ThreadingHTTPServer):
    """Answers with ``answer``, or else with a count of the images it was sent and the last text. Keeps every request."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.requests: list[dict[str, Any]] = []
        self.answer = ""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    @property
    def messages(self) -> list[dict[str, Any]]:
        """The messages of the last request."""
        found: list[dict[str, Any]] = self.requests[-1]["messages"]
        return found

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # a client that hangs up is no error here

    def message(self, request: dict[str, Any]) -> dict[str, Any]:
        last = request["messages"][-1]
        tools = [tool["function"] for tool in request.get("tools", ())]
        choice = request.get("tool_choice")
        if isinstance(choice, dict):
            tools = [tool for tool in tools if tool["name"] == choice["function"]["name"]]
        if tools and last["role"] == "user" and (choice or "?" in text_of(last) or "tool" in text_of(last)):
            arguments = json.dumps(_filled(tools[0]["parameters"], text_of(last)))
            call = {
                "id": f"call_{len(self.requests)}",
                "type": "function",
                "function": {"name": tools[0]["name"], "arguments": arguments},
            }
            return {"role": "assistant", "content": None, "tool_calls": [call]}
        form = request.get("response_format") or {}
        if form.get("type") == "json_schema":
            return {"role": "assistant", "content": json.dumps(_filled(form["json_schema"]["schema"], text_of(last)))}
        images = sum(len(images_of(m)) for m in request["messages"])
        return {"role": "assistant", "content": self.answer or f"{images} images; {text_of(last)[-200:]}"}


def chat_server() -> AbstractContextManager[ChatServer]:
    return serving(ChatServer())


def text_of(message: dict[str, Any]) -> str:
    content = message.get("content") or ""
    return content if isinstance(content, str) else "\n".join(b["text"] for b in content if b["type"] == "text")


def images_of(message: dict[str, Any]) -> list[str]:
    content = message.get("content") or ""
    return [] if isinstance(content, str) else [b["image_url"]["url"] for b in content if b["type"] == "image_url"]


def _filled(schema: dict[str, Any], text: str, root: dict[str, Any] | None = None) -> Any:
    """A value that a JSON schema allows; strings are the text."""
    root = root or schema
    if "$ref" in schema:
        return _filled(root["$defs"][schema["$ref"].rpartition("/")[2]], text, root)
    if "anyOf" in schema:
        return _filled(schema["anyOf"][0], text, root)
    if "enum" in schema:
        return schema["enum"][0]
    kind = schema.get("type", "object")
    if kind == "object":
        return {name: _filled(inner, text, root) for name, inner in schema.get("properties", {}).items()}
    if kind == "array":
        return [_filled(schema.get("items", {}), text, root)]
    return {"integer": 3, "number": 3.0, "boolean": True, "null": None}.get(kind, text)


class _Handler(BaseHTTPRequestHandler):
    server: ChatServer

    def log_message(self, *args: Any) -> None:
        pass

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.requests.append(request)
        message = self.server.message(request)
        reason = "tool_calls" if message.get("tool_calls") else "stop"
        usage = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
        base = {"id": "chatcmpl-1", "created": 1, "model": request["model"]}
        if not request.get("stream"):
            choice = {"index": 0, "message": message, "finish_reason": reason}
            self._reply(
                "application/json", json.dumps({**base, "object": "chat.completion", "choices": [choice], "usage": usage})
            )
            return
        deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
        deltas += [{"content": word + " "} for word in (message["content"] or "").split()]
        deltas += [{"tool_calls": [{"index": i, **call}]} for i, call in enumerate(message.get("tool_calls", ()))]
        choices: list[list[dict[str, Any]]] = [[{"index": 0, "delta": delta, "finish_reason": None}] for delta in deltas]
        choices.append([{"index": 0, "delta": {}, "finish_reason": reason}])
        events = [{**base, "object": "chat.completion.chunk", "choices": c} for c in choices]
        if request.get("stream_options", {}).get("include_usage"):
            events.append({**base, "object": "chat.completion.chunk", "choices": [], "usage": usage})
        lines = [f"data: {json.dumps(event)}\n\n" for event in events]
        self._reply("text/event-stream", "".join(lines) + "data: [DONE]\n\n")

    def _reply(self, media_type: str, body: str) -> None:
        data = body.encode()
        self.send_response(200)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
