"""Every distinct glyph drawn once: its cell as tiles ready to be copied into a page, and the ink that leaves the cell."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ..errors import MissingGlyphError
from ..style import PageStyle
from .bidi import mirror
from .fonts import FREETYPE, NOTHING, Bitmap, FontSet, is_visible
from .looks import BOLD, DRAWN, MONO, SLANT, Looks
from .shaping import Cluster, Shaper, draw_cluster, shaped_spans

Codes = npt.NDArray[np.uint32]
Ints = npt.NDArray[np.int32]
TILE = 16  # pixels in a row that are copied at once
TILE_ROW = np.dtype(f"V{TILE}")
MARK = "\u21b5"  # drawn for a newline in mode "marked"


class Ink(NamedTuple):
    """Pixels of glyphs that lie outside their cells: for glyph slot ``s`` entries ``first[s] : first[s] + count[s]`` of ``dx``,
    ``dy`` (from the cell's top left) and ``value``."""

    dx: Ints
    dy: Ints
    value: npt.NDArray[np.uint8]


class Atlas:
    """The glyphs of one style at one resolution.

    A glyph's cell is as wide as the pen moves and as high as a line; cells that abut make up a line of text. Ink beyond the
    cell (descenders of a tight line, accents on capitals, the overhang of an f) is kept apart and blended in afterwards, so
    that nothing is cut and nothing is painted over.
    """

    def __init__(self, style: PageStyle, fonts: FontSet, dpi: int) -> None:
        self._style, self._fonts = style, fonts
        self.em = style.font_size * dpi / 72
        self.rows = max(1, int(style.line_height * dpi / 72))
        steps = np.round(np.arange(256) / 255 * (style.levels - 1)) / (style.levels - 1)
        self._value = np.round(style.background + (style.color - style.background) * steps).astype(np.uint8)
        self.background = int(self._value[0])
        self._mono = style.levels == 2
        main = fonts.main
        with FREETYPE:
            main.set_size(self.em, style.horizontal_scale)
            metrics = main._face.size
            ascent, descent = metrics.ascender / 64, -metrics.descender / 64
        self.baseline = round((self.rows - ascent - descent) / 2 + ascent)
        self._glyph: dict[int, Ints] = {}  # look -> code point -> glyph number
        self._bitmaps: list[Bitmap] = []
        self.advance = np.zeros(256, np.int32)  # per glyph number
        self.left = np.zeros(256, np.int32)  # ink before the pen (negative) and
        self.right = np.zeros(256, np.int32)  # where it ends
        self.blank = np.zeros(256, bool)  # leaves no ink, and is not meant to
        self.reach = (0, 0)  # least ``left`` and greatest ``right`` of all
        self._slot = np.full((256, 64), -1, np.int32)  # glyph number, cell width -> slot
        self.tiles = np.zeros((256, self.rows), TILE_ROW)
        self._tiled = 0
        self.tile_first = np.zeros(256, np.int32)  # per slot: its tiles; none when it has no ink inside its cell
        self.tile_count = np.zeros(256, np.int32)
        self.first = np.zeros(256, np.int32)
        self.count = np.zeros(256, np.int32)
        self._slots = 0
        self._ink = Ink(np.zeros(1024, np.int32), np.zeros(1024, np.int32), np.zeros(1024, np.uint8))
        self._inked = 0
        self.missing: set[int] = set()
        self._shaper = Shaper(fonts, self.em, style.horizontal_scale)
        self._clusters: dict[tuple[object, ...], int] = {}  # what is drawn -> glyph number
        self._no_width = self._append(NOTHING, blank=False)  # of the characters of a cluster but the first
        space = self._bitmap(" ").advance
        self.space = space if space > 0 else max(1, round(self.em / 4))

    # -- glyphs ---------------------------------------------------------------------------------------------------------

    def glyphs(
        self,
        codes: Codes,
        looks: Looks | None = None,
        levels: npt.NDArray[np.uint8] | None = None,
        pieces: npt.NDArray[np.intp] | None = None,
    ) -> Ints:
        """Glyph number of each character; draws those seen for the first time. Of a cluster (a letter with its marks, a
        ligature) the first character has the glyph, the others have one without ink or width.

        Args:
            codes: ``uint32[n]`` code points.
            looks: ``uint8[n]`` flags of `looks`; None when all are plain.
            levels: ``uint8[n]`` bidirectional levels; None when all are 0.
            pieces: ``intp[m]`` lengths of the pieces of text that these are, where words of different pieces adjoin.

        Raises:
            MissingGlyphError: no font covers a character and the style says ``missing="error"``.
        """
        found = self._single(codes if levels is None else mirrored(codes, levels), looks)
        for start, end in shaped_spans(codes, pieces):
            self._shape(found, codes, looks, levels, start, end)
        return found

    def _shape(
        self, found: Ints, codes: Codes, looks: Looks | None, levels: npt.NDArray[np.uint8] | None, start: int, end: int
    ) -> None:
        """Glyph numbers of a stretch that must be shaped, in pieces of one look and level."""
        while start < end:
            look = int(looks[start]) & DRAWN if looks is not None else 0
            level = int(levels[start]) if levels is not None else 0
            stop = start + 1
            while (
                stop < end and (looks is None or int(looks[stop]) & DRAWN == look) and (levels is None or levels[stop] == level)
            ):
                stop += 1
            word = "".join(map(chr, codes[start:stop].tolist()))
            for cluster in self._shaper.shape(word, rtl=bool(level & 1), bold=bool(look & BOLD), mono=bool(look & MONO)):
                if cluster.key:
                    number = self._cluster(cluster, look, word)
                    rest = number if self.blank[number] and not self.advance[number] else self._no_width
                    found[start + cluster.start] = number
                    found[start + cluster.start + 1 : start + cluster.end] = rest
            start = stop

    def _cluster(self, cluster: Cluster, look: int, word: str) -> int:
        key = (*cluster.key, cluster.advance, look)
        if key not in self._clusters:
            bold, slant = bool(look & BOLD), bool(look & SLANT)
            scale = self._style.horizontal_scale
            drawn = draw_cluster(cluster.key, cluster.advance, self.em, scale, mono=self._mono, bold=bold, slant=slant)
            blank = not any(map(is_visible, word[cluster.start : cluster.end]))
            self._clusters[key] = self._append(drawn, blank=blank)
        return self._clusters[key]

    def _single(self, codes: Codes, looks: Looks | None) -> Ints:
        if looks is None:
            return self._plain(codes, 0)
        drawn = looks & np.uint8(DRAWN)
        found = self._plain(codes, int(drawn[0]) if len(drawn) else 0)
        for look in np.unique(drawn).tolist():
            chosen = drawn == look
            found[chosen] = self._plain(codes[chosen], look)
        return found

    def _plain(self, codes: Codes, look: int) -> Ints:
        if look not in self._glyph:
            self._glyph[look] = np.full(0x110000, -1, np.int32)
        table = self._glyph[look]
        found = table.take(codes)  # twice as fast as an index in brackets
        if found.size and found.min() < 0:
            for code in np.unique(codes[found < 0]).tolist():
                table[code] = self._add(chr(code), look)
            found = table.take(codes)
        return found

    def _bitmap(self, char: str, look: int = 0) -> Bitmap:
        face = self._fonts.face_for(char, bold=bool(look & BOLD), mono=bool(look & MONO))
        if face is None:
            return NOTHING
        with FREETYPE:
            face.set_size(self.em, self._style.horizontal_scale)
            return face.bitmap(char, mono=self._mono, bold=bool(look & BOLD) and not face.is_bold, slant=bool(look & SLANT))

    def _add(self, char: str, look: int) -> int:
        if char == "\n":
            drawn = self._bitmap(MARK) if self._style.newline == "marked" else NOTHING._replace(advance=self.space)
        elif is_visible(char):
            drawn = self._visible(char, look)
        else:
            drawn = self._invisible(char, look)
        return self._append(drawn, blank=not is_visible(char))

    def _append(self, drawn: Bitmap, *, blank: bool) -> int:
        number = len(self._bitmaps)
        if number == len(self.advance):
            self.advance, self.left, self.right = (np.resize(a, number * 2) for a in (self.advance, self.left, self.right))
            self.blank = np.resize(self.blank, number * 2)
            self._slot = np.concatenate([self._slot, np.full_like(self._slot, -1)])
        self._bitmaps.append(drawn)
        self.advance[number] = max(0, drawn.advance)
        self.left[number] = min(0, drawn.left) if drawn.ink.size else 0
        self.right[number] = drawn.left + drawn.ink.shape[1]
        self.blank[number] = blank and not drawn.ink.size
        self.reach = (min(self.reach[0], int(self.left[number])), max(self.reach[1], int(self.right[number])))
        return number

    def _visible(self, char: str, look: int) -> Bitmap:
        control = ord(char) < 0x20 or 0x7F <= ord(char) < 0xA0
        face = None if control or 0xD800 <= ord(char) < 0xE000 else self._fonts.face_for(char)
        if face is not None:
            return self._bitmap(char, look)
        self.missing.add(ord(char))
        if self._style.missing == "error":
            raise MissingGlyphError(
                f"no installed font covers U+{ord(char):04X}; install one that does, or name it in the style,"
                " or let missing='escape' show its code"
            )
        if self._style.missing == "skip":
            return NOTHING
        return self._side_by_side(escape(char))

    def _invisible(self, char: str, look: int) -> Bitmap:
        if char in "\t\v\f\r\x85\u2028\u2029" or not char.isspace():
            return NOTHING
        face = self._fonts.face_for(char)
        advance = self._bitmap(char, look).advance if face else self.space
        if char == "\u3000":
            advance = round(self.em * self._style.horizontal_scale)
        return NOTHING._replace(advance=advance if advance > 0 else self.space)

    def _side_by_side(self, text: str) -> Bitmap:
        parts = [self._bitmap(c) for c in text]
        top = max(p.top for p in parts)
        bottom = min(p.top - p.ink.shape[0] for p in parts)
        width = sum(p.advance for p in parts)
        ink = np.zeros((top - bottom, width), np.uint8)
        pen = 0
        for part in parts:
            height, wide = part.ink.shape
            x = max(0, pen + part.left)
            wide = min(wide, width - x)
            area = ink[top - part.top : top - part.top + height, x : x + wide]
            np.maximum(area, part.ink[:, :wide], out=area)
            pen += part.advance
        return Bitmap(ink, 0, top, width)

    # -- cells ----------------------------------------------------------------------------------------------------------

    def slots(self, glyphs: Ints, widths: Ints) -> Ints:
        """Slot of each glyph in a cell of the given width in pixels."""
        if widths.size and (wide := int(widths.max())) >= self._slot.shape[1]:
            grown = np.full((self._slot.shape[0], max(wide + 1, 2 * self._slot.shape[1])), -1, np.int32)
            grown[:, : self._slot.shape[1]] = self._slot
            self._slot = grown
        span = self._slot.shape[1]
        found = self._slot.reshape(-1).take(glyphs * span + widths)
        if found.size and found.min() < 0:
            lacking = found < 0
            for key in np.unique(glyphs[lacking].astype(np.int64) * span + widths[lacking]).tolist():
                self._add_cell(key // span, key % span)
            found = self._slot.reshape(-1).take(glyphs * span + widths)
        return found

    def _add_cell(self, glyph: int, width: int) -> None:
        slot = self._slots
        if slot == len(self.first):
            self.tile_first, self.tile_count = np.resize(self.tile_first, slot * 2), np.resize(self.tile_count, slot * 2)
            self.first, self.count = np.resize(self.first, slot * 2), np.resize(self.count, slot * 2)
        self._slots += 1
        ink, left, top, _ = self._bitmaps[glyph]
        self.tile_first[slot] = self.tile_count[slot] = 0
        self.first[slot] = self._inked
        self.count[slot] = 0
        if ink.size:
            self._draw_cell(slot, ink, left, self.baseline - top, width)
        self._slot[glyph, width] = slot

    def _draw_cell(self, slot: int, ink: npt.NDArray[np.uint8], x: int, y: int, width: int) -> None:
        value = self._value[ink]
        height, wide = ink.shape
        x0, x1 = min(max(0, -x), wide), min(max(0, width - x), wide)
        y0, y1 = min(max(0, -y), height), min(max(0, self.rows - y), height)
        if x1 > x0 and y1 > y0:
            count = -(-(x + x1) // TILE)  # blank columns at the right of a cell need no tile
            cell = np.full((self.rows, count * TILE), self.background, np.uint8)
            cell[y + y0 : y + y1, x + x0 : x + x1] = value[y0:y1, x0:x1]
            if self._tiled + count > len(self.tiles):
                self.tiles = np.concatenate([self.tiles, np.zeros((len(self.tiles) + count, self.rows), TILE_ROW)])
            self.tiles[self._tiled : self._tiled + count] = cell.view(TILE_ROW).T
            self.tile_first[slot], self.tile_count[slot] = self._tiled, count
            self._tiled += count
        outside = value != self.background
        outside[y0:y1, x0:x1] = False
        dy, dx = np.nonzero(outside)
        if not len(dx):
            return
        need = self._inked + len(dx)
        if need > len(self._ink.dx):
            dx_all, dy_all, values = self._ink
            self._ink = Ink(np.resize(dx_all, 2 * need), np.resize(dy_all, 2 * need), np.resize(values, 2 * need))
        self._ink.dx[self._inked : need] = dx + x
        self._ink.dy[self._inked : need] = dy + y
        self._ink.value[self._inked : need] = value[dy, dx]
        self.first[slot], self.count[slot] = self._inked, len(dx)
        self._inked = need

    @property
    def ink(self) -> Ink:
        """The ink outside of cells."""
        return self._ink


def mirrored(codes: Codes, levels: npt.NDArray[np.uint8]) -> Codes:
    """The code points drawn: brackets and the like face the other way at odd levels (UAX 9, L4)."""
    odd = np.nonzero(levels & 1)[0]
    drawn = codes.copy()
    for at in odd[codes[odd] < 0x10000].tolist():
        drawn[at] = mirror(int(codes[at]))
    return drawn


def escape(char: str) -> str:
    """How a character that cannot be drawn is shown: ``\\x07``, ``\\u4e2d``, ``\\U0001f600``."""
    code = ord(char)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
