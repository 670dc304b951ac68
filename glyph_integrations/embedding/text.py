"""`TextEmbedder`: any text embedding model as an `Embedder`, by windows of a page."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import MissingExtraError, ModelError
from ..page import Page
from ..vision import count_text_tokens
from .checkpoint import weights_checksum
from .embedder import Metric, Vectors

WINDOW = 128
"""Tokens of a window. Longer ones find less, shorter ones need more room: docs/measurements.md."""


class TextEmbedder:
    """Embeds pages with a text model.

    A model that reads 256 or 512 tokens sees only the top of a page, so a page is cut into windows that fit, each with its own
    vector; the index scores a page by its best window.

    Args:
        model: LangChain ``Embeddings`` (``embed_documents``, ``embed_query``), a LlamaIndex ``BaseEmbedding``
            (``get_text_embedding_batch``, ``get_query_embedding``) or a sentence-transformers model (``encode_document``,
            ``encode_query``), recognised by these methods; or the name of one of the last (``"all-MiniLM-L6-v2"``) or the
            folder it is in.
        window: tokens of a window, counted by the model's tokenizer where it has one, else estimated; neighbours share an
            eighth of it. None: 128, or what the model says it reads where that is less.
        name: what an index records; by default the model's class and the name it goes by.
        revision: which weights, likewise; by default a checksum of some of a sentence-transformers model's, else ``1``.
        local_files_only: look for a named model on this machine only. ``HF_HUB_OFFLINE=1`` in the environment does the same.
        trust_remote_code: run Python code that a named model brings along.

    Raises:
        TypeError: the model has neither pair of methods.
        ModelError: there is no model of that name; while embedding: the model failed, or returned something else than vectors
            of one length.
        MissingExtraError: a name was given, and sentence-transformers is not installed.
    """

    metric: Metric = "cosine"
    stored = True

    def __init__(
        self,
        model: Any,
        *,
        window: int | None = None,
        name: str | None = None,
        revision: str | None = None,
        local_files_only: bool = False,
        trust_remote_code: bool = False,
    ) -> None:
        if window is not None and window < 8:
            raise ValueError(f"window={window}: must be at least 8 tokens")
        if isinstance(model, str | Path):
            name = name or f"SentenceTransformer {Path(model).name}"
            model = _load(str(model), local_files_only, trust_remote_code)
        if hasattr(model, "embed_documents") and hasattr(model, "embed_query"):
            self._embed_texts, self._embed_question = model.embed_documents, model.embed_query
        elif hasattr(model, "get_text_embedding_batch") and hasattr(model, "get_query_embedding"):
            self._embed_texts, self._embed_question = model.get_text_embedding_batch, model.get_query_embedding
        elif hasattr(model, "encode_document") and hasattr(model, "encode_query"):
            self._embed_texts, self._embed_question = _quiet(model.encode_document), _quiet(model.encode_query)
            revision = revision or weights_checksum(model)
        else:
            raise TypeError(
                f"{type(model).__name__} is no text embedding model: it has neither embed_documents and embed_query "
                "(LangChain), nor get_text_embedding_batch and get_query_embedding (LlamaIndex), nor encode_document and "
                "encode_query (sentence-transformers)"
            )
        self.model = model
        self.window = window or min(_reads(model) or WINDOW, WINDOW)
        self.name = name or _name_of(model)
        self.revision = f"{revision or '1'}/w{self.window}"

    @cached_property
    def dim(self) -> int:
        """Length of a vector, found by embedding one word."""
        return len(self.embed_query("page")[0])

    def embed_pages(self, pages: Sequence[Page]) -> list[Vectors]:
        """One float32 array [n, dim] per page, a row per window; n is 0 for a page without visible text."""
        cut = [windows(page.text, self.window, self._tokenizer) for page in pages]
        texts = [text for own in cut for text in own]
        vectors = self._vectors(self._embed_texts, texts, len(texts)) if texts else np.zeros((0, self.dim), dtype=np.float32)
        ends = np.cumsum([len(own) for own in cut])
        return np.split(vectors, ends[:-1]) if pages else []

    def embed_query(self, text: str) -> Vectors:
        """A float32 array [1, dim]."""
        return self._vectors(lambda question: [self._embed_question(question)], text, 1)

    def _vectors(self, embed: Callable[[Any], Any], given: Any, count: int) -> Vectors:
        try:
            vectors = np.asarray(embed(given), dtype=np.float32)
        except Exception as error:  # each model raises its own
            raise ModelError(f"embedding model {self.name!r} failed: {type(error).__name__}: {error}") from error
        if vectors.ndim != 2 or len(vectors) != count or not vectors.shape[1]:
            raise ModelError(f"embedding model {self.name!r} returned shape {vectors.shape} for {count} texts")
        return vectors

    @cached_property
    def _tokenizer(self) -> Any:
        """The model's own, as a copy: switching truncation off in the original would disturb a thread that is embedding."""
        tokenizer = copy.deepcopy(getattr(getattr(_inner(self.model), "tokenizer", None), "backend_tokenizer", None))
        if tokenizer is not None:
            tokenizer.no_truncation()
            tokenizer.no_padding()
        return tokenizer


def windows(text: str, size: int, tokenizer: Any = None) -> list[str]:
    """Stretches of a text of at most ``size`` tokens each, cut at white space where there is some; an eighth is shared by
    neighbours. None for a text without visible characters. Tokens are counted as by `count_text_tokens`."""
    if not text.strip():
        return []
    tokens = count_text_tokens(text, tokenizer).count
    if tokens <= size or len(text) == 1:
        return [text]
    length = max(1, len(text) * size * 7 // (tokens * 8))  # room for the stretches that are denser than the rest
    found, start = [], 0
    while True:
        end = _cut(text, start + length, start + length * 3 // 4)
        if window := text[start:end].strip():
            found += windows(window, size, tokenizer)
        if end == len(text):
            return found
        start = max(start + 1, _cut(text, end - length // 8, end - length // 4))


def _cut(text: str, at: int, least: int) -> int:
    """``at``, or just after the last white space before it, if that is past ``least``."""
    if at >= len(text):
        return len(text)
    for i in range(at, max(least, 0), -1):
        if text[i - 1].isspace():
            return i
    return at


def _load(name: str, local_files_only: bool, trust_remote_code: bool) -> Any:
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError:
        raise MissingExtraError("sentence-transformers", "transformers") from None
    try:
        return SentenceTransformer(name, local_files_only=local_files_only, trust_remote_code=trust_remote_code)
    except Exception as error:  # of the hub, of transformers, of torch
        told = str(error).strip().partition("\n")[0]
        raise ModelError(f"cannot load sentence-transformers model {name!r}: {told or type(error).__name__}") from error


def _quiet(encode: Callable[..., Any]) -> Callable[[Any], Any]:
    return lambda given: encode(given, show_progress_bar=False)


def _inner(model: Any) -> Any:
    """The sentence-transformers model itself, or the one in LangChain's or LlamaIndex's wrapper of it, if any."""
    inside = (getattr(model, key, None) for key in ("_client", "_model"))
    return next((found for found in (model, *inside) if hasattr(found, "max_seq_length")), None)


def _reads(model: Any) -> int | None:
    """How many tokens a model says it reads."""
    limit = getattr(_inner(model), "max_seq_length", None)
    return limit if isinstance(limit, int) and limit >= 8 else None


def _name_of(model: Any) -> str:
    """Class and name; of a folder its last part, for an index may be used on another machine."""
    names = [getattr(model, key, None) for key in ("model_name", "model", "model_id")]
    known = next((name for name in names if isinstance(name, str)), "")
    origin = getattr(getattr(model, "tokenizer", None), "name_or_path", None)
    if not known and isinstance(origin, str):
        known = Path(origin).name
    return f"{type(model).__name__} {Path(known).name if Path(known).is_absolute() else known}".rstrip()
