"""What was found out about one model by asking it: `Calibration`, a small file that changes the profile of its family."""

from __future__ import annotations

import json
import os
import re
import sys
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import ModelError, StyleError
from ..style import PageStyle

if TYPE_CHECKING:
    from .profile import VisionProfile

_FORMAT = 1
_BYTES = 1_000_000  # no calibration is larger


class Rung(NamedTuple):
    """A style that was tried: its ``tokens`` for 1,000 characters, and how many names of those ``asked`` were ``found``."""

    style: str
    tokens: float
    asked: int
    found: int


class Readback(NamedTuple):
    """An exact string as it was drawn, and as the model's answer has it (the whole answer, cut, where it has not)."""

    drawn: str
    read: str

    @property
    def exact(self) -> bool:
        """Whether every character is right."""
        return self.drawn == self.read


@dataclass(frozen=True)
class Calibration:
    """What `calibrate` found out about a model.

    Attributes:
        model: its name, as its server knows it.
        family: name of the `VisionProfile` that says how it counts.
        reads_pages: whether it answers from what only a picture shows.
        reason: why that was concluded, in a sentence.
        style: the cheapest style it reads, as a preset or a changed preset; of a model that reads no pages, the family's own.
        exact_strings: whether ids, hashes and numbers that were read from pages can be trusted; if not they are sent as text.
        calls: how often the model was asked.
        rungs: the styles that were tried, in the order in which they were.
        strings: the exact strings that were asked for.
    """

    model: str
    family: str
    reads_pages: bool
    reason: str
    style: str
    exact_strings: bool
    calls: int = 0
    rungs: tuple[Rung, ...] = ()
    strings: tuple[Readback, ...] = ()

    def apply(self, profile: VisionProfile) -> VisionProfile:
        """A profile with what was found in place of what is known of its family."""
        return replace(profile, style=self.style, reads_pages=self.reads_pages, exact_strings=self.exact_strings)

    def save(self, path: str | os.PathLike[str] | None = None) -> Path:
        """Write it as JSON, whole or not at all; without a path to `calibration_file`, where every later use of the model's
        name finds it. Returns the path.

        Raises:
            OSError: it cannot be written.
        """
        path = calibration_file(self.model) if path is None else Path(path)
        values = asdict(self)
        values["rungs"] = [rung._asdict() for rung in self.rungs]
        values["strings"] = [string._asdict() for string in self.strings]
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_name(f"{path.name}.{os.getpid()}.tmp")
        fresh.write_text(json.dumps({"glyph_calibration": _FORMAT, **values}, indent=2, ensure_ascii=False) + "\n", "utf-8")
        fresh.replace(path)
        return path

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Calibration:
        """What `save` wrote.

        Raises:
            ModelError: the file is missing, or is no calibration.
        """
        try:
            stat = os.stat(path)
            if stat.st_size > _BYTES:
                raise ValueError("it is too large")
            return _load(Path(path), stat.st_mtime_ns)
        except OSError as error:
            raise ModelError(f"cannot read calibration {path}: {error.strerror or error}") from error
        except (ValueError, TypeError, KeyError, RecursionError, StyleError) as error:
            raise ModelError(
                f"{path} is no calibration ({error}); delete it, or make it again with: glyph calibrate"
            ) from error


@lru_cache(maxsize=64)
def _load(path: Path, modified: int) -> Calibration:
    values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(values, dict) or values.pop("glyph_calibration", None) != _FORMAT:
        raise ValueError(f"its glyph_calibration is not {_FORMAT}")
    values["rungs"] = tuple(Rung(**rung) for rung in values.get("rungs", ()))
    values["strings"] = tuple(Readback(**string) for string in values.get("strings", ()))
    found = Calibration(**values)
    kinds = {"model": str, "family": str, "reason": str, "style": str, "reads_pages": bool, "exact_strings": bool}
    for name, kind in kinds.items():
        if not isinstance(getattr(found, name), kind):
            raise ValueError(f"its {name} is {getattr(found, name)!r}")
    PageStyle.parse(found.style)
    return found


def calibration_folder() -> Path:
    """Where calibrations are kept: ``GLYPH_CALIBRATIONS``, or a folder of this user's settings."""
    if given := os.environ.get("GLYPH_CALIBRATIONS"):
        return Path(given)
    if sys.platform == "win32":
        base = os.environ.get("APPDATA") or Path.home() / "AppData" / "Roaming"
    else:
        base = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(base) / "glyph" / "calibrations"


def calibration_file(model: str) -> Path:
    """Where the calibration of a model is kept: by the last part of its name, in lower case, as its family is known by. Where
    that cannot be a file's name, a hash tells it from others that would look the same."""
    from .profile import checkpoint_name

    name = checkpoint_name(model).casefold()
    plain = re.sub(r"[^a-z0-9._-]+", "_", name)
    mark = "" if plain == name else f"-{blake2b(name.encode('utf-8', 'surrogatepass'), digest_size=4).hexdigest()}"
    return calibration_folder() / f"{plain}{mark}.json"


def stored_calibration(model: str) -> Calibration | None:
    """The calibration of a model that this user made; None without one.

    Raises:
        ModelError: there is a file, but it is no calibration.
    """
    try:
        file = calibration_file(model)
        return Calibration.load(file) if file.is_file() else None
    except (OSError, RuntimeError, ValueError):  # a name that cannot be a file's; a user without a home
        return None
