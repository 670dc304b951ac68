"""`TextEmbedder`: any text embedding model as an `Embedder`, by windows of a page."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from ..errors import ModelError
from ..page import Page
from ..vision import count_text_tokens
from .embedder import Metric, Vectors


class TextEmbedder:
    """Embeds pages with a text model.

    A model that reads 256 or 512 tokens sees only the top of a page, so a page is cut into windows that fit, each with its own
    vector; the index scores a page by its best window.

    Args:
        model: LangChain ``Embeddings`` (``embed_documents``, ``embed_query``) or a LlamaIndex ``BaseEmbedding``
            (``get_text_embedding_batch``, ``get_query_embedding``), recognised by these methods.
        window: tokens of a window, by estimate; neighbours share an eighth of it. At most what the model reads.
        name, revision: what an index records; by default the model's class and the name it goes by, and ``1``.

    Raises:
        TypeError: the model has neither pair of methods.
        ModelError: while embedding: the model failed, or returned something else than vectors of one length.
    """

    metric: Metric = "cosine"
    stored = True

    def __init__(self, model: Any, *, window: int = 256, name: str | None = None, revision: str = "1") -> None:
        if window < 8:
            raise ValueError(f"window={window}: must be at least 8 tokens")
        if hasattr(model, "embed_documents") and hasattr(model, "embed_query"):
            self._embed_texts, self._embed_question = model.embed_documents, model.embed_query
        elif hasattr(model, "get_text_embedding_batch") and hasattr(model, "get_query_embedding"):
            self._embed_texts, self._embed_question = model.get_text_embedding_batch, model.get_query_embedding
        else:
            raise TypeError(
                f"{type(model).__name__} is no text embedding model: it has neither embed_documents and embed_query "
                "(LangChain) nor get_text_embedding_batch and get_query_embedding (LlamaIndex)"
            )
        self.model = model
        self.window = window
        self.name = name or _name_of(model)
        self.revision = f"{revision}/w{window}"

    @cached_property
    def dim(self) -> int:
        """Length of a vector, found by embedding one word."""
        return len(self.embed_query("page")[0])

    def embed_pages(self, pages: Sequence[Page]) -> list[Vectors]:
        """One float32 array [n, dim] per page, a row per window; n is 0 for a page without visible text."""
        cut = [windows(page.text, self.window) for page in pages]
        texts = [text for own in cut for text in own]
        vectors = self._vectors(self._embed_texts, texts, len(texts)) if texts else np.zeros((0, self.dim), dtype=np.float32)
        ends = np.cumsum([len(own) for own in cut])
        return np.split(vectors, ends[:-1]) if pages else []

    def embed_query(self, text: str) -> Vectors:
        """A float32 array [1, dim]."""
        return self._vectors(lambda question: [self._embed_question(question)], text, 1)

    def _vectors(self, embed: Any, given: Any, count: int) -> Vectors:
        try:
            vectors = np.asarray(embed(given), dtype=np.float32)
        except Exception as error:  # each model raises its own
            raise ModelError(f"embedding model {self.name!r} failed: {type(error).__name__}: {error}") from error
        if vectors.ndim != 2 or len(vectors) != count or not vectors.shape[1]:
            raise ModelError(f"embedding model {self.name!r} returned shape {vectors.shape} for {count} texts")
        return vectors


def windows(text: str, size: int) -> list[str]:
    """Stretches of a text of about ``size`` tokens each, cut at white space where there is some; an eighth is shared by
    neighbours. None for a text without visible characters."""
    if not text.strip():
        return []
    tokens = count_text_tokens(text).count
    if tokens <= size:
        return [text]
    length = max(1, len(text) * size // tokens)
    found, start = [], 0
    while True:
        end = _cut(text, start + length, start + length * 3 // 4)
        if window := text[start:end].strip():
            found.append(window)
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


def _name_of(model: Any) -> str:
    names = [getattr(model, key, None) for key in ("model_name", "model", "model_id")]
    known = next((name for name in names if isinstance(name, str)), "")
    return f"{type(model).__name__} {known}".rstrip()
