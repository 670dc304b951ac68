"""What a picture costs a model: `VisionProfile`, and finding the one of a model by its name."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from ..errors import UnknownModelError
from .chat import ChatForm
from .counting import Counting


@dataclass(frozen=True)
class VisionProfile:
    """How one family of vision-language models sees pictures, and what they cost it.

    Pixel limits are those published for the family. A checkpoint or server with others of its own is described by
    ``dataclasses.replace(profile, counting=dataclasses.replace(profile.counting, max_pixels=...))``.

    Attributes:
        name: of the family, such as ``glyph`` or ``qwen2.5-vl``.
        counting: from a picture's size to prompt tokens; it holds the pixel limits and the source of the formula.
        native: whether the model sees every page pixel as drawn: nothing is resampled within the pixel limits when both
            sides are multiples of `grid`. False where ordinary page sizes are shrunk or cut into tiles.
            Never true of a hosted model, where it cannot be checked.
        style: the recommended `PageStyle`: a preset, or a changed preset as `PageStyle.parse` reads it.
        context_window: tokens of prompt and answer together, by the model's own configuration; None if unknown.
        max_images: most pictures in one prompt; None if only the context window limits them.
        source: where the rule of a hosted model, or of one that only servers run, is published; it is not verified here.
            None: the rule is that of the model's own processor, and is tested against it.
        chat: what the family's models write besides their answer, what ends it, and how a transcriber is asked.
        processor: the class of transformers that the family's checkpoints load; one whose name says nothing is known by it.
        reads_pages: False where a `Calibration` found that a model does not answer from pages: it is sent text.
        exact_strings: True where a `Calibration` found that ids, hashes and numbers read from pages can be trusted: they are
            not sent as text beside the pages then.
        pattern: regular expression that matches the start of the last part of a model's name, in lower case.
    """

    name: str
    counting: Counting
    native: bool
    style: str = "glyph-96"
    context_window: int | None = None
    max_images: int | None = None
    source: str | None = None
    chat: ChatForm = field(default_factory=ChatForm)
    processor: str | None = None
    reads_pages: bool = True
    exact_strings: bool = False
    pattern: str = ""

    @property
    def grid(self) -> int:
        """Pages are padded to multiples of this many pixels; models with `native` do not resample them then."""
        return self.counting.grid

    @property
    def verified(self) -> bool:
        """Whether counts are those of the model's own processor, to the token; False: by a published rule, not verified."""
        return self.source is None

    def count(self, width: int, height: int) -> int:
        """Every prompt token that a picture of this size (pixels) adds: its patches and the tokens that enclose them.

        Marks that begin and end a picture, a row or a tile count, and so do newlines that the processor itself puts between
        tiles. What a chat template puts between pictures (labels, newlines) is text, and is not counted here.

        Raises:
            PictureSizeError: a side is not positive, or the model's own processor refuses the shape.
        """
        return self.counting.count(width, height)

    def resized(self, width: int, height: int) -> tuple[int, int] | None:
        """Width and height (pixels) at which the model sees a picture of this size, all tiles together; None where that is
        not known.

        Raises:
            PictureSizeError: as for `count`.
        """
        return self.counting.size(width, height)

    @classmethod
    def get(cls, model: str | VisionProfile, *, calibrated: bool = True) -> VisionProfile:
        """The profile of a model, by a repository id, a served name, a local folder or a family's name; a profile is itself.

        Upper and lower case are the same; organisations, folders, sizes and quantisations do not matter:
        ``zai-org/Glyph``, ``glm-4.1v-9b-thinking``, ``Qwen/Qwen2.5-VL-7B-Instruct-AWQ`` and ``qwen2.5vl:7b`` are found.

        What ``glyph calibrate`` found out about a model of this name is part of its profile, unless ``calibrated`` is False; so
        is what a calibration saved elsewhere says, whose path (``*.json``) stands in place of the name.

        Raises:
            UnknownModelError: no family matches; the message lists the known ones.
            ModelError: the calibration cannot be read.
        """
        if isinstance(model, VisionProfile):
            return model
        from .calibration import Calibration, stored_calibration

        if model.endswith(".json"):
            found = Calibration.load(model)
            return found.apply(_find(found.family)) if calibrated else _find(found.family)
        calibration = stored_calibration(model)
        if calibration is None:
            return _find(model)
        return calibration.apply(_find(calibration.family)) if calibrated else _find(calibration.family)

    @classmethod
    def from_processor(cls, processor: Any) -> VisionProfile:
        """The profile of any model whose transformers processor is at hand (``AutoProcessor.from_pretrained(...)``).

        Every number is the processor's own: the tokens that a picture adds to a prompt, the grid, the context window (where
        its tokenizer knows it) and the name of the checkpoint. Style, chat form and the like are those of the known family
        that the name belongs to, or else the processor's class, if any. A first picture is run through the processor right
        away.

        Raises:
            ModelError: this is no processor of text and pictures, or it has neither a chat template nor a placeholder.
        """
        from .processors import read_processor

        return read_processor(processor)

    @classmethod
    def known(cls) -> tuple[VisionProfile, ...]:
        """One profile per known model family."""
        from .families import FAMILIES

        return FAMILIES


def checkpoint_name(model: str) -> str:
    """The last part of a repository id, a path, or a folder of the Hugging Face cache."""
    path = re.sub(r"[/\\]snapshots[/\\][^/\\]+$", "", model.strip().rstrip("/\\"))
    return re.split(r"[/\\]|models--.*--", path)[-1]


@cache
def _find(model: str) -> VisionProfile:
    known = VisionProfile.known()
    last = checkpoint_name(model).casefold()
    for profile in known:
        if last == profile.name or re.match(profile.pattern, last):
            return profile
    families = ", ".join(profile.name for profile in known)
    raise UnknownModelError(
        f"no vision profile for model {model!r}. Known families: {families}. "
        "Pass the name of the family it belongs to, or a VisionProfile (of a loaded processor: VisionProfile.from_processor)"
    )


def count_visual_tokens(width: int, height: int, model: str | VisionProfile) -> int:
    """Every prompt token that a picture of this size (pixels) adds to a prompt of this model; see `VisionProfile.count`.

    Raises:
        UnknownModelError: no profile is known for the model.
        PictureSizeError: a side is not positive, or the model's own processor refuses the shape.
    """
    return VisionProfile.get(model).count(width, height)
