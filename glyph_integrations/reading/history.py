"""Which old exchanges of a conversation are drawn as pages, and where they are cut."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import NamedTuple

from .turns import Turn

_SPEAKERS = {"user": "User", "assistant": "Assistant", "tool": "Tool result"}
_KEPT = 2  # exchanges that stay as they are: the question's, and the one before it


class Stretch(NamedTuple):
    """Turns ``first`` up to ``last`` (exclusive) of a conversation, and what was said in them."""

    first: int
    last: int
    text: str


def old_stretches(turns: Sequence[Turn], plain: Sequence[bool], least: int, count: Callable[[str], int]) -> list[Stretch]:
    """The stretches of a conversation that are old and long enough to be drawn.

    An exchange is a user's turn and all up to the next one. Exchanges gather from the beginning, and whenever they come to
    ``least`` tokens they make a stretch; where a stretch ends depends on nothing after it. An exchange with anything but text
    in it (pages, pictures, opaque parts), with a system turn, or of examples (turns named ``example...``) stays as it is,
    and so do those gathered before it that are too short for a stretch.

    Args:
        turns: the conversation.
        plain: of each turn, whether it holds text only.
        least: tokens of a stretch.
        count: tokens of a text.
    """
    starts = [i for i, turn in enumerate(turns) if turn.role == "user"]
    found: list[Stretch] = []
    first, text = -1, ""
    for start, end in pairwise(starts[: 1 - _KEPT]):  # the last one drawn ends where the first kept one begins
        exchange = range(start, end)
        if not all(plain[i] and turns[i].role in _SPEAKERS and not _is_example(turns[i]) for i in exchange):
            first, text = -1, ""
            continue
        first = start if first < 0 else first
        text += "".join(_said(turns[i]) for i in exchange)
        if count(text) >= least:
            found.append(Stretch(first, end, text))
            first, text = -1, ""
    return found


def _is_example(turn: Turn) -> bool:
    return (turn.name or "").startswith("example")


def _said(turn: Turn) -> str:
    said = [f"{_SPEAKERS[turn.role]}: {turn.text}"] if turn.text else []
    said += [f"Assistant called {call.name}({call.arguments})" for call in turn.tool_calls]
    return "".join(f"{line}\n\n" for line in said)
