"""How badly a style is read: `Evaluator`, and the one that needs no model, an OCR engine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Protocol

from ..ocr import Reader, open_reader
from ..rendering import Renderer
from ..style import PageStyle
from ..vision import VisionProfile
from .legibility import Legibility, check_scripts, read_crops
from .sample import Sample, seen_by


@dataclass(frozen=True)
class Score:
    """What came of reading a style.

    Attributes:
        error: 0 (all of it was right) to 1.
        standard_error: how far the error would vary between samples as large; 0 if unknown.
        calls: of a model that it took.
        detail: figures of the evaluator's own, as JSON has them.
    """

    error: float
    standard_error: float = 0.0
    calls: int = 0
    detail: dict[str, Any] = field(default_factory=dict)


class Evaluator(Protocol):
    """Reads the passages of a sample in a style, and says how badly.

    Attributes:
        name: equal names give equal scores of equal styles and samples; scores are kept under it.
        blind: axes of the search space whose effect it cannot see (see `SearchSpace`); a search leaves them alone.
        in_process: True if it works on this machine, so that several at a time need processes of their own (it must then be
            possible to send it to another process); False if it waits for a server, and threads will do.
    """

    @property
    def name(self) -> str:  # noqa: D102
        ...

    @property
    def blind(self) -> frozenset[str]:  # noqa: D102
        ...

    @property
    def in_process(self) -> bool:  # noqa: D102
        ...

    def evaluate(self, style: PageStyle, sample: Sample) -> Score:
        """The score of a style. Whatever it raises counts as the worst score, and is told."""
        ...


class OcrEvaluator:
    """Character error rate of an OCR engine on the lines that hold the passages.

    Pages are laid out whole and read at the size at which the model would see them. About 1.5 s of one core for 600 columns
    of text. It reads line by line, so it cannot judge what columns and marks in place of newlines do to a reader. An OCR
    engine is no vision-language model either: it tells which pages are hard to make out, not what a model was trained on.

    Args:
        engine: ``rapidocr`` (extra ``ocr``: Latin, Chinese and Japanese script) or ``tesseract:LANGUAGE``.
        vision: the model that will see the pages.
        upscale: how much lines are enlarged for the engine.
        threads: of the engine; None: as it decides. One where several styles are evaluated at a time.

    Raises:
        MissingExtraError, ModelError: the engine is not installed.
    """

    blind = frozenset({"columns", "newline"})
    in_process = True

    def __init__(
        self, engine: str = "rapidocr", vision: VisionProfile | str = "glyph", upscale: float = 2.0, threads: int | None = None
    ) -> None:
        self._engine, self._upscale, self._threads = engine, upscale, threads
        self._vision = VisionProfile.get(vision)
        self.name = f"{_open(engine, threads).name}, upscale {upscale:g}, for {self._vision.name}"

    def evaluate(self, style: PageStyle, sample: Sample) -> Score:
        """The character error rate, at most 1.

        Raises:
            ModelError: the engine fails, or most letters are of scripts that it does not know.
        """
        reader = _open(self._engine, self._threads)
        check_scripts(reader, (document.text[a:b] for document, a, b in _spans(sample)))
        renderer = Renderer(style)
        pages = sample.lay_out(renderer)
        seen = seen_by(self._vision, pages, renderer)
        lines = read_crops(renderer, list(sample.crops(pages)), reader, self._upscale, seen)
        found = Legibility(style, reader.name, self._vision.name, tuple(lines), 0.0)
        detail = {
            "lines": len(lines),
            "unread": found.unread,
            "characters": found.characters,
            "confusions": [list(confusion) for confusion in found.confusions(5)],
        }
        return Score(min(1.0, found.error_rate), found.standard_error, detail=detail)


def _spans(sample: Sample) -> list[tuple[Any, int, int]]:
    return [(sample.documents[number], start, end) for number, start, end in sample.passages]


@lru_cache(maxsize=4)
def _open(engine: str, threads: int | None) -> Reader:
    """One engine a process."""
    return open_reader(engine, threads)


class MeanEvaluator:
    """Several evaluators; the error is the mean of theirs."""

    def __init__(self, evaluators: Sequence[Evaluator]) -> None:
        self._evaluators = tuple(evaluators)
        self.name = " + ".join(evaluator.name for evaluator in self._evaluators)
        self.blind = frozenset.intersection(*(evaluator.blind for evaluator in self._evaluators))
        self.in_process = all(evaluator.in_process for evaluator in self._evaluators)

    def evaluate(self, style: PageStyle, sample: Sample) -> Score:
        """The mean of all errors; figures of each under its name."""
        scores = [evaluator.evaluate(style, sample) for evaluator in self._evaluators]
        count = len(scores)
        spread = sum(score.standard_error**2 for score in scores) ** 0.5 / count
        parts = {
            evaluator.name: {"error": score.error, **score.detail}
            for evaluator, score in zip(self._evaluators, scores, strict=True)
        }
        return Score(sum(score.error for score in scores) / count, spread, sum(score.calls for score in scores), parts)


Ask = Callable[[Sequence[bytes], str], str]
"""Shows a model some pictures (PNG) and asks it something; the answer. Raises `ModelError` when the model fails."""
