"""Pages and vectors at rest: SQLite is the truth, FAISS and BM25 are derived from it."""

from .page_index import Mode, PageIndex, Synced

__all__ = ["Mode", "PageIndex", "Synced"]
