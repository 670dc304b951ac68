"""An embedder as an index remembers it, for those who only look after the index."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import cast

from ..embedding import Embedder, LexicalEmbedder
from ..embedding.embedder import Metric, Vectors
from ..errors import GlyphError
from ..page import Page
from .folder import IndexFolder
from .record import Made
from .store import Store


def recorded_embedder(path: Path) -> Embedder:
    """What opens the index in a folder: its `LexicalEmbedder`, or one that cannot embed but bears the right name. With that the
    index can be verified, measured, read, compacted and searched by words.

    Raises:
        IndexCorruptError, IndexMismatchError: it cannot be told, or is of a newer schema.
    """
    database = IndexFolder(path).database
    if not database.is_file():
        return LexicalEmbedder()  # opening says more
    with closing(Store(database, None)) as store:
        made = store.made()
    return LexicalEmbedder(made.dim) if made.embedder == LexicalEmbedder.name else Absent(made)


class Absent:
    """An embedder that is known by name only."""

    stored = True

    def __init__(self, made: Made) -> None:
        self.name, self.revision, self.dim, self.metric = made.embedder, made.revision, made.dim, cast(Metric, made.metric)

    def embed_pages(self, pages: Sequence[Page]) -> list[Vectors]:
        """Raises GlyphError."""
        raise GlyphError(f"the embedder {self.name!r} is needed for that; open the index with it")

    def embed_query(self, text: str) -> Vectors:
        """Raises GlyphError."""
        raise GlyphError(f"the embedder {self.name!r} is needed for that; open the index with it")
