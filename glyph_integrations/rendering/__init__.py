"""Text and style to pages, pages to pixels."""

from .highlight import highlight
from .renderer import Renderer

__all__ = ["Renderer", "highlight"]
