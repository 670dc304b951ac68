"""``--ocr``: text for pages that have none, and where an index keeps what was read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ..ocr import Reader

OcrOption = Annotated[
    bool | None,
    typer.Option("--ocr/--no-ocr", help="Read image files and PDF pages without text by OCR (extra ocr).", show_default=False),
]
EngineOption = Annotated[
    str | None,
    typer.Option(
        "--ocr-engine",
        metavar="NAME",
        help="rapidocr (default: Latin, Chinese, Japanese) or tesseract:LANGUAGE (tesseract:ara).",
        show_default=False,
    ),
]
_FOLDER, _ENGINE = "ocr", "engine.txt"


def chosen_engine(ocr: bool | None, engine: str | None, index: Path | None = None) -> str | None:
    """The engine that pages without text are read with; None: they are not. An index that was made with one goes on with it
    unless told otherwise, or a later run would take the text away again."""
    if ocr is False:
        if engine:
            raise typer.BadParameter("goes with --ocr", param_hint="--ocr-engine")
        return None
    record = index / _FOLDER / _ENGINE if index else None
    recorded = record.read_text(encoding="utf-8").strip() if record and record.is_file() else None
    return engine or recorded or ("rapidocr" if ocr else None)


def opened(engine: str, index: Path | None = None) -> Reader:
    """The engine; with an index it keeps its readings there, so that a run that was interrupted goes on.

    Raises:
        MissingExtraError, ModelError: it is not installed, or unknown.
    """
    from ..ocr import CachedReader, open_reader

    return CachedReader(open_reader(engine), index / _FOLDER if index else None)


def record(engine: str | None, index: Path) -> None:
    """Remember the engine of an index, or that it has none any more; its readings stay."""
    folder = index / _FOLDER
    if engine is None:
        (folder / _ENGINE).unlink(missing_ok=True)
    else:
        folder.mkdir(exist_ok=True)
        (folder / _ENGINE).write_text(f"{engine}\n", encoding="utf-8")
