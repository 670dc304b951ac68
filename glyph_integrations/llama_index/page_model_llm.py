"""`PageModelLLM`: any page model as a LlamaIndex LLM."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    ChatResponseAsyncGen,
    ChatResponseGen,
    ContentBlock,
    LLMMetadata,
    MessageRole,
    TextBlock,
    ThinkingBlock,
)
from llama_index.core.bridge.pydantic import Field
from llama_index.core.llms.callbacks import llm_chat_callback

from ..reading import Answer, AnswerChunk, PageModel, Turn
from ..vision import VisionProfile
from .page_llm import PageLLM

_UNKNOWN_WINDOW = 65_536  # LlamaIndex cannot do without a number, and cuts texts by it


class PageModelLLM(PageLLM):
    """A `PageModel` (`ExtractiveModel`, `OpenAIModel`, one of your own) behind LlamaIndex's LLM interface.

    Page tags in messages become pages. So do page images that this process drew, such as those of `PageImagePostprocessor`;
    any other inline image goes to the model as a picture. Keywords of a call (``max_tokens``, ``temperature``, ...) go to the
    model.

    Attributes:
        model: what reads the pages.
        context_window: tokens. None: that of the model's vision profile, or 65,536.
        max_tokens: most tokens of an answer; None: the model's own limit.

    Raises:
        ModelError: when called: the model or its server failed.
    """

    model: Any = Field(exclude=True, description="The PageModel.")
    context_window: int | None = Field(default=None, description="Tokens; None: that of the model's vision profile, or 65,536.")
    max_tokens: int | None = Field(default=None, description="Most tokens of an answer; None: the model's own limit.")

    def __init__(self, model: PageModel, **kwargs: Any) -> None:
        super().__init__(**{"model": model, **kwargs})

    @classmethod
    def class_name(cls) -> str:
        """Name in serialised form."""
        return "PageModelLLM"

    @property
    def metadata(self) -> LLMMetadata:
        """A chat model that calls no tools."""
        vision = self._vision_profile()
        window = self.context_window or (vision.context_window if vision else None) or _UNKNOWN_WINDOW
        metadata = LLMMetadata(context_window=window, is_chat_model=True, model_name=self.model.name)
        return metadata if self.max_tokens is None else metadata.model_copy(update={"num_output": self.max_tokens})

    def _vision_profile(self) -> VisionProfile | None:
        vision: VisionProfile | None = self.model.vision
        return vision

    @llm_chat_callback()
    def chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        """The answer to a conversation."""
        return super().chat(messages, **kwargs)

    @llm_chat_callback()
    async def achat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        """`chat`, without blocking the event loop."""
        return await super().achat(messages, **kwargs)

    @llm_chat_callback()
    def stream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseGen:
        """`chat` in chunks."""
        return super().stream_chat(messages, **kwargs)

    @llm_chat_callback()
    async def astream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseAsyncGen:
        """`stream_chat`, without blocking the event loop."""
        return await super().astream_chat(messages, **kwargs)

    def send(self, turns: list[Turn], **kwargs: Any) -> ChatResponse:
        """The model's answer to turns that are ready to go."""
        return _response(self.model.read(turns, **self._options(kwargs)))

    async def asend(self, turns: list[Turn], **kwargs: Any) -> ChatResponse:
        """`send`, without blocking the event loop."""
        return _response(await self.model.aread(turns, **self._options(kwargs)))

    def send_stream(self, turns: list[Turn], **kwargs: Any) -> Iterator[ChatResponse]:
        """`send` in chunks."""
        so_far = _SoFar()
        for chunk in self.model.stream(turns, **self._options(kwargs)):
            yield so_far.plus(chunk)

    async def asend_stream(self, turns: list[Turn], **kwargs: Any) -> AsyncIterator[ChatResponse]:
        """`send_stream`, without blocking the event loop."""
        so_far = _SoFar()
        async for chunk in self.model.astream(turns, **self._options(kwargs)):
            yield so_far.plus(chunk)

    def _options(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        return kwargs if self.max_tokens is None else {"max_tokens": self.max_tokens, **kwargs}


class _SoFar:
    """LlamaIndex's chunks repeat all that came before."""

    def __init__(self) -> None:
        self.text = self.reasoning = ""

    def plus(self, chunk: AnswerChunk) -> ChatResponse:
        self.text += chunk.text
        self.reasoning += chunk.reasoning
        answer = Answer(self.text, chunk.usage, chunk.stop_reason or "", chunk.model, reasoning=self.reasoning, raw=chunk.raw)
        return _response(answer).model_copy(update={"delta": chunk.text})


def _response(answer: Answer) -> ChatResponse:
    thinking: list[ContentBlock] = [ThinkingBlock(content=answer.reasoning)] if answer.reasoning else []
    message = ChatMessage(role=MessageRole.ASSISTANT, blocks=[*thinking, TextBlock(text=answer.text)])
    values: dict[str, Any] = {key: v for key in ("model", "stop_reason") if (v := getattr(answer, key))}
    if answer.usage:  # the names under which LlamaIndex counts tokens
        values["prompt_tokens"], values["completion_tokens"] = answer.usage
        values["total_tokens"] = answer.usage.total_tokens
    return ChatResponse(message=message, raw=answer.raw, additional_kwargs=values)
