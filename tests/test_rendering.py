"""The invariants of drawing, R1 to R7."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rendering_cases import MORE, RENDERERS, SMALL, painted_one_by_one, renderers, texts

from glyph_integrations.errors import MissingGlyphError
from glyph_integrations.page import Page
from glyph_integrations.rendering import Renderer
from glyph_integrations.rendering.fonts import FontSet, is_visible
from glyph_integrations.rendering.raster import Pens
from glyph_integrations.sources import open_document
from glyph_integrations.style import PageStyle


@pytest.fixture(scope="module")
def novel(corpora) -> str:
    return (corpora / "texts" / "pride_and_prejudice.txt").read_text(encoding="utf-8")


# -- R1 lossless --------------------------------------------------------------------------------------------------------------


@settings(max_examples=300 * MORE, deadline=None)
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
        assert renderer.size(page)[1] <= int(renderer.style.height * renderer.style.dpi / 72 + 0.5)
        assert page.lines[0] and page.lines[-1]


@settings(max_examples=200 * MORE, deadline=None)
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


@settings(max_examples=200 * MORE, deadline=None)
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


@settings(max_examples=150 * MORE, deadline=None)
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


@settings(max_examples=60 * MORE, deadline=None)
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


@settings(max_examples=200 * MORE, deadline=None)
@given(texts, st.sampled_from([RENDERERS[i] for i in (0, 1, 2, 3, 4, 5, 6, 7)]), st.sampled_from([None, 60, 96, 131]))
def test_no_ink_is_cut_or_painted_over(text: str, renderer: Renderer, dpi: int | None) -> None:
    for page in renderer.paginate(text):
        dpi = dpi or page.style.dpi
        assert np.array_equal(renderer.pixels(page, dpi), painted_one_by_one(renderer, page, dpi))


@pytest.mark.parametrize("dpi", [60, 72, 131])
def test_a_last_letter_moved_into_the_margin_does_not_paint_over_its_neighbour(dpi: int) -> None:
    for width in range(60, 110):
        renderer = Renderer(PageStyle(width=width, height=60, margin_x=10))
        for page in renderer.paginate("Wf fW WWf Wff MWj fff Wf. WfW fMf"):
            assert np.array_equal(renderer.pixels(page, dpi), painted_one_by_one(renderer, page, dpi))


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


# -- over real texts ----------------------------------------------------------------------------------------------------------


def _drawn_once(pages: list[Page], text: str) -> bool:
    drawn = np.zeros(len(text), np.int32)
    for page in pages:
        for line in page.lines:
            for f in line:
                drawn[page.start + f.start : page.start + f.end] += 1
    hidden = np.zeros(len(text), bool)
    for page in pages:
        for run in page.runs:
            if run.role == "syntax":
                hidden[page.start + run.start : page.start + run.end] = True
    visible = np.array([is_visible(char) for char in text], bool)
    return bool((drawn <= 1).all() and (drawn[visible & ~hidden] == 1).all())


@pytest.mark.slow
def test_all_of_the_corpora_are_drawn_whole_and_self_contained(corpora: Path) -> None:
    renderer = Renderer()
    documents = [open_document(path) for path in sorted((corpora / "texts").iterdir())]
    for path in sorted(corpora.glob("*.docs.jsonl")):
        rows = [json.loads(row) for row in path.read_text(encoding="utf-8").splitlines()]
        documents += [
            open_document(row["text"].encode("utf-8", "surrogatepass"), name=row["doc_id"] + ".txt") for row in rows[:4]
        ]
    for document in documents:
        pages = list(renderer.paginate(document))
        assert "".join(page.text for page in pages) == document.text
        assert _drawn_once(pages, document.text), document.name
        for page in pages[:: max(1, len(pages) // 3)]:
            again = Page.from_metadata(page.text, page.to_metadata())
            assert again == page
            assert np.array_equal(renderer.pixels(page), renderer.pixels(again))
            for dpi in (72, 100):
                ink = _ink_columns(renderer.pixels(page, dpi), 255)
                edge = int(10 * dpi / 72 + 0.5)
                assert ink[0] >= edge and ink[-1] < int(588 * dpi / 72 + 0.5) - edge


def test_renderers_of_several_threads_share_fonts_and_draw_what_one_alone_draws() -> None:
    text = "".join(chr(code) for code in (*range(0xC0, 0x250), *range(0x370, 0x530), *range(0x1E00, 0x2000))) * 2
    text += " नमस्ते दुनिया क्षेत्र " * 5
    styles = [
        PageStyle(font_size=size, line_height=2 * size, horizontal_scale=scale) for size in (7, 9, 13) for scale in (0.8, 1)
    ]

    def drawn(style: PageStyle) -> list[bytes]:
        renderer = Renderer(style)  # its glyphs are drawn anew
        return [renderer.draw(page).tobytes() for page in renderer.paginate(text)]

    alone = [drawn(style) for style in styles]
    for _ in range(3):
        with ThreadPoolExecutor(len(styles)) as pool:
            assert list(pool.map(drawn, styles)) == alone
