"""`GlyphLLM`: a vision LLM that is shown pages where its messages hold page tags."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator, Sequence
from functools import cache, partial
from typing import TYPE_CHECKING, Any, Self, TypeVar

from llama_index.core.base.llms.types import ChatMessage, ChatResponse, LLMMetadata
from llama_index.core.bridge.pydantic import BaseModel, Field, SerializeAsAny, field_serializer
from llama_index.core.llms.function_calling import FunctionCallingLLM
from llama_index.core.llms.llm import LLM, ToolSelection
from llama_index.core.prompts import BasePromptTemplate, ChatPromptTemplate

from ..errors import UnknownModelError
from ..reading import OpenAIModel, PageModel, TransformersModel, Turn
from ..vision import VisionProfile
from .messages import to_messages
from .page_llm import PageLLM
from .page_model_llm import PageModelLLM

if TYPE_CHECKING:
    from llama_index.core.tools import BaseTool

_log = logging.getLogger("glyph_integrations")
_Model = TypeVar("_Model", bound=BaseModel)


class GlyphLLM(PageLLM, FunctionCallingLLM):
    """Wraps any vision LLM: ``GlyphLLM(llm=OpenAILike(...))`` in place of ``OpenAILike(...)``.

    Page tags in the messages, and page images that this process drew, go to the model as page images where that costs less than
    their text. Images stand in user turns only: pages of a system message open the next one, pages of tool results follow the
    last of them. Events are the wrapped model's own, and so are tools and structured output.

    Attributes:
        llm: the model. It must be a chat model (``OpenAILike`` needs ``is_chat_model=True``).
        vision: how it counts images: a `VisionProfile` or a model's name. None: known by the model's name; where that is
            unknown, pages go as text.

    Raises:
        TypeError: ``llm`` is no chat model: it would drop images.
        UnknownModelError: ``vision`` names no known profile.
        BudgetError: when called: the text alone exceeds ``budget``.

    Example:
        ``GlyphLLM(llm=OpenAILike(model="zai-org/Glyph", api_base="http://127.0.0.1:8000/v1", is_chat_model=True))``
    """

    llm: SerializeAsAny[LLM]
    vision: Any = Field(default=None, description="A VisionProfile or a model's name; None: known by the model's name.")

    def model_post_init(self, context: Any, /) -> None:
        """Refuse a model that would drop images."""
        if not self.llm.metadata.is_chat_model:
            name = type(self.llm).__name__
            raise TypeError(f"{name} says it is no chat model, and would drop images; pass {name}(is_chat_model=True, ...)")
        super().model_post_init(context)

    @classmethod
    def from_pretrained(cls, model: str, **settings: Any) -> Self:
        """A local model that sees pages: ``GlyphLLM.from_pretrained("zai-org/Glyph")``.

        Args:
            model: a repository id or a folder.
            settings: fields of this class; all others, and ``vision``, are settings of `TransformersModel`.

        Raises:
            MissingExtraError, ModelError: as for `TransformersModel`.
        """
        return cls._around(partial(TransformersModel, model), settings)

    @classmethod
    def from_server(cls, base_url: str, model: str, **settings: Any) -> Self:
        """A model behind an OpenAI-compatible server: ``GlyphLLM.from_server("http://127.0.0.1:8000/v1", "zai-org/Glyph")``.

        Args:
            base_url, model: where the server is, and the name it knows the model by.
            settings: fields of this class; all others, and ``vision``, are settings of `OpenAIModel`.

        Raises:
            MissingExtraError, ModelError: as for `OpenAIModel`.
        """
        return cls._around(partial(OpenAIModel, model, base_url), settings)

    @classmethod
    def _around(cls, make: Callable[..., PageModel], settings: dict[str, Any]) -> Self:
        own = {key: value for key, value in settings.items() if key in cls.model_fields and key != "vision"}
        others = {key: value for key, value in settings.items() if key not in own or key == "renderer"}
        return cls(llm=PageModelLLM(make(**others)), **own)

    @field_serializer("vision")
    def _vision_name(self, vision: Any) -> Any:
        return vision.name if isinstance(vision, VisionProfile) else vision

    @classmethod
    def class_name(cls) -> str:
        """Name in serialised form."""
        return "GlyphLLM"

    @property
    def metadata(self) -> LLMMetadata:
        """That of the wrapped model."""
        metadata: LLMMetadata = self._inner.metadata
        return metadata

    @property
    def _inner(self) -> LLM:
        if self.callback_manager.handlers:  # events are the wrapped model's, so it needs whom to tell
            self.llm.callback_manager = self.callback_manager
        return self.llm

    def _vision_profile(self) -> VisionProfile | None:
        return VisionProfile.get(self.vision) if self.vision is not None else vision_of(self.llm)

    # -- the call -------------------------------------------------------------------------------------------------------

    def send(self, turns: list[Turn], **kwargs: Any) -> ChatResponse:
        """The wrapped model's answer. A page model is handed the pages themselves; any other their pictures."""
        if isinstance(self._inner, PageLLM):
            return self._inner.send(turns, **kwargs)
        return self._inner.chat(self._messages(turns), **kwargs)

    async def asend(self, turns: list[Turn], **kwargs: Any) -> ChatResponse:
        """`send`, without blocking the event loop."""
        if isinstance(self._inner, PageLLM):
            return await self._inner.asend(turns, **kwargs)
        return await self._inner.achat(await asyncio.to_thread(self._messages, turns), **kwargs)

    def send_stream(self, turns: list[Turn], **kwargs: Any) -> Iterator[ChatResponse]:
        """`send` in chunks."""
        if isinstance(self._inner, PageLLM):
            return self._inner.send_stream(turns, **kwargs)
        return self._inner.stream_chat(self._messages(turns), **kwargs)

    async def asend_stream(self, turns: list[Turn], **kwargs: Any) -> AsyncIterator[ChatResponse]:
        """`send_stream`, without blocking the event loop."""
        if isinstance(self._inner, PageLLM):
            chunks = self._inner.asend_stream(turns, **kwargs)
        else:
            chunks = await self._inner.astream_chat(await asyncio.to_thread(self._messages, turns), **kwargs)
        async for chunk in chunks:
            yield chunk

    def _messages(self, turns: Sequence[Turn]) -> list[ChatMessage]:
        return to_messages(turns, self._prompt().png)

    # -- tools ----------------------------------------------------------------------------------------------------------

    def _prepare_chat_with_tools(
        self,
        tools: Sequence[BaseTool],
        user_msg: str | ChatMessage | None = None,
        chat_history: list[ChatMessage] | None = None,
        verbose: bool = False,
        allow_parallel_tool_calls: bool = False,
        tool_required: bool = False,
        **kwargs: Any,
    ) -> dict[str, Any]:
        return self._tool_caller()._prepare_chat_with_tools_compat(
            tools, user_msg=user_msg, chat_history=list(chat_history or ()), verbose=verbose,
            allow_parallel_tool_calls=allow_parallel_tool_calls, tool_required=tool_required, **kwargs,
        )  # fmt: skip

    def _validate_chat_with_tools_response(
        self, response: ChatResponse, tools: Sequence[BaseTool], allow_parallel_tool_calls: bool = False, **kwargs: Any
    ) -> ChatResponse:
        return self._tool_caller()._validate_chat_with_tools_response(response, tools, allow_parallel_tool_calls, **kwargs)

    def get_tool_calls_from_response(
        self, response: ChatResponse, error_on_no_tool_call: bool = True, **kwargs: Any
    ) -> list[ToolSelection]:
        """The tool calls in a response of `chat_with_tools`."""
        return self._tool_caller().get_tool_calls_from_response(response, error_on_no_tool_call, **kwargs)

    def _tool_caller(self) -> FunctionCallingLLM:
        if not isinstance(self.llm, FunctionCallingLLM):
            raise TypeError(f"{type(self.llm).__name__} does not call tools")
        return self.llm

    # -- structured output ----------------------------------------------------------------------------------------------

    def structured_predict(
        self, output_cls: type[_Model], prompt: BasePromptTemplate, llm_kwargs: dict[str, Any] | None = None, **prompt_args: Any
    ) -> _Model:
        """The wrapped model's, after drawing."""
        predicted: _Model = self._inner.structured_predict(output_cls, self._drawn(prompt, prompt_args, output_cls), llm_kwargs)
        return predicted

    async def astructured_predict(
        self, output_cls: type[_Model], prompt: BasePromptTemplate, llm_kwargs: dict[str, Any] | None = None, **prompt_args: Any
    ) -> _Model:
        """The wrapped model's, after drawing."""
        drawn = await asyncio.to_thread(self._drawn, prompt, prompt_args, output_cls)
        predicted: _Model = await self._inner.astructured_predict(output_cls, drawn, llm_kwargs)
        return predicted

    def stream_structured_predict(
        self, output_cls: type[_Model], prompt: BasePromptTemplate, llm_kwargs: dict[str, Any] | None = None, **prompt_args: Any
    ) -> Generator[Any, None, None]:
        """The wrapped model's, after drawing."""
        return self._inner.stream_structured_predict(output_cls, self._drawn(prompt, prompt_args, output_cls), llm_kwargs)

    async def astream_structured_predict(
        self, output_cls: type[_Model], prompt: BasePromptTemplate, llm_kwargs: dict[str, Any] | None = None, **prompt_args: Any
    ) -> AsyncGenerator[Any, None]:
        """The wrapped model's, after drawing."""
        drawn = await asyncio.to_thread(self._drawn, prompt, prompt_args, output_cls)
        return await self._inner.astream_structured_predict(output_cls, drawn, llm_kwargs)

    def _drawn(
        self, prompt: BasePromptTemplate, prompt_args: dict[str, Any], output_cls: type[BaseModel]
    ) -> ChatPromptTemplate:
        messages = self._extend_messages(prompt.format_messages(llm=self, **prompt_args))
        turns, _ = self._prepare(messages, {"response_format": output_cls.model_json_schema()})
        return ChatPromptTemplate(message_templates=self._messages(turns))


def vision_of(llm: LLM) -> VisionProfile | None:
    """How an LLM counts images, known by the name of its model; None when that is unknown, which a warning says, once."""
    if isinstance(llm, PageLLM):
        return llm._vision_profile()
    try:
        return VisionProfile.get(llm.metadata.model_name)
    except UnknownModelError:
        _say_unknown(llm.metadata.model_name)
        return None


@cache
def _say_unknown(model: str) -> None:
    _log.warning("no vision profile for model %r: pages go as text; pass vision=...", model)
