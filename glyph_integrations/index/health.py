"""Whether an index is sound, and how large it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from ..embedding import Embedder
from ..errors import IndexCorruptError, IndexLockedError
from .bm25 import check_files
from .folder import IndexFolder
from .progress import progress_bar
from .ranking import Ranking
from .sealed import check_sealed
from .store import Store
from .vectors import VectorStats


@dataclass(frozen=True)
class IndexStats:
    """What `PageIndex.stats` tells.

    Attributes:
        pages, sources: how many there are.
        vectors: kept in the database; pages of equal content share theirs.
        changes: entries in the log of changes.
        files: bytes of each file, by name; ``bm25`` is a folder.
        embedder, revision, dim, metric, precision, schema: what the index was made of.
        bm25_behind: changes that BM25 has yet to see; 0 when it is up to date.
        bm25_building: whether this process is at work on that.
        search: how vectors are searched.
    """

    pages: int
    sources: int
    vectors: int
    changes: int
    files: Mapping[str, int]
    embedder: str
    revision: str
    dim: int
    metric: str
    precision: str
    schema: int
    bm25_behind: int
    bm25_building: bool
    search: VectorStats

    @property
    def bytes_per_page(self) -> float:
        """All files, shared among the pages; 0 without pages or files."""
        return sum(self.files.values()) / self.pages if self.pages else 0.0


def stats(store: Store, ranking: Ranking, folder: IndexFolder | None) -> IndexStats:
    """See `PageIndex.stats`."""
    made = store.made()
    return IndexStats(
        pages=store.count(),
        sources=len(store.sources()),
        vectors=store.vectors.count(made.form),
        changes=store.log_length(),
        files={path.name: size for path in sorted(folder.files) if (size := _size(path))} if folder else {},
        embedder=made.embedder,
        revision=made.revision,
        dim=made.dim,
        metric=made.metric,
        precision=made.precision,
        schema=made.schema,
        bm25_behind=ranking.bm25.behind,
        bm25_building=ranking.bm25.building,
        search=ranking.stats(),
    )


def problems(
    store: Store, ranking: Ranking, embedder: Embedder, folder: IndexFolder | None, progress: bool | None
) -> list[str]:
    """See `PageIndex.verify`."""
    found: list[str] = []
    try:
        with progress_bar("Verifying", store.count(), progress) as seen, store.snapshot():
            found += store.problems(store.made().form, embedder.stored, seen)
        store.check_promise()
        if not found:  # else what is derived says the same again
            ranking.bm25.wait()
            with _alone(folder) as alone:
                found += _damaged(folder, ranking) if folder and alone else ()
                found += ranking.problems(alone)
    except IndexCorruptError as error:
        found.append(str(error))
    return found


@contextmanager
def _alone(folder: IndexFolder | None) -> Iterator[bool]:
    """Whether no other process may change derived files while the block lasts."""
    alone = True
    with ExitStack() as stack:
        if folder:
            try:
                stack.enter_context(folder.lock.holding())
            except IndexLockedError:
                alone = False
            except OSError:  # nobody can
                pass
        yield alone


def _damaged(folder: IndexFolder, ranking: Ranking) -> Iterator[str]:
    """Derived files that fail their checksums; each is built again as soon as it is needed."""
    for path in folder.derived:
        try:
            if path != folder.words:
                check_sealed(path)
            elif ranking.bm25.recorded:
                check_files(path)
        except FileNotFoundError:
            pass
        except (OSError, ValueError, KeyError, TypeError) as error:
            yield f"{path.name}: {error}; it is built again from the pages"


def _size(path: Path) -> int:
    try:
        return sum(map(_size, path.iterdir())) if path.is_dir() else path.stat().st_size
    except FileNotFoundError:
        return 0
