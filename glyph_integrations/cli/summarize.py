"""``glyph summarize``: a document, a folder or an index, summarized with citations."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import DocumentError, UnknownModelError
from .options import (
    EncodingOption,
    KeyOption,
    PasswordOption,
    QuietOption,
    RootOption,
    ServerOption,
    VisionOption,
    choose_style,
    secret,
)
from .terminal import Terminal, counted

if TYPE_CHECKING:
    from ..index import PageIndex
    from ..page import Page
    from ..rendering import Renderer
    from ..summarizing import Cost, Summarizer, Summary
    from ..vision import VisionProfile


def summarize(
    path: Annotated[
        str,
        typer.Argument(
            metavar="PATH_OR_INDEX",
            help="A file, a folder, a pattern such as 'docs/**/*.md', or a folder made by glyph index.",
            show_default=False,
        ),
    ],
    style: Annotated[str, typer.Option(metavar="NAME", help="brief, detailed, bullets or question.")] = "brief",
    question: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Summarize what is said about this question.", show_default=False)
    ] = None,
    language: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Language to write in. Default: that of the documents.", show_default=False),
    ] = None,
    base_url: ServerOption = None,
    model: Annotated[str | None, typer.Option(metavar="NAME", help="The model to ask there.", show_default=False)] = None,
    vision: VisionOption = None,
    api_key: KeyOption = None,
    cache: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Keep answers here: a second run asks only about what changed.", show_default=False),
    ] = None,
    concurrency: Annotated[int, typer.Option(min=1, max=256, metavar="N", help="Most calls at a time.")] = 4,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Tell what it would cost, and ask no model.")] = False,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Write the summary here, as Markdown.", show_default=False),
    ] = None,
    page_style: Annotated[
        str | None,
        typer.Option(metavar="NAME|FILE", help="How pages look, as for glyph ask --style.", show_default=False),
    ] = None,
    root: RootOption = None,
    encoding: EncodingOption = None,
    password: PasswordOption = None,
    quiet: QuietOption = False,
) -> None:
    """Summarize documents, citing pages, and check each cited sentence against its page.

    Without --base-url no model is asked: the summary is made of the sentences that say most of what the others say.
    """
    from ..index import PageIndex
    from ..reading import OpenAIModel
    from ..rendering import Renderer
    from ..summarizing import STYLES, Summarizer

    if style not in STYLES:
        raise typer.BadParameter(f"choose one of {', '.join(STYLES)}", param_hint="--style")
    if style == "question" and not question:
        raise typer.BadParameter("say what is asked: add --question TEXT", param_hint="--style")
    if base_url is not None and model is None:
        raise typer.BadParameter("a server needs the name of a model: add --model NAME", param_hint="--base-url")
    if model is not None and base_url is None and not dry_run:
        raise typer.BadParameter("name its server, too: add --base-url URL (or --dry-run)", param_hint="--model")
    if output is not None and (output.is_dir() or not output.absolute().parent.is_dir()):
        raise typer.BadParameter("name a file in a folder that exists", param_hint="--output")
    profile = _profile(vision or model, required=vision is not None)
    terminal = Terminal(quiet)
    renderer = Renderer(choose_style(page_style, profile), root=root)
    server = base_url or ("http://127.0.0.1" if model is not None else None)  # which a dry run does not ask
    reader = OpenAIModel(str(model), server, secret(api_key, "--api-key"), profile, renderer=renderer) if server else None
    summarizer = Summarizer(
        reader, style=style, question=question, language=language, cache=cache, concurrency=concurrency,
        progress=not quiet, renderer=renderer,
    )  # fmt: skip
    if reader is None and language is not None:
        terminal.warn("without a model the summary is in the words of the documents")
    if not PageIndex.exists(path):
        pages = _pages(terminal, renderer, path, encoding, secret(password, "--password"))
        _run(terminal, summarizer, pages, dry_run, output)
        return
    if page_style is not None:
        raise typer.BadParameter("pages of an index keep the style they were indexed in", param_hint="--page-style")
    from ..index import recorded_embedder

    with PageIndex.open(path, recorded_embedder(Path(path))) as index:
        terminal.step("Index", f"{path}: {counted(len(index), 'page')} of {counted(len(index.sources()), 'document')}")
        _run(terminal, summarizer, index, dry_run, output)


def _run(terminal: Terminal, summarizer: Summarizer, what: list[Page] | PageIndex, dry_run: bool, output: Path | None) -> None:
    if dry_run:
        cost = summarizer.estimate(what)
        calls = f"{counted(cost.calls, 'model call')}, {cost.cached:,} answers in the cache"
        terminal.result(calls if cost.calls or cost.cached else "no model calls: the sentences are chosen on this machine")
        if cost.calls:
            terminal.result(f"prompts: {_tokens(cost)}; answers: at most {cost.output_tokens:,} tokens")
        return
    began = time.perf_counter()
    summary = summarizer.summarize(what)
    seconds = time.perf_counter() - began
    if output is None:
        terminal.result(summary.text or "(the documents say nothing on this)")
    else:
        output.write_text(_markdown(summary), encoding="utf-8")
        terminal.result(str(output))
    _account(terminal, summary, seconds)


def _account(terminal: Terminal, summary: Summary, seconds: float) -> None:
    used = summary.usage
    if used.calls or used.cached:
        lines = [f"{counted(used.calls, 'model call')} in {seconds:.1f} s, {used.cached:,} answers from the cache"]
        if used.calls:
            lines.append(f"prompts: {_tokens(used)}; answers: {used.output_tokens:,} tokens")
        terminal.step("Cost", *lines)
    else:
        terminal.step("Cost", f"no model was asked (see --base-url); {seconds:.1f} s")
    failed = len(summary.unsupported)
    checked = f"{summary.cited:.0%} of the sentences cite a page; of these, {summary.faithfulness:.0%} passed the check"
    terminal.step("Check", checked, *(f"not supported: {unsupported}" for unsupported in summary.unsupported[:10]))
    if failed > 10:
        terminal.step("", f"and {failed - 10:,} more")
    for failure in summary.failures[:10]:
        terminal.warn(f"failed: {failure}")
    if summary.failures[10:]:
        terminal.warn(f"{len(summary.failures) - 10:,} more failed")


def _tokens(cost: Cost) -> str:
    saved = f", {cost.prompt_tokens_as_text:,} as text" if cost.prompt_tokens_as_text != cost.prompt_tokens else ""
    return f"{cost.prompt_tokens:,} tokens{saved}"


def _markdown(summary: Summary) -> str:
    """The summary; of several documents, that of each below it."""
    parts = [f"## {part.source}\n\n{part.text}\n" for part in summary.parts]
    failures = [f"- {failure}" for failure in summary.failures]
    missing = ["## What is missing\n\n" + "\n".join(failures) + "\n"] if failures else []
    return "\n".join([f"{summary.text}\n", *parts, *missing])


def _profile(name: str | None, required: bool) -> VisionProfile | None:
    from ..vision import VisionProfile

    if name is None:
        return None
    try:
        return VisionProfile.get(name)
    except UnknownModelError:
        if required:
            raise
        return None  # pages will go as text, and the account says so


def _pages(terminal: Terminal, renderer: Renderer, path: str, encoding: str | None, password: str | None) -> list[Page]:
    """The pages of all files that can be read; the others are named."""
    from ..sources import find_files, open_document, source_name

    skipped: list[str] = []

    def read() -> Iterator[Page]:
        for file in find_files(path):
            try:
                document = open_document(file, name=source_name(file, path), encoding=encoding, password=password)
                pages = list(renderer.paginate(document))
                if not pages:
                    raise DocumentError(f"{file} holds no visible characters, so it has no pages")
                yield from pages
            except DocumentError as error:
                if Path(path).is_file():  # named by the user, not met on the way
                    raise
                skipped.append(str(error))

    pages = list(terminal.track(read(), "Laying out pages"))
    for reason in skipped[:10]:
        terminal.warn(f"skipped: {reason}")
    if skipped[10:]:
        terminal.warn(f"skipped {len(skipped) - 10:,} more files")
    documents = len({page.source for page in pages})
    terminal.step("Read", f"{counted(documents, 'document')}, {counted(len(pages), 'page')}")
    return pages
