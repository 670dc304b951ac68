"""Questions whose answers are known: what is measured, the weight of hybrid search tuned on them, questions made from pages."""

from __future__ import annotations

import json
import math
import re
import statistics
from collections.abc import Iterator
from itertools import combinations, islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chat_server import ChatServer, chat_server, text_of
from glyph_command import error_of, glyph, isolate, ok
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from glyph_integrations import OpenAIModel, PageIndex, PageStyle, Renderer, TextEmbedder, VisualEmbedder, evaluate
from glyph_integrations.errors import DocumentError, ModelError, QueryError
from glyph_integrations.evaluation import (
    LabelledQuestion,
    make_questions,
    plot,
    read_questions,
    tune,
    write_questions,
)
from glyph_integrations.evaluation.figures import Metric, difference, gain, hit, mean, reciprocal_rank
from glyph_integrations.evaluation.weights import GRID
from glyph_integrations.index.ranking import NEARNESS
from glyph_integrations.page import Page

PLACES = (
    "Ardnish",
    "Boreray",
    "Canna",
    "Duirinish",
    "Eriskay",
    "Fladda",
    "Gometra",
    "Handa",
    "Islay",
    "Jura",
    "Kerrera",
    "Lunga",
)
TRADES = (
    "cooper",
    "weaver",
    "piper",
    "miller",
    "glover",
    "tanner",
    "smith",
    "fowler",
    "baker",
    "turner",
    "chandler",
    "thatcher",
)
DULL = "Nothing else of note was written down in that year, and the register goes on with the weather. " * 6
STYLE = PageStyle.preset("glyph-72").replace(height=100)


def chronicle() -> str:
    """A page or so for each place, with one fact."""
    return "".join(
        f"In {place} there lived a {trade} who was paid {number + 11} shillings. {DULL}\n\n"
        for number, (place, trade) in enumerate(zip(PLACES, TRADES, strict=True))
    )


def pages(source: str = "chronicle.txt", text: str | None = None) -> list[Page]:
    return list(Renderer(STYLE).paginate(text or chronicle(), source=source))


def asked(number: int, **where: Any) -> LabelledQuestion:
    question = f"What was the {TRADES[number]} of {PLACES[number]} paid?"
    return LabelledQuestion(question, **(where or {"answer": f"{number + 11} shillings"}))


@pytest.fixture
def index() -> Iterator[PageIndex]:
    with PageIndex.open() as index:
        index.add(pages())
        yield index


# -- figures ------------------------------------------------------------------------------------------------------------------


@given(st.sets(st.integers(1, 15), max_size=6), st.integers(0, 3), st.integers(1, 15))
def test_figures_are_those_of_the_field(found: set[int], unseen: int, k: int) -> None:
    places, gold = tuple(sorted(found)), max(1, len(found) + unseen)
    relevant = [float(place in found) for place in range(1, 16)]
    assert hit(k).of(places, gold) == float(any(relevant[:k]))
    assert reciprocal_rank(10).of(places, gold) == max((1 / (i + 1) for i in range(10) if relevant[i]), default=0)
    dcg = sum(relevant[i] / math.log2(i + 2) for i in range(10))
    assert gain().of(places, gold) == pytest.approx(dcg / sum(1 / math.log2(i + 2) for i in range(min(gold, 10))))


@pytest.mark.parametrize(
    "metric", [hit(1), hit(3), hit(9), reciprocal_rank(4), reciprocal_rank(10), gain()], ids=lambda m: m.name
)
@pytest.mark.parametrize(("gold", "total"), [(1, 1), (1, 6), (2, 7), (5, 6), (3, 3)])
def test_chance_is_the_mean_over_all_orders(metric: Metric, gold: int, total: int) -> None:
    every = [metric.of(places, gold) for places in combinations(range(1, total + 1), gold)]
    assert metric.chance(gold, total) == pytest.approx(statistics.fmean(every))


def test_the_interval_of_a_share_is_wilsons_and_is_honest_about_few_questions() -> None:
    assert mean([1.0] * 8 + [0.0] * 2) == pytest.approx((0.8, 0.4902, 0.9433), abs=1e-4)  # a textbook case
    assert mean([1.0] * 5).low < 0.6
    assert mean([1.0] * 500).low > 0.99


def test_a_difference_is_judged_question_by_question() -> None:
    hard = np.tile([0.0, 1.0], 50)
    better = np.where(np.arange(100) % 10 == 0, 1.0, hard)  # never worse
    assert difference(better, hard).low > 0
    assert mean(better).low < mean(hard).high  # which the two intervals alone would not tell
    assert difference(hard, hard) == (0, 0, 0)


# -- which pages are gold -----------------------------------------------------------------------------------------------------


def test_an_answer_counts_wherever_it_stands_whatever_its_marks_and_line_breaks() -> None:
    text = f"{DULL}\n\nHe said: “Never mind\nthe—old dog…”\n\n{DULL * 3}\n\nHE SAID 'never mind the-old  dog...'\n\n{DULL}"
    with PageIndex.open() as index:
        index.add(drawn := pages(text=text))
        gold = [page.number for page in drawn if "ever mind" in page.text]
        found = evaluate(index, [LabelledQuestion("What about the dog?", "never mind the - old dog...")])
        assert found.gold == (len(gold),) == (2,)
        assert found.left_out == ()


def test_words_inside_other_words_are_no_answer(index: PageIndex) -> None:
    with pytest.raises(QueryError, match="no page of the index holds the answer 'hilling'"):
        evaluate(index, [LabelledQuestion("?", "hilling")])


def test_an_answer_that_runs_over_a_pages_end_is_on_both_pages() -> None:
    text = " ".join(f"Word{number}," for number in range(3000))
    drawn = pages(text=text)
    with PageIndex.open() as index:
        index.add(drawn)
        for page in drawn[1:4]:
            words = text[page.start - 40 : page.start + 40]
            answer = words[words.index(" ") : words.rindex(" ")].lower()
            found = evaluate(index, [LabelledQuestion("What goes on?", answer)], ["lexical"])
            assert found.gold == (2,)
            assert found.left_out == ()


def test_a_page_and_a_span_name_their_pages(index: PageIndex) -> None:
    chosen = pages()[3]
    page = LabelledQuestion("Which?", page=4)
    inside = LabelledQuestion("Which?", span=(chosen.start + 5, chosen.start + 9), source="chronicle.txt")
    across = LabelledQuestion("Which?", answer="is only kept", span=(chosen.start - 1, chosen.end + 1))
    assert evaluate(index, [page, inside, across]).gold == (1, 1, 3)


def test_questions_that_no_page_answers_are_named_and_count_nowhere(index: PageIndex) -> None:
    end = pages()[-1].end
    good = asked(2)
    bad = {
        LabelledQuestion("a", "quite absent words"): "no page of the index holds",
        LabelledQuestion("b", page=900): "has no page 900",
        LabelledQuestion("c", span=(10, end + 1)): "is outside",
        LabelledQuestion("d", page=1, source="chronicles.txt"): "is it 'chronicle.txt'",
        LabelledQuestion("e", "11 shillings", source="another"): "no document 'another'",
    }
    found = evaluate(index, [good, *bad])
    assert found.questions == (good,)
    assert [one.question for one in found.left_out] == list(bad)
    for one in found.left_out:
        assert bad[one.question] in one.reason
    assert found.score("lexical", "hit@1").value == 1


def test_in_an_index_of_several_documents_a_page_needs_its_source(index: PageIndex) -> None:
    index.add(pages("other.txt", DULL))
    found = evaluate(index, [LabelledQuestion("a", page=1), asked(1), LabelledQuestion("b", page=1, source="other.txt")])
    assert [one.reason for one in found.left_out] == ["the index holds 2 documents; 'source' must say which is meant"]
    assert found.gold == (1, 1)


# -- evaluation ---------------------------------------------------------------------------------------------------------------


class Topics:
    """An embedding model, as LangChain would ask for it, that knows the people of each place by another word."""

    def __init__(self) -> None:
        self.asked = 0

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [[float(place in text) for place in PLACES] + [0.2] for text in texts]

    def embed_query(self, text: str) -> list[float]:
        self.asked += 1
        known = {word for word in text.split() if word.startswith("man")}
        return [1.0 if f"man{number}" in known else 0.7 * bool(known) for number in range(len(PLACES))] + [0.2]  # not too sure

    model = "topics"


@pytest.fixture
def topics() -> Topics:
    return Topics()


@pytest.fixture
def meaning(topics: Topics) -> Iterator[PageIndex]:
    with PageIndex.open(embedder=TextEmbedder(topics)) as index:
        index.add(pages())
        yield index


MISLED = [  # "man3" is what the model knows; the other words are those of another place's page
    LabelledQuestion(f"man{n} in {place} there lived a {trade} who was paid", f"{n + 11} shillings")
    for n, (place, trade) in enumerate(zip(PLACES[1:] + PLACES[:1], TRADES[1:] + TRADES[:1], strict=True))
]


def test_figures_agree_with_what_searches_return(meaning: PageIndex) -> None:
    questions = [*MISLED[:4], *(asked(number) for number in range(8, 12))]
    found = evaluate(meaning, questions, k=3)
    assert found.modes == ("lexical", "dense", "hybrid")
    assert list(found.metrics) == ["hit@1", "hit@3", "hit@5", "MRR", "nDCG@10"]
    for mode in found.modes:
        hits = [meaning.search(question.question, 10, mode=mode) for question in questions]
        for k in (1, 3, 5):
            share = [any(q.answer in one.page.text for one in own[:k]) for q, own in zip(questions, hits, strict=True)]
            assert found.score(mode, f"hit@{k}").value == pytest.approx(np.mean(share))
    assert found.score("dense", "hit@1").value == 0.5  # what it knows
    means = [found.score(mode, "MRR").value for mode in ("lexical", "dense")]
    assert found.gain("lexical", "dense", "MRR").value == pytest.approx(means[0] - means[1])
    assert found.chance("hit@1") == pytest.approx(1 / found.pages)
    assert set(found.milliseconds) == set(found.modes) and min(found.milliseconds.values()) > 0


def test_modes_that_an_index_cannot_serve_are_left_out_and_said_so(index: PageIndex) -> None:
    found = evaluate(index, [asked(0)])
    assert found.modes == ("lexical", "dense")
    assert "same as lexical" in found.unserved["hybrid"]
    assert evaluate(index, [asked(0)], ["lexical"]).unserved == {}
    with pytest.raises(QueryError, match="mode hybrid: is the same"):
        evaluate(index, [asked(0)], ["hybrid"])
    with pytest.raises(QueryError, match="choose of"):
        evaluate(index, [asked(0)], ["fuzzy"])  # type: ignore[list-item]
    with pytest.raises(QueryError, match="of 0 questions"):
        evaluate(index, [])


def test_a_picture_shows_a_bar_for_each_mode(meaning: PageIndex) -> None:
    found = evaluate(meaning, [asked(number) for number in range(8, 12)])
    image = plot(found)
    assert (image.size, image.mode) == ((1200, 600), "RGB")
    counts = {color: count for count, color in image.getcolors(1 << 20) or ()}
    areas = [counts[color] for color in ((0, 114, 178), (230, 159, 0), (0, 158, 115))]  # lexical, dense, hybrid
    assert areas[0] > 3 * areas[1] and areas[2] > areas[1]  # the model knows nothing of these questions
    assert plot(found, tune(meaning, [asked(0), asked(1)])).size == (1200, 1200)


# -- weights ------------------------------------------------------------------------------------------------------------------


def test_the_weight_of_hybrid_search_goes_from_words_to_vectors(meaning: PageIndex) -> None:
    question = "man3 cooper"
    words, vectors = (meaning.search(question, 1, mode=mode)[0].page for mode in ("lexical", "dense"))
    assert words != vectors
    assert meaning.search(question, 1, weight=0)[0].page == words
    assert meaning.search(question, 1, weight=1)[0].page == vectors
    assert [meaning.diverse(question, 1, 1, weight=w)[0].page for w in (0, 1)] == [words, vectors]
    assert meaning.search(question) == meaning.search(question, weight=NEARNESS)
    for weight in (-0.1, 1.5, math.nan):
        with pytest.raises(QueryError, match="from 0"):
            meaning.search(question, weight=weight)


def test_tuning_finds_a_better_weight_where_there_is_one(meaning: PageIndex, topics: Topics) -> None:
    before = topics.asked
    found = tune(meaning, MISLED)
    assert topics.asked - before == len(MISLED)  # each is embedded once
    assert found.weights == tuple(sorted({*GRID, NEARNESS}))
    assert found.best > found.usual == NEARNESS
    assert found.likely[0] <= found.best <= found.likely[1]
    assert found.gain.low > 0 and found.worthwhile
    best, usual = (evaluate(meaning, MISLED, ["hybrid"], weight=w).score("hybrid", "nDCG@10") for w in (found.best, None))
    assert dict(zip(found.weights, found.scores, strict=True))[found.best] == best
    assert best.value - usual.value == pytest.approx(found.gain.value, abs=0.2)


def test_tuning_keeps_the_usual_weight_where_nothing_speaks_against_it(meaning: PageIndex) -> None:
    found = tune(meaning, [asked(number) for number in range(6)])
    assert found.best == found.usual and not found.worthwhile
    with pytest.raises(QueryError, match="from 0"):
        tune(meaning, MISLED, [0.5, 2])


def test_an_index_without_a_model_has_no_weight_to_tune(index: PageIndex) -> None:
    with pytest.raises(QueryError, match="no weight to tune"):
        tune(index, [asked(0)])


def test_both_frameworks_take_the_weight(topics: Topics) -> None:
    pytest.importorskip("langchain_core")
    pytest.importorskip("llama_index.core")
    from llama_index.core.vector_stores.types import VectorStoreQuery, VectorStoreQueryMode

    from glyph_integrations.langchain import GlyphVectorStore as LangChainStore
    from glyph_integrations.llama_index import GlyphRetriever as LlamaRetriever
    from glyph_integrations.llama_index import GlyphVectorStore as LlamaStore

    with PageIndex.open(embedder=TextEmbedder(topics)) as index:
        index.add(pages())
        for weight in (0.02, 0.98):
            first = index.search("man3 cooper", 1, weight=weight)[0].page.id
            retriever = LangChainStore(index=index).as_retriever(search_kwargs={"weight": weight, "k": 1})
            assert retriever.invoke("man3 cooper")[0].id == first
            query = VectorStoreQuery(
                query_str="man3 cooper", mode=VectorStoreQueryMode.HYBRID, alpha=weight, similarity_top_k=1
            )
            assert LlamaStore(index=index).query(query).ids == [first]
            assert LlamaRetriever(index, 1, alpha=weight).retrieve("man3 cooper")[0].node_id == first
        assert index.search("man3 cooper", 1, weight=0.02) != index.search("man3 cooper", 1, weight=0.98)


# -- questions in files -------------------------------------------------------------------------------------------------------


def test_questions_come_back_from_a_file_as_they_were(tmp_path: Path) -> None:
    questions = [
        LabelledQuestion("Wer?", "Müller\u2028&Co."),
        LabelledQuestion("q", source="a.txt", page=3),
        LabelledQuestion("q", "x", span=(0, 7)),
    ]
    path = tmp_path / "q.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"question": "first", "answer": "a"}\r\n\r\n{"question": "no line end", "page": 1}')
    assert write_questions(path, questions) == 3
    found = read_questions(path)
    assert [question.question for question in found[:2]] == ["first", "no line end"]
    assert [question.line for question in found] == [1, 3, 4, 5, 6]
    assert [LabelledQuestion.of(json.loads(question.to_json())) for question in found[2:]] == questions


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("{", "not JSON"),
        ("[" * 9000, "not JSON"),
        ("[1]", "one JSON object a line"),
        ('{"question": "a", "anwser": "b"}', "unknown field 'anwser'"),
        ('{"answer": "b"}', "'question' is missing"),
        ('{"question": " ", "answer": "b"}', "blank"),
        ('{"question": 3, "answer": "b"}', "must be a string"),
        ('{"question": "a"}', "answer, a page or a span"),
        ('{"question": "a", "source": "b", "answer": " "}', "answer, a page or a span"),
        ('{"question": "a", "page": 0}', "whole number from 1"),
        ('{"question": "a", "page": true}', "whole number from 1"),
        ('{"question": "a", "page": 2, "span": [1, 2]}', "keep one"),
        ('{"question": "a", "span": [2, 2]}', "end after that"),
        ('{"question": "a", "span": [-2, 2]}', "begin at 0"),
        ('{"question": "a", "span": [1, 2.5]}', "two whole numbers"),
        ('{"question": "a", "span": "1-2"}', "two whole numbers"),
        ('{"question": "\\ud800", "answer": "b"}', "UTF-8"),
    ],
)
def test_a_line_that_is_no_question_is_named_by_its_number(line: str, told: str, tmp_path: Path) -> None:
    path = tmp_path / "q.jsonl"
    path.write_text(f'{{"question": "good", "answer": "a"}}\n\n{line}\n{line}\n', encoding="utf-8")
    with pytest.raises(DocumentError, match=re.escape(told)) as raised:
        read_questions(path)
    assert "q.jsonl, line 3: " in str(raised.value) and "(wrong too: line 4)" in str(raised.value)


@pytest.mark.parametrize("content", [None, b"", b" \n\n", b"\xff\xfe{"])
def test_files_without_questions_are_refused(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "q.jsonl"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DocumentError, match=r"q\.jsonl"):
        read_questions(path)


# -- questions made from pages ------------------------------------------------------------------------------------------------


def test_sentences_with_a_word_left_out_are_drawn_by_the_seed_and_answered_by_their_page(index: PageIndex) -> None:
    made = [attempt.question for attempt in make_questions(index, 8) if attempt.question]
    assert len(made) == 8
    assert made == [attempt.question for attempt in make_questions(index, 8) if attempt.question]
    assert made != [attempt.question for attempt in make_questions(index, 8, seed=1) if attempt.question]
    text = chronicle()
    for question in made:
        assert question.question.count("____") == 1
        assert question.span and text[slice(*question.span)] == question.answer
    assert evaluate(index, made, ["lexical"]).score("lexical", "hit@5").value > 0.9


def test_making_goes_on_where_it_stopped(index: PageIndex, tmp_path: Path) -> None:
    whole = [attempt.question for attempt in make_questions(index, 6) if attempt.question]
    path = tmp_path / "q.jsonl"

    def interrupted() -> Iterator[LabelledQuestion]:
        yield from whole[:2]
        raise ModelError("the server went away")

    with pytest.raises(ModelError, match="went away"):
        write_questions(path, interrupted())
    known = read_questions(path)
    rest = [attempt.question for attempt in make_questions(index, 4, known=known) if attempt.question]
    assert [q.question for q in (*known, *rest)] == [q.question for q in whole]


def test_there_is_one_question_a_page_and_none_for_a_page_with_little_text() -> None:
    with PageIndex.open() as index:
        index.add(pages("short.txt", "Only a title"))
        index.add(drawn := pages())
        made = list(make_questions(index, 1000))
        assert sum(attempt.question is not None for attempt in made) <= len(drawn)
        assert [attempt.reason for attempt in made if attempt.page.source == "short.txt"] == ["the page has little text"]


def test_chinese_sentences_lose_two_characters() -> None:
    text = (
        "那猴王在山中与众猴玩耍，不知岁月几何，只道是春去秋来又一年而已。" * 3
        + "如意金箍棒重一万三千五百斤，乃是东海龙王之物，藏于海底多年。"
    )
    with PageIndex.open() as index:
        index.add(pages("猴.txt", text))
        [attempt] = make_questions(index, 1)
        assert attempt.question and len(attempt.question.answer) == 2
        assert attempt.question.span and text[slice(*attempt.question.span)] == attempt.question.answer


class Examiner:
    """What a chat model would say: a question on the fact of the page, in JSON between other words."""

    def __init__(self, server: ChatServer) -> None:
        self.says: list[str] = []
        self.server = server

    def __call__(self, request: dict[str, Any]) -> dict[str, Any]:
        if self.says:
            return {"role": "assistant", "content": self.says.pop(0)}
        page = text_of(request["messages"][-1]).partition("from here to the end:")[2]
        fact = re.search(r"In\s+(\w+)\s+there\s+lived\s+a\s+(\w+)\s+who\s+was\s+paid\s+(\d+\s+shillings)", page)
        if not fact:
            return {"role": "assistant", "content": "I see nothing to ask. {}"}
        values = {"question": f"How much did the {fact[2]} in {fact[1]} earn?", "answer": f"{fact[3]}."}
        return {"role": "assistant", "content": f"Here it is:\n```json\n{json.dumps(values)}\n```"}


@pytest.fixture
def examiner(monkeypatch: pytest.MonkeyPatch) -> Iterator[Examiner]:
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    with chat_server() as server:
        examiner = Examiner(server)
        monkeypatch.setattr(server, "message", examiner)
        yield examiner


def test_a_chat_model_asks_about_pages(index: PageIndex, examiner: Examiner) -> None:
    made = list(make_questions(index, 5, OpenAIModel("examiner", examiner.server.url)))
    questions = [attempt.question for attempt in made if attempt.question]
    assert len(questions) == 5
    assert len(examiner.server.requests) == len(made)
    for question in questions:
        assert question.span and " ".join(chronicle()[slice(*question.span)].split()) == question.answer
        assert re.fullmatch(r"How much did the \w+ in \w+ earn\?", question.question)
    reasons = {attempt.reason for attempt in made if not attempt.question}
    assert reasons <= {"the model did not answer with a question and an answer in JSON"}
    assert evaluate(index, questions).score("lexical", "hit@1").value == 1


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("What?", "in JSON"),
        ('{"question": "What?"}', "in JSON"),
        ('{"question": "What?", "answer": ""}', "in JSON"),
        ('{"question": ["What?"], "answer": "shillings"}', "in JSON"),
        ("{" * 5000, "in JSON"),
        ('{"question": "What?", "answer": "words that are not there"}', "does not stand on the page"),
        ('{"question": "What?", "answer": "\\ud800"}', "does not stand on the page"),
        ('{"question": "Was nothing else of note written?", "answer": "Nothing else of note"}', "holds its answer"),
        ('{"question": "What does this page say?", "answer": "Nothing else of note"}', "speaks of the page"),
    ],
)
def test_what_a_model_gets_wrong_is_discarded_with_its_reason(
    said: str, reason: str, index: PageIndex, examiner: Examiner
) -> None:
    examiner.says.append(said)
    first = next(make_questions(index, 5, OpenAIModel("examiner", examiner.server.url)))
    assert first.question is None
    assert reason in first.reason


def test_the_same_question_is_not_made_twice(index: PageIndex, examiner: Examiner) -> None:
    examiner.says += ['{"question": "What was noted?", "answer": "Nothing else of note"}'] * 3
    made = list(islice(make_questions(index, 5, OpenAIModel("examiner", examiner.server.url)), 3))
    assert [attempt.reason for attempt in made] == ["", "it was asked before", "it was asked before"]


# -- the command --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    isolate(tmp_path, monkeypatch)
    with PageIndex.open("idx") as index:
        index.add(pages())
    write_questions("q.jsonl", [asked(number) for number in range(6)])
    return tmp_path


def test_eval_prints_a_table_and_draws_it(folder: Path) -> None:
    write_questions("q.jsonl", [LabelledQuestion("Who was the king?", "Malcolm Canmore")])
    result = glyph("eval", "q.jsonl", "--index", "idx", "--plot", "new/by_mode.png")
    assert result.exit_code == 0, result.output
    rows = {cells[0]: cells[1:] for line in result.stdout.splitlines() if len(cells := line.split()) > 3}
    assert rows["Figure"] == ["lexical", "dense", "chance"]
    assert rows["hit@1"][0] == "1.000"
    assert re.fullmatch(r"\(0\.\d\d-1\.00\)", rows["hit@1"][1])
    assert 0 < float(rows["hit@1"][-1]) < 0.1
    assert "6 questions" in result.stdout
    assert "hybrid: is the same as lexical" in result.stdout
    assert "1 question left out" in result.stderr
    assert "line 7: Who was the king?: no page of the index holds the answer 'Malcolm Canmore'" in result.stdout
    with Image.open("new/by_mode.png") as image:
        assert image.size == (1200, 600)


def test_eval_prints_all_figures_as_json(folder: Path) -> None:
    values = json.loads(ok("eval", "q.jsonl", "-i", "idx", "--json", "-k", 3, "--mode", "lexical"))
    assert set(values["modes"]) == {"lexical"}
    assert set(values["modes"]["lexical"]) == {"hit@1", "hit@3", "hit@5", "MRR", "nDCG@10", "milliseconds"}
    assert values["modes"]["lexical"]["hit@3"]["value"] == 1
    assert values["questions"] == len(values["results"]) == 6
    assert values["results"][2]["places"]["lexical"][0] == 1


def test_eval_of_an_index_whose_model_is_not_there_measures_words_and_says_so(folder: Path, topics: Topics) -> None:
    with PageIndex.open("deep", TextEmbedder(topics)) as index:
        index.add(pages())
    out = ok("eval", "q.jsonl", "-i", "deep")
    assert "dense: needs the embedder 'Topics topics'" in out
    assert "there is no weight to tune" in error_of("eval", "q.jsonl", "-i", "deep", "--tune")
    with PageIndex.open("deep", TextEmbedder(topics)) as index:
        assert index.verify() == []


def test_eval_opens_the_index_of_a_visual_model_as_it_was_made(folder: Path, visual_checkpoint: Any) -> None:
    checkpoint = visual_checkpoint("colmodernvbert")
    with PageIndex.open("seen", VisualEmbedder(checkpoint, device="cpu", pool=2, trim=False, page_pixels=90_000)) as index:
        index.add(pages()[:4])
    values = json.loads(ok("eval", "q.jsonl", "-i", "seen", "--json", "--tune", "--embedder", checkpoint))
    assert list(values["modes"]) == ["lexical", "dense", "hybrid"]
    assert len(values["tuning"]["scores"]) == len({*GRID, NEARNESS})
    by_weight = {score["weight"]: score["value"] for score in values["tuning"]["scores"]}
    assert by_weight[1] == pytest.approx(values["modes"]["dense"]["nDCG@10"]["value"])  # four pages, so all are ranked
    out = ok("eval", "q.jsonl", "-i", "seen", "--tune", "--embedder", checkpoint)
    assert "usual" in out and re.search(r"Use +(the usual|index\.search)", out)


def test_eval_makes_questions_and_goes_on_with_them(folder: Path, examiner: Examiner) -> None:
    with PageIndex.open("idx") as index:
        index.add(pages("dull.txt", DULL))
    server = ("--base-url", examiner.server.url, "--model", "examiner")
    out = ok("eval", "made.jsonl", "-i", "idx", "--make", 3, *server)
    assert "3 questions in made.jsonl, by examiner" in out and "glyph eval made.jsonl" in out
    first = Path("made.jsonl").read_bytes()
    ok("eval", "made.jsonl", "-i", "idx", "--make", 5, *server)
    assert Path("made.jsonl").read_bytes().startswith(first)
    assert len({question.span for question in read_questions("made.jsonl")}) == 5
    before = len(examiner.server.requests)
    assert "nothing" in ok("eval", "made.jsonl", "-i", "idx", "--make", 5, *server)
    assert len(examiner.server.requests) == before
    result = glyph("eval", "made.jsonl", "-i", "idx", "--make", 99, *server)
    assert "no page is left" in result.stderr and "gave none" in result.stdout
    assert "hit@1" in ok("eval", "made.jsonl", "-i", "idx")


def test_eval_without_a_model_makes_crude_questions_and_says_so(folder: Path) -> None:
    result = glyph("eval", "cloze.jsonl", "-i", "idx", "--make", 4)
    assert result.exit_code == 0
    assert "favour lexical search" in result.stderr and "without a model" in result.stdout
    assert len(read_questions("cloze.jsonl")) == 4


def test_eval_says_in_one_line_what_is_wrong(folder: Path) -> None:
    Path("bad.jsonl").write_text('{"question": "a", "answer": "b"}\n{"question"\n')
    assert "bad.jsonl, line 2: it is not JSON" in error_of("eval", "bad.jsonl", "-i", "idx")
    assert "none.jsonl cannot be read" in error_of("eval", "none.jsonl", "-i", "idx")
    assert "holds no page index" in error_of("eval", "q.jsonl", "-i", "nowhere")
    assert "mode hybrid" in error_of("eval", "q.jsonl", "-i", "idx", "--mode", "hybrid")
    for wrong in (
        ("--plot", "p.jpg"),
        ("--make", 3, "--tune"),
        ("--base-url", "http://127.0.0.1:1/v1", "--make", 3),
        ("--embedder", "some-model"),
        ("-k", 0),
        ("--weight", 2),
    ):
        result = glyph("eval", "q.jsonl", "-i", "idx", *wrong)
        assert result.exit_code == 2, result.output
        assert wrong[0] in result.stderr
