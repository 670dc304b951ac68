"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..errors import DocumentError


@contextmanager
def staged(folder: Path) -> Iterator[Path]:
    """A temporary folder whose files move to ``folder`` when the block ends, each by one rename, replacing files of the same
    name. When the block fails or is interrupted nothing of it stays, nor a folder made for it.

    Raises:
        DocumentError: the folder cannot be made.
    """
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        stage = Path(tempfile.mkdtemp(prefix=".glyph-", dir=folder))
    except OSError as error:
        _remove_empty(made)
        raise DocumentError(f"cannot write to folder {folder}: {error.strerror or error}; choose another with -o") from error
    try:
        yield stage
        for file in sorted(stage.iterdir()):
            os.replace(file, folder / file.name)
    except BaseException:
        shutil.rmtree(stage, ignore_errors=True)
        _remove_empty(made)
        raise
    stage.rmdir()


def _remove_empty(folders: list[Path]) -> None:
    for path in folders:
        with suppress(OSError):
            path.rmdir()


def file_stem(source: str) -> str:
    """A document's name as the beginning of a file name: no folders, nothing a file system or a shell stumbles over."""
    return re.sub(r"[^\w-]+", "_", source.rsplit(".", 1)[0]).strip("_")[-60:]
