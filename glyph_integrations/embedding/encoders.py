"""Visual models as they are loaded: pictures, questions and texts to vectors, and the tokens that made them."""

from __future__ import annotations

import copy
import os
import queue
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .embedder import Vectors

THREADS = min(8, os.cpu_count() or 1)
"""That draw, prepare and finish while a model runs."""

Tokens = NDArray[np.int64]
"""Ids of tokens."""


class Encoded(NamedTuple):
    """The vectors, float32 [n, dim], of a picture or a text, and the ids of the tokens that made them; none where a model
    makes one vector of all tokens."""

    vectors: Vectors
    tokens: Tokens | None = None


class Encoder(Protocol):
    """A loaded model. `prepare` may run in several threads while `run` is busy in another."""

    @property
    def late(self) -> bool:
        """Whether it makes a vector per token, for late interaction; else one."""
        ...

    @property
    def model(self) -> Any:
        """The torch module."""
        ...

    @property
    def processor(self) -> Any:
        """What makes inputs of pictures and texts."""
        ...

    def prepare(self, images: Sequence[Image.Image]) -> Any:
        """Pictures as inputs of the model, on the CPU."""
        ...

    def run(self, prepared: Any) -> list[Encoded]:
        """What the model makes of prepared pictures."""
        ...

    def questions(self, texts: Sequence[str]) -> list[Encoded]:
        """Texts as questions, with what the model puts around one."""
        ...

    def texts(self, texts: Sequence[str]) -> list[Encoded]:
        """Texts as parts of pages."""
        ...


class RetrievalModel:
    """A late-interaction model of transformers itself (``ColPaliForRetrieval``, ``ColQwen2ForRetrieval``,
    ``ColModernVBertForRetrieval``), whose processor has `process_images` and `process_queries`."""

    late = True

    def __init__(self, model: Any, processor: Any) -> None:
        self.model = model
        self.processor = processor
        self._processors = _Copies(processor, copy.deepcopy)
        self._plain = _plain(processor)

    def prepare(self, images: Sequence[Image.Image]) -> Any:
        """See `Encoder`."""
        with self._processors.one() as processor:
            inputs = processor.process_images(images=list(images), return_tensors="pt")
        inputs.pop("labels", None)  # ColPali's, for training
        return inputs

    def run(self, prepared: Any) -> list[Encoded]:
        """See `Encoder`."""
        import torch

        inputs = prepared.to(self.model.device)
        with torch.inference_mode():
            embeddings = self.model(**inputs).embeddings
        return _per_token(embeddings, inputs["attention_mask"], inputs["input_ids"])

    def questions(self, texts: Sequence[str]) -> list[Encoded]:
        """See `Encoder`."""
        with self._processors.one() as processor:
            inputs = processor.process_queries(text=[self._plain(text) for text in texts], return_tensors="pt")
        return self.run(inputs)

    def texts(self, texts: Sequence[str]) -> list[Encoded]:
        """See `Encoder`. The processor would put a question's prefix and padding around each."""
        with self._processors.one() as processor:
            # ColPali's: without them a word sees those after it only in a text that needs no padding
            kinds = "token_type_ids" in processor.model_input_names
            plain = [self._plain(text) for text in texts]
            inputs = processor.tokenizer(plain, padding=True, return_token_type_ids=kinds, return_tensors="pt")
        return self.run(inputs)


class SentenceModel:
    """A model of sentence-transformers: ``MultiVectorEncoder`` (late interaction) or ``SentenceTransformer`` (one vector)."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.late = type(model).__name__ == "MultiVectorEncoder"
        self._front = _Copies(model, _with_own_processor)
        self._plain = _plain(model.processor)

    @property
    def processor(self) -> Any:
        """See `Encoder`."""
        return self.model.processor

    def prepare(self, images: Sequence[Image.Image]) -> Any:
        """See `Encoder`."""
        return self._prepared([{"image": image} for image in images], "document")

    def run(self, prepared: Any) -> list[Encoded]:
        """See `Encoder`."""
        import torch
        from sentence_transformers.util import batch_to_device

        features, task = prepared
        with torch.inference_mode():
            out = self.model(batch_to_device(features, self.model.device), task=task)
        if self.late:
            return _per_token(out["token_embeddings"], out["attention_mask"], out.get("input_ids"))
        return [Encoded(vector[None]) for vector in _numpy(out["sentence_embedding"])]

    def questions(self, texts: Sequence[str]) -> list[Encoded]:
        """See `Encoder`."""
        return self.run(self._prepared([{"text": self._plain(text)} for text in texts], "query"))

    def texts(self, texts: Sequence[str]) -> list[Encoded]:
        """See `Encoder`."""
        return self.run(self._prepared([{"text": self._plain(text)} for text in texts], "document"))

    def _prepared(self, inputs: list[dict[str, Any]], task: str) -> tuple[Any, str]:
        # always with the kind beside it: of a bare string that looks like a path or a URL the file would be fetched
        prompt = self.model.prompts.get(task) or None
        with self._front.one() as model:
            return model.preprocess(inputs, prompt=prompt, task=task), task


def _plain(processor: Any) -> Callable[[str], str]:
    """What makes of a text one without control tokens, for a text is data: a space breaks each up (``< image>``). A processor
    would look for the picture that an ``<image>`` in it stands for, and fail."""
    tokenizer = getattr(processor, "tokenizer", processor)
    added = getattr(tokenizer, "added_tokens_decoder", {}).values()
    tokens = {str(token) for token in added if token.special} | {getattr(processor, "image_token", None) or ""}
    control = re.compile(
        "|".join(re.escape(token) for token in sorted(tokens, key=len, reverse=True) if len(token) > 1) or r"\Z."
    )

    def plain(text: str) -> str:
        text = text.encode("utf-8", "replace").decode()  # half a surrogate pair is no text either
        return control.sub(lambda found: f"{found[0][0]} {found[0][1:]}", text)

    return plain


_Thing = TypeVar("_Thing")


class _Copies(Generic[_Thing]):
    """Lends a thing to one thread at a time; to the next a copy, of which there are no more than `THREADS`: that of a large
    tokenizer takes half a second and some 50 MB. Processors hold state: a tokenizer its padding."""

    def __init__(self, thing: _Thing, another: Callable[[_Thing], _Thing]) -> None:
        self._thing, self._another = thing, another
        self._turn = threading.Semaphore(THREADS)
        self._idle: queue.SimpleQueue[_Thing] = queue.SimpleQueue()
        self._idle.put(another(thing))  # the original is left alone: it is copied while others are in use

    @contextmanager
    def one(self) -> Iterator[_Thing]:
        with self._turn:
            try:
                thing = self._idle.get_nowait()
            except queue.Empty:
                thing = self._another(self._thing)
            try:
                yield thing
            finally:
                self._idle.put(thing)


def _with_own_processor(model: Any) -> Any:
    """A model of sentence-transformers that shares its layers with another, for `preprocess` alone."""
    twin, first = copy.copy(model), copy.copy(model[0])
    first.processor = copy.deepcopy(model[0].processor)
    twin._modules = {**model._modules, next(iter(model._modules)): first}
    return twin


def _per_token(embeddings: Any, mask: Any, tokens: Any) -> list[Encoded]:
    """One page's or text's vectors each, without those of padding."""
    made, real = _numpy(embeddings), mask.bool().cpu().numpy()  # at once: each transfer waits for the device
    ids = [None] * len(made) if tokens is None else list(tokens.cpu().numpy())
    return [
        Encoded(vectors[own], None if these is None else these[own])
        for vectors, own, these in zip(made, real, ids, strict=True)
    ]


def _numpy(tensor: Any) -> Vectors:
    vectors: Vectors = tensor.detach().cpu().float().numpy()
    return vectors
