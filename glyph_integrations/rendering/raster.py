"""Lines to pixels: every glyph's cell copied into the page, one pixel row of all at a time; then ink outside of cells."""

from __future__ import annotations

from itertools import chain

import numpy as np
import numpy.typing as npt

from ..page import Page
from .atlas import TILE, TILE_ROW, Atlas, Ints
from .furniture import notes_of
from .geometry import NUMBER_DIGITS, Places, column_shift, place_lines, to_pixels
from .looks import looks_of

Codes = npt.NDArray[np.uint32]


def scaled(value: Ints | int, dpi: int, own: int) -> Ints:
    """A pixel position at the style's own dpi, moved to another: ``round(value * dpi / own)``, halves up."""
    return np.asarray((2 * np.asarray(value, np.int64) * dpi + own) // (2 * own), np.int32)


def decode(text: str) -> Codes:
    """Code points of a text, lone surrogates included."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)


class Pens:
    """Pen positions of every drawn character of a page, at the resolution of an atlas.

    Attributes:
        index: ``intp[n]`` offset of each drawn character in the page's text; on a line from left to right.
        glyph: ``int32[n]`` its glyph number.
        line: ``int32[n]`` its line, from 0.
        x: ``int32[n]`` pen position in pixels from the left edge.
        width: ``int32[n]`` how far the pen moves.
    """

    def __init__(self, page: Page, own: Atlas, atlas: Atlas, dpi: int) -> None:
        """``own`` is the atlas of the style's dpi, whose advances placed the lines; ``atlas`` that of ``dpi``."""
        style = page.style
        flat = chain.from_iterable(chain.from_iterable(page.lines))
        start, end, x, width, level = np.fromiter(flat, np.int32).reshape(-1, 5).T
        line = np.repeat(np.arange(len(page.lines), dtype=np.int32), [len(pieces) for pieces in page.lines])
        length = end - start
        total = int(length.sum())
        before = np.cumsum(length) - length  # drawn characters before each fragment
        self.index = np.arange(total, dtype=np.intp) + np.repeat(start - before, length)
        codes = decode(page.text).take(self.index)
        looks = looks_of(page.runs, 0, len(page.text)) if page.runs else None
        if looks is not None:
            looks = looks[self.index]
        backward = level & 1
        levels = np.repeat(level, length).astype(np.uint8) if backward.any() else None
        own_glyph = own.glyphs(codes, looks, levels, length)
        advance = own.advance.take(own_glyph)
        ends = np.cumsum(advance, dtype=np.int32)
        opening = (ends[before] - advance[before]) if total else before
        natural = (ends[before + length - 1] - opening) if total else before
        if levels is None and (natural == width).all():  # the usual case: pens follow from the advances alone
            there = ends + np.repeat(x - opening, length)
            here = there - advance
        else:
            base = np.repeat(opening, length)
            pen, after = ends - advance - base, ends - base
            if (natural != width).any():
                piece = np.repeat(np.arange(len(length), dtype=np.int32), length)
                pen, after = self._fit(style.align == "justify", codes, piece, pen, after, natural, width)
            if levels is not None:  # right to left, the pen starts at the right end
                wide = np.repeat(width, length)
                pen, after = np.where(levels & 1, wide - after, pen), np.where(levels & 1, wide - pen, after)
            shift = np.repeat(x, length).astype(np.int32)
            here, there = pen + shift, after + shift
        if dpi != style.dpi:
            here, there = scaled(here, dpi, style.dpi), scaled(there, dpi, style.dpi)
        self.glyph = own_glyph if atlas is own else atlas.glyphs(codes, looks, levels, length)
        self.line = np.repeat(line, length)
        self.x, self.width = here, there - here
        if total:
            moved = self._keep_in_box(page, atlas, dpi)
            if len(moved):
                self.width[moved] = np.maximum(there[moved] - self.x[moved], 0)
            if levels is not None or not self._mend(moved):
                self._from_left_to_right()

    def _mend(self, moved: npt.NDArray[np.intp]) -> bool:
        """`_from_left_to_right` where only a few pens were moved: end the cells before them. False if that is not enough."""
        moved = moved[moved > 0]
        room = self.x[moved] - self.x[moved - 1]
        beside = self.line[moved] == self.line[moved - 1]
        if (room[beside] < 0).any():
            return False
        before = moved[beside] - 1
        self.width[before] = np.minimum(self.width[before], room[beside])
        return True

    def _from_left_to_right(self) -> None:
        """Sort as cells are copied, and end each cell where the next begins; ink beyond is blended in afterwards."""
        place = self.line.astype(np.int64) << 32 | self.x.astype(np.int64) + (1 << 30)
        if (place[1:] < place[:-1]).any():
            order = np.lexsort((self.width, place))
            place = place[order]
            self.index, self.glyph, self.line, self.x, self.width = (
                column[order] for column in (self.index, self.glyph, self.line, self.x, self.width)
            )
        np.minimum(self.width[:-1], np.minimum(place[1:] - place[:-1], 1 << 30), out=self.width[:-1], casting="unsafe")

    @staticmethod
    def _fit(justify: bool, codes: Codes, piece: Ints, pen: Ints, after: Ints, natural: Ints, width: Ints) -> tuple[Ints, Ints]:
        """Pens of fragments whose stored width is not the sum of their advances: justified lines get it at their spaces;
        otherwise a font is missing here, and pens are squeezed or spread to keep every position on the page true."""
        spare = (width - natural)[piece]
        blank = (codes == 0x20) | (codes == 0x0A)
        so_far = np.cumsum(blank)
        last = np.concatenate([np.nonzero(np.diff(piece))[0], [len(piece) - 1]])
        total = np.diff(np.concatenate([[0], so_far[last]]))
        spaces_before = so_far - np.concatenate([[0], so_far[last]])[piece] - blank
        spaces = total[piece]
        stretch = (spare > 0) & (spaces > 0) & justify
        safe = np.maximum(spaces, 1)
        even = np.where(stretch, spare * spaces_before // safe, 0)
        even_after = np.where(stretch, spare * (spaces_before + blank) // safe, 0)
        scale = ~stretch & (spare != 0)
        whole, own = width[piece].astype(np.int64), np.maximum(natural[piece], 1)
        pen_out = np.where(scale, pen * whole // own, pen + even)
        after_out = np.where(scale, after * whole // own, after + even_after)
        return pen_out.astype(np.int32), after_out.astype(np.int32)

    def _keep_in_box(self, page: Page, atlas: Atlas, dpi: int) -> npt.NDArray[np.intp]:
        """Move pens where a glyph's ink would leave the text box: at the ends of lines, by a pixel. Returns those moved."""
        style = page.style
        margin, shift = to_pixels(style.margin_x, dpi), to_pixels(column_shift(style), dpi)
        left, right = margin, to_pixels(style.width, dpi) - margin - shift * (style.columns - 1)
        into = np.zeros(len(page.lines), np.int32)  # a line's column
        if style.columns > 1:
            into = shift * place_lines([bool(pieces) for pieces in page.lines], style).column
        pen = self.x if style.columns == 1 else self.x - into[self.line]
        near = np.nonzero((pen < left - atlas.reach[0]) | (pen > right - atlas.reach[1]))[0]  # the edges
        glyph = self.glyph[near]
        inside = np.maximum(np.minimum(pen[near], right - atlas.right[glyph]), left - atlas.left[glyph])
        moved: npt.NDArray[np.intp] = near[inside != pen[near]]
        self.x[near] = inside + into[self.line[near]]
        return moved


def rasterize(page: Page, own: Atlas, atlas: Atlas, dpi: int, width: int, height: int) -> npt.NDArray[np.uint8]:
    """``uint8[height, width]`` grey values of a page. Costs about 0.3 ms for a full page at the style's own dpi once its glyphs
    are in the atlas."""
    style = page.style
    places = place_lines([bool(line) for line in page.lines], style)
    pens = Pens(page, own, atlas, dpi)
    glyph, x, span = pens.glyph, pens.x, pens.width
    y = (places.top * dpi / 72 + 0.5).astype(np.int64)[pens.line]
    if style.label or style.line_numbers:
        more_glyph, more_x, more_span, more_y = _notes(page, places, own, atlas, dpi)
        glyph, x = np.concatenate([glyph, more_glyph]), np.concatenate([x, more_x])
        span, y = np.concatenate([span, more_span]), np.concatenate([y, more_y])
        order = np.lexsort((x, y))
        glyph, x, span, y = glyph[order], x[order], span[order], y[order]
    if len(x) and (int(x.min()) < 0 or int((x + span).max()) > width):  # stored pages may come from anywhere
        ends = np.clip(x + span, 0, width)
        x = np.clip(x, 0, width)
        span = np.maximum(ends - x, 0)
    slot = atlas.slots(glyph, span)
    stride = width + TILE  # the last tile of a line may reach beyond the page
    canvas = np.full((height, stride), atlas.background, np.uint8)
    many = atlas.tile_count.take(slot)
    most = int(many.max()) if len(many) else 0
    # whole tiles, from any byte. A tile is background to the right of its cell, so a cell's later tiles go first and all first
    # tiles from left to right
    bytes_ahead = (atlas.rows - 1) * stride + TILE
    anywhere = np.ndarray((max(0, canvas.size - bytes_ahead + 1), atlas.rows), TILE_ROW, canvas.data, strides=(1, stride))
    for step in range(most - 1, -1, -1):
        who = np.nonzero(many > step)[0]
        tile = atlas.tile_first.take(slot.take(who)) + np.intp(step)
        anywhere[y.take(who) * stride + x.take(who) + TILE * step] = atlas.tiles.take(tile, axis=0)
    _blend(canvas, width, atlas, slot, x, y, dark=style.color < style.background)
    return canvas[:, :width]


def _notes(page: Page, places: Places, own: Atlas, atlas: Atlas, dpi: int) -> tuple[Ints, Ints, Ints, npt.NDArray[np.int64]]:
    """Glyph, x, width and y of the letters of a page's label and line numbers."""
    digit = int(own.advance[own.glyphs(decode("0"))[0]])
    glyph, x, span, y = [], [], [], []
    for text, right, top in notes_of(page, places, digit * NUMBER_DIGITS * 72 / page.style.dpi):
        codes = decode(text)
        advance = own.advance[own.glyphs(codes)]
        ends = to_pixels(right, page.style.dpi) - int(advance.sum()) + np.cumsum(advance)
        here, there = (
            scaled(np.maximum(ends - advance, 0), dpi, page.style.dpi),
            scaled(np.maximum(ends, 0), dpi, page.style.dpi),
        )
        glyph.append(atlas.glyphs(codes))
        x.append(here)
        span.append(there - here)
        y.append(np.full(len(codes), to_pixels(top, dpi), np.int64))
    empty = np.zeros(0, np.int32)
    return (
        np.concatenate([empty, *glyph]), np.concatenate([empty, *x]), np.concatenate([empty, *span]),
        np.concatenate([empty.astype(np.int64), *y]),
    )  # fmt: skip


def _blend(
    canvas: npt.NDArray[np.uint8],
    width: int,
    atlas: Atlas,
    slot: Ints,
    pen_x: Ints,
    pen_y: npt.NDArray[np.int64],
    *,
    dark: bool,
) -> None:
    count = atlas.count.take(slot)
    who = np.nonzero(count > 0)[0]
    if not len(who):
        return
    many = count[who]
    ahead = np.cumsum(many) - many
    entry = np.arange(int(many.sum()), dtype=np.int32) + np.repeat(atlas.first[slot[who]] - ahead, many)
    height, stride = canvas.shape
    x = np.repeat(pen_x[who], many) + atlas.ink.dx[entry]
    y = np.repeat(pen_y[who], many) + atlas.ink.dy[entry]
    on_page = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    target = (y * stride + x)[on_page]
    (np.minimum if dark else np.maximum).at(canvas.reshape(-1), target, atlas.ink.value[entry[on_page]])
