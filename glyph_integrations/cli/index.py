"""``glyph index``: files and folders into a page index."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import DocumentError
from . import upkeep
from .embedder import EmbedderOption, new_embedder, recorded_or
from .options import QuietOption, StyleOption, choose_style
from .terminal import Terminal, counted

if TYPE_CHECKING:
    from ..embedding import Embedder
    from ..index import Synced
    from ..rendering import Renderer

_ROWS = 30


def index(
    folder: Annotated[
        Path, typer.Option("--index", "-i", metavar="DIR", help="Folder of the index, made if need be.", show_default=False)
    ],
    paths: Annotated[
        list[str] | None,
        typer.Argument(metavar="PATH...", help="Text files, folders, patterns such as 'docs/**/*.md'.", show_default=False),
    ] = None,
    style: StyleOption = None,
    model: Annotated[str, typer.Option(metavar="NAME", help="Model that will read the pages; decides the style.")] = "glyph",
    embedder: EmbedderOption = None,
    by_sight: Annotated[bool, typer.Option("--by-sight", help="The embedder sees pages, as ColPali does.")] = False,
    verify: Annotated[bool, typer.Option("--verify", help="Read and check everything; code 1 if something is wrong.")] = False,
    repair: Annotated[
        bool, typer.Option("--repair", help="Save what is sound of a damaged index; the damaged files are kept beside it.")
    ] = False,
    stats: Annotated[bool, typer.Option("--stats", help="Tell how large the index is and what it is made of.")] = False,
    quiet: QuietOption = False,
) -> None:
    """Add documents to an index, or bring them up to date; or look after the index itself.

    Unchanged documents add nothing; of a changed one only the pages that differ are replaced. Files in a folder that are not
    text are skipped, and named. Then ask: glyph ask DIR "your question"
    """
    wanted = [task for task, asked in ((upkeep.verify, verify), (upkeep.repair, repair), (upkeep.stats, stats)) if asked]
    if wanted and (paths or len(wanted) > 1):
        raise typer.BadParameter("goes with no PATH and no other task", param_hint=f"--{wanted[0].__name__}")
    if wanted:
        return wanted[0](Terminal(quiet), folder)
    if not paths:
        raise typer.BadParameter("name what to index", param_hint="PATH...")
    from ..index import PageIndex
    from ..rendering import Renderer
    from ..sources import open_document
    from ..vision import VisionProfile

    terminal = Terminal(quiet)
    renderer = Renderer(choose_style(style, VisionProfile.get(model)))
    files, skipped = _readable(paths, folder, renderer)
    done: dict[str, Synced] = {}
    with PageIndex.open(folder, _embedder(folder, embedder, by_sight)) as index:
        for name, file in terminal.track(files.items(), "Indexing", len(files)):
            done[name] = index.sync(name, renderer.paginate(open_document(file, name=name)))
        total = len(index)
    shown = sorted(done, key=lambda name: not (done[name].added or done[name].deleted))[:_ROWS]  # changed ones first
    rows = [_row(name, [done[name]]) for name in shown]
    if others := [synced for name, synced in done.items() if name not in shown]:
        rows.append(_row(f"{len(others):,} more documents", others))
    if len(rows) > 1:
        rows.append(_row("all", list(done.values())))
    terminal.table(("Document", "Pages", "Added", "Unchanged", "Dropped"), rows)
    terminal.step("Index", f'{folder}: {counted(total, "page")}. Ask it: glyph ask {folder} "your question"')
    for reason in skipped[:10]:
        terminal.warn(f"skipped: {reason}")
    if skipped[10:]:
        terminal.warn(f"skipped {len(skipped) - 10:,} more files that are not text")


def _embedder(folder: Path, given: str | None, by_sight: bool) -> Embedder | None:
    from ..index import PageIndex
    from ..index.recorded import Absent

    if not PageIndex.exists(folder):
        return new_embedder(given, by_sight)
    embedder = recorded_or(given, folder)
    if isinstance(embedder, Absent):
        raise typer.BadParameter(f"this index was made with {embedder.name!r}; name that model", param_hint="--embedder")
    return embedder


def _row(name: str, parts: Sequence[Synced]) -> tuple[str, ...]:
    added = sum(synced.added for synced in parts)
    kept = sum(synced.updated + synced.unchanged for synced in parts)
    deleted = sum(synced.deleted for synced in parts)
    return name, f"{added + kept:,}", f"{added:,}", f"{kept:,}", f"{deleted:,}"


def _readable(paths: Sequence[str], folder: Path, renderer: Renderer) -> tuple[dict[str, Path], list[str]]:
    """Document names and their files, each read once so that nothing is written when one is bad; why others are skipped."""
    from ..sources import open_document, source_name

    files: dict[str, Path] = {}
    skipped: list[str] = []
    for where, file in _found(paths, folder):
        name = source_name(file, where)
        if name in files and not files[name].samefile(file):
            raise DocumentError(f"{files[name]} and {file} would both be named {name}; index a folder that holds both")
        try:
            if next(renderer.paginate(open_document(file, name=name)), None) is None:
                raise DocumentError(f"{file} holds no visible characters, so it has no pages")
            files[name] = file
        except DocumentError as error:
            if Path(where).is_file():  # named by the user, not met on the way
                raise
            skipped.append(str(error))
    if not files:
        raise DocumentError("nothing to index: " + (skipped[0] if skipped else "all files belong to the index itself"))
    return files, skipped


def _found(paths: Sequence[str], folder: Path) -> Iterator[tuple[str, Path]]:
    from ..sources import find_files

    own = folder.resolve()
    for where in paths:
        for file in find_files(where):
            if own not in file.resolve().parents:
                yield where, file
