"""From a picture's size to the size a model sees and the prompt tokens it costs, to the token, as the real processors do it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from ..errors import PictureSizeError


@runtime_checkable  # profiles are fields of pydantic models
class Counting(Protocol):
    """What a picture of a size costs a family of models."""

    @property
    def grid(self) -> int:
        """Pages are padded to multiples of this many pixels."""

    def size(self, width: int, height: int) -> tuple[int, int] | None:
        """Width and height after resizing, in pixels, all tiles together; None where that is not known."""

    def count(self, width: int, height: int) -> int:
        """Prompt tokens for a picture of this size."""


@dataclass(frozen=True)
class SmartResize:
    """Both sides go to the nearest multiple of ``grid``; one token per grid cell.

    The formula is ``smart_resize`` of transformers: ``Qwen2VLImageProcessor`` (``frames=1``), ``Glm4vImageProcessor`` and
    ``Glm46VImageProcessor`` (``frames=2``: a picture counts as two video frames against the limits, and sides below the
    grid are enlarged first). Halves round to even, as Python rounds. Shapes beyond 1:200 are refused.

    Attributes:
        grid: pixels per token and side (patch size times merge size).
        min_pixels, max_pixels: smaller pictures are enlarged and larger ones shrunk to these, all frames together.
        frames: how many frames a picture counts as.
        enclosing: tokens around the patches (begin and end of image).
    """

    grid: int
    min_pixels: int
    max_pixels: int
    frames: int = 1
    enclosing: int = 2

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Width and height after resizing, in pixels."""
        check_area(width, height)
        grid = self.grid
        if self.frames > 1 and (height < grid or width < grid):
            scale = max(grid / height, grid / width)
            height, width = int(height * scale), int(width * scale)
        if max(height, width) / min(height, width) > 200:
            raise PictureSizeError(
                f"a picture of {width} x {height} pixels is longer than 200 times its width; cut it into pieces"
            )
        rows, columns = round(height / grid) * grid, round(width / grid) * grid
        if self.frames * rows * columns > self.max_pixels:
            beta = math.sqrt((self.frames * height * width) / self.max_pixels)
            rows = max(grid, math.floor(height / beta / grid) * grid)
            columns = max(grid, math.floor(width / beta / grid) * grid)
        elif self.frames * rows * columns < self.min_pixels:
            beta = math.sqrt(self.min_pixels / (self.frames * height * width))
            rows = math.ceil(height * beta / grid) * grid
            columns = math.ceil(width * beta / grid) * grid
        return columns, rows

    def count(self, width: int, height: int) -> int:
        """Prompt tokens for a picture of this size."""
        columns, rows = self.size(width, height)
        return (columns // self.grid) * (rows // self.grid) + self.enclosing


@dataclass(frozen=True)
class LongestEdge:
    """The longer side is shrunk to a limit, both go up to the next multiple of ``grid``; each row of cells ends in one
    more token (a break, or the end of the picture).

    The formula is ``PixtralProcessor`` and ``get_resize_output_image_size`` of transformers.

    Attributes:
        grid: pixels per token and side.
        longest_edge: most pixels of the longer side.
    """

    grid: int
    longest_edge: int

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Width and height after resizing, in pixels."""
        check_area(width, height)
        ratio = max(height / self.longest_edge, width / self.longest_edge)
        if ratio > 1:
            height, width = math.floor(height / ratio), math.floor(width / ratio)
        return ((width - 1) // self.grid + 1) * self.grid, ((height - 1) // self.grid + 1) * self.grid

    def count(self, width: int, height: int) -> int:
        """Prompt tokens for a picture of this size."""
        columns, rows = self.size(width, height)
        if not columns or not rows:
            raise PictureSizeError(f"a picture of {width} x {height} pixels vanishes when it is shrunk; cut it into pieces")
        return (columns // self.grid + 1) * (rows // self.grid)


def check_area(width: int, height: int) -> None:
    """Raise PictureSizeError for a picture without area."""
    if width < 1 or height < 1:
        raise PictureSizeError(f"a picture of {width} x {height} pixels has no area")
