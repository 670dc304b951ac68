"""`Cut`: the part of a picture that holds ink, without margins and wide blank bands, and the way back to the whole."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
"""Grey values [height, width], or red, green and blue [height, width, 3]."""

_FAINT = 32  # grey values from the paper that are still paper
_MARGIN = 1 / 50  # of the shorter side, left around the ink
_BAND = 1 / 12  # of the height: a blank band higher than this is cut to half of that


class Cut(NamedTuple):
    """Columns ``left:right`` of the bands of rows ``(top, bottom)``, from top to bottom."""

    left: int
    right: int
    bands: tuple[tuple[int, int], ...]

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of what is left."""
        return self.right - self.left, sum(bottom - top for top, bottom in self.bands)

    def of(self, picture: Pixels) -> Pixels:
        """What is left of the picture."""
        return np.concatenate([picture[top:bottom, self.left : self.right] for top, bottom in self.bands])

    def back(self, values: NDArray[Any], width: int, height: int) -> NDArray[Any]:
        """Values of what is left, [its height, its width], where they stand in the whole; 0 elsewhere."""
        whole = np.zeros((height, width), dtype=values.dtype)
        row = 0
        for top, bottom in self.bands:
            whole[top:bottom, self.left : self.right] = values[row : row + bottom - top]
            row += bottom - top
        return whole


def find_ink(picture: Pixels) -> Cut | None:
    """The part of a picture to keep; None if all of it is paper.

    Paper is the most frequent value and what is within 32 of it, in each colour. A margin of a fiftieth of the shorter side
    stays around the ink; of a blank band higher than a twelfth of the picture half a twelfth stays. Specks of one pixel in a
    row count as ink, so nothing written is lost.
    """
    height, width = picture.shape[:2]
    ink = np.zeros((height, width), dtype=bool)
    for channel, paper in zip(np.moveaxis(picture.reshape(height, width, -1), 2, 0), paper_of(picture), strict=True):
        low, high = max(0, paper - _FAINT), min(255, paper + _FAINT)
        ink |= (channel < low) | (channel > high)
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    if not len(rows):
        return None
    margin = max(1, int(min(width, height) * _MARGIN))
    left, right = max(0, int(columns[0]) - margin), min(width, int(columns[-1]) + 1 + margin)
    most = max(2, int(height * _BAND))
    bands: list[tuple[int, int]] = []
    top = max(0, int(rows[0]) - margin)
    for before in np.flatnonzero(np.diff(rows) > most + 1):
        bands.append((top, int(rows[before]) + 1 + most // 4))
        top = int(rows[before + 1]) - most // 4
    bands.append((top, min(height, int(rows[-1]) + 1 + margin)))
    return Cut(left, right, tuple(bands))


def paper_of(picture: Pixels) -> tuple[int, ...]:
    """The most frequent value of a picture: of its greys, or of its reds, its greens and its blues."""
    channels = np.moveaxis(picture.reshape(*picture.shape[:2], -1), 2, 0)
    return tuple(int(np.bincount(channel.ravel(), minlength=256).argmax()) for channel in channels)
