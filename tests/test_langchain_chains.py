"""`ChatGlyph` in chains and agents that know nothing of it, against a server on loopback."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from typing import Any

import pytest
from chat_server import ChatServer, chat_server, images_of, text_of
from PIL import Image

pytest.importorskip("langchain_openai")
pytest.importorskip("langchain_classic", reason="needs langchain-classic")

from langchain_classic.agents import AgentExecutor, create_tool_calling_agent
from langchain_classic.chains import (
    ConversationalRetrievalChain,
    RetrievalQA,
    create_history_aware_retriever,
    create_retrieval_chain,
)
from langchain_classic.chains.combine_documents import create_stuff_documents_chain
from langchain_core.callbacks import BaseCallbackHandler, UsageMetadataCallbackHandler
from langchain_core.documents import Document
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage
from langchain_core.prompts import ChatPromptTemplate, MessagesPlaceholder
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from pydantic import SecretStr

from glyph_integrations import VisionProfile
from glyph_integrations.langchain import ChatGlyph, GlyphVectorStore, PageSplitter, citations_of
from glyph_integrations.reading import REGISTRY, Limits

BOOK = "".join(
    f"In the year {1500 + i} the town of {name} paid its toll of {i * 7} florins to the bishop.\n"
    for i, name in enumerate(["Aurach", "Bern", "Colmar", "Dole"] * 50)
)
QUESTION = "What toll did Colmar pay in the year 1602?"
ANSWER = "It was “Colmar paid its toll of 714 florins”, as the page says."


@pytest.fixture(scope="module")
def server() -> Iterator[ChatServer]:
    with chat_server() as running:
        yield running


@pytest.fixture(scope="module")
def store() -> Iterator[GlyphVectorStore]:
    store = GlyphVectorStore.from_documents(PageSplitter().split_documents([Document(BOOK, metadata={"source": "tolls.txt"})]))
    yield store
    store.index.close()


def chat(server: ChatServer, answer: str = ANSWER, **options: Any) -> ChatGlyph:
    server.answer = answer
    llm = ChatOpenAI(model="zai-org/Glyph", base_url=server.url, api_key=SecretStr("none"), stream_usage=True)
    return ChatGlyph(llm=llm, **options)


def sent_pages(server: ChatServer) -> list[str]:
    """Role and page of every image of the last request, each checked to be a drawing of a page of ours."""
    found = []
    for message in server.messages:
        for url in images_of(message):
            png = base64.b64decode(url.partition(",")[2])
            page = REGISTRY.page_of_png(png)
            assert page and all(side % VisionProfile.get("glyph").grid == 0 for side in Image.open(io.BytesIO(png)).size)
            found.append(message["role"])
    return found


class Events(BaseCallbackHandler):
    def __init__(self) -> None:
        self.models: list[str] = []

    def on_chat_model_start(self, *args: Any, **kwargs: Any) -> None:
        self.models.append("start")

    def on_llm_end(self, *args: Any, **kwargs: Any) -> None:
        self.models.append("end")


STUFF = ChatPromptTemplate.from_messages([("system", "Answer from this context:\n\n{context}"), ("human", "{input}")])


# -- chains ---------------------------------------------------------------------------------------------------------------


async def test_a_retrieval_chain_whose_context_is_in_the_system_message(server: ChatServer, store: GlyphVectorStore) -> None:
    chain = create_retrieval_chain(store.as_retriever(k=2), create_stuff_documents_chain(chat(server), STUFF))
    events = Events()
    for result in (chain.invoke({"input": QUESTION}, {"callbacks": [events]}), await chain.ainvoke({"input": QUESTION})):
        assert sent_pages(server) == ["user", "user"]
        system, user = server.messages
        assert text_of(system).count(": see image]") == 2 and text_of(user).endswith(QUESTION)
        assert result["answer"] == ANSWER
        (citation,) = citations_of(result)
        assert citation.verified and BOOK[citation.start : citation.end] == "Colmar paid its toll of 714 florins"
    assert events.models == ["start", "end"]
    streamed = "".join(piece.get("answer", "") for piece in chain.stream({"input": QUESTION}))
    assert streamed.strip() == ANSWER


def test_a_retrieval_chain_that_knows_the_history(server: ChatServer, store: GlyphVectorStore) -> None:
    condense = ChatPromptTemplate.from_messages([MessagesPlaceholder("chat_history"), ("human", "{input}")])
    model = chat(server)
    retriever = create_history_aware_retriever(model, store.as_retriever(k=1), condense)
    stuff = ChatPromptTemplate.from_messages(
        [("system", "Context: {context}"), MessagesPlaceholder("chat_history"), ("human", "{input}")]
    )
    chain = create_retrieval_chain(retriever, create_stuff_documents_chain(model, stuff))
    history = [HumanMessage("Which town is it about?"), AIMessage("Colmar.")]
    result = chain.invoke({"input": QUESTION, "chat_history": history})
    assert [m["role"] for m in server.messages] == ["system", "user", "assistant", "user"]
    assert sent_pages(server) == ["user"] and images_of(server.messages[1])
    assert citations_of(result)[0].verified


def test_the_old_chains_too(server: ChatServer, store: GlyphVectorStore) -> None:
    retriever = store.as_retriever(k=1)
    one = RetrievalQA.from_chain_type(chat(server), retriever=retriever, return_source_documents=True)
    result = one.invoke({"query": QUESTION})
    assert sent_pages(server) == ["user"] and result["result"] == ANSWER and citations_of(result)[0].verified
    two = ConversationalRetrievalChain.from_llm(chat(server), retriever, return_source_documents=True)
    result = two.invoke({"question": QUESTION, "chat_history": []})
    assert sent_pages(server) == ["user"] and citations_of(result)[0].verified


# -- agents ---------------------------------------------------------------------------------------------------------------


def test_an_agent_reads_the_pages_its_tool_found(server: ChatServer, store: GlyphVectorStore) -> None:
    retriever = store.as_retriever(k=1)

    @tool
    def look_up(query: str) -> str:
        """Looks something up."""
        return "\n\n".join(d.page_content for d in retriever.invoke(query))

    prompt = ChatPromptTemplate.from_messages(
        [("system", "Be brief."), ("human", "{input}"), MessagesPlaceholder("agent_scratchpad")]
    )
    usage = UsageMetadataCallbackHandler()
    agent = create_tool_calling_agent(chat(server, ANSWER), [look_up], prompt)
    executor = AgentExecutor(agent=agent, tools=[look_up], return_intermediate_steps=True)
    result = executor.invoke({"input": QUESTION}, {"callbacks": [usage]})
    assert [m["role"] for m in server.messages] == ["system", "user", "assistant", "tool", "user"]
    assert sent_pages(server) == ["user"] and ": see image]" in text_of(server.messages[3])
    assert result["output"].strip() == ANSWER
    (citation,) = citations_of(result)
    assert citation.verified and citation.page
    (total,) = usage.usage_metadata.values()
    assert total["input_tokens"] == 22  # two calls of 11, none counted twice
    details: Any = total["input_token_details"]
    assert details["page_text_replaced"] > 2 * details["page_images"] > 0


# -- what a conversation costs --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("streaming", [False, True])
def test_usage_tells_what_pages_cost_and_what_they_replaced(
    server: ChatServer, store: GlyphVectorStore, streaming: bool
) -> None:
    (document,) = store.as_retriever(k=1).invoke(QUESTION)
    message = f"{document.page_content}\n{QUESTION}"
    model = chat(server)
    usage = UsageMetadataCallbackHandler()
    if streaming:
        chunks = list(model.stream(message, {"callbacks": [usage]}))
        assert sum(bool(c.usage_metadata and c.usage_metadata["input_tokens"]) for c in chunks) == 1
        answer: Any = chunks[0]
        for chunk in chunks[1:]:
            answer += chunk
    else:
        answer = model.invoke(message, {"callbacks": [usage]})
    report = answer.response_metadata["glyph"]["report"]
    expected = {"page_images": report["image_tokens"], "page_text_replaced": report["text_tokens_replaced"]}
    assert answer.usage_metadata["input_token_details"].items() >= expected.items()
    assert usage.usage_metadata[answer.response_metadata["model_name"]]["input_token_details"].items() >= expected.items()
    assert "page_images" not in str(model.invoke(QUESTION).usage_metadata)


def test_tools_and_forms_of_answers_count_against_the_budget(server: ChatServer, store: GlyphVectorStore) -> None:
    @tool
    def verbose(query: str) -> str:
        """Looks something up."""
        return ""

    verbose.description = "Looks something up. " * 200
    (document,) = store.as_retriever(k=1).invoke(QUESTION)
    messages: list[BaseMessage] = [HumanMessage(f"{document.page_content}\n{QUESTION}")]
    free = chat(server)
    plain, with_tools = free.get_num_tokens_from_messages(messages), free.get_num_tokens_from_messages(messages, [verbose])
    assert with_tools - plain > 800
    tight = chat(server, budget=with_tools - 100)
    assert tight.invoke(messages).response_metadata["glyph"]["report"]["pages"][0]["lines"] is None
    bound = tight.bind_tools([verbose]).invoke(messages).response_metadata["glyph"]["report"]
    assert bound["tokens"] <= with_tools - 100 and bound["pages"][0]["lines"]  # the page was cut to fit beside the tool
    around = ChatGlyph(llm=free.llm.bind_tools([verbose]), budget=with_tools - 100)  # type: ignore[attr-defined]
    assert around.invoke(messages).response_metadata["glyph"]["report"] == bound


def test_the_limits_of_a_server_are_kept(server: ChatServer, store: GlyphVectorStore) -> None:
    documents = store.as_retriever(k=3).invoke(QUESTION)
    message = "".join(d.page_content for d in documents) + QUESTION
    model = chat(server, limits=Limits(images=1))
    report = model.invoke(message).response_metadata["glyph"]["report"]
    assert len(sent_pages(server)) == 1 and [p["sent_as"] for p in report["pages"]].count("text") == len(documents) - 1
    assert model._identifying_params != chat(server)._identifying_params


async def test_an_old_conversation_is_drawn_when_asked_for(server: ChatServer) -> None:
    model = chat(server, "Yes.", draw_text="long", min_tokens=500)
    said: list[BaseMessage] = [SystemMessage("Be brief.")]
    earlier: list[str] = []
    for n in range(8):
        said.append(HumanMessage(f"Question {n}: " + "is it so? " * 60))
        answer = await model.ainvoke(said) if n % 2 else model.invoke(said)
        images = [url for message in server.messages for url in images_of(message)]
        assert images[: len(earlier)] == earlier  # byte for byte, so that the server's cache of prefixes holds
        earlier = images
        assert server.messages[0]["content"] == "Be brief." and text_of(server.messages[-1]) == said[-1].content
        said.append(AIMessage(f"Answer {n}: " + "it is so, and was always so. " * 60))
    assert len(earlier) >= 3 and len(server.messages) < len(said) - 4
    report = answer.response_metadata["glyph"]["report"]
    assert report["tokens"] < chat(server).get_num_tokens_from_messages(said[:-1]) / 1.5
    assert {p["source"].rstrip("0123456789") for p in report["pages"]} == {"earlier-conversation-"}
