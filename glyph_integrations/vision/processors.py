"""Counting by a loaded transformers processor, for models of no known family."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from functools import lru_cache
from typing import Any

from ..errors import ModelError, PictureSizeError, UnknownModelError
from .calibration import stored_calibration
from .counting import check_area
from .profile import VisionProfile, checkpoint_name

_PROBE = (588, 840)  # a page


class ProcessorCounting:
    """Counts as a processor does: by its own method where it has one, else by running it on a blank picture, once per size.

    Own methods of processors leave out what their chat templates put around a picture, so that is measured once.

    Attributes:
        grid: pixels per token and side, as far as the processor tells; 1 if it does not.
    """

    def __init__(self, processor: Any) -> None:
        """Run ``processor`` on a first picture. Raises ModelError if it cannot be run."""
        if not hasattr(processor, "image_processor") or not hasattr(processor, "tokenizer"):
            raise ModelError(
                f"{type(processor).__name__} is no processor of text and pictures; "
                "pass what transformers.AutoProcessor.from_pretrained returns"
            )
        self._processor = processor
        self.grid = _grid(processor)
        own = self._own(*_PROBE)
        self._around = None if own is None else self._measured(*_PROBE) - own
        self._count = lru_cache(maxsize=4096)(self._measured if self._around is None else self._computed)

    def size(self, width: int, height: int) -> None:
        """Not known: processors do not tell."""

    def count(self, width: int, height: int) -> int:
        """Prompt tokens for a picture of this size."""
        check_area(width, height)
        return self._count(width, height)

    def sees_cells(self) -> bool:
        """Whether a picture twice as large each way costs one token more for each further cell of the grid."""
        if self.grid == 1:
            return False
        width, height = 10 * self.grid, 14 * self.grid
        return self.count(2 * width, 2 * height) - self.count(width, height) == 3 * 10 * 14

    def _computed(self, width: int, height: int) -> int:
        own = self._own(width, height)
        return self._measured(width, height) if own is None else own + (self._around or 0)

    def _own(self, width: int, height: int) -> int | None:
        """By the processor's own method, which is private and not in all of them."""
        try:
            return int(self._processor._get_num_multimodal_tokens(image_sizes=[(height, width)])["num_image_tokens"][0])
        except ValueError as error:
            raise _refusal(width, height, error) from error
        except (AttributeError, IndexError, KeyError, NotImplementedError, TypeError):
            return None

    def _measured(self, width: int, height: int) -> int:
        from PIL import Image

        try:
            return self._prompt(Image.new("RGB", (width, height), "white")) - self._prompt(None)
        except ValueError as error:
            raise _refusal(width, height, error) from error

    def _prompt(self, picture: Any) -> int:
        """Tokens of a prompt of some text, and of a picture before it if there is one."""
        options = {"return_tensors": "pt" if importlib.util.find_spec("torch") else "np"}
        if getattr(self._processor, "chat_template", None):
            content = [{"type": "text", "text": "Read."}]
            if picture is not None:
                content.insert(0, {"type": "image", "image": picture})
            made = self._processor.apply_chat_template(
                [{"role": "user", "content": content}], tokenize=True, return_dict=True, **options
            )
        else:
            placeholder = getattr(self._processor, "image_token", None)
            if not isinstance(placeholder, str):
                raise ModelError(f"{type(self._processor).__name__} has neither a chat template nor an image_token")
            if picture is None:
                made = self._processor.tokenizer(["Read."], **options)
            else:
                made = self._processor(images=[picture], text=[placeholder + "Read."], **options)
        return int(made["input_ids"].shape[-1])


def read_processor(processor: Any) -> VisionProfile:
    """See `VisionProfile.from_processor`."""
    counting = ProcessorCounting(processor)
    tokenizer = processor.tokenizer
    checkpoint = getattr(tokenizer, "name_or_path", "") or ""
    family = family_of(processor) or VisionProfile("", counting, native=False)
    longest = getattr(tokenizer, "model_max_length", None)
    known = isinstance(longest, int) and longest < 1 << 30  # tokenizers that do not know it say 10^30
    profile = replace(
        family,
        name=checkpoint_name(checkpoint) or type(processor).__name__,
        counting=counting,
        native=counting.sees_cells(),
        context_window=longest if known else family.context_window,
        source=None,
        pattern="",
    )
    calibration = stored_calibration(checkpoint) if checkpoint else None
    return calibration.apply(profile) if calibration else profile


def family_of(processor: Any) -> VisionProfile | None:
    """The known family of a processor, by the name of its checkpoint or else by its class; None if there is none."""
    try:
        return VisionProfile.get(getattr(processor.tokenizer, "name_or_path", "") or "")
    except UnknownModelError:
        kind = type(processor).__name__
        return next((profile for profile in VisionProfile.known() if profile.processor == kind), None)


def _grid(processor: Any) -> int:
    """Patch size times merge size, where both are told; they are kept in either of two places, under two names."""
    places = (processor.image_processor, processor)
    patch = next((side for place in places if isinstance(side := getattr(place, "patch_size", None), int)), 1)
    names = ("merge_size", "spatial_merge_size")
    found = (getattr(place, name, None) for place in places for name in names)
    return patch * next((merge for merge in found if isinstance(merge, int)), 1)


def _refusal(width: int, height: int, error: Exception) -> PictureSizeError:
    return PictureSizeError(f"the processor refuses a picture of {width} x {height} pixels: {error}")
