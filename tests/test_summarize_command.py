"""`glyph summarize`: files, folders and indexes, with a server and without."""

from __future__ import annotations

from pathlib import Path

import pytest
from chat_server import chat_server
from glyph_command import FILLER, error_of, files_in, glyph, isolate, ok

SAID = "Captain Ahab sailed in 1841 [p. 1]."


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    isolate(tmp_path, monkeypatch)
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "whale.txt").write_text(f"Captain Ahab sailed in 1841. {FILLER * 100}", encoding="utf-8")
    (docs / "island.txt").write_text("The lighthouse of Skerryvore burned for forty years. " + FILLER, encoding="utf-8")
    return tmp_path


def test_without_a_model_sentences_are_chosen_and_cited() -> None:
    out = ok("summarize", "docs/island.txt")
    assert "Skerryvore burned for forty years. [p. 1]" in out
    assert "no model was asked" in out
    assert "100% passed the check" in out
    assert ok("summarize", "docs/island.txt", "--quiet").startswith("The lighthouse")


def test_a_folder_is_summarized_with_the_files_that_cannot_be_read_named(folder: Path) -> None:
    (folder / "docs" / "empty.txt").write_text(" \n", encoding="utf-8")
    result = glyph("summarize", "docs", "-o", "summary.md")
    assert result.exit_code == 0, result.output
    text = (folder / "summary.md").read_text(encoding="utf-8")
    assert "[p. 1 of island.txt]" in text
    assert "## whale.txt" in text
    assert "empty.txt is empty" in result.stderr


def test_an_index_is_summarized(folder: Path) -> None:
    ok("index", "docs", "--index", "kb")
    assert "[p. 1 of island.txt]" in ok("summarize", "kb")
    asked = ok("summarize", "kb", "--question", "How long did the lighthouse burn?")
    assert "The lighthouse of Skerryvore burned for forty years. [p. 1 of island.txt]" in asked


def test_a_server_is_asked_once_and_the_cache_after_that(folder: Path) -> None:
    with chat_server() as server:
        server.answer = SAID
        command = ("summarize", "docs/whale.txt", "--base-url", server.url, "--model", "zai-org/Glyph", "--cache", "cache")
        planned = ok(*command, "--dry-run")
        assert "1 model call, 0 answers in the cache" in planned
        assert "as text" in planned
        assert server.requests == []
        out = ok(*command)
        assert SAID in out
        assert "1 model call" in out
        assert "as text" in out
        assert "0 model calls, 1 answers" in ok(*command, "--dry-run")
        assert "1 answers from the cache" in ok(*command)
        assert len(server.requests) == 1
        server.answer = "Captain Nemo sailed in 1866 [p. 1]."
        other = ok(*command, "--language", "French")
        assert "0% passed the check" in other
        assert "not supported: Captain Nemo sailed in 1866. (not on page 1: 1866)" in other
    assert {name.partition("/")[0] for name in files_in(folder)} == {"docs", "cache"}


def test_a_dry_run_needs_no_server(folder: Path) -> None:
    assert "3 model calls" in ok("summarize", "docs", "--model", "zai-org/Glyph", "--dry-run")
    assert "no model calls" in ok("summarize", "docs", "--dry-run")


def test_mistakes_are_told_in_a_line(folder: Path) -> None:
    assert "does not exist" in error_of("summarize", "nowhere.txt")
    assert "cannot be reached" in error_of(
        "summarize", "docs/island.txt", "--base-url", "http://127.0.0.1:9/v1", "--model", "zai-org/Glyph", "--quiet"
    )
    for wrong, reason in (
        (("--style", "poem"), "choose one of brief"),
        (("--style", "question"), "--question"),
        (("--base-url", "http://127.0.0.1:9/v1"), "--model"),
        (("--model", "glyph"), "--base-url"),
        (("--output", "docs"), "name a file"),
    ):
        result = glyph("summarize", "docs", *wrong)
        assert result.exit_code == 2
        assert reason in result.output
