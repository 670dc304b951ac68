"""The adapters for LlamaIndex. They need ``llama-index-core`` (extra ``llama-index``), imported with the first name used."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .citations import citations_of
    from .embedding import GlyphEmbedding
    from .glyph_llm import GlyphLLM
    from .node_parser import PageNodeParser
    from .page_image import PageImagePostprocessor
    from .page_model_llm import PageModelLLM
    from .page_nodes import page_of
    from .page_tag import PageTagPostprocessor
    from .page_tool import create_page_tool
    from .reader import GlyphReader
    from .retriever import GlyphRetriever
    from .summarizer import GlyphSummarizer
    from .synthesizer import GlyphSynthesizer
    from .tuning import as_advisor, as_page_asker
    from .vector_store import GlyphVectorStore

__all__ = [
    "GlyphEmbedding",
    "GlyphLLM",
    "GlyphReader",
    "GlyphRetriever",
    "GlyphSummarizer",
    "GlyphSynthesizer",
    "GlyphVectorStore",
    "PageImagePostprocessor",
    "PageModelLLM",
    "PageNodeParser",
    "PageTagPostprocessor",
    "as_advisor",
    "as_page_asker",
    "citations_of",
    "create_page_tool",
    "page_of",
]

_HOME = {
    "GlyphEmbedding": "embedding",
    "GlyphLLM": "glyph_llm",
    "GlyphReader": "reader",
    "GlyphRetriever": "retriever",
    "GlyphSummarizer": "summarizer",
    "GlyphSynthesizer": "synthesizer",
    "GlyphVectorStore": "vector_store",
    "PageImagePostprocessor": "page_image",
    "PageModelLLM": "page_model_llm",
    "PageNodeParser": "node_parser",
    "PageTagPostprocessor": "page_tag",
    "as_advisor": "tuning",
    "as_page_asker": "tuning",
    "citations_of": "citations",
    "create_page_tool": "page_tool",
    "page_of": "page_nodes",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        value = getattr(import_module(f".{_HOME[name]}", __name__), name)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "llama_index":
            raise
        from ..errors import MissingExtraError

        raise MissingExtraError("llama-index-core", "llama-index") from error
    globals()[name] = value  # the next use does not come here
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
