"""Paths, folders and patterns to files, and the names of documents found there."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from ..errors import DocumentError
from ..page import normalize_source


def find_files(where: str | os.PathLike[str]) -> Iterator[Path]:
    """The files that a path stands for, in a stable order: a file itself; all files below a folder; the matches of a
    pattern such as ``docs/**/*.md``.

    Hidden files and folders are left out, and so are links that lead outside the folder (or the fixed part of the pattern).

    Raises:
        DocumentError: nothing is there, nothing matches, or a folder cannot be listed.
    """
    path = Path(where)
    base, pattern = _split(path)
    try:
        if path.is_file():
            return iter((path,))
        if path.is_dir():
            return _some(_walk(path), f"folder {path} holds no files")
        if pattern and base.is_dir():
            return _some(_matches(base, pattern), f"no file matches {path}")
    except (OSError, ValueError) as error:
        raise DocumentError(f"cannot look at {where}: {error}") from error
    raise DocumentError(f"{path} does not exist; check the path")


def source_name(file: str | os.PathLike[str], where: str | os.PathLike[str]) -> str:
    """The document name of a file that `find_files` found: relative to the folder (or to the fixed part of the pattern) with
    forward slashes; the file's own name where a single file was given."""
    file, path = Path(file), Path(where)
    base = path if path.is_dir() else _split(path)[0]
    return normalize_source(file.relative_to(base).as_posix() if file.is_relative_to(base) else file.name)


def _split(path: Path) -> tuple[Path, str]:
    # the fixed part of a pattern, and the rest; for a plain path its folder and nothing
    parts = path.parts
    first = next((i for i, part in enumerate(parts) if re.search(r"[*?\[]", part)), None)
    if first is None or path.exists():
        return path.parent, ""
    return Path(*parts[:first]), "/".join(parts[first:])


def _some(files: Iterator[Path], otherwise: str) -> Iterator[Path]:
    file = None
    for file in files:
        yield file
    if file is None:
        raise DocumentError(otherwise)


def _walk(folder: Path) -> Iterator[Path]:
    def refuse(error: OSError) -> None:
        raise DocumentError(f"cannot list {error.filename}: {error.strerror or error}") from error

    root = folder.resolve()
    for at, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            file = Path(at, name)
            if not name.startswith(".") and _inside(file, root):
                yield file


def _matches(base: Path, pattern: str) -> Iterator[Path]:
    root = base.resolve()
    for file in sorted(base.glob(pattern)):
        hidden = any(part.startswith(".") for part in file.relative_to(base).parts)
        if not hidden and _inside(file, root):
            yield file


def _inside(file: Path, root: Path) -> bool:
    return file.is_file() and file.resolve().is_relative_to(root)
