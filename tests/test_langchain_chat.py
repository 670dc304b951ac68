"""`ChatGlyph` and `ChatPageModel` inside unmodified chains, against a server on loopback and page models in process."""

from __future__ import annotations

import asyncio
import base64
import html
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any
from uuid import UUID

import pytest
from chat_server import ChatServer, chat_server, images_of, text_of

pytest.importorskip("langchain_openai")

from langchain_core.caches import InMemoryCache
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.documents import Document
from langchain_core.language_models import BaseChatModel
from langchain_core.language_models.fake_chat_models import FakeListChatModel
from langchain_core.load import dumps
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import Runnable, RunnablePassthrough
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from pydantic import BaseModel, SecretStr

from glyph_integrations import ExtractiveModel, OpenAIModel, Page, Renderer, VisionProfile
from glyph_integrations.errors import BudgetError, ModelError, UnknownModelError
from glyph_integrations.langchain import (
    ChatGlyph,
    ChatPageModel,
    GlyphVectorStore,
    PageSplitter,
    citations_of,
    page_content_blocks,
    tag_pages,
)
from glyph_integrations.langchain.content_blocks import image_block
from glyph_integrations.reading import REGISTRY, Answer, AnswerChunk, PagePart, PicturePart, TextPart, Turn, Usage, page_tag

BOOK = "".join(
    f"In the year {1500 + i} the town of {name} paid its toll of {i * 7} florins to the bishop.\n"
    for i, name in enumerate(["Aurach", "Bern", "Colmar", "Dole"] * 50)
)
QUESTION = "What toll did Colmar pay in the year 1602?"


@pytest.fixture(scope="module")
def server() -> Iterator[ChatServer]:
    with chat_server() as running:
        yield running


@pytest.fixture(scope="module")
def pages() -> list[Page]:
    found = list(Renderer().paginate(BOOK, "tolls.txt"))
    assert len(found) >= 2
    REGISTRY.register(found)
    return found


def openai(server: ChatServer, model: str = "zai-org/Glyph", **options: Any) -> ChatOpenAI:
    server.answer = ""
    return ChatOpenAI(model=model, base_url=server.url, api_key=SecretStr("none"), stream_usage=True, **options)


class Recorder:
    """A page model that keeps what it was sent, and answers in two words."""

    name = "recorder"
    vision: VisionProfile | None = VisionProfile.get("glyph")

    def __init__(self) -> None:
        self.turns: list[Turn] = []
        self.options: dict[str, Any] = {}

    def read(self, turns: Sequence[Turn], **options: Any) -> Answer:
        self.turns, self.options = list(turns), options
        return Answer("Two words", Usage(3, 2), model=self.name)

    async def aread(self, turns: Sequence[Turn], **options: Any) -> Answer:
        return self.read(turns, **options)

    def stream(self, turns: Sequence[Turn], **options: Any) -> Iterator[AnswerChunk]:
        answer = self.read(turns, **options)
        yield AnswerChunk("Two ")
        yield AnswerChunk("words", usage=answer.usage, stop_reason="stop", model=self.name)

    async def astream(self, turns: Sequence[Turn], **options: Any) -> AsyncIterator[AnswerChunk]:
        for chunk in self.stream(turns, **options):
            yield chunk


class Events(BaseCallbackHandler):
    def __init__(self) -> None:
        self.names: list[str] = []
        self.seen = ""

    def on_chat_model_start(self, serialized: Any, messages: list[list[BaseMessage]], **kwargs: Any) -> None:
        self.names.append("start")
        self.seen += str(messages)

    def on_llm_new_token(self, token: Any, **kwargs: Any) -> None:
        self.names.append("token")

    def on_llm_end(self, response: Any, *, run_id: UUID, **kwargs: Any) -> None:
        self.names.append("end")


# -- where pages go -------------------------------------------------------------------------------------------------------


def test_an_unmodified_chain_with_its_context_in_the_system_message(server: ChatServer) -> None:
    store = GlyphVectorStore.from_documents(PageSplitter().split_documents([Document(BOOK, metadata={"source": "tolls.txt"})]))
    prompt = ChatPromptTemplate.from_messages([("system", "Answer from:\n\n{context}\n\nBe brief."), ("human", "{question}")])

    def join(documents: list[Document]) -> str:
        return "\n\n".join(d.page_content for d in documents)

    context: Runnable[Any, Any] = store.as_retriever(k=1) | join
    chain = {"context": context, "question": RunnablePassthrough()} | prompt | ChatGlyph(llm=openai(server))
    answer = chain.invoke(QUESTION)
    system, user = server.messages
    assert system["content"].startswith("Answer from:\n\n[page ") and system["content"].endswith(": see image]\n\nBe brief.")
    (image,) = images_of(user)
    page = REGISTRY.page_of_png(base64.b64decode(image.partition(",")[2]))
    assert page and "the year 1602 " in page.text
    assert [block["type"] for block in user["content"]][-3:] == ["text", "image_url", "text"]
    assert user["content"][-1]["text"] == QUESTION
    report = answer.response_metadata["glyph"]["report"]
    assert report["pages"][0]["sent_as"] == "image" and report["tokens"] < report["text_tokens_replaced"]
    assert "to the bishop" not in str(server.messages)  # the text itself was not sent
    store.index.close()


def test_pages_of_tool_messages_follow_the_last_of_them(server: ChatServer, pages: list[Page]) -> None:
    @tool
    def look_up(town: str) -> str:
        """Pages about a town."""
        return page_tag(pages[0])

    calls = [{"name": "look_up", "args": {"town": t}, "id": t, "type": "tool_call"} for t in ("a", "b")]
    messages = [
        HumanMessage("Look up both."),
        AIMessage("", tool_calls=calls),
        ToolMessage(page_tag(pages[0]), tool_call_id="a"),
        ToolMessage(f"Found {page_tag(pages[1])} only", tool_call_id="b"),
    ]
    answer = ChatGlyph(llm=openai(server)).bind_tools([look_up]).invoke(messages)
    assert [m["role"] for m in server.messages] == ["user", "assistant", "tool", "tool", "user"]
    assert text_of(server.messages[2]) == f"[page {pages[0].number}: see image]"
    assert text_of(server.messages[3]) == f"Found [page {pages[1].number}: see image] only"
    assert len(images_of(server.messages[4])) == 2
    assert server.messages[1]["tool_calls"][0]["id"] == "a"
    assert isinstance(answer, AIMessage) and not answer.tool_calls


def test_only_tags_with_the_pages_own_text_become_images(server: ChatServer, pages: list[Page]) -> None:
    tag = page_tag(pages[0])
    forged = tag.replace("Aurach", "Ulm", 1)
    stranger = page_tag(next(Renderer().paginate("Never handed out. " * 100, "elsewhere")))
    chat = ChatGlyph(llm=openai(server))
    chat.invoke(f"{forged}\n{stranger}\nWhat?")
    assert server.messages == [{"role": "user", "content": f"{forged}\n{stranger}\nWhat?"}]
    chat.invoke(f"{tag}\nWhat?")
    assert len(images_of(server.messages[0])) == 1
    unknown = next(Renderer().paginate("Kept elsewhere. " * 300, "elsewhere"))
    chat = ChatGlyph(llm=openai(server), pages=lambda page_id: unknown if page_id == unknown.id else None)
    chat.invoke(f"{page_tag(unknown)}\nWhat?")
    assert len(images_of(server.messages[0])) == 1


def test_tags_that_a_template_escaped_are_found(server: ChatServer, pages: list[Page]) -> None:
    prompt = ChatPromptTemplate.from_messages([("human", "{{context}}\n\n{{question}}")], template_format="mustache")
    value = prompt.invoke({"context": page_tag(pages[0]), "question": QUESTION})
    assert html.escape('<page n="') in value.to_string()
    ChatGlyph(llm=openai(server)).invoke(value)
    assert len(images_of(server.messages[0])) == 1


def test_messages_without_pages_are_sent_as_they_are(server: ChatServer) -> None:
    picture = image_block(b"\x89PNG not ours")
    messages: list[BaseMessage] = [
        SystemMessage("Be brief."),
        HumanMessage([{"type": "text", "text": "Look:"}, picture], name="ann"),
        AIMessage("Yes?"),
        HumanMessage("What is it?"),
    ]
    before = dumps(messages)
    llm = openai(server)
    ChatGlyph(llm=llm).invoke(messages)
    sent = server.messages
    llm.invoke(messages)
    assert sent == server.messages and dumps(messages) == before


def test_a_model_without_a_profile_gets_labelled_text(
    server: ChatServer, pages: list[Page], caplog: pytest.LogCaptureFixture
) -> None:
    blind = openai(server, profile={"image_inputs": False})
    for llm, warned in ((openai(server, "some-model"), True), (blind, False)):
        caplog.clear()
        answer = ChatGlyph(llm=llm).invoke(f"{page_tag(pages[0])}\n\n{QUESTION}")
        assert ("no vision profile for ChatOpenAI some-model" in caplog.text) is warned
        assert server.messages == [{"role": "user", "content": f"Page {pages[0].number}\n{pages[0].text}\n\n{QUESTION}"}]
        assert answer.response_metadata["glyph"]["report"]["pages"][0]["sent_as"] == "text"
    ChatGlyph(llm=openai(server, "some-model"), vision="qwen2.5-vl").invoke(page_tag(pages[0]))
    assert len(images_of(server.messages[0])) == 1


def test_a_budget_is_kept_and_what_is_left_out_is_reported(server: ChatServer, pages: list[Page]) -> None:
    both = f"{page_tag(pages[0])}{page_tag(pages[1])}\n{QUESTION}"
    free = ChatGlyph(llm=openai(server))
    tokens = free.get_num_tokens_from_messages([HumanMessage(both)])
    answer = ChatGlyph(llm=openai(server), budget=tokens * 3 // 4).invoke(both)
    report = answer.response_metadata["glyph"]["report"]
    assert sorted(p["sent_as"] for p in report["pages"]) == ["image", "left out"] and report["tokens"] <= tokens * 3 // 4
    with pytest.raises(BudgetError):
        ChatGlyph(llm=openai(server), budget=5).invoke(QUESTION)


def test_long_text_is_drawn_when_asked_for(server: ChatServer) -> None:
    chat = ChatGlyph(llm=openai(server), draw_text="long", min_tokens=500)
    chat.invoke(f"{BOOK}\n\n{QUESTION}")
    assert len(images_of(server.messages[0])) >= 2 and text_of(server.messages[0]).endswith(QUESTION)
    chat.invoke(QUESTION)
    assert server.messages == [{"role": "user", "content": QUESTION}]


# -- answers --------------------------------------------------------------------------------------------------------------


def test_citations_resolve_to_characters_of_the_source(server: ChatServer, pages: list[Page]) -> None:
    chat = ChatGlyph(llm=openai(server))
    page = next(p for p in pages if "the year 1602 " in p.text)
    server.answer = (
        f"It was “Colmar paid its toll of 714 florins” (Page {page.number}), and “nothing else at all was ever paid” (Page 99)."
    )
    answer = chat.invoke(f"{''.join(map(page_tag, pages))}\n{QUESTION}")
    assert answer.text == server.answer
    good, bad = citations_of(answer)
    assert good.verified and good.page == page and BOOK[good.start : good.end] == "Colmar paid its toll of 714 florins"
    assert good.boxes and good.line
    assert not bad.verified and bad.note
    assert citations_of({"messages": [HumanMessage("x"), answer]}) == citations_of({"raw": answer, "parsed": 1}) == [good, bad]
    again = AIMessage.model_validate_json(answer.model_dump_json())  # the metadata is plain values
    assert citations_of(again) == [good, bad]
    REGISTRY.clear()
    assert citations_of(again)[0].page is None
    assert citations_of(again, pages={p.id: p for p in pages}.get) == [good, bad]
    REGISTRY.register(pages)
    documents = [Document(p.text, metadata=p.to_metadata()) for p in pages]
    assert citations_of({"answer": server.answer, "context": tag_pages.invoke(documents)}) == [good, bad]
    with pytest.raises(TypeError, match="verify_answer"):
        citations_of(StrOutputParser().invoke(answer))
    with pytest.raises(TypeError, match="no message"):
        citations_of({"parsed": 1})


def test_a_stream_carries_the_results_on_its_last_chunk_only(server: ChatServer, pages: list[Page]) -> None:
    chat = ChatGlyph(llm=openai(server))
    server.answer = "It was “Colmar paid its toll of 714 florins” as the page says."
    message = f"{''.join(map(page_tag, pages))}\n{QUESTION}"
    chunks = list(chat.stream(message))
    assert len(chunks) > 10
    assert ["glyph" in c.response_metadata for c in chunks].count(True) == 1
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole += chunk
    assert whole.text.strip() == server.answer
    whole_citations = citations_of(whole)
    assert [c.verified for c in whole_citations] == [True] and whole_citations == citations_of(chat.invoke(message))
    assert whole.usage_metadata and whole.usage_metadata["input_tokens"] == 11


async def test_async_is_the_same(server: ChatServer, pages: list[Page]) -> None:
    chat = ChatGlyph(llm=openai(server))
    message = f"{page_tag(pages[0])}\n{QUESTION}"
    one, two = await asyncio.gather(chat.ainvoke(message), chat.ainvoke(message))
    assert one.text == two.text == chat.invoke(message).text
    chunks = [chunk async for chunk in chat.astream(message)]
    assert "".join(c.text for c in chunks).split() == one.text.split()
    assert ["glyph" in c.response_metadata for c in chunks].count(True) == 1


def test_cite_adds_one_line_but_not_with_tools(server: ChatServer, pages: list[Page]) -> None:
    message = f"{page_tag(pages[0])}\n{QUESTION}"
    chat = ChatGlyph(llm=openai(server), cite=True)
    chat.invoke(message)
    line, user = server.messages
    assert line["role"] == "system" and "Quote" in text_of(line)
    ChatGlyph(llm=openai(server)).invoke(message)
    assert server.messages == [user]
    answer = chat.invoke([SystemMessage("Be brief."), HumanMessage(message)])
    counted = [chat.get_num_tokens(text_of(m)) for m in server.messages]
    assert answer.response_metadata["glyph"]["report"]["tokens"] > sum(counted)  # the line is in the count, and in the budget
    assert server.messages == [{"role": "system", "content": f"Be brief.\n\n{text_of(line)}"}, user]

    @tool
    def nothing() -> str:
        """Does nothing."""
        return ""

    chat.bind_tools([nothing]).invoke(message)
    assert server.messages == [user]
    chat.invoke(QUESTION)
    assert server.messages == [{"role": "user", "content": QUESTION}]


# -- one model to the framework -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("streaming", [False, True])
def test_callbacks_see_each_event_once_and_no_image(server: ChatServer, pages: list[Page], streaming: bool) -> None:
    mine, inner = Events(), Events()
    chat = ChatGlyph(llm=openai(server, callbacks=[inner]))
    message = f"{page_tag(pages[0])}\n{QUESTION}"
    if streaming:
        chunks = list(chat.stream(message, config={"callbacks": [mine]}))
        assert mine.names == ["start", *["token"] * len(chunks), "end"]
    else:
        chat.invoke(message, config={"callbacks": [mine]})
        assert mine.names == ["start", "end"]
    assert inner.names == mine.names  # set on the wrapped model, they are called too
    assert "base64" not in mine.seen and "<page n=" in mine.seen


def test_the_llm_cache_tells_models_and_profiles_apart(server: ChatServer, pages: list[Page]) -> None:
    cache = InMemoryCache()
    message = f"{page_tag(pages[0])}\n{QUESTION}"
    chats = [
        ChatGlyph(llm=openai(server), cache=cache),
        ChatGlyph(llm=openai(server, "another-glyph"), vision="glyph", cache=cache),
        ChatGlyph(llm=openai(server), vision="qwen3-vl", cache=cache),
        ChatGlyph(llm=openai(server), dpi=120, cache=cache),
        ChatGlyph(llm=openai(server, temperature=0.5), cache=cache),
        ChatGlyph(llm=openai(server).bind(seed=7), cache=cache),
        ChatPageModel(model=OpenAIModel("zai-org/Glyph", base_url=server.url), cache=cache),
        ChatPageModel(model=ExtractiveModel("glyph"), cache=cache),
        ChatPageModel(model=ExtractiveModel("glyph", quotes=1), cache=cache),
    ]
    start = len(server.requests)
    first = [chat.invoke(message) for chat in chats]
    assert len(server.requests) - start == 7
    second = [chat.invoke(message) for chat in chats]
    assert len(server.requests) - start == 7
    assert [citations_of(m) for m in first] == [citations_of(m) for m in second]


def test_bindings_are_unwrapped_and_kept(server: ChatServer, pages: list[Page]) -> None:
    llm = openai(server).bind(seed=7, stop=["now"]).with_config(tags=["mine"])
    chat = ChatGlyph(llm=llm, tags=["outer"])
    assert chat.tags == ["outer", "mine"]
    chat.invoke(page_tag(pages[0]))
    assert server.requests[-1]["seed"] == 7 and server.requests[-1]["stop"] == ["now"]
    chat.bind(seed=8).invoke("x", stop=["then"])
    assert server.requests[-1]["seed"] == 8 and server.requests[-1]["stop"] == ["then"]
    with pytest.raises(TypeError, match="chat model"):
        ChatGlyph(llm=RunnablePassthrough())
    with pytest.raises(TypeError, match="around ChatGlyph"):
        ChatGlyph(llm=FakeListChatModel(responses=["x"]).with_retry())
    with pytest.raises(UnknownModelError, match="nonesuch"):
        ChatGlyph(llm=openai(server), vision="nonesuch")


@pytest.mark.parametrize("method", ["json_schema", "function_calling"])
def test_structured_output_reads_pages_too(server: ChatServer, pages: list[Page], method: str) -> None:
    class Toll(BaseModel):
        """A toll that was paid."""

        town: str
        florins: int

    chat = ChatGlyph(llm=openai(server))
    raw = chat.with_structured_output(Toll, method=method, include_raw=True).invoke(f"{page_tag(pages[0])}\n{QUESTION}")
    assert isinstance(raw, dict) and isinstance(raw["parsed"], Toll) and raw["parsed"].florins == 3
    assert len(images_of(server.messages[0])) == 1
    assert citations_of(raw) == []
    assert raw["raw"].response_metadata["glyph"]["report"]["pages"]


def test_a_model_that_cannot_stream_answers_in_one_chunk(pages: list[Page]) -> None:
    class Silent(FakeListChatModel):
        _stream = BaseChatModel._stream
        _astream = BaseChatModel._astream

    chat = ChatGlyph(llm=Silent(responses=["Said at once."]), vision="glyph")
    chunks = [c for c in chat.stream(page_tag(pages[0])) if c.text]
    assert [c.text for c in chunks] == ["Said at once."] and "glyph" in chunks[0].response_metadata
    assert isinstance(chunks[0], AIMessageChunk)


def test_tokens_are_counted_as_sent(server: ChatServer, pages: list[Page]) -> None:
    chat = ChatGlyph(llm=openai(server))
    messages: list[BaseMessage] = [HumanMessage(f"{page_tag(pages[0])}\n{QUESTION}")]
    counted = chat.get_num_tokens_from_messages(messages)
    assert counted == chat.invoke(messages).response_metadata["glyph"]["report"]["tokens"]
    assert counted < chat.get_num_tokens(pages[0].text) / 2

    @tool
    def nothing(a: int) -> str:
        """Does nothing."""
        return ""

    assert chat.get_num_tokens_from_messages(messages, tools=[nothing]) > counted


# -- page models ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wrapped", [True, False])
def test_a_page_model_is_handed_the_pages_themselves(pages: list[Page], wrapped: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any, **kwargs: Any) -> bytes:
        raise AssertionError("a PNG was drawn")

    monkeypatch.setattr(Renderer, "png", refuse)
    recorder = Recorder()
    chat: BaseChatModel = ChatPageModel(model=recorder)
    if wrapped:
        chat = ChatGlyph(llm=chat)
    answer = chat.invoke([SystemMessage(page_tag(pages[0])), HumanMessage(QUESTION)], max_tokens=5)
    assert [turn.role for turn in recorder.turns] == ["system", "user"]
    assert [part.page for part in recorder.turns[1].parts if isinstance(part, PagePart)] == [pages[0]]
    assert recorder.turns[1].parts[-1] == TextPart(QUESTION)
    assert recorder.options["max_tokens"] == 5
    report = answer.response_metadata["glyph"]["report"]
    assert report["pages"][0]["sent_as"] == "image"
    spent = {"page_images": report["image_tokens"], "page_text_replaced": report["text_tokens_replaced"]}
    assert answer.text == "Two words"
    assert answer.usage_metadata == {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5, "input_token_details": spent}
    assert [c.text for c in chat.stream(QUESTION) if c.text] == ["Two ", "words"]


def test_images_that_were_drawn_here_are_pages_again_and_others_pictures(pages: list[Page]) -> None:
    recorder = Recorder()
    other = page_content_blocks(pages[1], dpi=50)[1]["image_url"]["url"].partition(",")[2]
    REGISTRY.clear()
    blocks = page_content_blocks(pages[0])
    v1 = {"type": "image", "base64": blocks[1]["image_url"]["url"].partition(",")[2], "mime_type": "image/png"}
    for known in (blocks[1], v1):
        foreign = {"type": "image", "base64": other, "mime_type": "image/png"}
        remote = {"type": "image", "url": "https://example.invalid/x.png"}
        ChatPageModel(model=recorder).invoke([HumanMessage([known, foreign, remote, {"type": "text", "text": QUESTION}])])
        (turn,) = recorder.turns
        assert [part.page for part in turn.parts if isinstance(part, PagePart)] == [pages[0]]
        assert [part.data for part in turn.parts if isinstance(part, PicturePart)] == [base64.b64decode(other)]
    REGISTRY.register(pages)


def test_an_extractive_model_answers_with_citations(pages: list[Page]) -> None:
    chat = ChatPageModel(model=ExtractiveModel("glyph"))
    answer = chat.invoke(f"{''.join(map(page_tag, pages))}\n\n{QUESTION}")
    assert "714 florins" in answer.text
    assert citations_of(answer)[0].verified
    chunks = list(chat.stream(f"{''.join(map(page_tag, pages))}\n\n{QUESTION}"))
    assert "".join(c.text for c in chunks) == answer.text


def test_a_server_that_is_down_is_a_model_error() -> None:
    chat = ChatPageModel(model=OpenAIModel("glyph", base_url="http://127.0.0.1:9/v1", max_retries=0))
    with pytest.raises(ModelError, match="cannot be reached"):
        chat.invoke("Hello")


def test_broken_tool_arguments_are_kept_as_invalid_calls() -> None:
    class Confused(Recorder):
        def read(self, turns: Sequence[Turn], **options: Any) -> Answer:
            from glyph_integrations.reading import ToolCall

            return Answer("", tool_calls=(ToolCall("1", "good", '{"a": 1}'), ToolCall("2", "bad", "{oops")))

    answer = ChatPageModel(model=Confused()).invoke("Hello")
    assert [c["args"] for c in answer.tool_calls] == [{"a": 1}]
    assert [c["args"] for c in answer.invalid_tool_calls] == ["{oops"]
    recorder = Recorder()
    results = [ToolMessage("3", tool_call_id="1"), ToolMessage("?", tool_call_id="2")]
    ChatPageModel(model=recorder).invoke([HumanMessage("Hello"), answer, *results])
    assert [call.arguments for call in recorder.turns[1].tool_calls] == ['{"a": 1}', "{oops"]
    assert [turn.tool_call_id for turn in recorder.turns[2:]] == ["1", "2"]
