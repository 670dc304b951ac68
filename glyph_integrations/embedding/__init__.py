"""Pages and queries -> vectors: one vector, one per window of a page, or hundreds; the index knows one shape for all."""

from .embedder import Embedder
from .lexical import LexicalEmbedder, lexical_features
from .pooling import pool_vectors
from .quantize import BitVectors, Int8Vectors, from_bits, from_int8, products, to_bits, to_int8
from .remote import RemoteVisualEmbedder
from .similarity_map import SimilarityMap, similarity_map
from .text import TextEmbedder
from .visual import VisualEmbedder, embed_picture

__all__ = [
    "BitVectors",
    "Embedder",
    "Int8Vectors",
    "LexicalEmbedder",
    "RemoteVisualEmbedder",
    "SimilarityMap",
    "TextEmbedder",
    "VisualEmbedder",
    "embed_picture",
    "from_bits",
    "from_int8",
    "lexical_features",
    "pool_vectors",
    "products",
    "similarity_map",
    "to_bits",
    "to_int8",
]
