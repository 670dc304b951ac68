"""What a page model gives back: an answer, whole or in chunks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ..turns import ToolCall


class Usage(NamedTuple):
    """Tokens of one call, as the model or its server counted them. Of the input, ``image_tokens`` came from pictures; None
    where that is not said."""

    input_tokens: int
    output_tokens: int
    image_tokens: int | None = None

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
