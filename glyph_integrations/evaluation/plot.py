"""An evaluation as a picture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from PIL import Image, ImageDraw, ImageFont

from .. import rendering
from .evaluation import Evaluation
from .figures import GAIN_DEPTH, Estimate
from .weights import Tuning

WIDTH, HEIGHT = 1200, 600

_COLORS = {"lexical": (0, 114, 178), "dense": (230, 159, 0), "hybrid": (0, 158, 115)}  # told apart by the colour-blind too
_INK, _PALE, _CHANCE = (40, 40, 40), (222, 222, 222), (200, 40, 40)
_LEFT, _RIGHT, _TOP, _BOTTOM = 90, 30, 110, 60  # margins of a panel


class _Panel(NamedTuple):
    """A coordinate system: values from ``least`` to ``most`` between ``top`` and ``bottom`` of the picture."""

    pencil: ImageDraw.ImageDraw
    top: int
    bottom: int
    least: float
    most: float

    def y(self, value: float) -> float:
        """Where a value stands."""
        share = (min(max(value, self.least), self.most) - self.least) / (self.most - self.least)
        return self.bottom - share * (self.bottom - self.top)

    def write(
        self, x: float, y: float, text: str, size: int = 18, anchor: str = "mm", ink: tuple[int, int, int] = _INK
    ) -> None:
        """Write text about a point."""
        self.pencil.text((x, y), text, fill=ink, font=_font(size), anchor=anchor)

    def grid(self) -> None:
        """A line at each tenth, with its value."""
        steps = round(10 * (self.most - self.least))
        for step in range(steps + 1):
            value = self.least + (self.most - self.least) * step / steps
            self.pencil.line((_LEFT, self.y(value), WIDTH - _RIGHT, self.y(value)), fill=_PALE)
            self.write(_LEFT - 12, self.y(value), f"{value:.1f}", anchor="rm")

    def interval(self, x: float, estimate: Estimate) -> None:
        """A whisker."""
        for y in (self.y(estimate.low), self.y(estimate.high)):
            self.pencil.line((x - 6, y, x + 6, y), fill=_INK, width=2)
        self.pencil.line((x, self.y(estimate.low), x, self.y(estimate.high)), fill=_INK, width=2)

    def dashes(self, start: tuple[float, float], end: tuple[float, float], ink: tuple[int, int, int]) -> None:
        """A dashed line, level or upright."""
        length = max(abs(end[0] - start[0]), abs(end[1] - start[1]))
        for at in range(0, round(length), 12):
            a, b = at / length, min(1.0, (at + 7) / length)
            points = [(start[0] + (end[0] - start[0]) * part, start[1] + (end[1] - start[1]) * part) for part in (a, b)]
            self.pencil.line(points, fill=ink, width=2)


def plot(evaluation: Evaluation, tuning: Tuning | None = None) -> Image.Image:
    """A picture of 1200 x 600 pixels, RGB: a group of bars for each figure, a bar for each mode with its 95 % interval, and a
    dashed line where chance stands. With ``tuning``, below it as much again: nDCG@10 by the weight of the vectors."""
    image = Image.new("RGB", (WIDTH, HEIGHT * (2 if tuning else 1)), "white")
    pencil = ImageDraw.Draw(image)
    _modes(_Panel(pencil, _TOP, HEIGHT - _BOTTOM, 0, 1), evaluation)
    if tuning:
        scores = tuning.scores
        least = math.floor(10 * min(score.low for score in scores)) / 10
        most = math.ceil(10 * max(score.high for score in scores)) / 10
        _weights(_Panel(pencil, HEIGHT + _TOP, 2 * HEIGHT - _BOTTOM, least, most), tuning)
    return image


def _modes(panel: _Panel, evaluation: Evaluation) -> None:
    panel.write(_LEFT, 34, "How often the page that answers is found", 26, "lm")
    told = f"{len(evaluation.questions):,} questions, {evaluation.pages:,} pages; whiskers: 95 % confidence"
    panel.write(_LEFT, 72, told, 18, "lm")
    panel.grid()
    names = list(evaluation.metrics)
    group = (WIDTH - _LEFT - _RIGHT) / len(names)
    bar = min(70.0, group * 0.8 / len(evaluation.modes))
    for number, name in enumerate(names):
        middle = _LEFT + group * (number + 0.5)
        panel.write(middle, panel.bottom + 28, name, 20)
        for place, mode in enumerate(evaluation.modes):
            score = evaluation.score(mode, name)
            left = middle + bar * (place - len(evaluation.modes) / 2)
            panel.pencil.rectangle((left + 3, panel.y(score.value), left + bar - 3, panel.bottom), fill=_COLORS[mode])
            panel.interval(left + bar / 2, score)
            panel.write(left + bar / 2, max(panel.y(score.high) - 14, panel.top - 14), f"{score.value:.2f}", 15)
        y = panel.y(evaluation.chance(name))
        panel.dashes((middle - group * 0.45, y), (middle + group * 0.45, y), _CHANCE)
    _legend(panel, [*((mode, _COLORS[mode]) for mode in evaluation.modes), ("chance", _CHANCE)])


def _weights(panel: _Panel, tuning: Tuning) -> None:
    panel.write(_LEFT, panel.top - 76, f"nDCG@{GAIN_DEPTH} by the weight of the vectors (0: words alone)", 26, "lm")
    told = (
        f"best {tuning.best:g}, in 95 % of samples {tuning.likely[0]:g} to {tuning.likely[1]:g}; dashed: usual {tuning.usual:g}"
    )
    panel.write(_LEFT, panel.top - 38, told, 18, "lm")
    panel.grid()
    span = WIDTH - _LEFT - _RIGHT - 60
    xs = [_LEFT + 30 + weight * span for weight in tuning.weights]
    usual = _LEFT + 30 + tuning.usual * span
    panel.dashes((usual, panel.top), (usual, panel.bottom), _CHANCE)
    panel.pencil.line(
        [(x, panel.y(score.value)) for x, score in zip(xs, tuning.scores, strict=True)], fill=_COLORS["hybrid"], width=4
    )
    for x, weight, score in zip(xs, tuning.weights, tuning.scores, strict=True):
        panel.interval(x, score)
        size = 9 if weight == tuning.best else 5
        y = panel.y(score.value)
        panel.pencil.ellipse((x - size, y - size, x + size, y + size), fill=_COLORS["hybrid"])
        if round(weight * 10) == weight * 10:
            panel.write(x, panel.bottom + 28, f"{weight:g}")


def _legend(panel: _Panel, entries: Sequence[tuple[str, tuple[int, int, int]]]) -> None:
    x = WIDTH - _RIGHT
    for name, color in reversed(entries):
        x -= round(_font(18).getlength(name))
        panel.write(x, 34, name, 18, "lm")
        panel.pencil.rectangle((x - 26, 26, x - 10, 42), fill=color)
        x -= 50


def _font(size: int) -> ImageFont.FreeTypeFont:
    """The font that comes with the package."""
    return ImageFont.truetype(str(Path(rendering.__file__).parent / "dejavu" / "DejaVuSans.ttf"), size)
