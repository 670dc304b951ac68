"""The local web app behind ``glyph serve``: documents in, pages, answers, citations and summaries out."""

from .server import create_app, serve
from .settings import ModelServer, Settings

__all__ = ["ModelServer", "Settings", "create_app", "serve"]
