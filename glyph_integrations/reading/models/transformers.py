"""A page model that runs here: a vision-language model of the transformers library."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from ...errors import ModelError, PictureSizeError
from ...vision import VisionProfile
from ..placement import Gate
from ..turns import Turn
from .answer import Answer, AnswerChunk
from .batch_queue import BatchQueue, Job
from .chat_prompt import ChatPrompt, ChatTemplate
from .checkpoint import SLACK, Checkpoint
from .generated_text import GeneratedText, TokenText, silent_tokens, token_ids
from .thinking import begins_thinking
from .transcription import turns_for

if TYPE_CHECKING:
    from ...rendering import Renderer

_log = logging.getLogger("glyph_integrations")
_SAMPLING = ("temperature", "top_p", "top_k", "min_p", "repetition_penalty", "min_tokens", "seed")
_OPTIONS = (*_SAMPLING, "chat_template_kwargs")


class TransformersModel:
    """Reads pages with a vision-language model in this process, on a GPU if there is one.

    Pages are drawn on the model's own grid and handed over as pixels. Answers are greedy unless a ``temperature`` is given.
    Calls from several threads are taken together: those that wait while the model is busy are read as one batch, within
    ``batch_size`` and ``max_pixels``. If the memory does not suffice, batches get smaller, which is logged.

    Args:
        model: a repository id, a local folder, or a loaded model of transformers.
        processor: its processor; needed with a loaded model. None: loaded with the model.
        vision: how the model counts images: a `VisionProfile` or a model's name. None: that of the known family the processor
            belongs to, if it counts as the processor does, else the processor's own.
        device: ``cuda``, ``cuda:1``, ``mps``, ``cpu``; None: the first of these there is. ``auto`` spreads a model over several
            (needs ``accelerate``).
        dtype: of the weights, such as ``bfloat16``. None: on CUDA ``bfloat16``, or ``float16`` where that is not supported; on
            MPS ``bfloat16``; on a CPU ``float32``.
        max_tokens: most tokens of an answer, reasoning included, if a call does not say.
        max_pixels: most pixels of a batch of several prompts. A prompt with more of them is read alone.
        batch_size: most prompts of a batch.
        renderer: draws the pages (default ``Renderer()``).
        load_options: for ``from_pretrained``: ``revision``, ``local_files_only``, ``trust_remote_code``,
            ``attn_implementation``, ``quantization_config`` and so on. Code of a repository is run only if told so here.
        options: for every call: ``temperature``, ``top_p``, ``top_k``, ``min_p``, ``repetition_penalty``, ``min_tokens``,
            ``seed`` (with a temperature), and ``chat_template_kwargs`` (such as ``{"enable_thinking": False}``).

    The reading methods take the same options. Stop strings end the answer before them, wherever they fall in tokens; they are
    not looked for in reasoning. Tools are not offered to the model; a warning says so. Usage counts the tokens of the prompt,
    of these the pictures', and of the answer, its reasoning and end included. A transcriber (DeepSeek-OCR) is sent one picture
    and its own instruction.

    Raises:
        MissingExtraError: torch, transformers or what the processor needs is not installed.
        ModelError: the model cannot be loaded, or is none that takes pictures and chats; and from the reading methods, when a
            prompt does not fit the context window or the memory, or the model fails.
        UnknownModelError: ``vision`` names no known profile.
        TypeError: an option that it does not know.
        ValueError: a limit below 1.
    """

    def __init__(
        self,
        model: Any,
        processor: Any = None,
        *,
        vision: VisionProfile | str | None = None,
        device: str | None = None,
        dtype: str | None = None,
        max_tokens: int = 4096,
        max_pixels: int = 16_000_000,
        batch_size: int = 8,
        renderer: Renderer | None = None,
        load_options: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> None:
        if unknown := sorted(set(options) - set(_OPTIONS)):
            raise TypeError(f"TransformersModel has no option {unknown[0]!r}; it has {', '.join(_OPTIONS)}")
        for key, value in (("max_tokens", max_tokens), ("max_pixels", max_pixels), ("batch_size", batch_size)):
            if value < 1:
                raise ValueError(f"{key}={value}: must be at least 1")
        self._checkpoint = checkpoint = Checkpoint.load(model, processor, device, dtype, load_options or {})
        self.name = checkpoint.name
        self.device, self.dtype = checkpoint.device, checkpoint.dtype
        self.max_tokens = max_tokens
        self.max_pixels = max_pixels
        self.batch_size = batch_size
        self.options = options
        self._gate = Gate(checkpoint.vision() if vision is None else vision, renderer)
        assert self._gate.profile is not None
        self._vision = self._gate.profile
        self._template = ChatTemplate(checkpoint.processor, self._vision.chat, self._gate.image)
        tokenizer = checkpoint.processor.tokenizer
        self._silent = silent_tokens(tokenizer, self._vision.chat)
        self._ends = checkpoint.end_tokens() | token_ids(tokenizer, self._vision.chat.stop_tokens)
        windows = [window for window in (checkpoint.context_window(), self._vision.context_window) if window]
        self._window = min(windows, default=None)
        self._queue = BatchQueue(checkpoint, self._generate, batch_size, max_pixels)
        self._warned: set[str] = set()

    @property
    def vision(self) -> VisionProfile | None:
        """How the model counts images; None where a calibration found that it cannot read pages."""
        return self._gate.vision

    @property
    def processor(self) -> Any:
        """The model's processor; its ``tokenizer`` counts text (`ContextBuilder`, `Prompt`)."""
        return self._checkpoint.processor

    # -- reading --------------------------------------------------------------------------------------------------------

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
        return self.read_many([turns], max_tokens=max_tokens, stop=stop, tools=tools, **options)[0]

    def read_many(
        self,
        conversations: Sequence[Sequence[Turn]],
        *,
        max_tokens: int | None = None,
        stop: Sequence[str] | None = None,
        tools: Sequence[dict[str, Any]] | None = None,
        **options: Any,
    ) -> list[Answer]:
        """The answers to several conversations, read in batches. With ``seed``, what is sampled depends on the batch."""
        jobs = [self._job(turns, max_tokens, stop, tools, options) for turns in conversations]
        if len(jobs) > 1:
            for job in jobs:
                job.group = conversations
        self._queue.work(jobs)
        return [job.result(self.name) for job in jobs]

    async def aread(
        self,
        turns: Sequence[Turn],
        *,
        max_tokens: int | None = None,
        stop: Sequence[str] | None = None,
        tools: Sequence[dict[str, Any]] | None = None,
        **options: Any,
    ) -> Answer:
        """`read`, without blocking the event loop. Cancelling it stops the model."""
        job = await asyncio.to_thread(self._job, turns, max_tokens, stop, tools, options)
        try:
            await asyncio.to_thread(self._queue.work, [job])
        except asyncio.CancelledError:
            job.abandoned = True
            raise
        return job.result(self.name)

    def stream(
        self,
        turns: Sequence[Turn],
        *,
        max_tokens: int | None = None,
        stop: Sequence[str] | None = None,
        tools: Sequence[dict[str, Any]] | None = None,
        **options: Any,
    ) -> Iterator[AnswerChunk]:
        """The answer as it is made; the last chunk carries usage and stop reason. Closing the iterator stops the model."""
        job = self._job(turns, max_tokens, stop, tools, options)
        queue: SimpleQueue[AnswerChunk | None] = SimpleQueue()
        job.said = queue.put
        self._queue.start(job)
        try:
            while (chunk := queue.get()) is not None:
                yield chunk
            yield job.last_chunk(self.name)
        finally:
            job.abandoned = True

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
        job = await asyncio.to_thread(self._job, turns, max_tokens, stop, tools, options)
        queue: asyncio.Queue[AnswerChunk | None] = asyncio.Queue()
        loop = asyncio.get_running_loop()

        def said(chunk: AnswerChunk | None) -> None:
            with contextlib.suppress(RuntimeError):  # the loop may be closed by now
                loop.call_soon_threadsafe(queue.put_nowait, chunk)

        job.said = said
        self._queue.start(job)
        try:
            while (chunk := await queue.get()) is not None:
                yield chunk
            yield job.last_chunk(self.name)
        finally:
            job.abandoned = True

    # -- a prompt -------------------------------------------------------------------------------------------------------

    def _job(
        self,
        turns: Sequence[Turn],
        max_tokens: int | None,
        stop: Sequence[str] | None,
        tools: Sequence[dict[str, Any]] | None,
        options: dict[str, Any],
    ) -> Job:
        options = {**self.options, **{key: options[key] for key in _OPTIONS if options.get(key) is not None}}
        template_options = options.pop("chat_template_kwargs", {})
        if tools:
            self._warn_once("tools", "%s is not offered tools: TransformersModel does not call them", self.name)
        form = self._vision.chat
        prompt = self._template.prompt(turns_for(turns, self._gate, self.name), template_options)
        text_tokens = self._checkpoint.count_text(prompt.bare or prompt.text)
        image_tokens = self._image_tokens(prompt)
        most = self.max_tokens if max_tokens is None else max_tokens
        if most < 1:
            raise ModelError(f"max_tokens={max_tokens}: must be at least 1, or None for {self.max_tokens}")
        if self._window is not None:
            room = self._window - text_tokens - image_tokens
            if room < 1:
                raise ModelError(
                    f"the prompt takes {text_tokens + image_tokens:,} tokens, of these {image_tokens:,} for "
                    f"{len(prompt.images)} pictures, and the context window of {self.name} has {self._window:,}; "
                    "send fewer pages, or set a budget"
                )
            most = min(most, room)
        tokenizer = self._checkpoint.processor.tokenizer
        opened = begins_thinking(prompt.text, form)

        def begin() -> GeneratedText:
            return GeneratedText(TokenText(tokenizer, self._silent), form, self._ends, most, stop or (), opened)

        return Job(prompt, text_tokens, image_tokens, most, options, begin)

    def _image_tokens(self, prompt: ChatPrompt) -> int:
        try:
            return sum(self._vision.count(*image.size) for image in prompt.images)
        except PictureSizeError as error:
            raise ModelError(f"{self.name} cannot be sent a picture: {error}") from error

    # -- generating -----------------------------------------------------------------------------------------------------

    def _generate(self, batch: list[Job]) -> None:
        inputs, prompt_tokens = self._checkpoint.encode([job.prompt for job in batch])
        for job, tokens in zip(batch, prompt_tokens, strict=True):
            self._compare(job, tokens)

        def watch(tokens: Any, scores: Any, **_: Any) -> Any:
            more = [job.feed(token) for job, token in zip(batch, tokens[:, -1].tolist(), strict=True)]
            return ~tokens.new_tensor(more, dtype=bool)

        self._checkpoint.generate(inputs, max(job.max_tokens for job in batch), self._ends, batch[0].options, watch)

    def _compare(self, job: Job, prompt_tokens: int) -> None:
        """Note what the processor made of a prompt, and say so if that is not what the profile expects."""
        made = prompt_tokens - job.text_tokens if job.prompt.images else 0
        if abs(made - job.image_tokens) > SLACK * len(job.prompt.images):
            self._warn_once(
                "count",
                "%s made %d tokens of %d pictures, and the vision profile %s counts %d, so budgets are off; "
                "vision=VisionProfile.from_processor(model.processor) counts as the processor does",
                self.name, made, len(job.prompt.images), self._vision.name, job.image_tokens,
            )  # fmt: skip
        job.image_tokens = made

    def _warn_once(self, key: str, message: str, *values: object) -> None:
        if key not in self._warned:
            self._warned.add(key)
            _log.warning(message, *values)
