"""What a model says, taken apart: reasoning, marks of a family, stop strings; however the pieces fall."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glyph_integrations.errors import ModelError
from glyph_integrations.reading import PicturePart, TextPart, Turn
from glyph_integrations.reading.models.generated_text import StopStrings
from glyph_integrations.reading.models.thinking import ThinkingSplitter, split_thinking
from glyph_integrations.reading.models.transcription import transcription
from glyph_integrations.vision import ChatForm, VisionProfile

GLM, DEEPSEEK = VisionProfile.get("zai-org/Glyph").chat, VisionProfile.get("deepseek-ocr").chat
FORMS = [None, ChatForm(), GLM, VisionProfile.get("qwen3-vl").chat, ChatForm(("[T]", "[/T]"))]
MARKS = [
    "<think>",
    "</think>",
    "<answer>",
    "</answer>",
    "<|begin_of_box|>",
    "<|end_of_box|>",
    "[T]",
    "[/T]",
    "<th",
    "k>",
    " ",
    "\n",
    "a",
]
SAID = st.lists(st.one_of(st.sampled_from(MARKS), st.text("ab<>/ ", max_size=4)), max_size=9).map("".join)
CUTS = st.lists(st.integers(0, 120), max_size=12)


def pieces(text: str, cuts: list[int]) -> list[str]:
    ends = [0, *sorted({min(cut, len(text)) for cut in cuts}), len(text)]
    return [text[a:b] for a, b in pairwise(ends)]


@pytest.mark.parametrize(
    ("form", "said", "reasoning", "answer"),
    [
        (None, "A copy.", "", "A copy."),
        (None, "<think>Hm.</think>\nA copy.", "Hm.", "A copy."),
        (None, "Hm.</think>A copy.", "Hm.", "A copy."),
        (None, "Write <think>, then </think>.", "", "Write <think>, then </think>."),
        (None, "<think>Hm. And so on", "Hm. And so on", ""),
        (None, "<think></think>A <answer>copy</answer>.", "", "A <answer>copy</answer>."),
        (GLM, "<think>Hm.</think>\n<answer>A <|begin_of_box|>copy<|end_of_box|>.</answer>", "Hm.", "A copy."),
        (GLM, "<think>Hm.</think><|begin_of_box|>42<|end_of_box|>", "Hm.", "42"),
        (GLM, "The tag <answer>42</answer> as asked.", "", "The tag <answer>42</answer> as asked."),
        (ChatForm(("[T]", "[/T]")), "[T]Hm.[/T]A copy.", "Hm.", "A copy."),
    ],
)
def test_reasoning_and_marks_are_no_part_of_an_answer(form: ChatForm | None, said: str, reasoning: str, answer: str) -> None:
    assert split_thinking(said, form) == (reasoning, answer)


@given(st.sampled_from(FORMS), SAID, CUTS, st.booleans())
def test_an_answer_in_pieces_is_the_answer_as_a_whole(form: ChatForm | None, said: str, cuts: list[int], opened: bool) -> None:
    def split(parts: list[str]) -> tuple[str, str]:
        splitter = ThinkingSplitter(form, opened=opened)
        out = [splitter.feed(part) for part in parts] + [splitter.finish()]
        return "".join(reasoning for reasoning, _ in out), "".join(answer for _, answer in out)

    assert split(pieces(said, cuts)) == split([said])


@given(st.text("abc", max_size=30), st.lists(st.text("abc", max_size=4), max_size=4), CUTS)
def test_stop_strings_cut_before_the_first_that_is_complete(said: str, strings: list[str], cuts: list[int]) -> None:
    ends = [(at + len(s), at) for s in strings if s and (at := said.find(s)) >= 0]
    expected = said[: min(ends)[1]] if ends else said
    stop = StopStrings(strings)
    parts = pieces(said, cuts)
    assert "".join([*map(stop.feed, parts), stop.finish()]) == expected
    assert stop.reached == bool(ends)


def test_a_transcriber_is_asked_in_its_own_words() -> None:
    picture = PicturePart(b"picture")
    (asked,) = transcription([Turn("system", "Be brief."), Turn("user", [picture, TextPart("Who sang?")])], DEEPSEEK, "ocr")
    assert asked == Turn("user", [picture, TextPart("Free OCR.")])
    marked = "<|grounding|>Convert the document to markdown."
    assert transcription([Turn("user", [TextPart(marked), picture])], DEEPSEEK, "ocr")[0].parts == (picture, TextPart(marked))
    with pytest.raises(ModelError, match="it was sent 0 pictures"):
        transcription([Turn("user", "Who sang?")], DEEPSEEK, "ocr")
