"""Pages and vectors at rest: SQLite is the truth, FAISS and BM25 are derived from it."""

from .ann import Ann
from .copying import copy_index
from .health import IndexStats
from .intake import Synced
from .page_index import PageIndex
from .precision import Precision
from .question import Mode, Question
from .recorded import recorded_embedder
from .repair import Repaired
from .salvage import LostPage

__all__ = [
    "Ann", "IndexStats", "LostPage", "Mode", "PageIndex", "Precision", "Question", "Repaired", "Synced", "copy_index",
    "recorded_embedder",
]  # fmt: skip
