"""What a page costs a model: one `VisionProfile` per model family, exact token formulas, and counts of text tokens."""

from __future__ import annotations

from .calibration import Calibration, calibration_file
from .chat import ChatForm
from .counting import Counting, LongestEdge, SmartResize
from .profile import VisionProfile, count_visual_tokens
from .text_tokens import TextTokens, Tokenizer, count_text_tokens
from .tiling import ClosestTiling, RowsOfTiles, SameForAll

__all__ = [
    "Calibration",
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
    "calibration_file",
    "count_text_tokens",
    "count_visual_tokens",
]
