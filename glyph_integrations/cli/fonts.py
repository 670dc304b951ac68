"""``glyph fonts``: which scripts can be drawn on this machine, and what a file lacks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .options import EncodingOption, QuietOption
from .terminal import Terminal, printable


def fonts(
    file: Annotated[
        Path | None,
        typer.Argument(metavar="[FILE]", help="A document to look at; default: a sample of each script.", show_default=False),
    ] = None,
    font: Annotated[str, typer.Option(metavar="sans|mono|FILE", help="The font that is asked first.")] = "sans",
    encoding: EncodingOption = None,
    quiet: QuietOption = False,
) -> None:
    """Show which fonts draw which scripts here, and what to install for characters that none covers."""
    from ..rendering.coverage import SAMPLES, coverage
    from ..rendering.fonts import FontSet
    from ..sources import open_document

    terminal = Terminal(quiet)
    text = open_document(file, encoding=encoding).text if file else "".join(SAMPLES.values())
    found = coverage(text, FontSet(font))
    rows = []
    for script, names, covered, missing, _ in found:
        shown = printable(missing[:8]) + ("…" if len(missing) > 8 else "")
        rows.append((script.title(), str(covered), f"{len(missing)} {shown}".strip() if missing else "0", ", ".join(names[:3])))
    terminal.table(("Script", "Covered", "Missing", "Fonts"), rows)
    lacking = [c for c in found if c.missing]
    for script, _, _, missing, advice in lacking:
        codes = " ".join(f"U+{ord(c):04X}" for c in missing[:6]) + (" …" if len(missing) > 6 else "")
        terminal.step(script.title(), f"{codes}: {advice}")
    if not lacking:
        terminal.step("Fonts", "cover everything")
