"""What styles are compared on: a user's own documents, and the passages of them that are read."""

from __future__ import annotations

import hashlib
import json
import random
import unicodedata
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

from ..errors import DocumentError, StyleError
from ..page import Page
from ..rendering import Renderer
from ..rendering.crop import crop_lines
from ..sources import SourceDocument
from ..style import PageStyle
from ..vision import VisionProfile
from .legibility import Crop, drawn_text

MOST_CHARACTERS = 100_000
"""Of all documents together, so that a style is laid out in a tenth of a second."""

_LEAST = 10_000  # characters of a long document that are used: pages should be full


class Passage(NamedTuple):
    """Characters ``start`` to ``end`` of the document of this number."""

    document: int
    start: int
    end: int


@dataclass(frozen=True)
class Sample:
    """Documents, and passages drawn from them at random, the same for every style.

    Attributes:
        documents: what is laid out, and counted in tokens.
        passages: what is read of it.
        width: of a passage, in columns: a Chinese character has two, a Latin letter one.
        seed, first: of all passages in the order of the seed, these are the ``first`` one and those after it.
    """

    documents: tuple[SourceDocument, ...]
    passages: tuple[Passage, ...]
    width: int = 300
    seed: int = 0
    first: int = 0

    @classmethod
    def of(
        cls,
        documents: Iterable[SourceDocument | str],
        passages: int = 2,
        width: int = 300,
        *,
        seed: int = 0,
        first: int = 0,
    ) -> Sample:
        """Draw passages from documents.

        Args:
            documents: texts, or documents from `open_document`, of which the first 100,000 characters are used, the same of
                each, but 10,000 at least: as many documents are taken as that makes. PDFs and images count with their text:
                it is drawn text that has a style.
            passages: how many; fewer where there is less text.
            width: of each, in columns.
            seed: where.
            first: leave out so many, which another sample has.

        Raises:
            DocumentError: there is nothing to read.
            ValueError: ``passages`` or ``width`` below 1.
        """
        if passages < 1 or width < 1:
            raise ValueError(f"passages={passages}, width={width}: must be at least 1")
        given: list[SourceDocument] = []
        taken = 0
        for document in (SourceDocument(d) if isinstance(d, str) else d for d in documents):
            if document.text.strip():
                given.append(document)
                taken += min(_LEAST, len(document.text))
                if taken >= MOST_CHARACTERS:
                    break
        share = max(_LEAST, MOST_CHARACTERS // max(1, len(given)))
        kept = tuple(_beginning(document, share) for document in given)
        places = [Passage(n, *span) for n, document in enumerate(kept) for span in _cells(document.text, width)]
        if not places:
            raise DocumentError("nothing to tune a style on: the documents hold no text; give files with text")
        random.Random(seed).shuffle(places)
        chosen = {places[(first + n) % len(places)] for n in range(passages)}
        return cls(kept, tuple(sorted(chosen)), width, seed, first)

    def others(self, passages: int) -> Sample:
        """A sample of other passages of the same documents, as far as there are others."""
        first = self.first + len(self.passages)
        return Sample.of(self.documents, passages, self.width, seed=self.seed, first=first)

    @cached_property
    def key(self) -> str:
        """A hash of the texts, how they are marked up, and of the passages."""
        digest = hashlib.blake2b(digest_size=16)
        for document in self.documents:
            marks = [[run.start, run.end, run.role] for run in document.runs]
            digest.update(json.dumps([document.text, marks]).encode("ascii"))
        digest.update(json.dumps(self.passages).encode("ascii"))
        return digest.hexdigest()

    @property
    def text(self) -> str:
        """All texts, one after the other."""
        return "\n\n".join(document.text for document in self.documents)

    def missing(self, font: str) -> tuple[float, str]:
        """The share of visible characters that neither this font nor any other at hand draws, and the commonest of them."""
        renderer = Renderer(PageStyle(font=font))
        lost: Counter[str] = Counter()
        for page in (page for document in self.lay_out(renderer) for page in document):
            lost.update({c: page.text.count(c) for c in page.missing})
        visible = sum(not c.isspace() for document in self.documents for c in document.text)
        return lost.total() / visible, " ".join(c for c, _ in lost.most_common(5))

    def lay_out(self, renderer: Renderer) -> list[list[Page]]:
        """The pages of each document."""
        return [list(renderer.paginate(document)) for document in self.documents]

    def crops(self, pages: list[list[Page]]) -> Iterator[Crop]:
        """The lines that hold the passages, without labels and line numbers, on pages from `lay_out`."""
        for passage in self.passages:
            for page in pages[passage.document]:
                if page.start >= passage.end or page.end <= passage.start:
                    continue
                found = [
                    number
                    for number, line in enumerate(page.lines, 1)
                    if any(page.start + f.start < passage.end and page.start + f.end > passage.start for f in line)
                ]
                if found:
                    crop = crop_lines(page, (found[0], found[-1]))
                    plain = replace(crop, style=page.style.replace(label="", line_numbers=False))
                    if any(drawn_text(plain, n) for n in range(1, len(plain.lines) + 1)):
                        yield Crop(plain, found[0])


def tokens_per_1000(pages: list[list[Page]], renderer: Renderer, vision: VisionProfile) -> float:
    """Visual tokens of whole pages for 1,000 characters of their text, by the model's own formula; nothing is drawn.

    Raises:
        StyleError: the model would shrink such pages, so that it never sees them as they were drawn.
        PictureSizeError: the model takes no such pages.
    """
    tokens = characters = 0
    for page in (page for document in pages for page in document):
        size = renderer.size(page, vision=vision)
        if vision.native and vision.resized(*size) not in (size, None):
            raise StyleError(f"{vision.name} would resize pages of {size[0]}x{size[1]} pixels")
        tokens += vision.count(*size)
        characters += len(page.text)
    return 1000 * tokens / characters


def seen_by(vision: VisionProfile, pages: list[list[Page]], renderer: Renderer) -> tuple[float, float]:
    """Width and height at which a model sees the largest page, relative to the page as drawn; (1, 1) where it is not known."""
    sizes = [renderer.size(page, vision=vision) for document in pages for page in document]
    width, height = max(sizes, key=lambda size: size[0] * size[1])
    seen = vision.resized(width, height)
    return (min(1.0, seen[0] / width), min(1.0, seen[1] / height)) if seen else (1.0, 1.0)


def _beginning(document: SourceDocument, most: int) -> SourceDocument:
    """The first characters of a document, to the end of a line where there is one; as text, without pictures."""
    text = document.text
    if len(text) > most:
        end = text.rfind("\n", most // 2, most) + 1
        text = text[: end or most]
    runs = tuple(run._replace(end=min(run.end, len(text))) for run in document.runs if run.start < len(text))
    return replace(document, text=text, runs=runs, source_map=(), pages=(), file=None)


def _cells(text: str, width: int) -> Iterator[tuple[int, int]]:
    """Spans of about so many columns, those that are mostly blank left out; where the text is shorter, all of it."""
    ends = [0]
    for c in text:
        ends.append(ends[-1] + 1 + (unicodedata.east_asian_width(c) in "WF"))
    start = 0
    while start < len(text):
        end = max(start + 1, bisect_right(ends, ends[start] + width) - 1)
        if end < len(text) or start == 0:  # the last one is short
            visible = sum(not c.isspace() for c in text[start:end])
            if 2 * visible > end - start:
                yield start, end
        start = end
