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

from ..reading import Answer, AnswerChunk, PageModel, PagePart, Part, TextPart, Turn
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

    # -- the call: observers are told here, of pages by their labels, since a synthesizer of ours comes with turns -------

    def send(self, turns: list[Turn], **kwargs: Any) -> ChatResponse:
        """The model's answer to turns that are ready to go."""

        @llm_chat_callback()
        def read(llm: PageModelLLM, messages: Sequence[ChatMessage], **options: Any) -> ChatResponse:
            return _response(llm.model.read(turns, **options))

        response: ChatResponse = read(self, _described(turns), **self._options(kwargs))
        return response

    async def asend(self, turns: list[Turn], **kwargs: Any) -> ChatResponse:
        """`send`, without blocking the event loop."""

        @llm_chat_callback()
        async def read(llm: PageModelLLM, messages: Sequence[ChatMessage], **options: Any) -> ChatResponse:
            return _response(await llm.model.aread(turns, **options))

        response: ChatResponse = await read(self, _described(turns), **self._options(kwargs))
        return response

    def send_stream(self, turns: list[Turn], **kwargs: Any) -> Iterator[ChatResponse]:
        """`send` in chunks."""

        @llm_chat_callback()
        def read(llm: PageModelLLM, messages: Sequence[ChatMessage], **options: Any) -> ChatResponseGen:
            so_far = _SoFar()
            for chunk in llm.model.stream(turns, **options):
                yield so_far.plus(chunk)

        yield from read(self, _described(turns), **self._options(kwargs))

    async def asend_stream(self, turns: list[Turn], **kwargs: Any) -> AsyncIterator[ChatResponse]:
        """`send_stream`, without blocking the event loop."""

        @llm_chat_callback()
        async def read(llm: PageModelLLM, messages: Sequence[ChatMessage], **options: Any) -> ChatResponseAsyncGen:
            async def chunks() -> ChatResponseAsyncGen:
                so_far = _SoFar()
                async for chunk in llm.model.astream(turns, **options):
                    yield so_far.plus(chunk)

            return chunks()

        async for chunk in await read(self, _described(turns), **self._options(kwargs)):
            yield chunk

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


def _described(turns: Sequence[Turn]) -> list[ChatMessage]:
    """What observers are told was asked: pictures would be megabytes."""

    def text(part: Part) -> str:
        if isinstance(part, PagePart):
            return f"[{part.page.label} as an image]"
        return part.text if isinstance(part, TextPart) else f"[{type(part).__name__}]"

    return [ChatMessage(role=MessageRole(turn.role), content="\n\n".join(map(text, turn.parts))) for turn in turns]


def _response(answer: Answer) -> ChatResponse:
    thinking: list[ContentBlock] = [ThinkingBlock(content=answer.reasoning)] if answer.reasoning else []
    message = ChatMessage(role=MessageRole.ASSISTANT, blocks=[*thinking, TextBlock(text=answer.text)])
    values: dict[str, Any] = {key: v for key in ("model", "stop_reason") if (v := getattr(answer, key))}
    if answer.usage:  # the names under which LlamaIndex counts tokens
        values["prompt_tokens"], values["completion_tokens"] = answer.usage[:2]
        values["total_tokens"] = answer.usage.total_tokens
    return ChatResponse(message=message, raw=answer.raw, additional_kwargs=values)
