"""A page model that sees pixels only: an OCR engine reads the images it is sent, and the answer quotes what it read."""

from __future__ import annotations

import os
from collections.abc import Sequence
from io import BytesIO
from typing import TYPE_CHECKING

from ...errors import ModelError, PictureSizeError
from ...vision import VisionProfile
from ..exact_strings import read_exact_strings
from ..matching import find_near, plain_text
from ..placement import Gate
from ..turns import OpaquePart, PagePart, PicturePart, TextPart, Turn
from .addresses import image_address
from .quoting import quotable_texts, quote, short_question
from .quoting_model import QuotingModel

if TYPE_CHECKING:
    from PIL import Image

    from ...ocr import Reader
    from ...rendering import Renderer

NOTHING_READ = "Nothing could be read on the pictures given."

_MOST_PIXELS = 40_000_000
_LONGEST_SIDE = 20_000


class OcrModel(QuotingModel):
    """Answers by quoting what an OCR engine reads on the images it is sent, with their page: ``“...” (Page 57)``.

    Pages are drawn as they would be sent to the model it stands in for, and read from these pixels, never from their text; so
    are pictures of any origin. It shows, offline and without a vision-language model, whether what is sent can be read. It
    chooses sentences as `ExtractiveModel` does: it does not reason, calls no tools and has no options.

    Honest about what it sees: a misread word is quoted as it was read (`verify_answer` offers the repaired words), except that
    a string of 8 characters or more given as text beside the images (`ContextBuilder`'s exact strings) replaces what was read
    of it, when at most a sixth of its characters differ. It says "Nothing could be read on the pictures given." when that is
    so, and "No answer found in the pages given." when nothing it read bears on the question. Text is taken to stand upright in
    one column.

    Slow: RapidOCR takes 0.25 s of processor time a line, so 3 s for twelve lines and 20 s for a full page, once; equal
    pictures, and equal stretches of twelve lines of them, are not read again. It takes half a gigabyte of memory.

    Args:
        reader: the engine; default `RapidOcrReader` (extra ``ocr``: Latin, Chinese and Japanese script, nothing is downloaded).
        vision: the `VisionProfile` or name of the model it stands in for: how pages are drawn and tokens counted.
        quotes: most sentences quoted.
        cache: a folder that keeps readings, one small JSON file for twelve lines, by the hash of their picture. Default: the
            last 4,096 readings are kept in memory only.
        renderer: draws the pages (default ``Renderer()``).

    Raises:
        MissingExtraError: rapidocr or onnxruntime is not installed.
        UnknownModelError: no profile is known under the name ``vision``.
        PictureSizeError: when reading: a page or picture of over 40 million pixels, or over 20,000 on a side.
        ModelError: when reading: a picture that cannot be opened, or one given by its address or path, which is not fetched.
    """

    def __init__(
        self,
        reader: Reader | None = None,
        vision: VisionProfile | str = "glyph",
        *,
        quotes: int = 2,
        cache: str | os.PathLike[str] | None = None,
        renderer: Renderer | None = None,
    ) -> None:
        from ...ocr import CachedReader, RapidOcrReader

        super().__init__(Gate(vision, renderer), quotes)
        self._reader = CachedReader(RapidOcrReader() if reader is None else reader, cache)
        self.name = self._reader.name

    def transcribe(self, part: PagePart | PicturePart) -> str:
        """All that was read on a page as it is drawn for the model, or on a picture; empty when that is nothing.

        Raises:
            PictureSizeError: too large.
            ModelError: it cannot be opened.
        """
        from ...ocr import transcribe

        data = self._gate.png(part) if isinstance(part, PagePart) else part.data
        return transcribe(_opened(data), self._reader)

    def _answer(self, turns: Sequence[Turn]) -> str:
        _refuse_addresses(turns)
        question = short_question(turns)
        texts = quotable_texts(turns, question, self.transcribe)
        exact = read_exact_strings(part.text for turn in turns for part in turn.parts if isinstance(part, TextPart))
        answer = quote(question, texts, self.quotes, lambda text, words: _corrected(words, exact.get(text.label, ())))
        seen = any(isinstance(part, PagePart | PicturePart) for turn in turns for part in turn.parts)
        return NOTHING_READ if seen and not any(text.strip() for _, text in texts) else answer


def _opened(data: bytes) -> Image.Image:
    from PIL import Image, UnidentifiedImageError

    try:
        image = Image.open(BytesIO(data))
        width, height = image.size  # the header; nothing is decoded yet
        if width * height > _MOST_PIXELS or max(width, height) > _LONGEST_SIDE:
            raise PictureSizeError(
                f"a picture of {width:,} x {height:,} pixels is too large to be read; send at most {_MOST_PIXELS:,} pixels, "
                f"{_LONGEST_SIDE:,} on a side"
            )
        image.load()
    except Image.DecompressionBombError as error:
        raise PictureSizeError(f"a picture is too large to be read ({error}); send at most {_MOST_PIXELS:,} pixels") from error
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError) as error:
        if isinstance(error, PictureSizeError):
            raise
        raise ModelError(
            f"a picture of {len(data):,} bytes cannot be opened ({error}); send a whole PNG or JPEG file"
        ) from error
    return image


def _refuse_addresses(turns: Sequence[Turn]) -> None:
    for part in (part for turn in turns for part in turn.parts if isinstance(part, OpaquePart)):
        if address := image_address(part.value):
            raise ModelError(f"a picture given by its address or path ({address}) is not fetched; send its bytes or a data URL")


def _corrected(words: str, exact: Sequence[str]) -> str:
    """The words, with the exact strings in place of what was read of them."""
    for string in exact:
        if len(string) < 8 or string in words:
            continue
        plain = plain_text(words)
        needle = plain_text(string).text
        for most in range(len(needle) // 6 + 1):
            if near := find_near(needle, plain.text, most):
                start, end = plain.span(near.start, near.end)
                words = words[:start] + string + words[end:]
                break
    return words
