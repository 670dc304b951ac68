"""A stretch of text with what line breaking needs: widths, opportunities, breaks, directions, characters that are not drawn."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ..page import Run
from ..style import PageStyle
from .atlas import Atlas, Ints
from .bidi import needs_bidi, paragraph_direction, resolve_levels
from .line_break import break_opportunities, is_newline
from .looks import HIDDEN, VERBATIM, looks_of
from .raster import decode
from .reflow import is_forced

Flags = npt.NDArray[np.bool_]


class Gap(NamedTuple):
    """Characters inside a line that are not drawn as themselves: a joined newline with the indentation after it, or a tab."""

    start: int
    end: int
    tab: bool


class Block:
    """One block of text with what line breaking needs, offsets relative to the block."""

    def __init__(self, text: str, runs: Sequence[Run], start: int, end: int, style: PageStyle, atlas: Atlas, wrap: int) -> None:
        self.start, self.length = start, end - start
        part = text[start:end]
        self.codes = decode(part)
        looks = looks_of(runs, start, end) if runs else None
        self.levels: npt.NDArray[np.uint8] | None = None
        self.bases: dict[int, int] = {}
        if needs_bidi(self.codes):
            self.levels, self.bases = self._levels()
        self.base_starts = list(self.bases)
        glyphs = atlas.glyphs(self.codes, looks, self.levels)  # first: it may replace the table of advances
        advance = atlas.advance.take(glyphs)
        blank = atlas.blank.take(glyphs)
        self.breaks: list[tuple[int, int]] = []  # mandatory: (end of paragraph, start of the next)
        self.gaps: list[Gap] = []
        self.hidden = self.verbatim = None
        breaking = self.codes
        if looks is not None:
            self.hidden = ((looks & HIDDEN) > 0) & ~is_newline(self.codes)
            self.verbatim = (looks & VERBATIM) > 0
            breaking = np.where(self.hidden, np.uint32(0x0301), self.codes)  # a mark: no reason to break a line
            self._hide(advance, blank)
        opportunity = break_opportunities(breaking)
        self._newlines(text, style, wrap, advance, opportunity, atlas.space)
        in_gaps = {at for gap in self.gaps for at in range(gap.start, gap.end)}
        self.tabs = [at for at in np.nonzero(self.codes == 0x09)[0].tolist() if at not in in_gaps]
        opportunity[[at + 1 for at in self.tabs if at + 1 < self.length]] = True
        self.gaps = sorted([*self.gaps, *(Gap(at, at + 1, True) for at in self.tabs)])
        self.gap_starts = [gap.start for gap in self.gaps]
        self.pen = np.concatenate([[0], np.cumsum(advance, dtype=np.int64)])
        # end of the visible text before each position: just after the last character that is not blank
        self.solid = np.arange(self.length + 1, dtype=np.int32)
        self.solid[1:][blank] = 0
        np.maximum.accumulate(self.solid, out=self.solid)
        starts = np.nonzero(opportunity)[0]
        self.starts = starts.tolist()  # where a line may start
        self.reach = self.pen[self.solid[starts]].tolist()  # pen at the end of the visible text of the line before
        self.is_plain = not self.gaps and self.levels is None

    def _levels(self) -> tuple[npt.NDArray[np.uint8], dict[int, int]]:
        """Bidirectional levels, paragraph by paragraph, and the base direction by paragraph start."""
        levels = np.zeros(self.length, np.uint8)
        ends = np.nonzero(is_newline(self.codes))[0].tolist()
        bases = {}
        start = 0
        for end in (*ends, self.length):
            part = self.codes[start:end]
            if len(part):
                base = paragraph_direction(part)
                bases[start] = base
                if base or needs_bidi(part):
                    levels[start:end] = resolve_levels(part, base)
                    levels[end : end + 1] = base
            start = end + 1
        return levels, bases

    def base_at(self, at: int) -> int:
        """Base direction of the paragraph around an offset: 0 left to right, 1 right to left."""
        if not self.bases:
            return 0
        found = bisect_right(self.base_starts, at) - 1
        return self.bases[self.base_starts[found]] if found >= 0 else 0

    def _hide(self, advance: Ints, blank: Flags) -> None:
        """Leave out the characters that are not drawn."""
        assert self.hidden is not None
        advance[self.hidden] = 0
        blank |= self.hidden
        edges = np.nonzero(np.diff(np.concatenate([[False], self.hidden, [False]]).astype(np.int8)))[0].tolist()
        self.gaps += [Gap(a, b, False) for a, b in zip(edges[::2], edges[1::2], strict=True)]

    def is_unseen(self, begin: int, stop: int) -> bool:
        """Whether ``begin:stop`` holds characters, and only such, that are not drawn: a code fence, a table's ruler."""
        return self.hidden is not None and bool(self.hidden[begin:stop].any()) and bool(self.solid[stop] <= begin)

    def _newlines(self, text: str, style: PageStyle, wrap: int, advance: Ints, opportunity: Flags, space: int) -> None:
        """Tell breaks from newlines that are joined over, and mend widths and opportunities around the latter."""
        codes = self.codes
        where = np.nonzero(is_newline(codes))[0].tolist()
        if style.newline == "keep" and not (codes == 0x0D).any():
            self.breaks = [(at, at + 1) for at in where]
            return
        skip = -1
        for at in where:
            if at <= skip:
                continue
            code = int(codes[at])
            pair = code == 0x0D and at + 1 < self.length and codes[at + 1] == 0x0A
            after = at + 2 if pair else at + 1
            skip = after - 1
            newline = after - 1  # the character that stands for the break
            marked, reflow = style.newline == "marked", style.newline == "reflow"
            joined = (
                code in (0x0A, 0x0D)
                and not (self.verbatim is not None and self.verbatim[at])
                and (marked or (reflow and self._wrapped(text, self.start + at, self.start + after, wrap)))
            )
            if not joined:
                self.breaks.append((at, after))
                continue
            if marked:
                if codes[newline] == 0x0D:  # a lone return draws nothing of its own
                    self.breaks.append((at, after))
                else:
                    opportunity[newline] = False
                continue
            stop = after
            while stop < self.length and codes[stop] in (0x20, 0x09):
                stop += 1
            between_wide = at > 0 and stop < self.length and is_wide(int(codes[at - 1])) and is_wide(int(codes[stop]))
            if stop > after or between_wide or codes[newline] == 0x0D:
                self.gaps.append(Gap(at, stop, False))
                advance[at:stop] = 0
                advance[at] = 0 if between_wide else space
            opportunity[at : min(stop, self.length)] = False
            if stop < self.length:
                opportunity[stop] = True

    @staticmethod
    def _wrapped(text: str, at: int, after: int, wrap: int) -> bool:
        line_start = max(text.rfind("\n", 0, at) + 1, at - 400)
        stop = text.find("\n", after, after + 400)
        return is_forced(text[line_start:at], text[after : stop if stop >= 0 else after + 400], wrap)


def is_wide(code: int) -> bool:
    """Whether a code point is an East Asian ideograph, kana or full-width sign."""
    return 0x2E80 <= code <= 0xA4CF or 0xF900 <= code <= 0xFAFF or 0xFF00 <= code <= 0xFF60 or 0x20000 <= code <= 0x3FFFF
