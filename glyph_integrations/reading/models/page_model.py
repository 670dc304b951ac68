"""The protocol of everything that can read turns."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any, Protocol, runtime_checkable

from ...vision import VisionProfile
from ..turns import Turn
from .answer import Answer, AnswerChunk


@runtime_checkable
class PageModel(Protocol):
    """A model that reads turns with pages.

    ``tools`` are JSON-schema descriptions as the OpenAI protocol has them (``{"type": "function", "function": {...}}``).
    ``options`` are the model's own (temperature, tool_choice, response_format, ...); a model ignores those it does not have.
    Every method raises `ModelError` when the model or its server fails.
    """

    @property
    def name(self) -> str:
        """The model's name, for metadata and cache keys."""

    @property
    def vision(self) -> VisionProfile | None:
        """How the model counts images; None: it takes none, and pages are to be sent as text."""

    def read(
        self,
        turns: Sequence[Turn],
        *,
        max_tokens: int | None = None,
        stop: Sequence[str] | None = None,
        tools: Sequence[dict[str, Any]] | None = None,
        **options: Any,
    ) -> Answer:
        """The answer to the last turn."""

    async def aread(
        self,
        turns: Sequence[Turn],
        *,
        max_tokens: int | None = None,
        stop: Sequence[str] | None = None,
        tools: Sequence[dict[str, Any]] | None = None,
        **options: Any,
    ) -> Answer:
        """`read`, without blocking the event loop."""

    def stream(
        self,
        turns: Sequence[Turn],
        *,
        max_tokens: int | None = None,
        stop: Sequence[str] | None = None,
        tools: Sequence[dict[str, Any]] | None = None,
        **options: Any,
    ) -> Iterator[AnswerChunk]:
        """The answer as it is made; the last chunk carries usage, stop reason and tool calls."""

    def astream(
        self,
        turns: Sequence[Turn],
        *,
        max_tokens: int | None = None,
        stop: Sequence[str] | None = None,
        tools: Sequence[dict[str, Any]] | None = None,
        **options: Any,
    ) -> AsyncIterator[AnswerChunk]:
        """`stream`, without blocking the event loop."""
