"""What the command prints: results and the account of its steps on standard output, progress and warnings on standard error."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import typer

_Item = TypeVar("_Item")
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str) -> str:
    """The text with control characters as ``\\x1b``: a document or an answer cannot steer the terminal."""
    return _UNPRINTABLE.sub(lambda m: m[0].encode("unicode_escape").decode("ascii"), text.replace("\r\n", "\n"))


def excerpt(text: str, length: int = 60) -> str:
    """The text on one line, cut to a length."""
    line = " ".join(printable(text).split())
    return line if len(line) <= length else line[: length - 1].rstrip() + "…"


def counted(count: int, noun: str) -> str:
    """``1 page``, ``1,200 pages``."""
    return f"{count:,} {noun}" + "s" * (count != 1)


class Terminal:
    """Where a command prints.

    Args:
        quiet: leave out steps and progress bars; results, warnings and errors stay.
    """

    def __init__(self, quiet: bool = False) -> None:
        self.quiet = quiet

    def step(self, name: str, *lines: str) -> None:
        """Tell what was just done, under a name of at most 7 letters."""
        if not self.quiet:
            for number, line in enumerate(lines):
                label = typer.style(f"{name:<7} ", fg="cyan", bold=True) if number == 0 else " " * 8
                typer.echo(label + printable(line))

    def result(self, text: str) -> None:
        """Print what was asked for."""
        typer.echo(printable(text))

    def warn(self, text: str) -> None:
        """Say on standard error what the reader should know."""
        typer.echo(typer.style("note: ", fg="yellow") + printable(text), err=True)

    def table(self, header: Iterable[str], rows: Iterable[Iterable[str]]) -> None:
        """Print a table: the first column to the left, the others to the right."""
        from rich import box
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        for number, title in enumerate(header):
            table.add_column(title, justify="right" if number else "left", overflow="fold", no_wrap=bool(number))
        for row in rows:
            table.add_row(*(Text(printable(cell)) for cell in row))
        Console(highlight=False).print(table)

    def track(self, items: Iterable[_Item], what: str, total: int | None = None) -> Iterator[_Item]:
        """The items, with a progress bar on standard error while they are taken; no bar when quiet or not a terminal."""
        with self.counting(what, total) as advance:
            for item in items:
                yield item
                advance()

    @contextmanager
    def counting(self, what: str, total: int | None = None) -> Iterator[Callable[[], None]]:
        """A progress bar as `track` shows it, and what to call when it is to go on by one."""
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        console = Console(stderr=True)
        if self.quiet or not console.is_terminal:
            yield lambda: None
            return
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=console, transient=True) as progress:
            task = progress.add_task(what, total=total)
            yield lambda: progress.advance(task)
