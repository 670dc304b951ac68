"""The search for a page style: its space, its sample, the search itself, what comes out, and the command."""

from __future__ import annotations

import json
import logging
import sys
import threading
import time
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chat_server import chat_server
from glyph_command import FILLER, files_in, glyph, isolate, ok, write_story
from hypothesis import given, settings
from hypothesis import strategies as st

from glyph_integrations import PageStyle, Renderer, VisionProfile, open_document
from glyph_integrations.errors import BudgetError, DocumentError, GlyphError, ModelError, QueryError, StyleError
from glyph_integrations.evaluation import LabelledQuestion
from glyph_integrations.style import PRESETS
from glyph_integrations.tuning import (
    Evaluator,
    MeanEvaluator,
    NeedleEvaluator,
    OcrEvaluator,
    QuestionEvaluator,
    Range,
    Sample,
    Score,
    SearchSpace,
    StyleSearch,
    TranscriptionEvaluator,
    Trial,
    ask_model,
    choose,
    hypervolume,
    pareto_front,
    plot,
    side_by_side,
)
from glyph_integrations.tuning.kept_scores import KeptScores
from glyph_integrations.tuning.legibility import drawn_text, normalize
from glyph_integrations.tuning.style_search import FAILURES, START
from glyph_integrations.vision import Calibration

pytest.importorskip("optuna", reason="the extra tuning is not installed")

TEXT = "\n\n".join(f"Chapter {n}\n\n" + FILLER.replace("twice", f"{n} times") * 4 for n in range(1, 9))
SMALL = SearchSpace(dpi=(72,), height=(840,), margin_y=(10,), align=("left",), theme=("light",))


@cache
def story() -> Sample:
    return Sample.of([TEXT])


class ByPixels:
    """Errors fall with the width of letters; justified text is a little worse. Counts what it is asked."""

    def __init__(self, name: str = "by pixels", blind: frozenset[str] = frozenset({"columns"})) -> None:
        self.name, self.blind, self.in_process = name, blind, False
        self.asked: list[PageStyle] = []
        self.fails: Any = lambda style: None

    def evaluate(self, style: PageStyle, sample: Sample) -> Score:
        self.asked.append(style)
        self.fails(style)
        pixels = style.dpi / 72 * style.font_size * style.horizontal_scale
        error = 0.4 * float(np.exp(5 - pixels)) + 0.01 * (style.align == "justify") + 0.02 * (style.levels == 2)
        return Score(min(1.0, error), calls=1)


class InProcess:
    """The same, in processes of its own."""

    name, blind, in_process = "by pixels", frozenset({"columns"}), True

    def evaluate(self, style: PageStyle, sample: Sample) -> Score:
        return ByPixels().evaluate(style, sample)


def searched(evaluator: Evaluator | None = None, evaluations: int = 36, **options: Any) -> StyleSearch:
    options = {"population": 12, "space": SMALL, **options}
    search = StyleSearch(story(), evaluator or ByPixels(), **options)
    assert list(search.run(evaluations=evaluations)) == search.trials
    return search


def figures(search: StyleSearch) -> list[tuple[PageStyle, float, float, str]]:
    return [(trial.style, trial.tokens, trial.error, trial.origin) for trial in search.trials]


# -- the space --------------------------------------------------------------------------------------------------------------


@given(st.data())
def test_the_nearest_values_of_a_style_of_the_space_are_its_own(data: st.DataObject) -> None:
    space = SearchSpace()
    values = {name: data.draw(st.sampled_from(steps)) for name, steps in space.axes.items()}
    try:
        style = space.style(values)
    except StyleError:
        assert values["columns"] == 2 and values["width"] < 400  # no room for two columns of large letters
        return
    assert space.nearest(style) == values == space.read(values)
    assert style.line_height == values["font_size"] + values["leading"]


def test_presets_that_a_search_begins_with_are_in_the_space() -> None:
    space = SearchSpace()
    exact = [name for name in START if space.style(space.nearest(PRESETS[name])) == PRESETS[name]]
    assert exact == ["glyph-72", "dense-72", "cjk-72", "dense-1bit", "glyph-96"]  # cjk-96 has letters of 9.75 points


def test_a_space_is_data(tmp_path: Path) -> None:
    space = SearchSpace(dpi=Range(72, 96, 12), font=("sans",), base=PageStyle.preset("document"))
    assert space.axes["dpi"] == (72, 84, 96)
    assert SearchSpace.from_dict(json.loads(json.dumps(space.to_dict()))) == space
    assert SearchSpace.from_dict({}) == SearchSpace()
    file = tmp_path / "space.json"
    file.write_text('{"dpi": [72], "font_size": {"low": 7, "high": 9, "step": 1}, "base": "glyph-72;label=\\"number\\""}')
    found = SearchSpace.load(file)
    assert found.axes["font_size"] == (7, 8, 9) and found.base.label == "number"
    assert found.size == SearchSpace().size * 3 // (6 * 13)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"dpi": []}, "at least one value"),
        ({"colour": ["red"]}, "unknown axis 'colour'"),
        ({"dpi": {"low": 72, "high": 96}}, "low, high and step"),
        ({"dpi": {"low": 96, "high": 72, "step": 1}}, "no range"),
        ({"dpi": {"low": 72, "high": 96, "step": 0}}, "no range"),
        ({"dpi": {"low": 72, "high": 96, "step": 1e-9}}, "10,000 steps"),
        ({"dpi": [5]}, "dpi=5"),
        ({"width": {"low": 1, "high": 5, "step": 0}}, "width: .* is no range"),
        ({"dpi": {"low": 72, "high": 10**400, "step": 1}}, "has numbers"),
        ({"dpi": [10**400]}, "give a list"),
        ({"align": ["diagonal"]}, "diagonal"),
        ({"theme": ["sepia"]}, "light and dark"),
        ({"font_size": "9"}, "give a list"),
        ({"base": "no-such-style"}, "unknown style"),
    ],
)
def test_a_space_that_cannot_be_says_why(data: dict[str, Any], said: str) -> None:
    with pytest.raises(StyleError, match=said):
        SearchSpace.from_dict(data)


VALUES = st.none() | st.booleans() | st.floats() | st.integers() | st.just(10**400) | st.text() | st.lists(st.integers())


@given(st.dictionaries(st.sampled_from([*SearchSpace().axes, "sparkle"]), VALUES))
def test_proposals_are_styles_of_the_space_or_refused(proposal: dict[str, Any]) -> None:
    space = SearchSpace()
    whole = {**space.nearest(PageStyle()), **proposal}
    try:
        values = space.read(whole)
    except StyleError:
        return
    assert all(value in space.axes[name] for name, value in values.items()) and set(values) == set(space.axes)
    space.style(values)


# -- the sample -------------------------------------------------------------------------------------------------------------


def test_samples_are_seeded_and_others_are_other() -> None:
    sample = Sample.of([TEXT, TEXT[:3000]], passages=3, seed=4)
    assert sample == Sample.of([TEXT, TEXT[:3000]], passages=3, seed=4) != Sample.of([TEXT, TEXT[:3000]], passages=3, seed=5)
    more = sample.others(5)
    assert len(sample.passages) == 3 and len(more.passages) == 5 and not set(sample.passages) & set(more.passages)
    assert len({sample.key, more.key, Sample.of([TEXT], passages=3, seed=4).key}) == 3
    assert all(270 <= end - start <= 300 for _, start, end in sample.passages)
    chinese = Sample.of(["那猴王在山中与众猴玩耍，不知岁月。" * 60])
    assert all(end - start == 150 for _, start, end in chinese.passages)  # a character has two columns


@settings(max_examples=25)
@given(st.sampled_from(sorted(PRESETS)), st.integers(0, 3), st.sampled_from([1, 2]))
def test_crops_hold_the_passages_whatever_the_style(preset: str, seed: int, columns: int) -> None:
    sample = Sample.of([TEXT], seed=seed)
    style = PRESETS[preset].replace(columns=columns)
    crops = list(sample.crops(sample.lay_out(Renderer(style))))
    drawn = normalize(" ".join(drawn_text(crop.page, n) for crop in crops for n in range(1, len(crop.page.lines) + 1)))
    for _, start, end in sample.passages:
        assert normalize(TEXT[start:end]) in drawn
    assert len(drawn) < 3 * sum(end - start for _, start, end in sample.passages)


def test_documents_that_hold_nothing_are_refused(tmp_path: Path) -> None:
    for texts in ([], [""], [" \n\t "]):
        with pytest.raises(DocumentError, match="no text"):
            Sample.of(texts)
    with pytest.raises(ValueError, match="passages=0"):
        Sample.of([TEXT], passages=0)
    assert Sample.of(["A"]).passages == ((0, 0, 1),)
    many = Sample.of([FILLER * 200] * 300)  # pages are full however many documents there are
    assert len(many.documents) == 10 and len(many.text) > 95_000
    assert len(Sample.of(["A short note."] * 300).documents) == 300
    assert many.others(4).documents == many.documents
    markdown = tmp_path / "a.md"
    markdown.write_text("# Title\n\n" + "Some **bold** words that go on. " * 9000)
    sample = Sample.of([open_document(markdown)])
    assert len(sample.text) <= 100_000 and sample.documents[0].runs[-1].end <= len(sample.text)


# -- the search -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sampler", ["tpe", "nsga2"])
def test_a_search_beats_what_it_began_with_and_chance(sampler: str) -> None:
    found = searched(evaluations=96, sampler=sampler)
    chance = searched(evaluations=96, population=96)
    assert len(found.trials) == len(chance.trials) == 96 and found.generations == 8
    assert {trial.origin for trial in found.trials} == {"start", "random", "searched"}
    volume = [hypervolume(search.trials, found.most_tokens, 0.1) for search in (found, chance)]
    assert volume[0] > volume[1]
    best = choose(found.trials)
    presets = [t for t in found.trials if t.origin == "start"]
    assert best and all(best.tokens < t.tokens for t in presets if t.error <= best.error)


def test_a_seed_decides_everything_however_many_work() -> None:
    first = searched(seed=3)
    assert figures(first) == figures(searched(seed=3, jobs=3)) != figures(searched(seed=4))
    assert figures(first) != figures(searched(seed=3, sampler="nsga2"))
    assert len({trial.style for trial in first.trials}) == len(first.trials)  # nothing is scored twice
    assert [trial.number for trial in first.trials] == list(range(36))


@pytest.mark.slow
def test_processes_find_what_one_finds() -> None:
    assert figures(searched(InProcess(), 14, jobs=2)) == figures(searched(evaluations=14))


def test_costs_are_exact_and_dearer_styles_than_the_text_are_not_drawn() -> None:
    evaluator = ByPixels()
    search = searched(evaluator, most_tokens=90)
    assert search.rejected["it costs more than the text"] > 0
    assert [trial.style for trial in search.trials] == evaluator.asked
    vision = VisionProfile.get("glyph")
    for trial in search.trials[:5]:
        renderer = Renderer(trial.style)
        pages = list(renderer.paginate(story().text))
        tokens = sum(vision.count(*renderer.size(page, vision=vision)) for page in pages)
        assert trial.tokens == pytest.approx(1000 * tokens / len(TEXT)) and trial.tokens <= 90


def test_what_an_evaluator_cannot_see_stands_still() -> None:
    search = searched(ByPixels(blind=frozenset({"newline", "font", "levels"})), 24, space=SearchSpace())
    assert {(t.style.newline, t.style.font, t.style.levels) for t in search.trials} == {("auto", "sans", 6)}
    assert len({t.style.columns for t in search.trials}) == 2


def test_pages_that_a_model_would_resize_are_not_drawn() -> None:
    vision = VisionProfile.get("glyph")
    space = SearchSpace(dpi=(72, 600), width=(588, 10_000), height=(10_000,), font_size=(9,))
    search = StyleSearch(Sample.of([TEXT * 3]), ByPixels(), vision, space=space, population=4, most_tokens=1e6)
    list(search.run(evaluations=12))
    assert any("would resize" in reason for reason in search.rejected)
    for trial in search.trials:
        size = Renderer(trial.style).size(next(Renderer(trial.style).paginate(TEXT * 3)), vision=vision)
        assert vision.resized(*size) == size


def test_an_interrupted_search_goes_on_where_it_was(tmp_path: Path) -> None:
    whole = searched(evaluations=36)
    first = ByPixels()
    search = StyleSearch(story(), first, space=SMALL, population=12, kept=tmp_path)
    for trial in search.run(evaluations=36):
        if trial.number == 17:
            break  # as Ctrl-C does
    again = ByPixels()
    resumed = searched(again, 36, kept=tmp_path)
    assert figures(resumed) == figures(whole)
    assert not {*first.asked} & {*again.asked} and len(first.asked) + len(again.asked) == 36
    third = ByPixels()
    searched(third, 36, kept=tmp_path)
    assert not third.asked
    for file in list(tmp_path.iterdir())[:5]:
        file.write_bytes(b'{"error": NaN}')
    searched(third, 36, kept=tmp_path)
    assert len(third.asked) == 5  # damaged scores are made again
    other = ByPixels("another evaluator")
    searched(other, 12, kept=tmp_path)
    assert len(other.asked) == 12


def test_a_style_that_is_failed_on_is_the_worst_and_is_listed(tmp_path: Path) -> None:
    evaluator = ByPixels()

    def fails(style: PageStyle) -> None:
        if style.levels == 2:
            raise MemoryError("out of ink")

    evaluator.fails = fails
    search = searched(evaluator, 36, kept=tmp_path)
    assert search.failed and all(t.style.levels == 2 and t.error == 1 for t in search.failed)
    assert search.failed[0].failure == "MemoryError: out of ink"
    assert not {t.style for t in search.failed} & {t.style for t in search.front}
    assert len(list(tmp_path.iterdir())) == 36 - len(search.failed)  # failures are not kept


def test_a_server_that_stops_answering_ends_the_search_which_can_go_on(tmp_path: Path) -> None:
    evaluator = ByPixels()

    def fails(style: PageStyle) -> None:
        if len(evaluator.asked) > 20:
            raise ModelError("http://127.0.0.1:1/v1 cannot be reached")

    evaluator.fails = fails
    search = searched(evaluator, 36, kept=tmp_path)
    assert len(search.trials) == 20 + FAILURES and len(search.front) > 1
    assert "failed 4 times in a row" in search.stopped and "cannot be reached" in search.stopped
    again = ByPixels()
    assert figures(searched(again, 36, kept=tmp_path)) == figures(searched()) and len(again.asked) == 16
    down = ByPixels()
    down.fails = lambda style: (_ for _ in ()).throw(ModelError("cannot be reached"))
    search = StyleSearch(story(), down, space=SMALL)
    with pytest.raises(ModelError, match="by pixels failed on every style: ModelError: cannot be reached"):
        list(search.run(evaluations=30))
    assert len(down.asked) == FAILURES


@pytest.mark.parametrize("error", [float("nan"), -0.1, 1.5])
def test_an_error_that_is_no_share_is_a_failure(error: float) -> None:
    class Odd(ByPixels):
        def evaluate(self, style: PageStyle, sample: Sample) -> Score:
            super().evaluate(style, sample)
            return Score(0.1 if len(self.asked) > 1 else error)

    search = searched(Odd(), 4)
    assert len(search.failed) == 1 and "from 0 to 1" in search.failed[0].failure


def test_budgets_are_kept(caplog: pytest.LogCaptureFixture) -> None:
    search = StyleSearch(story(), ByPixels(), space=SMALL)
    with pytest.raises(BudgetError, match="the time is up; allow more"):
        list(search.run(seconds=0))
    with caplog.at_level(logging.WARNING):
        small = searched(evaluations=7, population=12)
    assert len(small.trials) == 7 and small.generations == 0 and "first generation" in caplog.text
    assert [t.origin for t in small.trials].count("start") >= 5  # presets come first, so even that compares them
    search = StyleSearch(story(), ByPixels(), space=SMALL, population=12)
    list(search.run(calls=17))
    assert len(search.trials) == 17 and search.stopped == "17 calls were made"
    list(search.run(evaluations=30))  # more can be had
    assert len(search.trials) == 30 == search.calls
    assert not list(search.run(evaluations=20)) and search.stopped == "30 styles were scored"
    with pytest.raises(BudgetError, match="0 styles were scored"):
        list(StyleSearch(story(), ByPixels(), space=SMALL).run(evaluations=0))
    tiny = SearchSpace(**{name: (steps[0],) for name, steps in SMALL.axes.items()} | {"font_size": (8, 9)})
    ended = searched(space=tiny, evaluations=50)
    assert len(ended.trials) == 2 and "no new style" in ended.stopped
    for wrong in ({"population": 3}, {"jobs": 0}):
        with pytest.raises(ValueError, match="must be at least"):
            StyleSearch(story(), ByPixels(), **wrong)  # type: ignore[arg-type]


def test_what_was_asked_of_a_model_is_never_thrown_away(tmp_path: Path) -> None:
    evaluator = ByPixels()
    search = StyleSearch(story(), evaluator, space=SMALL, population=12, jobs=4, kept=tmp_path)
    list(search.run(calls=5))
    assert 5 <= len(evaluator.asked) == len(search.trials) == len(list(tmp_path.iterdir())) == search.calls <= 9
    assert search.stopped == f"{search.calls} calls were made"


def test_scripts_that_no_font_draws_are_refused() -> None:
    with pytest.raises(DocumentError, match=r"100 % of the characters.*glyph fonts"):
        StyleSearch(Sample.of(["\U000f0000\U000f0001 " * 200]), ByPixels())
    assert len(searched().space.axes["font"]) == 2


@cache
def unadvised() -> list[tuple[PageStyle, float, float, str]]:
    return figures(searched(evaluations=60))


# -- the advisor ------------------------------------------------------------------------------------------------------------


def test_proposals_enter_and_nonsense_is_counted(tmp_path: Path) -> None:
    prompts: list[str] = []
    good = {**SMALL.nearest(PageStyle()), "width": 448, "font_size": 8.52, "leading": 0.5}

    def advisor(prompt: str) -> str:
        prompts.append(prompt)
        fresh = {**good, "width": 448 + 28 * len(prompts)}
        nonsense = [{**good, "font_size": 400}, {**good, "sparkle": 1}, {"width": 448}, {**good, "align": None}]
        return f"Sure {{}} here: {json.dumps({'styles': [fresh, *nonsense]})} Enjoy! {{'no': json}}"

    search = searched(advisor=advisor, kept=tmp_path, population=20, evaluations=60)
    advised = [t for t in search.trials if t.origin == "advised"]
    assert [t.style.width for t in advised] == [476, 504] and {t.style.font_size for t in advised} == {8.5}
    advice = search.advice
    assert (advice.asked, advice.failed, advice.entered) == (2, 0, 2) and advice.proposed == 12
    assert advice.refused["unknown axis 'sparkle'"] == 2 and advice.refused["font_size='400' is not on its axis"] == 2
    assert "proposed 12, entered 2, refused 10" in str(advice)
    assert '"font_size": 9' in prompts[0] and "6 to 12 in steps of 0.5" in prompts[0] and "error 0." in prompts[0]
    silent = searched(ByPixels(), 60, advisor=lambda prompt: pytest.fail("answers are kept"), kept=tmp_path, population=20)
    assert figures(silent) == figures(search)


USELESS = ["", "I cannot help with that.", "[1, 2]", "{" * 3000, '[{"dpi": 1e999}]', '[{"dpi": 1%s}]' % ("0" * 400), None]


@pytest.mark.parametrize("answer", USELESS)
def test_a_useless_advisor_changes_nothing(answer: str | None) -> None:
    def advisor(prompt: str) -> str:
        if answer is None:
            raise RuntimeError("quota exceeded")
        return answer

    search = searched(advisor=advisor, evaluations=60)
    assert figures(search) == unadvised()
    # after three failures in a row it is given up; a proposal that is refused is none
    assert search.advice.entered == 0 and search.advice.asked == (4 if search.advice.proposed else 3)


def test_both_frameworks_advise_and_read() -> None:
    pytest.importorskip("langchain_core")
    pytest.importorskip("llama_index.core")
    from langchain_core.language_models import FakeListChatModel
    from llama_index.core.llms import MockLLM

    from glyph_integrations import langchain, llama_index

    assert langchain.as_advisor(FakeListChatModel(responses=["[]"]))("Propose") == "[]"
    assert langchain.as_page_asker(FakeListChatModel(responses=["read"]))([b"png"], "What?") == "read"
    assert llama_index.as_advisor(MockLLM())("Propose styles") == "Propose styles"
    assert "What?" in llama_index.as_page_asker(MockLLM())([], "What?")
    with chat_server() as server:
        from langchain_openai import ChatOpenAI
        from llama_index.llms.openai_like import OpenAILike

        png = Renderer().png(next(Renderer().paginate("A page")))
        asker = langchain.as_page_asker(ChatOpenAI(model="m", base_url=server.url, api_key="none"))  # type: ignore[arg-type]
        assert asker([png, png], "What stands there?") == "2 images; What stands there?"
        llm = OpenAILike(model="m", api_base=server.url, api_key="none", is_chat_model=True)
        assert llama_index.as_page_asker(llm)([png], "And here?") == "1 images; And here?"
        assert llama_index.as_advisor(llm)("Propose") == "0 images; Propose"


# -- what comes out ---------------------------------------------------------------------------------------------------------


def trial(number: int, tokens: float, error: float, failure: str = "") -> Trial:
    return Trial(number, PageStyle(font_size=5 + number % 9), tokens, Score(error), "random", failure)


POINTS = st.lists(st.tuples(st.integers(1, 12), st.integers(0, 12)), min_size=1, max_size=15)


@given(POINTS)
def test_the_front_is_what_nothing_beats(points: list[tuple[int, int]]) -> None:
    trials = [trial(n, x, y / 12) for n, (x, y) in enumerate(points)]
    front = pareto_front(trials)
    for one in trials:
        beaten = any(o.tokens <= one.tokens and o.error <= one.error and o != one for o in front)
        assert beaten != (one in front)
    cells = sum(any(px <= x and py <= y for px, py in points) for x in range(10) for y in range(10))
    assert hypervolume(trials, 10, 10 / 12) == pytest.approx(cells / 100)


@given(POINTS, st.floats(0, 1))
def test_the_chosen_style_is_the_cheapest_that_is_read_well_enough(points: list[tuple[int, int]], most: float) -> None:
    trials = [trial(n, x, y / 12) for n, (x, y) in enumerate(points)]
    for chosen, limit in ((choose(trials, most), most), (choose(trials), min(t.error for t in trials) + 0.01)):
        good = [t.tokens for t in trials if t.error <= limit]
        assert (chosen is None) == (not good)
        assert chosen is None or (chosen.error <= limit and chosen.tokens == min(good))


def test_failed_trials_are_on_no_front() -> None:
    assert pareto_front([trial(0, 5, 0.1, "broken")]) == [] and choose([trial(0, 5, 0.1, "broken")]) is None
    assert hypervolume([], 10, 1) == 0


def test_pictures_show_what_was_found() -> None:
    search = searched()
    best = choose(search.trials)
    picture = plot(search.trials, {"glyph-72": search.trials[0]}, best, "A title")
    assert picture.size == (1200, 760) and picture.mode == "RGB"
    colors = {color for _, color in picture.getcolors(1 << 20) or ()}
    assert {(0, 158, 115), (230, 159, 0), (0, 114, 178), (170, 170, 170)} <= colors
    assert plot([]).size == plot(search.trials[:1], chosen=search.trials[0]).size
    styles = {"one": PageStyle(), "two\nlines": PageStyle(dpi=96, color=255, background=0)}
    pages = side_by_side(story(), styles, "glyph")
    assert pages.width == 588 + 784 + 3 * 24 and pages.height > 500


# -- evaluators that ask a model --------------------------------------------------------------------------------------------


def test_a_transcription_is_compared_character_by_character() -> None:
    sample = Sample.of(["The ferry crossed the grey water. " * 8], passages=1)
    shown: list[Sequence[bytes]] = []

    def score(answer: str) -> Score:
        def ask(pictures: Sequence[bytes], question: str) -> str:
            shown.append(pictures)
            return answer

        return TranscriptionEvaluator(ask, "me", "glyph").evaluate(PageStyle(), sample)

    text = sample.text.strip()
    assert score(text).error == 0 and score(text.replace(" ", "\n")).error == 0
    assert score(text.replace("grey", "gray")).error == pytest.approx(8 / len(text))
    assert score("").error == 1 and score("blah " * 5000).error == 1
    assert score(text).calls == 1 and all(len(pictures) == 1 and pictures[0][:4] == b"\x89PNG" for pictures in shown)


@pytest.mark.parametrize("text", [TEXT, "那猴王在山中与众猴玩耍，不知岁月。" * 300], ids=["english", "chinese"])
def test_needles_are_planted_and_asked_for(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[str] = []
    asked: list[str] = []
    png = Renderer.png
    monkeypatch.setattr(Renderer, "png", lambda self, page, **rest: drawn.append(page.text) or png(self, page, **rest))

    def sighted(pictures: Sequence[bytes], question: str) -> str:
        asked.append(question)
        page = "".join(drawn[-len(pictures) :])
        return "It is " + "".join(
            c for c in page.partition("secret number of the" if text is TEXT else "密码")[2][:30] if c.isdigit()
        )

    found = NeedleEvaluator(sighted, "sighted", "glyph").evaluate(PageStyle(), Sample.of([text]))
    assert found.error == 0 and found.calls == len(set(asked)) == 4
    blind = NeedleEvaluator(lambda pictures, question: "12345?", "blind", "glyph").evaluate(PageStyle(), Sample.of([text]))
    assert blind.error == 1 and len(blind.detail["lost"]) == 4


def test_ones_own_questions_are_put_with_their_pages() -> None:
    text = TEXT + " The keeper was called Alasdair."
    sample = Sample.of([text])
    questions = [
        LabelledQuestion("Who kept it?", "Alasdair"),
        LabelledQuestion("Which chapter?", span=(0, 9)),
        LabelledQuestion("What colour?", "grey water"),
    ]

    def ask(pictures: Sequence[bytes], question: str) -> str:
        return {"Who kept it?": "ALASDAIR did.", "Which chapter?": "chapter 1 of it"}.get(question, "red")

    found = QuestionEvaluator(ask, "me", "glyph", questions).evaluate(PageStyle(), sample)
    assert found.error == pytest.approx(1 / 3) and found.detail["wrong"] == [["What colour?", "red"]] and found.calls == 3
    with pytest.raises(QueryError, match="does not stand"):
        QuestionEvaluator(ask, "me", "glyph", [LabelledQuestion("?", "Zanzibar")]).evaluate(PageStyle(), sample)
    with pytest.raises(QueryError, match="page numbers differ"):
        QuestionEvaluator(ask, "me", "glyph", [LabelledQuestion("Who?", page=3)])
    with pytest.raises(QueryError, match="no questions"):
        QuestionEvaluator(ask, "me", "glyph", [])
    half = MeanEvaluator([QuestionEvaluator(ask, "me", "glyph", questions[:2]), ByPixels()])
    assert half.evaluate(PageStyle(), sample).error == ByPixels().evaluate(PageStyle(), sample).error / 2
    assert half.blind == frozenset() and not half.in_process


# -- the command ------------------------------------------------------------------------------------------------------------


def test_command_searches_with_a_server_and_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = isolate(tmp_path, monkeypatch)
    story = write_story(folder)
    with chat_server() as server:
        server.answer = FILLER * 3
        command = ("tune", story, "--model", "glyph", "--base-url", server.url, "--budget", "20s", "--styles", 5, "-o", "out")
        first = glyph(*command, "--population", 4, "--advisor", "glyph")
        assert first.exit_code == 0, first.output
        assert "5 styles scored, 1 generation" in first.stdout and "Advisor asked 1 times" in first.stdout
        asked = len(server.requests)
        again = ok(*command, "--population", 4, "--advisor", "glyph")
        assert len(server.requests) == asked and "5 styles scored" in again
    assert {"out/style.json", "out/front.png", "out/pages.png", "out/trials.json"} <= files_in(folder)
    style = PageStyle.load(folder / "out" / "style.json")
    trials = json.loads((folder / "out" / "trials.json").read_text(encoding="utf-8"))
    assert len(trials["trials"]) == 5 and str(style) in {t["style"] for t in trials["read_again"]}
    assert "style.json" in again and "Errors" in again


def test_command_goes_by_a_calibration_and_takes_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GLYPH_CALIBRATIONS", str(tmp_path / "kept"))
    folder = isolate(tmp_path, monkeypatch)
    (folder / "books" / "deep").mkdir(parents=True)
    write_story(folder / "books" / "deep")
    (folder / "books" / "zeros.bin").write_bytes(bytes(99))  # no document, passed over
    own = PageStyle(dpi=96, font_size=8, line_height=9)  # what a calibration finds is seldom a preset
    with chat_server() as server:
        server.answer = FILLER * 3
        command = ("tune", "books", "--model", "acme/eyes-1", "--base-url", server.url, "--population", 4, "--styles", 4)
        assert "no vision profile" in glyph(*command).output
        out = ok(*command, "--vision", "qwen3-vl", "--budget", "20s", "-o", "one")
        assert "1 document" in out and str(VisionProfile.get("qwen3-vl").style) in out
        Calibration("glyph", "glyph", True, "it read all", str(own), True).save()
        out = ok("tune", "books", "--base-url", server.url, "--budget", "20s", "--styles", 4, "--population", 4, "-o", "two")
    assert str(own) in "".join(out.split()) and (folder / "two" / "style.json").is_file()


def test_command_keeps_to_its_calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    story = write_story(isolate(tmp_path, monkeypatch))
    for calls, said in ((5, "rests on the search alone"), (40, "chosen")):
        with chat_server() as server:
            server.answer = FILLER * 3
            command = ("tune", story, "--base-url", server.url, "--budget", "60s", "--population", 4, "--styles", 5)
            result = glyph(*command, "--calls", calls, "-o", f"out{calls}")
            assert result.exit_code == 0 and said in result.output and len(server.requests) <= calls
            assert "can the model read pages at all?" in " ".join(result.stderr.split())
        assert (tmp_path / f"out{calls}" / "style.json").is_file()
    assert "no style has at most 0 % errors" in glyph(*command, "--calls", 5, "-o", "out5", "--most-error", 0).output


def test_command_says_when_the_best_could_not_be_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    story = write_story(isolate(tmp_path, monkeypatch))
    monkeypatch.setattr(StyleSearch, "score", lambda self, styles, sample: [trial(0, 5, 1, "gone") for _ in styles])
    with chat_server() as server:
        server.answer = FILLER * 3
        result = glyph(
            "tune", story, "--base-url", server.url, "--budget", "20s", "--population", 4, "--styles", 4, "-o", "out"
        )
    assert result.exit_code == 0 and "again failed (gone), so no style was saved; run the same command again" in result.stderr
    assert {"out/front.png", "out/trials.json"} <= files_in(tmp_path) and "out/style.json" not in files_in(tmp_path)


def test_command_does_not_wait_for_a_server_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    story = write_story(isolate(tmp_path, monkeypatch))
    monkeypatch.setattr(sys.modules["glyph_integrations.cli.tune"], "_PATIENCE", (0.1, 0.3))
    released = threading.Event()
    with chat_server() as server:
        command = ("tune", story, "--base-url", server.url, "--budget", "60s", "--population", 4, "-o", "out", "--styles")

        def message(request: dict[str, Any]) -> dict[str, Any]:
            if len(server.requests) > 9:
                released.wait(30)
            return {"role": "assistant", "content": FILLER * 3}

        monkeypatch.setattr(server, "message", message)
        began = time.monotonic()
        result = glyph(*command, 5)
        released.set()
    assert time.monotonic() - began < 25
    assert result.exit_code == 0 and "did not answer within 0.3 s" in result.stderr
    trials = json.loads((tmp_path / "out" / "trials.json").read_text(encoding="utf-8"))
    assert len(trials["trials"]) == 5 and len(trials["read_again"]) == 1  # one more is asked, not five
    assert "no style was saved; run the same command again" in " ".join(result.stderr.split())


def test_scores_of_an_evaluator_that_tells_more_than_json_holds_are_kept(tmp_path: Path) -> None:
    sample = Sample.of([FILLER * 40])
    kept = KeptScores(tmp_path)
    eighth: Any = np.float32(0.125)  # no number to JSON
    score = Score(eighth, eighth / 2, 2, {"path": tmp_path, "worst": {"a"}})
    kept.keep_score(PageStyle(), sample, ByPixels(), score)
    found = kept.score(PageStyle(), sample, ByPixels())
    assert found and (found.error, found.standard_error, found.calls) == (0.125, 0.0625, 2)
    assert found.detail["path"] == str(tmp_path)


def test_command_says_what_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    story = write_story(isolate(tmp_path, monkeypatch))
    for arguments, said in [
        (("--budget", "soon"), "no time such as"),
        (("--by", "ear"), "choose of ocr"),
        (("--by", "needles"), "add --base-url"),
        (("--by", "questions", "--base-url", "http://127.0.0.1:9/v1"), "go together"),
        (("--advisor", "gpt"), "add --base-url"),
        (("--model", "nope"), "no vision profile"),
        (("--space", "missing.json"), "cannot read search space"),
        (("nothing/*.txt",), "does not exist"),
    ]:
        result = glyph("tune", story, *arguments)
        assert result.exit_code != 0 and said in " ".join(result.output.replace("│", " ").split()), result.output
    assert files_in(tmp_path) == {"story.txt"}  # nothing is written before all is checked


# -- real engines -----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_command_searches_by_ocr_in_two_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("rapidocr", reason="the extra ocr is not installed")
    folder = isolate(tmp_path, monkeypatch)
    out = ok("tune", write_story(folder), "--budget", "5m", "--styles", 8, "--population", 4, "--jobs", 2, "-o", "out")
    trials = json.loads((folder / "out" / "trials.json").read_text(encoding="utf-8"))
    errors = {t["style"]: t["error"] for t in trials["trials"]}
    assert errors["glyph-72"] < 0.02 and len(errors) == 8 and "chosen" in out
    assert PageStyle.load(folder / "out" / "style.json")


@pytest.mark.slow
def test_a_real_reader_finds_what_is_large_and_misses_what_is_tiny() -> None:
    pytest.importorskip("rapidocr", reason="the extra ocr is not installed")
    from glyph_integrations import OcrModel

    sample = Sample.of([TEXT], passages=1)
    tiny = PageStyle(dpi=72, font_size=4, line_height=4)
    ask = ask_model(OcrModel())
    for evaluator in (OcrEvaluator(), NeedleEvaluator(ask, "ocr", "glyph", needles=2, pages=1)):
        assert evaluator.evaluate(PageStyle.preset("glyph-96"), sample).error < 0.1
        assert evaluator.evaluate(tiny, sample).error > 0.5
    with pytest.raises(GlyphError, match="cannot read this text"):
        OcrEvaluator().evaluate(PageStyle(), Sample.of(["Буря мглою небо кроет, вихри снежные крутя. " * 40]))
