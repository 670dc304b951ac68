"""The extractive model quotes the pages it is given, verbatim and with their labels, or says that it found nothing."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glyph_integrations.page import Page
from glyph_integrations.reading import (
    REGISTRY,
    Answer,
    AnswerChunk,
    ContextBuilder,
    ExtractiveModel,
    PageModel,
    PagePart,
    Prompt,
    TextPart,
    Turn,
    page_tag,
    verify_answer,
)
from glyph_integrations.reading.models.quoting import NO_ANSWER
from glyph_integrations.reading.passages import sentences
from glyph_integrations.rendering import Renderer

RENDERER = Renderer()
FILLER = (
    "The sea was calm that day. Nobody on the island had anything to report. Bread was baked and nets were mended.\n\n" * 40
)
KEEPER = FILLER + "The lighthouse keeper of Amrum was called “Johannes” by everyone. " + FILLER
FERRY = FILLER + "The ferry to Husum left at 06:45 every morning. " + FILLER
CHINESE = (
    "诗曰：混沌未分天地乱。\n那猴王说：“我的金箍棒，重一万三千五百斤。”众妖大惊。龙王又送他一副披挂。"
    + "天色已晚，众人散去。" * 200
)


def page(text: str, number: int, source: str = "amrum.txt") -> Page:
    return dataclasses.replace(next(RENDERER.paginate(text, source=source)), number=number)


PAGES = [page(KEEPER[-5000:], 3), page(FERRY[-5000:], 8)]


def ask(question: str, pages: list[Page] = PAGES, vision: str | None = "zai-org/Glyph") -> Answer:
    turns, _ = ContextBuilder(vision, renderer=RENDERER).build(question, pages)
    return ExtractiveModel(vision).read(turns)


@pytest.mark.parametrize("vision", ["zai-org/Glyph", None])
def test_it_quotes_the_right_sentence_with_its_page(vision: str | None) -> None:
    assert ask("When does the ferry to Husum leave?", vision=vision).text == (
        "“The ferry to Husum left at 06:45 every morning. The sea was calm that day.” (Page 8)"
    )


def test_quotation_marks_inside_become_single_and_the_quotation_verifies() -> None:
    answer = ask("What was the lighthouse keeper called?")
    assert (
        answer.text == "“The lighthouse keeper of Amrum was called ‘Johannes’ by everyone. The sea was calm that day.” (Page 3)"
    )
    (citation,) = verify_answer(answer.text, PAGES, RENDERER)
    assert citation.verified and citation.page is PAGES[0] and not citation.note


def test_it_quotes_chinese() -> None:
    answer = ask("金箍棒有多重？", [page(CHINESE, 3, "xiyouji.txt")])
    assert "我的金箍棒，重一万三千五百斤。" in answer.text and answer.text.endswith("(Page 3)")


@pytest.mark.parametrize("question", ["Who won the football cup in 1998?", "量子计算机是谁发明的？", "?", ""])
def test_it_says_so_when_nothing_matches(question: str) -> None:
    assert ask(question).text == NO_ANSWER


def test_it_reads_tagged_text_and_plain_text_as_well_as_pages() -> None:
    model = ExtractiveModel()
    question = "When does the ferry to Husum leave?"
    tagged = Turn("user", f"Context: {page_tag(PAGES[0])} {page_tag(PAGES[1])}\n\nQuestion: {question}\nAnswer:")
    assert model.read([tagged]).text.endswith("every morning. The sea was calm that day.” (Page 8)")
    plain = [Turn("system", f"Use this context:\n{FERRY}"), Turn("user", question)]
    assert model.read(plain).text == "“The ferry to Husum left at 06:45 every morning. The sea was calm that day.”"


def test_it_does_not_quote_the_question_or_earlier_answers() -> None:
    question = "When does the ferry to Husum leave?"
    turns = [Turn("user", "Hello."), Turn("assistant", "The ferry to Husum leaves when it leaves."), Turn("user", question)]
    assert ExtractiveModel().read(turns).text == NO_ANSWER


def test_it_reads_what_messages_are_delivered_as() -> None:
    REGISTRY.register(PAGES)
    turns = [
        Turn("system", f"Context: {page_tag(PAGES[0])}{page_tag(PAGES[1])}"),
        Turn("user", "When does the ferry to Husum leave?"),
    ]
    for vision in ("zai-org/Glyph", None):
        sent, _ = Prompt(vision, RENDERER).build(turns)
        assert ExtractiveModel(vision).read(sent).text.endswith("06:45 every morning. The sea was calm that day.” (Page 8)")


def test_pages_that_go_as_text_are_no_part_of_the_question() -> None:
    ferry = "The ferry to Husum left at 06:45 every morning. The sea was calm. "
    short = [f"Page 8\n{ferry}{FILLER[:300]}", f"Page 9 of b.txt\n{FILLER[:300]}", "When does the ferry to Husum leave?"]
    apart = [PagePart(PAGES[0]), *map(TextPart, short)]
    for parts in (
        apart,
        apart[1:],
        [TextPart("\n\n".join(short))],
        [*apart[:2], apart[3]],
        [TextPart("\n\n".join(short[::2]))],
    ):
        text = ExtractiveModel("glyph").read([Turn("user", parts)]).text
        assert text.startswith("“The ferry to Husum left at 06:45") and text.endswith("(Page 8)")


def test_usage_counts_the_turns_as_the_model_it_stands_for() -> None:
    turns, report = ContextBuilder("zai-org/Glyph", renderer=RENDERER).build("When does the ferry leave?", PAGES)
    usage = ExtractiveModel("zai-org/Glyph").read(turns).usage
    assert usage is not None and usage.input_tokens == report.tokens
    assert usage.output_tokens > 0


def test_limits_and_stops_are_kept() -> None:
    model = ExtractiveModel()
    turns = [Turn("user", [PagePart(PAGES[1]), TextPart("When does the ferry to Husum leave?")])]
    cut = model.read(turns, max_tokens=4)
    assert cut.stop_reason == "length" and cut.usage is not None and cut.usage.output_tokens <= 4
    stopped = model.read(turns, stop=["06", "never"])
    assert (stopped.text, stopped.stop_reason) == ("“The ferry to Husum left at ", "stop")


async def test_streams_and_asynchronous_readings_give_the_same_answer() -> None:
    model = ExtractiveModel()
    assert isinstance(model, PageModel)
    turns = [Turn("user", [PagePart(PAGES[1]), TextPart("When does the ferry to Husum leave?")])]
    answer = model.read(turns)
    chunks = list(model.stream(turns))
    assert len(chunks) > 5 and Answer.from_chunks(chunks) == answer
    assert await model.aread(turns) == answer
    assert [c async for c in model.astream(turns)] == chunks


def test_an_empty_stream_is_an_empty_answer() -> None:
    assert Answer.from_chunks([]) == Answer("")
    assert Answer.from_chunks([AnswerChunk("a", "b"), AnswerChunk(stop_reason="length")]) == Answer(
        "a", None, "length", reasoning="b"
    )


def test_sentences_end_where_a_reader_ends_them() -> None:
    text = "Mr. Darcy bowed. “Yes!” she said.\n\nTitle\n\n- one\n- two\n\n他来了。她走了！"
    found = [text[a:b] for a, b in sentences(text)]
    assert found == ["Mr. Darcy bowed.", "“Yes!”", "she said.", "Title", "- one", "- two", "他来了。", "她走了！"]


@given(st.text(alphabet="ab. \n。,;", max_size=3000))
def test_sentences_hold_every_visible_character_once_and_are_short(text: str) -> None:
    spans = sentences(text)
    assert all(end - start <= 520 for start, end in spans)
    assert "".join("".join(text[a:b].split()) for a, b in spans) == "".join(text.split())
    assert spans == sorted(spans)


@pytest.mark.parametrize(("name", "least"), [("xquad12_en", 0.7), ("xquad12_zh", 0.7)])
def test_real_questions_over_their_own_articles_are_mostly_answered(corpora: Path, name: str, least: float) -> None:
    def read(kind: str) -> list[dict[str, str]]:
        return [json.loads(line) for line in (corpora / f"{name}.{kind}.jsonl").read_text(encoding="utf-8").splitlines()]

    texts = {d["doc_id"]: d["text"] for d in read("docs")}
    questions = read("queries")[::12]
    right = 0
    for query in questions:
        start = max(0, query["gold"][0][0] - 1000)  # type: ignore[operator]
        here = [page(texts[query["doc_id"]][start : start + 2000], 1)]
        right += any(answer in ask(query["question"], here).text for answer in query["answers"])
    assert right >= least * len(questions)
