"""Text and style to pages, pages to pixels."""

from .highlight import highlight
from .parallel import png_in_parallel
from .renderer import Renderer
from .scans import read_scans

__all__ = ["Renderer", "highlight", "png_in_parallel", "read_scans"]
