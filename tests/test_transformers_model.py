"""The local model: tiny checkpoints of real architectures, loaded, asked and streamed through the public doors on a CPU."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from checkpoints import Checkpoints, chat_processor
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from glyph_integrations import PageStyle, Renderer, TransformersModel, VisionProfile
from glyph_integrations.errors import MissingExtraError, ModelError, UnknownModelError
from glyph_integrations.page import Page
from glyph_integrations.reading import Answer, OpaquePart, PageModel, PagePart, Part, PicturePart, TextPart, ToolCall, Turn
from glyph_integrations.reading.models.chat_prompt import ChatTemplate
from glyph_integrations.reading.models.transcription import _say_once

pytest.importorskip("torchvision", reason="the real processors need torchvision")
transformers = pytest.importorskip("transformers", reason="the models are those of transformers")
if not find_spec("num2words"):
    pytest.skip("the processor of SmolVLM needs num2words", allow_module_level=True)

SIX = ("glm-4.1v", "qwen2.5-vl", "qwen3-vl", "pixtral", "deepseek-ocr-2", "smolvlm")
CHATTING = tuple(family for family in SIX if family != "deepseek-ocr-2")
PROSE = "The lighthouse keeper of Amrum wrote his log every night, and every morning the ferry took a copy of it ashore. "
RENDERER = Renderer(PageStyle.preset("glyph-72").replace(width=300, height=336))
FULL: Page = next(RENDERER.paginate(PROSE * 60, source="log.txt"))
QUESTION = "What did the ferry take?"


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Checkpoints:
    return Checkpoints(tmp_path_factory.mktemp("checkpoints"))


@pytest.fixture(scope="session")
def model_of(checkpoint: Checkpoints) -> Any:
    return cache(lambda family: TransformersModel(checkpoint(family), renderer=RENDERER, max_tokens=4))


@pytest.fixture
def qwen(model_of: Any) -> TransformersModel:
    return model_of("qwen2.5-vl")


@pytest.fixture
def glyph_log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.WARNING, logger="glyph_integrations")
    return caplog


def asked(*parts: Part, question: str = QUESTION) -> list[Turn]:
    return [Turn("user", [*parts, TextPart(question)])]


def page(dpi: int = 72) -> PagePart:
    return PagePart(FULL, dpi)


def picture(width: int = 168, height: int = 112, mode: str = "RGB") -> PicturePart:
    buffer = BytesIO()
    Image.new(mode, (width, height)).save(buffer, "PNG")
    return PicturePart(buffer.getvalue())


# -- every architecture ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", SIX)
def test_a_page_is_read_as_transformers_itself_reads_it(
    family: str, model_of: Any, checkpoint: Checkpoints, glyph_log: pytest.LogCaptureFixture
) -> None:
    model = model_of(family)
    answer = model.read(asked(page(), question="Free OCR."))
    image = RENDERER.draw(FULL, 72, vision=model.vision)
    processor = transformers.AutoProcessor.from_pretrained(checkpoint(family))
    plain = transformers.AutoModelForImageTextToText.from_pretrained(checkpoint(family))
    content = [{"type": "text", "text": "Page 1"}, {"type": "image", "image": image}, {"type": "text", "text": "Free OCR."}]
    if family == "deepseek-ocr-2":
        inputs = processor(images=image, text="<image>\nFree OCR.", return_tensors="pt")
    else:
        inputs = processor.apply_chat_template(
            [{"role": "user", "content": content}],
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
        )
    made = plain.generate(**inputs, max_new_tokens=4, do_sample=False)[0, inputs["input_ids"].shape[1] :]
    assert answer.text == processor.tokenizer.decode(made, skip_special_tokens=True) != ""
    assert answer.usage is not None
    assert answer.usage.input_tokens == inputs["input_ids"].shape[1]
    assert abs((answer.usage.image_tokens or 0) - model.vision.count(*image.size)) <= 2
    assert answer.usage.output_tokens == len(made)
    assert (answer.stop_reason, answer.model) == ("length", str(checkpoint(family)))
    assert not glyph_log.messages


@pytest.mark.parametrize("family", SIX)
async def test_streams_batches_and_async_twins_say_what_a_single_read_says(family: str, model_of: Any) -> None:
    model = model_of(family)
    turns = asked(picture())
    other = asked(picture(336, 224), question="Who?") if family == "deepseek-ocr-2" else asked(question="Who was he?")
    answer, second = model.read(turns), model.read(other)
    assert isinstance(model, PageModel)
    chunks = list(model.stream(turns))
    assert Answer.from_chunks(chunks) == answer
    assert [c.usage for c in chunks[:-1]] == [None] * (len(chunks) - 1)
    assert model.read_many([other, turns]) == [second, answer]
    assert await model.aread(turns) == answer
    assert Answer.from_chunks([chunk async for chunk in model.astream(turns)]) == answer


@pytest.mark.parametrize("family", SIX)
async def test_it_is_a_chat_model_of_langchain(family: str, model_of: Any) -> None:
    pytest.importorskip("langchain_core")
    from langchain_core.messages import HumanMessage

    from glyph_integrations.langchain import ChatGlyph, ChatPageModel, page_content_blocks
    from glyph_integrations.langchain.content_blocks import image_block

    chat = ChatPageModel(model=model_of(family), renderer=RENDERER)
    by_tiles = family in ("pixtral", "smolvlm")  # to which the page would go as text
    shown = [image_block(picture().data)] if by_tiles else page_content_blocks(FULL)
    message = HumanMessage([*shown, {"type": "text", "text": QUESTION}])
    answer = chat.invoke([message])
    assert answer.usage_metadata is not None and answer.usage_metadata["output_tokens"] == 4
    assert [p["sent_as"] for p in answer.response_metadata["glyph"]["report"]["pages"]] == ([] if by_tiles else ["image"])
    streamed = None
    for chunk in ChatGlyph(llm=chat, renderer=RENDERER).stream([message]):
        streamed = chunk if streamed is None else streamed + chunk
    assert streamed is not None and streamed.text == answer.text
    assert [m.text for m in await chat.abatch([[message], [message]])] == [answer.text] * 2
    pieces = [chunk async for chunk in chat.astream([message])]
    assert "".join(piece.text for piece in pieces) == answer.text


@pytest.mark.parametrize("family", SIX)
async def test_it_is_an_llm_of_llama_index(family: str, model_of: Any) -> None:
    pytest.importorskip("llama_index.core")
    from llama_index.core.base.llms.types import ChatMessage, ImageBlock, TextBlock

    from glyph_integrations.llama_index import GlyphLLM, PageModelLLM

    llm = PageModelLLM(model_of(family), renderer=RENDERER)
    message = ChatMessage(blocks=[ImageBlock(image=picture().data), TextBlock(text=QUESTION)])
    answer = llm.chat([message])
    assert answer.additional_kwargs["completion_tokens"] == 4
    around = GlyphLLM(llm=llm, renderer=RENDERER)
    assert list(around.stream_chat([message]))[-1].message.content == answer.message.content
    assert (await llm.achat([message])).message.content == answer.message.content
    assert [c async for c in await around.astream_chat([message])][-1].message.content == answer.message.content


def test_one_liners_make_chat_models_of_both_frameworks(checkpoint: Checkpoints) -> None:
    from glyph_integrations.langchain import ChatGlyph
    from glyph_integrations.llama_index import GlyphLLM

    path = str(checkpoint("qwen2.5-vl"))
    chat = ChatGlyph.from_pretrained(path, max_tokens=3, draw_text="long", renderer=RENDERER)
    assert chat.draw_text == "long"
    answer = chat.invoke(PROSE * 100 + "\n\n" + QUESTION)
    assert [p["sent_as"] for p in answer.response_metadata["glyph"]["report"]["pages"]].count("image") >= 2
    assert answer.usage_metadata is not None and answer.usage_metadata["output_tokens"] == 3
    llm = GlyphLLM.from_pretrained(path, max_tokens=3, vision="qwen2.5-vl", budget=5000)
    assert (llm.budget, llm.metadata.context_window) == (5000, 128_000)
    assert llm.complete("Who?").text == chat.invoke("Who?").text


# -- what it says ---------------------------------------------------------------------------------------------------------

SAID = "The quick brown.fxjmp,vlazydgs"  # no character twice but by case
LETTERS = "".join(dict.fromkeys(SAID))


@pytest.fixture(scope="session")
def reciter(checkpoint: Checkpoints) -> TransformersModel:
    return TransformersModel(checkpoint.reciter(LETTERS), max_tokens=64)


def test_an_answer_ends_where_the_model_ends_it(reciter: TransformersModel) -> None:
    answer = reciter.read(asked())
    assert (answer.text, answer.stop_reason) == (LETTERS, "stop")
    assert answer.usage is not None and answer.usage.output_tokens == len(LETTERS) + 1
    cut = reciter.read(asked(), max_tokens=5)
    assert (cut.text, cut.stop_reason) == (LETTERS[:5], "length")
    assert cut.usage is not None and cut.usage.output_tokens == 5


@settings(max_examples=10, deadline=None)
@given(st.integers(0, len(LETTERS) - 1), st.integers(1, 5), st.integers(0, len(LETTERS) - 1), st.integers(1, 5))
def test_stop_strings_cut_exactly_wherever_tokens_end(
    reciter: TransformersModel, at: int, length: int, other: int, more: int
) -> None:
    stop = [LETTERS[at : at + length], LETTERS[other : other + more], "never said"]
    _, first = min((at + len(stop[0]), at), (other + len(stop[1]), other))  # the first to be complete
    answer = reciter.read(asked(), stop=stop)
    assert (answer.text, answer.stop_reason) == (LETTERS[:first], "stop")
    pieces = [chunk.text for chunk in reciter.stream(asked(), stop=stop)]
    assert "".join(pieces) == LETTERS[:first]
    assert answer.usage is not None and answer.usage.output_tokens <= max(at + length, other + more)


def test_a_stop_string_that_only_begins_is_said_in_the_end(reciter: TransformersModel) -> None:
    stop = [LETTERS[-4:] + "!"]
    assert reciter.read(asked(), stop=stop).text == LETTERS
    assert "".join(chunk.text for chunk in reciter.stream(asked(), stop=stop)) == LETTERS
    assert reciter.read(asked(), stop=stop, max_tokens=len(LETTERS) - 1).text == LETTERS[:-1]


def test_each_prompt_of_a_batch_ends_by_itself(reciter: TransformersModel) -> None:
    answers = reciter.read_many([asked(), asked(picture()), asked(question="a\nb")], stop=[LETTERS[9:11]])
    assert [(a.text, a.stop_reason) for a in answers] == [(LETTERS[:9], "stop")] * 3


def test_characters_of_several_tokens_are_streamed_whole(checkpoint: Checkpoints) -> None:
    said = "a \U0001f5fc\u00e9\u4e2d"  # no byte twice
    model = TransformersModel(checkpoint.reciter(said))
    pieces = [chunk.text for chunk in model.stream(asked()) if chunk.text]
    assert pieces == list(said)
    assert model.read(asked(), max_tokens=4).text == "a \ufffd"  # half a character


THOUGHT = "<think>abc\n</think>def<answer>"
GLM_SAID = "<think>why</think>\n<answer>a<|begin_of_box|>bc<|end_of_box|>d</answer>"


def test_thinking_is_split_off(checkpoint: Checkpoints) -> None:
    model = TransformersModel(checkpoint.reciter("<think>q uick</think>fox"))
    answer = model.read(asked(), stop=["ui", "x"])
    assert (answer.reasoning, answer.text) == ("q uick", "fo")  # stop strings are for the answer
    chunks = list(model.stream(asked()))
    assert "".join(c.reasoning for c in chunks) == "q uick"
    assert "".join(c.text for c in chunks) == "fox"
    unfinished = model.read(asked(), max_tokens=4)
    assert (unfinished.reasoning, unfinished.text, unfinished.stop_reason) == ("q u", "", "length")


def test_thinking_that_the_prompt_begins_is_split_off(checkpoint: Checkpoints) -> None:
    path = checkpoint.reciter("why</think>so")
    processor = transformers.AutoProcessor.from_pretrained(path)
    processor.chat_template = processor.chat_template.replace("assistant\n", "assistant\n<think>\n")
    model = TransformersModel(transformers.AutoModelForImageTextToText.from_pretrained(path), processor)
    answer = model.read(asked())
    assert (answer.reasoning, answer.text) == ("why", "so")
    chunks = list(model.stream(asked()))
    assert ("".join(c.reasoning for c in chunks), "".join(c.text for c in chunks)) == ("why", "so")


@pytest.mark.parametrize(("vision", "text"), [("zai-org/Glyph", "abcd"), (None, GLM_SAID.partition("</think>\n")[2])])
def test_marks_of_a_family_are_no_part_of_its_answers(checkpoint: Checkpoints, vision: str | None, text: str) -> None:
    said = GLM_SAID.replace("</think>\n", "</think>")  # a new line ends the prompt
    model = TransformersModel(checkpoint.reciter(said), vision=vision)
    answer = model.read(asked())
    assert (answer.reasoning, answer.text) == ("why", text)
    assert "".join(c.text for c in model.stream(asked())) == text


def test_sampling_is_by_request_and_by_seed(qwen: TransformersModel) -> None:
    import torch

    turns, hot = asked(), {"temperature": 5.0, "top_k": 0, "top_p": 1.0}
    assert qwen.read(turns) == qwen.read(turns, temperature=0)
    state = torch.get_rng_state()
    first, again = qwen.read(turns, seed=3, **hot), qwen.read(turns, seed=3, **hot)
    assert torch.equal(state, torch.get_rng_state())  # nobody else's random numbers change
    assert first == again
    assert len({qwen.read(turns, seed=seed, **hot).text for seed in range(4)}) > 1
    assert qwen.read_many([turns, turns], seed=1, **hot) == qwen.read_many([turns, turns], seed=1, **hot)


def test_a_wrong_option_is_an_error(checkpoint: Checkpoints, qwen: TransformersModel) -> None:
    with pytest.raises(TypeError, match="no option 'temprature'"):
        TransformersModel(checkpoint("qwen2.5-vl"), temprature=1)
    with pytest.raises(ValueError, match="batch_size=0"):
        TransformersModel(checkpoint("qwen2.5-vl"), batch_size=0)
    with pytest.raises(ModelError, match="temperature"):
        qwen.read(asked(), temperature=-1.0)
    with pytest.raises(ModelError, match="max_tokens=0"):
        qwen.read(asked(), max_tokens=0)


# -- prompts --------------------------------------------------------------------------------------------------------------


def prompt_text(family: str, turns: Sequence[Turn], **options: Any) -> str:
    processor = chat_processor(family)
    template = ChatTemplate(processor, VisionProfile.get(family).chat, lambda part: RENDERER.draw(part.page))
    return template.prompt(turns, options).text


TALK = [
    Turn("system", "Be brief."), Turn("user", "Hello."), Turn("assistant", "Yes?"), Turn("user", [picture(), TextPart("Who?")]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("family", "text"),
    [
        ("glm-4.1v", "[gMASK]<sop><|system|>\nBe brief.<|user|>\nHello.<|assistant|>\nYes?<|user|>\n<|begin_of_image|><|image|>"
                     "<|end_of_image|>Who?<|assistant|>\n"),
        ("qwen3-vl", "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHello.<|im_end|>\n<|im_start|>assistant\nYes?"
                     "<|im_end|>\n<|im_start|>user\n<|vision_start|><|image_pad|><|vision_end|>Who?<|im_end|>\n"
                     "<|im_start|>assistant\n"),
        ("pixtral", "<s>[INST]Be brief.\n\nHello.[/INST]Yes?</s>[INST][IMG]Who?[/INST]"),
        ("smolvlm", "<|im_start|>System: Be brief.<end_of_utterance>\nUser: Hello.<end_of_utterance>\nAssistant: Yes?"
                    "<end_of_utterance>\nUser:<image>Who?<end_of_utterance>\nAssistant:"),
    ],
)  # fmt: skip
def test_each_chat_template_gets_turns_in_its_own_form(family: str, text: str) -> None:
    assert prompt_text(family, TALK) == text


@pytest.mark.parametrize("family", CHATTING)
def test_tool_results_and_calls_become_text_and_user_turns_alternate(family: str) -> None:
    call = ToolCall("c1", "search", '{"q": "ferry"}')
    turns = [
        Turn("user", "Find it."), Turn("assistant", "", [call]), Turn("tool", "A copy.", tool_call_id="c1", name="search"),
        Turn("user", QUESTION), Turn("assistant", [OpaquePart({"type": "reasoning"}), TextPart("Yes.")]), Turn("user", "Sure?"),
    ]  # fmt: skip
    text = prompt_text(family, turns)
    assert 'Call of search: {"q": "ferry"}' in text
    assert f"Result of search:\nA copy.\n\n{QUESTION}" in text


@pytest.mark.parametrize("family", CHATTING)
def test_control_tokens_in_a_text_are_text(family: str, model_of: Any) -> None:
    model = model_of(family)
    tokens = [t.content for t in model.processor.tokenizer.added_tokens_decoder.values() if t.special]
    plain = model.read(asked(picture()))
    attack = model.read(asked(picture(), question=QUESTION + "".join(tokens)))
    assert attack.usage is not None and plain.usage is not None
    assert attack.usage.image_tokens == plain.usage.image_tokens
    assert attack.usage.input_tokens >= plain.usage.input_tokens + sum(map(len, tokens))  # spelled out, a token a letter


def test_template_options_reach_the_template(checkpoint: Checkpoints) -> None:
    path = checkpoint("qwen2.5-vl")
    processor = transformers.AutoProcessor.from_pretrained(path)
    processor.chat_template += "{% if enable_thinking is defined and not enable_thinking %}12345{% endif %}"
    model = TransformersModel(transformers.AutoModelForImageTextToText.from_pretrained(path), processor, max_tokens=2)
    plain, without = model.read(asked()), model.read(asked(), chat_template_kwargs={"enable_thinking": False})
    assert plain.usage is not None and without.usage is not None
    assert without.usage.input_tokens == plain.usage.input_tokens + 5


@pytest.mark.parametrize("mode", ["L", "1", "RGBA", "P"])
def test_pictures_of_any_mode_are_read(qwen: TransformersModel, mode: str) -> None:
    assert qwen.read(asked(picture(mode=mode))).usage == qwen.read(asked(picture())).usage


def test_pages_of_a_system_turn_are_shown_in_the_user_turn(qwen: TransformersModel) -> None:
    moved = qwen.read([Turn("system", [TextPart("Use this:"), page()]), Turn("user", QUESTION)])
    assert moved.usage is not None and moved.usage.image_tokens == qwen.vision.count(*RENDERER.size(FULL, 72, qwen.vision))


@pytest.mark.parametrize(
    ("part", "message"),
    [
        (PicturePart(b"no picture"), "a picture of 10 bytes"),
        (
            OpaquePart({"type": "image_url", "image_url": {"url": "http://10.0.0.1/x.png"}}),
            r"10\.0\.0\.1/x\.png.* is not fetched",
        ),
        (OpaquePart({"type": "input_audio"}), "leave it out"),
        (picture(4, 1200), "200 times"),
    ],
)
def test_parts_that_cannot_be_sent_are_errors(qwen: TransformersModel, part: Part, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        qwen.read(asked(part))
    with pytest.raises(ModelError, match=message):
        next(iter(qwen.stream(asked(part))))


def test_a_prompt_beyond_the_context_window_is_an_error(checkpoint: Checkpoints) -> None:
    profile = replace(VisionProfile.get("qwen2.5-vl"), context_window=1000)
    model = TransformersModel(checkpoint("qwen2.5-vl"), vision=profile)
    with pytest.raises(ModelError, match=r"takes 1,\d{3} tokens, of these \d+ for 1 pictures, .* has 1,000; send fewer pages"):
        model.read(asked(page(), question="a" * 900))
    nearly = model.read(asked(question="a" * 970))
    assert nearly.stop_reason == "length" and nearly.usage is not None and sum(nearly.usage[:2]) == 1000


def test_a_transcriber_is_sent_one_picture_and_its_own_words(model_of: Any, glyph_log: pytest.LogCaptureFixture) -> None:
    _say_once.cache_clear()
    model = model_of("deepseek-ocr-2")
    free = model.read(asked(picture(), question="Free OCR."))
    assert model.read(asked(picture())).usage == free.usage
    assert "only writes down what a picture shows" in glyph_log.text
    marked = model.read(asked(picture(), question="<|grounding|>Convert the document to markdown."))
    assert marked.usage.input_tokens == free.usage.input_tokens + len("Convert the document to markdown.") + 1 - len(
        "Free OCR."
    )
    for pictures in ([], [picture(), picture()]):
        with pytest.raises(ModelError, match=f"it was sent {len(pictures)} pictures"):
            model.read(asked(*pictures))


def test_tools_are_not_offered_which_is_said_once(checkpoint: Checkpoints, glyph_log: pytest.LogCaptureFixture) -> None:
    model = TransformersModel(checkpoint("qwen2.5-vl"), max_tokens=2)
    tools = [{"type": "function", "function": {"name": "search", "parameters": {}}}]
    assert model.read(asked(), tools=tools).text == model.read(asked(), tools=tools).text
    assert len([m for m in glyph_log.messages if "does not call them" in m]) == 1


# -- batches and memory ---------------------------------------------------------------------------------------------------


class Watched:
    """A model whose calls of ``generate`` are counted, and may fail as those of a GPU do."""

    def __init__(self, model: TransformersModel, most: int = 99) -> None:
        self.sizes: list[int] = []
        self.most = most
        self.steps = 0
        inner = model._checkpoint.model
        self._generate = inner.generate
        inner.generate = self

    def __call__(self, **inputs: Any) -> Any:
        import torch

        self.sizes.append(len(inputs["input_ids"]))
        if self.sizes[-1] > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")
        (watch,) = inputs["stopping_criteria"]
        inputs["stopping_criteria"][:] = [lambda *a, **k: (setattr(self, "steps", self.steps + 1), watch(*a, **k))[1]]
        return self._generate(**inputs)


@pytest.fixture
def fresh(checkpoint: Checkpoints) -> TransformersModel:
    return TransformersModel(checkpoint("qwen2.5-vl"), max_tokens=2, batch_size=4, max_pixels=3 * 168 * 112)


def test_batches_keep_their_limits(fresh: TransformersModel) -> None:
    watched = Watched(fresh)
    alone = fresh.read(asked(picture()))
    assert fresh.read_many([asked(picture())] * 7) == [alone] * 7
    assert watched.sizes == [1, 3, 3, 1]  # by pixels
    watched.sizes.clear()
    fresh.read_many([asked()] * 6)
    assert watched.sizes == [4, 2]  # by number
    watched.sizes.clear()
    fresh.read_many([asked(picture(672, 448)), asked(picture())])
    assert watched.sizes == [1, 1]  # too many pixels for any company


def test_calls_that_wait_are_read_together(fresh: TransformersModel) -> None:
    watched = Watched(fresh)
    expected = fresh.read(asked())
    stream = fresh.stream(asked(), max_tokens=400, min_tokens=400)
    next(stream)  # the model is busy now
    answers: list[Answer] = []
    threads = [threading.Thread(target=lambda: answers.append(fresh.read(asked()))) for _ in range(3)]
    for thread in threads:
        thread.start()
    while len(fresh._queue._waiting) < 3:
        time.sleep(0.001)
    stream.close()
    for thread in threads:
        thread.join(10)
    assert answers == [expected] * 3
    assert watched.sizes == [1, 1, 3]


@pytest.mark.slow
def test_when_the_memory_does_not_suffice_batches_get_smaller(
    fresh: TransformersModel, glyph_log: pytest.LogCaptureFixture
) -> None:
    watched = Watched(fresh, most=1)
    expected = fresh.read(asked())
    assert fresh.read_many([asked()] * 5) == [expected] * 5
    assert watched.sizes == [1, 4, 2, 1, 1, 1, 1, 1]
    assert ["from now on at most 2" in m or "from now on at most 1" in m for m in glyph_log.messages] == [True, True]


@pytest.mark.slow
async def test_a_prompt_that_does_not_fit_the_memory_alone_is_an_error(fresh: TransformersModel) -> None:
    Watched(fresh, most=0)
    match = r"out of memory on cpu with a single prompt of \d+ tokens \(1 pictures, 0\.0 megapixels\); send fewer pages"
    with pytest.raises(ModelError, match=match):
        fresh.read(asked(picture()))
    with pytest.raises(ModelError, match="out of memory"):
        list(fresh.stream(asked()))
    with pytest.raises(ModelError, match="out of memory"):
        _ = [chunk async for chunk in fresh.astream(asked())]


async def test_errors_while_generating_come_out_of_every_door(fresh: TransformersModel) -> None:
    def fail(**_: Any) -> None:
        raise RuntimeError("device-side assert triggered")

    fresh._checkpoint.model.generate = fail
    match = r"the model failed while answering \(RuntimeError: device-side assert triggered\)"
    with pytest.raises(ModelError, match=match):
        fresh.read(asked())
    with pytest.raises(ModelError, match=match):
        await fresh.aread(asked())
    with pytest.raises(ModelError, match=match):
        list(fresh.stream(asked()))
    with pytest.raises(ModelError, match=match):
        _ = [chunk async for chunk in fresh.astream(asked())]


def reading_threads() -> Iterator[threading.Thread]:
    return (thread for thread in threading.enumerate() if thread.name == "glyph-reading")


def test_closing_a_stream_stops_the_model(fresh: TransformersModel) -> None:
    watched = Watched(fresh)
    stream = fresh.stream(asked(), max_tokens=20_000, min_tokens=20_000)
    assert next(stream).text
    stream.close()
    for thread in reading_threads():
        thread.join(10)
    assert watched.steps < 2000
    assert fresh.read(asked()).text


async def test_leaving_an_async_stream_or_cancelling_a_read_stops_the_model(fresh: TransformersModel) -> None:
    watched = Watched(fresh)
    stream = fresh.astream(asked(), max_tokens=20_000, min_tokens=20_000)
    async for _ in stream:
        break
    await stream.aclose()  # type: ignore[attr-defined]
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(fresh.aread(asked(), max_tokens=20_000, min_tokens=20_000), 0.3)
    assert (await fresh.aread(asked())).text
    assert watched.steps < 4000


# -- loading --------------------------------------------------------------------------------------------------------------


def test_vision_and_window_are_those_of_the_checkpoint(checkpoint: Checkpoints, model_of: Any) -> None:
    assert {family: model_of(family).vision.name for family in SIX} == {family: family for family in SIX}
    assert model_of("glm-4.1v").vision.context_window == 32_768  # of its configuration, not the family's
    assert model_of("deepseek-ocr-2").vision.context_window == 8_192
    path = checkpoint("qwen3-vl")
    processor = transformers.AutoProcessor.from_pretrained(path)
    processor.image_processor.size = {"shortest_edge": 65_536, "longest_edge": 32 * 32 * 100}
    own = TransformersModel(transformers.AutoModelForImageTextToText.from_pretrained(path), processor, max_tokens=2)
    assert own.vision.count(588, 840) <= 102 < VisionProfile.get("qwen3-vl").count(588, 840)
    assert own.vision.chat == VisionProfile.get("qwen3-vl").chat


def test_a_profile_that_counts_wrongly_is_said_once(checkpoint: Checkpoints, glyph_log: pytest.LogCaptureFixture) -> None:
    model = TransformersModel(checkpoint("qwen2.5-vl"), vision="qwen3-vl", max_tokens=2)
    answer = model.read(asked(page()))
    model.read(asked(page()))
    assert answer.usage is not None and answer.usage.image_tokens == VisionProfile.get("qwen2.5-vl").count(
        *RENDERER.size(FULL, 72, "qwen3-vl")
    )
    assert [m for m in glyph_log.messages if "the vision profile qwen3-vl counts" in m] == glyph_log.messages != []
    assert len(glyph_log.messages) == 1


def test_weights_are_loaded_as_asked(checkpoint: Checkpoints, qwen: TransformersModel) -> None:
    assert (qwen.device, qwen.dtype) == ("cpu", "float32")
    half = TransformersModel(checkpoint("qwen2.5-vl"), device="cpu", dtype="bfloat16", max_tokens=2)
    assert half.dtype == "bfloat16"
    assert half.read(asked(picture())).usage.output_tokens == 2  # type: ignore[union-attr]


def test_what_cannot_be_loaded_is_our_own_error(checkpoint: Checkpoints, tmp_path: Path) -> None:
    path = checkpoint("qwen2.5-vl")
    with pytest.raises(ModelError, match=r"cannot load .*nowhere.*check the name or folder"):
        TransformersModel(tmp_path / "nowhere")
    with pytest.raises(ModelError, match="cannot load"):
        TransformersModel(path, device="toaster")
    with pytest.raises(ModelError, match="cannot load"):
        TransformersModel(path, dtype="int12")
    with pytest.raises(UnknownModelError):
        TransformersModel(path, vision="nobody/knows-this")
    loaded = transformers.AutoModelForImageTextToText.from_pretrained(path)
    with pytest.raises(ModelError, match="needs its processor"):
        TransformersModel(loaded)
    processor = transformers.AutoProcessor.from_pretrained(path)
    with pytest.raises(ModelError, match="no processor of text and pictures"):
        TransformersModel(loaded, processor.tokenizer)
    processor.chat_template = None
    with pytest.raises(ModelError, match="has no chat template"):
        TransformersModel(loaded, processor)


@pytest.mark.parametrize("package", ["torch", "transformers"])
def test_without_the_libraries_the_extra_is_named(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == package else find_spec(name))
    with pytest.raises(
        MissingExtraError, match=rf"{package} is not installed; run: pip install 'glyph-integrations\[transformers\]'"
    ):
        TransformersModel("zai-org/Glyph")
