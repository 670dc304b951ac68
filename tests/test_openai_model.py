"""`OpenAIModel` against a real server on loopback that speaks, or fails to speak, the OpenAI protocol."""

from __future__ import annotations

import asyncio
import base64
import json
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from typing import Any

import pytest
from PIL import Image

from glyph_integrations.errors import ModelError, UnknownModelError
from glyph_integrations.page import Fragment, Page
from glyph_integrations.reading import (
    Answer,
    OpaquePart,
    OpenAIModel,
    PageModel,
    PagePart,
    PicturePart,
    TextPart,
    ToolCall,
    Turn,
)
from glyph_integrations.style import PageStyle

pytest.importorskip("openai")


@dataclass
class Server:
    """What the server is to do, and what it was asked."""

    url: str = ""
    behaviour: str = "answer"
    content: str | None = "Lady Catherine de Bourgh."
    tool_calls: list[dict[str, Any]] = field(default_factory=list)
    requests: list[dict[str, Any]] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)


def completion(server: Server) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": server.content}
    if server.tool_calls:
        message["tool_calls"] = server.tool_calls
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls" if server.tool_calls else "stop"}
    usage = {"prompt_tokens": 700, "completion_tokens": 5, "total_tokens": 705}
    return {"id": "1", "object": "chat.completion", "created": 1, "model": "tiny", "choices": [choice], "usage": usage}


def events(server: Server) -> Iterator[dict[str, Any]]:
    base = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "tiny"}

    def delta(**values: Any) -> dict[str, Any]:
        return {**base, "choices": [{"index": 0, "delta": values, "finish_reason": None}]}

    text = server.content or ""
    yield delta(role="assistant", content="")
    for at in range(0, len(text), 3):
        yield delta(content=text[at : at + 3])
    for index, call in enumerate(server.tool_calls):
        name, arguments = call["function"]["name"], call["function"]["arguments"]
        yield delta(
            tool_calls=[{"index": index, "id": call["id"], "type": "function", "function": {"name": name, "arguments": ""}}]
        )
        for character in arguments:
            yield delta(tool_calls=[{"index": index, "function": {"arguments": character}}])
    if server.behaviour == "cut":
        return
    reason = "tool_calls" if server.tool_calls else "stop"
    yield {**base, "choices": [{"index": 0, "delta": {}, "finish_reason": reason}]}
    yield {**base, "choices": [], "usage": {"prompt_tokens": 700, "completion_tokens": 5, "total_tokens": 705}}


def handler(server: Server) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *args: Any) -> None:
            pass

        def reply(self, status: int, body: bytes, kind: str = "application/json") -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            server.requests.append({**request, "path": self.path, "key": self.headers.get("Authorization")})
            behaviour = server.behaviour
            if behaviour == "500":
                self.reply(500, b'{"error": {"message": "out of memory"}}')
            elif behaviour == "404":
                self.reply(404, b'{"error": {"message": "no such model"}}')
            elif behaviour == "html":
                self.reply(200, b"<html>Welcome to my router</html>", "text/html")
            elif behaviour == "broken json":
                self.reply(200, b'{"choices": [')
            elif behaviour == "a list":
                self.reply(200, b"[1, 2]")
            elif behaviour == "no choices":
                self.reply(200, json.dumps({**completion(server), "choices": []}).encode())
            elif behaviour == "broken events":
                self.reply(200, b"data: {not json\n\n", "text/event-stream")
            elif behaviour == "hang":
                server.released.wait(20)
            elif request.get("stream"):
                self.send_response(200)
                self.send_header("Content-Type", "text/event-stream")
                self.end_headers()
                for event in events(server):
                    self.wfile.write(f"data: {json.dumps(event)}\n\n".encode())
                    self.wfile.flush()
                if behaviour != "cut":
                    self.wfile.write(b"data: [DONE]\n\n")
            else:
                self.reply(200, json.dumps(completion(server)).encode())

    return Handler


@pytest.fixture
def server() -> Iterator[Server]:
    state = Server()
    http = ThreadingHTTPServer(("127.0.0.1", 0), handler(state))
    http.daemon_threads = True
    state.url = f"http://127.0.0.1:{http.server_port}/v1"
    thread = threading.Thread(target=http.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield state
    state.released.set()
    http.shutdown()
    http.server_close()


def model(server: Server, **settings: Any) -> OpenAIModel:
    return OpenAIModel("tiny", server.url, **{"vision": "zai-org/Glyph", "max_retries": 0, "timeout": 10, **settings})


def make_page(text: str = "Lady Catherine de Bourgh is the patroness.", number: int = 57) -> Page:
    line = (Fragment(0, len(text), 10, 300),)
    return Page(text=text, style=PageStyle(newline="keep"), lines=(line,), source="p.txt", number=number)


QUESTION = [Turn("user", "Who is it?")]


def test_it_is_a_page_model(server: Server) -> None:
    assert isinstance(model(server), PageModel)


def test_an_answer_carries_text_usage_stop_reason_and_model(server: Server) -> None:
    answer = model(server).read(QUESTION)
    assert answer.text == "Lady Catherine de Bourgh."
    assert answer.usage == (700, 5, None)
    assert answer.usage.total_tokens == 705
    assert (answer.stop_reason, answer.model) == ("stop", "tiny")
    assert server.requests[0]["path"] == "/v1/chat/completions"


def test_pages_go_as_png_data_urls_after_their_labels_and_text_parts_have_no_ids(server: Server) -> None:
    page = make_page()
    model(server).read([Turn("system", "Be brief."), Turn("user", [PagePart(page), TextPart("Who is it?")])])
    system, user = server.requests[0]["messages"]
    assert system == {"role": "system", "content": "Be brief."}
    label, image, question = user["content"]
    assert label == {"type": "text", "text": "Page 57"}
    assert question == {"type": "text", "text": "Who is it?"}
    head, data = image["image_url"]["url"].split(",")
    assert head == "data:image/png;base64"
    picture = Image.open(BytesIO(base64.b64decode(data)))
    assert picture.width % 28 == picture.height % 28 == 0
    assert picture.getextrema()[0] < 128  # there is ink


def test_a_page_in_a_system_turn_opens_the_user_turn(server: Server) -> None:
    model(server).read([Turn("system", [TextPart("Context:"), PagePart(make_page())]), *QUESTION])
    system, user = server.requests[0]["messages"]
    assert system["content"] == "Context:\n\n[page 57: see image]"
    assert [part["type"] for part in user["content"]] == ["text", "image_url", "text"]


def test_a_page_in_a_tool_turn_gets_a_user_turn_of_its_own_and_calls_are_passed_on(server: Server) -> None:
    call = ToolCall("c1", "find", '{"q": 1}')
    turns = [*QUESTION, Turn("assistant", "", [call]), Turn("tool", [PagePart(make_page())], tool_call_id="c1")]
    model(server).read(turns)
    _, assistant, tool, added = server.requests[0]["messages"]
    assert assistant["content"] is None
    assert assistant["tool_calls"] == [{"id": "c1", "type": "function", "function": {"name": "find", "arguments": '{"q": 1}'}}]
    assert tool == {"role": "tool", "tool_call_id": "c1", "content": "[page 57: see image]"}
    assert added["role"] == "user"
    assert [part["type"] for part in added["content"]] == ["text", "image_url"]


def test_a_model_without_a_known_profile_gets_the_pages_as_text(server: Server) -> None:
    text_model = model(server, vision=None)
    assert text_model.vision is None
    text_model.read([Turn("user", [PagePart(make_page()), TextPart("Who?")])])
    assert server.requests[0]["messages"][0]["content"] == "Page 57\nLady Catherine de Bourgh is the patroness.\n\nWho?"


def test_the_profile_is_found_by_the_model_name_and_an_unknown_one_is_refused(server: Server) -> None:
    found = OpenAIModel("Qwen/Qwen2.5-VL-7B-Instruct", server.url).vision
    assert found is not None and found.name == "qwen2.5-vl"
    with pytest.raises(UnknownModelError):
        OpenAIModel("tiny", server.url, vision="nobody/knows-this")


def test_pictures_and_opaque_dicts_pass_and_other_opaque_values_are_refused(server: Server) -> None:
    audio = {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}
    model(server).read([Turn("user", [PicturePart(b"\xff\xd8", "image/jpeg"), OpaquePart(audio)])])
    picture, sent = server.requests[0]["messages"][0]["content"]
    assert picture["image_url"]["url"] == "data:image/jpeg;base64,/9g="
    assert sent == audio
    with pytest.raises(ModelError, match="type object cannot be sent"):
        model(server).read([Turn("user", [OpaquePart(object())])])


def test_options_limits_stops_and_tools_are_sent(server: Server) -> None:
    tool = {"type": "function", "function": {"name": "find", "parameters": {"type": "object", "properties": {}}}}
    model(server, temperature=0, seed=1, api_key="secret").read(QUESTION, max_tokens=9, stop=["\n"], tools=[tool], seed=2)
    request = server.requests[0]
    assert (request["temperature"], request["seed"], request["max_tokens"], request["stop"]) == (0, 2, 9, ["\n"])
    assert request["tools"] == [tool]
    assert request["key"] == "Bearer secret"


def test_tool_calls_come_back_whole_and_streamed(server: Server) -> None:
    server.content = None
    server.tool_calls = [
        {"id": f"c{i}", "type": "function", "function": {"name": "find", "arguments": '{"q": "é"}'}} for i in (1, 2)
    ]
    expected = (ToolCall("c1", "find", '{"q": "é"}'), ToolCall("c2", "find", '{"q": "é"}'))
    answer = model(server).read(QUESTION)
    assert (answer.text, answer.tool_calls, answer.stop_reason) == ("", expected, "tool_calls")
    streamed = Answer.from_chunks(model(server).stream(QUESTION))
    assert (streamed.text, streamed.tool_calls, streamed.stop_reason) == ("", expected, "tool_calls")


@pytest.mark.parametrize(
    ("sent", "reasoning", "text"),
    [
        ("<think>Who? She.</think>\nLady Catherine.", "Who? She.", "Lady Catherine."),
        ("\n<think>\nHm.\n</think>Yes.", "Hm.", "Yes."),
        ("No thought, 1 < 2.", "", "No thought, 1 < 2."),
        ("<think>never ends", "never ends", ""),
        ("He said <think>no</think>.", "", "He said <think>no</think>."),
    ],
)
def test_thinking_is_split_off_whole_and_streamed(server: Server, sent: str, reasoning: str, text: str) -> None:
    server.content = sent
    answer = model(server).read(QUESTION)
    assert (answer.reasoning, answer.text) == (reasoning, text)
    streamed = Answer.from_chunks(model(server).stream(QUESTION))
    assert (streamed.reasoning.strip(), streamed.text) == (reasoning, text)


def test_a_close_without_an_opening_ends_the_thinking_of_a_whole_answer(server: Server) -> None:
    server.content = "Opened by the template.</think>So: yes."
    answer = model(server).read(QUESTION)
    assert (answer.reasoning, answer.text) == ("Opened by the template.", "So: yes.")


def test_a_stream_gives_text_piece_by_piece_and_usage_on_the_last_chunk_only(server: Server) -> None:
    chunks = list(model(server).stream(QUESTION))
    assert len(chunks) > 5
    assert "".join(c.text for c in chunks) == "Lady Catherine de Bourgh."
    assert [c.usage for c in chunks[:-1]] == [None] * (len(chunks) - 1)
    assert (chunks[-1].usage, chunks[-1].stop_reason, chunks[-1].model) == ((700, 5, None), "stop", "tiny")
    assert server.requests[0]["stream_options"] == {"include_usage": True}


async def test_asynchronous_reading_and_streaming_give_the_same(server: Server) -> None:
    reader = model(server)
    answer, other = await asyncio.gather(reader.aread(QUESTION), reader.aread(QUESTION))
    assert answer == other == reader.read(QUESTION)
    chunks = [chunk async for chunk in reader.astream(QUESTION)]
    assert Answer.from_chunks(chunks) == answer


def test_one_model_serves_several_event_loops(server: Server) -> None:
    reader = model(server)
    assert [asyncio.run(reader.aread(QUESTION)).text for _ in range(3)] == ["Lady Catherine de Bourgh."] * 3


FAILURES = [
    ("500", "answered 500: .*out of memory.*log"),
    ("404", "answered 404: .*no such model.*base URL"),
    ("html", "did not answer as an OpenAI server does.*ends in /v1"),
    ("broken json", "did not answer as an OpenAI server does"),
    ("a list", "did not answer as an OpenAI server does"),
    ("no choices", "without any choices"),
]


@pytest.mark.parametrize(("behaviour", "message"), FAILURES)
def test_a_failing_server_is_a_model_error_that_names_it(server: Server, behaviour: str, message: str) -> None:
    server.behaviour = behaviour
    with pytest.raises(ModelError, match=message) as caught:
        model(server).read(QUESTION)
    assert server.url in str(caught.value)
    with pytest.raises(ModelError) as caught:
        asyncio.run(model(server).aread(QUESTION))
    assert server.url in str(caught.value)


@pytest.mark.parametrize("behaviour", [name for name, _ in FAILURES] + ["broken events", "cut"])
def test_a_failing_stream_is_a_model_error_that_names_the_server(server: Server, behaviour: str) -> None:
    server.behaviour = behaviour
    with pytest.raises(ModelError) as caught:
        list(model(server).stream(QUESTION))
    assert server.url in str(caught.value)

    async def read() -> None:
        async for _ in model(server).astream(QUESTION):
            pass

    with pytest.raises(ModelError) as caught:
        asyncio.run(read())
    assert server.url in str(caught.value)


def test_a_hanging_server_is_given_up_after_the_timeout(server: Server) -> None:
    server.behaviour = "hang"
    begun = time.monotonic()
    with pytest.raises(ModelError, match=r"did not answer within 0\.2 s"):
        model(server, timeout=0.2).read(QUESTION)
    with pytest.raises(ModelError, match=r"did not answer within 0\.2 s"):
        list(model(server, timeout=0.2).stream(QUESTION))
    assert time.monotonic() - begun < 5


def test_a_server_that_is_down_is_a_model_error() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
    with pytest.raises(ModelError, match=f"{url} cannot be reached.*is the server running"):
        OpenAIModel("tiny", url, max_retries=0).read(QUESTION)
    with pytest.raises(ModelError, match="cannot be reached"):
        list(OpenAIModel("tiny", url, max_retries=0).stream(QUESTION))


def test_without_a_key_openai_itself_is_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_ADMIN_KEY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ModelError, match="cannot reach a model"):
        OpenAIModel("gpt-tiny")


def test_closing_a_stream_early_is_fine(server: Server) -> None:
    stream = model(server).stream(QUESTION)
    assert next(iter(stream)).text
    stream.close()  # type: ignore[attr-defined]
    assert model(server).read(QUESTION).text
