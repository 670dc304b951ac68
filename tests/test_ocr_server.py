"""Whole pipelines get right answers from a server that sees nothing but pixels, and clear errors from one that misbehaves."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from ocr_server import LOOP, OcrServer, ocr_server, shared_reader

pytest.importorskip("openai", reason="the extra openai is not installed")

from serving import serving

from glyph_integrations import ContextBuilder, OcrModel, OpenAIModel, Page, PageIndex, PageStyle, Renderer, verify_answer
from glyph_integrations.errors import ModelError
from glyph_integrations.ocr import Stretch
from glyph_integrations.reading import OpaquePart, PagePart, PicturePart, TextPart, Turn
from glyph_integrations.rendering.fonts import FontSet

STYLE = PageStyle().replace(height=130)  # pages of eleven lines
TEXT = """\
The lighthouse of Amrum stands on the highest dune of the island, and was lit for the first time on a January evening while
the whole parish sang. Its first keeper, Hinrich Quedens, wrote a line into his log every night for forty years, and never
once did he write that he was lonely. The lamp burned rape oil until the engineers came over from Husum and changed it for
paraffin, which smelled worse but carried a mile farther. The children of the keeper learned to count by the flashes.

When the great storm broke the sea wall, the widow Elke Matzen took eleven families into her barn, and fed them on barley
soup and smoked eel until the water went back. The pastor offered her a silver cup for it. She asked for a cow instead, and
the parish argued for two winters about which of the two was dearer. In the end she was given both, and named the cow after
the pastor's wife, who is said to have laughed longer than anybody else in the church that Sunday.

The ferry to the mainland was called the Grey Goose, and its master was a silent man from Dagebüll who kept a tame jackdaw
on his shoulder. The bird could say three words, all of them unfit for the ears of passengers, and it said them whenever the
engine failed. Summer guests wrote postcards about the jackdaw and forgot to mention the dunes. After the master had retired,
the shipping company received so many letters that it hired a man with a parrot, but it was never the same.

The schoolmaster Ocke Nerong collected the old songs of the island in seven copybooks bound in sealskin. He walked from door
to door with a pencil behind each ear, and paid for a verse with a pinch of tobacco. Scholars from Copenhagen wanted to buy
the books, but he lent them to nobody, because a professor had once returned a psalter with coffee on it. They lie today in
the reading room of the town library at Flensburg, where they may be seen, but not touched, on the first Monday of a month.

The windmill at Nebel has lost its sails four times, twice to storms, once to the French, and once to a wager. The miller who
lost them that last time, Boy Jensen, had bet that he could stop them with his own shoulders, and the doctor who set the bones
afterwards is said to have charged him by the sail. For a year the people took their rye across to Föhr, and complained that
it came back lighter than the distance could explain. When the mill turned again it was painted green, since green was the
only colour that the chandler had left over from the fishing boats, and it has been painted green ever since.

The honey of the island comes from heather, and is so stiff that it has to be pressed from the combs. A beekeeper called Gondel
Brodersen won a medal with it in Paris, and hung the medal around the neck of her goat, since the goat had eaten the letter
that came with it. Travellers who doubted the story were shown the goat. She sold her honey from a window in the churchyard
wall, on trust, and said that in all those years only one jar was ever stolen, and that it was brought back empty, but washed.
The window is still there, and still open in summer, although her granddaughter has put up a board with the prices, because
the guests of today will rather take a jar for nothing than guess what it might be worth to an old woman whom they never met.
"""
CHINESE = """\
胶州湾的渔村里住着一位姓陶的老船匠，他造的木船轻巧结实，附近几个县的渔民都来订购。老船匠从不用铁钉，只用榫头和桐油灰，因此他的船在海上漂了三十年也不漏水。村里的孩子\
喜欢坐在刨花堆上听他讲海龙王的故事，他讲到高兴的地方，就把烟斗在船板上敲三下。他的女儿后来到青岛的纺织厂做了技师，每年中秋节都带着月饼回来看他，并且替他把工具一\
件一件擦亮。

村东头的茶馆是一个叫白三娘的寡妇开的，墙上挂着一幅旧海图，据说是一个葡萄牙水手抵债留下来的。外乡人来喝茶，总要问那幅海图卖不卖，白三娘就笑着摇头，说那是她的风水。\
后来博物馆的人出了大价钱，她还是不肯，只答应让他们照了一张相片。茶馆里最有名的点心是芝麻酥饼，做法是她从婆婆那里学来的，每天只做两炉，卖完就关门。
"""
TEXT = " ".join(TEXT.split())  # one paragraph, so that all pages are full
QUESTIONS = [  # with a stretch of the answer
    ("Who was the first keeper of the lighthouse of Amrum?", "Hinrich Quedens"),
    ("Which bird did the master of the ferry keep on his shoulder?", "jackdaw"),
    ("What did the beekeeper hang around the neck of her goat?", "medal"),
]
QUESTION_ZH = ("茶馆里最有名的点心是什么？", "芝麻酥饼")


@pytest.fixture(scope="module")
def server() -> Iterator[OcrServer]:
    pytest.importorskip("rapidocr", reason="the extra ocr is not installed")
    pytest.importorskip("onnxruntime", reason="the extra ocr is not installed")
    with ocr_server(OcrModel(shared_reader())) as running:
        yield running


class OneLine:
    """An engine that is fast, since it reads the same on every picture."""

    name = "one line"
    scripts: tuple[str, ...] = ()

    def read(self, image: Any) -> list[Stretch]:
        return [Stretch("The first keeper of the lighthouse of Amrum was Hinrich Quedens.", 16, 40, 16, 400)]


@pytest.fixture
def quick() -> Iterator[OcrServer]:
    """A server whose engine is not in question."""
    with ocr_server(OcrModel(OneLine())) as running:
        yield running


@pytest.fixture(scope="module")
def pages() -> list[Page]:
    return list(Renderer(STYLE).paginate(TEXT, source="amrum.txt"))


def chinese_style() -> PageStyle:
    if FontSet().face_for("他") is None:
        pytest.skip("no font with Chinese characters is installed")
    return PageStyle.preset("cjk-72").replace(height=140)


def from_pixels(server: OcrServer, answer: str) -> None:
    """The last request held images, and the answer nowhere as text."""
    assert server.images() and answer not in server.texts()


# -- right answers from pixels alone: an ordinary page model, LangChain, LlamaIndex -------------------------------------------


@pytest.mark.slow
def test_a_page_model_gets_right_answers_with_citations(server: OcrServer, pages: list[Page]) -> None:
    model = OpenAIModel("zai-org/Glyph", server.url, max_retries=0)
    with PageIndex.open() as index:
        index.add(pages)
        for question, right in QUESTIONS:
            turns, report = ContextBuilder("zai-org/Glyph").build(question, index.search(question, k=2))
            answer = model.read(turns)
            assert right in answer.text
            from_pixels(server, right)
            assert answer.usage is not None and answer.usage.input_tokens == report.tokens < report.text_tokens_replaced
            citation = verify_answer(answer.text, report.pages)[0]
            assert citation.page and right in citation.page.text and (citation.verified or citation.repaired)
            chunks = list(model.stream(turns))
            assert "".join(chunk.text for chunk in chunks) == answer.text and chunks[-1].usage == answer.usage


@pytest.mark.slow
def test_a_langchain_chain_gets_right_answers(server: OcrServer) -> None:
    pytest.importorskip("langchain_openai")
    from langchain_core.documents import Document
    from langchain_core.prompts import ChatPromptTemplate
    from langchain_core.runnables import RunnablePassthrough
    from langchain_openai import ChatOpenAI
    from pydantic import SecretStr

    from glyph_integrations.langchain import ChatGlyph, GlyphVectorStore, PageSplitter, citations_of

    documents = PageSplitter(Renderer(STYLE)).split_documents([Document(TEXT, metadata={"source": "amrum.txt"})])
    store = GlyphVectorStore.from_documents(documents)
    llm = ChatOpenAI(model="zai-org/Glyph", base_url=server.url, api_key=SecretStr("none"), max_retries=0, stream_usage=True)
    prompt = ChatPromptTemplate.from_messages([("system", "Answer from these pages:\n{context}"), ("human", "{question}")])
    found = store.as_retriever(k=2) | (lambda documents: "\n".join(d.page_content for d in documents))
    chain = {"context": found, "question": RunnablePassthrough()} | prompt | ChatGlyph(llm=llm)
    for question, right in QUESTIONS:
        answer = chain.invoke(question)
        assert right in answer.content
        from_pixels(server, right)
        citation = citations_of(answer)[0]
        assert citation.page and right in citation.page.text and (citation.verified or citation.repaired)
        assert answer.usage_metadata and answer.usage_metadata["input_tokens"] > 100
        first, *rest = chain.stream(question)
        streamed = sum(rest, first)
        assert rest and streamed.text == answer.text and citations_of(streamed) == citations_of(answer)
    store.index.close()


@pytest.mark.slow
async def test_a_llama_index_query_engine_gets_right_answers(server: OcrServer) -> None:
    openai_like = pytest.importorskip("llama_index.llms.openai_like")
    from llama_index.core import Document, VectorStoreIndex
    from llama_index.core.query_engine import RetrieverQueryEngine

    from glyph_integrations.llama_index import GlyphLLM, GlyphSynthesizer, GlyphVectorStore, PageNodeParser, citations_of

    store = GlyphVectorStore()
    store.add(PageNodeParser(style=STYLE).get_nodes_from_documents([Document(text=TEXT, metadata={"source": "amrum.txt"})]))
    retriever = VectorStoreIndex.from_vector_store(store, embed_model=store.embed_model).as_retriever(similarity_top_k=2)
    llm = openai_like.OpenAILike(
        model="zai-org/Glyph", api_base=server.url, api_key="none", is_chat_model=True, context_window=32_000, max_retries=0
    )
    for reader in (llm, GlyphLLM(llm=llm)):
        engine = RetrieverQueryEngine(retriever, response_synthesizer=GlyphSynthesizer(llm=reader))
        for question, right in QUESTIONS:
            response = engine.query(question)
            assert right in str(response)
            from_pixels(server, right)
            citation = citations_of(response)[0]
            assert citation.page and right in citation.page.text and (citation.verified or citation.repaired)
        assert str(await engine.aquery(question)) == str(response)


def test_chinese_questions_get_right_answers(server: OcrServer) -> None:
    question, right = QUESTION_ZH
    with PageIndex.open() as index:
        index.add(Renderer(chinese_style()).paginate(CHINESE, source="cun.txt"))
        turns, report = ContextBuilder("zai-org/Glyph").build(question, index.search(question, k=1))
    answer = OpenAIModel("zai-org/Glyph", server.url, max_retries=0).read(turns)
    assert right in answer.text
    from_pixels(server, right)
    citation = verify_answer(answer.text, report.pages)[0]
    assert citation.page and (citation.verified or citation.repaired)


@pytest.mark.slow
@pytest.mark.parametrize("language", ["en", "zh"])
def test_questions_of_a_public_set_are_mostly_answered_from_pixels(server: OcrServer, corpora: Path, language: str) -> None:
    style = STYLE if language == "en" else chinese_style()
    rows = {
        kind: [json.loads(line) for line in (corpora / f"xquad12_{language}.{kind}.jsonl").read_text("utf-8").splitlines()]
        for kind in ("docs", "queries")
    }
    model, right = OpenAIModel("zai-org/Glyph", server.url, max_retries=0), 0
    chosen = rows["queries"][::40]
    with PageIndex.open() as index:
        for row in rows["docs"]:
            index.add(Renderer(style).paginate(row["text"], source=row["doc_id"]))
        for row in chosen:
            turns, report = ContextBuilder("zai-org/Glyph").build(row["question"], index.search(row["question"], k=2))
            text = model.read(turns).text
            offered = [citation.repaired or "" for citation in verify_answer(text, report.pages)]
            right += any(answer in shown for answer in row["answers"] for shown in (text, *offered))
    assert right >= 0.6 * len(chosen)


# -- a server or a model that misbehaves: what the caller is told -------------------------------------------------------------

TURNS = [Turn("user", QUESTIONS[0][0])]


def direct(server: OcrServer, **settings: Any) -> OpenAIModel:
    return OpenAIModel("zai-org/Glyph", server.url, **{"max_retries": 0, "timeout": 5, **settings})


def test_a_limited_rate_is_waited_for_and_else_said(quick: OcrServer, pages: list[Page]) -> None:
    quick.behave("429", "429")
    begun = time.monotonic()
    turns = [Turn("user", [PagePart(pages[0]), TextPart(QUESTIONS[0][0])])]
    assert "Hinrich" in direct(quick, max_retries=2).read(turns).text
    assert 0.4 <= time.monotonic() - begun < 4 and len(quick.requests) == 3  # it waited as long as it was told
    quick.behave("429", "429", "429")
    with pytest.raises(ModelError, match=r"answered 429: .*slow down, please.*it limits the rate; try again in 0\.2 s"):
        direct(quick).read(turns)
    with pytest.raises(ModelError, match="limits the rate"):
        list(direct(quick).stream(turns))
    with pytest.raises(ModelError, match="limits the rate"):
        asyncio.run(direct(quick).aread(turns))


def test_a_server_that_refuses_images_says_why(quick: OcrServer, pages: list[Page]) -> None:
    quick.behave("refuse images", "refuse images")
    with pytest.raises(ModelError, match=r"400: .*does not support image input.*a model without vision takes none"):
        direct(quick).read([Turn("user", [PagePart(pages[0]), TextPart("Who?")])])
    assert direct(quick).read(TURNS).text  # text is taken


def test_an_empty_answer_is_an_empty_answer(quick: OcrServer) -> None:
    quick.behave("nothing", "nothing")
    answer = direct(quick).read(TURNS)
    assert (answer.text, answer.stop_reason) == ("", "stop")
    (last,) = direct(quick).stream(TURNS)
    assert (last.text, last.stop_reason) == ("", "stop")


def test_a_model_that_loops_is_cut_at_its_limit_and_checked_in_no_time(quick: OcrServer, pages: list[Page]) -> None:
    quick.behave("loop")
    answer = direct(quick).read(TURNS, max_tokens=800)
    assert answer.stop_reason == "length" and answer.text.count(LOOP) == 200
    begun = time.monotonic()
    looped = "“The master was silent about the jackdaw and his ears.” (Page 3) " * 400
    citations = verify_answer(looped, pages * 4)
    assert len(citations) == 400 and not any(c.verified for c in citations)
    assert time.monotonic() - begun < 5


@pytest.mark.parametrize("streaming", [False, True])
def test_a_broken_connection_is_an_error_and_no_short_answer(quick: OcrServer, streaming: bool) -> None:
    quick.behave("cut", "cut")
    turns = [Turn("user", [TextPart("Page 3\nHinrich Quedens was the first keeper of the lighthouse."), *TURNS[0].parts])]

    def read(model: OpenAIModel) -> None:
        list(model.stream(turns)) if streaming else model.read(turns)

    with pytest.raises(ModelError) as caught:
        read(direct(quick))
    assert quick.url in str(caught.value)

    async def aread(model: OpenAIModel) -> None:
        if not streaming:
            await model.aread(turns)
        async for _ in model.astream(turns):
            pass

    with pytest.raises(ModelError):
        asyncio.run(aread(direct(quick)))


def test_a_stream_that_ends_before_the_answer_is_an_error(quick: OcrServer) -> None:
    quick.behave("end early")
    with pytest.raises(ModelError, match="ended the stream before the answer was complete"):
        list(direct(quick).stream(TURNS))


def test_what_a_model_invents_is_marked(quick: OcrServer, pages: list[Page]) -> None:
    quick.behave("nonsense", "page 999")
    (citation,) = verify_answer(direct(quick).read(TURNS).text, pages)
    assert not citation.verified and citation.page is None and "page 999 is not among the pages given" in citation.note
    turns = [Turn("user", [TextPart("Page 1"), PagePart(pages[0]), *TURNS[0].parts])]
    answer = direct(quick).read(turns)
    (citation,) = verify_answer(answer.text, pages)
    assert citation.claimed == 999 and "page 999 is not among the pages given" in citation.note


@pytest.fixture
def canary() -> Iterator[tuple[str, list[str]]]:
    """A server that nobody should call, and the paths at which it was."""
    called: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            called.append(self.path)
            self.send_error(404)

        def log_message(self, *args: Any) -> None: ...

    with serving(HTTPServer(("127.0.0.1", 0), Handler)) as http:
        yield f"http://127.0.0.1:{http.server_port}/secret.png", called


def test_an_image_address_in_a_message_is_fetched_by_nobody(quick: OcrServer, canary: tuple[str, list[str]]) -> None:
    address, called = canary
    block = {"type": "image_url", "image_url": {"url": address}}
    turns = [Turn("user", [OpaquePart(block), TextPart("What is this?")])]
    for read in (direct(quick).read, lambda t: list(direct(quick).stream(t)), lambda t: asyncio.run(direct(quick).aread(t))):
        with pytest.raises(ModelError, match=r"given by its address .*secret\.png.* is not sent; send its bytes"):
            read(turns)
    assert not quick.requests  # nor was the server asked to
    with pytest.raises(ModelError, match=r"answered 400: .*data URLs only"):
        direct(quick, image_urls=True).read(turns)
    assert len(quick.requests) == 1 and not called


def test_a_picture_that_is_none_is_an_error_of_the_server(quick: OcrServer) -> None:
    with pytest.raises(ModelError, match=r"answered 400: .*cannot be opened"):
        direct(quick).read([Turn("user", [PicturePart(b"no picture"), TextPart("Who?")])])


# -- the same through the frameworks ------------------------------------------------------------------------------------------


def langchain_model(server: OcrServer, **settings: Any) -> Any:
    from langchain_openai import ChatOpenAI
    from pydantic import SecretStr

    from glyph_integrations.langchain import ChatGlyph

    settings = {"max_retries": 0, "timeout": 5, **settings}
    return ChatGlyph(llm=ChatOpenAI(model="zai-org/Glyph", base_url=server.url, api_key=SecretStr("none"), **settings))


def tagged(pages: list[Page]) -> str:
    from glyph_integrations.reading import REGISTRY, page_tag

    REGISTRY.register(pages)
    return f"{page_tag(pages[0])}\n\n{QUESTIONS[0][0]}"


def test_langchain_tells_what_the_server_did(quick: OcrServer, pages: list[Page], canary: tuple[str, list[str]]) -> None:
    openai = pytest.importorskip("openai")
    pytest.importorskip("langchain_openai")
    from glyph_integrations.langchain import citations_of

    chat, question = langchain_model(quick), tagged(pages)
    for behaviour, error in (
        ("429", openai.RateLimitError), ("refuse images", openai.BadRequestError), ("cut", openai.APIConnectionError),
    ):  # fmt: skip
        quick.behave(behaviour)
        with pytest.raises(error):
            chat.invoke(question)
    quick.behave("cut")
    with pytest.raises(Exception, match=r"(?i)incomplete|closed|connection"):
        list(chat.stream(question))
    quick.behave("hang")
    begun = time.monotonic()
    with pytest.raises(openai.APITimeoutError):
        langchain_model(quick, timeout=0.3).invoke(question)
    assert time.monotonic() - begun < 4
    quick.behave("429", "")
    assert "Hinrich" in langchain_model(quick, max_retries=2).invoke(question).content

    quick.behave("nothing", "loop", "nonsense", "page 999")
    nothing = chat.invoke(question)
    assert nothing.content == "" and citations_of(nothing) == []
    assert nothing.response_metadata["glyph"]["report"]["pages"][0]["sent_as"] == "image"
    assert chat.invoke(question).response_metadata["finish_reason"] == "length"
    (citation,) = citations_of(chat.invoke(question))
    assert not citation.verified and citation.page is None and citation.claimed == 999
    (citation,) = citations_of(chat.invoke(question))
    assert citation.claimed == 999 and "not among the pages given" in citation.note

    address, called = canary
    content = [{"type": "image_url", "image_url": {"url": address}}, {"type": "text", "text": question}]
    with pytest.raises(openai.BadRequestError, match="data URLs only"):
        chat.invoke([("human", content)])
    assert not called


def test_langchain_says_that_structured_output_is_broken(quick: OcrServer, pages: list[Page]) -> None:
    pytest.importorskip("langchain_openai")
    from langchain_core.exceptions import OutputParserException
    from pydantic import BaseModel

    class Keeper(BaseModel):
        keeper: str

    chat, question = langchain_model(quick), tagged(pages)
    for method in ("json_mode", "json_schema"):
        for behaviour in ("broken json", "nonsense"):
            quick.behave(behaviour, behaviour)
            with pytest.raises((OutputParserException, ValueError), match=r"Keeper|(?i:json)"):
                chat.with_structured_output(Keeper, method=method).invoke(question)
    kept = chat.with_structured_output(Keeper, method="json_mode", include_raw=True)
    quick.behave("broken json")
    answer = kept.invoke(question)
    assert answer["parsed"] is None and answer["parsing_error"] is not None and answer["raw"].content.startswith('{"keeper"')


async def test_llama_index_tells_what_the_server_did(
    quick: OcrServer, pages: list[Page], canary: tuple[str, list[str]]
) -> None:
    openai = pytest.importorskip("openai")
    openai_like = pytest.importorskip("llama_index.llms.openai_like")
    from llama_index.core.base.llms.types import ChatMessage, ImageBlock, TextBlock
    from llama_index.core.schema import NodeWithScore
    from pydantic import BaseModel

    from glyph_integrations.llama_index import GlyphLLM, GlyphSynthesizer, citations_of
    from glyph_integrations.llama_index.page_nodes import page_node

    def remote(**settings: Any) -> Any:
        return openai_like.OpenAILike(
            **{"model": "zai-org/Glyph", "api_base": quick.url, "api_key": "none", "is_chat_model": True,
               "context_window": 32_000, "max_retries": 0, "timeout": 5.0, **settings}
        )  # fmt: skip

    nodes = [NodeWithScore(node=page_node(pages[0]), score=1.0)]
    question = QUESTIONS[0][0]
    synthesizer = GlyphSynthesizer(llm=remote())
    for behaviour, error in (
        ("429", openai.RateLimitError), ("refuse images", openai.BadRequestError), ("cut", openai.APIConnectionError),
    ):  # fmt: skip
        quick.behave(behaviour, behaviour)
        with pytest.raises(error):
            synthesizer.synthesize(question, nodes)
        with pytest.raises(error):
            await synthesizer.asynthesize(question, nodes)
    quick.behave("cut")
    with pytest.raises(Exception, match=r"(?i)incomplete|closed|connection"):
        str(GlyphSynthesizer(llm=remote(), streaming=True).synthesize(question, nodes))
    quick.behave("hang")
    with pytest.raises(openai.APITimeoutError):
        GlyphSynthesizer(llm=remote(timeout=0.3)).synthesize(question, nodes)

    quick.behave("nothing", "nonsense", "page 999")
    nothing = synthesizer.synthesize(question, nodes)
    assert nothing.response == "" and citations_of(nothing) == []
    assert nothing.metadata["glyph"]["report"]["pages"][0]["sent_as"] == "image"
    for _ in range(2):
        (citation,) = citations_of(synthesizer.synthesize(question, nodes))
        assert citation.claimed == 999 and "page 999 is not among the pages given" in citation.note

    class Keeper(BaseModel):
        keeper: str

    quick.behave("broken json", "nonsense")
    for _ in range(2):
        with pytest.raises(ValueError, match=r"(?i)json|extract"):
            GlyphLLM(llm=remote()).as_structured_llm(Keeper).complete(tagged(pages))

    address, called = canary
    message = ChatMessage(role="user", blocks=[ImageBlock(url=address), TextBlock(text=tagged(pages))])
    with pytest.raises(openai.BadRequestError, match="data URLs only"):
        GlyphLLM(llm=remote()).chat([message])
    assert not called
