"""What a page model gives back: an answer, whole or in chunks; and splitting a model's thinking off it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ..turns import ToolCall


class Usage(NamedTuple):
    """Tokens of one call, as the model or its server counted them."""

    input_tokens: int
    output_tokens: int

    @property
    def total_tokens(self) -> int:
        """Input and output together."""
        return self.input_tokens + self.output_tokens


@dataclass(frozen=True)
class Answer:
    """A model's answer.

    Attributes:
        text: the answer, without its reasoning.
        usage: tokens spent; None when the server does not say.
        stop_reason: ``stop``, ``length``, ``tool_calls`` or what else the server says.
        model: the name of the model that answered.
        tool_calls: tools the model wants called.
        reasoning: what stood in ``<think>…</think>``, or what the server sent as reasoning.
        raw: the server's own response object, if any.
    """

    text: str
    usage: Usage | None = None
    stop_reason: str = "stop"
    model: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    reasoning: str = ""
    raw: Any = field(default=None, compare=False, repr=False)

    @classmethod
    def from_chunks(cls, chunks: Iterable[AnswerChunk]) -> Answer:
        """The whole of a stream."""
        text, reasoning, last = [], [], AnswerChunk()
        for last in chunks:
            text.append(last.text)
            reasoning.append(last.reasoning)
        return cls(
            "".join(text), last.usage, last.stop_reason or "stop", last.model, last.tool_calls, "".join(reasoning), last.raw
        )


@dataclass(frozen=True)
class AnswerChunk:
    """A piece of a streamed answer. ``text`` and ``reasoning`` are what is new; ``usage``, ``stop_reason``, ``model`` and
    ``tool_calls`` (always whole) come on the last chunk only."""

    text: str = ""
    reasoning: str = ""
    usage: Usage | None = None
    stop_reason: str | None = None
    model: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    raw: Any = field(default=None, compare=False, repr=False)


_OPEN, _CLOSE = "<think>", "</think>"


def split_thinking(text: str) -> tuple[str, str]:
    """A whole answer as its reasoning and the rest. Chat templates may open ``<think>`` in the prompt, so that an answer has
    only its close."""
    head, close, tail = text.partition(_CLOSE)
    if not close and not head.lstrip().startswith(_OPEN):
        return "", text
    if close and _OPEN in head and not head.lstrip().startswith(_OPEN):
        return "", text
    return head.lstrip().removeprefix(_OPEN).strip(), tail.lstrip()


class ThinkingSplitter:
    """`split_thinking` for an answer that arrives piece by piece. Only a ``<think>`` at the very start is seen as one."""

    def __init__(self) -> None:
        self._state = "start"
        self._held = ""

    def feed(self, text: str) -> tuple[str, str]:
        """New reasoning and new answer text. What may be part of a mark is held back until the next call."""
        self._held += text
        reasoning = ""
        if self._state == "start":
            begun = self._held.lstrip()
            if _OPEN.startswith(begun):  # also when nothing came yet
                if begun == _OPEN:
                    self._state, self._held = "thinking", ""
                return "", ""
            if begun.startswith(_OPEN):
                self._state, self._held = "thinking", begun.removeprefix(_OPEN).lstrip()
            else:
                self._state = "answer"
        if self._state == "thinking":
            reasoning, close, rest = self._held.partition(_CLOSE)
            if not close:
                keep = next((n for n in range(len(_CLOSE) - 1, 0, -1) if reasoning.endswith(_CLOSE[:n])), 0)
                self._held = reasoning[len(reasoning) - keep :]
                return reasoning[: len(reasoning) - keep], ""
            self._state, self._held = "after", rest
        if self._state == "after":
            self._held = self._held.lstrip()
            if self._held:
                self._state = "answer"
        answer, self._held = self._held, ""
        return reasoning, answer

    def finish(self) -> tuple[str, str]:
        """What was still held back."""
        held, self._held = self._held, ""
        return (held, "") if self._state == "thinking" else ("", held)
