"""Lines to pixels: every glyph's cell copied into the page, one pixel row of all at a time; then ink outside of cells."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..page import Page
from .atlas import TILE, Atlas, Ints
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
        index: ``int32[n]`` offset of each drawn character in the page's text; on a line from left to right.
        glyph: ``int32[n]`` its glyph number.
        line: ``int32[n]`` its line, from 0.
        x: ``int32[n]`` pen position in pixels from the left edge.
        width: ``int32[n]`` how far the pen moves.
    """

    def __init__(self, page: Page, own: Atlas, atlas: Atlas, dpi: int) -> None:
        """``own`` is the atlas of the style's dpi, whose advances placed the lines; ``atlas`` that of ``dpi``."""
        style = page.style
        table = np.array([(n, *f) for n, line in enumerate(page.lines) for f in line], np.int32).reshape(-1, 6)
        line, start, end, x, width, level = table.T
        length = end - start
        total = int(length.sum())
        before = np.cumsum(length) - length  # drawn characters before each fragment
        piece = np.repeat(np.arange(len(length), dtype=np.int32), length)
        self.index = np.arange(total, dtype=np.int32) + np.repeat(start - before, length).astype(np.int32)
        codes = decode(page.text)[self.index]
        looks = looks_of(page.runs, 0, len(page.text)) if page.runs else None
        if looks is not None:
            looks = looks[self.index]
        backward = level & 1
        levels = np.repeat(level, length).astype(np.uint8) if backward.any() else None
        own_glyph = own.glyphs(codes, looks, levels)
        advance = own.advance[own_glyph]
        ends = np.cumsum(advance, dtype=np.int64)
        base = np.repeat((ends[before] - advance[before]) if total else before, length)
        pen = (ends - advance - base).astype(np.int32)
        after = (ends - base).astype(np.int32)
        if total:
            natural = after[before + length - 1]
            if (natural != width).any():
                pen, after = self._fit(style.align == "justify", codes, piece, pen, after, natural, width)
        if levels is not None:  # right to left, the pen starts at the right end
            wide = np.repeat(width, length)
            pen, after = np.where(levels & 1, wide - after, pen), np.where(levels & 1, wide - pen, after)
        shift = np.repeat(x, length).astype(np.int32)
        here, there = pen + shift, after + shift
        if dpi != style.dpi:
            here, there = scaled(here, dpi, style.dpi), scaled(there, dpi, style.dpi)
        self.glyph = own_glyph if atlas is own else atlas.glyphs(codes, looks, levels)
        if total:
            ends = before + length - 1
            first, last = np.where(backward, ends, before), np.where(backward, before, ends)
            self._keep_in_box(page, atlas, dpi, here, there, first, last)
        self.line = np.repeat(line, length).astype(np.int32)
        self.x, self.width = here, np.maximum(there - here, 0)
        if levels is not None:  # from left to right, as tiles are copied
            order = np.lexsort((self.width, self.x, self.line))
            self.index, self.glyph, self.line, self.x, self.width = (
                column[order] for column in (self.index, self.glyph, self.line, self.x, self.width)
            )

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

    def _keep_in_box(self, page: Page, atlas: Atlas, dpi: int, here: Ints, there: Ints, first: Ints, last: Ints) -> None:
        """Move a fragment's first and last glyph so that their ink stays between the margins."""
        style = page.style
        left = round(style.margin_x * dpi / 72)
        right = max(left + 1, round(style.width * dpi / 72) - left)
        here[first] = np.maximum(here[first], left - atlas.left[self.glyph[first]])
        nudged = np.maximum(right - atlas.right[self.glyph[last]], left - atlas.left[self.glyph[last]])
        here[last] = np.minimum(here[last], nudged)
        long = last != first  # the cell before the moved glyph ends where that now begins
        before = np.where(last > first, last - 1, last + 1)[long]
        there[before] = np.minimum(there[before], here[last[long]])


def rasterize(page: Page, own: Atlas, atlas: Atlas, dpi: int, width: int, height: int) -> npt.NDArray[np.uint8]:
    """``uint8[height, width]`` grey values of a page. Costs about 0.5 ms for a full page at the style's own dpi once its glyphs
    are in the atlas."""
    style = page.style
    pens = Pens(page, own, atlas, dpi)
    x = np.clip(pens.x, 0, width)  # stored pages may come from anywhere
    slot = atlas.slots(pens.glyph, np.clip(pens.x + pens.width, 0, width) - x)
    tops = (np.arange(len(page.lines)) * style.line_height * dpi / 72 + 0.5).astype(np.int64) + int(
        style.margin_y * dpi / 72 + 0.5
    )
    stride = width + TILE  # the last tile of a line may reach beyond the page
    canvas = np.full((height, stride), atlas.background, np.uint8)
    many = atlas.tile_count[slot]
    who = np.repeat(np.arange(len(slot)), many)
    tile = atlas.tile_first[slot[who]]
    place = tops[pens.line[who]] * stride + x[who]
    if len(many) and many.max() > 1:
        step = np.arange(len(who)) - np.repeat(np.cumsum(many) - many, many)
        tile = tile + step
        place += TILE * step
    if len(place):
        # eight pixels at a time, from any byte: each tile is cleared to its right, so tiles go from left to right
        anywhere = np.ndarray((canvas.size - TILE + 1,), np.uint64, canvas.data, strides=(1,))
        for row, pixels in enumerate(atlas.tiles):
            inside = place + row * stride
            anywhere[inside] = pixels[tile]
    image = np.ascontiguousarray(canvas[:, :width])
    _blend(image, atlas, slot, pens, tops, dark=style.color < style.background)
    return image


def _blend(
    image: npt.NDArray[np.uint8], atlas: Atlas, slot: Ints, pens: Pens, tops: npt.NDArray[np.int64], *, dark: bool
) -> None:
    count = atlas.count[slot]
    who = np.nonzero(count)[0]
    if not len(who):
        return
    many = count[who]
    ahead = np.cumsum(many) - many
    entry = np.arange(int(many.sum()), dtype=np.int32) + np.repeat(atlas.first[slot[who]] - ahead, many)
    height, width = image.shape
    x = np.repeat(pens.x[who], many) + atlas.ink.dx[entry]
    y = np.repeat(tops[pens.line[who]], many) + atlas.ink.dy[entry]
    on_page = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    target = (y * width + x)[on_page]
    (np.minimum if dark else np.maximum).at(image.reshape(-1), target, atlas.ink.value[entry[on_page]])
