"""Scripts whose glyphs depend on their neighbours: words to clusters of positioned glyphs, with HarfBuzz.

A cluster is the least stretch of text that can be drawn on its own: a letter with its marks, a ligature, a conjunct. Each
becomes one bitmap, drawn once, so that shaped text is laid out and copied into pages as plain letters are.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from functools import cache
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from .fonts import FREETYPE, NOTHING, Bitmap, Face, FontSet, is_visible

_RANGES = (  # marks, right-to-left scripts, Brahmic scripts, Thai, Hangul jamo, joiners, flags and skin tones
    "0300-036F 0483-0489 0590-08FF 0900-109F 1100-11FF 135D-135F 1700-18AF 1900-1CFF 1DC0-1DFF 200C-200D 20D0-20FF"
    " 2CEF-2CF1 302A-302F 3099-309A A66F-A672 A674-A67D A69E-A69F A6F0-A6F1 A800-A82F A840-A9FF AA00-AADF AAE0-AAFF"
    " ABC0-ABFF D7B0-D7FF FB1D-FDFF FE00-FE0F FE20-FE2F FE70-FEFE 10800-10FFF 11000-11FFF 16F00-16F9F 1E000-1EFFF"
    " 1F1E6-1F1FF 1F3FB-1F3FF E0100-E01EF"
).split()
_LONGEST = 512  # characters shaped at once; no word is longer, Thai clauses rarely are


class Cluster(NamedTuple):
    """``start:end`` in the text shaped; ``key`` names what is drawn, for `draw_cluster`; the pen moves by ``advance`` pixels.
    A character that no font covers makes a cluster of its own with an empty key."""

    start: int
    end: int
    advance: int
    key: tuple[Any, ...]


_LOWEST = min(int(text.partition("-")[0], 16) for text in _RANGES)


@cache
def _table() -> npt.NDArray[np.bool_]:
    table = np.zeros(0x110000, bool)
    for low, high in (text.split("-") for text in _RANGES):
        table[int(low, 16) : int(high, 16) + 1] = True
    return table


def shaped_spans(codes: npt.NDArray[np.uint32], pieces: npt.NDArray[np.intp] | None = None) -> list[tuple[int, int]]:
    """Stretches that must be shaped: letters of such scripts, and marks with the letter they stand on.

    Args:
        pieces: lengths of the pieces of text; no stretch reaches from one into another.
    """
    if not len(codes) or int(codes.max()) < _LOWEST:
        return []
    flags = _table().take(codes)
    if not flags.any():
        return []
    same = np.ones(len(codes) - 1, bool)
    if pieces is not None:
        bounds = np.cumsum(pieces)
        same[bounds[(bounds > 0) & (bounds < len(codes))] - 1] = False
    base = np.concatenate([~flags[:-1] & flags[1:] & same, [False]])
    marks = flags | base
    edges = np.nonzero(np.diff(np.concatenate([[False], marks, [False]]).astype(np.int8)))[0].tolist()
    cuts = (np.nonzero(~same)[0] + 1).tolist()
    spans = []
    for low, high in zip(edges[::2], edges[1::2], strict=True):
        inner = [low, *cuts[bisect_right(cuts, low) : bisect_left(cuts, high)], high]
        spans += [span for start, end in pairwise(inner) for span in _shorter(codes, start, end)]
    return spans


def _shorter(codes: npt.NDArray[np.uint32], start: int, end: int) -> list[tuple[int, int]]:
    spans = []
    if end > start:
        first = start
        # a space or newline is no letter to stand on
        if codes[first] in (0x20, 0x0A, 0x0D, 0x09, 0x0C, 0x0B) or 0xD800 <= codes[first] < 0xE000:
            first += 1
        while end - first > _LONGEST:
            spans.append((first, first + _LONGEST))
            first += _LONGEST
        spans.append((first, end))
    return [span for span in spans if span[1] > span[0]]


class Shaper:
    """Shapes words in the fonts of a `FontSet`, at one size."""

    def __init__(self, fonts: FontSet, em: float, scale_x: float) -> None:
        self._fonts, self._em, self._scale_x = fonts, em, scale_x
        self._sized: dict[Face, Any] = {}
        self._words: dict[tuple[str, bool, bool, bool], tuple[Cluster, ...]] = {}

    def shape(self, word: str, *, rtl: bool = False, bold: bool = False, mono: bool = False) -> tuple[Cluster, ...]:
        """The clusters of a word, in the order of the text. Words are remembered; a new one takes about 20 microseconds."""
        key = (word, rtl, bold, mono)
        if key not in self._words:
            if len(self._words) > 200_000:
                self._words.clear()
            self._words[key] = tuple(self._shape(word, rtl, bold, mono))
        return self._words[key]

    def _shape(self, word: str, rtl: bool, bold: bool, mono: bool) -> list[Cluster]:
        clusters: list[Cluster] = []
        at = 0
        while at < len(word):
            face, end = self._longest(word, at, bold, mono)
            if face is None:
                clusters.append(Cluster(at, at + 1, 0, ()))
                at += 1
                continue
            clusters += self._shape_with(face, word, at, end, rtl)
            at = end
        return clusters

    def _longest(self, word: str, at: int, bold: bool, mono: bool) -> tuple[Face | None, int]:
        """The font for the character at ``at``, and how far it covers the word; one that covers all of it is preferred."""
        visible = [c for c in dict.fromkeys(word[at:]) if is_visible(c)]
        if not visible:
            return self._fonts.main, len(word)
        for (
            char
        ) in visible:  # the font found for a mark or a rare letter often covers the word where the first letter's does not
            face = self._fonts.face_for(char, bold=bold, mono=mono)
            if face is not None and all(face.covers(c) for c in visible):
                return face, len(word)
        first = next(c for c in word[at:] if is_visible(c))
        face = self._fonts.face_for(first, bold=bold, mono=mono) if word[at] == first else self._fonts.main
        if face is None:
            return None, at + 1
        end = at + 1
        while end < len(word) and (not is_visible(word[end]) or face.covers(word[end])):
            end += 1
        return face, end

    def _font(self, face: Face) -> Any:
        if face not in self._sized:
            import uharfbuzz as hb

            font = hb.Font(hb.Face(hb.Blob.from_file_path(str(face.path)), face.index))
            font.scale = (round(self._em * 64 * self._scale_x), round(self._em * 64))
            if face.weight is not None:
                font.set_variations({"wght": face.weight})
            self._sized[face] = font
        return self._sized[face]

    def _shape_with(self, face: Face, word: str, at: int, end: int, rtl: bool) -> list[Cluster]:
        import uharfbuzz as hb

        buffer = hb.Buffer()
        buffer.add_str(word, at, end - at)
        buffer.guess_segment_properties()
        buffer.direction = "rtl" if rtl else "ltr"
        buffer.cluster_level = hb.BufferClusterLevel.MONOTONE_GRAPHEMES
        hb.shape(self._font(face), buffer)
        glyphs = list(zip(buffer.glyph_infos, buffer.glyph_positions, strict=True))
        starts = sorted({info.cluster for info, _ in glyphs})
        if any(info.codepoint == 0 for info, _ in glyphs):
            visible = [s for s in starts if is_visible(word[s])]
            glyphs = [(i, p) for i, p in glyphs if i.codepoint or i.cluster in visible]
        stops = dict(zip(starts, [*starts[1:], end], strict=True))
        pen = 0
        pieces: dict[int, list[tuple[int, int, int]]] = {start: [] for start in starts}
        lefts: dict[int, int] = {}
        rights: dict[int, int] = {}
        for info, position in glyphs:  # from left to right
            lefts.setdefault(info.cluster, pen)
            pieces[info.cluster].append((info.codepoint, pen + position.x_offset, position.y_offset))
            pen += position.x_advance
            rights[info.cluster] = pen
        clusters = []
        for start in starts:
            left = _rounded(lefts.get(start, 0))
            advance = max(0, _rounded(rights.get(start, 0)) - left)
            # a glyph's place within its pixel is kept to a quarter, so that few distinct bitmaps arise
            drawn = tuple((gid, (x - left * 64 + 8) // 16 * 16, (y + 8) // 16 * 16) for gid, x, y in pieces[start])
            clusters.append(Cluster(start, stops[start], advance, (face, *drawn)))
        return clusters


def _rounded(units: int) -> int:
    return units + 32 >> 6


def draw_cluster(
    key: tuple[Any, ...],
    advance: int,
    em: float,
    scale_x: float,
    *,
    mono: bool = False,
    bold: bool = False,
    slant: bool = False,
) -> Bitmap:
    """The bitmap of a cluster: its glyphs at their places."""
    face, *glyphs = key
    with FREETYPE:
        face.set_size(em, scale_x)
        parts = [face.glyph_bitmap(gid, x, y, mono=mono, bold=bold and not face.is_bold, slant=slant) for gid, x, y in glyphs]
    parts = [part for part in parts if part.ink.size]
    if not parts:
        return NOTHING._replace(advance=advance)
    left, top = min(p.left for p in parts), max(p.top for p in parts)
    right = max(p.left + p.ink.shape[1] for p in parts)
    bottom = min(p.top - p.ink.shape[0] for p in parts)
    ink = np.zeros((top - bottom, right - left), np.uint8)
    for part in parts:
        height, width = part.ink.shape
        area = ink[top - part.top : top - part.top + height, part.left - left : part.left - left + width]
        np.maximum(area, part.ink, out=area)
    return Bitmap(ink, left, top, advance)
