"""Marks over cited text."""

from __future__ import annotations

from collections.abc import Iterable

from PIL import Image, ImageChops, ImageDraw

from ..page import Box


def highlight(image: Image.Image, boxes: Iterable[Box], color: tuple[int, int, int] = (255, 226, 84)) -> Image.Image:
    """A copy of a drawn page in RGB with a translucent mark over each box and a bar in the left margin beside it.

    Args:
        image: as drawn by `Renderer.draw`, at the resolution the boxes were computed for.
        boxes: see `Renderer.boxes`.
        color: of the mark; ink stays as dark as it was (on dark pages: as light).
    """
    page = image.convert("RGB")
    dark = int(image.convert("L").tobytes()[0]) < 128
    blank = (0, 0, 0) if dark else (255, 255, 255)
    marks = Image.new("RGB", page.size, blank)
    pencil = ImageDraw.Draw(marks)
    bar = max(2, page.width // 200)
    fill = tuple(c // 3 for c in color) if dark else color
    for box in boxes:
        pencil.rectangle((box.left - 1, box.top, box.right, box.bottom - 1), fill=fill)
        pencil.rectangle((1, box.top, bar, box.bottom - 1), fill=(220, 60, 40))
    return ImageChops.lighter(page, marks) if dark else ImageChops.multiply(page, marks)
