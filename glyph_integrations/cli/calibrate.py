"""``glyph calibrate``: how a model behind a server reads pages, kept for all later uses of its name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import ModelError
from .options import SERVER, KeyOption, QuietOption, VisionOption, choose_style, secret
from .terminal import Terminal, counted, excerpt

if TYPE_CHECKING:
    from ..vision import Calibration


def calibrate(
    base_url: Annotated[str, SERVER],
    model: Annotated[str, typer.Option(metavar="NAME", help="The model to ask there.", show_default=False)],
    vision: VisionOption = None,
    api_key: KeyOption = None,
    style: Annotated[
        list[str] | None,
        typer.Option(
            "--style",
            "-s",
            metavar="NAME|FILE",
            help="A style to try; may be given several times. Default: seven, from large letters to very small ones.",
            show_default=False,
        ),
    ] = None,
    language: Annotated[str, typer.Option(metavar="en|zh", help="Language of the pages that are read.")] = "en",
    max_tokens: Annotated[
        int, typer.Option(min=1, help="Tokens of an answer at most, with what the model thinks before it.")
    ] = 1024,
    seed: Annotated[int, typer.Option(help="Of the names and strings that are asked for.")] = 0,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Keep the result here; name it in --vision.", show_default=False),
    ] = None,
    quiet: QuietOption = False,
) -> None:
    """Ask a model some twenty questions about made-up pages: does it read them, how small, and are exact strings safe?

    Without -o the result is kept in a folder of yours, and used from then on wherever this model is named. A model that cannot
    read pages is sent text from then on. When the server stops in the middle, run the same command again: it goes on.
    """
    from ..reading import OpenAIModel
    from ..tuning.calibration import LADDERS
    from ..tuning.calibration import calibrate as ask
    from ..vision import VisionProfile, calibration_file

    if language not in LADDERS:
        raise typer.BadParameter("choose en or zh", param_hint="--language")
    if output is not None and output.suffix != ".json":
        raise typer.BadParameter("the file must be named *.json", param_hint="--output")
    terminal = Terminal(quiet)
    profile = VisionProfile.get(vision or model, calibrated=False)
    reader = OpenAIModel(model, base_url, secret(api_key, "--api-key"), profile)
    file = output or calibration_file(model)
    journal = file.with_suffix(".partial")
    try:
        found = ask(
            reader, language=language, styles=[choose_style(name, profile) for name in style] if style else None,
            seed=seed, max_tokens=max_tokens, journal=journal,
            told=lambda call, what: terminal.step(f"{call:>2}", what),
        )  # fmt: skip
    except ModelError as error:
        more = "; run the same command again to go on from there" if journal.is_file() else ""
        raise ModelError(f"{error}{more}") from error
    found.save(file)
    journal.unlink(missing_ok=True)
    _tell(terminal, found)
    terminal.result(
        f"Kept in {file}" + (f": glyph ask ... --vision {file}" if output else f", and used wherever {model} is named.")
    )


def _tell(terminal: Terminal, found: Calibration) -> None:
    if found.rungs:
        terminal.table(
            ("Style", "Tokens", "Names read"), ((r.style, f"{r.tokens:.0f}", f"{r.found} of {r.asked}") for r in found.rungs)
        )
    if found.strings:
        terminal.table(
            ("Exact string", "Read"), ((s.drawn, "right" if s.exact else excerpt(s.read, 50)) for s in found.strings)
        )
    terminal.step("Calls", f"{counted(found.calls, 'question')}; tokens are visual tokens for 1,000 characters")
    if not found.reads_pages:
        terminal.result(f"{found.model} cannot read pages: {found.reason}. It will be sent text.")
        return
    terminal.result(f"{found.model} reads pages. Cheapest style: {found.style}")
    trusted = "can be trusted" if found.exact_strings else "cannot be trusted, and go as text beside the pages"
    terminal.result(f"Exact strings read from pages {trusted}.")
