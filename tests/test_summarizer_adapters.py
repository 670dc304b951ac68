"""`GlyphSummarizer` of both frameworks: documents, paths, stores and nodes in; cited summaries out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from chat_server import chat_server, images_of
from summary_models import Scribe, failing
from test_summaries import book

from glyph_integrations import PageIndex
from glyph_integrations.errors import DocumentError, ModelError

pytest.importorskip("langchain_core")
pytest.importorskip("llama_index.core")

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.documents import Document
from langchain_core.output_parsers import StrOutputParser
from llama_index.core import SummaryIndex
from llama_index.core.query_engine import RetrieverQueryEngine
from llama_index.core.schema import NodeWithScore, TextNode

from glyph_integrations import langchain as lc
from glyph_integrations import llama_index as li
from glyph_integrations.langchain.page_documents import page_document
from glyph_integrations.llama_index.page_nodes import page_node

ANSWER = "Captain Number0 sailed in 1700 [p. 1]."

# -- LangChain ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("llm", [None, "page model", "chat page model"])
def test_documents_become_a_message_with_citations(llm: str | None) -> None:
    model: Any = {None: None, "page model": Scribe(), "chat page model": lc.ChatPageModel(model=Scribe())}[llm]
    pages = book("log.txt", 2)
    message = lc.GlyphSummarizer(model).invoke([page_document(page) for page in pages])
    assert "[p. 1]" in message.text
    assert message.response_metadata["glyph"]["faithfulness"] == 1.0
    assert {citation.page for citation in lc.citations_of(message)} <= set(pages)
    assert lc.citations_of(message)


def test_any_chat_model_is_sent_pictures_within_the_run() -> None:
    from langchain_openai import ChatOpenAI

    class Seen(BaseCallbackHandler):
        parents: list[Any] = []  # noqa: RUF012

        def on_chat_model_start(self, serialized: Any, messages: Any, **kwargs: Any) -> None:
            self.parents.append(kwargs["parent_run_id"])

    with chat_server() as server:
        server.answer = ANSWER
        llm = ChatOpenAI(model="glyph", base_url=server.url, api_key="none")  # type: ignore[arg-type]
        documents = [page_document(page) for page in book("log.txt", 2)]
        seen = Seen()
        for chat in (llm, llm.bind(temperature=0), lc.ChatGlyph(llm=llm)):
            message = lc.GlyphSummarizer(chat, style="bullets").invoke(documents, {"callbacks": [seen]})
            assert message.text == ANSWER
            assert len(images_of(server.messages[-1])) == 2
        assert len(seen.parents) == 3
        assert all(seen.parents)
    with pytest.raises(ModelError, match="glyph: "):
        lc.GlyphSummarizer(ChatOpenAI(model="glyph", base_url=server.url, max_retries=0, api_key="none")).invoke(documents)  # type: ignore[arg-type]


def test_paths_and_stores_and_plain_documents_are_summarized(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("The harbour of Amrum freezes every third winter.", encoding="utf-8")
    (tmp_path / "b.txt").write_text("The baker of Föhr sells eleven kinds of bread.", encoding="utf-8")
    summarizer = lc.GlyphSummarizer()
    assert "Amrum" in summarizer.invoke(tmp_path / "a.txt").text
    folder = summarizer.invoke(str(tmp_path))
    assert [part["source"] for part in folder.response_metadata["glyph"]["parts"]] == ["a.txt", "b.txt"]
    assert "Amrum" in summarizer.invoke(Document("The harbour of Amrum freezes every third winter.")).text
    store = lc.GlyphVectorStore.from_documents(lc.GlyphLoader(tmp_path).load())
    assert "of a.txt]" in summarizer.invoke(store).text
    only = lc.GlyphSummarizer(filter={"glyph_source": "b.txt"})
    assert "Föhr" in only.invoke(store).text
    with PageIndex.open() as index:
        index.add(book("log.txt", 1))
        assert "Captain" in summarizer.invoke(index).text


def test_a_stream_gives_the_levels_and_adds_up_to_the_summary() -> None:
    summarizer = lc.GlyphSummarizer(Scribe(), budget=2500)
    documents = [page_document(page) for page in book("log.txt")]
    chunks = list(summarizer.stream(documents))
    *parts, last = chunks
    assert len(parts) > 1
    assert all(chunk.text == "" for chunk in parts)
    assert {chunk.response_metadata["glyph_parts"][0]["level"] for chunk in parts} == {"pages"}
    assert last.text == summarizer.invoke(documents).text
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole = whole + chunk  # type: ignore[assignment]
    assert whole.text == last.text
    assert len(whole.response_metadata["glyph_parts"]) == len(parts)
    assert lc.citations_of(whole) == lc.citations_of(last)
    assert "".join((summarizer | StrOutputParser()).stream(documents)) == last.text


async def test_langchain_async_says_the_same() -> None:
    summarizer = lc.GlyphSummarizer(Scribe(), budget=2500)
    documents = [page_document(page) for page in book("log.txt")]
    message = await summarizer.ainvoke(documents)
    assert message.text == summarizer.invoke(documents).text
    assert [chunk async for chunk in summarizer.astream(documents)][-1].text == message.text


def test_what_cannot_be_summarized_is_refused() -> None:
    with pytest.raises(TypeError, match="neither a LangChain chat model nor a PageModel"):
        lc.GlyphSummarizer("gpt-4")  # type: ignore[arg-type]
    for wrong in (7, {"documents": []}, [7]):
        with pytest.raises(TypeError, match="expected Documents"):
            lc.GlyphSummarizer().invoke(wrong)  # type: ignore[arg-type]
    with pytest.raises(DocumentError, match="does not exist"):
        lc.GlyphSummarizer().invoke("no such file.txt")
    with pytest.raises(ModelError, match="on fire"):
        lc.GlyphSummarizer(Scribe(answer=failing("Captain"))).invoke([page_document(page) for page in book("log.txt", 1)])


# -- LlamaIndex ---------------------------------------------------------------------------------------------------------------


def test_a_summary_index_answers_with_a_cited_summary() -> None:
    pages = book("log.txt")
    synthesizer = li.GlyphSummarizer(Scribe(), budget=2500)
    index = SummaryIndex([page_node(page) for page in pages])
    engine = index.as_query_engine(llm=li.PageModelLLM(Scribe()), response_synthesizer=synthesizer)
    response = engine.query("Who sailed?")
    assert "Captain Number0" in str(response)
    assert response.metadata is not None
    assert response.metadata["glyph"]["faithfulness"] == 1.0
    assert len(response.source_nodes) == len(pages)
    assert {citation.page for citation in li.citations_of(response)} <= set(pages)


def test_the_query_is_the_question_unless_another_style_is_asked_for() -> None:
    nodes = [NodeWithScore(node=page_node(page)) for page in book("log.txt", 1)]
    scribe = Scribe()
    li.GlyphSummarizer(scribe).synthesize("Who sailed?", nodes)
    li.GlyphSummarizer(scribe, style="brief").synthesize("Who sailed?", nodes)
    asked, summarized = (prompt[-1].text for prompt in scribe.prompts)
    assert "Question: Who sailed?" in asked
    assert "Who sailed?" not in summarized


def test_a_llama_index_llm_is_sent_pictures() -> None:
    from llama_index.llms.openai_like import OpenAILike

    with chat_server() as server:
        server.answer = ANSWER
        llm = OpenAILike(model="glyph", api_base=server.url, api_key="none", is_chat_model=True)
        nodes = [NodeWithScore(node=page_node(page)) for page in book("log.txt", 2)]
        for chat in (llm, li.GlyphLLM(llm=llm), li.PageModelLLM(Scribe())):
            response = li.GlyphSummarizer(chat).synthesize("Who sailed?", nodes)
            assert ANSWER in f"{response} [p. 1]." or "Captain Number0" in str(response)
        assert len(images_of(server.messages[-1])) == 2
        assert len(server.requests) == 2


async def test_streaming_and_async_of_a_synthesizer() -> None:
    store = li.GlyphVectorStore()
    store.add([page_node(page) for page in book("log.txt", 3)])
    synthesizer = li.GlyphSummarizer(Scribe(), style="brief", streaming=True)
    response = RetrieverQueryEngine(li.GlyphRetriever(store), response_synthesizer=synthesizer).query("Captain Number1")
    pieces = list(response.response_gen)  # type: ignore[union-attr]
    assert len(pieces) > 1
    assert "".join(pieces) == response.metadata["glyph"]["text"]  # type: ignore[index]
    nodes = [NodeWithScore(node=page_node(page)) for page in book("log.txt", 3)]
    later = await synthesizer.asynthesize("?", nodes)
    assert "".join([piece async for piece in later.async_response_gen()]) == "".join(pieces)  # type: ignore[union-attr]
    assert [part.level async for part in synthesizer.aparts("?", nodes)] == ["document"]
    assert [part.text for part in synthesizer.parts("?", nodes)] == ["".join(pieces)]


def test_plain_nodes_and_none_at_all() -> None:
    synthesizer = li.GlyphSummarizer()
    response = synthesizer.synthesize(
        "What freezes?", [NodeWithScore(node=TextNode(text="The harbour of Amrum freezes in winter."))]
    )
    assert str(response) == "The harbour of Amrum freezes in winter. [p. 1]"
    assert str(synthesizer.synthesize("What freezes?", [])) == "There was nothing to summarize."
    assert "Amrum" in str(synthesizer.get_response("What freezes?", ["The harbour of Amrum freezes in winter."]))
    with pytest.raises(TypeError, match="neither a LlamaIndex LLM nor a PageModel"):
        li.GlyphSummarizer("gpt-4")  # type: ignore[arg-type]
