"""A page model without weights: it answers by quoting the pages it is given."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

from ...vision import VisionProfile
from ..placement import Gate
from ..turns import PagePart, Turn
from .answer import Answer, AnswerChunk
from .quoting import chunks_of, cut, quotable_texts, quote, short_question, usage_of


class ExtractiveModel:
    """Answers by quoting the sentences that share most with the question, with their page: ``“...” (Page 57)``. A short
    sentence is quoted together with the next of its paragraph.

    It works on the pages' text, not on their pixels, and needs no weights: for trying pipelines offline, for tests, and as
    an honest fallback. It does not reason, calls no tools and has no options. It says "No answer found in the pages given."
    when nothing matches. White space in a quotation is collapsed, and quotation marks inside it become single ones.

    Args:
        vision: a `VisionProfile` or model name to stand in for, so that budgets and costs are those of a real model;
            None: pages are sent to it as text.
        quotes: most sentences quoted.

    Raises:
        UnknownModelError: no profile is known under the name ``vision``.
    """

    name = "extractive"

    def __init__(self, vision: VisionProfile | str | None = None, *, quotes: int = 2) -> None:
        self._gate = Gate(vision)
        self.quotes = quotes

    @property
    def vision(self) -> VisionProfile | None:
        """The profile it stands in for."""
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
        """Quotations from the pages and texts of the turns that bear on the last question."""
        text, stop_reason = cut(self._answer(turns), max_tokens, stop or (), self._gate)
        return Answer(text, usage_of(turns, text, self._gate), stop_reason, self.name)

    async def aread(
        self,
        turns: Sequence[Turn],
        *,
        max_tokens: int | None = None,
        stop: Sequence[str] | None = None,
        tools: Sequence[dict[str, Any]] | None = None,
        **options: Any,
    ) -> Answer:
        """`read`, which takes milliseconds."""
        return self.read(turns, max_tokens=max_tokens, stop=stop)

    def stream(
        self,
        turns: Sequence[Turn],
        *,
        max_tokens: int | None = None,
        stop: Sequence[str] | None = None,
        tools: Sequence[dict[str, Any]] | None = None,
        **options: Any,
    ) -> Iterator[AnswerChunk]:
        """The answer word by word."""
        yield from chunks_of(self.read(turns, max_tokens=max_tokens, stop=stop))

    async def astream(
        self,
        turns: Sequence[Turn],
        *,
        max_tokens: int | None = None,
        stop: Sequence[str] | None = None,
        tools: Sequence[dict[str, Any]] | None = None,
        **options: Any,
    ) -> AsyncIterator[AnswerChunk]:
        """The answer word by word."""
        for chunk in self.stream(turns, max_tokens=max_tokens, stop=stop):
            yield chunk

    def _answer(self, turns: Sequence[Turn]) -> str:
        question = short_question(turns)
        texts = quotable_texts(turns, question, lambda part: part.text if isinstance(part, PagePart) else None)
        return quote(question, texts, self.quotes)
