"""A search as pictures: errors by tokens, and pages of some styles side by side."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from .. import rendering
from ..rendering import Renderer
from ..style import PageStyle
from ..vision import VisionProfile
from .sample import Sample
from .trial import Trial, pareto_front

WIDTH, HEIGHT = 1200, 760

_INK, _PALE, _FAINT = (40, 40, 40), (225, 225, 225), (170, 170, 170)
_FRONT, _ADVISED, _NAMED, _CHOSEN = (
    (0, 114, 178),
    (204, 121, 167),
    (230, 159, 0),
    (0, 158, 115),
)  # told apart by the colour-blind
_LEFT, _RIGHT, _TOP, _BOTTOM = 100, 40, 110, 90
_LEAST, _MOST = 0.0003, 1.0  # errors; what is less is drawn at the least
_TICKS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
_GAP, _CAPTION = 24, 84  # of pages side by side


def plot(
    trials: Sequence[Trial], named: Mapping[str, Trial] | None = None, chosen: Trial | None = None, title: str = ""
) -> Image.Image:
    """A picture of 1200 x 760 pixels, RGB: tokens to the right, errors upwards (logarithmic); the front as a line.

    Args:
        trials: all that were scored; failed ones are left out.
        named: others with their names, such as presets, drawn as diamonds.
        chosen: drawn with a ring.
        title: what was searched.
    """
    named = named or {}
    image = Image.new("RGB", (WIDTH, HEIGHT), "white")
    pencil = ImageDraw.Draw(image)
    drawn = [trial for trial in trials if not trial.failure]
    everything = [*drawn, *named.values(), *([chosen] if chosen else [])]
    most = max((trial.tokens for trial in everything), default=1.0) * 1.05
    pencil.text((_LEFT, 34), title or "Styles by what they cost and how badly they are read", _INK, _font(26), anchor="lm")
    _legend(pencil, drawn, named, chosen)
    _grid(pencil, most)

    def place(trial: Trial) -> tuple[float, float]:
        return _x(trial.tokens, most), _y(trial.error)

    for trial in drawn:
        _dot(pencil, place(trial), 4, _ADVISED if trial.origin == "advised" else _FAINT)
    front = [place(trial) for trial in pareto_front(drawn)]
    corners = [corner for a, b in pairwise(front) for corner in (a, (b[0], a[1]), b)]
    if len(corners) > 1:
        pencil.line(corners, fill=_FRONT, width=3)
    for point in front:
        _dot(pencil, point, 6, _FRONT)
    marks = [place(trial) for trial in [*named.values(), *([chosen] if chosen else [])]]
    taken = [(x - 10, y - 10, x + 10, y + 10) for x, y in marks]  # no label stands on a mark
    for name, trial in named.items():
        x, y = place(trial)
        pencil.polygon([(x, y - 9), (x + 9, y), (x, y + 9), (x - 9, y)], fill=_NAMED, outline=_INK)
        _label(pencil, name, x, y, taken)
    if chosen:
        x, y = place(chosen)
        pencil.ellipse((x - 12, y - 12, x + 12, y + 12), outline=_CHOSEN, width=4)
        _label(pencil, "chosen", x, y, taken)
    return image


def side_by_side(sample: Sample, styles: Mapping[str, PageStyle], vision: VisionProfile | str) -> Image.Image:
    """The page that holds the first passage, in each style, pixel by pixel as the model gets it; names above.

    Args:
        styles: by a name of one or two lines, which may tell figures.
    """
    pages = []
    passage = sample.passages[0]
    for style in styles.values():
        renderer = Renderer(style)
        laid = sample.lay_out(renderer)[passage.document]
        shown = next(page for page in laid if page.start <= passage.start < page.end)
        pages.append(renderer.draw(shown, vision=vision))
    least = [_widest(name) for name in styles]
    widths = [max(page.width, wide) for page, wide in zip(pages, least, strict=True)]
    height = max((page.height for page in pages), default=0)
    image = Image.new("RGB", (sum(widths) + _GAP * (len(widths) + 1), height + _CAPTION + _GAP), (205, 205, 205))
    pencil = ImageDraw.Draw(image)
    x = _GAP
    for name, page, width in zip(styles, pages, widths, strict=True):
        for number, line in enumerate(name.split("\n")):
            pencil.text((x, 26 + 26 * number), line, _INK, _font(18), anchor="lm")
        image.paste(page, (x, _CAPTION))
        x += width + _GAP
    return image


def _widest(name: str) -> int:
    return max(math.ceil(_font(18).getlength(line)) for line in name.split("\n"))


def _x(tokens: float, most: float) -> float:
    return _LEFT + tokens / most * (WIDTH - _LEFT - _RIGHT)


def _y(error: float) -> float:
    share = math.log(max(error, _LEAST) / _LEAST) / math.log(_MOST / _LEAST)
    return HEIGHT - _BOTTOM - share * (HEIGHT - _BOTTOM - _TOP)


def _grid(pencil: ImageDraw.ImageDraw, most: float) -> None:
    bottom = HEIGHT - _BOTTOM
    for error in (_LEAST, *_TICKS):
        y = _y(error)
        pencil.line((_LEFT, y, WIDTH - _RIGHT, y), fill=_PALE)
        name = f"{100 * error:g} %" if error > _LEAST else "none"
        pencil.text((_LEFT - 10, y), name, _INK, _font(16), anchor="rm")
    step = next(step for step in (5, 10, 20, 25, 50, 100, 250, 500, 1000, 10**9) if most / step <= 12)
    for tokens in range(0, int(most) + 1, step):
        x = _x(tokens, most)
        pencil.line((x, _TOP, x, bottom), fill=_PALE)
        pencil.text((x, bottom + 22), f"{tokens:,}", _INK, _font(16), anchor="mm")
    pencil.text(((_LEFT + WIDTH - _RIGHT) / 2, bottom + 58), "visual tokens for 1,000 characters", _INK, _font(18), anchor="mm")


def _legend(pencil: ImageDraw.ImageDraw, trials: Sequence[Trial], named: Mapping[str, Trial], chosen: Trial | None) -> None:
    entries = [("tried", _FAINT), ("front", _FRONT)]
    if any(trial.origin == "advised" for trial in trials):
        entries.insert(1, ("advised", _ADVISED))
    entries += [("preset", _NAMED)] * bool(named) + [("chosen", _CHOSEN)] * bool(chosen)
    x = float(_LEFT)
    pencil.text((x, 74), "errors", _INK, _font(18), anchor="lm")
    x += _font(18).getlength("errors") + 40
    for name, ink in entries:
        _dot(pencil, (x, 74), 7, ink)
        pencil.text((x + 16, 74), name, _INK, _font(18), anchor="lm")
        x += 16 + _font(18).getlength(name) + 30


def _dot(pencil: ImageDraw.ImageDraw, point: tuple[float, float], size: int, ink: tuple[int, int, int]) -> None:
    x, y = point
    pencil.ellipse((x - size, y - size, x + size, y + size), fill=ink)


def _label(pencil: ImageDraw.ImageDraw, text: str, x: float, y: float, taken: list[tuple[float, float, float, float]]) -> None:
    """Write beside a point, where no other label is."""
    width = _font(16).getlength(text)
    right = x + 18 if x + 18 + width < WIDTH - 4 else x - 18 - width
    for shift in (0, -20, 20, -40, 40, -60, 60):
        box = (right, y + shift - 9, right + width, y + shift + 9)
        if not any(box[0] < b[2] and b[0] < box[2] and box[1] < b[3] and b[1] < box[3] for b in taken):
            break
    taken.append(box)
    pencil.text((box[0], y + shift), text, _INK, _font(16), anchor="lm", stroke_width=2, stroke_fill="white")


def _font(size: int) -> ImageFont.FreeTypeFont:
    """The font that comes with the package."""
    return ImageFont.truetype(str(Path(rendering.__file__).parent / "dejavu" / "DejaVuSans.ttf"), size)
