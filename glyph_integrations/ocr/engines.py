"""OCR engines: RapidOCR (extra ``ocr``; its models come in its wheel) and Tesseract (the program, where it is installed)."""

from __future__ import annotations

import csv
import io
import os
import re
import shutil
import subprocess
import threading
from importlib.metadata import version
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from ..errors import MissingExtraError, ModelError
from .reader import Reader, Stretch

_TIMEOUT = 300  # seconds for one picture
_LOWEST = 320  # pixels


class RapidOcrReader:
    """RapidOCR with the models of its wheel (PP-OCRv6 small): Latin, Chinese and Japanese script. Nothing is downloaded.

    About 0.4 s of one core a line of 588 pixels at twice its size. One picture at a time: threads wait for each other.

    Args:
        threads: of the engine, for one picture. None: as onnxruntime decides. Several processes with
            one thread each read more in the same time.

    Raises:
        MissingExtraError: rapidocr or onnxruntime is not installed.
    """

    scripts: tuple[str, ...] = ("LATIN", "CJK", "HIRAGANA", "KATAKANA")

    def __init__(self, threads: int | None = None) -> None:
        for package in ("rapidocr", "onnxruntime"):
            try:
                __import__(package)
            except ImportError:
                raise MissingExtraError(package, "ocr") from None
        from rapidocr import RapidOCR

        # Pages stand upright, are not to be shrunk, and a doubtful reading is a reading. The detector keeps its own habit of
        # enlarging a picture to 736 pixels in height: without it, tight lines of Chinese are lost.
        settings: dict[str, Any] = {
            "Global.log_level": "error",
            "Global.use_cls": False,
            "Global.text_score": 0.0,
            "Global.max_side_len": 4000,
        }
        if threads is not None:
            settings["EngineConfig.onnxruntime.intra_op_num_threads"] = threads
        self._engine: Any = RapidOCR(params=settings)
        self._lock = threading.Lock()
        self.name = f"rapidocr {version('rapidocr')}"

    def read(self, image: Image.Image) -> list[Stretch]:
        """What stands in a picture, from left to right within a line."""
        if image.height < _LOWEST:  # or the detector would enlarge it more, and take longer than for a higher one
            image = ImageOps.expand(image, (0, 0, 0, _LOWEST - image.height), image.getpixel((0, 0)))  # type: ignore[arg-type]
        with self._lock:
            result = self._engine(np.asarray(image.convert("RGB")))
        if result.boxes is None or not result.txts:
            return []
        found = []
        for box, text in zip(result.boxes.tolist(), result.txts, strict=True):
            xs, ys = zip(*box, strict=True)
            found.append(Stretch(text, min(ys), max(ys), min(xs), max(xs)))
        return sorted(found, key=lambda stretch: stretch.left)


class TesseractReader:
    """The ``tesseract`` program.

    Args:
        language: its language packs, such as ``eng``, ``ara`` or ``chi_sim+eng``.

    Raises:
        ModelError: the program or the pack is not installed.
    """

    scripts: tuple[str, ...] = ()

    def __init__(self, language: str = "eng") -> None:
        program = shutil.which("tesseract")
        if program is None:
            raise ModelError("the program tesseract is not installed; install it (Debian: tesseract-ocr), or use rapidocr")
        self._program = program
        packs = self._run(["--list-langs"]).decode("utf-8", "replace").splitlines()[1:]
        if unknown := sorted(set(language.split("+")) - {*packs}):
            raise ModelError(
                f"tesseract has no language pack {', '.join(unknown)}; installed: {', '.join(packs)} "
                "(Debian: install tesseract-ocr-NAME)"
            )
        self._language = language
        first = self._run(["--version"]).decode("utf-8", "replace").splitlines()[0]
        self.name = f"{first} {language}"

    def read(self, image: Image.Image) -> list[Stretch]:
        """What stands in a picture, taken as one block of text; a stretch a line, in logical order."""
        png = io.BytesIO()
        image.save(png, "PNG")
        table = self._run(["stdin", "stdout", "-l", self._language, "--psm", "6", "tsv"], png.getvalue())
        rows = csv.DictReader(io.StringIO(table.decode("utf-8", "replace")), delimiter="\t", quoting=csv.QUOTE_NONE)
        lines: dict[tuple[str, ...], list[Stretch]] = {}
        for row in rows:
            if row["level"] == "5" and row["text"].strip():  # a word; those of a line come in reading order
                key = (row["page_num"], row["block_num"], row["par_num"], row["line_num"])
                left, top = int(row["left"]), int(row["top"])
                word = Stretch(row["text"], top, top + int(row["height"]), left, left + int(row["width"]))
                lines.setdefault(key, []).append(word)
        return [_line(words) for words in lines.values()]

    def _run(self, arguments: list[str], data: bytes = b"") -> bytes:
        alone = {**os.environ, "OMP_THREAD_LIMIT": "1"}  # its threads cost more than they bring on small pictures
        try:
            done = subprocess.run(
                [self._program, *arguments], input=data, capture_output=True, timeout=_TIMEOUT, check=False, env=alone
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ModelError(f"tesseract failed: {error}") from error
        if done.returncode:
            said = " ".join(done.stderr.decode("utf-8", "replace").split())
            raise ModelError(f"tesseract failed: {said or f'exit code {done.returncode}'}")
        return done.stdout


def _line(words: list[Stretch]) -> Stretch:
    texts, tops, bottoms, lefts, rights = zip(*words, strict=True)
    return Stretch(" ".join(texts), min(tops), max(bottoms), min(lefts), max(rights))


def open_reader(name: str, threads: int | None = None) -> Reader:
    """The engine of a name: ``rapidocr``, ``tesseract`` (English) or ``tesseract:LANGUAGE``.

    Args:
        threads: see `RapidOcrReader`; Tesseract has one.

    Raises:
        ModelError: no such engine, or its program or language pack is not installed.
        MissingExtraError: its package is not installed.
    """
    if name == "rapidocr":
        return RapidOcrReader(threads)
    if match := re.fullmatch(r"tesseract(?::([\w+/]+))?", name):
        return TesseractReader(match[1] or "eng")
    raise ModelError(f"unknown OCR engine {name!r}; known: rapidocr, tesseract:LANGUAGE (such as tesseract:ara)")
