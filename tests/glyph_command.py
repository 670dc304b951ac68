"""The `glyph` command run in this process, and a document to run it on."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from glyph_integrations.cli import app

FILLER = "The ferry crossed the grey water twice a day, and nobody on the island counted the passengers. "
FACT = "The lighthouse keeper of Skerryvore was called Alasdair Mackinnon, and he kept forty-one bees."
QUESTION = "What was the lighthouse keeper of Skerryvore called?"
CHINESE = "\n".join(["那猴王在山中与众猴玩耍，不知岁月。" * 20] * 40) + "\n如意金箍棒重一万三千五百斤。\n"


def isolate(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder, so that all that is written can be seen, and know of no server."""
    monkeypatch.chdir(folder)
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "GLYPH_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    return folder


def write_story(folder: Path) -> Path:
    """A few pages of prose; the fact stands on one of them."""
    paragraphs = [f"Chapter {n}\n\n" + FILLER * 30 for n in range(1, 16)]
    paragraphs[6] += FACT
    path = folder / "story.txt"
    path.write_text("\n\n".join(paragraphs) + "\n", encoding="utf-8")
    return path


def glyph(*arguments: object) -> Result:
    """Run a command."""
    return CliRunner().invoke(app, [str(a) for a in arguments])


def ok(*arguments: object) -> str:
    result = glyph(*arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


def error_of(*arguments: object) -> str:
    """The one line that a failing command says."""
    result = glyph(*arguments)
    assert result.exit_code == 1, result.output
    assert isinstance(result.exception, SystemExit), result.exception  # nothing got through
    lines = result.stderr.splitlines()
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("error: ")
    return lines[0]


def files_in(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}
