"""``glyph legibility``: how well an OCR engine reads a document in each style, and what the style costs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .options import EncodingOption, QuietOption, choose_style
from .terminal import Terminal, counted

if TYPE_CHECKING:
    from ..tuning.legibility import Legibility


def legibility(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A document of the kind to be read.", show_default=False)],
    style: Annotated[
        list[str] | None,
        typer.Option(
            "--style",
            "-s",
            metavar="NAME|FILE",
            help="A preset, a changed preset such as 'glyph-72;font_size=8', or a JSON file; may be given several times. "
            "Default: glyph-72 and glyph-96.",
            show_default=False,
        ),
    ] = None,
    lines: Annotated[int, typer.Option(min=1, help="Lines to read for each style, at the same places of the text.")] = 36,
    engine: Annotated[
        str, typer.Option(metavar="NAME", help="rapidocr (Latin, Chinese, Japanese) or tesseract:LANGUAGE (tesseract:ara).")
    ] = "rapidocr",
    model: Annotated[str, typer.Option(metavar="NAME", help="Model whose visual tokens are counted.")] = "glyph",
    cache: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Keep readings here, so that a second run is fast.", show_default=False)
    ] = None,
    encoding: EncodingOption = None,
    quiet: QuietOption = False,
) -> None:
    """Draw a document in several styles, read some lines back with an OCR engine, and count the errors.

    An OCR engine is not a vision-language model: compare styles with each other, not with what a model reads.
    """
    from ..sources import open_document
    from ..tuning import CachedReader, measure_legibility, open_reader
    from ..vision import VisionProfile, count_text_tokens

    terminal = Terminal(quiet)
    vision = VisionProfile.get(model)
    names = style or ["glyph-72", "glyph-96"]
    styles = [choose_style(name, vision) for name in names]
    document = open_document(file, encoding=encoding)
    reader = CachedReader(open_reader(engine), cache)
    found = {
        name: measure_legibility(
            document, reader, chosen, vision=vision, lines=lines,
            track=lambda crops, name=name: terminal.track(crops, f"Reading {name}", len(crops)),  # type: ignore[misc]
        )
        for name, chosen in zip(names, styles, strict=True)
    }  # fmt: skip
    text = count_text_tokens(document.text)
    terminal.step("Text", f"{document.name}, {1000 * text.count / len(document.text):.0f} tokens as text ({text.method})")
    terminal.step("Reader", f"{reader.name}, {counted(len(next(iter(found.values())).lines), 'line')} for each style")
    terminal.table(
        ("Style", "Errors", "+-", "Tokens", "Characters read", "Unread lines"),
        (
            (name, f"{100 * x.error_rate:.2f} %", f"{100 * x.standard_error:.2f}", f"{x.tokens_per_1000:.0f}",
             f"{x.characters:,}", f"{x.unread:,}") for name, x in found.items()
        ),
    )  # fmt: skip
    terminal.table(("Style", "Worst confusions: drawn>read times"), ((name, _worst(x)) for name, x in found.items()))
    terminal.step(
        "Errors", "characters misread for each one drawn; +- is their standard error: less than twice it tells nothing"
    )
    terminal.step("Tokens", f"for 1,000 characters of the document; of pages, those of {vision.name}")


def _worst(found: Legibility) -> str:
    return "  ".join(f"{_shown(c.drawn)}>{_shown(c.read)} {c.times}" for c in found.confusions(4)) or "none"


def _shown(text: str) -> str:
    return (text if len(text) <= 8 else text[:7] + "…").replace(" ", "␣") or "∅"
