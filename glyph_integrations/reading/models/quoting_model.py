"""What the models that answer by quoting share: reading and streaming, sync and async."""

from __future__ import annotations

import asyncio
import re
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

from ...vision import VisionProfile
from ..placement import Gate
from ..turns import PagePart, PicturePart, Turn
from .answer import Answer, AnswerChunk, Usage


class QuotingModel(ABC):
    """A `PageModel` whose whole answer is known at once. It has no options and calls no tools."""

    name: str

    def __init__(self, gate: Gate, quotes: int) -> None:
        self._gate = gate
        self.quotes = quotes

    @abstractmethod
    def _answer(self, turns: Sequence[Turn]) -> str: ...

    @property
    def vision(self) -> VisionProfile | None:
        """The profile of the model it stands in for."""
        return self._gate.vision

    def read(
        self,
        turns: Sequence[Turn],
        *,
        max_tokens: int | None = None,
        stop: Sequence[str] | None = None,
        tools: Sequence[dict[str, Any]] | None = None,
        **options: Any,
    ) -> Answer:
        """Quotations from what the turns hold that bear on the last question."""
        text, stop_reason = self._cut(self._answer(turns), max_tokens, stop or ())
        return Answer(text, self._usage(turns, text), stop_reason, self.name)

    async def aread(self, turns: Sequence[Turn], **options: Any) -> Answer:
        """`read`, without blocking the event loop."""
        return await asyncio.to_thread(self.read, turns, **options)

    def stream(self, turns: Sequence[Turn], **options: Any) -> Iterator[AnswerChunk]:
        """The answer of `read` word by word, once all is read."""
        yield from _chunks(self.read(turns, **options))

    async def astream(self, turns: Sequence[Turn], **options: Any) -> AsyncIterator[AnswerChunk]:
        """`stream`, without blocking the event loop."""
        for chunk in _chunks(await self.aread(turns, **options)):
            yield chunk

    def _cut(self, text: str, max_tokens: int | None, stop: Sequence[str]) -> tuple[str, str]:
        """An answer up to its limit, and why it ends there (``stop`` or ``length``)."""
        ends = [at for at in (text.find(s) for s in stop if s) if at >= 0]
        text = text[: min(ends)] if ends else text
        if max_tokens is None or self._gate.count_text(text) <= max_tokens:
            return text, "stop"
        while text and self._gate.count_text(text) > max_tokens:
            text = text[: min(len(text) - 1, len(text) * 9 // 10)]
        return text.rstrip(), "length"

    def _usage(self, turns: Sequence[Turn], answer: str) -> Usage:
        """What an answer to these turns costs the model that the gate counts for."""
        parts = [part for turn in turns for part in turn.parts]
        images = self._gate.count(part for part in parts if isinstance(part, PagePart | PicturePart))
        return Usage(self._gate.count(parts) + self._gate.overhead(turns), self._gate.count_text(answer), images)


def _chunks(answer: Answer) -> Iterator[AnswerChunk]:
    for word in re.findall(r"\s*\S+|\s+$", answer.text):
        yield AnswerChunk(word)
    yield AnswerChunk(usage=answer.usage, stop_reason=answer.stop_reason, model=answer.model)
