"""Text and style to pages, pages to pixels."""

from .highlight import highlight
from .parallel import png_in_parallel
from .renderer import Renderer

__all__ = ["Renderer", "highlight", "png_in_parallel"]
