"""What a browser sends as JSON, read with care: a style, a model family, a model, page numbers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from ..errors import GlyphError, StyleError
from ..style import PRESETS, PageStyle
from ..vision import VisionProfile


class FormError(GlyphError, ValueError):
    """A request that says something this app does not understand."""


NUMBERS: dict[str, tuple[float, float]] = {
    "dpi": (36, 240),
    "width": (100, 1200),
    "height": (100, 1700),
    "margin_x": (0, 200),
    "margin_y": (0, 200),
    "font_size": (5, 48),
    "line_height": (5, 72),
    "horizontal_scale": (0.7, 1.3),
    "columns": (1, 4),
    "column_gap": (0, 100),
    "blank_height": (0.2, 1),
    "levels": (2, 16),
}
CHOICES: dict[str, tuple[str, ...]] = {
    "font": ("sans", "mono"),  # never a path: it would be opened
    "align": ("left", "right", "center", "justify"),
    "newline": ("auto", "keep", "reflow", "marked"),
    "label": ("", "number", "source"),
}
SWITCHES = ("line_numbers", "crop_width")
_WHOLE = ("dpi", "columns", "levels")
_PAPERS = {"light": (0, 255), "dark": (230, 24)}
_MAX_PIXELS = 16_000_000
_MOST_MARKS = 200


def presets() -> dict[str, dict[str, Any]]:
    """What each preset sets the controls to."""
    known = (*NUMBERS, *CHOICES, *SWITCHES)
    return {name: {**{k: asdict(style)[k] for k in known}, "paper": _paper(style)} for name, style in PRESETS.items()}


def _paper(style: PageStyle) -> str:
    return "dark" if style.background < 128 else "light"


def style_of(values: object) -> PageStyle:
    """The style that the controls describe: a preset, and what differs from it.

    Raises:
        StyleError: a value out of range, an impossible page, or one that would be too large a picture.
        FormError: an unknown control.
    """
    given = dict(mapping(values, "style"))
    style = PageStyle.preset(string(given.pop("preset", "glyph-72"), "preset"))
    changes: dict[str, Any] = {}
    for name, value in given.items():
        if name in NUMBERS:
            low, high = NUMBERS[name]
            if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
                raise StyleError(f"{name.replace('_', ' ')}: choose a number from {low:g} to {high:g}")
            changes[name] = int(value) if name in _WHOLE else value
        elif name in CHOICES:
            if value not in CHOICES[name]:
                raise StyleError(f"{name}: choose one of {', '.join(filter(None, CHOICES[name]))}")
            changes[name] = value
        elif name in SWITCHES:
            changes[name] = value is True
        elif name == "paper" and value in _PAPERS:
            if value != _paper(style):
                changes["color"], changes["background"] = _PAPERS[str(value)]
        else:
            raise FormError(f"unknown style control {name!r}")
    style = style.replace(**changes)
    if style.width * style.height * (style.dpi / 72) ** 2 > _MAX_PIXELS:
        raise StyleError("that page would be too large a picture; lower the dpi or the page size")
    return style


def family_of(values: Mapping[str, Any]) -> VisionProfile:
    """The model family whose tokens are counted.

    Raises:
        UnknownModelError: no such family.
    """
    return VisionProfile.get(string(values.get("family", "glyph"), "family", 100))


def mapping(value: object, name: str) -> Mapping[str, Any]:
    """An object, or FormError."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise FormError(f"{name}: expected an object")
    return value


def string(value: object, name: str, most: int = 10_000) -> str:
    """A text of at most so many characters, or FormError."""
    if not isinstance(value, str) or len(value) > most:
        raise FormError(f"{name}: expected a text of at most {most:,} characters")
    return value


def whole(value: object, name: str, low: int, high: int) -> int:
    """A whole number within bounds, also written as text, or FormError."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 10:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise FormError(f"{name}: expected a whole number from {low} to {high}")
    return value


def ids_of(values: Mapping[str, Any]) -> list[str] | None:
    """The documents that are meant; None: all."""
    ids = values.get("documents")
    if ids is None:
        return None
    if not isinstance(ids, list) or not all(isinstance(each, str) for each in ids):
        raise FormError("documents: expected a list of names")
    return ids


def marks_of(text: str) -> list[tuple[int, int]]:
    """Stretches of a page, at most 200, written as ``120-180,200-240``; or FormError."""
    if not re.fullmatch(r"(?:\d{1,9}-\d{1,9}(?:,\d{1,9}-\d{1,9})*)?", text, re.ASCII) or text.count("-") > _MOST_MARKS:
        raise FormError("marks: expected stretches such as 120-180,200-240")
    return [(int(a), int(b)) for a, b in (each.split("-") for each in text.split(",") if each)]
