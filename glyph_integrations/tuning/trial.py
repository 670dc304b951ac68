"""A style that was scored, and what a set of them amounts to: the front, its volume, and the one to choose."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ..style import PageStyle
from .evaluator import Score


@dataclass(frozen=True)
class Trial:
    """A style and its two figures, of which less is better.

    Attributes:
        number: in the order of the search, from 0.
        style: what was drawn.
        tokens: visual tokens for 1,000 characters, over whole pages.
        score: what the evaluator found; error 1 where it failed.
        origin: ``start`` (a preset that the search began with), ``random``, ``searched`` (by what those before taught) or
            ``advised``.
        failure: what the evaluator said when it failed; empty if it did not.
    """

    number: int
    style: PageStyle
    tokens: float
    score: Score
    origin: str
    failure: str = ""

    @property
    def error(self) -> float:
        """How badly it was read: 0 to 1."""
        return self.score.error

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it; the style as a short string and in full."""
        return {
            "number": self.number,
            "style": str(self.style),
            "tokens_per_1000": round(self.tokens, 2),
            "error": self.error,
            "standard_error": self.score.standard_error,
            "origin": self.origin,
            "failure": self.failure,
            "detail": self.score.detail,
            "knobs": asdict(self.style),
        }


def pareto_front(trials: Iterable[Trial]) -> list[Trial]:
    """The trials that no other beats in one figure without being worse in the other, the cheapest first; failed ones are
    left out, and of equal ones the first is kept."""
    front: list[Trial] = []
    for trial in sorted((t for t in trials if not t.failure), key=lambda t: (t.tokens, t.error, t.number)):
        if not front or trial.error < front[-1].error:
            front.append(trial)
    return front


def hypervolume(trials: Iterable[Trial], tokens: float, error: float) -> float:
    """The share of the rectangle from (0, 0) to (``tokens``, ``error``) that the trials beat: 0 to 1 (Zitzler and Thiele,
    1998). More is better; it grows with every point added to the front."""
    volume, last = 0.0, error
    for trial in pareto_front(trials):
        if trial.tokens < tokens and trial.error < last:
            volume += (tokens - trial.tokens) * (last - trial.error)
            last = trial.error
    return volume / (tokens * error)


def choose(trials: Sequence[Trial], most_error: float | None = None, tolerance: float = 0.01) -> Trial | None:
    """The cheapest trial that is read well enough.

    Args:
        trials: any; failed ones are never chosen.
        most_error: what is well enough. None: the least error of all, and ``tolerance`` more.
        tolerance: 0.01 is one character in a hundred.

    Returns:
        None where no trial is read so well.
    """
    front = pareto_front(trials)
    if not front:
        return None
    limit = front[-1].error + tolerance if most_error is None else most_error
    return next((trial for trial in front if trial.error <= limit), None)
