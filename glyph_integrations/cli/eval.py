"""``glyph eval``: how well an index answers one's own questions, in each mode."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import DocumentError
from .embedder import EmbedderOption, recorded_or
from .options import KeyOption, QuietOption, secret
from .staging import staged
from .terminal import Terminal, counted, excerpt

if TYPE_CHECKING:
    from ..evaluation import Estimate, Evaluation, LabelledQuestion, Tuning
    from ..index import PageIndex

_SHOWN = 10


def evaluate(
    questions: Annotated[
        Path,
        typer.Argument(
            metavar="QUESTIONS",
            help='A JSONL file: on each line {"question": "...", "answer": "words of the page"}; or instead of the answer '
            '"page": 57 or "span": [1200, 1230]; and "source": "name of the document".',
            show_default=False,
        ),
    ],
    folder: Annotated[Path, typer.Option("--index", "-i", metavar="DIR", help="Folder of the index.", show_default=False)],
    mode: Annotated[
        list[str] | None,
        typer.Option(
            metavar="MODE",
            help="lexical, dense or hybrid; may be given several times. Default: all that the index can serve.",
            show_default=False,
        ),
    ] = None,
    k: Annotated[int, typer.Option("-k", min=1, max=1000, metavar="N", help="How many pages a reader would be given.")] = 10,
    weight: Annotated[
        float | None,
        typer.Option(min=0, max=1, metavar="W", help="Weight of the vectors in hybrid mode, 0 to 1.", show_default=False),
    ] = None,
    tune: Annotated[bool, typer.Option("--tune", help="Find the weight of hybrid mode that suits these questions.")] = False,
    plot: Annotated[Path | None, typer.Option(metavar="FILE.png", help="Draw the figures by mode.", show_default=False)] = None,
    embedder: EmbedderOption = None,
    make: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Write questions on pages drawn at random to QUESTIONS, until it holds N, and stop. With --base-url and "
            "--model a chat model asks them; without, they are sentences with a word left out, which is crude.",
            show_default=False,
        ),
    ] = None,
    base_url: Annotated[
        str | None, typer.Option(metavar="URL", help="An OpenAI-compatible server for --make.", show_default=False)
    ] = None,
    model: Annotated[str | None, typer.Option(metavar="NAME", help="The model to ask there.", show_default=False)] = None,
    api_key: KeyOption = None,
    seed: Annotated[int, typer.Option(metavar="N", help="Decides which pages --make draws.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print all figures, question by question, as JSON.")] = False,
    quiet: QuietOption = False,
) -> None:
    """Measure how well an index finds the pages that answer your own questions: hit@1, hit@5, hit@k, MRR and nDCG@10.

    Each figure comes with its 95 % confidence interval, and with what random pages would score. Questions that no page of
    the index answers are named and count nowhere.
    """
    from ..index import PageIndex

    if not PageIndex.exists(folder):
        raise DocumentError(f"{folder} holds no page index; make one with: glyph index PATH --index {folder}")
    if plot is not None and plot.suffix.lower() != ".png":
        raise typer.BadParameter("the picture is a PNG file; end its name in .png", param_hint="--plot")
    if (base_url is None) != (model is None) or (base_url is not None and make is None):
        raise typer.BadParameter("go together, and with --make", param_hint="--base-url, --model")
    if make is not None and (tune or plot or as_json or mode or embedder):
        raise typer.BadParameter("makes questions and stops; measure them with a second command", param_hint="--make")
    terminal = Terminal(quiet or as_json)
    with PageIndex.open(folder, recorded_or(embedder, folder), progress=False if terminal.quiet else None) as index:
        if make is not None:
            _make(terminal, index, questions, make, base_url, model, api_key, seed)
        else:
            _measure(terminal, index, questions, mode, k, weight, tune, plot, as_json)


def _measure(
    terminal: Terminal, index: PageIndex, path: Path, mode: list[str] | None, k: int, weight: float | None, tune: bool,
    picture: Path | None, as_json: bool,
) -> None:  # fmt: skip
    from .. import evaluation as room

    asked = room.read_questions(path)
    found = room.evaluate(
        index, asked, mode, k, weight, lambda numbers: terminal.track(numbers, "Asking", len(numbers))  # type: ignore[arg-type]
    )  # fmt: skip
    tuning = None
    if tune:
        tuning = room.tune(index, asked, track=lambda numbers: terminal.track(numbers, "Tuning", len(numbers)))
    if as_json:
        values = found.to_dict() | ({"tuning": tuning.to_dict()} if tuning else {})
        typer.echo(json.dumps(values, ensure_ascii=False, indent=1))
    else:
        _tell(terminal, found)
        if tuning:
            _tell_tuning(terminal, tuning)
    if picture is not None:
        with staged(picture.parent) as stage:
            room.plot(found, tuning).save(stage / picture.name)
        terminal.step("Plot", str(picture))


def _tell(terminal: Terminal, found: Evaluation) -> None:
    terminal.step("Asked", f"{counted(len(found.questions), 'question')}, put to {counted(found.pages, 'page')}")
    rows = [
        (name, *(_shown(found.score(mode, name)) for mode in found.modes), f"{found.chance(name):.3f}")
        for name in found.metrics
    ]
    times = ("median ms", *(f"{found.milliseconds[mode]:.1f}" for mode in found.modes), "")
    terminal.table(("Figure", *found.modes, "chance"), [*rows, times])
    for mode in found.modes[1:]:
        gain = found.gain(mode, found.modes[0])
        verdict = "" if gain.low > 0 or gain.high < 0 else ": these questions cannot tell them apart"
        terminal.step("Compare", f"{mode} against {found.modes[0]}, nDCG@10: {_signed(gain)}{verdict}")
    terminal.step("Figures", "in brackets the 95 % confidence interval; chance is what random pages would score")
    for mode, reason in found.unserved.items():
        terminal.step("Not", f"{mode}: {reason}" + (" (see --embedder)" if "needs" in reason else ""))
    if found.left_out:
        terminal.warn(f"{counted(len(found.left_out), 'question')} left out, since no page answers:")
    for one in found.left_out[:_SHOWN]:
        terminal.result(f"  line {one.question.line}: {excerpt(one.question.question, 50)}: {one.reason}")
    if found.left_out[_SHOWN:]:
        terminal.result(f"  and {len(found.left_out) - _SHOWN:,} more (--json names all)")


def _tell_tuning(terminal: Terminal, tuning: Tuning) -> None:
    rows = [
        (f"{weight:g}", _shown(score), " ".join(_marks(weight, tuning)))
        for weight, score in zip(tuning.weights, tuning.scores, strict=True)
    ]
    terminal.table(("Weight", "nDCG@10", ""), rows)
    low, high = tuning.likely
    terminal.step("Best", f"weight {tuning.best:g}; in 95 % of samples of these questions it is {low:g} to {high:g}")
    terminal.step("Gain", f"{_signed(tuning.gain)} nDCG@10 over the usual {tuning.usual:g}, on questions not used to choose")
    if tuning.worthwhile:
        weight = f"{tuning.best:g}"
        terminal.step(
            "Use", f"index.search(question, weight={weight})",
            f'LangChain:  store.as_retriever(search_kwargs={{"weight": {weight}}})',
            f"LlamaIndex: GlyphRetriever(store, alpha={weight})",
        )  # fmt: skip
    else:
        terminal.step("Use", f"the usual {tuning.usual:g}: these questions do not show that another weight is better")


def _marks(weight: float, tuning: Tuning) -> Iterator[str]:
    if weight == tuning.best:
        yield "best"
    if weight == tuning.usual:
        yield "usual"


def _make(
    terminal: Terminal, index: PageIndex, path: Path, count: int, base_url: str | None, model: str | None, api_key: str | None,
    seed: int,
) -> None:  # fmt: skip
    from ..evaluation import make_questions, read_questions, write_questions
    from ..reading import OpenAIModel

    known = read_questions(path) if path.exists() and path.stat().st_size else []
    wanted = count - len(known)
    if wanted <= 0:
        terminal.step("Made", f"nothing: {path} holds {counted(len(known), 'question')} already")
        return
    reader = OpenAIModel(str(model), base_url, secret(api_key, "--api-key"), timeout=300) if base_url else None
    discarded: Counter[str] = Counter()

    def made() -> Iterator[LabelledQuestion]:
        for attempt in make_questions(index, wanted, reader, seed=seed, known=known):
            if attempt.question:
                yield attempt.question
            else:
                discarded[attempt.reason] += 1

    written = write_questions(path, terminal.track(made(), "Making questions", wanted))
    by = (
        f"by {reader.name}"
        if reader
        else "without a model: sentences with a word left out, nearly word for word as on the page"
    )
    terminal.step("Made", f"{counted(written, 'question')} in {path}, {by}")
    for reason, times in discarded.most_common():
        terminal.step("", f"{counted(times, 'page')} gave none: {reason}")
    if written < wanted:
        terminal.warn(f"no page is left for {counted(wanted - written, 'question')} more")
    if not reader:
        terminal.warn("such questions favour lexical search; they tell whether an index works, not how well")
    terminal.step("Next", f"read them, drop the bad ones, then: glyph eval {path} --index {index.path}")


def _shown(score: Estimate) -> str:
    return f"{score.value:.3f} ({score.low:.2f}-{score.high:.2f})"


def _signed(gain: Estimate) -> str:
    return f"{gain.value:+.3f} ({gain.low:+.3f} to {gain.high:+.3f})"
