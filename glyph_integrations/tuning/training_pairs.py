"""Pages of documents with their text and questions about them, for people who train a model on their own documents."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from itertools import islice, takewhile
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import DocumentError
from ..page import Page
from ..rendering import Renderer
from ..sources import find_files, open_document, source_name
from ..style import PageStyle
from ..vision import VisionProfile
from .pair_tasks import TEMPLATES, Templates, checked_templates, exchanges, page_text
from .shards import (
    LOCK,
    MANIFEST,
    Format,
    Manifest,
    Pair,
    Shard,
    clear_unfinished,
    measured,
    new_shard,
    shard_name,
    size_of,
    writing,
)

STYLES = ("glyph-72", "glyph-96", "dense-72")
"""Styles that every document is drawn in, unless others are named."""

_Place = tuple[int, int, int]  # of a page: document, style, page, each from 0


class _Drawn(NamedTuple):
    place: _Place
    page: Page


def export_pairs(
    paths: Iterable[str | os.PathLike[str]],
    folder: str | os.PathLike[str],
    format: Format = "sharegpt",
    *,
    styles: Sequence[PageStyle | str] = STYLES,
    templates: Templates = TEMPLATES,
    vision: VisionProfile | str | None = None,
    shard: int = 500,
    seed: int = 0,
    encoding: str | None = None,
    told: Callable[[str, int], None] = lambda document, pairs: None,
) -> Manifest:
    """Draw the pages of documents in several styles, and write each with its text and a few tasks.

    ``sharegpt`` makes folders ``shard-00000/`` with ``pairs.jsonl`` and the pictures; rows have ``conversations`` (``from``
    ``human`` and ``gpt``, the first with ``<image>``) and ``images``, as LLaMA-Factory and others read them. ``webdataset``
    makes ``shard-00000.tar`` with ``KEY.png``, ``KEY.json`` and ``KEY.txt`` for each page.

    Documents are read one after the other and pages drawn as they are written, so memory does not grow with them. A shard
    appears when it is whole; ``manifest.json`` names the whole ones, with checksums. The same call on the same folder goes on
    behind the last of these, or from the first that is gone or cut short. Equal arguments make equal files.

    A page of a PDF or an image is taken once, as it is in its file. Pages without text, and pages whose text holds
    ``<image>`` or the like, are passed over and counted.

    Args:
        paths: files, folders, patterns such as ``docs/**/*.md``; in folders, what is no document is passed over.
        folder: made if need be; empty, or with an export of the same settings. What it holds is no document.
        format: ``sharegpt`` or ``webdataset``.
        styles: to draw each document in; presets, changed presets or styles.
        templates: tasks and their phrasings; see `TEMPLATES` and `read_templates`.
        vision: the model to be trained, or its name: pages are padded to its grid.
        shard: pages of a shard, at least 1.
        seed: of phrasings, lines and sentences.
        encoding: of texts; see `open_document`.
        told: called after each page with its document's name and the number of pages so far.

    Returns:
        The manifest.

    Raises:
        DocumentError: no document can be read; the folder holds something else, or an export made with other settings, or
            another process exports to it.
        StyleError: an unknown style.
        ValueError: an unknown format, no style, or ``shard`` below 1.
    """
    if format not in ("sharegpt", "webdataset"):
        raise ValueError(f"format={format!r}: choose sharegpt or webdataset")
    if shard < 1 or not styles:
        raise ValueError(f"shard={shard}, styles={list(styles)}: at least one page, and one style")
    chosen = [style if isinstance(style, PageStyle) else PageStyle.parse(style) for style in styles]
    templates = checked_templates(dict(templates))
    profile = None if vision is None else VisionProfile.get(vision)
    folder = Path(folder)
    files = _files(paths, encoding, folder)
    settings = {
        "format": format, "styles": [str(style) for style in chosen], "shard": shard, "seed": seed,
        "grid": profile.grid if profile else 1, "templates": {task: list(phrasings) for task, phrasings in templates.items()},
        "documents": len(files), "documents_sha256": _fingerprint(files), "encoding": encoding or "",
    }  # fmt: skip
    _check_folder(folder)
    with writing(folder):
        manifest = _opened(folder, settings)
        if manifest.complete:
            return manifest
        return _exported(_Export(files, chosen, templates, profile, seed, encoding), folder, manifest, told)


def _exported(export: _Export, folder: Path, manifest: Manifest, told: Callable[[str, int], None]) -> Manifest:
    """Write the shards that the manifest does not name."""
    format, shard = manifest.settings["format"], manifest.settings["shard"]
    start = manifest.shards[-1].next if manifest.shards else (0, 0, 0)
    pairs = export.pairs(start, manifest.pairs)
    while True:
        first = next(pairs, None)
        if first is None:
            break
        name = shard_name(len(manifest.shards), format)
        count = 0
        with new_shard(folder, name) as writer:
            for pair in _chain(first, islice(pairs, shard - 1)):
                writer.add(pair)
                count += 1
                told(pair.values["source"], manifest.pairs + count)
        sha256, size = measured(folder, name)
        made = Shard(name, sha256, size, count, export.take_skipped(), export.next)
        manifest = manifest._replace(shards=(*manifest.shards, made))
        manifest.write(folder)
    if not manifest.shards:
        raise DocumentError("nothing to export: no page of these documents has text")
    *others, last = manifest.shards
    last = last._replace(skipped=last.skipped + export.take_skipped())  # behind its last page
    manifest = manifest._replace(shards=(*others, last), complete=True)
    manifest.write(folder)
    return manifest


class _Export:
    """Pages from a place on, as pairs. ``next`` is the place behind the last pair that was taken."""

    def __init__(
        self, files: Sequence[tuple[str, Path]], styles: Sequence[PageStyle], templates: Templates,
        vision: VisionProfile | None, seed: int, encoding: str | None,
    ) -> None:  # fmt: skip
        self._files, self._styles, self._templates, self._vision, self._seed = files, styles, templates, vision, seed
        self._encoding = encoding
        self._skipped = 0
        self.next: _Place = (0, 0, 0)
        self._renderer = cache(Renderer)  # one for each style, with its glyphs

    def take_skipped(self) -> int:
        """Pages passed over since this was last asked."""
        skipped, self._skipped = self._skipped, 0
        return skipped

    def pairs(self, start: _Place, number: int) -> Iterator[Pair]:
        """The pairs from a place on, numbered from ``number``."""
        self.next = start
        for place, page in self._pages(start):
            pair = self._pair(page, number)
            self.next = (place[0], place[1], place[2] + 1)
            if pair is None:
                self._skipped += 1
            else:
                number += 1
                yield pair

    def _pages(self, start: _Place) -> Iterator[_Drawn]:
        for at in range(start[0], len(self._files)):
            name, path = self._files[at]
            document = open_document(path, name=name, encoding=self._encoding)
            styles = self._styles[:1] if document.pages else self._styles
            for kind, style in enumerate(styles):
                if (at, kind) < start[:2]:
                    continue
                known = start[2] if (at, kind) == start[:2] else 0
                pages = self._renderer(style).paginate(document)
                yield from (_Drawn((at, kind, n), page) for n, page in enumerate(pages) if n >= known)

    def _pair(self, page: Page, number: int) -> Pair | None:
        made = exchanges(page, self._templates, self._seed)
        if not made:
            return None
        png = self._renderer(self._styles[0]).png(page, vision=self._vision)
        conversations: list[dict[str, str]] = []
        for exchange in made:
            mark = "" if conversations else "<image>\n"
            conversations.append({"from": "human", "value": mark + exchange.question})
            conversations.append({"from": "gpt", "value": exchange.answer})
        values: dict[str, Any] = {
            "conversations": conversations, "tasks": [exchange.task for exchange in made], "text": page_text(page),
            "source": page.source, "page": page.number, "start": page.start, "end": page.end, "style": str(page.style),
            "page_id": page.id,
        }  # fmt: skip
        return Pair(f"{number:08}", png, values)


def _chain(first: Pair, others: Iterator[Pair]) -> Iterator[Pair]:
    yield first
    yield from others


def _files(paths: Iterable[str | os.PathLike[str]], encoding: str | None, folder: Path) -> list[tuple[str, Path]]:
    """Names and files of all documents that can be read, in a stable order; without what an export left in ``folder``."""
    found: dict[str, Path] = {}
    refused = ""
    made = folder.resolve() if (folder / MANIFEST).is_file() else None
    for where in paths:
        for file in find_files(where):
            if made and file.resolve().is_relative_to(made):
                continue
            name = source_name(file, where)
            if name in found and not found[name].samefile(file):
                raise DocumentError(f"{found[name]} and {file} would both be named {name}; export a folder that holds both")
            try:
                open_document(file, name=name, encoding=encoding)
                found[name] = file
            except DocumentError as error:
                if Path(where).is_file():  # named, not met on the way
                    raise
                refused = refused or str(error)
    if not found:
        raise DocumentError(f"nothing to export: {refused or 'no paths were given'}")
    return sorted(found.items())


def _fingerprint(files: Sequence[tuple[str, Path]]) -> str:
    """Of the documents' names and contents."""
    whole = hashlib.sha256()
    for name, path in files:
        with open(path, "rb") as file:
            line = f"{name}\0{hashlib.file_digest(file, 'sha256').hexdigest()}\n"
            whole.update(line.encode("utf-8", "surrogatepass"))
    return whole.hexdigest()


def _check_folder(folder: Path) -> None:
    """Make the folder.

    Raises:
        DocumentError: it cannot be made, or holds something else.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        present = {path.name for path in folder.iterdir()} - {LOCK}
    except OSError as error:
        raise DocumentError(f"cannot write to folder {folder}: {error.strerror or error}; choose another") from error
    if present and MANIFEST not in present:
        raise DocumentError(f"{folder} holds other files; choose an empty folder")


def _opened(folder: Path, settings: dict[str, Any]) -> Manifest:
    """The manifest to go on with; leftovers of an interrupted run are removed, and shards from the first that is not whole.

    Raises:
        DocumentError: it was made with other settings.
    """
    manifest = Manifest.read(folder)
    if manifest is None:
        manifest = Manifest(settings)
        manifest.write(folder)
    if manifest.settings != json.loads(json.dumps(settings)):
        differ = sorted(key for key in settings if manifest.settings.get(key) != settings[key])
        raise DocumentError(
            f"{folder} was exported with another {', '.join(differ).replace('documents_sha256', 'content of documents')}; "
            "choose another folder"
        )
    whole = tuple(takewhile(lambda shard: size_of(folder, shard.name) == shard.bytes, manifest.shards))
    if whole != manifest.shards:
        manifest = manifest._replace(shards=whole, complete=False)
        manifest.write(folder)
    clear_unfinished(folder, whole)
    return manifest
