"""Where pages arrive in LlamaIndex: all nine response modes, citation engines, chat engines and agents."""

from __future__ import annotations

import re
from pydoc_data.topics import topics
from typing import Any

import pytest

pytest.importorskip("llama_index.core")

from llama_index.core import Document, Settings, get_response_synthesizer
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.base.llms.types import ChatMessage, ToolCallBlock
from llama_index.core.base.response.schema import PydanticResponse
from llama_index.core.chat_engine import CondensePlusContextChatEngine, CondenseQuestionChatEngine, ContextChatEngine
from llama_index.core.chat_engine.multi_modal_context import MultiModalContextChatEngine
from llama_index.core.llms.function_calling import FunctionCallingLLM
from llama_index.core.llms.llm import ToolSelection
from llama_index.core.query_engine import CitationQueryEngine, RetrieverQueryEngine
from llama_index.core.response_synthesizers import ResponseMode
from llama_index.core.schema import NodeWithScore, TextNode
from llama_index.core.tools import QueryEngineTool

from glyph_integrations import ExtractiveModel, Page, Renderer
from glyph_integrations.llama_index import (
    GlyphLLM,
    GlyphRetriever,
    GlyphSynthesizer,
    GlyphVectorStore,
    PageImagePostprocessor,
    PageModelLLM,
    PageNodeParser,
    PageTagPostprocessor,
    citations_of,
    page_of,
)
from glyph_integrations.reading import REGISTRY, Answer, TextPart, Turn

NAMES = ("for", "while", "try", "with", "naming", "formatstrings", "strings", "objects", "types", "specialnames")
TEXT = re.sub(r"(?<=[^\s*=-])\n *(?=\S)", " ", "\n\n".join(topics[name] for name in NAMES))
QUESTION = "Which conversion flags are currently supported?"
NO_CONTEXT = [ResponseMode.GENERATION, ResponseMode.NO_TEXT, ResponseMode.CONTEXT_ONLY]
WITH_CONTEXT = [mode for mode in ResponseMode if mode not in NO_CONTEXT]


class Recorder(ExtractiveModel):
    """An `ExtractiveModel` that remembers what it was given."""

    def __init__(self, vision: str | None = "glyph") -> None:
        super().__init__(vision)
        self.calls: list[list[Turn]] = []

    def read(self, turns: Any, **options: Any) -> Answer:
        self.calls.append(list(turns))
        return super().read(turns, **options)

    def images(self) -> set[str]:
        return {page.id for turns in self.calls for turn in turns for page in turn.pages}

    def words(self) -> str:
        return "\n".join(p.text for turns in self.calls for turn in turns for p in turn.parts if isinstance(p, TextPart))


@pytest.fixture(scope="module")
def store() -> GlyphVectorStore:
    store = GlyphVectorStore()
    store.add(PageNodeParser().get_nodes_from_documents([Document(text=TEXT, metadata={"source": "reference.txt"})]))
    return store


@pytest.fixture(autouse=True)
def _no_default_llm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Settings, "_llm", PageModelLLM(ExtractiveModel()))  # two modes ask for one, and do not use it


@pytest.fixture
def nodes(store: GlyphVectorStore) -> list[NodeWithScore]:
    return GlyphRetriever(store, similarity_top_k=6).retrieve(QUESTION)


def test_the_modes_are_the_nine_that_were_looked_at() -> None:
    assert len(ResponseMode) == 9 and len(WITH_CONTEXT) == 6


@pytest.mark.parametrize("mode", NO_CONTEXT)
@pytest.mark.parametrize("multimodal", [True, False])
def test_three_modes_send_no_context_at_all(nodes: list[NodeWithScore], mode: ResponseMode, multimodal: bool) -> None:
    model = Recorder()
    drawn = PageImagePostprocessor("glyph").postprocess_nodes(nodes, query_str=QUESTION)
    synthesizer = get_response_synthesizer(llm=PageModelLLM(model), response_mode=mode, multimodal=multimodal)
    response = synthesizer.synthesize(QUESTION, drawn)
    assert model.images() == set() and nodes[0].node.text[:200] not in model.words()
    assert len(model.calls) == (mode == ResponseMode.GENERATION)
    assert len(response.source_nodes) == len(nodes)  # they are retrieved all the same


@pytest.mark.parametrize("mode", WITH_CONTEXT)
async def test_six_modes_deliver_every_page_in_async_and_in_streams_too(nodes: list[NodeWithScore], mode: ResponseMode) -> None:
    drawn = PageImagePostprocessor("glyph").postprocess_nodes(nodes, query_str=QUESTION)
    for streaming in (False, True):
        if streaming and "accumulate" in mode:
            continue  # LlamaIndex cannot stream these
        model = Recorder()
        llm = PageModelLLM(model, context_window=16_000)
        synthesizer = get_response_synthesizer(llm=llm, response_mode=mode, multimodal=True, streaming=streaming)
        response = await synthesizer.asynthesize(QUESTION, drawn)
        assert not isinstance(response, PydanticResponse)
        if streaming:
            assert "".join([piece async for piece in response.response_gen])  # type: ignore[union-attr]
        assert model.images() == {n.node.node_id for n in nodes}


def test_without_pictures_six_modes_send_the_text_of_every_page(nodes: list[NodeWithScore]) -> None:
    for mode in WITH_CONTEXT:
        model = Recorder(None)
        get_response_synthesizer(llm=PageModelLLM(model), response_mode=mode).synthesize(QUESTION, nodes)
        lines = [re.search(r"[a-zA-Z ,]{50,}", n.node.text) for n in nodes]  # one mode escapes line ends
        assert all(line and line[0] in model.words() for line in lines) and model.images() == set()


# -- citation engines -----------------------------------------------------------------------------------------------------


def test_a_citation_engine_sends_every_page_whole(store: GlyphVectorStore) -> None:
    model = Recorder()
    engine = CitationQueryEngine(
        GlyphRetriever(store, similarity_top_k=3), llm=PageModelLLM(model), multimodal=True,
        node_postprocessors=[PageImagePostprocessor("glyph")],
    )  # fmt: skip
    response = engine.query(QUESTION)
    assert len(model.images()) == 3
    assert "Source 1:" in model.words() and model.words().count("The picture above is Page") == 3
    citations = citations_of(response)
    assert citations and all(c.verified and c.page for c in citations)


def test_a_citation_engine_of_texts_is_checked_against_the_pages_its_pieces_are_of(store: GlyphVectorStore) -> None:
    model = Recorder(None)
    engine = CitationQueryEngine(GlyphRetriever(store, similarity_top_k=3), llm=PageModelLLM(model))
    response = engine.query(QUESTION)
    assert len(response.source_nodes) > 3 and "Source 1:" in model.words()
    citations = citations_of(response)
    assert citations and all(c.verified and c.page and c.boxes for c in citations)


# -- chat engines ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("streaming", [False, True])
def test_a_chat_engine_over_a_query_engine_passes_citations_on(store: GlyphVectorStore, streaming: bool) -> None:
    model = Recorder()
    query_engine = RetrieverQueryEngine(GlyphRetriever(store, similarity_top_k=3), GlyphSynthesizer(model))
    chat = CondenseQuestionChatEngine.from_defaults(query_engine, llm=PageModelLLM(Recorder(None)))
    response = chat.stream_chat(QUESTION) if streaming else chat.chat(QUESTION)
    if streaming:
        assert "conversion" in "".join(response.response_gen)
        assert response.write_response_to_history_thread is None or not response.write_response_to_history_thread.is_alive()
    assert len(model.images()) == 3
    citations = citations_of(response)
    assert citations and citations[0].verified and citations[0].boxes


@pytest.mark.parametrize("engine", [ContextChatEngine, CondensePlusContextChatEngine])
async def test_context_chat_engines_read_the_text_of_pages(store: GlyphVectorStore, engine: Any) -> None:
    model = Recorder(None)
    retriever = GlyphRetriever(store, similarity_top_k=2)
    chat = engine.from_defaults(retriever, llm=PageModelLLM(model), skip_condense=True)
    for response in (chat.chat(QUESTION), await chat.achat(QUESTION)):
        assert len(response.source_nodes) == 2 and all(
            n.node.text.strip()[:200] in model.words() for n in response.source_nodes
        )
        citations = citations_of(response)
        assert citations and citations[0].verified
    streamed = chat.stream_chat(QUESTION)
    assert "".join(streamed.response_gen)
    assert citations_of(streamed)


def test_a_multimodal_chat_engine_sends_pages_as_images(store: GlyphVectorStore) -> None:
    model = Recorder()
    chat = MultiModalContextChatEngine.from_defaults(
        GlyphRetriever(store, similarity_top_k=2), multi_modal_llm=GlyphLLM(llm=PageModelLLM(model)), system_prompt="Be brief.",
        node_postprocessors=[PageImagePostprocessor("glyph")],
    )  # fmt: skip
    for _ in range(2):  # the second time with a history
        response = chat.chat(QUESTION)
    assert len(model.images()) == 2 and [turn.role for turn in model.calls[-1]] == ["system", "user", "assistant", "user"]
    assert citations_of(response)[0].verified


@pytest.mark.parametrize("engine", [ContextChatEngine, CondensePlusContextChatEngine])
async def test_context_chat_engines_send_tagged_pages_as_images(store: GlyphVectorStore, engine: Any) -> None:
    model = Recorder()
    chat = engine.from_defaults(
        GlyphRetriever(store, similarity_top_k=2), llm=GlyphLLM(llm=PageModelLLM(model)),
        node_postprocessors=[PageTagPostprocessor()], skip_condense=True,
    )  # fmt: skip
    streamed = chat.stream_chat(QUESTION)
    assert "".join(streamed.response_gen)
    streamed_async = await chat.astream_chat(QUESTION)
    assert "".join([token async for token in streamed_async.async_response_gen()])
    for response in (streamed, streamed_async, chat.chat(QUESTION), await chat.achat(QUESTION)):
        retrieved = {n.node.node_id for n in response.source_nodes}
        assert len(retrieved) == 2 and model.images() == retrieved
        assert all(n.node.text not in model.words() for n in response.source_nodes)
        citations = citations_of(response)
        assert citations and citations[0].verified and citations[0].boxes
    assert len(model.calls) == 4


@pytest.mark.parametrize("multimodal", [True, False])
@pytest.mark.parametrize("mode", WITH_CONTEXT)
def test_every_mode_with_context_sends_tagged_pages_as_images(
    nodes: list[NodeWithScore], mode: ResponseMode, multimodal: bool
) -> None:
    model = Recorder()
    tagged = PageTagPostprocessor().postprocess_nodes(nodes[:2], query_str=QUESTION)
    llm = GlyphLLM(llm=PageModelLLM(model))
    response = get_response_synthesizer(llm=llm, response_mode=mode, multimodal=multimodal).synthesize(QUESTION, tagged)
    escaped = mode == ResponseMode.SIMPLE_SUMMARIZE and not multimodal  # LlamaIndex writes the context as a list of strings
    assert len(model.images()) == (0 if escaped else 2)
    assert page_of(response.source_nodes[0]) == page_of(nodes[0])
    if not escaped and mode != ResponseMode.REFINE:  # of a refinement the quoting model quotes the instructions
        assert citations_of(response)[0].verified


def test_a_node_that_holds_no_page_is_not_tagged() -> None:
    plain = NodeWithScore(node=TextNode(text="A note."), score=0.5)
    assert PageTagPostprocessor().postprocess_nodes([plain]) == [plain]


def test_a_conversation_may_be_drawn_as_pages() -> None:
    model = Recorder()
    llm = GlyphLLM(llm=PageModelLLM(model), draw_text="long", min_tokens=1000)
    history = [
        ChatMessage(role=role, content=f"{n}. {role}: " + "Of jam and bread they spoke at length. " * 40)
        for n in range(6) for role in ("user", "assistant")
    ]  # fmt: skip
    response = llm.chat(
        [ChatMessage(role="system", content="Be brief."), *history, ChatMessage(role="user", content="What now?")]
    )
    [turns] = model.calls
    assert [t.role for t in turns][:2] == ["system", "user"] and len(turns) < len(history)
    assert {p.source.rstrip("0123456789") for p in turns[1].pages} == {"earlier-conversation-"}
    report = response.additional_kwargs["glyph"]["report"]
    assert report["text_tokens_replaced"] > 2 * report["image_tokens"]
    assert turns[-1].text == "What now?"


# -- agents ---------------------------------------------------------------------------------------------------------------


class Echo(ExtractiveModel):
    """Says what its tool said."""

    def _answer(self, turns: Any) -> str:
        return "So: " + next((turn.text for turn in reversed(turns) if turn.role == "tool"), "")


class Caller(PageModelLLM, FunctionCallingLLM):
    """Calls the one tool it is given, once, then answers from what the tool said."""

    @property
    def metadata(self) -> Any:
        return super().metadata.model_copy(update={"is_function_calling_model": True})

    def _prepare_chat_with_tools(
        self, tools: Any, user_msg: Any = None, chat_history: Any = None, **kwargs: Any
    ) -> dict[str, Any]:
        return {"messages": [*(chat_history or []), *([user_msg] if user_msg else [])], "stop": [tools[0].metadata.name]}

    def _called(self, response: Any, messages: Any) -> Any:
        if any(m.role == "tool" for m in messages):
            return response
        call = ToolCallBlock(tool_call_id="1", tool_name="look_up", tool_kwargs={"input": QUESTION})
        return response.model_copy(update={"message": ChatMessage(role="assistant", blocks=[call])})

    async def achat(self, messages: Any, **kwargs: Any) -> Any:
        return self._called(await super().achat(messages), messages)

    async def achat_with_tools(self, tools: Any, user_msg: Any = None, chat_history: Any = None, **kwargs: Any) -> Any:
        return await self.achat(self._prepare_chat_with_tools(tools, user_msg, chat_history)["messages"])

    def get_tool_calls_from_response(
        self, response: Any, error_on_no_tool_call: bool = True, **kwargs: Any
    ) -> list[ToolSelection]:
        calls = [b for b in response.message.blocks if isinstance(b, ToolCallBlock)]
        return [ToolSelection(tool_id=b.tool_call_id, tool_name=b.tool_name, tool_kwargs=b.tool_kwargs) for b in calls]


async def test_what_an_agent_quotes_is_checked_against_what_its_tools_found(store: GlyphVectorStore) -> None:
    query_engine = RetrieverQueryEngine(GlyphRetriever(store, similarity_top_k=3), GlyphSynthesizer(Recorder()))
    tool = QueryEngineTool.from_defaults(query_engine, name="look_up", description="Answers questions.")
    agent = FunctionAgent(tools=[tool], llm=Caller(Echo()), streaming=False)
    output = await agent.run(QUESTION)
    citations = citations_of(output)
    assert "conversion" in str(output) and citations and citations[0].verified and citations[0].page


def test_pages_of_a_response_are_known_by_id_even_when_an_engine_cut_them(nodes: list[NodeWithScore]) -> None:
    pages = [Page.from_metadata(n.node.get_content(), n.node.metadata) for n in nodes[:1]]
    cut = nodes[0].node.model_copy(update={"text": "Source 1:\n" + pages[0].text[:100]})
    response = get_response_synthesizer(llm=PageModelLLM(Recorder(None))).synthesize(QUESTION, [NodeWithScore(node=cut)])
    response.response = f"“{' '.join(pages[0].text.split()[20:30])}”"
    assert citations_of(response)[0].page == pages[0]
    REGISTRY.clear()
    with pytest.warns(UserWarning, match="no longer its text"):
        assert citations_of(response)[0].page is None
    assert citations_of(response, pages=lambda i: pages[0] if i == pages[0].id else None)[0].verified
    assert Renderer().boxes(pages[0], 0, 10)
