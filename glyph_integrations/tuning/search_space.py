"""Which styles a search may draw: the values of each of a style's knobs, as data."""
# ruff: noqa: RUF009 - a NamedTuple as a default is immutable

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import StyleError
from ..style import PageStyle

Value = int | float | str
_THEMES = {"light": (0, 255), "dark": (230, 24)}  # ink and paper


class Range(NamedTuple):
    """Numbers from ``low`` to ``high``, ``step`` apart."""

    low: float
    high: float
    step: float

    @property
    def values(self) -> tuple[Value, ...]:
        """All of them, rising; whole numbers as int."""
        count = math.floor((self.high - self.low) / self.step + 1e-9) + 1
        found = (round(self.low + self.step * n, 6) for n in range(count))
        return tuple(int(x) if x == int(x) else x for x in found)


Axis = Range | tuple[Value, ...]


@dataclass(frozen=True)
class SearchSpace:
    """The styles of a search: each axis is a `Range`, or a tuple of values. An axis of one value stands still.

    Attributes:
        dpi: as in `PageStyle`, and so are ``width``, ``height``, ``margin_x``, ``margin_y`` and ``font_size`` (points),
            ``horizontal_scale``, ``align``, ``columns``, ``newline`` and ``levels``.
        font: ``sans``, ``mono``, or paths of font files.
        leading: points between lines: the line height is the font size and this.
        theme: ``light`` (black on white) or ``dark`` (light grey on nearly black).
        base: everything else about the styles.

    Raises:
        StyleError: an axis without values, a range without steps, or a value that no style can have.
    """

    dpi: Axis = Range(60, 120, 12)
    width: Axis = Range(308, 1008, 28)
    height: Axis = Range(420, 1260, 84)
    margin_x: Axis = Range(0, 30, 5)
    margin_y: Axis = Range(0, 30, 5)
    font: Axis = ("sans", "mono")
    font_size: Axis = Range(6, 12, 0.5)
    leading: Axis = Range(0, 4, 0.5)
    horizontal_scale: Axis = Range(0.8, 1.1, 0.05)
    align: Axis = ("left", "justify")
    columns: Axis = (1, 2)
    newline: Axis = ("auto", "marked")
    levels: Axis = (2, 4, 6, 16)
    theme: Axis = ("light", "dark")
    base: PageStyle = field(default_factory=PageStyle)

    def __post_init__(self) -> None:
        for name, axis in self._given.items():
            if isinstance(axis, Range):
                if not (all(map(_is_number, axis)) and axis.step > 0 and axis.low <= axis.high):
                    raise StyleError(f"search space {name}: {tuple(axis)} is no range of low, high and step")
                if (axis.high - axis.low) / axis.step > 10_000:
                    raise StyleError(f"search space {name}: more than 10,000 steps from {axis.low:g} to {axis.high:g}")
            elif not isinstance(axis, tuple) or not axis:
                raise StyleError(f"search space {name}: give a range, or at least one value")
        for name, values in self.axes.items():
            for value in values:  # each value must do in a page with room for it
                self._style({**_ROOMY, name: value})

    @cached_property
    def axes(self) -> dict[str, tuple[Value, ...]]:
        """The values of each axis, in order."""
        return {name: axis.values if isinstance(axis, Range) else axis for name, axis in self._given.items()}

    @property
    def _given(self) -> dict[str, Axis]:
        return {name: getattr(self, name) for name in _AXES}

    @property
    def size(self) -> int:
        """How many combinations there are; a few of them may be impossible."""
        return math.prod(len(values) for values in self.axes.values())

    def is_ordered(self, name: str) -> bool:
        """Whether an axis is a range of numbers, and neighbours on it are alike."""
        return isinstance(getattr(self, name), Range)

    def style(self, values: Mapping[str, Value]) -> PageStyle:
        """The style of one value for each axis.

        Raises:
            StyleError: there is no such style: the values leave no room for a line.
        """
        return self._style(values)

    def _style(self, values: Mapping[str, Value]) -> PageStyle:
        changes: dict[str, Any] = dict(values)
        leading = changes.pop("leading")
        try:
            changes["line_height"] = changes["font_size"] + leading
            changes["color"], changes["background"] = _THEMES[changes.pop("theme")]
        except (KeyError, TypeError):
            raise StyleError(f"search space: no style has {dict(values)}; themes are {' and '.join(_THEMES)}") from None
        return self.base.replace(**changes)

    def nearest(self, style: PageStyle) -> dict[str, Value]:
        """The values that are nearest to a style's own; the first value where it has none of an axis's."""
        own = asdict(style) | {
            "leading": style.line_height - style.font_size,
            "theme": "light" if style.color < style.background else "dark",
        }
        return {name: _nearest(values, own[name]) for name, values in self.axes.items()}

    def read(self, proposal: Mapping[str, Any]) -> dict[str, Value]:
        """The values of a proposal from outside: numbers between an axis's bounds go to the nearest step.

        Raises:
            StyleError: an unknown axis, a value that is not on its axis, or no style at all; the message says which.
        """
        found: dict[str, Value] = {}
        for name, value in proposal.items():
            if name not in self.axes:
                raise StyleError(f"unknown axis {str(name)[:40]!r}")
            values = self.axes[name]
            numbers = [x for x in values if isinstance(x, int | float)]
            if not isinstance(value, bool) and value in values:
                found[name] = value
            elif not _is_number(value) or not numbers or not min(numbers) <= value <= max(numbers):
                raise StyleError(f"{name}={str(value)[:40]!r} is not on its axis")
            elif not self.is_ordered(name):
                raise StyleError(f"{name}={value!r} is none of {', '.join(map(str, values))}")
            else:
                found[name] = _nearest(values, value)
        if missing := [name for name in self.axes if name not in found]:
            raise StyleError(f"no value for {', '.join(missing)}")
        self.style(found)
        return found

    def fixed(self, names: frozenset[str]) -> SearchSpace:
        """This space with some axes standing still, at the values of `base`."""
        own = self.nearest(self.base)
        return SearchSpace(**{**self._given, **{name: (own[name],) for name in names}}, base=self.base)

    # -- as data --------------------------------------------------------------------------------------------------------

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it: a range is an object of low, high and step; ``base`` is a short style string."""
        axes = {name: axis._asdict() if isinstance(axis, Range) else list(axis) for name, axis in self._given.items()}
        return {**axes, "base": str(self.base)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> SearchSpace:
        """The inverse of `to_dict`; what is not given is as usual.

        Raises:
            StyleError: an unknown key, or an axis that is neither a range nor a list.
        """
        values = dict(data)
        given: dict[str, Any] = {}
        if "base" in values:
            given["base"] = PageStyle.parse(str(values.pop("base")))
        for name, axis in values.items():
            if name not in _AXES:
                raise StyleError(f"search space: unknown axis {str(name)[:40]!r}; known: {', '.join(_AXES)}")
            if isinstance(axis, Mapping):
                if set(axis) != set(Range._fields) or not all(map(_is_number, axis.values())):
                    raise StyleError(f"search space {name}: a range has numbers for low, high and step")
                given[name] = Range(**axis)
            elif isinstance(axis, list | tuple) and all(_is_number(x) or isinstance(x, str) for x in axis):
                given[name] = tuple(axis)
            else:
                raise StyleError(f"search space {name}: give a list of values, or an object with low, high and step")
        return cls(**given)

    @classmethod
    def load(cls, path: str | Path) -> SearchSpace:
        """A space from a JSON file; see `from_dict`.

        Raises:
            StyleError: the file is missing, not JSON, or no search space.
        """
        try:
            data = json.loads(Path(path).read_text(encoding="utf-8"))
        except OSError as error:
            raise StyleError(f"cannot read search space {path}: {error.strerror or error}") from error
        except (ValueError, RecursionError) as error:
            raise StyleError(f"{path} is not JSON: {error}") from error
        if not isinstance(data, dict):
            raise StyleError(f"{path}: expected a JSON object with axes")
        return cls.from_dict(data)


_AXES = tuple(f.name for f in fields(SearchSpace) if f.name != "base")
_ROOMY: dict[str, Value] = {
    "dpi": 72, "width": 10_000, "height": 10_000, "margin_x": 0, "margin_y": 0, "font": "sans", "font_size": 100, "leading": 0,
    "horizontal_scale": 1, "align": "left", "columns": 1, "newline": "auto", "levels": 6, "theme": "light",
}  # fmt: skip


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def _nearest(values: tuple[Value, ...], wanted: Any) -> Value:
    if wanted in values:
        return wanted  # type: ignore[no-any-return]
    numbers = [x for x in values if isinstance(x, int | float)]
    if not numbers or not _is_number(wanted):
        return values[0]
    return min(numbers, key=lambda x: abs(x - wanted))
