"""Chat models that others wrapped, as page models."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from typing import Any

from ...errors import GlyphError, ModelError
from ...vision import VisionProfile
from ..turns import Turn
from .answer import Answer, AnswerChunk


class AskedModel:
    """A `PageModel` that asks by calling a function, such as one around a framework's chat model. Options are not passed on,
    and a stream is the whole answer in one chunk.

    Args:
        name, vision: see `PageModel`.
        settings: what else decides its answers, for cache keys.
        ask, aask: turns to an answer, synchronously and not. Whatever they raise, if not an error of ours, is a `ModelError`.
    """

    def __init__(
        self,
        name: str,
        vision: VisionProfile | None,
        settings: str,
        ask: Callable[[Sequence[Turn]], Answer],
        aask: Callable[[Sequence[Turn]], Awaitable[Answer]],
    ) -> None:
        self.name, self.vision, self.settings = name, vision, settings
        self._ask, self._aask = ask, aask

    def read(self, turns: Sequence[Turn], **options: Any) -> Answer:
        """The answer."""
        try:
            return self._ask(turns)
        except GlyphError:
            raise
        except Exception as error:  # every provider's library raises its own
            raise self._failed(error) from error

    async def aread(self, turns: Sequence[Turn], **options: Any) -> Answer:
        """`read`, without blocking the event loop."""
        try:
            return await self._aask(turns)
        except GlyphError:
            raise
        except Exception as error:
            raise self._failed(error) from error

    def stream(self, turns: Sequence[Turn], **options: Any) -> Iterator[AnswerChunk]:
        """The answer of `read` in one chunk."""
        yield self._chunk(self.read(turns))

    async def astream(self, turns: Sequence[Turn], **options: Any) -> AsyncIterator[AnswerChunk]:
        """`stream`, without blocking the event loop."""
        yield self._chunk(await self.aread(turns))

    def _chunk(self, answer: Answer) -> AnswerChunk:
        return AnswerChunk(answer.text, usage=answer.usage, stop_reason=answer.stop_reason, model=self.name)

    def _failed(self, error: Exception) -> ModelError:
        return ModelError(f"{self.name}: {type(error).__name__}: {error}")
