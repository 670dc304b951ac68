"""Families that cut a picture into square tiles, or squeeze it into one: the size they make of it, and its prompt tokens."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

from .counting import check_area


@dataclass(frozen=True)
class ClosestTiling:
    """The picture is squeezed into the arrangement of tiles nearest to its shape, and cut; an overview of the whole goes along.

    The formula is ``get_optimal_tiled_canvas`` of transformers with ``GotOcr2ImageProcessor`` (InternVL) and
    ``DeepseekOcr2ImageProcessor``. A page of whole tiles is cut as it was drawn: nothing but its overview is resampled.

    Attributes:
        tile: side of a tile in pixels.
        patch: pixels per token and side.
        fewest, most: tiles of an arrangement.
        overview: side in pixels of the square overview. A picture that is not cut, or into one tile, is seen by it alone.
        uncut: a picture with no side above this many pixels is not cut.
        enclosing: tokens around the patches.
        row_ends: whether each row of patches, of all tiles together and of the overview, ends in one more token.
    """

    tile: int
    patch: int
    fewest: int
    most: int
    overview: int
    uncut: int = 0
    enclosing: int = 2
    row_ends: bool = False

    @property
    def grid(self) -> int:
        """Pages are padded to whole tiles."""
        return self.tile

    def tiles(self, width: int, height: int) -> tuple[int, int]:
        """Columns and rows of tiles; ``(0, 0)`` for a picture that only its overview shows."""
        check_area(width, height)
        if max(width, height) <= self.uncut:
            return 0, 0
        shape, nearest, best = width / height, math.inf, (1, 1)
        for columns, rows in _arrangements(self.fewest, self.most):
            distance = abs(shape - columns / rows)
            room = 0.5 * self.tile * self.tile * columns * rows  # of equal shapes, more tiles if the picture fills half of them
            if distance < nearest or (distance == nearest and width * height > room):
                nearest, best = distance, (columns, rows)
        return best if best != (1, 1) else (0, 0)

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Width and height of all tiles together, or of the overview if there are none."""
        columns, rows = self.tiles(width, height)
        return (columns * self.tile, rows * self.tile) if columns else (self.overview, self.overview)

    def count(self, width: int, height: int) -> int:
        """Prompt tokens for a picture of this size."""
        columns, rows = self.tiles(width, height)
        tile, overview = self.tile // self.patch, self.overview // self.patch
        ends = rows * tile + overview if self.row_ends else 0
        return columns * rows * tile**2 + overview**2 + ends + self.enclosing


@cache
def _arrangements(fewest: int, most: int) -> tuple[tuple[int, int], ...]:
    sides = range(1, most + 1)
    found = [(columns, rows) for columns in sides for rows in sides if fewest <= columns * rows <= most]
    return tuple(sorted(found, key=lambda tiles: tiles[0] * tiles[1]))


@dataclass(frozen=True)
class RowsOfTiles:
    """The longer side is brought to ``longest_edge``, up or down; the picture is squeezed into whole tiles and cut, and an
    overview goes along.

    The formula is ``SmolVLMImageProcessor`` and ``SmolVLMProcessor`` of transformers; those of Idefics3 are the same. Each
    tile has two marks before it, and the overview three around it. Rows end in a newline, the last one in two: these count as
    one token a row, since the tokenizers of these models have one for two newlines.

    Attributes:
        tile: side of a tile and of the overview in pixels.
        tokens: per tile.
        longest_edge: pixels of the longer side, at most 4,096.
        grid: pages are padded to multiples of this many pixels (the patch size: padding gains nothing here).
    """

    tile: int
    tokens: int
    longest_edge: int
    grid: int = 16

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Width and height of all tiles together."""
        check_area(width, height)
        wide, shape = width >= height, width / height
        shorter = int(self.longest_edge / shape if wide else self.longest_edge * shape)
        shorter = max(1, shorter + shorter % 2)
        longer = math.ceil(self.longest_edge / self.tile) * self.tile
        shape = self.longest_edge / shorter if wide else shorter / self.longest_edge
        shorter = max(1, math.ceil(int(longer / shape if wide else longer * shape) / self.tile)) * self.tile
        return (longer, shorter) if wide else (shorter, longer)

    def count(self, width: int, height: int) -> int:
        """Prompt tokens for a picture of this size."""
        columns, rows = (side // self.tile for side in self.size(width, height))
        overview = self.tokens + 3
        return overview if columns * rows == 1 else rows * (columns * (self.tokens + 2) + 1) + overview


@dataclass(frozen=True)
class SameForAll:
    """Every picture costs the same, whatever its size.

    Attributes:
        tokens: per picture, all told.
        side: pixels of the square that pictures are squeezed into; None if it is not known.
        grid: pages are padded to multiples of this many pixels.
    """

    tokens: int
    side: int | None = None
    grid: int = 1

    def size(self, width: int, height: int) -> tuple[int, int] | None:
        """The square, if it is known."""
        check_area(width, height)
        return None if self.side is None else (self.side, self.side)

    def count(self, width: int, height: int) -> int:
        """Prompt tokens for a picture of any size."""
        check_area(width, height)
        return self.tokens
