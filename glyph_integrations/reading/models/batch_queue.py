"""Prompts that wait for a model, and taking them together."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Lock, Thread
from typing import Any

from ...accelerator import free_memory, out_of_memory
from ...errors import ModelError
from .answer import Answer, AnswerChunk, Usage
from .chat_prompt import ChatPrompt
from .checkpoint import Checkpoint
from .generated_text import GeneratedText

_log = logging.getLogger("glyph_integrations")


@dataclass(eq=False)
class Job:
    """A prompt to be read, and what has become of it.

    Attributes:
        prompt: what the model is given.
        text_tokens, image_tokens: of the prompt; those of its pictures as expected, once it was read as they were.
        max_tokens: most tokens of the answer.
        options: of sampling.
        begin: starts an answer.
        answer: the answer in the making.
        said: whom to tell what is new, and None at the end; None if nobody listens.
        group: a name shared by the jobs of one call.
        abandoned: nobody waits for the answer any more.
        done: there is an answer, or an error.
    """

    prompt: ChatPrompt
    text_tokens: int
    image_tokens: int
    max_tokens: int
    options: dict[str, Any]
    begin: Callable[[], GeneratedText]
    answer: GeneratedText = field(init=False)
    said: Callable[[AnswerChunk | None], None] | None = None
    group: object = None
    abandoned: bool = False
    done: bool = False
    error: BaseException | None = None

    @property
    def pixels(self) -> int:
        """Of all its pictures."""
        return sum(image.width * image.height for image in self.prompt.images)

    def goes_with(self, other: Job) -> bool:
        """Whether both can be read in one batch. What is sampled must not depend on strangers; a stream cannot start anew."""
        if self.said or other.said or self.options != other.options:
            return False
        return not self.options.get("temperature") or (self.group is not None and self.group is other.group)

    def feed(self, token: int) -> bool:
        """Take the next token of the answer; whether there are to be more."""
        if not (self.answer.stop_reason or self.abandoned):
            reasoning, text = self.answer.feed(token)
            if self.said and (reasoning or text):
                self.said(AnswerChunk(text, reasoning))
        return not (self.answer.stop_reason or self.abandoned)

    def result(self, model: str) -> Answer:
        """The answer, or the error."""
        self._raise()
        answer = self.answer
        return Answer(answer.text, self._usage, answer.stop_reason or "stop", model, reasoning=answer.reasoning.strip())

    def last_chunk(self, model: str) -> AnswerChunk:
        """The end of a stream, or the error."""
        self._raise()
        return AnswerChunk(usage=self._usage, stop_reason=self.answer.stop_reason or "stop", model=model)

    @property
    def _usage(self) -> Usage:
        return Usage(self.text_tokens + self.image_tokens, self.answer.tokens, self.image_tokens)

    def _raise(self) -> None:
        if isinstance(self.error, ModelError):
            raise self.error
        if self.error is not None:
            raise ModelError(f"the model failed while answering ({type(self.error).__name__}: {self.error})") from self.error


class BatchQueue:
    """Jobs of all threads, in the order they came. Whoever waits helps: one thread at a time reads the next batch, which holds
    whatever waits and goes together.

    Args:
        checkpoint: the model.
        read: reads a batch: makes the answers of its jobs.
        batch_size: most jobs of a batch; fewer once the memory has not sufficed.
        max_pixels: most pixels of a batch of several jobs.
    """

    def __init__(self, checkpoint: Checkpoint, read: Callable[[list[Job]], None], batch_size: int, max_pixels: int) -> None:
        self._checkpoint = checkpoint
        self._read = read
        self._batch_size = batch_size
        self._max_pixels = max_pixels
        self._waiting: list[Job] = []
        self._queueing = Lock()
        self._reading = Lock()  # some models keep the positions of a prompt between its tokens

    def work(self, jobs: list[Job]) -> None:
        """Wait until the jobs are done."""
        with self._queueing:
            self._waiting += jobs
        while not all(job.done for job in jobs):
            with self._reading:
                if not all(job.done for job in jobs):
                    self._run(self._next_batch())

    def start(self, job: Job) -> None:
        """Have a job done in a thread of its own, which says None at the end."""

        def work() -> None:
            try:
                self.work([job])
            finally:
                if job.said:
                    job.said(None)

        Thread(target=work, name="glyph-reading", daemon=True).start()

    def _next_batch(self) -> list[Job]:
        """The job that has waited longest, and others that can be read with it."""
        batch: list[Job] = []
        left: list[Job] = []
        with self._queueing:
            for job in self._waiting:
                pixels = sum(each.pixels for each in (*batch, job))
                if job.abandoned:
                    job.error, job.done = ModelError("nobody waits for this answer any more"), True
                elif not batch or (len(batch) < self._batch_size and pixels <= self._max_pixels and batch[0].goes_with(job)):
                    batch.append(job)
                else:
                    left.append(job)
            self._waiting = left
        return batch

    def _run(self, batch: list[Job]) -> None:
        """Read a batch. When the memory does not suffice, its jobs go back to the queue, for smaller ones."""
        failed: BaseException | None = None
        full = False
        for job in batch:
            job.answer = job.begin()
        try:
            if batch:
                self._read(batch)
        except BaseException as error:
            full = out_of_memory(error)
            if not full:
                failed = error
            if not isinstance(error, Exception):
                raise
        finally:
            if full:  # outside of the handler, whose error holds on to the memory
                free_memory()
            if full and len(batch) > 1:
                self._shrink(batch)
            else:
                for job in batch:
                    job.error, job.done = self._too_large(job) if full else failed, True

    def _shrink(self, batch: list[Job]) -> None:
        self._batch_size = len(batch) // 2
        pixels = sum(job.pixels for job in batch) / 1e6
        _log.warning(
            "out of memory on %s with %d prompts at once (%.1f megapixels); from now on at most %d",
            self._checkpoint.device, len(batch), pixels, self._batch_size,
        )  # fmt: skip
        with self._queueing:
            self._waiting = batch + self._waiting

    def _too_large(self, job: Job) -> ModelError:
        return ModelError(
            f"out of memory on {self._checkpoint.device} with a single prompt of {job.text_tokens + job.image_tokens:,} tokens "
            f"({len(job.prompt.images)} pictures, {job.pixels / 1e6:.1f} megapixels); send fewer pages or a lower dpi, or load "
            "the model in a smaller dtype or on a device with more memory"
        )
