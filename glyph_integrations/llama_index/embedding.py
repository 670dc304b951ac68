"""`GlyphEmbedding`: an embedder of pages as a LlamaIndex embedding; and the stand-in for stores that embed by themselves."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
from llama_index.core.bridge.pydantic import Field
from llama_index.core.embeddings import BaseEmbedding

from ..embedding import Embedder
from ..errors import QueryError
from ..page import Page
from ..rendering import Renderer


class GlyphEmbedding(BaseEmbedding):
    """Gives any LlamaIndex vector store the vectors of one of our embedders that makes one vector per page.

    A text is embedded as the page it fills, and as its first page when it fills more: make the nodes with `PageNodeParser`.

    Args:
        embedder: such as `LexicalEmbedder`.

    Raises:
        QueryError: while embedding: the embedder makes several vectors of a page or a query; `GlyphVectorStore` holds those.
    """

    embedder: Any = Field(exclude=True)

    def __init__(self, embedder: Embedder, **kwargs: Any) -> None:
        kwargs.setdefault("model_name", f"{embedder.name}/{embedder.revision}")
        super().__init__(embedder=embedder, **kwargs)

    @classmethod
    def class_name(cls) -> str:
        """Name in serialised form."""
        return "GlyphEmbedding"
