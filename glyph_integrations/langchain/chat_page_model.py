"""`ChatPageModel`: any page model as a LangChain chat model."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import LanguageModelInput
from langchain_core.language_models.base import LangSmithParams
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.messages.ai import UsageMetadata
from langchain_core.messages.tool import invalid_tool_call, tool_call, tool_call_chunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool

from ..reading import Answer, AnswerChunk, PageModel, Turn, Usage
from ..vision import VisionProfile
from .page_chat import PageChat


class ChatPageModel(PageChat):
    """A `PageModel` (`ExtractiveModel`, `OpenAIModel`, one of your own) behind LangChain's chat interface.

    Page tags in messages become pages. So do page images that this process drew; any other image goes to the model as a
    picture. Keywords of a call (``max_tokens``, ``temperature``, ...) go to the model.

    Raises:
        ModelError: when called: the model or its server failed.

    Example:
        ``(prompt | ChatPageModel(model=ExtractiveModel(vision="glyph"))).invoke({"context": documents, "question": "Who?"})``
    """

    model: PageModel
    """What reads the pages."""

    def _vision_profile(self) -> VisionProfile | None:
        return self.model.vision

    @property
    def _llm_type(self) -> str:
        return "page-model"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        settings = {key: value for key, value in vars(self.model).items() if not key.startswith("_")}
        described = {
            key: repr(value) for key, value in settings.items() if isinstance(value, str | int | float | Mapping | tuple | None)
        }
        base_url = getattr(self.model, "base_url", None)
        return {
            "model_name": self.model.name, "model": {"class": type(self.model).__name__, "base_url": base_url, **described},
            **super()._identifying_params,
        }  # fmt: skip

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        params = super()._get_ls_params(stop=stop, **kwargs)
        params["ls_provider"] = "glyph"
        params["ls_model_name"] = kwargs["model"] if isinstance(kwargs.get("model"), str) else self.model.name
        return params

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: str | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Describe tools to the model.

        Args:
            tools: functions, classes, `BaseTool` or JSON schemas.
            tool_choice: ``auto``, ``none``, ``any`` (one of them must be called) or a tool's name.
            kwargs: further keywords of every call.
        """
        described = [convert_to_openai_tool(tool) for tool in tools]
        choice: Any = "required" if tool_choice in ("any", True) else tool_choice
        if choice and choice in [tool["function"]["name"] for tool in described]:
            choice = {"type": "function", "function": {"name": choice}}
        return self.bind(tools=described, **({"tool_choice": choice} if choice else {}), **kwargs)

    def send(
        self, turns: list[Turn], stop: list[str] | None, run_manager: CallbackManagerForLLMRun | None, **kwargs: Any
    ) -> ChatResult:
        """The model's answer to turns that are ready to go."""
        return _result(self.model.read(turns, stop=stop, **kwargs))

    async def asend(
        self, turns: list[Turn], stop: list[str] | None, run_manager: AsyncCallbackManagerForLLMRun | None, **kwargs: Any
    ) -> ChatResult:
        """`send`, without blocking the event loop."""
        return _result(await self.model.aread(turns, stop=stop, **kwargs))

    def send_stream(
        self, turns: list[Turn], stop: list[str] | None, run_manager: CallbackManagerForLLMRun | None, **kwargs: Any
    ) -> Iterator[ChatGenerationChunk]:
        """`send` in chunks."""
        for piece in self.model.stream(turns, stop=stop, **kwargs):
            chunk = _chunk(piece)
            if run_manager:
                run_manager.on_llm_new_token(piece.text, chunk=chunk)
            yield chunk

    async def asend_stream(
        self, turns: list[Turn], stop: list[str] | None, run_manager: AsyncCallbackManagerForLLMRun | None, **kwargs: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        """`send_stream`, without blocking the event loop."""
        async for piece in self.model.astream(turns, stop=stop, **kwargs):
            chunk = _chunk(piece)
            if run_manager:
                await run_manager.on_llm_new_token(piece.text, chunk=chunk)
            yield chunk


def _result(answer: Answer) -> ChatResult:
    good, bad = [], []
    for call in answer.tool_calls:
        try:
            arguments = json.loads(call.arguments or "{}")
            if not isinstance(arguments, dict):
                raise ValueError("not an object")
            good.append(tool_call(name=call.name, args=arguments, id=call.id))
        except (ValueError, RecursionError) as error:
            bad.append(invalid_tool_call(name=call.name, args=call.arguments, id=call.id, error=str(error)))
    message = AIMessage(
        content=answer.text,
        tool_calls=good,
        invalid_tool_calls=bad,
        usage_metadata=_usage(answer.usage),
        additional_kwargs={"reasoning_content": answer.reasoning} if answer.reasoning else {},
        response_metadata={"model_name": answer.model, "finish_reason": answer.stop_reason},
    )
    return ChatResult(generations=[ChatGeneration(message=message)])


def _chunk(piece: AnswerChunk) -> ChatGenerationChunk:
    calls = [tool_call_chunk(name=c.name, args=c.arguments, id=c.id, index=i) for i, c in enumerate(piece.tool_calls)]
    metadata = {"model_name": piece.model, "finish_reason": piece.stop_reason}
    message = AIMessageChunk(
        content=piece.text,
        tool_call_chunks=calls,
        usage_metadata=_usage(piece.usage),
        additional_kwargs={"reasoning_content": piece.reasoning} if piece.reasoning else {},
        response_metadata={key: value for key, value in metadata.items() if value},
        chunk_position="last" if piece.stop_reason else None,
    )
    return ChatGenerationChunk(message=message)


def _usage(usage: Usage | None) -> UsageMetadata | None:
    if usage is None:
        return None
    return UsageMetadata(input_tokens=usage.input_tokens, output_tokens=usage.output_tokens, total_tokens=usage.total_tokens)
