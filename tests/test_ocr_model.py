"""`OcrModel` sees pixels only, quotes what it read of them, and says what it cannot read."""

from __future__ import annotations

import asyncio
import builtins
import dataclasses
import socket
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ocr_server import shared_reader
from PIL import Image

from glyph_integrations import ContextBuilder, OcrModel, Page, PageStyle, Renderer
from glyph_integrations.errors import MissingExtraError, ModelError, PictureSizeError, UnknownModelError
from glyph_integrations.ocr import CachedReader, Reader, Stretch, transcribe
from glyph_integrations.reading import Answer, OpaquePart, PageModel, PagePart, PicturePart, TextPart, Turn, verify_answer
from glyph_integrations.reading.models.ocr import NOTHING_READ
from glyph_integrations.reading.models.quoting import NO_ANSWER
from glyph_integrations.style import PRESETS

PROSE = (
    "The keeper of the light at Amrum was called Johannes by everyone on the island, though he had been christened Hinrich. "
    "His sister Elke baked bread for the harbour, and sold it from a blue cart before the sun was up.\n\n"
    "In the winter of the great storm the ferry did not sail for nineteen days, and the mail lay in sacks at Dagebüll. "
    "Nobody complained, for the pastor had taught them to read the old almanacs aloud to each other by the stove."
)
QUESTION = "What was the keeper of the light at Amrum called?"
CODE = "a3f8c1d2-94e7-4b06-8d15-7e2f9c0b6a41"


class Fixed:
    """An engine that reads the same lines on every picture, and counts its pictures."""

    scripts: tuple[str, ...] = ()

    def __init__(self, *lines: str, name: str = "fixed 1") -> None:
        self.lines = lines
        self.name = name
        self.pictures: list[Image.Image] = []

    def read(self, image: Image.Image) -> list[Stretch]:
        self.pictures.append(image)
        width = image.width - 16
        return [Stretch(line, 20.0 * n, 20.0 * n + 20, 16, width) for n, line in enumerate(self.lines, 1)]


def page(text: str = PROSE, number: int = 3, **style: Any) -> Page:
    return dataclasses.replace(next(Renderer(PageStyle(**style)).paginate(text, source="amrum.txt")), number=number)


def png(image: Image.Image, form: str = "PNG") -> bytes:
    data = BytesIO()
    image.save(data, form)
    return data.getvalue()


def ask(model: OcrModel, *parts: Any, question: str = QUESTION, **options: Any) -> Answer:
    return model.read([Turn("user", [*parts, TextPart(question)])], **options)


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Reader:
    pytest.importorskip("rapidocr", reason="the extra ocr is not installed")
    pytest.importorskip("onnxruntime", reason="the extra ocr is not installed")

    def refuse(*_: object) -> None:
        raise AssertionError("an engine went to the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    return shared_reader()


# -- pictures of text, cut and put together ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PRESETS)
def test_a_full_page_is_cut_between_lines_into_crops_of_at_most_twelve(name: str) -> None:
    style = PageStyle.preset(name).replace(newline="keep")
    renderer = Renderer(style)
    paragraphs = [" ".join(PROSE.split())[: 150 + 97 * n % 250] for n in range(60)]
    full = next(renderer.paginate("\n\n".join(paragraphs)))
    engine = Fixed()
    transcribe(renderer.draw(full), engine)
    inked = sum(1 for line in full.lines if line)
    left, right = (limit(box for line in full.lines for f in line for box in (f.x, f.x + f.width)) for limit in (min, max))
    across = (right - left) * min(2, 24 / (style.line_height * style.dpi / 72))
    assert inked / 12 <= len(engine.pictures) <= inked / 12 * 1.5 + 1
    for picture in engine.pictures:
        values = np.asarray(picture).astype(int)
        ink = np.abs(values - values[0, 0]) > 32
        assert (
            values.shape[0] <= 12.6 * 24 + 32
            and 0.8 < (values.shape[1] - 32) / across < 1.25
            and not ink[:14].any()
            and not ink[-14:].any()
        )


@pytest.mark.parametrize("height", [2, 5, 11, 12])
@pytest.mark.parametrize(
    "style", [PageStyle(), PageStyle.preset("cjk-96"), PageStyle(dpi=150, font_size=30, line_height=36)], ids=str
)
def test_tight_lines_are_told_from_large_type(style: PageStyle, height: int) -> None:
    renderer = Renderer(style.replace(height=20 + height * style.line_height))
    paragraph = " ".join(PROSE.split()) * 4
    for full in list(renderer.paginate(paragraph))[:-1]:  # lines without a blank between them
        engine = Fixed()
        drawn = renderer.draw(full)
        transcribe(drawn, engine)
        wide = max(f.x + f.width for line in full.lines for f in line) - min(f.x for line in full.lines for f in line)
        scale = (engine.pictures[0].width - 32) / wide
        assert scale == pytest.approx(min(2, max(0.5, 24 * 72 / style.dpi / style.line_height)), rel=0.25)


def test_lines_of_a_paragraph_are_joined_and_short_lines_end_one() -> None:
    long, pixels = "x" * 40, np.full((200, 400), 255, np.uint8)
    pixels[10:190, 10:390] = 0

    def read(*stretches: Stretch) -> str:
        class Engine(Fixed):
            def read(self, image: Image.Image) -> list[Stretch]:
                return list(stretches)

        return transcribe(Image.fromarray(pixels), Engine())

    def line(text: str, n: float, left: float = 0, right: float = 300) -> Stretch:
        return Stretch(text, 20 * n, 20 * n + 18, left, right)

    assert read(line(long, 1), line("short", 2, 0, 90), line("next", 3)) == f"{long} short\nnext"
    assert read(line("a", 1), line("b", 2), line("c", 3), line("d", 4.6), line("e", 5.6)) == "a b c\n\nd e"
    assert read(line("right", 1.1, 150), line("left", 1, 0, 140), line("under", 2)) == "left right under"
    assert read(line("half-", 1), line("hearted", 2), line("-", 3), line("x", 4)) == "half-hearted - x"
    assert read(line("他在院中", 1), line("种了三棵树", 2), line("ok", 3)) == "他在院中种了三棵树ok"
    assert read(line("  ", 1)) == read() == ""


@settings(max_examples=60)
@given(
    st.integers(1, 60), st.integers(1, 60), st.integers(0, 2**32 - 1), st.sampled_from(["noise", "specks", "white", "black"])
)
def test_any_picture_can_be_given(width: int, height: int, seed: int, kind: str) -> None:
    dice = np.random.default_rng(seed)
    values = {"white": 255, "black": 0, "specks": 255}.get(kind)
    pixels = dice.integers(0, 256, (height, width), np.uint8) if values is None else np.full((height, width), values, np.uint8)
    if kind == "specks":
        pixels[dice.random(pixels.shape) < 0.03] = 0
    engine = Fixed("something")
    assert transcribe(Image.fromarray(pixels), engine).split() == ["something"] * len(engine.pictures)
    if kind in ("white", "black"):
        assert not engine.pictures  # nothing to read is not sent to the engine


def test_what_is_transparent_is_paper() -> None:
    picture = Image.new("RGBA", (80, 40), (0, 0, 0, 0))
    engine = Fixed("x")
    assert transcribe(picture, engine) == "" and not engine.pictures
    picture.paste((0, 0, 0, 255), (10, 10, 70, 20))
    assert transcribe(picture, engine) == "x"
    assert engine.pictures[0].getpixel((0, 0)) == 255


# -- pixels, and nothing but pixels -----------------------------------------------------------------------------------------


def test_a_page_is_read_from_its_pixels_and_quoted_with_its_label(engine: Reader) -> None:
    model = OcrModel(engine)
    assert isinstance(model, PageModel) and model.name.startswith("rapidocr 3") and model.vision is not None
    drawn = page()
    answer = ask(model, PagePart(drawn))
    assert answer.text.startswith("“The keeper of the light at Amrum was called Johannes") and answer.text.endswith("(Page 3)")
    (citation,) = verify_answer(answer.text, [drawn])
    assert citation.page is drawn and (citation.verified or citation.repaired)
    turns, report = ContextBuilder("glyph").build(QUESTION, [page(PROSE * 3)])
    usage = model.read(turns).usage
    assert report.images and usage is not None and usage.input_tokens == report.tokens > usage.output_tokens > 0


def test_a_picture_of_any_kind_is_read_like_a_page(engine: Reader) -> None:
    model, drawn = OcrModel(engine), page()
    image = Renderer().draw(drawn, vision="glyph")
    expected = model.transcribe(PagePart(drawn))
    assert "nineteen days" in expected and expected.count("\n\n") == 1
    assert model.transcribe(PicturePart(png(image))) == expected
    assert model.transcribe(PicturePart(png(image.convert("RGBA")))) == expected
    labelled = ask(model, TextPart("Page 8"), PicturePart(png(image)))
    assert labelled.text.endswith("(Page 8)") and "Johannes" in labelled.text
    assert ask(model, PicturePart(png(image))).text.endswith("”")


def test_what_is_not_drawn_is_not_known(engine: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    model = OcrModel(engine)
    shown = model._gate.png(PagePart(page()))
    other = page("The harbour master of Husum was called Momme. " * 12)
    monkeypatch.setattr(model._gate, "png", lambda part: shown)
    assert "Johannes" in ask(model, PagePart(other)).text
    assert "Momme" not in model.transcribe(PagePart(other))


def test_chinese_pages_are_read(engine: Reader) -> None:
    text = "孙悟空从东海龙王那里得了一件兵器，名叫如意金箍棒，重一万三千五百斤。\n猪八戒使的是九齿钉耙，沙僧用的是降妖宝杖。"
    drawn = page(text, 5, font_size=10, line_height=12, newline="keep")
    if drawn.missing:
        pytest.skip("no font with Chinese characters is installed")
    answer = ask(OcrModel(engine), PagePart(drawn), question="如意金箍棒有多重？")
    assert "一万三千五百斤" in answer.text and answer.text.endswith("(Page 5)")


# -- answers ------------------------------------------------------------------------------------------------------------------


def test_the_question_is_told_from_labels_and_exact_strings() -> None:
    model = OcrModel(Fixed("The keeper was called Johannes.", "Exact strings and pages are of no interest to him."))
    parts = [
        TextPart("Exact strings on these pages:\nPage 3: 1734"),
        TextPart("Page 3"),
        PicturePart(model._gate.png(PagePart(page()))),
    ]
    for turns in (
        [Turn("user", [*parts, TextPart(QUESTION)])],
        [Turn("user", QUESTION), Turn("assistant", ""), Turn("user", parts)],  # pages of a tool result
        [Turn("user", [TextPart(QUESTION), parts[2]])],  # as people write
    ):
        assert "“The keeper was called Johannes." in model.read(turns).text


def test_a_misread_is_quoted_as_read_and_an_exact_string_replaces_what_was_read_of_it() -> None:
    read = CODE.replace("1", "l", 1).replace("06", "O6").replace("-7e", " -7e")
    model = OcrModel(Fixed(f"The receipt for the blue cart has the number {read}, and was paid.", "Nobody read it again."))
    drawn, question = page(), "What number does the receipt for the blue cart have?"
    alone = ask(model, TextPart("Page 3"), PagePart(drawn), question=question)
    assert read in alone.text and CODE not in alone.text
    for label, given_ in (("Page 3", True), ("Page 4", False)):
        sidecar = TextPart(f"Exact strings on these pages:\n{label}: 24.50 | {CODE}\nPage 9: 1234567890")
        helped = ask(model, sidecar, TextPart("Page 3"), PagePart(drawn), question=question)
        assert (f"the number {CODE}, and was paid." in helped.text) == given_
    far = TextPart(f"Exact strings on these pages:\nPage 3: {CODE[::-1]} | 1899")
    assert read in ask(model, far, TextPart("Page 3"), PagePart(drawn), question=question).text


def test_it_says_when_nothing_can_be_read_and_when_nothing_matches() -> None:
    blank = Image.new("L", (588, 140), 255)
    model = OcrModel(Fixed())
    assert ask(model, PicturePart(png(blank))).text == NOTHING_READ
    assert ask(model, PagePart(page())).text == NOTHING_READ
    assert ask(OcrModel(Fixed("The ferry sails.")), PagePart(page())).text == NO_ANSWER
    assert model.read([Turn("user", "Who?")]).text == NO_ANSWER
    text_too = ask(model, PicturePart(png(blank)), TextPart(f"Page 8\n{PROSE}"))
    assert text_too.text.endswith("(Page 8)")  # pages sent as text are read as text


def test_limits_and_stops_are_kept() -> None:
    model = OcrModel(Fixed("The keeper of the light was called Johannes by everyone."))
    short = ask(model, PagePart(page()), max_tokens=4)
    assert short.stop_reason == "length" and short.usage is not None and short.usage.output_tokens <= 4
    assert ask(model, PagePart(page()), stop=["Johannes"]).text == "“The keeper of the light was called "


async def test_streams_and_asynchronous_readings_give_the_same_answer() -> None:
    model = OcrModel(Fixed("The keeper of the light was called Johannes by everyone."))
    turns = [Turn("user", [PagePart(page()), TextPart(QUESTION)])]
    answer, again = await asyncio.gather(model.aread(turns), model.aread(turns))
    assert answer == again == model.read(turns) == Answer.from_chunks(model.stream(turns))
    assert [c async for c in model.astream(turns)] == list(model.stream(turns))


def test_no_stretch_of_lines_is_read_twice(tmp_path: Path) -> None:
    first = Fixed("The keeper of the light was called Johannes.")
    model = OcrModel(first, cache=tmp_path / "readings")
    answer = ask(model, PagePart(page()))
    assert ask(model, PicturePart(model._gate.png(PagePart(page(number=9))))).text.startswith(answer.text.split(" (")[0])
    assert len(first.pictures) == 1 == len(list((tmp_path / "readings").iterdir()))
    second = Fixed("Something else.")
    assert ask(OcrModel(second, cache=tmp_path / "readings"), PagePart(page())).text == answer.text and not second.pictures
    other = Fixed("The keeper of the light was called Hinrich.", name="fixed 2")
    assert "Hinrich" in ask(OcrModel(other, cache=tmp_path / "readings"), PagePart(page())).text


def test_threads_wait_for_one_reading_and_old_readings_are_forgotten() -> None:
    engine = Fixed("something")
    reader = CachedReader(engine, limit=2)
    pictures = [Image.new("L", (30, 20 + n), 255) for n in range(3)]
    with ThreadPoolExecutor(8) as pool:
        assert len({str(found) for found in pool.map(reader.read, [pictures[0]] * 40)}) == 1
    assert len(engine.pictures) == 1
    for picture in (pictures[1], pictures[0], pictures[2], pictures[0]):  # the second is the one used longest ago
        reader.read(picture)
    assert len(engine.pictures) == 3
    reader.read(pictures[1])
    assert len(engine.pictures) == 4


# -- bad input --------------------------------------------------------------------------------------------------------------


def test_pictures_of_absurd_size_and_broken_ones_are_refused() -> None:
    model = OcrModel(Fixed("x"))
    wide = png(Image.new("1", (30_000, 2)))
    huge = png(Image.new("1", (7_000, 7_000)))
    for data in (wide, huge):
        with pytest.raises(PictureSizeError, match="too large to be read; send at most 40,000,000 pixels"):
            ask(model, PicturePart(data))
    # a file of a few bytes that claims to be a billion pixels
    claimed = bytearray(png(Image.new("1", (8, 8))))
    claimed[16:24] = (100_000).to_bytes(4, "big") * 2
    with pytest.raises((PictureSizeError, ModelError), match=r"too large|cannot be opened"):
        ask(model, PicturePart(bytes(claimed)))
    whole = png(Renderer().draw(page()))
    for data in (b"", b"<svg/>", b"%PDF-1.7", whole[: len(whole) // 2]):
        with pytest.raises(ModelError, match=f"picture of {len(data):,} bytes cannot be opened.*whole PNG or JPEG"):
            ask(model, PicturePart(data))


@pytest.mark.parametrize(
    "block",
    [
        {"type": "image_url", "image_url": {"url": "http://169.254.169.254/latest/meta-data"}},
        {"type": "image_url", "image_url": "http://10.0.0.7/x.png"},
        {"type": "input_image", "image_url": "file:///etc/passwd"},
        {"type": "image", "source": {"type": "url", "url": "http://127.0.0.1/x.png"}},
        {"type": "image", "url": "https://intranet/x.png"},
    ],
)
def test_pictures_given_by_their_address_are_not_fetched(block: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket.socket, "connect", lambda *_: pytest.fail("something was fetched"))
    with pytest.raises(ModelError, match="is not fetched; send its bytes or a data URL"):
        ask(OcrModel(Fixed("x")), OpaquePart(block))
    harmless = {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}
    assert ask(OcrModel(Fixed("x")), OpaquePart(harmless)).text == NO_ANSWER


def test_without_the_extra_and_with_an_unknown_model_it_is_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UnknownModelError):
        OcrModel(Fixed(), vision="nobody/knows-this")
    real = builtins.__import__

    def absent(name: str, *rest: Any) -> Any:
        if name.partition(".")[0] == "rapidocr":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(MissingExtraError, match=r"glyph-integrations\[ocr\]"):
        OcrModel()
    OcrModel(Fixed())  # needs no extra
