"""Files to `SourceDocument`: text with its name, media type and hash."""

from __future__ import annotations

from .document import SourceDocument, open_document
from .files import find_files, source_name

__all__ = ["SourceDocument", "find_files", "open_document", "source_name"]
