"""Long documents as page images for vision-language models: drawn, indexed, found, read and cited.

Importing this package is cheap: each public name is loaded when it is first used. The framework adapters are packages of
their own, `glyph_integrations.langchain` and `glyph_integrations.llama_index`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .embedding import LexicalEmbedder, RemoteVisualEmbedder, TextEmbedder, VisualEmbedder, similarity_map
    from .errors import GlyphError
    from .evaluation import Evaluation, evaluate
    from .index import PageIndex
    from .page import Page, PageHit
    from .reading import (
        Citation,
        ContextBuilder,
        ExtractiveModel,
        OcrModel,
        OpenAIModel,
        TransformersModel,
        cross_check,
        verify_answer,
    )
    from .rendering import Renderer, highlight, read_scans
    from .sources import open_document
    from .style import PageStyle
    from .summarizing import Summarizer
    from .tuning import QualityMonitor, StyleSearch, calibrate, export_pairs
    from .vision import VisionProfile, count_text_tokens, count_visual_tokens

__version__ = "0.1.0"

__all__ = [
    "Citation",
    "ContextBuilder",
    "Evaluation",
    "ExtractiveModel",
    "GlyphError",
    "LexicalEmbedder",
    "OcrModel",
    "OpenAIModel",
    "Page",
    "PageHit",
    "PageIndex",
    "PageStyle",
    "QualityMonitor",
    "RemoteVisualEmbedder",
    "Renderer",
    "StyleSearch",
    "Summarizer",
    "TextEmbedder",
    "TransformersModel",
    "VisionProfile",
    "VisualEmbedder",
    "__version__",
    "calibrate",
    "count_text_tokens",
    "count_visual_tokens",
    "cross_check",
    "evaluate",
    "export_pairs",
    "highlight",
    "open_document",
    "read_scans",
    "similarity_map",
    "verify_answer",
]

_ROOMS = {
    "embedding": ("LexicalEmbedder", "RemoteVisualEmbedder", "TextEmbedder", "VisualEmbedder", "similarity_map"),
    "errors": ("GlyphError",),
    "evaluation": ("Evaluation", "evaluate"),
    "index": ("PageIndex",),
    "page": ("Page", "PageHit"),
    "reading": (
        "Citation",
        "ContextBuilder",
        "ExtractiveModel",
        "OcrModel",
        "OpenAIModel",
        "TransformersModel",
        "cross_check",
        "verify_answer",
    ),
    "rendering": ("Renderer", "highlight", "read_scans"),
    "sources": ("open_document",),
    "style": ("PageStyle",),
    "summarizing": ("Summarizer",),
    "tuning": ("QualityMonitor", "StyleSearch", "calibrate", "export_pairs"),
    "vision": ("VisionProfile", "count_text_tokens", "count_visual_tokens"),
}
_HOME = {name: room for room, names in _ROOMS.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_HOME[name]}", __name__), name)
    globals()[name] = value  # the next use does not come here
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
