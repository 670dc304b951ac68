"""`copy_index`: the pages of one index in another, without embedding anything again."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from pathlib import Path

from ..embedding import Embedder
from ..embedding.embedder import Metric, Vectors
from ..page import Page
from .page_index import PageIndex


def copy_index(index: PageIndex, path: str | PathLike[str]) -> None:
    """Make the index in a folder hold what this one holds; it is created if need be. Vectors are copied, not made again.

    What the folder holds already stays as it is, and what it holds beyond that is deleted last, so an earlier copy is brought
    up to date in proportion to what changed. An interrupted copy goes on when called again. BM25 is built anew.

    Raises:
        IndexMismatchError: the folder holds an index of another embedder, or something else.
        IndexLockedError: another process is writing there.
    """
    if index.path is not None and Path(index.path).resolve() == Path(path).resolve():
        return
    precision = None if PageIndex.exists(path) else index.precision
    with PageIndex.open(path, _CopiedVectors(index), precision=precision) as copy:
        copy.add(index)
        copy.delete(set(copy.ids()) - set(index.ids()))


class _CopiedVectors:
    """The embedder of an index, which for pages of this index only looks up what they have."""

    def __init__(self, index: PageIndex) -> None:
        self._index = index
        self._embedder: Embedder = index.embedder
        self.name = self._embedder.name
        self.revision = self._embedder.revision
        self.dim = self._embedder.dim
        self.metric: Metric = self._embedder.metric
        self.stored = self._embedder.stored

    def embed_pages(self, pages: Sequence[Page]) -> list[Vectors]:
        found = self._index.vectors(page.id for page in pages)
        if len(found) == len(pages):
            return found
        # some were deleted since they were read
        return [(self._index.vectors([page.id]) or self._embedder.embed_pages([page]))[0] for page in pages]

    def embed_query(self, text: str) -> Vectors:
        return self._embedder.embed_query(text)
