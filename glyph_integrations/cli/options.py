"""Options that several commands share, and what they mean."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..style import PageStyle

if TYPE_CHECKING:
    from ..vision import VisionProfile

StyleOption = Annotated[
    str | None,
    typer.Option(
        "--style",
        "-s",
        metavar="NAME|FILE",
        help="How pages look: glyph-72, glyph-96, a changed preset such as 'glyph-72;font_size=8', or a JSON file "
        "(a saved style or an official Glyph config). Default: what suits the model.",
    ),
]
PicturesOption = Annotated[
    Path, typer.Option("--output", "-o", metavar="DIR", help="Folder for the pictures of the cited pages.")
]
SERVER = typer.Option(metavar="URL", help="An OpenAI-compatible server, such as http://127.0.0.1:8000/v1.", show_default=False)
ServerOption = Annotated[str | None, SERVER]
VisionOption = Annotated[
    str | None,
    typer.Option(
        metavar="FAMILY",
        help="How that model sees pictures, such as qwen2.5-vl; needed where its name does not say.",
        show_default=False,
    ),
]
RootOption = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Folder of the PDF and image files that an index was made from.", show_default=False),
]
KeyOption = Annotated[
    str | None,
    typer.Option(
        "--api-key",
        metavar="ENV",
        help="Environment variable that holds the server's key. Default: OPENAI_API_KEY, if set.",
        show_default=False,
    ),
]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Print results only: no steps, no progress bars.")]
EncodingOption = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Encoding of texts that are not UTF-8, such as gb18030 or cp1252.", show_default=False),
]
PasswordOption = Annotated[
    str | None,
    typer.Option("--password", metavar="ENV", help="Environment variable that holds a PDF's password.", show_default=False),
]


def secret(variable: str | None, option: str) -> str | None:
    """The value of the environment variable that an option names; None without the option."""
    if variable is None:
        return None
    if not os.environ.get(variable):  # not echoed: it may be the secret itself
        raise typer.BadParameter("takes the name of an environment variable that is set, not its value", param_hint=option)
    return os.environ[variable]


def choose_style(style: str | None, vision: VisionProfile | None) -> PageStyle:
    """The style an option names; without one, the one recommended for the model.

    Raises:
        StyleError: an unknown name, or a file that cannot be read as a style.
    """
    if style is None:
        return PageStyle.parse(vision.style) if vision else PageStyle()
    path = Path(style)
    if path.suffix.lower() != ".json" and not path.is_file():
        return PageStyle.parse(style)
    return PageStyle.from_glyph_config(path) if _is_glyph_config(path) else PageStyle.load(path)


def _is_glyph_config(path: Path) -> bool:
    try:
        keys = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False  # `PageStyle.load` says what is wrong with it
    return isinstance(keys, dict) and any("-" in key for key in keys)  # page-size, font-path; our own keys have no dashes
