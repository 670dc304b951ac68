"""`VisualEmbedder`: pages by sight, with late interaction or one vector a page."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ..accelerator import free_memory, out_of_memory
from ..errors import ModelError, QueryError
from ..page import Page
from ..rendering import Renderer
from .batches import Batches, ahead
from .checkpoint import Source, captions_only, given_encoder, load_encoder, weights_checksum
from .embedder import Embedder, Metric, Vectors
from .encoders import Encoded
from .picture_query import picture_query
from .picture_size import PictureSize
from .pooling import pool_vectors
from .seen import Seen, read_picture, see_image, see_page
from .self_test import self_test
from .text import windows

_log = logging.getLogger("glyph_integrations")
_PIPELINE = "v2"  # how pages are made pictures; another number is another index
_TEXT_WINDOW = 512  # tokens of a page's text that a model is given at once
_TEXTS = 8  # of these, at once


class VisualEmbedder:
    """Embeds pages as a model sees them: scans, slides, tables and forms as well as text.

    A late-interaction model (ColPali, ColQwen2, ColQwen2.5, ColSmol, ColModernVBERT, ColQwen3) gives a page a vector for each
    part of its picture, and a question one for each of its tokens; a single-vector model (Qwen3-VL-Embedding) one each.

    A page is drawn at the size and on the grid that the model reads best: text in grey, a page of a PDF or an image in its
    colours. Its margins and wide blank bands are cut off first. A page with nothing on it has no vectors.

    When the model is loaded it must pass a self-test: no weight is missing, different pages get different vectors, a page finds
    itself. When memory runs out, batches get smaller, and a log line says so.

    Args:
        model: name or folder of a checkpoint; or a loaded ``MultiVectorEncoder`` or ``SentenceTransformer``, which stays as and
            where it is: ``device``, ``dtype``, ``revision`` and the last two are for others.
        device: ``cuda``, ``cuda:1``, ``mps``, ``cpu``; several for a copy of the model on each. None: the best there is.
        dtype: ``float32``, ``bfloat16`` or ``float16``. None: the checkpoint's own on an accelerator, else float32.
        batch_pixels: pixels of the pages that are embedded at once; at least one page is.
        page_pixels: pixels of a page at most. None: as many as the model takes, at most 1.8 million. Fewer are faster, make
            fewer vectors and read worse. Models of one size for all (ColPali) and of tiles (ColModernVBERT, ColSmol) resize
            pages anyway, so that it changes little for them.
        pool: keep about one in so many of a page's vectors, see `pool_vectors`; 2 to 4 are usual, 16 the most. 1 keeps all.
        trim: cut off margins and blank bands. If not, a page with nothing on it has vectors like any other.
        text: add vectors of the page's text, by the same model, to those of its picture, so that a page is found by either. A
            small model gains much: ColModernVBERT from 53.2 to 62.6 nDCG@10 (ViDoRe V3.1, English); a large one nothing.
        renderer: draws the pages; for pages of files not opened in this process, one with a ``root``.
        progress: called with the number of pages done and of all, while `embed_pages` and `embed_images` run.
        name: what an index records; by default the model's.
        revision: of the checkpoint, when it has several.
        local_files_only: look for a named model on this machine only. ``HF_HUB_OFFLINE=1`` in the environment does the same.
        trust_remote_code: run Python code that the checkpoint brings along (ColQwen3).

    Attributes:
        late: whether the model makes many vectors of a page.

    Raises:
        MissingExtraError: torch, transformers or sentence-transformers is not installed (extra ``transformers``).
        ModelError: the model cannot be loaded, is no embedder of pictures, or fails its self-test; the message names the cause.
            While embedding: the model failed.
        TypeError: ``model`` is neither a name nor such a model.
    """

    metric: Metric = "cosine"
    stored = True

    def __init__(
        self,
        model: str | Path | Any,
        *,
        device: str | Sequence[str] | None = None,
        dtype: str | None = None,
        batch_pixels: int = 8_000_000,
        page_pixels: int | None = None,
        pool: float = 1,
        trim: bool = True,
        text: bool = False,
        renderer: Renderer | None = None,
        progress: Callable[[int, int], None] | None = None,
        name: str | None = None,
        revision: str | None = None,
        local_files_only: bool = False,
        trust_remote_code: bool = False,
    ) -> None:
        if not 1 <= pool <= 16:
            raise ValueError(f"pool={pool}: must be from 1 (keep all vectors) to 16")
        if batch_pixels < 1 or (page_pixels is not None and page_pixels < 4096):
            raise ValueError("batch_pixels must be at least 1, and page_pixels at least 4096 (64 x 64)")
        devices = [device] if device is None or isinstance(device, str) else list(device)
        if not devices:
            raise ValueError("device=[]: must be one or more")
        if isinstance(model, str | Path):
            source = Source(str(model), revision, local_files_only, trust_remote_code)
            encoders = [load_encoder(source, one, dtype) for one in devices]
            name = name or (Path(model).name if Path(model).is_dir() else str(model))
        else:
            encoders = [given_encoder(model)]
            name = name or type(model).__name__
        self._encoder = encoders[0]
        self._batches = Batches(name, encoders, batch_pixels, PictureSize.of(self._encoder.processor).area)
        self._size = PictureSize.of(self._encoder.processor, page_pixels)
        self._renderer = renderer or Renderer()
        self._progress = progress
        self.name = name
        self.late = self._encoder.late
        self.pool = pool
        self.trim = trim
        self.text = text
        if captions_only(self._encoder):
            _log.warning(
                "%s matches photographs with captions and cannot read pages of text: it finds few of them (9 to 17 nDCG@10 on "
                "ViDoRe V3, BM25 over 50). Use a model for visual document retrieval", name,
            )  # fmt: skip
        self.dim = self_test(
            name,
            lambda images: self._batches.run(images, lambda made: made.vectors),
            lambda question: self._encoder.questions([question])[0].vectors,
        )
        size = "x".join(str(number) for number in self._size)
        self.revision = f"{weights_checksum(self._encoder.model)}/{_PIPELINE}/size{size}/pool{pool:g}/trim{trim:d}/text{text:d}"

    @property
    def batch_pixels(self) -> int:
        """Pixels of the pages that are embedded at once; less than was asked for once memory ran out."""
        return self._batches.pixels

    def embed_pages(self, pages: Sequence[Page]) -> list[Vectors]:
        """One float32 array [n, dim] per page; n is 0 for a page with nothing on it.

        Raises:
            DocumentError: the file of a page of a PDF or an image is not at hand, or damaged.
            ModelError: the model failed.
        """
        seen = ahead(lambda page: see_page(page, self._renderer, self._size, self.trim), pages)
        found = self._embed(seen, len(pages))
        if self.text:
            found = [np.concatenate(both) for both in zip(found, self._texts([page.text for page in pages]), strict=True)]
        return found

    def embed_images(self, images: Sequence[Image.Image]) -> list[Vectors]:
        """As `embed_pages`, of pictures of any mode.

        Raises:
            PictureSizeError: one has over 100 million pixels.
            DocumentError: the file of one is damaged.
            ModelError: the model failed.
        """
        own = {id(image): image for image in images}  # one given twice would be decoded by two threads at once
        seen = ahead(lambda image: see_image(image, self._size, self.trim), own.values())
        made = dict(zip(own, self._embed(seen, len(own)), strict=True))
        return [made[id(image)] for image in images]

    def embed_query(self, text: str | Image.Image) -> Vectors:
        """A float32 array [n, dim], n at least 1, of a question or a picture.

        Of a picture's vectors at most 64 are used, each for those that are like it.

        Raises:
            QueryError: a picture with nothing on it.
            ModelError: the model failed.
        """
        if isinstance(text, Image.Image):
            return picture_query(text, self.embed_images([text])[0])
        return self.encode_question(text).vectors

    def encode_question(self, text: str) -> Encoded:
        """A question's vectors and tokens.

        Raises:
            ModelError: the model failed.
        """
        try:
            return self._encoder.questions([text])[0]
        except Exception as error:  # each model raises its own
            raise ModelError(f"{self.name} failed on a question: {type(error).__name__}: {error}") from error

    def see(self, page: Page | Image.Image) -> Seen | None:
        """What the model is shown of a page or picture; None if there is nothing on it."""
        if isinstance(page, Image.Image):
            return see_image(page, self._size, self.trim)
        return see_page(page, self._renderer, self._size, self.trim)

    def encode_seen(self, seen: Seen) -> Encoded:
        """The vectors of what it is shown, unpooled, and their tokens.

        Raises:
            ModelError: the model failed.
        """
        return self._batches.run([seen.image], lambda made: made)[0]

    @property
    def processor(self) -> Any:
        """The model's processor."""
        return self._encoder.processor

    def _embed(self, seen: Generator[Seen | None, None, None], count: int) -> list[Vectors]:
        blank: list[int] = []
        done = 0

        def report(more: int) -> None:
            nonlocal done
            done += more
            if self._progress:
                self._progress(done, count)

        def pictures() -> Iterator[Image.Image]:
            for place, one in enumerate(seen):
                if one is None:
                    blank.append(place)
                else:
                    yield one.image

        with closing(seen):  # its threads end with it, when interrupted too
            made = self._batches.run(pictures(), lambda one: pool_vectors(one.vectors, self.pool), report)
        report(len(blank))
        for place in blank:
            made.insert(place, np.zeros((0, self.dim), dtype=np.float32))
        return made

    def _texts(self, texts: Sequence[str]) -> list[Vectors]:
        """The vectors of each text, cut into windows."""
        cut = [windows(text, _TEXT_WINDOW, self._tokenizer) for text in texts]
        parts = [part for own in cut for part in own]
        made: list[Vectors] = []
        for start in range(0, len(parts), _TEXTS):
            made += self._of_texts(parts[start : start + _TEXTS])
        each = iter(made)
        none = np.zeros((0, self.dim), dtype=np.float32)
        return [pool_vectors(np.concatenate([none, *(next(each) for _ in own)]), self.pool) for own in cut]

    def _of_texts(self, texts: Sequence[str]) -> list[Vectors]:
        """The vectors of a few texts; of half as many at a time if memory does not suffice."""
        try:
            return [one.vectors for one in self._encoder.texts(texts)]
        except Exception as error:  # each model raises its own
            if len(texts) == 1 or not out_of_memory(error):
                raise ModelError(f"{self.name} failed on the text of pages: {type(error).__name__}: {error}") from error
        free_memory()  # out of the except clause, whose traceback would hold the tensors
        half = len(texts) // 2
        _log.warning("%s ran out of memory with %d texts at a time: going on with %d", self.name, len(texts), half)
        return self._of_texts(texts[:half]) + self._of_texts(texts[half:])

    @cached_property
    def _tokenizer(self) -> Any:
        """The model's own, as a copy: switching truncation off in the original would disturb a thread that is embedding."""
        tokenizer = copy.deepcopy(getattr(getattr(self.processor, "tokenizer", None), "backend_tokenizer", None))
        if tokenizer is not None:
            tokenizer.no_truncation()
            tokenizer.no_padding()
        return tokenizer


def embed_picture(embedder: Embedder, picture: Image.Image | str | PathLike[str] | bytes) -> Vectors:
    """The vectors, float32 [n, dim], to search with for what looks like a picture; a picture, its file, or the bytes of one.

    Raises:
        QueryError: the embedder embeds text; or there is nothing on the picture.
        DocumentError: the file cannot be read, or is no picture.
        ModelError: the model failed.
    """
    if not hasattr(embedder, "embed_images"):
        raise QueryError(f"{embedder.name} embeds text; to search with a picture, make the index with a VisualEmbedder")
    embed: Callable[[Image.Image], Vectors] = embedder.embed_query  # type: ignore[assignment]
    return embed(read_picture(picture))
