"""Saving what is sound of a damaged index: every page and vector that passes its checksum goes into a new database."""

from __future__ import annotations

import json
import os
import shutil
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from ..embedding import Embedder, LexicalEmbedder
from ..embedding.embedder import checked_vectors
from ..errors import GlyphError, IndexCorruptError, IndexMismatchError
from .durable import replacing, sync_folder
from .folder import IndexFolder
from .progress import progress_bar
from .record import Made
from .salvage import LostPage, Salvage
from .store import SCHEMA, Store


@dataclass(frozen=True)
class Repaired:
    """What `PageIndex.repair` did.

    Attributes:
        kept: number of pages saved.
        lost: pages that were not.
        complete: whether the head file confirms that there were no other pages and no later writes.
        damaged: folder with the files as they were.
    """

    kept: int
    lost: tuple[LostPage, ...]
    complete: bool
    damaged: Path

    @property
    def sources(self) -> list[str]:
        """Sources of lost pages, where they can still be read."""
        return sorted({page.source for page in self.lost if page.source is not None})

    @property
    def advice(self) -> str:
        """What to do next, on one line."""
        steps = []
        if self.sources:
            named = ", ".join(self.sources[:10]) + (f" and {len(self.sources) - 10} more" if self.sources[10:] else "")
            steps.append(f"add these sources again: {named}")
        if not self.complete:
            steps.append("the last writes may be missing, and pages deleted last may be back")
        if not self.complete or any(page.source is None for page in self.lost):
            steps.append("sync all sources again, what is unchanged costs nothing")
        return "; ".join([*(steps or ["nothing was lost"]), f"the files as they were are in {self.damaged}"])


def repair(path: Path, embedder: Embedder | None = None, progress: bool | None = False) -> Repaired:
    """See `PageIndex.repair`."""
    folder = IndexFolder(path)
    if not folder.exists and not folder.repaired.exists():
        raise IndexCorruptError(f"{path} holds no page index, so there is nothing to repair")
    if not folder.repaired.exists() and not folder.database.is_file():
        raise IndexCorruptError(f"{folder.database} is missing, so there is nothing to save; index again")
    try:
        with folder.lock.holding():
            if not folder.repaired.exists():  # else the last repair was interrupted while the files changed places
                _rebuild(folder, embedder, progress)
            return _swap(folder)
    except OSError as error:
        raise GlyphError(f"{path} cannot be repaired: {error.strerror or error}") from error


def _rebuild(folder: IndexFolder, embedder: Embedder | None, progress: bool | None) -> None:
    """Make a whole new index in the folder ``repaired``, which is not there before it is finished."""
    work = folder.path / "repaired.tmp"
    shutil.rmtree(work, ignore_errors=True)
    (work / "copy").mkdir(parents=True)
    try:
        new = IndexFolder(work / "new")
        with closing(Salvage.of(folder.database, work / "copy")) as old:
            made = _made(folder, old, embedder)
            with closing(new.open(lambda name: made._replace(name=name))) as store:
                rows = _save(old, store, made, embedder, progress)
            lost = old.lost(rows)
            complete = old.complete(folder.head, len(rows) + len(lost))
        if new.database.with_name(new.database.name + "-wal").exists():
            raise GlyphError(f"{new.database} cannot be finished; is the disk full?")
        with replacing(new.path / "report.json") as file:
            file.write(json.dumps({"kept": len(rows), "lost": lost, "complete": complete}).encode())
        os.replace(new.path, folder.repaired)
        sync_folder(folder.path)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _made(folder: IndexFolder, old: Salvage, embedder: Embedder | None) -> Made:
    mine = Made("", SCHEMA, embedder.name, embedder.revision, embedder.dim, embedder.metric) if embedder else None
    try:
        made = old.made()
    except IndexCorruptError:
        if mine is None:
            message = f"what {folder.path} was made of cannot be read; call PageIndex.repair with the embedder it was made with"
            raise IndexCorruptError(message) from None
        return mine
    if mine and mine._replace(precision=made.precision)[2:] != made[2:]:
        raise IndexMismatchError(f"{folder.path} was made with {made}, not with {mine}; repair it with that")
    return made


def _save(old: Salvage, store: Store, made: Made, embedder: Embedder | None, progress: bool | None) -> set[int]:
    """Write what is sound to a new database; returns the rows it had in the old one."""
    stored = embedder.stored if embedder else made.embedder != LexicalEmbedder.name
    kept: set[int] = set()
    with progress_bar("Repairing", old.pages(), progress) as seen:
        for records in old.records():
            vectors = old.vectors({record.content for record in records.values()}, made.form) if stored else {}
            if stored and embedder:
                missing = {r.content: r.page() for r in records.values() if r.content not in vectors}
                again = embedder.embed_pages(list(missing.values())) if missing else []
                vectors |= dict(zip(missing, checked_vectors(embedder, again, len(missing)), strict=True))
            sound = {row: record for row, record in records.items() if not stored or record.content in vectors}
            with store.transaction():
                for record in sound.values():
                    store.put(record)
                for content in {record.content for record in sound.values()} & vectors.keys():
                    store.vectors.put(content, vectors[content], made.form)
            kept |= sound.keys()
            seen(len(records))
    return kept


def _swap(folder: IndexFolder) -> Repaired:
    """Put the files of ``repaired`` in place of the damaged ones. When interrupted, it can go on; until then nothing opens."""
    new = IndexFolder(folder.repaired)
    report = new.path / "report.json"
    damaged = folder.path / f"damaged-{datetime.fromtimestamp(report.stat().st_mtime):%Y%m%d-%H%M%S}"
    damaged.mkdir(exist_ok=True)
    if new.database.exists():
        for path in (*(Path(f"{folder.database}{suffix}") for suffix in ("-wal", "-shm", "")), folder.head):
            with suppress(FileNotFoundError):
                os.replace(path, damaged / path.name)
        for path in folder.derived:
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        os.replace(new.database, folder.database)
    with suppress(FileNotFoundError):
        os.replace(new.head, folder.head)
    data = json.loads(report.read_bytes())
    sync_folder(folder.path)
    shutil.rmtree(new.path)
    return Repaired(data["kept"], tuple(LostPage(*page) for page in data["lost"]), data["complete"], damaged)
