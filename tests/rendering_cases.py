"""Texts, styles and helpers that the tests of rendering share."""

from __future__ import annotations

import os
import re

import numpy as np
from hypothesis import strategies as st

from glyph_integrations.page import Page, Run
from glyph_integrations.rendering import Renderer
from glyph_integrations.rendering.raster import Pens
from glyph_integrations.sources import SourceDocument
from glyph_integrations.style import PageStyle

MORE = int(os.environ.get("GLYPH_EXAMPLES", "1"))
"""How many times the usual number of examples to try."""

SMALL = PageStyle(width=150, height=90)
STYLES = [
    SMALL,
    SMALL.replace(font="mono", newline="keep", tab_width=8),
    SMALL.replace(newline="reflow"),
    SMALL.replace(newline="marked"),
    SMALL.replace(align="justify", indent=12),
    SMALL.replace(align="right", left_indent=5, right_indent=7),
    SMALL.replace(align="center", font_size=11, line_height=11),
    SMALL.replace(dpi=96, levels=2),
    SMALL.replace(color=255, background=0, horizontal_scale=0.8),
    SMALL.replace(crop_width=True, missing="skip"),
]
RENDERERS = [Renderer(style) for style in STYLES]

words = st.text(st.sampled_from("abcdefgjpqyfWMÅÉŞ.,;:!?-'\"()[]{}/\\%$0123456789“”‘’—…"), min_size=1, max_size=12)
odd = st.sampled_from(
    [
        *("\n", "\n\n", "\r\n", "\r", "\t", "  ", "\f", "\x00", "\x07", "\u00ad", "\u200b", "\u200d", "e\u0301\u0323"),
        *("中文字，", "。」", "한글", "\U0001f600", "\u3000", "\u00a0", "\u2028", "\ud800", "\ue000", "x" * 80, "Ǻ", "\ufeff"),
        *("a\n b", "- item\n", "\u0301"),
    ]
)
texts = st.lists(st.one_of(words, st.just(" "), odd, st.text(max_size=4)), max_size=60).map("".join)
renderers = st.sampled_from(RENDERERS)


def painted_one_by_one(renderer: Renderer, page: Page, dpi: int) -> np.ndarray:
    """The slow and obvious way: every glyph's whole bitmap blended onto the page at its pen."""
    style = page.style
    own, atlas = renderer._atlas(page.style, style.dpi), renderer._atlas(page.style, dpi)
    pens = Pens(page, own, atlas, dpi)
    width, height = renderer.size(page, dpi)
    pad = 200
    canvas = np.full((height + 2 * pad, width + 2 * pad), style.background, np.uint8)
    for glyph, line, x in zip(pens.glyph.tolist(), pens.line.tolist(), pens.x.tolist(), strict=True):
        ink, left, top, _ = atlas._bitmaps[glyph]
        above = sum(style.line_height * (1 if other else style.blank_height) for other in page.lines[:line])
        y = int((style.margin_y + above) * dpi / 72 + 0.5) + atlas.baseline - top
        area = canvas[pad + y : pad + y + ink.shape[0], pad + x + left : pad + x + left + ink.shape[1]]
        np.minimum(area, atlas._value[ink], out=area)
    return canvas[pad:-pad, pad:-pad]


def marked_up(text: str, **roles: str) -> SourceDocument:
    runs = sorted(Run(m.start(), m.end(), role) for role, pattern in roles.items() for m in re.finditer(pattern, text))
    return SourceDocument(text=text, name="a.md", media_type="text/markdown", sha256="0" * 64, runs=tuple(runs))
