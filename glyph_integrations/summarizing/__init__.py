"""A document or a knowledge base -> a summary that cites its pages, made level by level."""

from .faithfulness import Faithfulness, check
from .summarizer import Summarizer
from .summary import STYLES, Cost, Failure, Level, Style, Summary, Unsupported

__all__ = [
    "STYLES", "Cost", "Failure", "Faithfulness", "Level", "Style", "Summarizer", "Summary", "Unsupported", "check",
]  # fmt: skip
