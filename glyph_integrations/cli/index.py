"""``glyph index``: files and folders into a page index."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from ..errors import DocumentError
from . import upkeep
from .embedder import EmbedderOption, indexing_maker
from .on_ray import RayOption, ingestion
from .options import EncodingOption, QuietOption, StyleOption, choose_style
from .readings import EngineOption, OcrOption, chosen_engine, opened, record
from .terminal import Terminal, counted

if TYPE_CHECKING:
    from ..index import Synced
    from ..rendering import Renderer

_ROWS = 30


class _Found(NamedTuple):
    """A file to index, and how many of its pages have no text."""

    file: Path
    textless: int


def index(
    folder: Annotated[
        Path, typer.Option("--index", "-i", metavar="DIR", help="Folder of the index, made if need be.", show_default=False)
    ],
    paths: Annotated[
        list[str] | None,
        typer.Argument(metavar="PATH...", help="Documents, folders, patterns such as 'docs/**/*.md'.", show_default=False),
    ] = None,
    style: StyleOption = None,
    model: Annotated[str, typer.Option(metavar="NAME", help="Model that will read the pages; decides the style.")] = "glyph",
    embedder: EmbedderOption = None,
    by_sight: Annotated[bool, typer.Option("--by-sight", help="The embedder sees pages, as ColPali does.")] = False,
    precision: Annotated[
        str | None,
        typer.Option(
            metavar="KIND",
            help="How a new index keeps vectors: fp16 (the default), int8 (half), bits (a sixteenth, far coarser).",
        ),
    ] = None,
    ocr: OcrOption = None,
    ocr_engine: EngineOption = None,
    ray: RayOption = None,
    encoding: EncodingOption = None,
    verify: Annotated[bool, typer.Option("--verify", help="Read and check everything; code 1 if something is wrong.")] = False,
    repair: Annotated[
        bool, typer.Option("--repair", help="Save what is sound of a damaged index; the damaged files are kept beside it.")
    ] = False,
    stats: Annotated[bool, typer.Option("--stats", help="Tell how large the index is and what it is made of.")] = False,
    quiet: QuietOption = False,
) -> None:
    """Add documents to an index, or bring them up to date; or look after the index itself.

    Unchanged documents add nothing; of a changed one only the pages that differ are replaced. Files in a folder that cannot be
    read are skipped, and named. An index made with --ocr goes on with it until --no-ocr, and after an interruption where it
    stopped. Then ask: glyph ask DIR "your question"
    """
    wanted = [task for task, asked in ((upkeep.verify, verify), (upkeep.repair, repair), (upkeep.stats, stats)) if asked]
    if wanted and (paths or len(wanted) > 1):
        raise typer.BadParameter("goes with no PATH and no other task", param_hint=f"--{wanted[0].__name__}")
    if wanted:
        return wanted[0](Terminal(quiet), folder)
    if not paths:
        raise typer.BadParameter("name what to index", param_hint="PATH...")
    from ..index import PageIndex
    from ..rendering import Renderer, read_scans
    from ..sources import open_document
    from ..vision import VisionProfile

    terminal = Terminal(quiet)
    renderer = Renderer(choose_style(style, VisionProfile.get(model)))
    files, skipped = _readable(paths, folder, renderer, encoding)
    engine = chosen_engine(ocr, ocr_engine, folder)
    textless = sum(found.textless for found in files.values())
    reader = opened(engine, folder) if engine and textless else None  # before anything is written: it may not be installed
    if ray and reader:
        raise typer.BadParameter("scans are read on this machine: index without --ray, or add --no-ocr", param_hint="--ray")
    done: dict[str, Synced] = {}
    make = indexing_maker(embedder, by_sight, folder)
    with (
        ingestion(ray, make) as workers,
        PageIndex.open(
            folder,
            workers.embedder if workers else make() if make else None,
            precision=precision,  # type: ignore[arg-type] # another word is refused there
        ) as index,
    ):
        if engine or ocr is False:
            record(engine, folder)
        with terminal.counting("Indexing", len(files) + (textless if reader else 0)) as advance:
            named = {name: found.file for name, found in files.items()}
            for name, synced in workers.sync(index, named, renderer, encoding) if workers else ():
                done[name] = synced
                advance()
            for name, found in files.items() if not workers else ():
                document = open_document(found.file, name=name, encoding=encoding)
                try:
                    if reader:
                        document = read_scans(document, reader, lambda read, count: advance())
                    done[name] = index.sync(name, renderer.paginate(document))
                except KeyboardInterrupt:
                    terminal.warn(f"stopped at {name}; the same command goes on from there")
                    raise
                advance()
        by_sight = hasattr(index.embedder, "embed_images")
        total = len(index)
    shown = sorted(done, key=lambda name: not (done[name].added or done[name].deleted))[:_ROWS]  # changed ones first
    rows = [_row(name, [done[name]]) for name in shown]
    if others := [synced for name, synced in done.items() if name not in shown]:
        rows.append(_row(f"{len(others):,} more documents", others))
    if len(rows) > 1:
        rows.append(_row("all", list(done.values())))
    terminal.table(("Document", "Pages", "Added", "Unchanged", "Dropped"), rows)
    terminal.step("Index", f'{folder}: {counted(total, "page")}. Ask it: glyph ask {folder} "your question"')
    if textless and not reader and not by_sight:
        some = next(name for name, found in files.items() if found.textless)
        terminal.warn(
            f"{counted(textless, 'page')} without text ({some}{', ...' if textless > files[some].textless else ''}) cannot be "
            "found: add --ocr to read them, or make an index that finds pages by sight with --embedder MODEL --by-sight"
        )
    for reason in skipped[:10]:
        terminal.warn(f"skipped: {reason}")
    if skipped[10:]:
        terminal.warn(f"skipped {len(skipped) - 10:,} more files that cannot be read")


def _row(name: str, parts: Sequence[Synced]) -> tuple[str, ...]:
    added = sum(synced.added for synced in parts)
    kept = sum(synced.updated + synced.unchanged for synced in parts)
    deleted = sum(synced.deleted for synced in parts)
    return name, f"{added + kept:,}", f"{added:,}", f"{kept:,}", f"{deleted:,}"


def _readable(
    paths: Sequence[str], folder: Path, renderer: Renderer, encoding: str | None
) -> tuple[dict[str, _Found], list[str]]:
    """Document names and their files, each read once so that nothing is written when one is bad; why others are skipped."""
    from ..rendering.scans import textless
    from ..sources import open_document, source_name

    files: dict[str, _Found] = {}
    skipped: list[str] = []
    for where, file in _found(paths, folder):
        name = source_name(file, where)
        if name in files and not files[name].file.samefile(file):
            raise DocumentError(f"{files[name].file} and {file} would both be named {name}; index a folder that holds both")
        try:
            document = open_document(file, name=name, encoding=encoding)
            if next(renderer.paginate(document), None) is None:
                raise DocumentError(f"{file} holds no visible characters, so it has no pages")
            files[name] = _Found(file, len(textless(document)))
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
