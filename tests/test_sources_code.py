"""Source code: untouched text, roles from its language's lexer, and media types by content and name."""

from __future__ import annotations

import itertools
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glyph_integrations.sources import SourceDocument, open_document
from glyph_integrations.sources.source_code import LONGEST_LINE, MAX_CHARACTERS, code_runs

PYTHON = '''@cached
def area(r):  # a circle
    """Doc
    string."""
    if r is not None and r > 2.5:
        return f"{r}" 'x' + """y
z"""
'''


def said(document: SourceDocument, role: str) -> list[str]:
    return [document.text[start:end] for start, end, name in document.runs if name == role]


def test_python_has_keywords_comments_strings_numbers_and_the_names_it_defines() -> None:
    document = open_document(PYTHON.encode(), name="a.py")
    assert (document.text, document.media_type) == (PYTHON, "text/x-python")
    assert said(document, "keyword") == ["def", "if", "is not None and", "return"]
    assert said(document, "comment") == ["# a circle", '"""Doc\n    string."""']
    assert said(document, "number") == ["2.5"]
    assert said(document, "name") == ["@cached", "area"]
    assert "".join(said(document, "string")).startswith('f"{')


@pytest.mark.parametrize("newline", ["\r\n", "\r"])
def test_newlines_of_any_kind_are_kept_and_counted(newline: str) -> None:
    text = PYTHON.replace("\n", newline)
    assert [(text[s:e].replace(newline, "\n"), role) for s, e, role in code_runs(text, "text/x-python")] == [
        (PYTHON[s:e], role) for s, e, role in code_runs(PYTHON, "text/x-python")
    ]


@pytest.mark.parametrize(
    ("name", "text", "media_type", "keyword"),
    [
        ("a.rs", "fn main() {}", "text/rust", "fn"),
        ("a.c", "int main() { return 0; }", "text/x-chdr", "return"),
        ("a.js", "const x = 1;", "application/javascript", "const"),
        ("a.ts", "interface A {}", "application/x-typescript", "interface"),
        ("A.java", "class A {}", "text/x-java", "class"),
        ("a.go", "func f() {}", "text/x-gosrc", "func"),
        ("a.pl", "use strict;\nmy $x = 1;\n", "text/x-perl", "my"),
        ("a.pl", ":- use_module(lists).\nf(X) :- g(X).\n", "text/x-prolog", ""),
        ("Makefile", "ifdef A\nendif", "text/x-makefile", "ifdef"),
        ("run", "#!/usr/bin/env python3\nimport os\n", "text/x-python", "import"),
        ("run", "#!/bin/bash\nif true; then x; fi\n", "application/x-sh", "if"),
    ],
)
def test_the_language_follows_from_the_name_or_the_first_line(name: str, text: str, media_type: str, keyword: str) -> None:
    document = open_document(text.encode(), name=name)
    assert (document.media_type, document.text) == (media_type, text)
    assert not keyword or any(keyword in words.split() for words in said(document, "keyword"))


@pytest.mark.parametrize("media_type", ["text/x-python", "application/x-python", "text/x-python; charset=utf-8"])
def test_a_given_media_type_is_enough(media_type: str) -> None:
    assert said(open_document(b"import os", media_type), "keyword") == ["import"]


@pytest.mark.parametrize(
    "name", ["a.txt", "a.rst", "a.csv", "a.json", "a.yaml", "a.toml", "a.xml", "a.log", "LICENSE", "a.unknown"]
)
def test_prose_and_data_have_no_roles(name: str) -> None:
    assert open_document(b'# if 1: "x"\nreturn 2 // three\n', name=name).runs == ()


def test_web_pages_are_told_by_how_they_begin_where_the_name_says_nothing() -> None:
    page = b"\n<!-- x --><!DOCTYPE html><p>text"
    assert [open_document(page, name=name).media_type for name in ("", "a", "a.txt", "a.html")] == ["text/html"] * 4
    assert open_document(page, name="a.md").media_type == "text/markdown"
    assert open_document(page, "text/plain").text == page.decode()
    assert open_document(b"<p>text", name="a.txt").text == "<p>text"


def test_huge_minified_and_unknown_code_is_read_without_roles() -> None:
    assert code_runs("x = 1\n" * (MAX_CHARACTERS // 6 + 1), "text/x-python") == ()
    assert code_runs("var a = 1;" * (LONGEST_LINE // 10 + 1), "application/javascript") == ()
    assert code_runs("if else", "text/x-no-such-language") == ()
    assert code_runs("var a = 1;" * (LONGEST_LINE // 10), "application/javascript")


@settings(max_examples=60)
@given(
    st.lists(
        st.sampled_from([*PYTHON.split(" "), "\n", "\r\n", '"', "'''", "#", "/*", "*/", "//", "汉字", "\\", "{", "\t"]),
        max_size=40,
    ),
    st.sampled_from(["text/x-python", "text/x-csrc", "application/javascript", "text/rust", "application/x-sh", "text/x-java"]),
)
def test_runs_are_sorted_apart_and_begin_and_end_with_something_visible(words: list[str], media_type: str) -> None:
    text = " ".join(words)
    runs = code_runs(text, media_type)
    for first, second in itertools.pairwise(runs):
        assert first.end <= second.start
    for start, end, _ in runs:
        assert text[start:end] and text[start:end] == text[start:end].strip()


@pytest.mark.parametrize(
    "media_type", ["text/x-python", "text/x-csrc", "application/javascript", "text/rust", "text/x-java", "text/x-perl"]
)
@pytest.mark.parametrize("text", ["/* ", '"""\n', "'", "{[(", 'r#"\n', "\\\n", "0x", "f'{"], ids=repr)
def test_hostile_code_takes_bounded_time(text: str, media_type: str) -> None:
    start = time.process_time()
    code_runs((text * 30 + "\n") * 150, media_type)
    assert time.process_time() - start < 25
