"""How a page looks: `PageStyle`, its presets, its short string form, and the official Glyph config."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from .errors import StyleError

_CHOICES: dict[str, tuple[str, ...]] = {
    "align": ("left", "right", "center", "justify"),
    "newline": ("auto", "keep", "reflow", "marked"),
    "missing": ("escape", "error", "skip"),
    "label": ("", "number", "source"),
}
_BOUNDS: dict[str, tuple[float, float]] = {
    "dpi": (18, 600),
    "width": (20, 10_000),
    "height": (20, 10_000),
    "margin_x": (0, 5_000),
    "margin_y": (0, 5_000),
    "font_size": (2, 500),
    "line_height": (2, 1_000),
    "horizontal_scale": (0.5, 1.5),
    "indent": (0, 5_000),
    "left_indent": (0, 5_000),
    "right_indent": (0, 5_000),
    "tab_width": (1, 64),
    "blank_height": (0.2, 1),
    "columns": (1, 8),
    "column_gap": (0, 1_000),
    "levels": (2, 16),
    "color": (0, 255),
    "background": (0, 255),
}


@dataclass(frozen=True)
class PageStyle:
    """All that decides how text is drawn. Lengths are points (1/72 inch); at 72 dpi a point is a pixel.

    Attributes:
        dpi: resolution at which lines are broken; other resolutions only scale the result.
        width, height: page size. Height is the largest a page gets: a drawn page is trimmed to its lines.
        margin_x, margin_y: empty border.
        font: ``"sans"`` or ``"mono"`` (DejaVu, installed with the package), or the path of a font file.
            Characters it lacks come from the other installed fonts.
        font_size, line_height: em size and distance of baselines.
        horizontal_scale: width of letters relative to their design, 0.5 to 1.5.
        align: ``left | right | center | justify``.
        indent, left_indent, right_indent: first-line and block indents.
        newline: ``keep`` draws every newline; ``reflow`` joins lines that were wrapped by hand at a fixed width;
            ``marked`` draws a visible mark in place of each break; ``auto`` lets `Renderer.paginate` choose between
            keep and reflow for the document, and the pages it returns carry the choice.
        tab_width: tab stops, in widths of a space.
        blank_height: height of a blank line, as a share of ``line_height`` (0.2 to 1). Half-high blank lines save a sixth of
            the tokens of a novel full of dialogue.
        columns, column_gap: text columns and the room between them.
        line_numbers: number the lines of the source in the left margin (for code).
        label: a line at the top with the page's ``number``, or number and ``source``; empty for none.
        levels: grey levels of ink, 2 (black and white) to 16. Six read as well as sixteen and make smaller files.
        color, background: grey value of ink and paper, 0 (black) to 255 (white).
        crop_width: narrow the picture to its longest line.
        missing: what to do with a character that no font covers: draw its code (``escape``), raise `MissingGlyphError`
            (``error``), or leave it out (``skip``). Either way `Page.missing` lists it.

    Raises:
        StyleError: a value is out of range, or the margins leave no room for a line.
    """

    dpi: int = 72
    width: float = 588
    height: float = 840
    margin_x: float = 10
    margin_y: float = 10
    font: str = "sans"
    font_size: float = 9
    line_height: float = 10
    horizontal_scale: float = 1.0
    align: str = "left"
    indent: float = 0
    left_indent: float = 0
    right_indent: float = 0
    newline: str = "auto"
    tab_width: int = 4
    blank_height: float = 0.5
    columns: int = 1
    column_gap: float = 12
    line_numbers: bool = False
    label: str = ""
    levels: int = 6
    color: int = 0
    background: int = 255
    crop_width: bool = False
    missing: str = "escape"

    def __post_init__(self) -> None:
        for name, allowed in _CHOICES.items():
            if getattr(self, name) not in allowed:
                raise StyleError(f"style {name}={getattr(self, name)!r}: choose one of {', '.join(allowed)}")
        for name, (low, high) in _BOUNDS.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
                raise StyleError(f"style {name}={value!r}: must be a number from {low} to {high}")
        for field in fields(self):  # 9 and 9.0 are one style
            value = getattr(self, field.name)
            if isinstance(value, float) and value.is_integer():
                object.__setattr__(self, field.name, int(value))
        if not isinstance(self.columns, int) or not isinstance(self.dpi, int) or not isinstance(self.levels, int):
            raise StyleError("style dpi, columns and levels must be whole numbers")
        column = (self.width - 2 * self.margin_x - (self.columns - 1) * self.column_gap) / self.columns
        room_x = column - self.left_indent - self.right_indent - self.indent - (4 * self.font_size if self.line_numbers else 0)
        if room_x < 2 * self.font_size:
            raise StyleError(f"margins, indents and columns leave {room_x:g} pt for a line; make them smaller")
        if self.height - 2 * self.margin_y < self.line_height * (2 if self.label else 1):
            raise StyleError(f"margins leave no room for one line on a {self.height:g} pt high page; make them smaller")
        if self.color == self.background:
            raise StyleError("color and background are the same; nothing could be read")

    @classmethod
    def preset(cls, name: str) -> PageStyle:
        """One of the named styles: ``glyph-72`` (cheapest, for Glyph itself), ``glyph-96`` and ``glyph-120`` (sharper, for
        other models), ``dense-72`` (smaller letters), ``dense-1bit`` (black and white, marked newlines), ``document``,
        ``web``, ``dark``, ``code``, ``cjk-72``, ``cjk-96``, and ``tall-96`` for scripts with marks above and below
        (Devanagari, Thai, Khmer).

        Raises:
            StyleError: unknown name; the message lists the known ones.
        """
        try:
            return PRESETS[name]
        except KeyError:
            raise StyleError(f"unknown style {name!r}; known: {', '.join(PRESETS)}") from None

    def replace(self, **changes: Any) -> PageStyle:
        """A copy with some values changed."""
        return replace(self, **changes)

    def __str__(self) -> str:
        return self._compact

    @cached_property
    def _compact(self) -> str:
        mine = asdict(self)
        changes = {name: {k: v for k, v in mine.items() if v != getattr(style, k)} for name, style in PRESETS.items()}
        name = min(changes, key=lambda n: len(changes[n]))
        values = {k: json.dumps(v, ensure_ascii=False).replace(";", "\\u003b") for k, v in changes[name].items()}
        return name + "".join(f";{k}={v}" for k, v in values.items())

    @classmethod
    @lru_cache(maxsize=256)  # an index reads a style with every page
    def parse(cls, text: str) -> PageStyle:
        """The inverse of ``str(style)``: a preset name, then ``;key=value`` for each difference from it.

        Example: ``"glyph-72;font_size=8;newline=\\"keep\\""``. Bare words are accepted as strings.

        Raises:
            StyleError: unknown preset or key, or a bad value.
        """
        name, *parts = text.split(";")
        changes: dict[str, Any] = {}
        known = {f.name for f in fields(cls)}
        for part in parts:
            key, eq, value = part.partition("=")
            if key not in known or not eq:
                raise StyleError(f"style {text!r}: {part!r} is not key=value with one of {', '.join(sorted(known))}")
            try:
                changes[key] = json.loads(value)
            except json.JSONDecodeError:
                changes[key] = value
        return cls.preset(name).replace(**changes)

    @classmethod
    def load(cls, path: str | Path) -> PageStyle:
        """A style saved by `save` (JSON with any of this class's fields).

        Raises:
            StyleError: the file is missing, not JSON, or holds an unknown key or bad value.
        """
        data = _read_json(path)
        unknown = set(data) - {f.name for f in fields(cls)}
        if unknown:
            raise StyleError(f"{path}: unknown style keys: {', '.join(sorted(unknown))}")
        return cls(**data)

    def save(self, path: str | Path) -> None:
        """Write the style as JSON."""
        Path(path).write_text(json.dumps(asdict(self), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")

    @classmethod
    def from_glyph_config(cls, path: str | Path) -> PageStyle:
        """The style of an official Glyph config JSON (thu-coai/Glyph, ``config/config_en.json`` and the like).

        A relative ``font-path`` is resolved beside the config; a font that is not there falls back to the default font of
        this package. ``auto-crop-last-page`` is what we always do.

        Raises:
            StyleError: the file is missing or not JSON, or asks for something we do not draw (named in the message).
        """
        path = Path(path)
        return _from_glyph_config(_read_json(path), path)


def _read_json(path: str | Path) -> dict[str, Any]:
    try:
        data = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise StyleError(f"cannot read style file {path}: {error.strerror or error}") from error
    except ValueError as error:
        raise StyleError(f"{path} is not JSON: {error}") from error
    if not isinstance(data, dict):
        raise StyleError(f"{path}: expected a JSON object with style keys")
    return data


def _grey(key: str, value: str) -> int:
    try:
        red, green, blue = bytes.fromhex(str(value).removeprefix("#"))
    except ValueError:
        raise StyleError(f"glyph config {key}={value!r}: expected a colour such as #000000") from None
    return round(0.299 * red + 0.587 * green + 0.114 * blue)


def _from_glyph_config(config: dict[str, Any], path: Path) -> PageStyle:
    config = dict(config)

    def number(key: str, default: float) -> float:
        value = config.pop(key, default)
        try:
            return float(value)
        except (TypeError, ValueError):
            raise StyleError(f"glyph config {key}={value!r}: expected a number") from None

    size = str(config.pop("page-size", "595.28,841.89")).split(",")
    try:
        width, height = (float(x) for x in size)
    except ValueError:
        raise StyleError(f"glyph config page-size={','.join(size)!r}: expected 'width,height' in points") from None
    font_size = number("font-size", 9)
    alignment = str(config.pop("alignment", "JUSTIFY")).upper().removeprefix("TA_")
    if alignment not in ("LEFT", "RIGHT", "CENTER", "JUSTIFY"):
        raise StyleError(f"glyph config alignment={alignment!r}: expected LEFT, RIGHT, CENTER or JUSTIFY")
    background = config.pop("page-bg-color", "#FFFFFF")
    markup = str(config.pop("newline-markup", "<br/>"))
    font = config.pop("font-path", None)
    font_file = path.parent / str(font) if font else None
    style = PageStyle(
        dpi=int(number("dpi", 72)), width=width, height=height,
        margin_x=number("margin-x", 20), margin_y=number("margin-y", 20),
        font=str(font_file.resolve()) if font_file and font_file.is_file() else "sans",
        font_size=font_size, line_height=number("line-height", font_size + 1),
        horizontal_scale=number("horizontal-scale", 1.0), align=alignment.lower(),
        indent=number("first-line-indent", 0), left_indent=number("left-indent", 0), right_indent=number("right-indent", 0),
        newline="keep" if markup.startswith("<br") else "marked",
        color=_grey("font-color", config.pop("font-color", "#000000")), background=_grey("page-bg-color", background),
        crop_width=bool(config.pop("auto-crop-width", False)),
    )  # fmt: skip
    config.pop("auto-crop-last-page", None)
    refused = []
    if _grey("para-bg-color", config.pop("para-bg-color", background)) != style.background:
        refused.append("para-bg-color (other than the page's)")
    config.pop("para-border-color", None)
    for key in ("space-before", "space-after", "border-width"):
        if number(key, 0):
            refused.append(key)
    number("border-padding", 0)  # without a border it draws nothing
    refused += sorted(config)
    if refused:
        raise StyleError(f"{path}: cannot draw: {', '.join(refused)}; remove these keys or set them to 0")
    return style


PRESETS: dict[str, PageStyle] = {
    "glyph-72": PageStyle(),
    "glyph-96": PageStyle(dpi=96),
    "glyph-120": PageStyle(dpi=120),
    "dense-72": PageStyle(font_size=8, line_height=9),
    "dense-1bit": PageStyle(levels=2, newline="marked"),
    "document": PageStyle(
        dpi=96, margin_x=36, margin_y=36, font_size=10, line_height=13, align="justify", blank_height=0.6, label="source"
    ),
    "web": PageStyle(dpi=96, margin_x=24, margin_y=24, font_size=10, line_height=14, blank_height=0.6),
    "dark": PageStyle(dpi=96, color=230, background=24),
    "code": PageStyle(dpi=96, font="mono", newline="keep", line_numbers=True, blank_height=1),
    "cjk-72": PageStyle(font_size=10, line_height=12),
    "cjk-96": PageStyle(dpi=96, font_size=9.75, line_height=12),
    "tall-96": PageStyle(dpi=96, line_height=13),
}
