"""Pages and queries -> vectors: one vector, one per window of a page, or hundreds; the index knows one shape for all."""

from .embedder import Embedder
from .lexical import LexicalEmbedder, lexical_features
from .text import TextEmbedder

__all__ = ["Embedder", "LexicalEmbedder", "TextEmbedder", "lexical_features"]
