"""`PageChat`: what `ChatGlyph` and `ChatPageModel` share: messages in, pages to the model, answers checked."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from typing import Any, Literal, TypeVar, cast

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.messages.ai import InputTokenDetails, UsageMetadata
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables import run_in_executor
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import Field, PrivateAttr

from ..reading import ContextReport, Limits, Prompt, Turn
from ..reading.results import answer_results, with_cite
from ..rendering import Renderer
from ..vision import VisionProfile
from .messages import to_turns

_FORMATTED = ("tools", "functions", "tool_choice", "response_format", "format", "response_schema")
_Message = TypeVar("_Message", bound=BaseMessage)


class PageChat(BaseChatModel):
    """A chat model that takes page tags, page images and long texts out of messages and gives its model pages instead."""

    renderer: Renderer | None = None
    """Measures and draws; default ``Renderer()``."""
    pages: Any = None
    """Where page tags may be looked up besides the pages handed out by this process: a `PageIndex`, or a function from page id
    to page."""
    draw_text: Literal["tagged", "long"] = "tagged"
    """``tagged``: only tagged pages become images. ``long``: user text over ``min_tokens`` and old exchanges as well."""
    min_tokens: int = 2000
    """See ``draw_text``: of a user's text, and of the exchanges that are drawn together."""
    budget: int | None = None
    """Most tokens a prompt may cost, descriptions of tools and an estimate of the chat template included; None: no limit."""
    limits: Limits = Limits()
    """Of the server, in one request: images, bytes, pixels."""
    dpi: int | None = None
    """Resolution of page images; None: the page style's own, or the one recommended for the model if that is higher."""
    cite: bool = False
    """Ask the model, in one line of the system message, to quote with page numbers. Ignored with tools or structured output."""
    monitor: Any = Field(default=None, exclude=True, repr=False)
    """A `QualityMonitor`, which reads some of the pages back; default none."""

    _prompt: Prompt = PrivateAttr()

    def model_post_init(self, context: Any, /) -> None:
        """Make the prompt builder, so that a wrong setting is an error now."""
        super().model_post_init(context)
        self._prompt = Prompt(
            self._vision_profile(), self.renderer, pages=self.pages, draw_text=self.draw_text,
            min_tokens=self.min_tokens, budget=self.budget, dpi=self.dpi, limits=self.limits, monitor=self.monitor,
        )  # fmt: skip

    # -- what a kind of model does for itself ---------------------------------------------------------------------------

    @abstractmethod
    def _vision_profile(self) -> VisionProfile | None:
        """How the model counts images; None: it gets text."""

    @abstractmethod
    def send(
        self, turns: list[Turn], stop: list[str] | None, run_manager: CallbackManagerForLLMRun | None, **kwargs: Any
    ) -> ChatResult:
        """The model's answer to turns that are ready to go."""

    @abstractmethod
    async def asend(
        self, turns: list[Turn], stop: list[str] | None, run_manager: AsyncCallbackManagerForLLMRun | None, **kwargs: Any
    ) -> ChatResult:
        """`send`, without blocking the event loop."""

    @abstractmethod
    def send_stream(
        self, turns: list[Turn], stop: list[str] | None, run_manager: CallbackManagerForLLMRun | None, **kwargs: Any
    ) -> Iterator[ChatGenerationChunk]:
        """`send` in chunks."""

    @abstractmethod
    def asend_stream(
        self, turns: list[Turn], stop: list[str] | None, run_manager: AsyncCallbackManagerForLLMRun | None, **kwargs: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        """`send_stream`, without blocking the event loop."""

    # -- BaseChatModel --------------------------------------------------------------------------------------------------

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        turns, report = self._prepare(messages, kwargs)
        return self._checked(self.send(turns, stop, run_manager, **kwargs), report)

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        turns, report = await run_in_executor(None, self._prepare, messages, kwargs)
        result = await self.asend(turns, stop, run_manager, **kwargs)
        return await run_in_executor(None, self._checked, result, report)

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        turns, report = self._prepare(messages, kwargs)
        text, last = "", None
        for chunk in self.send_stream(turns, stop, run_manager, **kwargs):
            if last:  # one chunk is held back: only the last may carry the results
                yield last
            text, last = text + chunk.message.text, _counted(chunk, report)
        if last:
            yield self._with_results(last, text, report)

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        turns, report = await run_in_executor(None, self._prepare, messages, kwargs)
        text, last = "", None
        async for chunk in self.asend_stream(turns, stop, run_manager, **kwargs):
            if last:
                yield last
            text, last = text + chunk.message.text, _counted(chunk, report)
        if last:
            yield await run_in_executor(None, self._with_results, last, text, report)

    @property
    def _identifying_params(self) -> dict[str, Any]:
        vision, renderer = self._prompt.gate.vision, self.renderer
        return {
            "vision": repr(vision) if vision else None,
            "style": str(renderer.style) if renderer else None,
            "draw_text": self.draw_text,
            "min_tokens": self.min_tokens,
            "budget": self.budget,
            "limits": tuple(self.limits),
            "dpi": self.dpi,
            "cite": self.cite,
        }

    def get_num_tokens(self, text: str) -> int:
        """Tokens of a text; an estimate where the model's tokenizer is not at hand."""
        return self._prompt.gate.count_text(text)

    def get_num_tokens_from_messages(
        self, messages: list[BaseMessage], tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool] | None = None
    ) -> int:
        """Tokens of the request as it is sent, with pages as images, descriptions of the tools, and an estimate of the chat
        template."""
        described = [convert_to_openai_tool(tool) for tool in tools or ()]
        return self._prepare(messages, {"tools": described} if described else {}, sent=False)[1].tokens

    # -- turns in, results out ------------------------------------------------------------------------------------------

    def _described(self, kwargs: Mapping[str, Any]) -> list[Any]:
        """What a call with these keywords describes to the model: tools, a form of the answer."""
        return [kwargs[key] for key in _FORMATTED if kwargs.get(key)]

    def _prepare(
        self, messages: Sequence[BaseMessage], kwargs: Mapping[str, Any], sent: bool = True
    ) -> tuple[list[Turn], ContextReport]:
        turns, described = to_turns(messages), self._described(kwargs)
        if self.cite and not described:
            asked, report = self._prompt.build(with_cite(turns), sent=sent)
            if report.pages:
                return asked, report
        return self._prompt.build(turns, described=described, sent=sent)

    def _checked(self, result: ChatResult, report: ContextReport) -> ChatResult:
        generations = []
        for generation in result.generations:
            message = _with_usage(generation.message, report)
            metadata = {**message.response_metadata, "glyph": answer_results(message.text, report, self._prompt.gate.renderer)}
            message = message.model_copy(update={"response_metadata": metadata})
            generations.append(generation.model_copy(update={"message": message}))
        return ChatResult(generations=generations, llm_output=result.llm_output)

    def _with_results(self, chunk: ChatGenerationChunk, text: str, report: ContextReport) -> ChatGenerationChunk:
        metadata = {**chunk.message.response_metadata, "glyph": answer_results(text, report, self._prompt.gate.renderer)}
        message = chunk.message.model_copy(update={"response_metadata": metadata})
        return chunk.model_copy(update={"message": message})


def _counted(chunk: ChatGenerationChunk, report: ContextReport) -> ChatGenerationChunk:
    message = _with_usage(chunk.message, report)
    return chunk if message is chunk.message else chunk.model_copy(update={"message": message})


def _with_usage(message: _Message, report: ContextReport) -> _Message:
    """A message whose usage tells what pages cost as images, and what they would cost as text. Usages are added up by their
    fields, so sums over a session tell both, too."""
    if not isinstance(message, AIMessage | AIMessageChunk) or not message.usage_metadata or not report.images:
        return message
    usage: UsageMetadata = message.usage_metadata
    if not usage.get("input_tokens"):  # of a stream, only one chunk has them
        return message
    pages = {"page_images": report.image_tokens, "page_text_replaced": report.text_tokens_replaced}
    details = cast(InputTokenDetails, {**usage.get("input_token_details", {}), **pages})
    return message.model_copy(update={"usage_metadata": {**usage, "input_token_details": details}})
