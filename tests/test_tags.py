"""Page tags survive prompt templates, stay text when forged or cut, and resolve only to pages that were handed out."""

from __future__ import annotations

import html
import threading
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glyph_integrations.page import Fragment, Page
from glyph_integrations.reading import PageTag, Registry, page_tag, split_tags
from glyph_integrations.reading.tags import outside_tags
from glyph_integrations.style import PageStyle

STYLE = PageStyle(newline="keep")


def make_page(text: str, number: int = 57, source: str = "jane_eyre.txt") -> Page:
    return Page(text=text, style=STYLE, lines=((Fragment(0, len(text), 10, 300),),), source=source, number=number)


def mustache(text: str) -> str:
    """How mustache templates escape a value."""
    for character, entity in (("&", "&amp;"), ('"', "&quot;"), ("<", "&lt;"), (">", "&gt;")):
        text = text.replace(character, entity)
    return text


NASTY = ["<page", "</page>", "&", "&amp;", "&lt;", "&quot;", "&#34;", "&gt;", ";", '"', "<", ">", "\n", "{x}", "é", "页", " ",
         page_tag(make_page("inner")), html.escape(page_tag(make_page("inner"))), mustache(page_tag(make_page("<page>"))),
         ]  # fmt: skip
texts = st.lists(st.one_of(st.sampled_from(NASTY), st.text(max_size=5)), max_size=12).map("".join)
passages = st.one_of(st.just(str), st.just(html.escape), st.just(mustache))


@given(texts, texts.filter(bool), st.integers(1, 10**8), passages)
def test_any_page_survives_a_template(text: str, source: str, number: int, passage: Callable[[str], str]) -> None:
    page = make_page(text, number, source)
    tagged = passage(page_tag(page))
    assert split_tags(f"Context: {tagged} Question?") == [
        "Context: ",
        PageTag(number, source, page.id, text, tagged),
        " Question?",
    ]


@given(texts, texts, texts)
def test_neighbouring_pages_do_not_run_into_each_other(one: str, other: str, between: str) -> None:
    between = between.replace("page", "")
    tagged = page_tag(make_page(one)) + between + page_tag(make_page(other))
    assert [p.text for p in split_tags(tagged) if isinstance(p, PageTag)] == [one, other]


@given(texts)
def test_splitting_loses_no_character(text: str) -> None:
    assert "".join(p if isinstance(p, str) else p.raw for p in split_tags(text)) == text


@given(st.data())
def test_a_cut_tag_is_never_another_text(data: st.DataObject) -> None:
    page = make_page(data.draw(texts))
    tagged = page_tag(page)
    start = data.draw(st.integers(0, len(tagged)))
    end = data.draw(st.integers(start, len(tagged)))
    registry = Registry()
    registry.register([page])
    found = [p for p in split_tags(tagged[start:end]) if isinstance(p, PageTag) and registry.resolve(p)]
    assert not found or (start, end) == (0, len(tagged))


@pytest.mark.parametrize(
    "text",
    [
        '<page n="1" source="a" id="zz">x</page>',
        "<page>x</page>",
        '<page n="1" source="a" id="0123456789abcdef0123456789abcdef">no end',
        "no begin</page>",
        "<pages>",
        "&lt;page&gt;",
    ],
)
def test_what_is_not_a_tag_stays_text(text: str) -> None:
    assert split_tags(text) == [text]


def test_prose_and_code_are_readable_as_they_are() -> None:
    text = "if a < b && c > d: print(\"&\", 'x')  # <b>bold</b>"
    assert text in page_tag(make_page(text))


def test_outside_tags_is_what_the_user_wrote() -> None:
    text = f"Read {page_tag(make_page('a'))}[page 3: see image] and [pages 3-9 of a b.txt: see images]: who?"
    assert outside_tags(text) == "Read  and : who?"


# -- the registry ---------------------------------------------------------------------------------------------------------


def tag_of(page: Page) -> PageTag:
    (tag,) = split_tags(page_tag(page))
    assert isinstance(tag, PageTag)
    return tag


def test_a_tag_resolves_only_to_a_registered_page_with_that_text() -> None:
    registry, page = Registry(), make_page("The text.")
    assert registry.resolve(tag_of(page)) is None
    registry.register([page])
    assert registry.resolve(tag_of(page)) is page
    assert registry.resolve(tag_of(page)._replace(text="Another text.")) is None
    assert registry.resolve(tag_of(page)._replace(number=3, source="/etc/passwd")) is page  # its claims are not believed


class Store:
    """As a `PageIndex`, which leaves unknown ids out."""

    def __init__(self, *pages: Page) -> None:
        self.pages = {page.id: page for page in pages}

    def get(self, ids: list[str]) -> list[Page]:
        return [self.pages[i] for i in ids if i in self.pages]


def test_pages_may_come_from_a_store_or_a_function() -> None:
    registry, page, other = Registry(), make_page("The text."), make_page("Other")
    assert registry.resolve(tag_of(page), Store(page)) is page
    assert registry.resolve(tag_of(page), Store()) is None
    assert registry.resolve(tag_of(page), {page.id: page}.get) is page
    assert registry.resolve(tag_of(page), {page.id: page}.__getitem__) is page
    assert registry.resolve(tag_of(page), lambda _: other) is None


def test_drawn_pages_are_found_by_their_bytes() -> None:
    registry, page = Registry(), make_page("The text.")
    registry.register_png(b"png bytes", page)
    assert registry.page_of_png(b"png bytes") is page
    assert registry.page_of_png(b"other bytes") is None
    assert registry.page(page.id) is page


def test_the_registry_is_bounded_and_keeps_what_was_used_last() -> None:
    registry = Registry(limit=3)
    pages = [make_page(str(i)) for i in range(4)]
    registry.register(pages[:3])
    assert registry.page(pages[0].id)
    registry.register(pages[3:])
    assert [registry.page(p.id) is not None for p in pages] == [True, False, True, True]
    assert len(registry) == 3
    registry.clear()
    assert len(registry) == 0


def test_threads_share_a_registry() -> None:
    registry = Registry(limit=50)
    pages = [make_page(str(i)) for i in range(200)]

    def work() -> None:
        for page in pages:
            registry.register([page])
            registry.register_png(page.text.encode(), page)
            registry.page_of_png(page.text.encode())

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(registry) == 50
    assert registry.page(pages[-1].id) is pages[-1]
