"""Answers through LlamaIndex: the synthesizer, the LLMs, pictures on nodes, citations."""

from __future__ import annotations

import base64
import io
import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pydoc_data.topics import topics
from typing import Any

import pytest

pytest.importorskip("llama_index.core")

from llama_index.core import Document, PromptTemplate, get_response_synthesizer
from llama_index.core.base.llms.types import ChatMessage, ChatResponse, ImageBlock, MessageRole, TextBlock, ToolCallBlock
from llama_index.core.bridge.pydantic import BaseModel
from llama_index.core.callbacks import CallbackManager, CBEventType, LlamaDebugHandler, TokenCountingHandler
from llama_index.core.llms import MockLLM
from llama_index.core.query_engine import RetrieverQueryEngine
from llama_index.core.response_synthesizers import BaseSynthesizer, ResponseMode
from llama_index.core.schema import ImageNode, MetadataMode, NodeWithScore, TextNode
from llama_index.core.storage.docstore.utils import doc_to_json, json_to_doc
from llama_index.core.tools import FunctionTool
from PIL import Image

from glyph_integrations import ExtractiveModel, Page, Renderer, VisionProfile
from glyph_integrations.errors import BudgetError, ModelError, UnknownModelError
from glyph_integrations.llama_index import (
    GlyphLLM,
    GlyphRetriever,
    GlyphSynthesizer,
    GlyphVectorStore,
    PageImagePostprocessor,
    PageModelLLM,
    PageNodeParser,
    citations_of,
)
from glyph_integrations.llama_index.page_image import PageImageBlock
from glyph_integrations.reading import REGISTRY, Answer, OpaquePart, PagePart, PicturePart, Turn, page_tag

TOPICS = ("for", "while", "try", "with", "naming", "formatstrings", "strings", "objects", "types", "specialnames")
# paragraphs in one line each, so that pages are dense enough to be cheaper as images
TEXT = re.sub(r"(?<=[^\s*=-])\n *(?=\S)", " ", "\n\n".join(topics[name] for name in TOPICS))
QUESTION = "Which conversion flags are currently supported?"


@pytest.fixture(scope="module")
def store() -> GlyphVectorStore:
    store = GlyphVectorStore()
    store.add(PageNodeParser().get_nodes_from_documents([Document(text=TEXT, metadata={"source": "reference.txt"})]))
    return store


@pytest.fixture
def nodes(store: GlyphVectorStore) -> list[NodeWithScore]:
    return GlyphRetriever(store, similarity_top_k=10).retrieve(QUESTION)


@pytest.fixture(scope="module")
def pages() -> list[Page]:
    return list(Renderer().paginate(TEXT, source="reference.txt"))


class Recorder(ExtractiveModel):
    """An `ExtractiveModel` that remembers what it was given."""

    def __init__(self, vision: str | None = "glyph") -> None:
        super().__init__(vision)
        self.calls: list[list[Turn]] = []

    def read(self, turns: Any, **options: Any) -> Answer:
        self.calls.append(list(turns))
        self.options = options
        return super().read(turns, **options)

    def pages_seen(self) -> list[str]:
        return [page.id for turns in self.calls for turn in turns for page in turn.pages]


# -- a server that speaks the OpenAI protocol ---------------------------------------------------------------------------


class Server:
    """Answers with fixed words, as a stream where asked, with a tool call where tools are offered; keeps the requests."""

    words = ("Three ", "flags: ", "“‘!r’ ", "which calls ‘repr()’”.")

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []
        self.status = 200
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                server.requests.append(request)
                body, kind = server.answer(request)
                self.send_response(server.status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: Any) -> None: ...

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._http.server_port}/v1"

    def answer(self, request: dict[str, Any]) -> tuple[bytes, str]:
        base = {"id": "1", "created": 1, "model": request["model"]}
        usage = {"prompt_tokens": 7, "completion_tokens": 4, "total_tokens": 11}
        message: dict[str, Any] = {"role": "assistant", "content": "".join(self.words)}
        if request.get("tools") and request["messages"][-1]["role"] != "tool":
            function = request["tools"][0]["function"]
            arguments = json.dumps(dict.fromkeys(function["parameters"]["properties"], "jam"))
            call = {"id": "call-1", "type": "function", "function": {"name": function["name"], "arguments": arguments}}
            message = {"role": "assistant", "content": None, "tool_calls": [call]}
        if not request.get("stream"):
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            completion = {**base, "object": "chat.completion", "choices": [choice], "usage": usage}
            return json.dumps(completion).encode(), "application/json"
        events = [
            {**base, "object": "chat.completion.chunk", "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}
            for delta, reason in [*(({"role": "assistant", "content": w}, None) for w in self.words), ({}, "stop")]
        ]
        return "".join(f"data: {json.dumps(e)}\n\n" for e in events).encode() + b"data: [DONE]\n\n", "text/event-stream"

    def images(self, request: int = -1) -> list[tuple[str, bytes]]:
        """Role and bytes of every image of a request."""
        found = []
        for message in self.requests[request]["messages"]:
            for part in message["content"] if isinstance(message["content"], list) else []:
                if part["type"] == "image_url":
                    head, _, data = part["image_url"]["url"].partition(",")
                    assert head == "data:image/png;base64"
                    found.append((message["role"], base64.b64decode(data)))
        return found

    def close(self) -> None:
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


@pytest.fixture
def remote(server: Server) -> Any:
    openai_like = pytest.importorskip("llama_index.llms.openai_like", reason="needs llama-index-llms-openai-like")
    return openai_like.OpenAILike(
        model="zai-org/Glyph", api_base=server.url, api_key="none", is_chat_model=True, is_function_calling_model=True,
        context_window=32_000, max_retries=0,
    )  # fmt: skip


# -- the synthesizer ----------------------------------------------------------------------------------------------------


def engine(store: GlyphVectorStore, llm: Any, k: int = 3, **options: Any) -> RetrieverQueryEngine:
    retriever = GlyphRetriever(store, similarity_top_k=k)
    return RetrieverQueryEngine(retriever, response_synthesizer=GlyphSynthesizer(llm, **options))


def test_a_query_engine_answers_from_pages_with_citations_that_resolve(store: GlyphVectorStore) -> None:
    model = Recorder()
    response = engine(store, model).query(QUESTION)
    assert "conversion flags" in str(response)
    [citation, *_] = citations_of(response)
    assert citation.verified and citation.page is not None and citation.line > 0
    plain = str.maketrans("", "", "“”‘’\"' \n")
    assert TEXT[citation.start : citation.end].translate(plain) == citation.quote.translate(plain)
    assert citation.boxes and all(box.right > box.left for box in citation.boxes)
    assert len(response.source_nodes) == 3
    assert {n.node.node_id for n in response.source_nodes} <= response.metadata.keys()
    report = response.metadata["glyph"]["report"]
    assert [p["sent_as"] for p in report["pages"]] == ["image"] * 3
    assert report["image_tokens"] < report["text_tokens_replaced"]
    assert json.loads(json.dumps(response.metadata["glyph"])) == response.metadata["glyph"]
    [[turn]] = model.calls
    assert [part.page.id for part in turn.parts if isinstance(part, PagePart)] == model.pages_seen()
    assert turn.parts[-1] == (QUESTION,)


async def test_every_way_of_asking_gives_the_same_answer(store: GlyphVectorStore) -> None:
    whole = engine(store, ExtractiveModel("glyph"))
    streamed = engine(store, ExtractiveModel("glyph"), streaming=True)
    expected = str(whole.query(QUESTION))
    assert str(await whole.aquery(QUESTION)) == expected
    stream = streamed.query(QUESTION)
    assert stream.metadata["glyph"]["citations"] == []
    pieces = list(stream.response_gen)
    assert len(pieces) > 5 and "".join(pieces) == expected
    assert stream.metadata["glyph"] == whole.query(QUESTION).metadata["glyph"]
    async_stream = await streamed.aquery(QUESTION)
    assert "".join([piece async for piece in async_stream.response_gen]) == expected
    assert [str(c) for c in citations_of(async_stream)] == [str(c) for c in citations_of(stream)] != []


async def test_without_nodes_or_room_the_model_is_not_asked(nodes: list[NodeWithScore]) -> None:
    for streaming in (False, True):
        model = Recorder()
        nothing = GlyphSynthesizer(model, streaming=streaming, empty_response="Nothing found.")
        small = GlyphSynthesizer(model, streaming=streaming, budget=60, crop=False)
        response = nothing.synthesize(QUESTION, [])
        assert str(response) == "Nothing found."
        assert citations_of(response) == []
        left_out = small.synthesize(QUESTION, nodes)
        assert "none fits the budget" in str(left_out)
        assert {p["sent_as"] for p in left_out.metadata["glyph"]["report"]["pages"]} == {"left out"}
        assert model.calls == []
    assert str(await GlyphSynthesizer(model).asynthesize(QUESTION, [])).startswith("No answer")
    with pytest.raises(BudgetError):
        GlyphSynthesizer(model, budget=3).synthesize(QUESTION, nodes)


def test_the_budget_is_kept_and_what_is_left_out_is_reported(nodes: list[NodeWithScore]) -> None:
    model = Recorder()
    response = GlyphSynthesizer(model, budget=2000).synthesize(QUESTION, nodes)
    report = response.metadata["glyph"]["report"]
    assert report["tokens"] <= 2000
    sent = [p for p in report["pages"] if p["sent_as"] != "left out"]
    assert 0 < len(sent) < len(nodes) == len(report["pages"])
    assert sorted(model.pages_seen()) == sorted(p["id"] for p in sent if p["sent_as"] == "image")
    assert any(p["lines"] for p in sent)  # and what did not fit whole was cut
    assert len(response.source_nodes) == len(nodes)


def test_all_pages_go_in_one_call_where_llama_index_would_make_several(nodes: list[NodeWithScore]) -> None:
    model = Recorder()
    GlyphSynthesizer(PageModelLLM(model, context_window=16_000)).synthesize(QUESTION, nodes)
    assert len(model.calls) == 1
    assert sorted(model.pages_seen()) == sorted(n.node.node_id for n in nodes)


def test_the_default_budget_is_three_quarters_of_the_smaller_window() -> None:
    window = VisionProfile.get("glyph").context_window
    assert window is not None
    assert GlyphSynthesizer(ExtractiveModel("glyph"))._builder.budget == window * 3 // 4
    assert GlyphSynthesizer(PageModelLLM(ExtractiveModel("glyph"), context_window=8000))._builder.budget == 6000
    untold = PageModelLLM(ExtractiveModel("glyph"), context_window=3900)  # LlamaIndex's default, which means nothing
    assert GlyphSynthesizer(untold)._builder.budget == window * 3 // 4


def test_nodes_that_are_not_pages_are_laid_out_as_pages() -> None:
    model = Recorder()
    plain = [NodeWithScore(node=TextNode(id_="plain", text=TEXT[:30_000]), score=1.0)]
    response = GlyphSynthesizer(model).synthesize("When is the else clause executed?", plain)
    assert len(model.pages_seen()) > 3
    assert citations_of(response)[0].verified
    assert "else" in GlyphSynthesizer(model).get_response("When is the else clause executed?", [TEXT[:9000]])


def test_a_split_page_is_plain_text_with_one_warning(nodes: list[NodeWithScore]) -> None:
    halves = [NodeWithScore(node=n.node.model_copy(update={"text": n.node.text[:2000]}), score=n.score) for n in nodes[:3]]
    with pytest.warns(UserWarning, match=r"3 node\(s\) carry the metadata of a page") as caught:
        response = GlyphSynthesizer(Recorder()).synthesize(QUESTION, halves)
    assert len(caught) == 1
    assert len(response.metadata["glyph"]["report"]["pages"]) == 3


def test_a_line_asks_for_citations_only_on_request(nodes: list[NodeWithScore]) -> None:
    plain, asked = Recorder(), Recorder()
    GlyphSynthesizer(plain).synthesize(QUESTION, nodes[:2])
    GlyphSynthesizer(asked, cite=True).synthesize(QUESTION, nodes[:2])
    assert asked.calls[0][1:] == plain.calls[0]
    assert asked.calls[0][0].role == "system" and "Quote the words" in asked.calls[0][0].text


def test_the_synthesizer_tells_its_observers_once(nodes: list[NodeWithScore]) -> None:
    seen = LlamaDebugHandler(print_trace_on_end=False)
    GlyphSynthesizer(ExtractiveModel("glyph"), callback_manager=CallbackManager([seen])).get_response("x", ["y"])
    synthesizer = GlyphSynthesizer(PageModelLLM(ExtractiveModel("glyph")), callback_manager=CallbackManager([seen]))
    synthesizer.synthesize(QUESTION, nodes[:1])
    assert len(seen.get_event_pairs(CBEventType.SYNTHESIZE)) == 1


def test_the_synthesizer_takes_llms_and_page_models_only() -> None:
    assert issubclass(GlyphSynthesizer, BaseSynthesizer)
    with pytest.raises(TypeError, match="neither a LlamaIndex LLM nor a PageModel"):
        GlyphSynthesizer("gpt")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="no chat model"):
        GlyphSynthesizer(MockLLM(), vision="glyph")
    with pytest.raises(UnknownModelError):
        GlyphSynthesizer(ExtractiveModel(), vision="no such model")


async def test_an_llm_gets_pictures_in_the_user_turn_before_the_question(
    server: Server, remote: Any, store: GlyphVectorStore
) -> None:
    for llm in (remote, GlyphLLM(llm=remote)):
        response = engine(store, llm).query(QUESTION)
        assert str(response) == "".join(Server.words)
        [message] = server.requests[-1]["messages"]
        assert message["role"] == "user"
        kinds = [part["type"] for part in message["content"]]
        assert kinds.count("image_url") == 3
        for i, kind in enumerate(kinds):
            if kind == "image_url":
                assert message["content"][i - 1]["text"].splitlines()[-1].startswith("Page ")
        assert message["content"][-1] == {"type": "text", "text": QUESTION}
        grid = VisionProfile.get("glyph").grid
        for _, png in server.images():
            assert all(side % grid == 0 for side in Image.open(io.BytesIO(png)).size)
            assert REGISTRY.page_of_png(png) is not None
        [citation] = citations_of(response)
        assert citation.verified and citation.page is not None
        assert citation.page.id in [n.node.node_id for n in response.source_nodes]
    assert str(await engine(store, remote).aquery(QUESTION)) == "".join(Server.words)
    stream = engine(store, remote, streaming=True).query(QUESTION)
    assert "".join(stream.response_gen) == "".join(Server.words)
    async_stream = await engine(store, remote, streaming=True).aquery(QUESTION)
    assert "".join([piece async for piece in async_stream.response_gen]) == "".join(Server.words)


def test_a_model_of_unknown_vision_gets_text_and_system_prompts_are_kept(
    server: Server, remote: Any, store: GlyphVectorStore
) -> None:
    remote.model = "someone/unknown"
    remote.system_prompt = "Be brief."
    response = engine(store, remote).query(QUESTION)
    system, user = server.requests[-1]["messages"]
    assert (system["role"], system["content"]) == ("system", "Be brief.")
    assert isinstance(user["content"], str) and user["content"].endswith("\n\n" + QUESTION)
    assert {p["sent_as"] for p in response.metadata["glyph"]["report"]["pages"]} == {"text"}
    assert all(n.node.text in user["content"] for n in response.source_nodes)


class Flags(BaseModel):
    """Conversion flags."""

    flags: str


def test_a_structured_llm_gives_its_object(server: Server, remote: Any, store: GlyphVectorStore) -> None:
    response = engine(store, remote.as_structured_llm(Flags)).query(QUESTION)
    assert response.response == Flags(flags="jam")
    assert len(server.images()) == 3
    assert citations_of(response) == []
    synthesizer = GlyphSynthesizer(remote.as_structured_llm(Flags), streaming=True)
    assert synthesizer.synthesize(QUESTION, response.source_nodes).response == Flags(flags="jam")
    assert "No answer" in str(synthesizer.synthesize(QUESTION, []))


# -- pages in messages --------------------------------------------------------------------------------------------------


def conversation(page: Page) -> list[ChatMessage]:
    return [
        ChatMessage(role="system", content=f"Use this context:\n{page_tag(page)}"),
        ChatMessage(role="user", content="What is the else clause for?"),
    ]


async def endpoints(llm: Any, page: Page) -> list[tuple[str, list[str], dict[str, Any]]]:
    """Text, pieces and results of all eight endpoints."""
    messages, prompt = conversation(page), f"{page_tag(page)}\n\nWhat is the else clause for?"
    REGISTRY.register([page])
    found: list[tuple[str, list[str], dict[str, Any]]] = []
    for response in (llm.chat(messages), await llm.achat(messages), llm.complete(prompt), await llm.acomplete(prompt)):
        found.append((str(response).removeprefix("assistant: "), [], response.additional_kwargs["glyph"]))
    streams = [list(llm.stream_chat(messages)), [c async for c in await llm.astream_chat(messages)]]
    streams += [list(llm.stream_complete(prompt)), [c async for c in await llm.astream_complete(prompt)]]
    for chunks in streams:
        assert not any("glyph" in c.additional_kwargs for c in chunks[:-1])
        last = chunks[-1]
        found.append((str(last).removeprefix("assistant: "), [c.delta or "" for c in chunks], last.additional_kwargs["glyph"]))
    return found


async def test_all_endpoints_of_a_page_model_llm_agree(pages: list[Page]) -> None:
    found = await endpoints(PageModelLLM(ExtractiveModel("glyph")), pages[0])
    assert len(found) == 8
    assert len({text for text, _, _ in found}) == 1
    assert found[0][0].startswith("“")
    assert all(results == found[0][2] for _, _, results in found[:2])
    assert all("".join(pieces) == found[0][0] for _, pieces, _ in found[4:])
    assert all(results["citations"][0]["verified"] for _, _, results in found)


async def test_all_endpoints_of_a_glyph_llm_draw(server: Server, remote: Any, pages: list[Page]) -> None:
    found = await endpoints(GlyphLLM(llm=remote), pages[0])
    assert {text for text, _, _ in found} == {"".join(Server.words)}
    assert len(server.requests) == 8
    assert all([role for role, _ in server.images(i)] == ["user"] for i in range(8))
    assert {results["report"]["pages"][0]["sent_as"] for _, _, results in found} == {"image"}


def test_a_page_of_a_system_message_opens_the_users(server: Server, remote: Any, pages: list[Page]) -> None:
    REGISTRY.register(pages)
    llm = GlyphLLM(llm=remote)
    llm.chat(conversation(pages[1]))
    system, user = server.requests[-1]["messages"]
    assert "[page 2: see image]" in system["content"] and "<page" not in system["content"]
    assert [part["type"] for part in user["content"][-2:]] == ["image_url", "text"]
    assert user["content"][-1]["text"] == "What is the else clause for?"
    assert llm.metadata.model_name == "zai-org/Glyph" and llm.metadata.is_chat_model
    assert llm.metadata.is_function_calling_model


def test_what_has_no_pages_goes_through_untouched(server: Server, remote: Any) -> None:
    dot = io.BytesIO()
    Image.new("L", (8, 8)).save(dot, "PNG")
    foreign = ImageBlock(image=dot.getvalue(), detail="low")
    messages = [
        ChatMessage(role="user", blocks=[TextBlock(text="<page n=1>not a page</page>"), foreign]),
        ChatMessage(role="assistant", blocks=[ToolCallBlock(tool_call_id="1", tool_name="add", tool_kwargs={"a": 1})]),
        ChatMessage(role="tool", content="2", additional_kwargs={"tool_call_id": "1"}),
        ChatMessage(role="user", content="And {now}?"),
    ]
    before = [m.model_dump() for m in messages]
    llm = GlyphLLM(llm=remote)
    response = llm.chat(messages)
    remote.chat(messages)
    assert server.requests[0]["messages"] == server.requests[1]["messages"]
    assert [m.model_dump() for m in messages] == before
    assert citations_of(response) == []


def test_a_page_of_a_tool_result_follows_it(server: Server, remote: Any, pages: list[Page]) -> None:
    REGISTRY.register(pages)
    messages = [
        ChatMessage(role="user", content="What is the else clause for?"),
        ChatMessage(role="assistant", blocks=[ToolCallBlock(tool_call_id="1", tool_name="find", tool_kwargs={"q": "else"})]),
        ChatMessage(role="tool", content=page_tag(pages[0]), additional_kwargs={"tool_call_id": "1"}),
    ]
    GlyphLLM(llm=remote).chat(messages)
    sent = server.requests[-1]["messages"]
    assert [m["role"] for m in sent] == ["user", "assistant", "tool", "user"]
    assert sent[2] == {"role": "tool", "content": "[page 1: see image]", "tool_call_id": "1"}
    assert len(server.images()) == 1


def test_tools_are_those_of_the_wrapped_model(server: Server, remote: Any, pages: list[Page]) -> None:
    REGISTRY.register(pages)

    def look_up(word: str) -> str:
        """Look a word up."""
        return f"{word} is sweet"

    tool = FunctionTool.from_defaults(look_up)
    llm = GlyphLLM(llm=remote, cite=True)
    question = ChatMessage(role="user", content=f"{page_tag(pages[0])}\n\nLook something up.")
    response = llm.chat_with_tools([tool], user_msg=question)
    [call] = llm.get_tool_calls_from_response(response)
    assert (call.tool_name, call.tool_kwargs) == ("look_up", {"word": "jam"})
    assert server.requests[-1]["tools"][0]["function"]["name"] == "look_up"
    assert len(server.images()) == 1
    assert "Quote the words" not in json.dumps(server.requests[-1])
    assert llm.predict_and_call([tool], user_msg="Look up jam.").response == "jam is sweet"


async def test_structured_output_is_the_wrapped_models_with_pages_drawn(server: Server, remote: Any, pages: list[Page]) -> None:
    REGISTRY.register(pages)
    page = next(p for p in pages if "{" in p.text)
    llm = GlyphLLM(llm=remote)
    prompt = PromptTemplate("{context}\n\nWhich flags, and what is {{braced}}?")
    assert llm.structured_predict(Flags, prompt, context=page_tag(page)) == Flags(flags="jam")
    assert len(server.images()) == 1
    assert await llm.astructured_predict(Flags, prompt, context=page_tag(page)) == Flags(flags="jam")
    assert server.images()[0] == server.images(0)[0]
    text = "A text with {braces}, {context} and {{more}}."
    llm.as_structured_llm(Flags).chat([ChatMessage(role="user", content=text)])
    assert server.requests[-1]["messages"][-1]["content"] == text


def test_a_glyph_llm_refuses_models_that_drop_images_and_keeps_settings() -> None:
    with pytest.raises(TypeError, match="is_chat_model=True"):
        GlyphLLM(llm=MockLLM())
    inner = PageModelLLM(ExtractiveModel("glyph"))
    for wrong in ({"vision": "no such model"}, {"budget": 0}, {"draw_text": "all"}):
        with pytest.raises((UnknownModelError, ValueError)):
            GlyphLLM(llm=inner, **wrong)
    with pytest.raises(TypeError, match="does not call tools"):
        GlyphLLM(llm=inner).chat_with_tools([], user_msg="x")


def test_a_model_that_nothing_is_known_of_is_told_of_once(caplog: pytest.LogCaptureFixture) -> None:
    from llama_index.llms.openai_like import OpenAILike

    inner = OpenAILike(model="acme/unheard-of", is_chat_model=True, api_key="none")
    with caplog.at_level("WARNING"):
        for _ in range(3):
            GlyphLLM(llm=inner)
            GlyphSynthesizer(inner)
    assert caplog.text.count("no vision profile for model 'acme/unheard-of'") == 1


async def test_around_a_page_model_no_picture_is_drawn(pages: list[Page], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Renderer, "png", lambda *a, **k: pytest.fail("drew a PNG"))
    model = Recorder()
    found = await endpoints(GlyphLLM(llm=PageModelLLM(model)), pages[0])
    assert len({text for text, _, _ in found}) == 1
    assert set(model.pages_seen()) == {pages[0].id}


def test_an_image_drawn_here_is_a_page_again_and_any_other_a_picture(pages: list[Page]) -> None:
    ours, dot = Renderer().png(pages[0]), io.BytesIO()
    REGISTRY.register_png(ours, pages[0])
    Image.new("L", (8, 8)).save(dot, "PNG")
    url = "data:image/png;base64," + base64.b64encode(ours).decode()
    for block in (ImageBlock(image=ours), ImageBlock(image=io.BytesIO(ours)), ImageBlock(url=url)):
        model = Recorder()
        asked = TextBlock(text="What is the else clause for?")
        message = ChatMessage(role="user", blocks=[block, ImageBlock(image=dot.getvalue()), asked])
        response = PageModelLLM(model).chat([message])
        assert model.pages_seen() == [pages[0].id]
        [[turn]] = model.calls
        assert PicturePart(dot.getvalue(), "image/png") in turn.parts
        assert citations_of(response)[0].page == pages[0]


@pytest.mark.parametrize("url", ["data:image/png;base64,", "data:image/png;base64,!!!"])
def test_an_image_without_bytes_is_left_to_the_model(url: str) -> None:
    block = ImageBlock(url=url)
    model = Recorder()
    PageModelLLM(model).chat([ChatMessage(role="user", blocks=[block, TextBlock(text="Hm?")])])
    assert model.calls[0][0].parts[0] == OpaquePart(block)


def test_images_by_path_are_not_opened(tmp_path: Any, pages: list[Page]) -> None:
    path = tmp_path / "page.png"
    path.write_bytes(Renderer().png(pages[0]))
    REGISTRY.register_png(path.read_bytes(), pages[0])
    model = Recorder()
    PageModelLLM(model).chat([ChatMessage(role="user", blocks=[ImageBlock(path=path), TextBlock(text="Hm?")])])
    assert model.pages_seen() == []


def test_tags_that_name_no_page_of_ours_stay_text(pages: list[Page]) -> None:
    REGISTRY.clear()
    model = Recorder()
    text = f"{page_tag(pages[0])}\n\nWhat is the else clause for?"
    PageModelLLM(model).chat([ChatMessage(role="user", content=text)])
    assert model.calls[0][0].text == text
    PageModelLLM(model, pages=lambda page_id: pages[0] if page_id == pages[0].id else None).complete(text)
    assert model.pages_seen() == [pages[0].id]


def test_options_and_usage_reach_and_leave_a_page_model() -> None:
    model = Recorder(None)
    llm = PageModelLLM(model, max_tokens=50)
    response = llm.chat([ChatMessage(role="user", content="a b c")], temperature=0.5, stop=["x"])
    assert model.options == {"max_tokens": 50, "temperature": 0.5, "stop": ["x"]}
    assert response.additional_kwargs["total_tokens"] > 0
    assert response.additional_kwargs["model"] == "extractive"
    assert (llm.metadata.num_output, llm.metadata.context_window) == (50, 65_536)
    assert PageModelLLM(Recorder()).metadata.context_window == VisionProfile.get("glyph").context_window


def test_reasoning_is_a_block_of_its_own() -> None:
    class Thinker(ExtractiveModel):
        def read(self, turns: Any, **options: Any) -> Answer:
            return Answer("Jam.", reasoning="It is sweet.")

    message = PageModelLLM(Thinker()).chat([ChatMessage(role="user", content="?")]).message
    assert [b.block_type for b in message.blocks] == ["thinking", "text"]
    assert message.content == "Jam."


def test_events_and_tokens_are_counted_once(server: Server, remote: Any) -> None:
    local = PageModelLLM(ExtractiveModel("glyph"))
    for llm in (local, GlyphLLM(llm=remote), GlyphLLM(llm=local)):
        seen, counter = LlamaDebugHandler(print_trace_on_end=False), TokenCountingHandler(tokenizer=str.split)
        llm.callback_manager = CallbackManager([seen, counter])
        llm.chat([ChatMessage(role="user", content="What is jam?")])
        llm.complete("What is jam?")
        assert len(seen.get_llm_inputs_outputs()) == 2
        assert len(counter.llm_token_counts) == 2


def test_a_failing_server_is_a_model_error_of_the_page_model(server: Server) -> None:
    pytest.importorskip("openai")
    from glyph_integrations import OpenAIModel

    server.status = 500
    llm = PageModelLLM(OpenAIModel("zai-org/Glyph", server.url, max_retries=0))
    with pytest.raises(ModelError, match="500"):
        llm.complete("Hello?")


# -- pictures on nodes --------------------------------------------------------------------------------------------------

MODES = [
    ResponseMode.COMPACT, ResponseMode.REFINE, ResponseMode.TREE_SUMMARIZE, ResponseMode.ACCUMULATE,
    ResponseMode.COMPACT_ACCUMULATE, ResponseMode.SIMPLE_SUMMARIZE,
]  # fmt: skip


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("window", [16_000, 4_000])
def test_every_page_is_delivered_or_reported_in_every_mode_that_sends_context(
    nodes: list[NodeWithScore], mode: ResponseMode, window: int, caplog: pytest.LogCaptureFixture
) -> None:
    model = Recorder()
    llm = PageModelLLM(model, context_window=window)
    drawn = PageImagePostprocessor("glyph").postprocess_nodes(nodes, query_str=QUESTION)
    get_response_synthesizer(llm=llm, response_mode=mode, multimodal=True).synthesize(QUESTION, drawn)
    if window == 4_000 and mode == ResponseMode.SIMPLE_SUMMARIZE:  # one call that cannot hold them
        sent = len(model.pages_seen())
        label = f"Page {nodes[sent].node.metadata['glyph_n']}"
        assert 0 < sent < len(nodes)
        assert f"{label} and what follows it are left out" in caplog.text
        assert f"({label} and what follows it are left out.)" in model.calls[0][-1].text
        return
    assert set(model.pages_seen()) == {n.node.node_id for n in nodes}
    assert "left out" not in caplog.text
    if window == 16_000 and mode in (ResponseMode.COMPACT, ResponseMode.SIMPLE_SUMMARIZE):
        assert len(model.calls) == 1


async def test_a_multimodal_engine_answers_with_citations(store: GlyphVectorStore) -> None:
    model = Recorder()
    multimodal = RetrieverQueryEngine.from_args(
        GlyphRetriever(store, similarity_top_k=5), llm=PageModelLLM(model), multimodal=True,
        node_postprocessors=[PageImagePostprocessor("glyph")],
    )  # fmt: skip
    for response in (multimodal.query(QUESTION), await multimodal.aquery(QUESTION)):
        assert "conversion flags" in str(response)
        assert len(response.source_nodes) == 5
        assert citations_of(response)[0].verified
    assert len(model.pages_seen()) == 10
    labels = [t.text for t in model.calls[0][-1:]]
    assert "The picture above is Page" in labels[0]


def test_a_multimodal_engine_sends_data_urls_to_any_llm(server: Server, remote: Any, nodes: list[NodeWithScore]) -> None:
    drawn = PageImagePostprocessor("glyph").postprocess_nodes(nodes)
    response = get_response_synthesizer(llm=remote, multimodal=True).synthesize(QUESTION, drawn)
    assert str(response) == "".join(Server.words)
    assert [role for role, _ in server.images()] == ["user"] * len(nodes)
    [message] = [m for m in server.requests[-1]["messages"] if m["role"] == "user"]
    kinds = [p["type"] for p in message["content"]]
    for i, kind in enumerate(kinds[:-1]):
        if kind == "image_url":
            assert "The picture above is Page" in message["content"][i + 1]["text"]


async def test_a_picture_states_what_it_costs_and_its_node_keeps_the_text(nodes: list[NodeWithScore]) -> None:
    [drawn] = await PageImagePostprocessor("glyph").apostprocess_nodes(nodes[:1])
    picture, caption = drawn.node.get_content_blocks(MetadataMode.LLM)
    assert isinstance(drawn.node, ImageNode) and isinstance(picture, PageImageBlock)
    width, height = Image.open(picture.resolve_image()).size
    exact = VisionProfile.get("glyph").count(width, height)
    assert exact <= await picture.aestimate_tokens() <= exact + 20
    assert await caption.aestimate_tokens() == 0
    assert drawn.node.text == nodes[0].node.text
    assert drawn.score == nodes[0].score
    assert drawn.node.source_node == nodes[0].node.source_node
    stored = json_to_doc(doc_to_json(drawn.node))  # what a docstore makes of it
    assert Page.from_metadata(stored.get_content(), stored.metadata).id == drawn.node.node_id


def test_what_is_cheaper_as_text_or_holds_no_page_stays_as_it_is() -> None:
    short = PageNodeParser().get_nodes_from_documents([Document(text="Few words.", metadata={"source": "s.txt"})])
    plain = TextNode(text="Plain words.")
    given = [NodeWithScore(node=node, score=1.0) for node in (*short, plain)]
    kept = PageImagePostprocessor("glyph").postprocess_nodes(given)
    assert [n.node for n in kept] == [*short, plain]
    with pytest.raises(UnknownModelError):
        PageImagePostprocessor("no such model")


def test_without_multimodal_an_engine_reads_the_text_of_the_pages(store: GlyphVectorStore) -> None:
    model = Recorder(None)
    plain = RetrieverQueryEngine.from_args(GlyphRetriever(store, similarity_top_k=2), llm=PageModelLLM(model))
    response = plain.query(QUESTION)
    assert "conversion flags" in str(response)
    assert citations_of(response)[0].verified
    assert all(n.node.text.strip() in model.calls[0][-1].text for n in response.source_nodes)


# -- citations ----------------------------------------------------------------------------------------------------------


def test_citations_are_found_only_where_they_are(pages: list[Page]) -> None:
    REGISTRY.register(pages)
    response = PageModelLLM(ExtractiveModel("glyph")).chat(conversation(pages[0]))
    REGISTRY.clear()
    assert citations_of(response)[0].page is None
    assert citations_of(response, pages=lambda page_id: next(p for p in pages if p.id == page_id))[0].page == pages[0]
    unfinished = ChatResponse(message=response.message)
    for thing, advice in (("text", "verify_answer"), (response.message, "verify_answer"), (unfinished, "to its end")):
        with pytest.raises(TypeError, match=advice):
            citations_of(thing)
    assert response.message.additional_kwargs == {}  # it would be written into prompts made of chat history
    assert response.message.role == MessageRole.ASSISTANT
