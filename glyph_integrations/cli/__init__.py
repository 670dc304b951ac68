"""The `glyph` command. Its sub-commands import the rooms they need when they run, so that help stays fast."""

from __future__ import annotations

import errno
import os
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from ..errors import GlyphError
from .ask import ask
from .calibrate import calibrate
from .demo import demo
from .eval import evaluate
from .export_pairs import export_pairs
from .fonts import fonts
from .index import index
from .legibility import legibility
from .render import render
from .serve import serve
from .summarize import summarize
from .terminal import printable
from .tokens import tokens
from .tune import tune

__all__ = ["app", "main"]


class _OneLineErrors(TyperGroup):
    """Says an error of ours, or of the file system, in one line and ends with code 1; ``GLYPH_DEBUG=1`` shows the traceback."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            _say_error("interrupted")
            raise typer.Exit(130) from None
        except GlyphError as error:
            if os.environ.get("GLYPH_DEBUG"):
                raise
            _say_error(str(error))
            raise typer.Exit(1) from None
        except OSError as error:
            if os.environ.get("GLYPH_DEBUG") or error.errno == errno.EPIPE:
                raise
            reason = error.strerror or str(error) or type(error).__name__
            _say_error(f"{error.filename}: {reason}" if error.filename else reason)
            raise typer.Exit(1) from None


def _say_error(message: str) -> None:
    typer.echo(f"error: {' '.join(printable(message).split())}", err=True)


app = typer.Typer(
    name="glyph",
    cls=_OneLineErrors,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (demo, ask, summarize, index, render, tokens, fonts, legibility, tune, serve, calibrate):
    app.command()(command)
app.command("eval")(evaluate)
app.command("export-pairs")(export_pairs)


def _show_version(wanted: bool) -> None:
    if wanted:
        from .. import __version__

        typer.echo(f"glyph {__version__}")
        raise typer.Exit


@app.callback()
def glyph(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    """Read long documents as page images: draw text as pages, find the pages that answer a question, and cite them.

    A page drawn as an image costs a vision-language model about a third of what its text costs. Start with: glyph demo
    """


def main() -> None:
    """Entry point of the `glyph` script."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a terminal that cannot show a character gets "?", not a crash
            stream.reconfigure(errors="replace")
    app()
