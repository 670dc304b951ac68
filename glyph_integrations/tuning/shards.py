"""Shards of training pairs on disk, each whole or not there, and the manifest that names them with their checksums."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import tarfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol

from ..errors import DocumentError, IndexLockedError
from ..index.durable import replacing
from ..index.lock import WriteLock

Format = Literal["sharegpt", "webdataset"]
MANIFEST = "manifest.json"
SUMS = "SHA256SUMS"
LOCK = ".lock"
_VERSION = 1


class Pair(NamedTuple):
    """A page as an example: its key, its picture, its values (with ``conversations`` and ``text``)."""

    key: str
    png: bytes
    values: dict[str, Any]


class Shard(NamedTuple):
    """A shard as the manifest has it.

    Attributes:
        name: of its file or folder.
        sha256: of its file; of a folder that of its ``SHA256SUMS``.
        bytes: of all its files.
        pairs: pages in it.
        skipped: pages passed over since the shard before (in the last one, also behind it), which have no text or one that
            cannot be used.
        next: where the next shard begins: document, style and page, each counted from 0.
    """

    name: str
    sha256: str
    bytes: int
    pairs: int
    skipped: int
    next: tuple[int, int, int]


class Manifest(NamedTuple):
    """What an export holds, and what it was made with.

    Attributes:
        settings: what must be the same for an export to be gone on with.
        shards: those that are whole, in order.
        complete: whether the last document was reached.
    """

    settings: dict[str, Any]
    shards: tuple[Shard, ...] = ()
    complete: bool = False

    @property
    def pairs(self) -> int:
        """Pages in all shards."""
        return sum(shard.pairs for shard in self.shards)

    def write(self, folder: Path) -> None:
        """Replace the manifest of a folder, on disk when this returns."""
        values = {
            "glyph_training_pairs": _VERSION, "settings": self.settings, "complete": self.complete, "pairs": self.pairs,
            "shards": [shard._asdict() for shard in self.shards],
        }  # fmt: skip
        with replacing(folder / MANIFEST) as file:
            file.write(_json(values, indent=1) + b"\n")

    @classmethod
    def read(cls, folder: Path) -> Manifest | None:
        """The manifest of a folder; None where there is none.

        Raises:
            DocumentError: it is damaged.
        """
        file = folder / MANIFEST
        try:
            values = json.loads(file.read_text(encoding="utf-8"))
            if values["glyph_training_pairs"] != _VERSION:
                raise ValueError(f"it is of version {values['glyph_training_pairs']!r}")
            shards = tuple(Shard(**{**shard, "next": tuple(shard["next"])}) for shard in values["shards"])
            return cls(dict(values["settings"]), shards, bool(values["complete"]))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise DocumentError(f"{file} cannot be read ({error}); choose another folder, or delete this one") from error


class ShardWriter(Protocol):
    """Takes pairs for a shard that is not there yet."""

    def add(self, pair: Pair) -> None:
        """Write a pair."""


def shard_name(number: int, format: Format) -> str:
    """``shard-00012``, or ``shard-00012.tar``."""
    return f"shard-{number:05}" + (".tar" if format == "webdataset" else "")


@contextmanager
def new_shard(folder: Path, name: str) -> Iterator[ShardWriter]:
    """A shard that appears under its name when the block ends without an error; otherwise nothing of it stays."""
    temporary = folder / f".{name}.{os.getpid()}.tmp"
    final = folder / name
    if name.endswith(".tar"):
        with replacing(final) as file, tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as tar:
            yield _Tar(tar)
        return
    try:
        temporary.mkdir()
        writer = _Folder(temporary, name)
        with open(temporary / "pairs.jsonl", "wb") as rows:
            writer.rows = rows
            yield writer
        (temporary / SUMS).write_bytes(_sums(temporary))
        if final.exists():  # finished by a run that was killed before the manifest said so
            shutil.rmtree(final)
        os.replace(temporary, final)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


class _Tar:
    """WebDataset: the files of a pair stand together, and share a name up to its first dot. Headers say nothing of when or by
    whom, so that equal pairs make equal shards."""

    def __init__(self, tar: tarfile.TarFile) -> None:
        self._tar = tar

    def add(self, pair: Pair) -> None:
        values = {key: value for key, value in pair.values.items() if key != "text"}
        for ending, data in (("png", pair.png), ("json", _json(values)), ("txt", pair.values["text"].encode())):
            entry = tarfile.TarInfo(f"{pair.key}.{ending}")
            entry.size = len(data)
            self._tar.addfile(entry, io.BytesIO(data))


class _Folder:
    """ShareGPT: rows of JSON beside the pictures they name by paths from the folder of the export."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder, self._name = folder, name
        self.rows: Any = None

    def add(self, pair: Pair) -> None:
        picture = f"{pair.key}.png"
        (self._folder / picture).write_bytes(pair.png)
        row = {"id": pair.key, "images": [f"{self._name}/{picture}"], **pair.values}
        self.rows.write(_json(row) + b"\n")


def _json(value: object, indent: int | None = None) -> bytes:
    """As UTF-8; what has no place in that, such as a byte of a file's name that is no UTF-8, as ``\\udcff``."""
    return json.dumps(value, ensure_ascii=False, indent=indent).encode("utf-8", "backslashreplace")


def size_of(folder: Path, name: str) -> int:
    """Bytes of a shard as it is on disk; 0 where there is none."""
    path = folder / name
    try:
        return sum(file.stat().st_size for file in (path.iterdir() if path.is_dir() else (path,)))
    except FileNotFoundError:
        return 0


def measured(folder: Path, name: str) -> tuple[str, int]:
    """Checksum and bytes of a shard, as the manifest has them."""
    path = folder / name
    whole = path / SUMS if path.is_dir() else path
    return _hash(whole), size_of(folder, name)


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Nobody else exports to a folder meanwhile.

    Raises:
        DocumentError: somebody does.
    """
    lock = WriteLock(folder / LOCK)
    try:
        lock.acquire()
    except IndexLockedError:
        raise DocumentError(f"another process exports to {folder}; wait for it, or choose another folder") from None
    try:
        yield
    finally:
        with suppress(OSError):  # it is in nobody's way
            (folder / LOCK).unlink()
        lock.release()


def clear_unfinished(folder: Path, whole: Iterable[Shard]) -> None:
    """Remove what an interrupted run left: temporary files, and shards that the manifest does not name."""
    known = {shard.name for shard in whole}
    for path in [*folder.glob(".shard-*.tmp"), *folder.glob("shard-*"), *folder.glob(f"{MANIFEST}.*.tmp")]:
        if path.name in known:
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def verify_pairs(folder: str | os.PathLike[str]) -> list[str]:
    """Read all shards of an export and compare their checksums; what is wrong, one line each.

    Raises:
        DocumentError: the folder holds no export, or its manifest is damaged.
    """
    folder = Path(folder)
    manifest = Manifest.read(folder)
    if manifest is None:
        raise DocumentError(f"{folder} holds no {MANIFEST}; nothing was exported there")
    wrong = [] if manifest.complete else ["the export is not complete: run it again to go on"]
    for shard in manifest.shards:
        path = folder / shard.name
        try:
            if path.is_dir() and (problem := _folder_problem(path)):
                wrong.append(f"{shard.name}: {problem}")
            elif measured(folder, shard.name) != (shard.sha256, shard.bytes):
                wrong.append(f"{shard.name}: its checksum is not the manifest's")
        except OSError as error:
            wrong.append(f"{shard.name}: {error.strerror or error}")
    return wrong


def _folder_problem(path: Path) -> str:
    said = (path / SUMS).read_bytes()
    found = _sums(path)
    if said == found:
        return ""
    lines = set(said.decode("utf-8", "replace").splitlines()) ^ set(found.decode().splitlines())
    differ = sorted({line.partition("  ")[2] for line in lines})
    return f"{', '.join(differ[:3]) or SUMS} {'and others differ' if differ[3:] else 'differs'}"


def _sums(folder: Path) -> bytes:
    """As ``sha256sum`` writes them."""
    files = sorted(file for file in folder.iterdir() if file.name != SUMS)
    return "".join(f"{_hash(file)}  {file.name}\n" for file in files).encode()


def _hash(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
