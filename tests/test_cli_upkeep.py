"""`glyph index --verify`, `--repair` and `--stats`."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from glyph_command import error_of, files_in, glyph, ok
from test_index import TOWNS, Letters

from glyph_integrations.index import PageIndex


@pytest.fixture
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(params=["words", "model"])
def index(request: pytest.FixtureRequest, own_folder: Path) -> Path:
    """An index, of an embedder that the command knows, or of another."""
    with PageIndex.open("idx", Letters() if request.param == "model" else None) as index:
        index.add(TOWNS)
        index.search("river")
    return Path("idx")


def change(sql: str) -> None:
    database = sqlite3.connect("idx/pages.sqlite")
    database.execute(sql)
    database.commit()
    database.close()


def test_a_sound_index_is_said_to_be_sound(index: Path) -> None:
    assert "4 pages" in ok("index", "-i", index, "--verify")
    assert ok("index", "-i", index, "--verify", "--quiet") == ""


def test_what_is_wrong_is_told_with_code_one_and_can_be_repaired(index: Path) -> None:
    change(f"UPDATE pages SET text = x'00' WHERE id = '{TOWNS[1].id}'")
    result = glyph("index", "-i", index, "--verify")
    assert result.exit_code == 1
    assert "row 2" in result.stdout and "--repair" in result.stdout
    said = ok("index", "-i", index, "--repair")
    assert "3 pages" in said and f"lost: page {TOWNS[1].id} of towns.txt" in said and "add these sources again" in said
    assert "3 pages" in ok("index", "-i", index, "--verify")
    assert any("damaged-" in name for name in files_in(index))


def test_stats_tell_sizes_and_what_it_was_made_of(index: Path) -> None:
    said = {line[:22].strip(): line[22:].strip() for line in ok("index", "-i", index, "--stats").splitlines()}
    assert said["pages"] == "4" and said["sources"] == "2" and said["BM25"] == "up to date"
    assert ("letters" in said["embedder"]) != ("lexical" in said["embedder"])
    assert said["pages.sqlite"].endswith(" bytes") and int(said["bytes per page"].replace(",", "")) > 100


@pytest.mark.parametrize("task", ["--verify", "--repair", "--stats"])
def test_what_is_no_index_is_said_in_one_line_and_nothing_is_made(own_folder: Path, task: str) -> None:
    assert "glyph index PATH" in error_of("index", "-i", "nowhere", task)
    assert files_in(own_folder) == set()


@pytest.mark.parametrize("arguments", [["--verify", "--repair"], ["--stats", "a.txt"], ["--repair", "a.txt"], []])
def test_wrong_combinations_end_with_code_two(index: Path, arguments: list[str]) -> None:
    before = files_in(index)
    result = glyph("index", "-i", index, *arguments)
    assert result.exit_code == 2
    assert result.stderr
    assert files_in(index) == before
