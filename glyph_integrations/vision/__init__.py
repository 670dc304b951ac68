"""What a page costs a model: one `VisionProfile` per model family, exact token formulas, and counts of text tokens."""

from __future__ import annotations

from .chat import ChatForm
from .counting import Counting, LongestEdge, SmartResize
from .profile import VisionProfile, count_visual_tokens
from .text_tokens import TextTokens, Tokenizer, count_text_tokens
from .tiling import ClosestTiling, RowsOfTiles, SameForAll

__all__ = [
    "ChatForm",
    "ClosestTiling",
    "Counting",
    "LongestEdge",
    "RowsOfTiles",
    "SameForAll",
    "SmartResize",
    "TextTokens",
    "Tokenizer",
    "VisionProfile",
    "count_text_tokens",
    "count_visual_tokens",
]
