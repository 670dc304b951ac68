"""Pages as values: identity, flat metadata, damage."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glyph_integrations.errors import PageFormatError
from glyph_integrations.page import Entry, Fragment, Page, Run, normalize_source
from glyph_integrations.style import PageStyle

STYLE = PageStyle(newline="keep")


@st.composite
def pages(draw: st.DrawFn) -> Page:
    text = draw(st.text(max_size=80))
    cuts = sorted(draw(st.lists(st.integers(0, len(text)), max_size=8)))
    pieces = [(a, b) for a, b in zip(cuts, cuts[1:], strict=False)]  # noqa: RUF007
    lines = tuple(
        (Fragment(a, b, draw(st.integers(0, 500)), draw(st.integers(0, 700)), draw(st.integers(0, 3))),) for a, b in pieces
    )
    if draw(st.booleans()):
        lines += ((),)
    if len(pieces) > 1:
        lines = ((lines[0][0], lines[1][0]), *lines[2:])
    runs = tuple(
        Run(a, b, draw(st.sampled_from(["heading", "syntax", "a,b|c"]).filter(lambda r: "|" not in r))) for a, b in pieces[:2]
    )
    return Page(
        text,
        STYLE,
        lines,
        source="a/b.txt",
        number=draw(st.integers(1, 10**6)),
        start=draw(st.integers(0, 10**9)),
        entry=Entry(draw(st.booleans())),
        runs=runs,
        missing="".join(sorted(set(draw(st.text(max_size=3))))),
        ordinal=draw(st.integers(0, 3)),
        metadata={"author": "x", "year": 1813, "score": 0.5, "ok": True},
    )


@given(pages())
def test_a_page_survives_flat_metadata_and_pickle(page: Page) -> None:
    again = Page.from_metadata(page.text, page.to_metadata())
    assert again == page and again.id == page.id
    assert pickle.loads(pickle.dumps(page)) == page
    assert all(isinstance(v, str | int | float | bool) for v in page.to_metadata().values())


@given(pages(), st.text(max_size=5))
def test_a_page_whose_text_was_changed_is_refused(page: Page, more: str) -> None:
    if more:
        with pytest.raises(PageFormatError):
            Page.from_metadata(page.text + more, page.to_metadata())


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("glyph_lines", "not base85 \x00"),
        ("glyph_lines", "c$@(M0ssI2"),
        ("glyph_runs", "zzz"),
        ("glyph_style", "nonsense"),
        ("glyph_style", "glyph-72;dpi=oops"),
        ("glyph_style", 5),
        ("glyph_entry", "q"),
        ("glyph_n", "seven"),
        ("glyph_id", "0" * 32),
        ("glyph_ordinal", 7),
    ],
)
def test_damaged_metadata_is_refused_with_a_clear_error(key: str, value: object) -> None:
    page = Page("some text", STYLE, ((Fragment(0, 9, 10, 50),),), source="a.txt")
    with pytest.raises(PageFormatError):
        Page.from_metadata(page.text, {**page.to_metadata(), key: value})


@given(st.binary(max_size=60))
def test_arbitrary_line_breaks_never_crash(data: bytes) -> None:
    import base64
    import zlib

    page = Page("some text", STYLE, ((Fragment(0, 9, 10, 50),),), source="a.txt")
    packed = base64.b85encode(zlib.compress(data)).decode()
    try:
        again = Page.from_metadata(page.text, {**page.to_metadata(), "glyph_lines": packed})
    except PageFormatError:
        return
    assert all(0 <= f.start <= f.end <= 9 for line in again.lines for f in line)


def test_the_id_depends_on_source_text_and_style_but_not_on_where_the_page_stands() -> None:
    page = Page("text", STYLE, (), source="a.txt", number=3, start=100)
    assert page.id == Page("text", STYLE, (), source="a.txt", number=9, start=7).id
    others = [
        Page("text", STYLE, (), source="b.txt"),
        Page("texT", STYLE, (), source="a.txt"),
        Page("text", STYLE, (), source="a.txt", ordinal=1),
        Page("text", STYLE.replace(font_size=8), (), source="a.txt"),
        Page("text", STYLE, (), source="a.txt", entry=Entry(True)),
    ]
    assert len({page.id, *(p.id for p in others)}) == 6
    assert others[0].content_hash == page.content_hash


def test_metadata_cannot_be_changed_in_place() -> None:
    page = Page("text", STYLE, (), metadata={"a": 1})
    with pytest.raises(TypeError):
        page.metadata["a"] = 2  # type: ignore[index]
    assert page.with_metadata(b=2).metadata == {"a": 1, "b": 2}


@pytest.mark.parametrize(
    ("given_name", "stored"),
    [
        ("a/b.txt", "a/b.txt"),
        ("/etc/passwd", "etc/passwd"),
        (r"C:\docs\x.txt", "docs/x.txt"),
        ("../../x", "x"),
        ("./a/./b", "a/b"),
        ("", ""),
    ],
)
def test_sources_are_stored_relative(given_name: str, stored: str) -> None:
    assert normalize_source(given_name) == stored


def test_line_numbers_of_characters() -> None:
    page = Page("one two\n\nthree", STYLE, ((Fragment(0, 7, 0, 1),), (), (Fragment(9, 14, 0, 1),)))
    assert [page.line_of(at) for at in (0, 6, 7, 8, 9, 13)] == [1, 1, 1, 1, 3, 3]
    assert [page.line_text(n) for n in (1, 2, 3)] == ["one two", "", "three"]


def test_a_page_is_shown_in_one_short_line() -> None:
    page = Page("A long story. " * 500, PageStyle(newline="keep"), (), source="story.txt", number=7, start=12)
    assert repr(page).startswith("Page('A long story. A long story.") and "number=7, source='story.txt', start=12" in repr(page)
    assert len(repr(page)) < 200 and "\n" not in repr(page)
