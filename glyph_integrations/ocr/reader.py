"""`Reader`: what an OCR engine must do here; and `CachedReader`, which reads no picture twice."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections import OrderedDict
from pathlib import Path
from typing import NamedTuple, Protocol, runtime_checkable

from PIL import Image

from ..errors import GlyphError


class Stretch(NamedTuple):
    """Text that an engine found in a picture, and its box in pixels."""

    text: str
    top: float
    bottom: float
    left: float = 0.0
    right: float = 0.0


@runtime_checkable
class Reader(Protocol):
    """An OCR engine.

    Attributes:
        name: engine, version and settings; equal names give equal readings of equal pictures.
        scripts: how the Unicode names of the letters it can read begin (``LATIN``, ``CJK``); empty if it does not say.
    """

    @property
    def name(self) -> str:  # noqa: D102
        ...

    @property
    def scripts(self) -> tuple[str, ...]:  # noqa: D102
        ...

    def read(self, image: Image.Image) -> list[Stretch]:
        """What stands in a grey picture. Stretches of one line come in the order in which that line is read."""
        ...


class CachedReader:
    """A reader that remembers what it read, by the hash of the picture. Threads wait for each other.

    Args:
        reader: the engine.
        folder: keep readings there too, one small JSON file a picture; made when needed. Default: in memory only.
        limit: how many readings are kept in memory, at least 1; those used longest ago go first.

    Raises:
        GlyphError: while reading: the folder cannot be written to.
    """

    def __init__(self, reader: Reader, folder: str | os.PathLike[str] | None = None, *, limit: int = 4096) -> None:
        self._reader = reader
        self._folder = None if folder is None else Path(folder)
        self._limit = limit
        self._known: OrderedDict[str, list[Stretch]] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        """That of the engine."""
        return self._reader.name

    @property
    def scripts(self) -> tuple[str, ...]:
        """Those of the engine."""
        return self._reader.scripts

    def read(self, image: Image.Image) -> list[Stretch]:
        """What the engine reads, now or the first time."""
        what = f"{self.name}\0{image.mode}{image.size}\0".encode() + image.tobytes()
        key = hashlib.blake2b(what, digest_size=16).hexdigest()
        with self._lock:
            if key not in self._known:
                file = self._folder / f"{key}.json" if self._folder else None
                found = _load(file) if file else None
                if found is None:
                    found = self._reader.read(image)
                    if file:
                        _save(file, found)
                self._known[key] = found
            self._known.move_to_end(key)
            while len(self._known) > self._limit:
                self._known.popitem(last=False)
            return list(self._known[key])


def _load(file: Path) -> list[Stretch] | None:
    try:
        found = json.loads(file.read_bytes())
        if type(found) is not list:
            return None
        return [Stretch(str(text), float(a), float(b), float(c), float(d)) for text, a, b, c, d in found]
    except (OSError, ValueError, TypeError):  # absent or damaged: read the picture again
        return None


def _save(file: Path, stretches: list[Stretch]) -> None:
    fresh = file.with_suffix(f".{os.getpid()}-{threading.get_ident()}.tmp")  # renamed when whole: several may share a folder
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        fresh.write_text(json.dumps(stretches, ensure_ascii=False), encoding="utf-8")
        fresh.replace(file)
    except OSError as error:
        raise GlyphError(f"what OCR read cannot be kept in {file.parent}: {error.strerror or error}") from error
