"""A page model behind any server that speaks the OpenAI chat protocol (vLLM, SGLang, llama.cpp, OpenAI itself)."""

from __future__ import annotations

import asyncio
import base64
import os
import weakref
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from ...errors import MissingExtraError, ModelError, UnknownModelError
from ...refusal import reason_of
from ...vision import VisionProfile
from ..placement import Gate
from ..turns import PagePart, Part, PicturePart, TextPart, ToolCall, Turn
from .addresses import image_address
from .answer import Answer, AnswerChunk, Usage
from .thinking import ThinkingSplitter, is_reasoning, split_thinking
from .transcription import turns_for

if TYPE_CHECKING:
    from ...rendering import Renderer


class OpenAIModel:
    """Sends pages as PNG data URLs, in user turns only, over the ``openai`` library.

    Args:
        model: the name the server knows the model by.
        base_url: e.g. ``http://127.0.0.1:8000/v1``. None: as the ``openai`` library decides (``OPENAI_BASE_URL``, else OpenAI).
        api_key: None: ``OPENAI_API_KEY``; a server given by ``base_url`` may need none.
        vision: the model's `VisionProfile` or its name. None: looked up by ``model``; if that is unknown, pages go as text.
        timeout: seconds to wait for the server, for the answer or for the next piece of a stream.
        max_retries: how often a failed request is repeated (connection errors, timeouts, 408, 409, 429 and 5xx).
        renderer: draws the pages (default ``Renderer()``).
        image_urls: pass on images that a message names by an address, for the server to fetch. By default that is refused: an
            address in a message may be one that only the server can reach, and should not.
        options: sent with every request (``temperature=0`` and so on).

    Raises:
        MissingExtraError: the ``openai`` library is not installed.
        UnknownModelError: ``vision`` names no known profile.
        ModelError: no API key; and from the reading methods, whenever the server fails: it names the server and what to do.

    A streamed answer whose chat template opened ``<think>`` in the prompt arrives with its thinking as text, since only the
    close of it is ever sent; `read` tells them apart.
    """

    def __init__(
        self,
        model: str,
        base_url: str | None = None,
        api_key: str | None = None,
        vision: VisionProfile | str | None = None,
        *,
        timeout: float = 600,
        max_retries: int = 2,
        renderer: Renderer | None = None,
        image_urls: bool = False,
        **options: Any,
    ) -> None:
        try:
            import openai
        except ImportError:
            raise MissingExtraError("openai", "openai") from None
        if vision is None:
            try:
                vision = VisionProfile.get(model)
            except UnknownModelError:
                vision = None
        self.name = model
        self.options = options
        self.image_urls = image_urls
        self._gate = Gate(vision, renderer)
        self._form = self._gate.profile.chat if self._gate.profile else None
        base_url = base_url or os.environ.get("OPENAI_BASE_URL")
        key = api_key or os.environ.get("OPENAI_API_KEY") or ("none" if base_url else None)
        self._settings: dict[str, Any] = {"base_url": base_url, "api_key": key, "timeout": timeout, "max_retries": max_retries}
        try:
            self._client: Any = openai.OpenAI(**self._settings)
        except openai.OpenAIError as error:
            raise ModelError(f"cannot reach a model: {error}") from error
        # an asynchronous client belongs to the event loop it was first used in
        self._async_clients: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Any] = weakref.WeakKeyDictionary()

    @property
    def vision(self) -> VisionProfile | None:
        """How the model counts images; None: pages are sent as text."""
        return self._gate.vision

    @property
    def base_url(self) -> str:
        """Where the server is."""
        return str(self._client.base_url).rstrip("/")

    def read(
        self,
        turns: Sequence[Turn],
        *,
        max_tokens: int | None = None,
        stop: Sequence[str] | None = None,
        tools: Sequence[dict[str, Any]] | None = None,
        **options: Any,
    ) -> Answer:
        """The server's answer to the turns.

        Raises:
            ModelError: the server cannot be reached, times out, refuses, or answers with something else than the protocol.
        """
        request = self._request(turns, max_tokens, stop, tools, options)
        try:
            completion = self._client.chat.completions.create(**request)
        except Exception as error:  # the library, its HTTP client and its JSON parser each raise their own
            raise self._error(error) from error
        return self._answer(completion)

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
        request = await asyncio.to_thread(self._request, turns, max_tokens, stop, tools, options)  # draws the pages
        try:
            completion = await self._async_client().chat.completions.create(**request)
        except Exception as error:
            raise self._error(error) from error
        return self._answer(completion)

    def stream(
        self,
        turns: Sequence[Turn],
        *,
        max_tokens: int | None = None,
        stop: Sequence[str] | None = None,
        tools: Sequence[dict[str, Any]] | None = None,
        **options: Any,
    ) -> Iterator[AnswerChunk]:
        """The answer as it is made; the last chunk carries usage, stop reason and tool calls.

        Raises:
            ModelError: as for `read`, and when the stream ends before the answer does.
        """
        request = self._stream_request(turns, max_tokens, stop, tools, options)
        reader = _StreamReader(self)
        response: Any = None
        try:
            try:
                response = self._client.chat.completions.create(**request)
                events = iter(reader.checked(response))
            except Exception as error:
                raise self._error(error) from error
            while True:
                try:
                    event = next(events, None)
                except Exception as error:
                    raise self._error(error) from error
                if event is None:
                    break
                if chunk := reader.read(event):
                    yield chunk
            yield reader.last()
        finally:
            if hasattr(response, "close"):
                response.close()

    async def astream(
        self,
        turns: Sequence[Turn],
        *,
        max_tokens: int | None = None,
        stop: Sequence[str] | None = None,
        tools: Sequence[dict[str, Any]] | None = None,
        **options: Any,
    ) -> AsyncIterator[AnswerChunk]:
        """`stream`, without blocking the event loop."""
        request = await asyncio.to_thread(self._stream_request, turns, max_tokens, stop, tools, options)
        reader = _StreamReader(self)
        response: Any = None
        try:
            try:
                response = await self._async_client().chat.completions.create(**request)
                events = aiter(reader.checked(response))
            except Exception as error:
                raise self._error(error) from error
            while True:
                try:
                    event = await anext(events, None)
                except Exception as error:
                    raise self._error(error) from error
                if event is None:
                    break
                if chunk := reader.read(event):
                    yield chunk
            yield reader.last()
        finally:
            if hasattr(response, "close"):
                await response.close()

    # -- the request ----------------------------------------------------------------------------------------------------

    def _request(
        self,
        turns: Sequence[Turn],
        max_tokens: int | None,
        stop: Sequence[str] | None,
        tools: Sequence[dict[str, Any]] | None,
        options: dict[str, Any],
    ) -> dict[str, Any]:
        request: dict[str, Any] = {"model": self.name, "messages": self._messages(turns), **self.options, **options}
        if max_tokens is not None:  # OpenAI's newer models refuse the old name, other servers may not know the new one
            request["max_completion_tokens" if "api.openai.com" in self.base_url else "max_tokens"] = max_tokens
        if stop:
            request["stop"] = list(stop)
        if tools:
            request["tools"] = list(tools)
        return request

    def _stream_request(self, *arguments: Any) -> dict[str, Any]:
        return {**self._request(*arguments), "stream": True, "stream_options": {"include_usage": True}}

    def _messages(self, turns: Sequence[Turn]) -> list[dict[str, Any]]:
        return [self._message(turn) for turn in turns_for(turns, self._gate, self.name)]

    def _message(self, turn: Turn) -> dict[str, Any]:
        parts = [p for p in turn.parts if not (turn.role == "assistant" and is_reasoning(p))]
        message: dict[str, Any] = {"role": turn.role}
        if all(isinstance(p, TextPart) for p in parts):
            message["content"] = turn.text or (None if turn.tool_calls else "")
        else:
            message["content"] = [self._content(p) for p in parts]
        if turn.tool_calls:
            message["tool_calls"] = [
                {"id": c.id, "type": "function", "function": {"name": c.name, "arguments": c.arguments}}
                for c in turn.tool_calls
            ]
        if turn.role == "tool":
            message["tool_call_id"] = turn.tool_call_id or ""
        elif turn.name:
            message["name"] = turn.name
        return message

    def _content(self, part: Part) -> dict[str, Any]:
        if isinstance(part, TextPart):
            return {"type": "text", "text": part.text}
        if isinstance(part, PagePart):
            return _data_url(self._gate.png(part), "image/png")
        if isinstance(part, PicturePart):
            return _data_url(part.data, part.media_type)
        if (address := image_address(part.value)) and not self.image_urls:
            raise ModelError(
                f"{self.base_url}: an image given by its address ({address}) is not sent; send its bytes or a data URL, or "
                "let the server fetch it with OpenAIModel(image_urls=True)"
            )
        if isinstance(part.value, dict) and "type" in part.value:
            return part.value
        raise ModelError(
            f"{self.base_url}: a part of type {type(part.value).__name__} cannot be sent to an OpenAI server; leave it out"
        )

    # -- the answer -----------------------------------------------------------------------------------------------------

    def _answer(self, completion: Any) -> Answer:
        choices = getattr(completion, "choices", None)
        if not isinstance(choices, list):
            raise self._not_protocol(completion)
        if not choices or getattr(choices[0], "message", None) is None:
            raise ModelError(
                f"{self.base_url} answered without any choices; check that it serves {self.name!r} as a chat model"
            )
        message = choices[0].message
        reasoning, text = split_thinking(message.content or "", self._form)
        calls = [
            (c.id, c.function.name, c.function.arguments) for c in message.tool_calls or () if getattr(c, "function", None)
        ]
        return Answer(
            text=text,
            usage=_usage(completion),
            stop_reason=choices[0].finish_reason or "stop",
            model=getattr(completion, "model", None) or self.name,
            tool_calls=tuple(ToolCall(*call) for call in calls),
            reasoning=_sent_reasoning(message) or reasoning,
            raw=completion,
        )

    def _not_protocol(self, response: object) -> ModelError:
        begin = " ".join(str(response).split())[:80]
        return ModelError(
            f"{self.base_url} did not answer as an OpenAI server does ({begin!r}); check the base URL (it usually ends in /v1)"
        )

    def _error(self, error: Exception) -> ModelError:
        import openai

        where = self.base_url
        if isinstance(error, ModelError):
            return error
        if isinstance(error, openai.APITimeoutError) or "timeout" in type(error).__name__.lower():
            seconds = self._settings["timeout"]
            return ModelError(f"{where} did not answer within {seconds:g} s; is it overloaded? A longer timeout= waits longer")
        if isinstance(error, openai.APIStatusError):
            advice = {
                401: "check the API key", 403: "check the API key",
                404: f"check the base URL (it usually ends in /v1) and the model name {self.name!r}",
                429: f"it limits the rate; try again {_wait_of(error)}",
                400: "it refused the request; fewer or smaller pages may fit, and a model without vision takes none",
                413: "the request is too large; send fewer pages",
            }.get(error.status_code, "look at the server's log")  # fmt: skip
            return ModelError(f"{where} answered {error.status_code}: {reason_of(error)}; {advice}")
        if isinstance(error, openai.APIConnectionError):
            cause = error.__cause__ or error
            return ModelError(f"{where} cannot be reached ({cause}); is the server running, and the base URL right?")
        if isinstance(error, ValueError):  # among them a JSONDecodeError
            return self._not_protocol(error)
        return ModelError(f"{where} failed while answering ({type(error).__name__}: {error}); look at the server's log")

    def _async_client(self) -> Any:
        import openai

        loop = asyncio.get_running_loop()
        if loop not in self._async_clients:
            self._async_clients[loop] = openai.AsyncOpenAI(**self._settings)
        return self._async_clients[loop]


class _StreamReader:
    """Gathers the events of one streamed answer."""

    def __init__(self, model: OpenAIModel) -> None:
        self._model = model
        self._thinking = ThinkingSplitter(model._form)
        self._calls: dict[int, list[str]] = {}
        self._usage: Usage | None = None
        self._stop_reason: str | None = None
        self._name = ""

    def checked(self, response: Any) -> Any:
        """The response, if it can be iterated as a stream of events."""
        if isinstance(response, str) or not (hasattr(response, "__iter__") or hasattr(response, "__aiter__")):
            raise self._model._not_protocol(response)
        return response

    def read(self, event: Any) -> AnswerChunk | None:
        """The chunk of one event; None when it has no text."""
        if isinstance(event, str) or not hasattr(event, "choices"):
            raise self._model._not_protocol(event)
        self._usage = _usage(event) or self._usage
        self._name = getattr(event, "model", None) or self._name
        if not event.choices:
            return None
        choice = event.choices[0]
        self._stop_reason = choice.finish_reason or self._stop_reason
        delta = choice.delta
        if delta is None:
            return None
        for call in delta.tool_calls or ():
            known = self._calls.setdefault(call.index, ["", "", ""])
            known[0] = call.id or known[0]
            if call.function:
                known[1] += call.function.name or ""
                known[2] += call.function.arguments or ""
        reasoning, text = self._thinking.feed(delta.content) if delta.content else ("", "")
        reasoning = _sent_reasoning(delta) + reasoning
        return AnswerChunk(text, reasoning, raw=event) if text or reasoning else None

    def last(self) -> AnswerChunk:
        """The closing chunk."""
        if self._stop_reason is None:
            where = self._model.base_url
            raise ModelError(f"{where} ended the stream before the answer was complete; look at the server's log")
        reasoning, text = self._thinking.finish()
        calls = tuple(ToolCall(*self._calls[i]) for i in sorted(self._calls))
        return AnswerChunk(text, reasoning, self._usage, self._stop_reason, self._name or self._model.name, calls)


def _wait_of(error: Any) -> str:
    """When a server that limits the rate says to come back."""
    wait = error.response.headers.get("retry-after", "")
    return f"in {wait} s" if wait.replace(".", "", 1).isdigit() else "later"


def _data_url(data: bytes, media_type: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": f"data:{media_type};base64,{base64.b64encode(data).decode('ascii')}"}}


def _usage(response: Any) -> Usage | None:
    usage = getattr(response, "usage", None)
    if usage is None:
        return None
    return Usage(getattr(usage, "prompt_tokens", 0) or 0, getattr(usage, "completion_tokens", 0) or 0)


def _sent_reasoning(message: Any) -> str:
    found = getattr(message, "reasoning_content", None) or getattr(message, "reasoning", None)
    return found if isinstance(found, str) else ""
