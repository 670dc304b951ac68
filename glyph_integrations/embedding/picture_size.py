"""`PictureSize`: which sizes of a picture a model reads as they are, as its processor tells."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

PIXELS = 1_843_200
"""Pixels of the largest picture that is made unasked for a model that would take more: 1,800 tokens of 32 x 32."""

_NEARLY = 1.05  # times too small that is right
_NARROWEST = 50  # a picture longer than so many times its width is padded: processors refuse from 200


class PictureSize(NamedTuple):
    """What to make of a picture so that a model's processor loses little of it.

    Attributes:
        grid: pixels of a cell that becomes one token, and that sides are padded to; 1 where pictures are resized anyway.
        pixels: the most that a picture may have; 0 if ``longest`` decides.
        longest: pixels of the longer side; 0 if ``pixels`` decides.
    """

    grid: int
    pixels: int
    longest: int

    @classmethod
    def of(cls, processor: Any, pixels: int | None = None) -> PictureSize:
        """As the processor tells: pictures of native resolution up to an area (Qwen-VL), of one size for all (SigLIP,
        PaliGemma: twice that size, for the processor to shrink), or cut into tiles (Idefics 3, SmolVLM, ModernVBERT).

        Args:
            processor: that of a model.
            pixels: the most that is wanted; default as many as the processor takes, at most `PIXELS`.
        """
        images = getattr(processor, "image_processor", processor)
        size = getattr(images, "size", None) or {}
        side = {key: _entry(size, key) for key in ("height", "width", "shortest_edge", "longest_edge", "max_pixels")}
        wanted = pixels or PIXELS
        merge = _entry(images, "merge_size")
        if merge:
            most = _entry(images, "max_pixels") or side["max_pixels"] or side["longest_edge"] or wanted
            return cls((_entry(images, "patch_size") or 14) * merge, min(most, wanted), 0)
        if side["longest_edge"]:
            return cls(1, 0, min(side["longest_edge"], math.isqrt(wanted) if pixels else side["longest_edge"]))
        if side["height"] or side["width"] or side["shortest_edge"]:
            return cls(1, 0, 2 * max(side["height"], side["width"], side["shortest_edge"]))
        return cls(1, wanted, 0)

    def area(self, width: int, height: int) -> int:
        """About how many pixels a processor makes of a picture: it enlarges what is smaller than ``longest``, and a strip is
        at least a row of tiles."""
        if not self.longest:
            return width * height
        return self.longest * max(self.longest // 4, self.longest * min(width, height) // max(width, height))

    def scale(self, width: float, height: float) -> float:
        """How many times larger a picture should be."""
        if self.longest:
            return self.longest / max(width, height)
        columns, rows = self._cells(width, height)
        return min(columns * self.grid / width, rows * self.grid / height)

    def fit(self, width: int, height: int, enlarged: float) -> tuple[tuple[int, int], tuple[int, int]]:
        """The size to make a picture, at most so many times as large as it is; and that to pad it to. All pictures of a shape
        that are nearly as large as `scale` says are padded to the same, so that they meet the same grid."""
        scale = self.scale(width, height)
        times = 1.0 if 1 < scale <= _NEARLY else min(scale, enlarged)  # a page that was drawn for the model stays as it is
        part = max(1, int(width * times + 1e-6)), max(1, int(height * times + 1e-6))
        if self.longest:
            return part, part
        columns, rows = self._cells(width, height)
        if scale > _NEARLY * times:
            columns, rows = min(columns, math.ceil(part[0] / self.grid)), min(rows, math.ceil(part[1] / self.grid))
        return part, (columns * self.grid, rows * self.grid)

    def _cells(self, width: float, height: float) -> tuple[int, int]:
        """Columns and rows of the grid that a picture of this shape fills best."""
        width, height = max(width, height / _NARROWEST), max(height, width / _NARROWEST)
        times = math.sqrt(self.pixels / (width * height)) / self.grid
        columns, rows = max(1, int(width * times)), max(1, int(height * times))
        most = self.pixels // self.grid**2
        return min(columns, most), min(rows, most)


def _entry(holder: Any, key: str) -> int:
    """A whole number that an object or a mapping has under a name; 0 if there is none."""
    value = holder.get(key) if isinstance(holder, dict) else getattr(holder, key, None)
    return int(value) if isinstance(value, int | float) and not isinstance(value, bool) else 0
