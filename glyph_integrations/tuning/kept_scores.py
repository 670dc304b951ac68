"""Scores and advice kept in a folder, so that a search that was interrupted goes on where it stopped."""

from __future__ import annotations

import hashlib
import json
import math
import os
from pathlib import Path
from typing import Any

from ..style import PageStyle
from .evaluator import Evaluator, Score
from .sample import Sample


class KeptScores:
    """Small JSON files, named by a hash of style, text and evaluator.

    Args:
        folder: made when needed. None: nothing is kept on disk.
    """

    def __init__(self, folder: str | os.PathLike[str] | None) -> None:
        self._folder = None if folder is None else Path(folder)

    def score(self, style: PageStyle, sample: Sample, evaluator: Evaluator) -> Score | None:
        """The score kept; None if there is none, or the file is damaged."""
        found = self._load(self._name("score", str(style), sample.key, evaluator.name))
        if found is None:
            return None
        try:
            score = Score(float(found["error"]), float(found["standard_error"]), int(found["calls"]), dict(found["detail"]))
        except (KeyError, TypeError, ValueError):
            return None
        return score if 0 <= score.error <= 1 and math.isfinite(score.standard_error) else None

    def keep_score(self, style: PageStyle, sample: Sample, evaluator: Evaluator, score: Score) -> None:
        """Keep a score."""
        name = self._name("score", str(style), sample.key, evaluator.name)
        values = {"style": str(style), "evaluator": evaluator.name, "error": float(score.error)}
        rest = {"standard_error": float(score.standard_error), "calls": int(score.calls), "detail": score.detail}
        self._save(name, {**values, **rest})

    def answer(self, prompt: str) -> str | None:
        """An advisor's answer to a prompt."""
        found = self._load(self._name("advice", prompt))
        text = found.get("answer") if found else None
        return text if isinstance(text, str) else None

    def keep_answer(self, prompt: str, answer: str) -> None:
        """Keep an advisor's answer."""
        self._save(self._name("advice", prompt), {"answer": answer})

    @staticmethod
    def _name(*parts: str) -> str:
        what = "\0".join(parts).encode("utf-8", "surrogatepass")
        return f"{hashlib.blake2b(what, digest_size=16).hexdigest()}.json"

    def _load(self, name: str) -> dict[str, Any] | None:
        if self._folder is None:
            return None
        try:
            found = json.loads((self._folder / name).read_bytes())
        except (OSError, ValueError):  # absent or damaged: score it again
            return None
        return found if isinstance(found, dict) else None

    def _save(self, name: str, values: dict[str, Any]) -> None:
        if self._folder is None:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        fresh = self._folder / f"{name}.{os.getpid()}.tmp"  # renamed when whole, so that two processes may share a folder
        fresh.write_text(json.dumps(values, default=str), encoding="utf-8")  # an evaluator's detail may hold anything
        fresh.replace(self._folder / name)
