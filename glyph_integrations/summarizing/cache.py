"""Answers kept on disk, so that what was summarized once is not summarized again."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ..index.durable import checked_json, from_checked_json, replacing
from ..reading import PageModel, PagePart, TextPart, Turn

_log = logging.getLogger("glyph_integrations")


class AnswerCache:
    """A folder of small JSON files, each with a checksum, written whole or not at all; several processes may share one.

    A file that is damaged counts as absent. When the folder cannot be written (a full disk), a warning says so once, and the
    work goes on without.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self._folder = Path(folder)
        self._warned = False

    def get(self, key: str) -> str | None:
        """The answer under a key."""
        try:
            answer = from_checked_json(self._file(key).read_bytes())
        except (OSError, ValueError):
            return None
        return answer if isinstance(answer, str) else None

    def put(self, key: str, answer: str) -> None:
        """Keep an answer."""
        file = self._file(key)
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            with replacing(file, sync=False) as out:
                out.write(checked_json(answer))
        except OSError as error:
            if not self._warned:
                self._warned = True
                _log.warning("answers are not kept: %s: %s", self._folder, error.strerror or error)

    def _file(self, key: str) -> Path:
        return self._folder / key[:2] / f"{key}.json"


def key_of(model: PageModel, turns: Iterable[Turn], limit: int) -> str:
    """A hash of the model's name and settings and of everything it is sent: all words, and of pages the content and how they
    are drawn. Numbers of pages are part of neither, so that a page inserted before them changes nothing."""
    said: list[str] = [_identity(model), str(limit)]
    for turn in turns:
        said.append(turn.role)
        for part in turn.parts:
            if isinstance(part, TextPart):
                said.append(part.text)
            elif isinstance(part, PagePart):
                said.append(f"{part.page.content_hash} {part.dpi} {part.lines}")
    digest = hashlib.blake2b(digest_size=16)
    for text in said:
        data = text.encode("utf-8", "surrogatepass")
        digest.update(b"%d:" % len(data) + data)
    return digest.hexdigest()


def _identity(model: PageModel) -> str:
    def plain(value: Any) -> bool:
        if isinstance(value, dict):
            return all(map(plain, value.values()))
        return value is None or isinstance(value, str | int | float)

    settings = {key: value for key, value in vars(model).items() if not key.startswith("_") and plain(value)}
    return f"{type(model).__name__} {model.name} {model.vision!r} {sorted(settings.items(), key=lambda item: item[0])}"
