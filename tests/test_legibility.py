"""Legibility: texts compared, pages sampled and read back, engines and the command."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest
from glyph_command import error_of, isolate, ok, write_story
from hypothesis import assume, given
from hypothesis import strategies as st
from PIL import Image

from glyph_integrations import PageStyle, Renderer, VisionProfile, open_document
from glyph_integrations.errors import DocumentError, ModelError, UnknownModelError
from glyph_integrations.rendering.fonts import FontSet
from glyph_integrations.style import PRESETS
from glyph_integrations.tuning import (
    CachedReader,
    Confusion,
    Legibility,
    LineReading,
    RapidOcrReader,
    Stretch,
    TesseractReader,
    measure_legibility,
    open_reader,
)
from glyph_integrations.tuning.edit_distance import edits, normalize
from glyph_integrations.tuning.legibility import assign, draw_crop, drawn_text, split_into_crops

PROSE = "\n\n".join(
    f"Paragraph {n} tells of the ferry, which crossed the grey water twice a day while nobody on the island counted its {n} "
    "passengers; the keeper of the light did, and wrote the sums into a book that he showed to no one." * 3
    for n in range(1, 40)
)
short = st.text(alphabet="abc d漢e\u0301", max_size=12)


# -- texts compared -------------------------------------------------------------------------------------------------------


@cache
def levenshtein(a: str, b: str) -> int:
    """By its definition."""
    if not a or not b:
        return len(a) + len(b)
    return min(levenshtein(a[1:], b) + 1, levenshtein(a, b[1:]) + 1, levenshtein(a[1:], b[1:]) + (a[0] != b[0]))


@given(short, short)
def test_edits_make_one_text_of_the_other_at_the_least_cost(text: str, read: str) -> None:
    found = edits(text, read)
    made, at = "", 0
    for edit in found:
        made += text[at : edit.start] + edit.read
        at = edit.end
    assert made + text[at:] == read
    assert sum(edit.cost for edit in found) == levenshtein(text, read)
    assert all(edit.cost > 0 for edit in found)
    assert all(before.end < after.start for before, after in pairwise(found))  # neighbours are one


@given(st.text(max_size=40), st.text(max_size=40), st.text(max_size=40))
def test_edit_cost_is_a_distance(a: str, b: str, c: str) -> None:
    def cost(x: str, y: str) -> int:
        return sum(edit.cost for edit in edits(x, y))

    assert (cost(a, b) == 0) == (a == b)
    assert cost(a, b) == cost(b, a) <= cost(a, c) + cost(c, b)


def test_neighbouring_errors_are_one_confusion() -> None:
    assert edits("the barn burns", "the bam burns") == [(6, 8, "m")]
    assert edits("", "ab") == [(0, 0, "ab")]
    assert edits("ab", "") == [(0, 2, "")]


@given(st.text())
def test_normalised_text_has_single_inner_spaces_and_nothing_without_ink(text: str) -> None:
    plain = normalize(text)
    assert plain == plain.strip()
    assert "  " not in plain and not set(plain) & set("\n\t\u00a0\u200b\u200f“”‘’")
    assert normalize(f" {text}\u200e\n") == plain


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("“It’s ‘here’”", "\"It's 'here'\""),
        ("a  b\tc\n", "a b c"),
        ("他说：“好，”（真的）！", '他 说:"好,"(真的)!'),
        ("ﬁne ｗｉｄｅ", "fine wide"),
        ("ไทย ภาษา", "ไทยภาษา"),
        ("\u200fשלום\u200e", "שלום"),
    ],
)
def test_texts_that_look_alike_are_equal(one: str, other: str) -> None:
    assert normalize(one) == normalize(other)


@pytest.mark.parametrize(
    ("one", "other"), [("l", "I"), ("0", "O"), (".", ","), ("a b", "ab"), ("é", "e"), ("-", "—"), ("`", "'")]
)
def test_texts_that_do_not_look_alike_differ(one: str, other: str) -> None:
    assert normalize(one) != normalize(other)


@given(st.lists(st.integers(1, 30), min_size=1, max_size=12), st.randoms(use_true_random=False))
def test_what_was_read_goes_to_the_line_where_it_stands(heights: list[int], dice: object) -> None:
    rows, at = {}, 0.0
    for line, height in enumerate(heights, 1):
        rows[line] = (at, at + height)
        at += height
    stretches = [Stretch(f"{line}{half}", top, bottom) for line, (top, bottom) in rows.items() for half in "ab"]
    assert assign(stretches, rows) == {line: [f"{line}a", f"{line}b"] for line in rows}
    assert assign([Stretch("x", 0, 1)], {}) == {}


# -- what was drawn, and which of it is read -----------------------------------------------------------------------------------


def test_drawn_text_is_what_stands_on_the_line(tmp_path: Path) -> None:
    def lines(text: str, **style: object) -> list[str]:
        path = tmp_path / ("x.md" if text.startswith("#") else "x.txt")
        path.write_text(text, encoding="utf-8")
        (page,) = Renderer(PageStyle().replace(**style)).paginate(open_document(path))
        return [drawn_text(page, n) for n in range(1, len(page.lines) + 1)]

    assert lines("# Title\n\nSome **bold** and `code`.\n")[::2] == ["Title", "Some bold and code."]
    assert lines("a\tb\n\n  c", newline="keep") == ["a b", "", "c"]
    assert lines("one\ntwo", newline="marked") == ["one two"]
    assert lines("אב גד 12 הו", newline="keep") == ["אב גד 12 הו"]  # in logical order


class Blank:
    """An engine that finds nothing to read, and counts its pictures."""

    name = "blank 1"
    scripts: tuple[str, ...] = ()

    def __init__(self) -> None:
        self.pictures: list[Image.Image] = []

    def read(self, image: Image.Image) -> list[Stretch]:
        self.pictures.append(image)
        return []


@pytest.mark.parametrize("name", PRESETS)
def test_an_engine_that_reads_nothing_misses_every_character(name: str) -> None:
    found = measure_legibility(PROSE, Blank(), PageStyle.preset(name), lines=20)
    assert len(found.lines) == found.unread == 20
    assert found.error_rate == 1 and found.standard_error == 0
    assert found.characters == found.errors == sum(len(line.drawn) for line in found.lines) > 1000
    assert found.style.replace(newline=PRESETS[name].newline) == PRESETS[name]
    renderer = Renderer(PRESETS[name])
    pages = list(renderer.paginate(PROSE))
    cost = sum(VisionProfile.get("glyph").count(*renderer.size(page, vision="glyph")) for page in pages)
    assert found.tokens_per_1000 == pytest.approx(1000 * cost / len(PROSE))
    for line in found.lines:
        assert line.drawn == drawn_text(pages[line.page - 1], line.line) != ""


def test_samples_are_seeded_in_order_and_of_the_size_asked_for() -> None:
    def places(seed: int, lines: int | None) -> list[tuple[int, int]]:
        found = measure_legibility(PROSE, Blank(), lines=lines, seed=seed)
        return [(line.page, line.line) for line in found.lines]

    everything = places(0, None)
    assert places(0, 10_000) == everything
    assert places(1, 17) == places(1, 17) != places(2, 17)
    for count in (1, 12, 13, 30):
        chosen = places(3, count)
        assert len(chosen) == count and chosen == sorted(set(chosen)) and set(chosen) <= set(everything)


def test_styles_are_read_at_the_same_places() -> None:
    text = normalize(PROSE)
    for seed in range(3):
        first, second = (
            measure_legibility(PROSE, Blank(), style, lines=12, seed=seed).lines[0].drawn
            for style in (PageStyle(), PageStyle(font_size=8, line_height=12, width=400))
        )
        assert abs(text.index(first) - text.index(second)) < 1500  # a crop of the wider style


def test_pages_are_read_as_they_are_and_crops_are_enlarged() -> None:
    pages = list(Renderer(PageStyle(dpi=96, newline="keep")).paginate(PROSE))
    engine = Blank()
    seen: list[int] = []

    def track(crops: object) -> Iterator[object]:
        for crop in crops:  # type: ignore[attr-defined]
            seen.append(len(crop.page.lines))
            yield crop

    found = measure_legibility(pages, engine, lines=30, upscale=1.5, track=track)  # type: ignore[arg-type]
    assert found.style == pages[0].style
    assert len(seen) == len(engine.pictures) and max(seen) <= 12
    for picture in engine.pictures:
        assert picture.width == round(784 * 1.5) + 32 and picture.height <= round((12 * 14 + 30) * 1.5) + 32
        assert picture.getpixel((0, 0)) == 255 and picture.getextrema()[0] < 64


def test_what_is_not_text_is_not_in_the_picture() -> None:
    text = "one two\nthree four\n" * 30
    style = PageStyle(newline="marked", label="number")
    renderer = Renderer(style)
    (page,) = renderer.paginate(text)
    (crop, *_) = split_into_crops(page)
    picture = draw_crop(renderer, crop.page)
    marks = [box for at in range(len(page.text)) if page.text[at] == "\n" for _, box in renderer.boxes(crop.page, at, at + 1)]
    assert len(marks) > 10
    assert all(picture.crop(box).getextrema() == (255, 255) for box in marks)
    top = picture.crop((0, 0, picture.width, style.margin_y))
    assert top.getextrema() == (255, 255) and picture.getextrema()[0] == 0


def test_error_rates_and_confusions_are_sums_over_lines() -> None:
    lines = (
        LineReading(1, 1, "the barn", "the bam"),
        LineReading(1, 2, "barnacle", "bamacle"),
        LineReading(1, 3, "ill", "il1"),
        LineReading(1, 4, "x", ""),
        LineReading(2, 1, "clean", "clean"),
    )
    found = Legibility(PageStyle(), "engine", "glyph", lines, 80.0)
    assert [line.errors for line in lines] == [2, 2, 1, 1, 0]
    assert found.characters == 25 and found.errors == 6 and found.error_rate == 6 / 25 and found.unread == 1
    assert found.confusions(2) == [Confusion("rn", "m", 2), Confusion("l", "1", 1)]
    assert len(found.confusions()) == 3
    assert lines[2].error_rate == pytest.approx(1 / 3)
    # residuals 0.08, 0.08, 0.28, 0.76, -1.2; (5/4 * sum of squares) ** 0.5 / 25
    assert found.standard_error == pytest.approx((5 / 4 * (0.08**2 * 2 + 0.28**2 + 0.76**2 + 1.2**2)) ** 0.5 / 25)


@given(st.lists(st.tuples(st.text("abc", min_size=1, max_size=9), st.text("abc", max_size=9)), min_size=1, max_size=9))
def test_the_error_rate_lies_between_those_of_the_lines(pairs: list[tuple[str, str]]) -> None:
    lines = tuple(LineReading(1, n, *pair) for n, pair in enumerate(pairs))
    found = Legibility(PageStyle(), "engine", "glyph", lines, 80.0)
    rates = [line.error_rate for line in lines]
    assert min(rates) - 1e-9 <= found.error_rate <= max(rates) + 1e-9
    assume(len({*rates}) > 1)
    assert found.standard_error > 0


# -- readings kept ----------------------------------------------------------------------------------------------------------


def test_no_picture_is_read_twice(tmp_path: Path) -> None:
    engine = Blank()
    reader = CachedReader(engine, tmp_path / "readings")
    first = measure_legibility(PROSE, reader, lines=20)
    count = len(engine.pictures)
    assert measure_legibility(PROSE, reader, lines=20) == first and len(engine.pictures) == count > 0
    files = sorted((tmp_path / "readings").iterdir())
    assert len(files) == count
    again = Blank()
    assert measure_legibility(PROSE, CachedReader(again, tmp_path / "readings"), lines=20) == first and not again.pictures
    for damage in (b"", b"[1]", b"\xff", b'[["x"]]', b"{}"):
        files[0].write_bytes(damage)
        again = Blank()
        assert measure_legibility(PROSE, CachedReader(again, tmp_path / "readings"), lines=20) == first
        assert len(again.pictures) == 1, damage
    again.name = "blank 2"
    measure_legibility(PROSE, CachedReader(again, tmp_path / "readings"), lines=20)
    assert len(again.pictures) == 1 + count


def test_readings_survive_the_folder(tmp_path: Path) -> None:
    class Fixed(Blank):
        def read(self, image: Image.Image) -> list[Stretch]:
            return [*super().read(image), Stretch("漢 \u200fש", 1.5, 20.0)]

    picture = Image.new("L", (30, 20), 255)
    assert CachedReader(Fixed(), tmp_path).read(picture) == CachedReader(Blank(), tmp_path).read(picture) != []
    assert CachedReader(Blank(), tmp_path).read(Image.new("L", (20, 30), 255)) == []  # another picture of the same bytes


# -- bad input --------------------------------------------------------------------------------------------------------------


def test_bad_input_is_refused_with_what_to_do() -> None:
    with pytest.raises(DocumentError, match="nothing to read"):
        measure_legibility(" \n\t\n", Blank())
    with pytest.raises(DocumentError, match="nothing to read"):
        measure_legibility([], Blank())
    with pytest.raises(ValueError, match="lines=0"):
        measure_legibility("x", Blank(), lines=0)
    for upscale in (0, -1, 100, float("nan")):
        with pytest.raises(ValueError, match="upscale"):
            measure_legibility("x", Blank(), upscale=upscale)
    with pytest.raises(UnknownModelError):
        measure_legibility("x", Blank(), vision="no such model")
    latin = Blank()
    latin.scripts = ("LATIN",)
    with pytest.raises(ModelError, match=r"100 % of its letters.*tesseract"):
        measure_legibility("Буря мглою небо кроет", latin)
    assert measure_legibility("12 + 30 = 42", latin).unread == 1  # no letters, so none that are unknown


def test_engines_are_found_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("", "ocr", "tesseract:", "tesseract:a b", "rapidocr:eng"):
        with pytest.raises(ModelError, match="known: rapidocr"):
            open_reader(name)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ModelError, match="install it"):
        open_reader("tesseract")


# -- real engines -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def rapid(monkeypatch: pytest.MonkeyPatch) -> RapidOcrReader:
    pytest.importorskip("rapidocr", reason="the extra ocr is not installed")
    pytest.importorskip("onnxruntime", reason="the extra ocr is not installed")

    def refuse(*_: object) -> None:
        raise AssertionError("an engine went to the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    return RapidOcrReader()


def test_rapidocr_reads_a_small_page_without_the_network(rapid: RapidOcrReader) -> None:
    if FontSet().face_for("他") is None:
        pytest.skip("no font with Chinese characters is installed")
    text = "The ferry crossed the grey water twice a day.\n他在院中种了三棵树，又读了一本书。\nNobody counted the passengers."
    found = measure_legibility(text, rapid, PageStyle(font_size=12, line_height=16, newline="keep", width=400))
    assert [line.line for line in found.lines] == [1, 2, 3]
    assert found.error_rate < 0.05 and not found.unread
    assert found.reader.startswith("rapidocr 3")


def test_tesseract_reads_a_small_page() -> None:
    if shutil.which("tesseract") is None:
        pytest.skip("the program tesseract is not installed")
    with pytest.raises(ModelError, match="no language pack xyz"):
        TesseractReader("eng+xyz")
    text = "The ferry crossed the grey water twice a day.\nNobody counted the passengers."
    found = measure_legibility(text, TesseractReader(), PageStyle(font_size=12, line_height=16, newline="keep", width=400))
    assert found.error_rate < 0.05 and not found.unread
    with pytest.raises(ModelError, match="tesseract failed"):
        TesseractReader()._run(["--no-such-option"])


@pytest.mark.slow
def test_command_compares_styles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rapid: RapidOcrReader) -> None:
    story = write_story(isolate(tmp_path, monkeypatch))
    style = "glyph-72;font_size=12;width=200"
    out = ok("legibility", story, "--style", style, "--style", "glyph-96", "--lines", 3, "--cache", "readings")
    assert style in out and "glyph-96" in out and "Worst confusions" in out
    assert "3 lines for each style" in out and "tokens as text" in out
    assert len(list((tmp_path / "readings").iterdir())) == 2
    assert "--quiet" in ok("legibility", "--help")


def test_command_says_what_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    story = write_story(isolate(tmp_path, monkeypatch))
    assert "unknown OCR engine 'abbyy'" in error_of("legibility", story, "--engine", "abbyy")
    assert "unknown style" in error_of("legibility", story, "--style", "nope")
    assert "no vision profile" in error_of("legibility", story, "--model", "nope")
    assert "missing.txt" in error_of("legibility", "missing.txt")
