"""Markdown: marks are found exactly, and nothing that a reader needs is hidden."""

from __future__ import annotations

import re
import time
import tracemalloc
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from glyph_integrations.page import Run
from glyph_integrations.sources import open_document
from glyph_integrations.sources.markdown import MAX_CHARACTERS, markdown_runs

PARSER = MarkdownIt("commonmark").enable("table").disable("text_join")
TAG = re.compile(r"<!---?>|<!--.*?-->|</?[A-Za-z][^<>]*>", re.S)


def without(text: str, spans: Iterable[tuple[int, int]]) -> str:
    kept, at = [], 0
    for start, end in spans:
        kept.append(text[at:start])
        at = end
    return "".join(kept) + text[at:]


def drawn(text: str, runs: Iterable[Run] | None = None) -> str:
    """What is left of a text without the marks that are not drawn."""
    runs = markdown_runs(text) if runs is None else runs
    return without(text, [(run.start, run.end) for run in runs if run.role == "syntax"])


def said(text: str, *roles: str) -> list[str]:
    return [drawn_part(text, run) for run in markdown_runs(text) if run.role in roles]


def drawn_part(text: str, run: Run) -> str:
    hidden = [(max(r.start, run.start), min(r.end, run.end)) for r in markdown_runs(text) if r.role == "syntax"]
    return without(text[: run.end], [(0, run.start), *(span for span in hidden if span[0] < span[1])])


def rendered(text: str) -> str:
    """markdown-it's own plain text, with list markers, breaks and entities, and without the tags of HTML."""
    words: list[str] = []

    def add(tokens: Iterable[Token]) -> None:
        for token in tokens:
            if token.type in ("inline", "image"):
                add(token.children or ())
            elif token.type == "text_special":
                words.append(token.content if token.info == "escape" else token.markup)
            elif token.type in ("html_inline", "html_block"):
                words.append(untagged(token.content))
            elif token.type == "list_item_open":
                words.append(token.info + token.markup)
            elif token.type == "hr":
                words.append(token.markup[1:])  # the parser counts one too many
            else:
                words.append(token.content)

    add(PARSER.parse(text))
    return squeezed("".join(words))


def squeezed(text: str) -> str:
    """Without white space and the bars of tables."""
    return re.sub(r"[\s|\0\ufffd]+", "", text)


def untagged(text: str) -> str:
    """Without HTML, tags inside tags included."""
    while (less := TAG.sub("", text)) != text:
        text = less
    return text


def first_missing(needed: str, present: str) -> int:
    """Where ``needed`` ceases to be in ``present`` in this order; -1 if all of it is."""
    rest = iter(present)
    return next((at for at, char in enumerate(needed) if char not in rest), -1)


def assert_well_formed(text: str, runs: tuple[Run, ...]) -> None:
    open_runs: list[Run] = []
    for before, run in zip((Run(0, len(text), ""), *runs), runs, strict=False):
        assert 0 <= run.start < run.end <= len(text)
        assert (before.start, -before.end) <= (run.start, -run.end)
        while open_runs and open_runs[-1].end <= run.start:
            open_runs.pop()
        assert not open_runs or run.end <= open_runs[-1].end, f"{run} crosses {open_runs[-1]}"
        open_runs.append(run)


PIECES = [
    "#", "# ", "## ", "*", "**", "_", "__", "`", "``", "```", "\n```rust\n", "\n```\n", "~~~\n", "\n", "\n\n", "\n> ", "> ",
    "- ",
    "1. ", "  ", "    ", "\t", "|", "\n|a|b|\n|-|-|\n", "\\", "\\|", "\\\n", "[", "](", "](u.v)", "[a]", "[a]: http://b.c\n",
    "[^1]: x\n", "[Note]: words\n", "!", "![", "<b>", "</b>", "<br>", "<!--", "-->", "<div>\n", "<sup>", "&amp;", "&", "a",
    "b c",
    "word", "é", "汉字", "👩\u200d👩\u200d👧", "===\n", "---\n", "\n---\nk: v\n---\n", "<http://a.b>", "  \n", "\r\n", "\r",
    '"t"', "\u3000", "\xa0",
    "\0", "\x0c", "(", ")", ":", "\ud800", "\u2028",
]  # fmt: skip


@settings(max_examples=400)
@given(st.lists(st.sampled_from(PIECES), max_size=50).map("".join))
@example("> ```\n> a\n>\n> ```\n")
@example("- ```\n  a\n  ```\n| a |\n|---|\n")
@example("|a \\| `b`|\n|-|\n")
@example("> - <!--\n> ")
def test_no_character_that_a_reader_needs_is_ever_hidden(text: str) -> None:
    runs = markdown_runs(text)
    assert_well_formed(text, runs)
    try:
        needed, present = rendered(text), squeezed(drawn(text, runs))
    except IndexError:  # markdown-it itself fails on this text
        assert runs == ()
        return
    at = first_missing(needed, present)
    assert at < 0, f"{needed[max(0, at - 20) : at + 20]!r} is not in {present!r}"


@pytest.mark.parametrize("name", ["zh_law_宪法.md", "zh_law_总则.md", "zh_law_合同编.md"])
def test_real_statutes_are_drawn_as_markdown_it_renders_them(corpora: Path, name: str) -> None:
    document = open_document(corpora / "texts" / name)
    assert document.media_type == "text/markdown"
    assert_well_formed(document.text, document.runs)
    assert squeezed(drawn(document.text, document.runs)) == rendered(document.text)
    assert sum(run.role.startswith("heading") for run in document.runs) > 10


def test_a_real_book_is_drawn_as_markdown_it_renders_it(corpora: Path) -> None:
    text = (corpora / "texts" / "rust_book_ch01-09.md").read_text(encoding="utf-8")
    runs = markdown_runs(text)
    assert_well_formed(text, runs)
    shown = drawn(text, runs)
    visible_definition = "[^siphash]: [https://en.wikipedia.org/wiki/SipHash](https://en.wikipedia.org/wiki/SipHash)"
    assert visible_definition in text  # a footnote, which CommonMark takes for a definition, stays
    shown = shown.replace(visible_definition, "")
    assert untagged(squeezed(shown)) == untagged(rendered(text))
    for mark in ("```", "<!--", "](", "\n### "):
        assert mark in text and mark not in shown
    assert '<Listing number="1-1"' in shown  # no HTML: perhaps it says something


def test_inline_marks_give_roles_to_what_stands_between_them() -> None:
    text = "A *b* __c__ ***d*** `` e` `` [f *g*](http://h.i 'j') ![k](l.png) <http://m.n> [o][p] \\*q\\*\n\n[p]: http://r.s\n"
    assert drawn(text).strip() == "A b c d  e`  f g k http://m.n o *q*"
    assert said(text, "emphasis") == ["b", "d", "g"]
    assert said(text, "strong") == ["c", "d"]
    assert said(text, "code") == [" e` "]
    assert said(text, "link") == ["f g", "http://m.n", "o"]


def test_blocks_have_roles_from_their_first_mark_to_the_end_of_their_last_line() -> None:
    text = "# One #\n\nTwo\nlines\n---\n\n> said\nlazily\n\n- a\n  - b\n\n~~~ py\nx = 1\n~~~\n\n    y\n\n"
    text += "| a | b |\n|---|---|\n| 1 | 2 |\n"
    assert said(text, "heading1") == ["One"]
    assert said(text, "heading2") == ["Two\nlines"]
    assert said(text, "quote") == ["said\nlazily"]
    assert said(text, "list") == ["- a\n  - b", "- b"]
    assert said(text, "codeblock") == ["x = 1", "y"]
    assert said(text, "table") == ["| a | b |\n| 1 | 2 |"]
    assert [text[r.start : r.end] for r in markdown_runs(text) if r.role == "table"] == ["| a | b |\n|---|---|\n| 1 | 2 |"]


def test_lines_that_are_only_marks_go_with_their_newline() -> None:
    assert drawn("before\n```rust\ncode\n\n```\nafter\n") == "before\ncode\n\nafter\n"
    assert drawn("before\n\n<!-- a\nb -->\n\nafter") == "before\n\n\nafter"
    assert drawn("Title\n=====\ntext\n") == "Title\ntext\n"
    assert drawn("> a\n>\n> b\n") == "a\n\nb\n"  # the blank line between the paragraphs of a quotation stays
    assert drawn("```\nnever closed\n") == "never closed\n"
    assert drawn("1. ```\n   a\n   ```\n2. b") == "1. \n   a\n2. b".replace("\n   a", "   a")


def test_marks_inside_quotations_and_lists_are_found_on_every_line() -> None:
    text = "> 1. some **bold\n>    over** lines `and\n>    code`\n>    [link\n>    text](u)\n"
    assert drawn(text) == "1. some bold\n   over lines and\n   code\n   link\n   text\n"
    assert said(text, "strong") == ["bold\n   over"]
    assert [role for _, _, role in markdown_runs(text)].count("quote") == 1


def test_what_only_looks_like_a_mark_stays() -> None:
    for text in (
        "2 * 3 * 4",
        "snake_case_name",
        "a ` b",
        "[not a link]",
        "#hashtag",
        "| a | b |",
        "~~struck~~",
        "AT&amp;T",
        "* * *\n",
    ):
        assert drawn(text) == text
    assert drawn("`**not bold**`") == "**not bold**"
    assert drawn("```\n# code **x**\n```\n") == "# code **x**\n"
    assert drawn("[^1]: a footnote\n\n[Note]: Important\n") == "[^1]: a footnote\n\n[Note]: Important\n"


def test_tags_that_say_something_or_hold_words_apart_stay() -> None:
    assert drawn('x<sup>2</sup> <span class="y">z</span> <del>no</del>') == "x<sup>2</sup> z <del>no</del>"
    assert drawn("one<br>two<br>\nthree") == "one<br>two\nthree"
    assert drawn('<img src="a" alt="a picture">') == '<img src="a" alt="a picture">'
    assert drawn("<div>\n\ntext\n\n</div>\n").strip() == "text"
    assert drawn("a <!-- b --> c<!--d-->e") == "a  ce"


def test_front_matter_is_not_taken_for_a_heading() -> None:
    text = "---\ntitle: A *b*\ntags: [x]\n---\n# Head\n"
    assert drawn(text) == text.replace("# ", "")
    assert said(text, "codeblock") == ["---\ntitle: A *b*\ntags: [x]\n---"]
    assert said("---\n\nprose\n\n---\n", "codeblock") == []


@pytest.mark.parametrize("newline", ["\r\n", "\r"])
def test_newlines_of_any_kind_are_kept_and_counted(newline: str) -> None:
    text = "# A\n\n> *b\n> c*\n\n```\nd\n```\n\n| a \\| x | b |\n|---|---|\n| `c` | d |\n"
    other = text.replace("\n", newline)
    assert drawn(other) == drawn(text).replace("\n", newline)
    assert [(other[s:e].replace(newline, "\n"), role) for s, e, role in markdown_runs(other)] == [
        (text[s:e], role) for s, e, role in markdown_runs(text)
    ]


def test_tables_keep_their_bars_and_hide_the_row_of_dashes() -> None:
    assert drawn("| a | **b** |\n|:--|:-:|\n| x \\| y | `z` |\n\nend") == "| a | b |\n| x | y | z |\n\nend"
    assert drawn("a | b\n--|--\n") == "a | b\n"


@pytest.mark.slow
@pytest.mark.parametrize(
    "text",
    [
        "[" * 20_000, "*a " * 20_000, "<!--a " * 20_000, "[a](" * 10_000, "![" * 10_000, ">" * 20_000, "- " * 5_000,
        "`" * 20_000 + " `",
        "*_" * 10_000 + "a" + "_*" * 10_000, "[a]: b\n" * 10_000, "\\" * 50_001, "<a " * 20_000,
        "<div>\n" + "<!--" * 24_000,
        "| a " * 5_000 + "|\n" + "|-" * 5_000 + "|",
        "\n".join("  " * depth + "- x" for depth in range(500)), "|a|b|\n|-|-|\n" + "|c|\n" * 5_000, "> " * 300 + "x\n" * 300,
    ],
    ids=lambda text: text[:8],
)  # fmt: skip
def test_hostile_markdown_takes_bounded_time(text: str) -> None:
    start = time.process_time()
    assert_well_formed(text, markdown_runs(text))
    assert time.process_time() - start < 10


def test_a_deep_list_hides_nothing_of_what_comes_after_it() -> None:
    deep = "".join("  " * level + f"- level {level}\n" for level in range(20))
    table = "| a | b |\n|---|---|\n| 1 | **two** |"
    text = f"{deep}\nBetween.\n\n{table}\n"
    assert said(text, "table") == ["| a | b |\n| 1 | two |"] and said(text, "strong") == ["two"]


def test_too_large_a_text_is_read_without_runs() -> None:
    text = "# A\n" * (MAX_CHARACTERS // 4 + 1)
    assert markdown_runs(text) == ()


def test_reading_takes_little_memory_beside_what_is_found() -> None:
    """What the parser makes of a text is let go while it is read: kept to the end, it took a kilobyte for each mark."""
    text = "## A heading\n\n- an *item*\n- a [link](x)\n\nSome `code` and **words**.\n\n" * 600
    tracemalloc.start()
    runs = markdown_runs(text)
    held, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(runs) > 8_000 and peak < 3 * held


def test_markdown_is_read_fast(corpora: Path) -> None:
    text = (corpora / "texts" / "rust_book_ch01-09.md").read_text(encoding="utf-8")
    start = time.process_time()
    markdown_runs(text)
    assert time.process_time() - start < 4 * len(text) / 1e6  # measured: 0.6 s for a megabyte
