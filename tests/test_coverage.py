"""What the fonts at hand cover."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from glyph_integrations.cli import app
from glyph_integrations.rendering.coverage import coverage, script_of
from glyph_integrations.rendering.fonts import FontSet


@pytest.mark.parametrize(
    ("char", "script"),
    [
        ("a", "LATIN"),
        ("ж", "CYRILLIC"),
        ("中", "CJK"),
        ("ह", "DEVANAGARI"),
        ("ि", "DEVANAGARI"),
        ("5", "SIGNS"),
        ("😀", "EMOJI"),
    ],
)
def test_scripts_are_named(char: str, script: str) -> None:
    assert script_of(char) == script


def test_what_no_font_covers_comes_first_with_advice() -> None:
    found = coverage("plain text, \ue000 \x07", FontSet())
    assert [c.script for c in found if c.missing] == ["CONTROL", "PRIVATE USE"]
    latin = next(c for c in found if c.script == "LATIN")
    assert latin.fonts == ("DejaVuSans.ttf",) and latin.missing == "" and latin.covered == len(set("plaintext"))
    assert all(c.advice for c in found if c.missing)


def test_the_command_names_what_a_file_lacks(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("text with \ue123 inside", encoding="utf-8")
    result = CliRunner().invoke(app, ["fonts", str(path)])
    assert result.exit_code == 0 and "U+E123" in result.output and "DejaVuSans.ttf" in result.output
    assert CliRunner().invoke(app, ["fonts"]).exit_code == 0
    path.write_text("text \ue455", encoding="utf-8")
    assert "Private Use U+E455: " in CliRunner().invoke(app, ["fonts", str(path)]).output  # a name longer than the column
    assert CliRunner().invoke(app, ["fonts", str(tmp_path / "none")]).exit_code == 1
