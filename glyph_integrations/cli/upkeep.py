"""``glyph index --verify``, ``--repair`` and ``--stats``: looking after an index."""

from __future__ import annotations

from pathlib import Path

import typer

from ..errors import DocumentError
from .terminal import Terminal, counted

_SHOWN = 20


def verify(terminal: Terminal, folder: Path) -> None:
    """Read and check everything; ends with code 1 when something is wrong."""
    from ..index import PageIndex, recorded_embedder

    _must_exist(folder)
    with PageIndex.open(folder, recorded_embedder(folder), progress=_progress(terminal)) as index:
        problems = index.verify(progress=_progress(terminal))
        pages = len(index)
    if not problems:
        terminal.step("Sound", f"{folder}: {counted(pages, 'page')}, all read and checked")
        return
    for problem in problems[:_SHOWN]:
        terminal.result(problem)
    if problems[_SHOWN:]:
        terminal.result(f"and {counted(len(problems) - _SHOWN, 'problem')} more")
    raise typer.Exit(1)


def repair(terminal: Terminal, folder: Path) -> None:
    """Save what is sound, and tell what is not."""
    from ..index import PageIndex

    _must_exist(folder)
    done = PageIndex.repair(folder, progress=_progress(terminal))
    terminal.step("Kept", counted(done.kept, "page"))
    for page in done.lost[:_SHOWN]:
        terminal.result(f"lost: page {page.id or 'unknown'} of {page.source or 'an unknown source'}")
    if done.lost[_SHOWN:]:
        terminal.result(f"lost: {counted(len(done.lost) - _SHOWN, 'page')} more")
    terminal.step("Next", done.advice)


def stats(terminal: Terminal, folder: Path) -> None:
    """Tell how large an index is and what it is made of."""
    from ..index import PageIndex, recorded_embedder

    _must_exist(folder)
    with PageIndex.open(folder, recorded_embedder(folder), progress=False) as index:
        found = index.stats()
    bm25 = "up to date" if not found.bm25_behind else f"{counted(found.bm25_behind, 'change')} behind"
    search = found.search
    rows = [
        ("pages", f"{found.pages:,}"),
        ("sources", f"{found.sources:,}"),
        ("stored vectors", f"{found.vectors:,}"),
        ("changes in the log", f"{found.changes:,}"),
        ("embedder", found.embedder),
        ("its revision", found.revision),
        ("its vectors", f"{found.dim} numbers, {found.metric}, {found.precision}"),
        ("schema", f"{found.schema}"),
        ("BM25", bm25),
        ("vector index", f"{search.kind}, {counted(search.vectors, 'vector')}, recall {search.recall:.3f}"),
        *((name, f"{size:,} bytes") for name, size in found.files.items()),
        ("bytes per page", f"{found.bytes_per_page:,.0f}"),
    ]
    terminal.table((str(folder), ""), rows)


def _must_exist(folder: Path) -> None:
    from ..index import PageIndex

    if not PageIndex.exists(folder):
        raise DocumentError(f"{folder} holds no page index; make one with: glyph index PATH --index {folder}")


def _progress(terminal: Terminal) -> bool | None:
    return False if terminal.quiet else None
