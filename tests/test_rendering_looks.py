"""Columns, labels, runs, tables and every script."""

from __future__ import annotations

import re
from dataclasses import replace
from io import BytesIO
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from rendering_cases import MORE, RENDERERS, SMALL, marked_up, painted_one_by_one

from glyph_integrations.page import Page, Run
from glyph_integrations.rendering import Renderer
from glyph_integrations.rendering.fonts import is_visible
from glyph_integrations.sources import SourceDocument
from glyph_integrations.style import PRESETS, PageStyle

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


def test_hidden_marks_leave_no_trace_and_stay_in_the_text() -> None:
    renderer = Renderer(PageStyle(newline="keep"))
    (page,) = renderer.paginate(marked_up("## Title\n\nplain **words** here\n```\ncode\n```\nend", syntax=r"\*\*|## |```"))
    (plain,) = renderer.paginate("Title\n\nplain words here\ncode\nend")
    assert page.text.startswith("## Title") and len(page.lines) == 5
    assert np.array_equal(renderer.pixels(page), renderer.pixels(plain))


def test_roles_change_the_look_and_survive_metadata() -> None:
    text = "a heading\n\nsome strong words, some leaning, some code"
    renderer = Renderer(PageStyle(newline="keep"))
    (page,) = renderer.paginate(marked_up(text, heading1="a heading", strong="strong", emphasis="leaning", code="code"))
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


@settings(max_examples=200 * MORE, deadline=None)
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
        assert np.array_equal(image, painted_one_by_one(renderer, page, dpi or page.style.dpi))


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
    (page,) = renderer.paginate(marked_up(text, table=re.escape(TABLE), syntax=r"\|---\|---:\|"))
    rows = [line for line in page.lines if line and page.text[line[0].start] == "|"]
    assert len(rows) == 3  # the ruler is not drawn
    bars = [[f.x for f in row if page.text[f.start] == "|"] for row in rows]
    assert bars[0] == bars[1] == bars[2]
    assert [page.text[f.start : f.end] for f in rows[2]] == ["|", "beta, longer", "|", "22,000", "|"]


def test_a_table_wider_than_the_page_is_set_as_lines_and_loses_nothing() -> None:
    wide_table = "| " + " | ".join("cell " * 12 for _ in range(6)) + " |\n| a | b |"
    renderer = Renderer(PageStyle(newline="keep"))
    pages = list(renderer.paginate(marked_up(wide_table, table=re.escape(wide_table))))
    drawn = {
        at for page in pages for line in page.lines for f in line for at in range(page.start + f.start, page.start + f.end)
    }
    assert all(at in drawn for at, char in enumerate(wide_table) if is_visible(char))


@settings(max_examples=80 * MORE, deadline=None)
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
    for page in renderer.paginate(marked_up(text, table=re.escape(text), syntax=r"\*\*")):
        drawn = [0] * len(page.text)
        for line in page.lines:
            for f in line:
                for at in range(f.start, f.end):
                    drawn[at] += 1
        assert all(n == (char != "*") for n, char in zip(drawn, page.text, strict=True) if is_visible(char))
        assert np.array_equal(renderer.pixels(page), painted_one_by_one(renderer, page, 72))


@pytest.mark.parametrize("style", ["glyph-72;line_numbers=true", 'glyph-96;label="source";line_numbers=true;columns=2', "code"])
def test_numbers_and_labels_never_paint_over_the_text(style: str) -> None:
    text = "".join(
        f"{'Every' if n % 3 else 'jumps'} word of line {n} is whole, from the first letter to the last.\n" for n in range(60)
    )
    renderer = Renderer(PageStyle.parse(style).replace(column_gap=2))
    for page in renderer.paginate(text, "whole.txt"):
        bare = replace(page, style=page.style.replace(line_numbers=False))
        for dpi in (page.style.dpi, 100):
            both, alone = renderer.pixels(page, dpi), renderer.pixels(bare, dpi)
            assert (both <= alone).all() and (both < alone).any()
