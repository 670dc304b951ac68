"""`ChatGlyph`: a vision chat model that is shown pages where its messages hold page tags."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Self

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.language_models.base import LangSmithParams
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable, RunnableParallel, RunnableSequence, run_in_executor
from langchain_core.runnables.base import RunnableBinding
from langchain_core.runnables.fallbacks import RunnableWithFallbacks
from langchain_core.runnables.passthrough import RunnableAssign
from langchain_core.tools import BaseTool
from pydantic import PrivateAttr

from ..errors import UnknownModelError
from ..reading import OpenAIModel, PageModel, TransformersModel, Turn
from ..vision import VisionProfile
from .chat_page_model import ChatPageModel
from .messages import to_messages
from .page_chat import PageChat

_log = logging.getLogger("glyph_integrations")

# fields that only the model that is called, this one, is asked for
_INHERITED = (
    "cache", "callbacks", "tags", "metadata", "rate_limiter", "disable_streaming", "output_version", "verbose", "profile",
)  # fmt: skip
_NOT_SENT = ("ls_structured_output_format", "structured_output_format")  # for tracing only


class ChatGlyph(PageChat):
    """Wraps any vision chat model: ``ChatGlyph(llm=ChatOpenAI(...))`` in place of ``ChatOpenAI(...)``.

    Page tags in the messages, such as `GlyphRetriever` writes, go to the model as page images where that costs less than their
    text. Images stand in user turns only: pages of a system message open the next one, pages of tool results follow the last
    of them. The answer is not altered; what was sent and the checked citations are in ``response_metadata["glyph"]`` (in a
    stream on the last chunk); see `citations_of`.

    The wrapped model is called within this model's run, so callbacks see each event and token once, and traces hold the
    tags, not the images. Tools and structured output are the wrapped model's own.

    Raises:
        UnknownModelError: ``vision`` names no known profile.
        TypeError: ``llm`` is no chat model.
        BudgetError: when called: the text alone exceeds ``budget``.

    Example:
        ``chain = prompt | ChatGlyph(llm=ChatOpenAI(base_url="http://127.0.0.1:8000/v1", model="zai-org/Glyph"))``
    """

    llm: Runnable[Any, Any]
    """A chat model, or a binding of one (``model.bind(...)``, ``model.with_config(...)``)."""
    vision: VisionProfile | str | None = None
    """How the model counts images: a profile or a model's name. None: known by the model's name; where that is unknown,
    or the model says that it takes no images, pages go as text."""

    _inner: BaseChatModel = PrivateAttr()
    _bound: dict[str, Any] = PrivateAttr(default_factory=dict)

    def model_post_init(self, context: Any, /) -> None:
        """Unwrap the model and find its vision profile."""
        inner: Runnable[Any, Any] = self.llm
        bound: dict[str, Any] = {}
        configs = []
        while isinstance(inner, RunnableBinding):
            bound = {**inner.kwargs, **bound}
            configs.append(inner.config)
            inner = inner.bound
        if not isinstance(inner, BaseChatModel):
            raise TypeError(
                f"ChatGlyph(llm=...): expected a LangChain chat model, not {type(inner).__name__}; what wraps a model, such as "
                "with_retry() and with_fallbacks(), goes around ChatGlyph"
            )
        self._inner, self._bound = inner, bound
        given = set(self.model_fields_set)
        for name in _INHERITED:
            if name not in given:
                setattr(self, name, getattr(inner, name))
        for config in reversed(configs):
            self.tags = [*(self.tags or []), *config.get("tags", [])] or None
            self.metadata = {**(self.metadata or {}), **config.get("metadata", {})} or None
            if "callbacks" not in given and config.get("callbacks"):
                self.callbacks = config["callbacks"]
        super().model_post_init(context)

    @classmethod
    def from_pretrained(cls, model: str, **settings: Any) -> Self:
        """A local model that sees pages: ``ChatGlyph.from_pretrained("zai-org/Glyph")``.

        Args:
            model: a repository id or a folder.
            settings: fields of this class; all others, and ``vision``, are settings of `TransformersModel`.

        Raises:
            MissingExtraError, ModelError: as for `TransformersModel`.
        """
        return cls._around(partial(TransformersModel, model), settings)

    @classmethod
    def from_server(cls, base_url: str, model: str, **settings: Any) -> Self:
        """A model behind an OpenAI-compatible server: ``ChatGlyph.from_server("http://127.0.0.1:8000/v1", "zai-org/Glyph")``.

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
        return cls(llm=ChatPageModel(model=make(**others)), **own)

    def _vision_profile(self) -> VisionProfile | None:
        inner = self._inner
        if self.vision is not None:
            return VisionProfile.get(self.vision)
        if isinstance(inner, PageChat):
            return inner._vision_profile()
        if inner.profile and inner.profile.get("image_inputs") is False:
            return None
        names = [getattr(inner, key, None) for key in ("model_name", "model", "model_id", "deployment_name")]
        for name in names:
            if isinstance(name, str):
                try:
                    return VisionProfile.get(name)
                except UnknownModelError:
                    continue
        known_as = next((name for name in names if name), "")
        _log.warning("no vision profile for %s %s: pages go as text; see ChatGlyph(vision=...)", type(inner).__name__, known_as)
        return None

    @property
    def _llm_type(self) -> str:
        return "chat-glyph"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        inner = {**self._inner._get_invocation_params(), **self._bound}
        return {"llm": {key: str(inner[key]) for key in sorted(inner)}, **super()._identifying_params}

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        stop, kwargs = self._arguments(stop, kwargs)
        return self._inner._get_ls_params(stop=stop, **kwargs)

    def _combine_llm_outputs(self, llm_outputs: list[dict[str, Any] | None]) -> dict[str, Any]:
        return self._inner._combine_llm_outputs(llm_outputs)

    # -- tools and structured output ------------------------------------------------------------------------------------

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: str | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """The wrapped model's ``bind_tools``, bound to this model."""
        if tool_choice is not None:
            kwargs["tool_choice"] = tool_choice
        return self._rebound(self._inner.bind_tools(tools, **kwargs))

    def with_structured_output(
        self, schema: dict[str, Any] | type, *, include_raw: bool = False, **kwargs: Any
    ) -> Runnable[LanguageModelInput, Any]:
        """The wrapped model's ``with_structured_output``, through this model."""
        return self._rebound(self._inner.with_structured_output(schema, include_raw=include_raw, **kwargs))

    def _rebound(self, runnable: Runnable[Any, Any]) -> Runnable[Any, Any]:
        """A runnable with this model in place of the wrapped one."""
        if isinstance(runnable, BaseChatModel):
            same = runnable is self._inner
            return self if same else type(self)(**{**{f: getattr(self, f) for f in self.model_fields_set}, "llm": runnable})
        if isinstance(runnable, RunnableBinding):
            return runnable.model_copy(update={"bound": self._rebound(runnable.bound)})
        if isinstance(runnable, RunnableSequence):
            return RunnableSequence(*map(self._rebound, runnable.steps), name=runnable.name)
        if isinstance(runnable, RunnableParallel):
            return RunnableParallel({key: self._rebound(step) for key, step in runnable.steps__.items()})
        if isinstance(runnable, RunnableAssign):
            return RunnableAssign(RunnableParallel({key: self._rebound(step) for key, step in runnable.mapper.steps__.items()}))
        if isinstance(runnable, RunnableWithFallbacks):
            fallbacks = [self._rebound(fallback) for fallback in runnable.fallbacks]
            return runnable.model_copy(update={"runnable": self._rebound(runnable.runnable), "fallbacks": fallbacks})
        return runnable

    # -- the call -------------------------------------------------------------------------------------------------------

    def _described(self, kwargs: Mapping[str, Any]) -> list[Any]:
        return super()._described({**self._bound, **kwargs})

    def send(
        self, turns: list[Turn], stop: list[str] | None, run_manager: CallbackManagerForLLMRun | None, **kwargs: Any
    ) -> ChatResult:
        """The wrapped model's answer. A page model is handed the pages themselves; any other their pictures."""
        stop, kwargs = self._arguments(stop, kwargs)
        if isinstance(self._inner, PageChat):
            return self._inner.send(turns, stop, run_manager, **kwargs)
        return self._inner._generate(self._messages(turns), stop=stop, run_manager=run_manager, **kwargs)

    async def asend(
        self, turns: list[Turn], stop: list[str] | None, run_manager: AsyncCallbackManagerForLLMRun | None, **kwargs: Any
    ) -> ChatResult:
        """`send`, without blocking the event loop."""
        stop, kwargs = self._arguments(stop, kwargs)
        if isinstance(self._inner, PageChat):
            return await self._inner.asend(turns, stop, run_manager, **kwargs)
        messages = await run_in_executor(None, self._messages, turns)
        return await self._inner._agenerate(messages, stop=stop, run_manager=run_manager, **kwargs)

    def send_stream(
        self, turns: list[Turn], stop: list[str] | None, run_manager: CallbackManagerForLLMRun | None, **kwargs: Any
    ) -> Iterator[ChatGenerationChunk]:
        """`send` in chunks; one chunk where the wrapped model cannot stream."""
        stop, kwargs = self._arguments(stop, kwargs)
        if isinstance(self._inner, PageChat):
            yield from self._inner.send_stream(turns, stop, run_manager, **kwargs)
        elif type(self._inner)._stream is BaseChatModel._stream:
            yield _as_chunk(self._inner._generate(self._messages(turns), stop=stop, run_manager=run_manager, **kwargs))
        else:
            yield from self._inner._stream(self._messages(turns), stop=stop, run_manager=run_manager, **kwargs)

    async def asend_stream(
        self, turns: list[Turn], stop: list[str] | None, run_manager: AsyncCallbackManagerForLLMRun | None, **kwargs: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        """`send_stream`, without blocking the event loop."""
        stop, kwargs = self._arguments(stop, kwargs)
        if isinstance(self._inner, PageChat):
            async for chunk in self._inner.asend_stream(turns, stop, run_manager, **kwargs):
                yield chunk
            return
        messages = await run_in_executor(None, self._messages, turns)
        kind = type(self._inner)
        if kind._stream is BaseChatModel._stream and kind._astream is BaseChatModel._astream:
            yield _as_chunk(await self._inner._agenerate(messages, stop=stop, run_manager=run_manager, **kwargs))
            return
        async for chunk in self._inner._astream(messages, stop=stop, run_manager=run_manager, **kwargs):
            yield chunk

    def _messages(self, turns: list[Turn]) -> list[BaseMessage]:
        return to_messages(turns, self._prompt.png)

    def _arguments(self, stop: list[str] | None, kwargs: dict[str, Any]) -> tuple[list[str] | None, dict[str, Any]]:
        merged = {key: value for key, value in {**self._bound, **kwargs}.items() if key not in _NOT_SENT}
        bound_stop = merged.pop("stop", None)
        return stop if stop is not None else bound_stop, merged


def _as_chunk(result: ChatResult) -> ChatGenerationChunk:
    generation = result.generations[0]
    values = generation.message.model_dump(exclude={"type"})
    message = AIMessageChunk(**values, chunk_position="last")
    return ChatGenerationChunk(message=message, generation_info=generation.generation_info)
