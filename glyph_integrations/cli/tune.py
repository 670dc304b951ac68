"""``glyph tune``: a search for the style that a model reads well and that costs little, on one's own documents."""

from __future__ import annotations

import json
import random
import re
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import DocumentError
from ..style import PageStyle
from .options import EncodingOption, KeyOption, QuietOption, VisionOption, secret
from .staging import staged
from .terminal import Terminal, counted

if TYPE_CHECKING:
    from ..evaluation import LabelledQuestion
    from ..reading import OpenAIModel
    from ..sources import SourceDocument
    from ..tuning import Evaluator, StyleSearch, Trial
    from ..vision import VisionProfile

_JUDGES = ("ocr", "transcription", "needles", "questions")
_CONFIRMED = 8  # styles of the front that are read on other passages before one is chosen
_AGAIN = 3  # times as many passages as in the search
_SHARE = 0.8  # of the time and of the calls that is for the search; the rest is for reading the best again
_SHOWN = 12
_PATIENCE = 30.0, 300.0  # seconds that an answer of the server may take: as long as the budget, but no less and no more


def tune(
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="PATH...",
            help="Documents of the kind to be read, folders of them, patterns such as 'docs/**/*.md'.",
            show_default=False,
        ),
    ],
    model: Annotated[
        str, typer.Option(metavar="NAME", help="The model that will see the pages: its visual tokens are counted.")
    ] = "glyph",
    vision: VisionOption = None,
    base_url: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="An OpenAI-compatible server of the model, which then reads the pages itself. Default: an OCR engine reads.",
            show_default=False,
        ),
    ] = None,
    budget: Annotated[str, typer.Option(metavar="TIME", help="How long: 90s, 10m, 1h.")] = "10m",
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Folder for what is found.")] = Path("tuning"),
    by: Annotated[
        list[str] | None,
        typer.Option(
            metavar="JUDGE",
            help="What counts as an error: ocr, transcription, needles, questions; if given several times, their mean. "
            "Default: transcription with --base-url, else ocr.",
            show_default=False,
        ),
    ] = None,
    questions: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Questions with answers (JSONL, as for glyph eval), for --by questions.",
                     show_default=False),
    ] = None,
    engine: Annotated[str, typer.Option(metavar="NAME", help="OCR engine: rapidocr or tesseract:LANGUAGE.")] = "rapidocr",
    most_error: Annotated[
        float | None,
        typer.Option(
            min=0, max=1, metavar="SHARE",
            help="Choose the cheapest style with no more errors than this. Default: those of the best style and 0.01 more.",
            show_default=False,
        ),
    ] = None,
    styles: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Most styles to score.", show_default=False)
    ] = None,
    calls: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Most calls of the model.", show_default=False)
    ] = None,
    space: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A search space of your own (JSON); see the documentation.", show_default=False),
    ] = None,
    advisor: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="A language model on the same server that proposes styles.", show_default=False
        ),
    ] = None,
    population: Annotated[int, typer.Option(min=4, metavar="N", help="Styles in a generation.")] = 10,
    seed: Annotated[int, typer.Option(metavar="N", help="Of all that is random.")] = 0,
    jobs: Annotated[int, typer.Option("--jobs", "-j", min=1, max=64, help="Styles scored at a time.")] = 1,
    encoding: EncodingOption = None,
    api_key: KeyOption = None,
    quiet: QuietOption = False,
) -> None:  # fmt: skip
    """Search for a page style that is read well and costs few tokens, and save it.

    Writes style.json (for --style, and PageStyle.load), front.png, pages.png and trials.json. Scores are kept in the folder
    scores beside them: run the same command again to go on with a search that was interrupted.
    """
    from ..evaluation import read_questions
    from ..tuning import Sample, SearchSpace, StyleSearch, advisor_of
    from ..vision import VisionProfile

    seconds = _seconds(budget)
    judges = by or (["transcription"] if base_url else ["ocr"])
    _check_options(judges, base_url, questions, advisor)
    terminal = Terminal(quiet)
    profile = VisionProfile.get(vision or model)
    chosen_space = SearchSpace.load(space) if space else None
    asked = read_questions(questions) if questions else []
    sample = Sample.of(_documents(paths, {question.source for question in asked}, seed, encoding), seed=seed)
    key = secret(api_key, "--api-key")
    server = _server(model, base_url, key, profile, seconds) if base_url else None
    adviser = advisor_of(_server(advisor, base_url, key, None, seconds)) if advisor and base_url else None
    evaluator = _evaluator(judges, engine, profile, jobs, server, asked)
    search = StyleSearch(
        sample, evaluator, profile, space=chosen_space, population=population, seed=seed, advisor=adviser,
        kept=output / "scores", jobs=jobs,
    )  # fmt: skip
    terminal.step(
        "Text", f"{counted(len(sample.documents), 'document')}, {counted(len(sample.passages), 'passage')} read of it"
    )
    terminal.step("Reader", evaluator.name)
    found = search.run(
        seconds=_SHARE * seconds, evaluations=styles, calls=None if calls is None else max(1, int(_SHARE * calls))
    )
    began = time.monotonic()
    for _ in terminal.track(found, "Scoring styles", styles):
        pass
    pace = (time.monotonic() - began) / len(search.trials)
    confirmed = min(_CONFIRMED, max(2, int((1 - _SHARE) * seconds / (_AGAIN * pace + 1e-9))))
    each = _AGAIN * max(trial.score.calls for trial in search.trials)
    room = (calls - search.calls) // each if calls is not None and each else None
    _report(terminal, search, output, most_error, confirmed, room)


def _report(
    terminal: Terminal, search: StyleSearch, output: Path, most_error: float | None, confirmed: int, room: int | None
) -> None:
    """Read the best again, of them and of presets ``room`` at most, and write what was found."""
    from ..tuning import choose, plot, side_by_side
    from ..tuning.style_search import UNREADABLE

    others = search.sample.others(_AGAIN * len(search.sample.passages))
    names = list(dict.fromkeys([search.vision.style, "glyph-72", "glyph-96"]))
    again: list[Trial] = []
    front = _spread(search.front, confirmed if room is None else max(2, min(confirmed, room)))
    if room is None or room >= len(front):
        wanted = [*(trial.style for trial in front), *map(PageStyle.parse, names)][:room]
        for trial in terminal.track(search.score(wanted, others), "Reading the best again", len(wanted)):
            again.append(trial)
            if trial.failure and search.trials[-1].failure:  # it is not the style: whoever reads stopped answering
                break
    else:
        terminal.warn("too few calls were left to read the best again: what is chosen rests on the search alone")
    named = dict(zip(names, again[len(front) :], strict=False))
    best = choose(again or search.trials, most_error)
    rows = sorted(again[: len(front)] or front, key=lambda trial: trial.tokens)
    terminal.table(
        ("Style", "Tokens", "Errors", "+-", ""),
        [_row(str(trial.style), trial, best) for trial in rows] + [_row(name, trial, best) for name, trial in named.items()],
    )
    _account(terminal, search)
    pages = {f"{name}\n{_figures(trial)}": trial.style for name, trial in named.items()}
    with staged(output) as stage:
        if best:
            best.style.save(stage / "style.json")
            pages = {f"chosen\n{_figures(best)}": best.style} | pages
        plot(search.trials, named, best).save(stage / "front.png")
        side_by_side(search.sample, pages, search.vision).save(stage / "pages.png")
        data = {
            "evaluator": search.evaluator.name,
            "vision": search.vision.name,
            "space": search.space.to_dict(),
            "trials": [trial.to_dict() for trial in search.trials],
            "read_again": [trial.to_dict() for trial in again],
        }
        (stage / "trials.json").write_text(json.dumps(data, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")  # fmt: skip
    if again and all(trial.failure for trial in again):
        terminal.warn(f"reading the best again failed ({again[0].failure}), so no style was saved; run the same command again")
    elif best is None:
        terminal.warn(
            f"no style has at most {100 * (most_error or 0):g} % errors; none was saved. Allow more with --most-error"
        )
    else:
        terminal.step("Chosen", str(best.style), f"{_figures(best)}; use it with --style {output / 'style.json'}")
        if best.error > UNREADABLE and most_error is None:
            terminal.warn("that is hardly reading: can the model read pages at all? glyph calibrate asks it")
    terminal.step("Files", f"front.png, pages.png, trials.json in {output}")


def _account(terminal: Terminal, search: StyleSearch) -> None:
    terminal.step(
        "Search",
        f"{counted(len(search.trials), 'style')} scored, {counted(search.generations, 'generation')}",
        f"it ended: {search.stopped}",
        *(f"{counted(count, 'style')} not drawn: {reason}" for reason, count in search.rejected.most_common(5)),
    )
    if search.advice.asked:
        terminal.step("Advisor", str(search.advice))
    if search.failed:
        terminal.warn(f"the evaluator failed on {counted(len(search.failed), 'style')}, which count as the worst:")
        for trial in search.failed[:_SHOWN]:
            terminal.result(f"  {trial.style}: {trial.failure}")
    if not search.generations:
        terminal.warn("the budget was too small for one generation: this is the best of the presets and of chance")
    if "failed" in search.stopped:
        terminal.warn("run the same command again to go on where it stopped: scores are kept")


def _row(name: str, trial: Trial, best: Trial | None) -> tuple[str, ...]:
    if trial.failure:
        return name, f"{trial.tokens:.0f}", "failed", "", ""
    mark = "chosen" if best and trial.style == best.style else ""
    return name, f"{trial.tokens:.0f}", f"{100 * trial.error:.2f} %", f"{100 * trial.score.standard_error:.2f}", mark


def _figures(trial: Trial) -> str:
    return f"{trial.tokens:.0f} tokens for 1,000 characters, {100 * trial.error:.2f} % errors"


def _spread(front: Sequence[Trial], most: int) -> list[Trial]:
    """So many of the front that one could want, spread over it."""
    readable = [trial for trial in front if trial.error <= front[-1].error + 0.1]
    if len(readable) <= most:
        return readable
    return [readable[round(n * (len(readable) - 1) / (most - 1))] for n in range(most)]


def _documents(paths: Sequence[str], asked_about: set[str], seed: int, encoding: str | None) -> Iterator[SourceDocument]:
    """The files that were named, then those met in folders, in an order by chance, since a sample is full before a large folder
    is read; those that questions are about first. In folders, what cannot be read is passed over."""
    from ..sources import find_files, open_document, source_name

    named = [Path(where) for where in paths if Path(where).is_file()]
    yield from (open_document(file, encoding=encoding) for file in named)
    met = [(file, source_name(file, where)) for where in paths if Path(where) not in named for file in find_files(where)]
    random.Random(seed).shuffle(met)
    reasons = []
    for file, name in sorted(met, key=lambda found: found[1] not in asked_about):
        try:
            document = open_document(file, name=name, encoding=encoding)
        except DocumentError as error:
            reasons.append(str(error))
        else:
            yield document
    if reasons and not named and len(reasons) == len(met):
        raise DocumentError(f"nothing to tune a style on: {reasons[0]}")


def _seconds(budget: str) -> float:
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([smh])\s*", budget, re.ASCII)
    if not match or float(match[1]) == 0:
        raise typer.BadParameter(f"{budget!r} is no time such as 90s, 10m or 1h", param_hint="--budget")
    return float(match[1]) * {"s": 1, "m": 60, "h": 3600}[match[2]]


def _check_options(judges: Sequence[str], base_url: str | None, questions: Path | None, advisor: str | None) -> None:
    for judge in judges:
        if judge not in _JUDGES:
            raise typer.BadParameter(f"{judge!r}: choose of {', '.join(_JUDGES)}", param_hint="--by")
        if judge != "ocr" and base_url is None:
            raise typer.BadParameter(f"{judge} needs a model that reads: add --base-url", param_hint="--by")
    if ("questions" in judges) != (questions is not None):
        raise typer.BadParameter("go together", param_hint="--questions FILE, --by questions")
    if advisor and base_url is None:
        raise typer.BadParameter("needs a server: add --base-url", param_hint="--advisor")


def _server(model: str, base_url: str, key: str | None, vision: VisionProfile | None, seconds: float) -> OpenAIModel:
    from ..reading import OpenAIModel

    return OpenAIModel(model, base_url, key, vision, timeout=min(max(_PATIENCE[0], seconds), _PATIENCE[1]))


def _evaluator(
    judges: Sequence[str], engine: str, vision: VisionProfile, jobs: int, server: OpenAIModel | None,
    questions: Sequence[LabelledQuestion],
) -> Evaluator:  # fmt: skip
    from ..tuning import MeanEvaluator, NeedleEvaluator, OcrEvaluator, QuestionEvaluator, TranscriptionEvaluator, ask_model

    found: list[Evaluator] = []
    for judge in dict.fromkeys(judges):
        if judge == "ocr":
            found.append(OcrEvaluator(engine, vision, threads=1 if jobs > 1 else None))
            continue
        assert server is not None
        ask = ask_model(server)
        if judge == "transcription":
            found.append(TranscriptionEvaluator(ask, server.name, vision))
        elif judge == "needles":
            found.append(NeedleEvaluator(ask, server.name, vision))
        else:
            found.append(QuestionEvaluator(ask, server.name, vision, questions))
    return found[0] if len(found) == 1 else MeanEvaluator(found)
