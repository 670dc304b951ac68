"""``glyph export-pairs``: training pairs of pages and text from documents."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .options import EncodingOption, QuietOption, choose_style
from .terminal import Terminal, counted

_FORMATS = ("sharegpt", "webdataset")


def export_pairs(
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Folder for the shards, made if need be.", show_default=False)
    ],
    paths: Annotated[
        list[str] | None,
        typer.Argument(metavar="PATH...", help="Documents, folders, patterns such as 'docs/**/*.md'.", show_default=False),
    ] = None,
    format: Annotated[
        str, typer.Option(metavar="NAME", help="sharegpt (JSON lines and PNG files) or webdataset (tar).")
    ] = "sharegpt",
    style: Annotated[
        list[str] | None,
        typer.Option(
            "--style",
            "-s",
            metavar="NAME|FILE",
            help="A style to draw every document in; may be given several times. Default: glyph-72, glyph-96 and dense-72.",
            show_default=False,
        ),
    ] = None,
    templates: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Tasks and their phrasings, as JSON, in place of the usual ones.", show_default=False
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Model that will be trained: pages are padded to its grid.", show_default=False),
    ] = None,
    shard: Annotated[int, typer.Option(min=1, metavar="N", help="Pages of a shard.")] = 500,
    seed: Annotated[int, typer.Option(help="Of phrasings, lines and sentences.")] = 0,
    encoding: EncodingOption = None,
    verify: Annotated[bool, typer.Option("--verify", help="Check all checksums in DIR; code 1 if something is wrong.")] = False,
    quiet: QuietOption = False,
) -> None:
    """Draw documents in several styles, and write each page with its text and a few tasks, for training a model.

    Run the same command again after an interruption: whole shards stay, the rest is made, and what comes after a shard that is
    gone or cut short.
    """
    from ..tuning.pair_tasks import TEMPLATES, read_templates
    from ..tuning.shards import verify_pairs
    from ..tuning.training_pairs import STYLES
    from ..tuning.training_pairs import export_pairs as export

    terminal = Terminal(quiet)
    if verify:
        if paths:
            raise typer.BadParameter("goes with no PATH", param_hint="--verify")
        problems = verify_pairs(output)
        for problem in problems:
            terminal.result(problem)
        if any(problem.startswith("shard-") for problem in problems):
            terminal.warn("delete the shards named here and run the export again: it makes them anew, and those after them")
        if problems:
            raise typer.Exit(1)
        terminal.result(f"{output}: every checksum is right")
        return
    if not paths:
        raise typer.BadParameter("name what to export", param_hint="PATH...")
    if format not in _FORMATS:
        raise typer.BadParameter(f"choose {' or '.join(_FORMATS)}", param_hint="--format")
    before = -1

    def told(document: str, pairs: int) -> None:
        nonlocal before
        if pairs // 100 != before:
            before = pairs // 100
            terminal.step("Draw", f"{counted(pairs, 'page')}, now of {document}")

    manifest = export(
        paths, output, format,  # type: ignore[arg-type]
        styles=[choose_style(name, None) for name in style] if style else STYLES,
        templates=read_templates(templates) if templates else TEMPLATES,
        vision=model, shard=shard, seed=seed, encoding=encoding, told=told,
    )  # fmt: skip
    size = sum(made.bytes for made in manifest.shards)
    terminal.result(
        f"{output}: {counted(manifest.pairs, 'page')} in {counted(len(manifest.shards), 'shard')}, {size / 1e6:,.1f} MB"
    )
