"""`Renderer`: the door to drawing. Text to pages, pages to pixels, characters to boxes."""

from __future__ import annotations

import logging
import threading
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from ..errors import DocumentError, StyleError
from ..page import Box, Entry, Fragment, Page, Run, Scalar, normalize_source
from ..sources import SourceDocument
from ..style import PageStyle
from ..vision import VisionProfile
from .atlas import Atlas
from .crop import Lines, crop_lines, picture_rows
from .fonts import FontSet
from .geometry import column_shift, page_height, place_lines, rows_per_column, to_pixels
from .layout import BLOCK, LaidLine, lay_lines
from .page_ends import group_lines
from .png import encode_png
from .raster import Pens, rasterize, scaled
from .rasterize_file import file_pages, find_file, picture_boxes, picture_pixels, picture_size
from .reflow import wrap_width

_log = logging.getLogger("glyph_integrations")
_MAX_PIXELS = 100_000_000

_new = tuple.__new__


class Renderer:
    """Draws text as pages.

    Args:
        style: how; default preset ``glyph-72``.
        fonts: further font files, asked after the style's own font and before the bundled and the system's fonts.
        root: a folder that holds the PDF and image files whose pages are to be drawn, under their document names. Without it
            only pages of files that this process has opened can be drawn. A file is taken only if its hash is the page's.

    Glyphs are drawn once and kept for the life of the renderer, so reuse it. Safe to share between threads.
    """

    def __init__(
        self, style: PageStyle | None = None, fonts: Iterable[str | Path] = (), root: str | Path | None = None
    ) -> None:
        self.style = style or PageStyle.preset("glyph-72")
        self.root = None if root is None else Path(root)
        self._extra_fonts = tuple(fonts)
        self._fonts: dict[str, FontSet] = {}
        self._atlases: dict[tuple[PageStyle, int], Atlas] = {}
        self._lock = threading.RLock()
        self._font_set(self.style)  # a wrong font path is an error now, not at the first page

    def __reduce__(self) -> tuple[type[Renderer], tuple[PageStyle, tuple[str | Path, ...], Path | None]]:
        return Renderer, (self.style, self._extra_fonts, self.root)  # glyphs are drawn anew in the other process

    # -- text to pages --------------------------------------------------------------------------------------------------

    def paginate(
        self, text: str | SourceDocument, source: str = "", metadata: Mapping[str, Scalar] | None = None
    ) -> Iterator[Page]:
        """The pages of a text, lazily. Their spans tile it: every character is in exactly one page.

        Takes about 0.1 s for a million characters of prose, 0.6 s where lines are short.

        Args:
            text: a string, or a document from `open_document`.
            source: the document's name; default the document's own. Stored relative, with forward slashes.
            metadata: the caller's values, copied to every page.

        With ``newline="auto"`` a text that was wrapped by hand is reflowed (and a log line at level INFO says so); the pages'
        style carries what was decided. A text without visible characters has no pages. A PDF or an image has
        pages of its own.

        Raises:
            MissingGlyphError: a character that no font covers, when the style says ``missing="error"``.
        """
        if isinstance(text, str):
            return self._paginate(text, (), normalize_source(source), dict(metadata or {}))
        source = normalize_source(source or text.name)
        if text.pages:
            return file_pages(text, self.style, source, dict(metadata or {}))
        return self._paginate(text.text, text.runs, source, dict(metadata or {}))

    def _paginate(self, text: str, runs: tuple[Run, ...], source: str, metadata: dict[str, Scalar]) -> Iterator[Page]:
        style, wrap = self._resolve(text, source)
        with self._lock:
            atlas = self._atlas(style, style.dpi)
        groups = group_lines(lay_lines(text, runs, style, atlas, wrap), text, self.lines_per_page, style.blank_height)
        seen: dict[str, int] = {}
        source_line = 1 if style.line_numbers else 0
        group = self._next(groups)
        number, start = 0, 0
        while group is not None:
            following = self._next(groups)
            end = following[0].start if following else len(text)
            number += 1
            own = _clip(runs, start, end) if runs else ()
            entry = Entry(group[0].opening == 3, source_line)
            page = self._page(text[start:end], own, style, group, start, source, number, entry, metadata, atlas)
            if source_line:
                source_line += page.text.count("\n")
            ordinal = seen.get(page.content_hash, 0)
            seen[page.content_hash] = ordinal + 1
            if ordinal:
                object.__setattr__(page, "ordinal", ordinal)
            yield page
            group, start = following, end

    def _next(self, groups: Iterator[list[LaidLine]]) -> list[LaidLine] | None:
        with self._lock:  # the atlas grows while lines are laid
            return next(groups, None)

    @staticmethod
    def _page(
        text: str, runs: tuple[Run, ...], style: PageStyle, group: list[LaidLine], start: int, source: str, number: int,
        entry: Entry, metadata: dict[str, Scalar], atlas: Atlas,
    ) -> Page:  # fmt: skip
        shift = [0] * len(group)
        if style.columns > 1:
            wide = to_pixels(column_shift(style), style.dpi)
            shift = (place_lines([bool(line.fragments) for line in group], style).column * wide).tolist()
        lines = tuple([  # a list inside is faster than a generator, and _new than Fragment(...)
            tuple([_new(Fragment, (a - start, b - start, x + right, w, level)) for a, b, x, w, level in line.fragments])
            for line, right in zip(group, shift, strict=True)
        ])  # fmt: skip
        missing = "".join(sorted(c for c in set(text) if ord(c) in atlas.missing)) if atlas.missing else ""
        return Page(
            text=text, style=style, lines=lines, source=source, number=number, start=start,
            entry=entry, runs=runs, missing=missing, metadata=metadata,
        )  # fmt: skip

    def _resolve(self, text: str, source: str) -> tuple[PageStyle, int]:
        newline = self.style.newline
        wrap = wrap_width(text) if newline in ("auto", "reflow") else 0
        if newline == "auto":
            newline = "reflow" if wrap else "keep"
            if wrap:
                hint = "reflowing it (newline='keep' draws it as it is)"
                _log.info("%s was wrapped by hand at %d characters; %s", source or "text", wrap, hint)
        return self.style.replace(newline=newline), wrap

    @property
    def lines_per_page(self) -> int:
        """How many lines a page holds."""
        return rows_per_column(self.style) * self.style.columns

    # -- pages to pixels ------------------------------------------------------------------------------------------------

    def size(
        self, page: Page, dpi: int | None = None, vision: VisionProfile | str | None = None, lines: Lines | None = None
    ) -> tuple[int, int]:
        """Width and height in pixels of `draw` with the same arguments, without drawing."""
        dpi = self._dpi(page, dpi)
        if page.picture:
            width, height = picture_size(page.picture, dpi)
            if lines is not None:
                top, bottom = picture_rows(page, lines, dpi)
                height = bottom - top
        else:
            width, height = self._text_size(page if lines is None else crop_lines(page, lines), dpi)
        if vision is not None:
            grid = VisionProfile.get(vision).grid
            width, height = -(-width // grid) * grid, -(-height // grid) * grid
        return max(1, width), max(1, height)

    @staticmethod
    def _text_size(page: Page, dpi: int) -> tuple[int, int]:
        style = page.style
        width = to_pixels(style.width, dpi)
        if style.crop_width:
            right = max((f.x + f.width for line in page.lines for f in line), default=0)
            width = min(width, int(scaled(right, dpi, style.dpi)) + to_pixels(style.margin_x, dpi))
        return width, to_pixels(page_height([bool(line) for line in page.lines], style), dpi)

    def missing_file(self, page: Page) -> str:
        """Why a page cannot be drawn: the PDF or image it comes from is not at hand. Empty when it can be."""
        if page.picture is None:
            return ""
        try:
            find_file(page.picture, self.root)
        except DocumentError as error:
            return str(error)
        return ""

    def pixels(
        self, page: Page, dpi: int | None = None, vision: VisionProfile | str | None = None, lines: Lines | None = None,
        *, color: bool = False,
    ) -> npt.NDArray[np.uint8]:  # fmt: skip
        """``uint8[height, width]`` grey values of a page; with ``color``, ``uint8[height, width, 3]`` of a page of a file that
        has colours. See `draw`."""
        dpi = self._dpi(page, dpi)
        width, height = self.size(page, dpi, vision, lines)
        if width * height > _MAX_PIXELS:
            raise StyleError(f"a page of {width}x{height} pixels at {dpi} dpi is too large; lower the dpi or the page size")
        if page.picture:
            picture = picture_pixels(page, page.picture, find_file(page.picture, self.root), dpi, color)
            if lines is not None:
                picture = picture[slice(*picture_rows(page, lines, dpi))]
            canvas = np.full((height, width, *picture.shape[2:]), page.style.background, np.uint8)
            canvas[: picture.shape[0], : picture.shape[1]] = picture
            return canvas
        if lines is not None:
            page = crop_lines(page, lines)
        with self._lock:
            own = self._atlas(page.style, page.style.dpi)
            return rasterize(page, own, own if dpi == page.style.dpi else self._atlas(page.style, dpi), dpi, width, height)

    def draw(
        self, page: Page, dpi: int | None = None, vision: VisionProfile | str | None = None, lines: Lines | None = None
    ) -> Image.Image:
        """The picture of a page, mode ``L``, or ``RGB`` of a page of a PDF or an image that has colours. Line breaks and pen
        positions are the page's own; only their scale depends on dpi.

        Args:
            dpi: resolution; default the style's own.
            vision: the model that will see it, or its name: the canvas is padded to that model's patch grid, so that its
                processor does not resample the page. Default: trimmed to the lines and margins.
            lines: first and last line (from 1) of a part of the page to draw alone, within the page's margins. Of a picture
                from a file: the strip that holds these lines of its text, as wide as the page. Default: the whole page.

        About 0.3 ms for a page of a novel at the style's own dpi, 0.4 ms at another. A page of a PDF or an image is drawn
        from its file in some 5 ms; one that would be over 99 million pixels, or 30,000 on a side, at a lower dpi
        (and a log line says so).

        Raises:
            DocumentError: the file of a page of a PDF or an image is not at hand, or damaged.
            StyleError: the picture would exceed 100 million pixels.
            UnknownModelError: ``vision`` names no known model.
            ValueError: the page has no such lines.
        """
        return Image.fromarray(self.pixels(page, dpi, vision, lines, color=True))

    def png(
        self, page: Page, dpi: int | None = None, vision: VisionProfile | str | None = None, lines: Lines | None = None
    ) -> bytes:
        """`draw` as PNG bytes, about 3 ms more; 10 ms with colours."""
        return encode_png(self.pixels(page, dpi, vision, lines, color=True), self._dpi(page, dpi))

    def boxes(self, page: Page, start: int, end: int, dpi: int | None = None) -> list[tuple[int, Box]]:
        """Where characters ``start:end`` of a page's text stand: a line number (from 1) and a box in pixels for each line."""
        dpi = self._dpi(page, dpi)
        if page.picture:
            return picture_boxes(page, page.picture, start, end, dpi)
        style = page.style
        with self._lock:
            own = self._atlas(style, style.dpi)
            pens = Pens(page, own, own if dpi == style.dpi else self._atlas(style, dpi), dpi)
        chosen = (pens.index >= start) & (pens.index < end)
        tops = place_lines([bool(line) for line in page.lines], style).top.tolist()
        found = []
        for line in np.unique(pens.line[chosen]).tolist():
            here = chosen & (pens.line == line)
            top = to_pixels(tops[line], dpi)
            bottom = to_pixels(tops[line] + style.line_height, dpi)
            box = Box(int(pens.x[here].min()), top, int((pens.x[here] + pens.width[here]).max()), bottom)
            if box.right > box.left:
                found.append((line + 1, box))
        return found

    # -- glyphs ---------------------------------------------------------------------------------------------------------

    @staticmethod
    def _dpi(page: Page, dpi: int | None) -> int:
        dpi = page.style.dpi if dpi is None else dpi
        if not 18 <= dpi <= 1200:
            raise StyleError(f"dpi={dpi}: must be from 18 to 1200")
        return dpi

    def _font_set(self, style: PageStyle) -> FontSet:
        if style.font not in self._fonts:
            self._fonts[style.font] = FontSet(style.font, self._extra_fonts)
        return self._fonts[style.font]

    def _atlas(self, style: PageStyle, dpi: int) -> Atlas:
        key = (style, dpi)
        if key not in self._atlases:
            self._atlases[key] = Atlas(style, self._font_set(style), dpi)
        return self._atlases[key]


def _clip(runs: tuple[Run, ...], start: int, end: int) -> tuple[Run, ...]:
    """The runs of ``start:end``, counted from its start."""
    low = bisect_left(runs, start - BLOCK, key=lambda run: run.start)
    high = bisect_left(runs, end, key=lambda run: run.start)
    return tuple(Run(max(a, start) - start, min(b, end) - start, role) for a, b, role in runs[low:high] if b > start)
