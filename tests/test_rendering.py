"""The invariants of drawing (R1 to R7) for left-to-right text, and `Renderer` on ordinary and on odd input."""

from __future__ import annotations

import hashlib
import random
import re
import subprocess
import sys
from io import BytesIO
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from glyph_integrations.errors import MissingGlyphError, StyleError
from glyph_integrations.page import Page, Run
from glyph_integrations.rendering import Renderer, highlight
from glyph_integrations.rendering.fonts import FontSet, is_visible
from glyph_integrations.rendering.page_ends import group_lines
from glyph_integrations.rendering.raster import Pens, decode
from glyph_integrations.sources import SourceDocument
from glyph_integrations.style import PRESETS, PageStyle

SMALL = PageStyle(width=150, height=90)
STYLES = [
    SMALL,
    SMALL.replace(font="mono", newline="keep", tab_width=8),
    SMALL.replace(newline="reflow"),
    SMALL.replace(newline="marked"),
    SMALL.replace(align="justify", indent=12),
    SMALL.replace(align="right", left_indent=5, right_indent=7),
    SMALL.replace(align="center", font_size=11, line_height=11),
    SMALL.replace(dpi=96, levels=2),
    SMALL.replace(color=255, background=0, horizontal_scale=0.8),
    SMALL.replace(crop_width=True, missing="skip"),
]
RENDERERS = [Renderer(style) for style in STYLES]

words = st.text(st.sampled_from("abcdefgjpqyfWMÅÉŞ.,;:!?-'\"()[]{}/\\%$0123456789“”‘’—…"), min_size=1, max_size=12)
odd = st.sampled_from(
    [
        *("\n", "\n\n", "\r\n", "\r", "\t", "  ", "\f", "\x00", "\x07", "\u00ad", "\u200b", "\u200d", "e\u0301\u0323"),
        *("中文字，", "。」", "한글", "\U0001f600", "\u3000", "\u00a0", "\u2028", "\ud800", "\ue000", "x" * 80, "Ǻ", "\ufeff"),
        *("a\n b", "- item\n", "\u0301"),
    ]
)
texts = st.lists(st.one_of(words, st.just(" "), odd, st.text(max_size=4)), max_size=60).map("".join)
renderers = st.sampled_from(RENDERERS)


@pytest.fixture(scope="module")
def novel(corpora) -> str:
    return (corpora / "texts" / "pride_and_prejudice.txt").read_text(encoding="utf-8")


# -- R1 lossless --------------------------------------------------------------------------------------------------------------


@settings(max_examples=300, deadline=None)
@given(texts, renderers)
def test_pages_tile_the_text_and_every_visible_character_is_on_one_line(text: str, renderer: Renderer) -> None:
    pages = list(renderer.paginate(text, "doc"))
    assert "".join(p.text for p in pages) == (text if pages else "")
    assert [p.number for p in pages] == list(range(1, len(pages) + 1))
    if not pages:
        assert not any(is_visible(c) for c in text)
    for page in pages:
        assert text[page.start : page.end] == page.text
        drawn = [0] * len(page.text)
        for line in page.lines:
            for fragment in line:
                for at in range(fragment.start, fragment.end):
                    drawn[at] += 1
        assert max(drawn, default=0) <= 1
        assert all(n == 1 for n, c in zip(drawn, page.text, strict=True) if is_visible(c))
        assert len(page.lines) <= renderer.lines_per_page
        assert page.lines[0] and page.lines[-1]


@settings(max_examples=200, deadline=None)
@given(texts, renderers)
def test_lines_stay_inside_the_margins(text: str, renderer: Renderer) -> None:
    style = renderer.style
    right = round((style.width - style.margin_x - style.right_indent) * style.dpi / 72)
    for page in renderer.paginate(text):
        for line in page.lines:
            for fragment in line:
                single = fragment.end - fragment.start == 1 or all(
                    c in "\u0301\u0323" for c in page.text[fragment.start + 1 : fragment.end]
                )
                assert fragment.x + fragment.width <= right or single


# -- R2 self-contained --------------------------------------------------------------------------------------------------------


@settings(max_examples=200, deadline=None)
@given(texts, renderers)
def test_a_page_draws_the_same_after_a_round_trip_through_metadata(text: str, renderer: Renderer) -> None:
    for page in renderer.paginate(text, "folder/doc.txt", {"author": "x"}):
        again = Page.from_metadata(page.text, page.to_metadata())
        assert again == page and again.id == page.id
        assert np.array_equal(renderer.pixels(page), Renderer.pixels(renderer, again))


def test_pages_cut_inside_a_paragraph_know_that_they_go_on() -> None:
    pages = list(Renderer(SMALL).paginate("word " * 600))
    assert [p.entry.continues for p in pages] == [False] + [True] * (len(pages) - 1)


def test_metadata_of_a_prose_page_is_under_1_kb_and_of_a_code_page_under_4_kb(novel: str) -> None:
    for page in Renderer().paginate(novel[:60_000], "some/folder/pride_and_prejudice.txt"):
        assert len(str(page.to_metadata())) < 1024
    code = "".join(f"\tif x[{n}]:\t\treturn {n}\t# {n}\n" for n in range(400))
    for page in Renderer(PageStyle(font="mono")).paginate(code, "code.py"):
        assert len(str(page.to_metadata())) < 4096


# -- R3 deterministic ---------------------------------------------------------------------------------------------------------


def test_pixels_are_equal_in_another_process() -> None:
    script = (
        "import hashlib; from glyph_integrations.rendering import Renderer; r = Renderer();"
        "p = list(r.paginate('Fjörd, αβγ жук. ' * 400)); print(p[0].id, hashlib.sha256(r.pixels(p[0]).tobytes()).hexdigest())"
    )
    other = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    renderer = Renderer()
    list(renderer.paginate("another text first: zyxwvut 中文"))  # what was drawn before does not matter
    page = next(iter(renderer.paginate("Fjörd, αβγ жук. " * 400)))
    assert other == [page.id, hashlib.sha256(renderer.pixels(page).tobytes()).hexdigest()]


def test_latin_greek_and_cyrillic_come_from_the_bundled_font() -> None:
    fonts = FontSet("sans")
    for char in "aZé€ßΩжЮ“”—…":
        face = fonts.face_for(char)
        assert face is not None and face.path.name == "DejaVuSans.ttf"


def test_the_users_font_comes_first() -> None:
    mono = FontSet("sans").main.path.parent / "DejaVuSansMono.ttf"
    fonts = FontSet(str(mono))
    assert fonts.face_for("a").path.name == "DejaVuSansMono.ttf"  # type: ignore[union-attr]
    assert FontSet("sans", [mono]).main.path.name == "DejaVuSansMono.ttf"


# -- R4 zoom ------------------------------------------------------------------------------------------------------------------


def _ink_columns(image: np.ndarray, background: int) -> np.ndarray:
    return np.nonzero((image != background).any(axis=0))[0]


@settings(max_examples=150, deadline=None)
@given(texts, st.sampled_from([RENDERERS[i] for i in (0, 1, 2, 7, 8)]), st.sampled_from([50, 72, 96, 100, 120, 150, 217]))
def test_at_any_dpi_pens_are_the_scaled_ones_and_no_ink_leaves_the_text_box(text: str, renderer: Renderer, dpi: int) -> None:
    style = renderer.style
    for page in renderer.paginate(text):
        if any(wide(f, page) for line in page.lines for f in line):
            continue
        own, there = renderer._atlas(page.style, style.dpi), renderer._atlas(page.style, dpi)
        a, b = Pens(page, own, own, style.dpi), Pens(page, own, there, dpi)
        assert np.array_equal(a.index, b.index)
        scaled = np.floor(a.x * dpi / style.dpi + 0.5)
        em, edge = style.font_size * dpi / 72, style.margin_x * dpi / 72  # near an edge a letter may be nudged into the box
        inner = (scaled > edge + em / 2) & (scaled < style.width * dpi / 72 - edge - 2 * em)
        assert np.array_equal(b.x[inner], scaled[inner])
        image = renderer.pixels(page, dpi=dpi)
        columns = _ink_columns(image, style.background)
        left = int(style.margin_x * dpi / 72 + 0.5)
        right = int(style.width * dpi / 72 + 0.5) - left
        if len(columns):
            assert columns[0] >= left and columns[-1] < right


def wide(fragment, page: Page) -> bool:  # type: ignore[no-untyped-def]
    """Letters under many marks, or an escape broader than the page, may stick out; they are alone on their line."""
    return any(c in "\u0301\u0323" or not c.isprintable() or ord(c) > 0x2FFF for c in page.text[fragment.start : fragment.end])


# -- R5 nothing missing is silent ---------------------------------------------------------------------------------------------


def test_characters_no_font_covers_are_reported_and_drawn_as_an_escape() -> None:
    (page,) = Renderer(SMALL).paginate("a \ue000 b \x07 c \ud800 d")
    assert page.missing == "\x07\ud800\ue000"
    (plain,) = Renderer(SMALL).paginate(r"a \ue000 b \x07 c \ud800 d")
    assert plain.missing == ""
    assert np.array_equal(Renderer(SMALL).pixels(page), Renderer(SMALL).pixels(plain))


def test_missing_characters_can_be_refused_or_skipped() -> None:
    with pytest.raises(MissingGlyphError, match=r"U\+E000"):
        list(Renderer(SMALL.replace(missing="error")).paginate("a \ue000 b"))
    (page,) = Renderer(SMALL.replace(missing="skip")).paginate("a\ue000b")
    (plain,) = Renderer(SMALL).paginate("ab")
    assert page.missing == "\ue000"
    assert np.array_equal(Renderer(SMALL.replace(missing="skip")).pixels(page), Renderer(SMALL).pixels(plain))


def test_english_and_chinese_in_one_document_are_whole_where_a_chinese_font_is_installed() -> None:
    if FontSet("sans").face_for("中") is None:
        pytest.skip("no font with Chinese characters is installed")
    text = "The Great Learning 大学之道，在明明德。 ends here."
    (page,) = Renderer().paginate(text)
    assert page.missing == ""
    renderer = Renderer()
    for at, char in enumerate(text):
        if char != " ":
            ((_, box),) = renderer.boxes(page, at, at + 1)
            assert (renderer.pixels(page)[box.top : box.bottom, box.left : box.right] < 200).any(), char


# -- R6 on the grid -----------------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(texts, st.sampled_from(["zai-org/Glyph", "Qwen/Qwen2.5-VL-7B-Instruct"]), st.sampled_from([72, 96, 111]))
def test_pages_stand_on_the_models_grid_and_layout_does_not_depend_on_it(text: str, model: str, dpi: int) -> None:
    renderer = RENDERERS[0]
    for page in renderer.paginate(text):
        image = renderer.pixels(page, dpi=dpi, vision=model)
        plain = renderer.pixels(page, dpi=dpi)
        assert image.shape[0] % 28 == 0 and image.shape[1] % 28 == 0
        assert (image.shape[1], image.shape[0]) == renderer.size(page, dpi, model)
        assert np.array_equal(image[: plain.shape[0], : plain.shape[1]], plain)
        rest = image.copy()
        rest[: plain.shape[0], : plain.shape[1]] = 255
        assert (rest == 255).all()


def test_a_page_is_trimmed_to_its_lines() -> None:
    (page,) = Renderer().paginate("one line")
    assert Renderer().size(page) == (588, 30)
    assert Renderer().size(page, vision="zai-org/Glyph") == (588, 56)


# -- R7 whole -----------------------------------------------------------------------------------------------------------------


def _painted_one_by_one(renderer: Renderer, page: Page, dpi: int) -> np.ndarray:
    """The slow and obvious way: every glyph's whole bitmap blended onto the page at its pen."""
    style = page.style
    own, atlas = renderer._atlas(page.style, style.dpi), renderer._atlas(page.style, dpi)
    pens = Pens(page, own, atlas, dpi)
    width, height = renderer.size(page, dpi)
    pad = 200
    canvas = np.full((height + 2 * pad, width + 2 * pad), style.background, np.uint8)
    for glyph, line, x in zip(pens.glyph.tolist(), pens.line.tolist(), pens.x.tolist(), strict=True):
        ink, left, top, _ = atlas._bitmaps[glyph]
        above = sum(style.line_height * (1 if other else style.blank_height) for other in page.lines[:line])
        y = int((style.margin_y + above) * dpi / 72 + 0.5) + atlas.baseline - top
        area = canvas[pad + y : pad + y + ink.shape[0], pad + x + left : pad + x + left + ink.shape[1]]
        np.minimum(area, atlas._value[ink], out=area)
    return canvas[pad:-pad, pad:-pad]


@settings(max_examples=200, deadline=None)
@given(texts, st.sampled_from([RENDERERS[i] for i in (0, 1, 2, 3, 4, 5, 6, 7)]), st.sampled_from([None, 60, 96, 131]))
def test_no_ink_is_cut_or_painted_over(text: str, renderer: Renderer, dpi: int | None) -> None:
    for page in renderer.paginate(text):
        dpi = dpi or page.style.dpi
        assert np.array_equal(renderer.pixels(page, dpi), _painted_one_by_one(renderer, page, dpi))


@pytest.mark.parametrize("dpi", [60, 72, 131])
def test_a_last_letter_moved_into_the_margin_does_not_paint_over_its_neighbour(dpi: int) -> None:
    for width in range(60, 110):
        renderer = Renderer(PageStyle(width=width, height=60, margin_x=10))
        for page in renderer.paginate("Wf fW WWf Wff MWj fff Wf. WfW fMf"):
            assert np.array_equal(renderer.pixels(page, dpi), _painted_one_by_one(renderer, page, dpi))


def test_justified_lines_end_at_the_margin_and_share_the_room_between_words_evenly() -> None:
    renderer = Renderer(PageStyle(width=200, height=200, align="justify"))
    (page,) = renderer.paginate(
        "some plain words to be set in lines of equal length, so that both edges of the text are straight"
    )
    own = renderer._atlas(page.style, 72)
    pens = Pens(page, own, own, 72)
    for number, line in enumerate(page.lines[:-1]):
        here = pens.line == number
        ends = pens.x[here] + pens.width[here]
        assert ends[-1] == 190
        gaps = [w for w, i in zip(pens.width[here].tolist(), pens.index[here].tolist(), strict=True) if page.text[i] == " "]
        assert max(gaps) - min(gaps) <= 1
        assert line[0].x == 10
    assert (pens.x + pens.width)[pens.line == len(page.lines) - 1].max() < 190


def test_tabs_indentation_and_blank_lines_survive() -> None:
    renderer = Renderer(PageStyle(font="mono", newline="keep"))
    (page,) = renderer.paginate("if x:\n\treturn\n\n    y = 1\n\ta\tbb\tc")
    space = renderer._atlas(page.style, 72).space
    left = 10
    assert [[(page.text[f.start : f.end], f.x - left) for f in line] for line in page.lines] == [
        [("if x:", 0)],
        [("return", 4 * space)],
        [],
        [("    y = 1", 0)],
        [("a", 4 * space), ("bb", 8 * space), ("c", 12 * space)],
    ]


# -- page ends ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["call_of_the_wild.txt", "xiyouji_ch1-20.txt"])
def test_one_inserted_sentence_changes_at_most_3_pages(corpora, name: str) -> None:
    text = (corpora / "texts" / name).read_text(encoding="utf-8")[:120_000]
    renderer, chance = Renderer(), random.Random(7)
    before = {page.id for page in renderer.paginate(text, name)}
    stop = "。" if "xiyou" in name else ". "
    for _ in range(25):
        at = text.find(stop, chance.randrange(100_000)) + len(stop)
        sentence = (
            "".join(
                chance.choice(["甲乙", "丙丁"] if stop == "。" else ["some ", "more ", "words "])
                for _ in range(chance.randint(3, 25))
            )
            + stop
        )
        changed = [page for page in renderer.paginate(text[:at] + sentence + text[at:], name) if page.id not in before]
        assert 1 <= len(changed) <= 3


def test_pages_after_an_inserted_chapter_are_the_same_again(corpora) -> None:
    text = (corpora / "texts" / "pride_and_prejudice.txt").read_text(encoding="utf-8")[:300_000]
    renderer = Renderer()
    before = {page.id for page in renderer.paginate(text)}
    for lines in (7, 23, 41, 60):
        at = text.index("\n\n", 60_000) + 2
        more = "\n\n".join(f"Paragraph {n} of a chapter that was not there." for n in range(lines)) + "\n\n"
        changed = [page for page in renderer.paginate(text[:at] + more + text[at:]) if page.id not in before]
        assert len(changed) <= 3 + 2 * lines * 2 // renderer.lines_per_page


def test_a_form_feed_ends_a_page() -> None:
    pages = list(Renderer().paginate("first page\n\fsecond page\f\n\nthird"))
    assert [p.text.strip() for p in pages] == ["first page", "second page", "third"]


def test_equal_pages_of_a_document_have_ids_of_their_own() -> None:
    pages = list(Renderer(SMALL).paginate("\f".join(["the same words"] * 3), "doc"))
    assert len({p.id for p in pages}) == 3
    assert [p.ordinal for p in pages] == [0, 1, 0]  # the last one ends without a form feed
    assert len({p.content_hash for p in pages}) == 2


def test_page_ends_take_lines_one_at_a_time() -> None:
    taken = 0

    def lines():  # type: ignore[no-untyped-def]
        nonlocal taken
        from glyph_integrations.rendering.layout import LaidLine

        while True:
            taken += 1
            yield LaidLine(taken * 10, ((taken * 10, taken * 10 + 9, 0, 5, 0),), 2)

    next(group_lines(lines(), "x" * 100_000, 82))
    assert taken < 82 * 4


# -- newlines -----------------------------------------------------------------------------------------------------------------


def test_hard_wrapped_text_is_reflowed_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    import textwrap

    paragraph = (
        "It was the best of times, it was the worst of times, it was the age of wisdom, it was the age of foolishness. " * 4
    )
    text = "\n\n".join(textwrap.fill(paragraph, 72) for _ in range(5))
    with caplog.at_level("INFO", logger="glyph_integrations"):
        pages = list(Renderer().paginate(text, "tale.txt"))
    assert {p.style.newline for p in pages} == {"reflow"}
    assert "tale.txt was wrapped by hand" in caplog.text
    kept = list(Renderer(PageStyle(newline="keep")).paginate(text, "tale.txt"))
    assert sum(len(p.lines) for p in pages) < sum(len(p.lines) for p in kept)


def test_source_code_is_not_reflowed() -> None:
    import argparse
    import inspect

    page = next(iter(Renderer().paginate(inspect.getsource(argparse))))
    assert page.style.newline == "keep"


def test_marked_newlines_save_lines_and_show_where_they_were() -> None:
    text = "\n".join(f"line {n}" for n in range(60))
    (marked,) = Renderer(PageStyle(newline="marked")).paginate(text)
    (kept,) = Renderer(PageStyle(newline="keep")).paginate(text)
    assert len(marked.lines) < len(kept.lines) / 5
    assert marked.text == text


def test_lines_break_as_unicode_says() -> None:
    renderer = Renderer(PageStyle(width=60, height=200))
    lines = [
        page.line_text(n)
        for page in renderer.paginate("well-known things (here) “so” 3.14")
        for n in range(1, len(page.lines) + 1)
    ]
    assert all(not line.startswith((")", "”", "-", ".")) for line in lines)
    assert all(not line.endswith(("(", "“")) for line in lines)


# -- odd input ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["", " ", "\n\n\n", "\f\f", "\t \r\n", "\u200b\u200b"])
def test_text_without_ink_has_no_pages(text: str) -> None:
    assert list(Renderer().paginate(text)) == []


def test_a_long_word_and_a_letter_under_ten_thousand_marks_end() -> None:
    pages = list(Renderer().paginate("x" * 50_000))
    assert "".join(p.text for p in pages) == "x" * 50_000
    pages = list(Renderer().paginate("a" + "\u0301" * 10_000 + " end"))
    assert sum(len(p.text) for p in pages) == 10_005
    Renderer().pixels(pages[0])


def test_no_line_grows_without_bound() -> None:
    text = "x" + "\u200b" * 10_000 + "y z"
    lines = [line for page in Renderer().paginate(text) for line in page.lines]
    assert max(f.end - f.start for line in lines for f in line) <= 4096


def test_a_document_of_one_line_and_of_identical_lines() -> None:
    text = "no newline in here at all " * 20_000
    pages = list(Renderer().paginate(text))
    assert "".join(p.text for p in pages) == text
    pages = list(Renderer().paginate("same\n" * 1000))
    assert len(pages) <= 1000 // 82 + 2


@pytest.mark.parametrize("dpi", [0, -5, 17, 5000])
def test_absurd_resolutions_are_refused(dpi: int) -> None:
    (page,) = Renderer().paginate("x")
    with pytest.raises(StyleError, match="dpi"):
        Renderer().draw(page, dpi=dpi)


def test_a_picture_too_large_is_refused() -> None:
    renderer = Renderer(PageStyle(width=10_000, height=10_000, font_size=400, line_height=500))
    page = next(iter(renderer.paginate("x\n" * 20)))
    with pytest.raises(StyleError, match="pixels"):
        renderer.draw(page, dpi=600)


def test_a_font_that_is_not_one_is_refused(tmp_path) -> None:  # type: ignore[no-untyped-def]
    bad = tmp_path / "bad.ttf"
    bad.write_bytes(b"not a font")
    with pytest.raises(StyleError, match=r"bad\.ttf"):
        Renderer(PageStyle(font=str(bad)))
    with pytest.raises(StyleError, match="does not exist"):
        Renderer(PageStyle(font=str(tmp_path / "none.ttf")))


# -- output -------------------------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(texts, renderers)
def test_png_holds_exactly_the_pixels(text: str, renderer: Renderer) -> None:
    for page in renderer.paginate(text):
        read = np.asarray(Image.open(BytesIO(renderer.png(page))).convert("L"))
        assert np.array_equal(read, renderer.pixels(page))


def test_png_of_a_full_page_is_small(novel: str) -> None:
    pages = list(Renderer().paginate(novel[:100_000]))
    assert max(len(Renderer().png(p)) for p in pages) < 55_000


def test_boxes_cover_the_ink_of_their_characters() -> None:
    renderer = Renderer(PageStyle(width=200, height=200))
    (page,) = renderer.paginate("some words before the cited words and some after them, so that lines break")
    start = page.text.index("cited")
    boxes = renderer.boxes(page, start, start + len("cited words"))
    assert [line for line, _ in boxes] == sorted({page.line_of(start), page.line_of(start + 8)})
    for dpi in (72, 120):
        image = renderer.pixels(page, dpi=dpi)
        for _, box in renderer.boxes(page, start, start + 11, dpi=dpi):
            assert (image[box.top : box.bottom, box.left : box.right] < 128).any()
            assert 0 <= box.left < box.right <= image.shape[1]


def test_highlight_marks_boxes_and_keeps_the_ink() -> None:
    renderer = Renderer(SMALL)
    (page,) = renderer.paginate("mark these words please")
    boxes = [box for _, box in renderer.boxes(page, 5, 10)]
    image = highlight(renderer.draw(page), boxes)
    before, after = np.asarray(renderer.draw(page)), np.asarray(image)
    box = boxes[0]
    assert image.mode == "RGB"
    assert (after[box.top : box.bottom, box.left : box.right, 2] < 255).all()
    assert (after[before == 0].max(axis=-1) == 0).all()


def test_decode_keeps_lone_surrogates() -> None:
    assert decode("a\ud800b").tolist() == [0x61, 0xD800, 0x62]


# -- columns, label, line numbers, thin blank lines ---------------------------------------------------------------------------


def test_two_columns_hold_the_text_side_by_side() -> None:
    text = "some words that fill a column and then the next one " * 120
    style = PageStyle(width=300, height=200, columns=2, column_gap=20)
    renderer = Renderer(style)
    pages = list(renderer.paginate(text))
    assert "".join(p.text for p in pages) == text
    page = pages[0]
    left = [line for line in page.lines if line[0].x < 150]
    right = [line for line in page.lines if line[0].x >= 150]
    assert len(left) == 18 and len(right) > 10
    assert max(f.x + f.width for line in left for f in line) <= 140 and min(f.x for line in right for f in line) == 160
    image = renderer.pixels(page)
    assert (image[:, 141:159] == 255).all() and (image[:, 160:290] < 128).any()
    (_, box), *_ = renderer.boxes(page, right[0][0].start, right[0][0].start + 4)
    assert box.left == 160 and box.top == 10
    again = Page.from_metadata(page.text, page.to_metadata())
    assert np.array_equal(renderer.pixels(again), image)


def test_a_label_stands_at_the_top_right_and_costs_one_line() -> None:
    style = PageStyle(width=200, height=120, label="source")
    renderer, plain = Renderer(style), Renderer(style.replace(label=""))
    pages = list(renderer.paginate("word " * 400, "a/long/name.txt"))
    assert renderer.lines_per_page == plain.lines_per_page - 1
    image, bare = renderer.pixels(pages[1]), plain.pixels(pages[1])
    assert (image[10:20, 100:190] < 128).any() and image.shape[0] == renderer.size(pages[1])[1]
    assert not np.array_equal(image[10:20], renderer.pixels(pages[2])[10:20])  # another number
    assert bare.shape == image.shape  # the page's own style counts


def test_line_numbers_are_those_of_the_source_also_after_a_page_break() -> None:
    text = "".join(f"line_{n} = {n}\n" for n in range(1, 61)) + "x = " + "1 + " * 60 + "1\nlast = 0\n"
    renderer = Renderer(PageStyle(width=300, height=150, font="mono", newline="keep", line_numbers=True))
    pages = list(renderer.paginate(text, "a.py"))
    assert len(pages) > 3
    for page in pages:
        assert page.entry.line == text.count("\n", 0, page.start) + 1
        again = Page.from_metadata(page.text, page.to_metadata())
        assert again.entry == page.entry and np.array_equal(renderer.pixels(again), renderer.pixels(page))
        bare = Page(page.text, page.style, page.lines, entry=type(page.entry)(page.entry.continues))
        assert (renderer.pixels(page)[:, 10:39] < 128).any() and (renderer.pixels(bare)[:, 10:39] == 255).all()


def test_blank_lines_are_as_high_as_the_style_says() -> None:
    text = "\n\n".join(f"paragraph {n}" for n in range(10))
    heights = {
        share: Renderer(PageStyle(blank_height=share)).size(*Renderer(PageStyle(blank_height=share)).paginate(text))[1]
        for share in (1, 0.5)
    }
    assert heights == {1: 20 + 190, 0.5: 20 + 145}


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_every_preset_draws(name: str) -> None:
    renderer = Renderer(PageStyle.preset(name))
    text = "Some text, in a few words.\n\nAnother paragraph (中文 too).\n\tTabbed.\n" * 40
    pages = list(renderer.paginate(text, "some.txt"))
    assert "".join(p.text for p in pages) == text
    image = renderer.pixels(pages[0])
    assert len(np.unique(image)) <= renderer.style.levels
    assert np.array_equal(np.asarray(Image.open(BytesIO(renderer.png(pages[0]))).convert("L")), image)


# -- runs ---------------------------------------------------------------------------------------------------------------------


def _marked_up(text: str, **roles: str) -> SourceDocument:
    runs = sorted(Run(m.start(), m.end(), role) for role, pattern in roles.items() for m in re.finditer(pattern, text))
    return SourceDocument(text=text, name="a.md", media_type="text/markdown", sha256="0" * 64, runs=tuple(runs))


def test_hidden_marks_leave_no_trace_and_stay_in_the_text() -> None:
    renderer = Renderer(PageStyle(newline="keep"))
    (page,) = renderer.paginate(_marked_up("## Title\n\nplain **words** here\n```\ncode\n```\nend", syntax=r"\*\*|## |```"))
    (plain,) = renderer.paginate("Title\n\nplain words here\ncode\nend")
    assert page.text.startswith("## Title") and len(page.lines) == 5
    assert np.array_equal(renderer.pixels(page), renderer.pixels(plain))


def test_roles_change_the_look_and_survive_metadata() -> None:
    text = "a heading\n\nsome strong words, some leaning, some code"
    renderer = Renderer(PageStyle(newline="keep"))
    (page,) = renderer.paginate(_marked_up(text, heading1="a heading", strong="strong", emphasis="leaning", code="code"))
    (plain,) = renderer.paginate(text)
    drawn = renderer.pixels(page)
    assert not np.array_equal(drawn, renderer.pixels(plain))
    assert (drawn[10:20] < 128).sum() > (renderer.pixels(plain)[10:20] < 128).sum()  # bold
    again = Page.from_metadata(page.text, page.to_metadata())
    assert again == page and np.array_equal(renderer.pixels(again), drawn)


def test_runs_are_cut_at_page_ends() -> None:
    text = "word " * 600
    document = SourceDocument(
        text=text, name="a.md", media_type="text/markdown", sha256="0" * 64, runs=(Run(0, len(text), "strong"),)
    )
    for page in Renderer(SMALL).paginate(document):
        assert page.runs == (Run(0, len(page.text), "strong"),)


# -- every script -------------------------------------------------------------------------------------------------------------

scripts = st.lists(
    st.one_of(
        st.text(st.sampled_from("ابتثجحخدرسشعغفقكلمنهوي ًٌَُّ٠١٢٣،؟"), min_size=1, max_size=10),
        st.text(st.sampled_from("אבגדהוזחטיכלמנסעפצקרשת ְִֵַָ"), min_size=1, max_size=10),
        st.text(st.sampled_from("कखगघचजटडतदनपबमयरलवशसहािीुूेैोौ्ंँ़ ।"), min_size=1, max_size=10),
        st.text(st.sampled_from("กขคงจชดตนบปมยรลวสหอะาิีุูเแโใไ่้๊๋์ "), min_size=1, max_size=10),
        st.text(st.sampled_from("abc XYZ 123 ().,-[]{}<>«»"), min_size=1, max_size=10),
        st.sampled_from(
            ["\n", "\n\n", "\t", "\u2067", "\u2068", "\u2069", "\u202e", "\u202c", "\u200f", "\u200e", "👍🏽", "🇩🇪", "e\u0301"]
        ),
    ),
    max_size=30,
).map("".join)


@settings(max_examples=200, deadline=None)
@given(scripts, st.sampled_from([RENDERERS[i] for i in (0, 1, 2, 4, 5, 7)]), st.sampled_from([None, 60, 131]))
def test_all_invariants_hold_for_shaped_and_bidirectional_text(text: str, renderer: Renderer, dpi: int | None) -> None:
    pages = list(renderer.paginate(text, "doc"))
    assert "".join(p.text for p in pages) == (text if pages else "")
    for page in pages:
        drawn = [0] * len(page.text)
        for line in page.lines:
            for f in line:
                for at in range(f.start, f.end):
                    drawn[at] += 1
            boxes = sorted((f.x, f.x + f.width) for f in line)
            assert all(a[1] <= b[0] for a, b in pairwise(boxes))  # pieces of a line do not overlap
        assert max(drawn, default=0) <= 1
        assert all(n == 1 for n, c in zip(drawn, page.text, strict=True) if is_visible(c))
        image = renderer.pixels(page, dpi)
        assert np.array_equal(renderer.pixels(Page.from_metadata(page.text, page.to_metadata()), dpi), image)
        assert np.array_equal(image, _painted_one_by_one(renderer, page, dpi or page.style.dpi))


def test_arabic_words_are_joined_and_run_from_right_to_left() -> None:
    renderer = Renderer(PageStyle(newline="keep"))
    (page,) = renderer.paginate("سلام عليكم")
    ((fragment,),) = page.lines
    assert fragment.level == 1 and fragment.x + fragment.width == 578  # at the right margin
    first = renderer.boxes(page, 0, 1)[0][1]
    last = renderer.boxes(page, 9, 10)[0][1]
    assert first.left > last.left
    spread = "س ل ا م"
    (apart,) = renderer.paginate(spread)
    assert page.lines[0][0].width < apart.lines[0][0].width * 3
    joined = renderer.pixels(next(iter(renderer.paginate("بب"))))
    single = renderer.pixels(next(iter(renderer.paginate("ب"))))
    assert (joined < 128).any(axis=0).sum() < 2 * (single < 128).any(axis=0).sum() + 3


def test_numbers_inside_right_to_left_text_read_left_to_right() -> None:
    renderer = Renderer(PageStyle(newline="keep"))
    (page,) = renderer.paginate("مجموع 12345 فقط (נכון)")
    at = page.text.index("12345")
    boxes = [renderer.boxes(page, at + n, at + n + 1)[0][1].left for n in range(5)]
    assert boxes == sorted(boxes)


def test_marks_stand_on_their_letter() -> None:
    renderer = Renderer(PageStyle(newline="keep", font_size=30, line_height=40))
    (composed,) = renderer.paginate("\u00e9")
    (combined,) = renderer.paginate("e\u0301")
    a, b = renderer.pixels(composed), renderer.pixels(combined)
    assert abs(int((a < 128).sum()) - int((b < 128).sum())) < 40
    assert renderer.boxes(combined, 0, 1)[0][1].right == renderer.boxes(combined, 0, 2)[0][1].right


# -- tables -------------------------------------------------------------------------------------------------------------------

TABLE = "| Name | Value |\n|---|---:|\n| alpha | 1 |\n| beta, longer | 22,000 |"


def test_cells_of_a_table_stand_under_each_other() -> None:
    text = f"before\n\n{TABLE}\n\nafter"
    renderer = Renderer(PageStyle(newline="keep"))
    (page,) = renderer.paginate(_marked_up(text, table=re.escape(TABLE), syntax=r"\|---\|---:\|"))
    rows = [line for line in page.lines if line and page.text[line[0].start] == "|"]
    assert len(rows) == 3  # the ruler is not drawn
    bars = [[f.x for f in row if page.text[f.start] == "|"] for row in rows]
    assert bars[0] == bars[1] == bars[2]
    assert [page.text[f.start : f.end] for f in rows[2]] == ["|", "beta, longer", "|", "22,000", "|"]


def test_a_table_wider_than_the_page_is_set_as_lines_and_loses_nothing() -> None:
    wide_table = "| " + " | ".join("cell " * 12 for _ in range(6)) + " |\n| a | b |"
    renderer = Renderer(PageStyle(newline="keep"))
    pages = list(renderer.paginate(_marked_up(wide_table, table=re.escape(wide_table))))
    drawn = {
        at for page in pages for line in page.lines for f in line for at in range(page.start + f.start, page.start + f.end)
    }
    assert all(at in drawn for at, char in enumerate(wide_table) if is_visible(char))


@settings(max_examples=80, deadline=None)
@given(
    st.lists(
        st.lists(st.sampled_from(["a", "some cell", "", "\\|", "**b**", "中文", "x" * 30]), min_size=1, max_size=5),
        min_size=1,
        max_size=6,
    )
)
def test_every_visible_character_of_a_table_is_drawn_once(rows: list[list[str]]) -> None:
    text = "\n".join("| " + " | ".join(cells) + " |" for cells in rows)
    renderer = Renderer(PageStyle(width=250, newline="keep"))
    for page in renderer.paginate(_marked_up(text, table=re.escape(text), syntax=r"\*\*")):
        drawn = [0] * len(page.text)
        for line in page.lines:
            for f in line:
                for at in range(f.start, f.end):
                    drawn[at] += 1
        assert all(n == (char != "*") for n, char in zip(drawn, page.text, strict=True) if is_visible(char))
        assert np.array_equal(renderer.pixels(page), _painted_one_by_one(renderer, page, 72))
