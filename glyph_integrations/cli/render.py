"""``glyph render``: a document as PNG files."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Annotated

import typer

from .layout import lay_out, tell_layout
from .options import EncodingOption, PasswordOption, QuietOption, StyleOption, choose_style, secret
from .staging import staged
from .terminal import Terminal, counted


def render(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="Text, Markdown, HTML, source code, PDF, an image, an Office file, a book.", show_default=False
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Folder for page_0001.png and so on.", show_default=False)
    ],
    style: StyleOption = None,
    dpi: Annotated[
        int | None, typer.Option(help="Resolution; line breaks stay. Default: the style's own.", show_default=False)
    ] = None,
    model: Annotated[
        str, typer.Option(metavar="NAME", help="Model that will see them: pads pictures to its patch grid, counts its tokens.")
    ] = "glyph",
    pages: Annotated[
        str | None, typer.Option(metavar="LIST", help="Draw only these, such as 3-7 or 1,4,10-.", show_default=False)
    ] = None,
    jobs: Annotated[
        int, typer.Option("--jobs", "-j", min=1, max=256, help="Processes that draw; pays from some hundred pages.")
    ] = 1,
    encoding: EncodingOption = None,
    password: PasswordOption = None,
    quiet: QuietOption = False,
) -> None:
    """Draw a document as page images (PNG).

    The files appear together once all are drawn; files of the same names are replaced.
    """
    from ..rendering import Renderer, png_in_parallel
    from ..sources import open_document
    from ..vision import VisionProfile, count_text_tokens

    terminal = Terminal(quiet)
    vision = VisionProfile.get(model)
    document = open_document(file, encoding=encoding, password=secret(password, "--password"))
    renderer = Renderer(choose_style(style, vision))
    began = time.perf_counter()
    drawn = lay_out(terminal, renderer, document)
    digits = max(4, len(str(len(drawn))))
    if pages is not None:
        wanted = _numbers(pages, len(drawn))
        drawn = [page for page in drawn if page.number in wanted]
    names = [f"page_{page.number:0{digits}}.png" for page in drawn]
    with staged(output) as stage:
        pictures = png_in_parallel(renderer, drawn, dpi, vision, jobs)
        for name, picture in zip(names, terminal.track(pictures, "Drawing", len(drawn)), strict=True):
            (stage / name).write_bytes(picture)
    seconds = time.perf_counter() - began
    text = "".join(page.text for page in drawn)
    text_tokens = count_text_tokens(text)
    visual_tokens = sum(vision.count(*renderer.size(page, dpi, vision)) for page in drawn)
    terminal.step(
        "Drawn",
        f"{counted(len(drawn), 'page')} ({names[0]} to {names[-1]}) in {output}, {seconds:.1f} s",
        f"{len(text):,} characters, {text_tokens.count:,} text tokens ({text_tokens.method})",
        f"{visual_tokens:,} visual tokens for {vision.name}, ratio {text_tokens.count / visual_tokens:.2f}",
    )
    tell_layout(terminal, drawn)
    others = sum(1 for other in output.glob("page_*.png") if other.name not in names)
    if others:
        terminal.warn(f"{output} also holds {others:,} page_*.png files that this run did not write")


def _numbers(pages: str, count: int) -> set[int]:
    wanted: set[int] = set()
    for part in pages.split(","):
        match = re.fullmatch(r"\s*(\d+)?\s*(-)?\s*(\d+)?\s*", part, re.ASCII)
        if not match or not (match[1] or match[3]) or (match[3] and not match[2]):
            raise typer.BadParameter(f"{part!r} is not a page number or a range such as 3-7", param_hint="--pages")
        first = int(match[1] or 1)
        last = int(match[3] or count) if match[2] else first
        if not 1 <= first <= last <= count:
            raise typer.BadParameter(f"{part.strip()}: the document has pages 1 to {count}", param_hint="--pages")
        wanted.update(range(first, last + 1))
    return wanted
