"""`SimilarityMap`: which parts of a page answered which word of a question, as a picture."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from ..errors import ModelError, QueryError
from ..page import Box, Page
from ..rendering import Renderer
from ..style import PageStyle
from .embedder import Vectors, unit
from .encoders import Tokens
from .seen import Seen
from .visual import VisualEmbedder

_COLORS = ("#d62728", "#1f77b4", "#2ca02c", "#9467bd", "#ff7f0e", "#17becf", "#e377c2", "#8c564b")  # Tableau's ten, less two
_HEAT = (255, 80, 0)
_STRENGTH = 0.65  # of the colour where a part answers best


def similarity_map(
    embedder: VisualEmbedder, query: str, page: Page | Image.Image, word: int | str | None = None
) -> Image.Image:
    """A page with the parts coloured that answer a question; see `SimilarityMap`.

    Args:
        embedder: with a late-interaction model.
        query: the question.
        page: a page, or a picture of one.
        word: one word of the question, or its number from 0; None: all, with the best place of each framed and named.

    Returns:
        Mode ``RGB``, at the size at which the page was drawn for the model. Save it as PNG.

    Raises:
        QueryError: the question is blank; the model makes one vector of a page, or is not at hand; there is nothing on the
            page; no such word.
        ModelError: how the model cuts a picture into cells is not known.
        DocumentError: the file of a page of a PDF or an image is not at hand.
    """
    return SimilarityMap.of(embedder, query, page).overlay(word)


@dataclass(frozen=True)
class SimilarityMap:
    """How similar each cell of a page's picture is to each word of a question.

    Attributes:
        words: of the question.
        scores: float32 [words, rows, columns], cosines; of a word of several tokens the best. Cells are those that the model
            makes a vector of, over what it was shown.
        seen: what it was shown.
    """

    words: tuple[str, ...]
    scores: Vectors
    seen: Seen

    @classmethod
    def of(cls, embedder: VisualEmbedder, query: str, page: Page | Image.Image) -> SimilarityMap:
        """The map of a question and a page; raises as `similarity_map`."""
        if not isinstance(embedder, VisualEmbedder):
            raise QueryError(f"{type(embedder).__name__} does not tell which vector is of which part; use a VisualEmbedder")
        if not query.strip():
            raise QueryError("the question is blank")
        if not embedder.late:
            raise QueryError(f"{embedder.name} makes one vector of a page, so no part of it has a similarity of its own")
        seen = embedder.see(page)
        if seen is None:
            raise QueryError("there is nothing on the page")
        shown = embedder.encode_seen(seen)
        if shown.tokens is None:
            raise ModelError(f"{embedder.name} does not tell which token made which vector")
        cells = shown.vectors[patch_grid(embedder.processor, seen.image, shown.tokens)]
        asked = embedder.encode_question(query)
        products = np.einsum("qd,rcd->qrc", unit(asked.vectors), unit(cells))
        words = question_words(embedder, query, asked.tokens)
        return cls(tuple(word for word, _ in words), np.stack([products[tokens].max(axis=0) for _, tokens in words]), seen)

    def heat(self, word: int | str | None = None) -> NDArray[np.float32]:
        """Float32 [height, width] of the whole page, from 0 to 1: the scores of a word, or the mean over all words, each
        stretched from its median, below which it is 0, to its highest.

        Raises:
            QueryError: no such word.
        """
        numbers = range(len(self.words)) if word is None else [self._number(word)]
        cells = np.mean([self._stretched(number) for number in numbers], axis=0, dtype=np.float32)
        shown = Image.fromarray(cells).resize(self.seen.image.size, Image.Resampling.BICUBIC).crop((0, 0, *self.seen.size))
        part = np.asarray(shown.resize(self.seen.cut.size, Image.Resampling.BILINEAR), dtype=np.float32)
        whole: NDArray[np.float32] = np.clip(self.seen.cut.back(part, *self.seen.whole.size), 0, 1)
        return whole

    def overlay(self, word: int | str | None = None) -> Image.Image:
        """The page with `heat` over it; see `similarity_map`.

        Raises:
            QueryError: no such word.
        """
        heat = (self.heat(word) * _STRENGTH)[..., None]
        grey = np.asarray(self.seen.whole.convert("L"), dtype=np.float32)[..., None]
        picture = Image.fromarray(np.uint8(grey * (1 - heat) + np.array(_HEAT, dtype=np.float32) * heat))
        if word is None:
            self._name_best_places(picture)
        return picture

    def best_place(self, word: int | str) -> Box:
        """The cell that answers a word best, in pixels of the whole page.

        Raises:
            QueryError: no such word.
        """
        number = self._number(word)
        row, column = divmod(int(self._stretched(number).argmax()), self.scores.shape[2])
        across, down = self._cell_size
        left, top = column * across, row * down
        cut = self.seen.cut
        y = top + down / 2  # in what was shown; bands between may have been left out
        for above, below in cut.bands:
            if y < below - above or (above, below) == cut.bands[-1]:
                break
            y -= below - above
        x, y = cut.left + left + across / 2, above + min(y, below - above)
        return Box(int(x - across / 2), max(0, int(y - down / 2)), math.ceil(x + across / 2), math.ceil(y + down / 2))

    @property
    def _cell_size(self) -> tuple[float, float]:
        """Width and height of a cell in pixels of the whole page."""
        _, rows, columns = self.scores.shape
        (width, height), (shown_width, shown_height) = self.seen.cut.size, self.seen.size
        return self.seen.image.width * width / shown_width / columns, self.seen.image.height * height / shown_height / rows

    def _stretched(self, number: int) -> Vectors:
        """Scores of a word from 0 to 1; 0 for the lower half of them, or all would have some colour, and for mere padding."""
        across, down = self._cell_size
        columns, rows = (math.ceil(side / cell - 1e-6) for side, cell in zip(self.seen.cut.size, (across, down), strict=True))
        scores = self.scores[number, :rows, :columns]
        stretched: Vectors = np.zeros_like(self.scores[number])
        low, high = float(np.median(scores)), float(scores.max())
        stretched[:rows, :columns] = np.clip((scores - low) / max(high - low, 1e-9), 0, 1)
        return stretched

    def _name_best_places(self, picture: Image.Image) -> None:
        draw = ImageDraw.Draw(picture)
        for number, word in enumerate(self.words):
            color = _COLORS[number % len(_COLORS)]
            box = self.best_place(number)
            draw.rectangle(box, outline=color, width=max(2, picture.width // 250))
            label = _label(word, picture.width)
            if label is None:
                continue
            left = max(0, min(box.left, picture.width - label.width))
            top = box.top - label.height if box.top >= label.height else min(box.bottom, picture.height - label.height)
            picture.paste(Image.new("RGB", label.size, color), (left, top))
            picture.paste("white", (left, top), label)

    def _number(self, word: int | str) -> int:
        if isinstance(word, str):
            if word in self.words:
                return self.words.index(word)
        elif -len(self.words) <= word < len(self.words):
            return word
        raise QueryError(f"the question has no word {word!r}; it has {', '.join(self.words)}")


def patch_grid(processor: Any, image: Image.Image, tokens: Tokens) -> NDArray[np.int64]:
    """Places [rows, columns] in ``tokens`` of those that stand for the cells of a picture, row by row from the top.

    Qwen's processors tell rows and columns, PaliGemma's are square, those of Idefics 3 and ModernVBERT are tiles of square
    cells, with the whole picture after them, which is left out.

    Args:
        processor: of the model.
        image: as the model was shown it.
        tokens: ids that it made of it.

    Raises:
        ModelError: none of these, or they do not fit the tokens.
    """
    image_token = getattr(processor, "image_token_id", None)
    places = np.flatnonzero(tokens == image_token) if isinstance(image_token, int) else np.zeros(0, dtype=np.int64)
    images = getattr(processor, "image_processor", processor)
    merge, side = getattr(images, "merge_size", None), math.isqrt(len(places))
    if isinstance(merge, int):
        _, high, wide = (int(number) for number in images(images=[image], return_tensors="pt")["image_grid_thw"][0])
        if high * wide == len(places) * merge**2 and len(places):
            return places.reshape(high // merge, wide // merge)
    elif getattr(images, "do_image_splitting", None) is not None:
        made = images(images=[[image]], return_row_col_info=True, return_tensors="pt")
        rows, columns = int(np.max(made["rows"])), int(np.max(made["cols"]))
        side = math.isqrt(len(places) // (rows * columns + 1))
        if side and side**2 * (rows * columns + 1) == len(places):
            if not rows:
                return places.reshape(side, side)
            tiles = places[: rows * columns * side**2].reshape(rows, columns, side, side)
            return tiles.transpose(0, 2, 1, 3).reshape(rows * side, columns * side)
    elif side and side**2 == len(places):
        return places.reshape(side, side)
    raise ModelError(f"how {type(processor).__name__} cuts a picture into cells is not known")


def question_words(embedder: VisualEmbedder, query: str, tokens: Tokens | None) -> list[tuple[str, NDArray[np.int64]]]:
    """The words of a question, and the places of their tokens among those that the model makes of it; what it puts before and
    after every question is left out. The question as one word where they cannot be told apart."""
    whole = [(query, np.arange(len(embedder.encode_question(query).vectors)))]
    around = embedder.encode_question("").tokens
    if tokens is None or around is None or len(tokens) <= len(around):
        return whole
    first = int(np.argmin(np.append(tokens[: len(around)] == around, False)))
    places = range(first, first + len(tokens) - len(around))
    tokenizer = embedder.processor.tokenizer
    # decoded from the first on: a character may take several tokens
    ends = [len(_decoded(tokenizer, tokens[first : place + 1])) for place in places]
    text = _decoded(tokenizer, tokens[first : places.stop])
    words = []
    for match in re.finditer(r"\S+", text):
        own = [place for place, a, b in zip(places, [0, *ends], ends, strict=False) if a < match.end() and match.start() < b]
        if own:
            words.append((match[0], np.array(own)))
    return words or whole


def _decoded(tokenizer: Any, tokens: Tokens) -> str:
    return str(tokenizer.decode(tokens, clean_up_tokenization_spaces=False))


def _label(word: str, width: int) -> Image.Image | None:
    """A word, white on black, mode ``L``, about a 50th of a picture's width high; None if nothing of it can be seen."""
    style = PageStyle(crop_width=True, margin_x=2, margin_y=1, width=280)
    page = next(Renderer(style).paginate(word), None)
    if page is None:
        return None
    picture = Renderer(style).draw(page, dpi=min(max(72, round(72 * width / 50 / 12)), 300))
    return picture.point(lambda value: 255 - value)
