"""Pages and queries -> vectors: one vector, one per window of a page, or hundreds; the index knows one shape for all."""

from .embedder import Embedder
from .lexical import LexicalEmbedder, lexical_features

__all__ = ["Embedder", "LexicalEmbedder", "lexical_features"]
