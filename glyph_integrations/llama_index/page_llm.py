"""`PageLLM`: what `GlyphLLM` and `PageModelLLM` share: messages in, pages to the model, answers checked."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any, Literal

from llama_index.core.base.llms.generic_utils import (
    achat_to_completion_decorator,
    astream_chat_to_completion_decorator,
    chat_to_completion_decorator,
    stream_chat_to_completion_decorator,
)
from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    ChatResponseAsyncGen,
    ChatResponseGen,
    CompletionResponse,
    CompletionResponseAsyncGen,
    CompletionResponseGen,
)
from llama_index.core.bridge.pydantic import Field
from llama_index.core.llms.llm import LLM

from ..reading import ContextReport, Limits, Prompt, Turn
from ..reading.results import answer_results, with_cite
from ..vision import VisionProfile
from .messages import to_turns

_FORMATTED = ("tools", "functions", "tool_choice", "response_format", "format", "response_schema")


class PageLLM(LLM):
    """An LLM that takes page tags, page images and long texts out of messages and gives its model pages instead.

    The answer is not altered; what was sent and the checked citations are in the response's ``additional_kwargs["glyph"]``
    (of a stream, the last chunk's); see `citations_of`.
    """

    pages: Any = Field(default=None, exclude=True, description="Where else page tags may be looked up: a PageIndex.")
    renderer: Any = Field(default=None, exclude=True, description="Measures and draws; default Renderer().")
    draw_text: Literal["tagged", "long"] = Field(default="tagged", description="'long': draw long user text and old exchanges.")
    min_tokens: int = Field(default=2000, description="See draw_text: of a text, and of exchanges drawn together.")
    budget: int | None = Field(default=None, description="Most tokens a prompt may cost, tools included; None: no limit.")
    limits: Limits = Field(default=Limits(), description="Of the server, in one request: images, bytes, pixels.")
    dpi: int | None = Field(default=None, description="Resolution of page images; None: what suits style and model.")
    cite: bool = Field(default=False, description="Ask, in one line, for quotations; not with tools or structure.")
    monitor: Any = Field(default=None, exclude=True, description="A QualityMonitor, which reads some of the pages back.")

    def model_post_init(self, context: Any, /) -> None:
        """Try the settings, so that a wrong one is an error now."""
        super().model_post_init(context)
        self._prompt()

    # -- what a kind of model does for itself ---------------------------------------------------------------------------

    @abstractmethod
    def _vision_profile(self) -> VisionProfile | None:
        """How the model counts images; None: it gets text."""

    @abstractmethod
    def send(self, turns: list[Turn], **kwargs: Any) -> ChatResponse:
        """The model's answer to turns that are ready to go."""

    @abstractmethod
    async def asend(self, turns: list[Turn], **kwargs: Any) -> ChatResponse:
        """`send`, without blocking the event loop."""

    @abstractmethod
    def send_stream(self, turns: list[Turn], **kwargs: Any) -> Iterator[ChatResponse]:
        """`send` in chunks."""

    @abstractmethod
    def asend_stream(self, turns: list[Turn], **kwargs: Any) -> AsyncIterator[ChatResponse]:
        """`send_stream`, without blocking the event loop."""

    # -- LLM ------------------------------------------------------------------------------------------------------------

    def chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        """The answer to a conversation."""
        turns, report = self._prepare(messages, kwargs)
        return self._checked(self.send(turns, **kwargs), report)

    async def achat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        """`chat`, without blocking the event loop."""
        turns, report = await asyncio.to_thread(self._prepare, messages, kwargs)
        response = await self.asend(turns, **kwargs)
        return await asyncio.to_thread(self._checked, response, report)

    def stream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseGen:
        """`chat` in chunks."""
        turns, report = self._prepare(messages, kwargs)

        def chunks() -> ChatResponseGen:
            last = None
            for chunk in self.send_stream(turns, **kwargs):
                if last:  # one chunk is held back: only the last may carry the results
                    yield last
                last = chunk
            if last:
                yield self._checked(last, report)

        return chunks()

    async def astream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseAsyncGen:
        """`stream_chat`, without blocking the event loop."""
        turns, report = await asyncio.to_thread(self._prepare, messages, kwargs)

        async def chunks() -> ChatResponseAsyncGen:
            last = None
            async for chunk in self.asend_stream(turns, **kwargs):
                if last:
                    yield last
                last = chunk
            if last:
                yield await asyncio.to_thread(self._checked, last, report)

        return chunks()

    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        """The answer to one user message."""
        return chat_to_completion_decorator(self.chat)(prompt, **kwargs)

    async def acomplete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        """`complete`, without blocking the event loop."""
        return await achat_to_completion_decorator(self.achat)(prompt, **kwargs)

    def stream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponseGen:
        """`complete` in chunks."""
        return stream_chat_to_completion_decorator(self.stream_chat)(prompt, **kwargs)

    async def astream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponseAsyncGen:
        """`stream_complete`, without blocking the event loop."""
        return await astream_chat_to_completion_decorator(self.astream_chat)(prompt, **kwargs)

    # -- turns in, results out ------------------------------------------------------------------------------------------

    def _prompt(self) -> Prompt:
        return Prompt(
            self._vision_profile(), self.renderer, pages=self.pages, draw_text=self.draw_text,
            min_tokens=self.min_tokens, budget=self.budget, dpi=self.dpi, limits=self.limits, monitor=self.monitor,
        )  # fmt: skip

    def _prepare(self, messages: Sequence[ChatMessage], kwargs: Mapping[str, Any]) -> tuple[list[Turn], ContextReport]:
        turns, described = to_turns(messages), [kwargs[key] for key in _FORMATTED if kwargs.get(key)]
        if self.cite and not described:
            asked, report = self._prompt().build(with_cite(turns))
            if report.pages:
                return asked, report
        return self._prompt().build(turns, described=described)

    def _checked(self, response: ChatResponse, report: ContextReport) -> ChatResponse:
        # not on the message: LlamaIndex writes a message's additional_kwargs into prompts made of chat history
        values = {**response.additional_kwargs, "glyph": answer_results(response.message.content or "", report, self.renderer)}
        return response.model_copy(update={"additional_kwargs": values})
