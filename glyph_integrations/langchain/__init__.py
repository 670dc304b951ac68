"""The adapters for LangChain. They need ``langchain-core`` (extra ``langchain``), imported with the first name used."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .chat_glyph import ChatGlyph
    from .chat_page_model import ChatPageModel
    from .citations import citations_of
    from .content_blocks import page_content_blocks, page_image
    from .embeddings import GlyphEmbeddings
    from .loader import GlyphLoader
    from .page_documents import page_of
    from .page_tool import create_page_tool
    from .retriever import GlyphRetriever, tag_pages
    from .splitter import PageSplitter
    from .summarizer import GlyphSummarizer
    from .tuning import as_advisor, as_page_asker
    from .vector_store import GlyphVectorStore

__all__ = [
    "ChatGlyph",
    "ChatPageModel",
    "GlyphEmbeddings",
    "GlyphLoader",
    "GlyphRetriever",
    "GlyphSummarizer",
    "GlyphVectorStore",
    "PageSplitter",
    "as_advisor",
    "as_page_asker",
    "citations_of",
    "create_page_tool",
    "page_content_blocks",
    "page_image",
    "page_of",
    "tag_pages",
]

_FILES = {
    "chat_glyph": ("ChatGlyph",),
    "chat_page_model": ("ChatPageModel",),
    "citations": ("citations_of",),
    "content_blocks": ("page_content_blocks", "page_image"),
    "embeddings": ("GlyphEmbeddings",),
    "loader": ("GlyphLoader",),
    "page_documents": ("page_of",),
    "page_tool": ("create_page_tool",),
    "retriever": ("GlyphRetriever", "tag_pages"),
    "splitter": ("PageSplitter",),
    "summarizer": ("GlyphSummarizer",),
    "tuning": ("as_advisor", "as_page_asker"),
    "vector_store": ("GlyphVectorStore",),
}
_HOME = {name: file for file, names in _FILES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        value = getattr(import_module(f".{_HOME[name]}", __name__), name)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "langchain_core":
            raise
        from ..errors import MissingExtraError

        raise MissingExtraError("langchain-core", "langchain") from error
    globals()[name] = value  # the next use does not come here
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
