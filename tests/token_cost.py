"""What turns cost, counted apart from the code that places pages."""

from __future__ import annotations

from io import BytesIO

from PIL import Image

from glyph_integrations.reading import PagePart, TextPart, Turn
from glyph_integrations.reading.placement import Gate
from glyph_integrations.vision import count_text_tokens


def cost(turns: list[Turn], gate: Gate) -> int:
    """Tokens of all parts, counted from the drawn pictures themselves, and the estimate for what is no part."""
    total = 0
    for part in (part for turn in turns for part in turn.parts):
        if isinstance(part, TextPart):
            total += count_text_tokens(part.text).count
        elif isinstance(part, PagePart):
            assert gate.vision
            total += gate.vision.count(*Image.open(BytesIO(gate.png(part))).size)
    return total + gate.overhead(turns)
