"""``glyph tokens``: what a document costs each model family, as text and as pages."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .layout import lay_out, tell_layout
from .options import EncodingOption, QuietOption, StyleOption, choose_style
from .terminal import Terminal

if TYPE_CHECKING:
    from ..page import Page
    from ..style import PageStyle


def tokens(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A text file.", show_default=False)],
    style: StyleOption = None,
    tokenizer: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE",
            help="Count text tokens with this tokenizer.json, or a Hugging Face tokenizer that is already on this machine.",
            show_default=False,
        ),
    ] = None,
    encoding: EncodingOption = None,
    quiet: QuietOption = False,
) -> None:
    """Compare what a document costs as text and as pages, for each known model family.

    Visual tokens are exact. Text tokens are an estimate unless a tokenizer is given.
    """
    from ..rendering import Renderer
    from ..sources import open_document
    from ..vision import VisionProfile, count_text_tokens

    terminal = Terminal(quiet)
    document = open_document(file, encoding=encoding)
    text = count_text_tokens(document.text, tokenizer)
    laid_out: dict[PageStyle, tuple[Renderer, list[Page]]] = {}
    rows = []
    for vision in VisionProfile.known():
        chosen = choose_style(style, vision)
        if chosen not in laid_out:
            renderer = Renderer(chosen)
            laid_out[chosen] = renderer, lay_out(terminal, renderer, document)
        renderer, pages = laid_out[chosen]
        visual = sum(vision.count(*renderer.size(page, vision=vision)) for page in pages)
        rows.append((
            vision.name, str(chosen) if style is None else style, f"{text.count:,}", f"{len(pages):,}", f"{visual:,}",
            f"{text.count / visual:.2f}", _fits(text.count, visual, vision.context_window),
        ))  # fmt: skip
    terminal.step("Text", f"{document.name}: {len(document.text):,} characters, {text.count:,} tokens ({text.method})")
    tell_layout(terminal, next(iter(laid_out.values()))[1])
    terminal.table(("Model", "Style", "Text", "Pages", "Visual", "Ratio", "Fits context as"), rows)
    terminal.step("Ratio", "text tokens / visual tokens; below 1 the text is cheaper than its pages")


def _fits(text: int, visual: int, window: int | None) -> str:
    if window is None:
        return "?"
    ways = [name for name, count in (("text", text), ("pages", visual)) if count < window]
    return " and ".join(ways) or "neither"
