"""``glyph ask``: a question to a document or an index, answered with citations."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import DocumentError, UnknownModelError
from .embedder import EmbedderOption, recorded_or
from .options import (
    EncodingOption,
    KeyOption,
    PasswordOption,
    PicturesOption,
    QuietOption,
    RootOption,
    ServerOption,
    StyleOption,
    VisionOption,
    choose_style,
    secret,
)
from .readings import EngineOption, OcrOption, chosen_engine, opened
from .terminal import Terminal, counted
from .walkthrough import Walkthrough

if TYPE_CHECKING:
    from ..sources import SourceDocument
    from ..vision import VisionProfile


def ask(
    document: Annotated[
        Path, typer.Argument(metavar="FILE_OR_INDEX", help="A document, or a folder made by glyph index.", show_default=False)
    ],
    question: Annotated[str, typer.Argument(metavar="QUESTION", help="What you want to know.", show_default=False)],
    base_url: ServerOption = None,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="The model to ask there. Without --base-url: whose token costs to count. Default: glyph.",
            show_default=False,
        ),
    ] = None,
    vision: VisionOption = None,
    api_key: KeyOption = None,
    k: Annotated[int, typer.Option("-k", min=1, max=1000, metavar="N", help="How many pages to retrieve.")] = 5,
    style: StyleOption = None,
    output: PicturesOption = Path("glyph-answer"),
    embedder: EmbedderOption = None,
    root: RootOption = None,
    encoding: EncodingOption = None,
    password: PasswordOption = None,
    ocr: OcrOption = None,
    ocr_engine: EngineOption = None,
    quiet: QuietOption = False,
) -> None:
    """Answer a question from a document, citing page and line, and save the cited pages with the lines marked.

    Without --base-url no model is asked: the answer quotes the sentences that share most words with the question.
    """
    from ..index import PageIndex
    from ..reading import ExtractiveModel, OpenAIModel
    from ..rendering import Renderer
    from ..sources import open_document

    if not question.strip():
        raise typer.BadParameter("the question is empty", param_hint="QUESTION")
    if base_url is not None and model is None:
        raise typer.BadParameter("a server needs the name of a model: add --model NAME", param_hint="--base-url")
    profile = _profile(vision or model or "glyph", required=vision is not None or base_url is None)
    renderer = Renderer(choose_style(style, profile), root=root)
    engine = chosen_engine(ocr, ocr_engine)
    reader = (
        ExtractiveModel(profile)
        if base_url is None
        else OpenAIModel(str(model), base_url, secret(api_key, "--api-key"), profile, renderer=renderer)
    )
    walkthrough = Walkthrough(Terminal(quiet), renderer, reader)
    if PageIndex.exists(document):
        if style is not None:
            raise typer.BadParameter("pages of an index keep the style they were indexed in", param_hint="--style")
        if ocr is not None or ocr_engine is not None:
            raise typer.BadParameter("pages of an index were read by glyph index --ocr, or not", param_hint="--ocr")
        with PageIndex.open(document, recorded_or(embedder, document)) as index:
            walkthrough.use_index(index)
            walkthrough.answer(index, question, k, output)
    elif embedder is not None:
        raise typer.BadParameter("is for an index", param_hint="--embedder")
    elif document.is_dir():
        raise DocumentError(f"{document} is a folder but no index; make one with: glyph index {document} --index DIR")
    else:
        opened = open_document(document, encoding=encoding, password=secret(password, "--password"))
        found = _read(opened, engine, walkthrough.terminal)
        with walkthrough.read_document(found) as index:
            walkthrough.answer(index, question, k, output)


def _read(document: SourceDocument, engine: str | None, terminal: Terminal) -> SourceDocument:
    """The document, with the text of its pages that have none."""
    from ..rendering.scans import read_scans, textless

    missing = textless(document)
    if not missing:
        return document
    if engine is None:
        which = "has" if len(missing) == 1 else "have"
        terminal.warn(f"{counted(len(missing), 'page')} of {document.name} {which} no text to search: add --ocr to read them")
        return document
    reader = opened(engine)
    with terminal.counting("Reading pages", len(missing)) as advance:
        return read_scans(document, reader, lambda done, count: advance())


def _profile(name: str, required: bool) -> VisionProfile | None:
    from ..vision import VisionProfile

    try:
        return VisionProfile.get(name)
    except UnknownModelError:
        if required:
            raise
        return None  # pages will go as text, and the account says so
