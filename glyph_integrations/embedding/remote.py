"""`RemoteVisualEmbedder`: pages by sight, with a model that vLLM serves."""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
from PIL import Image, ImageChops

from ..errors import MissingExtraError, ModelError
from ..page import Page
from ..refusal import reason_of
from ..rendering import Renderer
from .embedder import Metric, Vectors
from .picture_query import picture_query
from .picture_size import PIXELS, PictureSize
from .pooling import pool_vectors
from .seen import Seen, see_image, see_page
from .self_test import self_test


class RemoteVisualEmbedder:
    """Embeds pages with a model behind vLLM's pooling API, ``POST /pooling``: many vectors a page or one, as the model makes.

    Start the server with ``vllm serve MODEL --runner pooling``. A page goes there as a PNG data URL in a chat message, a
    question as it is. The model must pass the same self-test as a local one, when this is made.

    Args:
        model: the name the server knows the model by.
        base_url: where the server is, such as ``http://127.0.0.1:8000``.
        api_key: None: ``OPENAI_API_KEY``, or none.
        grid: pixels of a cell that becomes a token, which pages are padded to: 28 for Qwen2 and 2.5, 32 for Qwen3.
        page_pixels: pixels of a page at most.
        image_prompt: text that goes with a page; vLLM's own examples have the default.
        query_prompt: what a question becomes; ``{}`` stands for it.
        pool, trim, renderer, progress: see `VisualEmbedder`.
        at_once: requests that are under way at a time.
        timeout: seconds to wait for an answer.
        max_retries: how often a failed request is repeated (connection errors, timeouts, 408, 409, 429 and 5xx).
        name, revision: what an index records; the server does not tell which weights it has.

    Raises:
        MissingExtraError: the ``openai`` library, which sends the requests, is not installed.
        ModelError: the server cannot be reached, times out, refuses, or answers with something else than vectors; or the model
            fails its self-test.
    """

    metric: Metric = "cosine"
    stored = True

    def __init__(
        self,
        model: str,
        base_url: str,
        api_key: str | None = None,
        *,
        grid: int = 28,
        page_pixels: int = PIXELS // 2,
        image_prompt: str = "Describe the image.",
        query_prompt: str = "{}",
        pool: float = 1,
        trim: bool = True,
        renderer: Renderer | None = None,
        progress: Callable[[int, int], None] | None = None,
        at_once: int = 8,
        timeout: float = 120,
        max_retries: int = 2,
        name: str | None = None,
        revision: str = "1",
    ) -> None:
        try:
            import openai
        except ImportError:
            raise MissingExtraError("openai", "openai") from None
        if not 1 <= pool <= 16 or at_once < 1 or page_pixels < grid * grid or grid < 1:
            raise ValueError("pool must be from 1 to 16, at_once at least 1, page_pixels at least one cell of the grid")
        if "{}" not in query_prompt:
            raise ValueError(f"query_prompt={query_prompt!r} must hold {{}}, where the question goes")
        self.model = model
        self.base_url = base_url.rstrip("/").removesuffix("/v1")  # of vLLM's APIs this one is not below /v1
        self.name = name or model
        self.pool = pool
        self.trim = trim
        self._timeout = timeout
        self._image_prompt = image_prompt
        self._query_prompt = query_prompt
        self._size = PictureSize(grid, page_pixels, 0)
        self._renderer = renderer or Renderer()
        self._progress = progress
        self._at_once = at_once
        self._client: Any = openai.OpenAI(
            base_url=self.base_url, api_key=api_key or os.environ.get("OPENAI_API_KEY") or "none", timeout=timeout,
            max_retries=max_retries,
        )  # fmt: skip
        self.dim = self_test(
            self.name,
            lambda images: [self._of_image(image) for image in images],
            lambda question: self._ask(self._question(question)),
        )
        self.revision = f"{revision}/v2/size{grid}x{page_pixels}/pool{pool:g}/trim{trim:d}/{image_prompt}/{query_prompt}"

    def embed_pages(self, pages: Sequence[Page]) -> list[Vectors]:
        """One float32 array [n, dim] per page; n is 0 for a page with nothing on it.

        Raises:
            DocumentError: the file of a page of a PDF or an image is not at hand, or damaged.
            ModelError: the server failed.
        """
        return self._embed((see_page(page, self._renderer, self._size, self.trim) for page in pages), len(pages))

    def embed_images(self, images: Sequence[Image.Image]) -> list[Vectors]:
        """As `embed_pages`, of pictures of any mode.

        Raises:
            PictureSizeError: one has over 100 million pixels.
            DocumentError: the file of one is damaged.
            ModelError: the server failed.
        """
        return self._embed((see_image(image, self._size, self.trim) for image in images), len(images))

    def embed_query(self, text: str | Image.Image) -> Vectors:
        """A float32 array [n, dim], n at least 1, of a question or a picture; of the latter at most 64.

        Raises:
            QueryError: a picture with nothing on it.
            ModelError: the server failed.
        """
        if isinstance(text, Image.Image):
            return picture_query(text, self.embed_images([text])[0])
        return self._checked(self._ask(self._question(text)))

    def _question(self, text: str) -> dict[str, Any]:
        return {"input": self._query_prompt.replace("{}", text, 1)}

    def _embed(self, seen: Iterable[Seen | None], count: int) -> list[Vectors]:
        """A few requests at a time, so that only as many pictures are held; in order."""
        found: list[Vectors] = []
        waiting: list[Future[Vectors]] = []

        def take() -> None:
            found.append(waiting.pop(0).result())
            if self._progress:
                self._progress(len(found), count)

        senders = ThreadPoolExecutor(self._at_once, thread_name_prefix="glyph-remote")
        try:
            for one in seen:
                waiting.append(senders.submit(self._of_seen, one))
                if len(waiting) > 2 * self._at_once:
                    take()
            while waiting:
                take()
        except BaseException as error:  # an interruption does not wait for a server that hangs
            senders.shutdown(wait=isinstance(error, Exception), cancel_futures=True)
            raise
        senders.shutdown()
        return found

    def _of_seen(self, seen: Seen | None) -> Vectors:
        if seen is None:
            return np.zeros((0, self.dim), dtype=np.float32)
        return pool_vectors(self._checked(self._of_image(seen.image)), self.pool)

    def _checked(self, vectors: Vectors) -> Vectors:
        if vectors.shape[1] != self.dim:
            raise ModelError(
                f"{self.base_url} made vectors of length {vectors.shape[1]}, not {self.dim} as before: another model?"
            )
        return vectors

    def _of_image(self, image: Image.Image) -> Vectors:
        png = io.BytesIO()
        grey = image.convert("L")
        if ImageChops.difference(image, grey.convert("RGB")).getbbox() is None:
            image = grey  # a third of the bytes
        image.save(png, "PNG", compress_level=1)
        url = "data:image/png;base64," + base64.b64encode(png.getvalue()).decode()
        content: list[dict[str, Any]] = [{"type": "image_url", "image_url": {"url": url}}]
        if self._image_prompt:
            content.append({"type": "text", "text": self._image_prompt})
        return self._ask({"messages": [{"role": "user", "content": content}]})

    def _ask(self, request: dict[str, Any]) -> Vectors:
        body = {"model": self.model, "encoding_format": "float", **request}
        try:
            answer = self._client.post("/pooling", cast_to=object, body=body)
        except Exception as error:  # the library, its HTTP client and its JSON parser each raise their own
            raise self._error(error) from error
        try:
            vectors = np.asarray(answer["data"][0]["data"], dtype=np.float32)
            if vectors.ndim not in (1, 2) or not vectors.size:
                raise ValueError(f"an array of shape {vectors.shape}")
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise ModelError(
                f"{self.base_url} answered with something else than vectors ({type(error).__name__}: {error}); does it serve "
                f"{self.model!r} with --runner pooling?"
            ) from error
        return np.atleast_2d(vectors)

    def _error(self, error: Exception) -> ModelError:
        import openai

        where = self.base_url
        if isinstance(error, openai.APITimeoutError):
            return ModelError(f"{where} did not answer within {self._timeout:g} s; a longer timeout= waits longer")
        if isinstance(error, openai.APIStatusError):
            advice = {
                401: "check the API key", 403: "check the API key", 413: "the page is too large; lower page_pixels",
                404: f"check the base URL, and that vLLM serves {self.model!r} with --runner pooling",
                400: "it refused the request; lower page_pixels if a page has too many tokens",
            }.get(error.status_code, "look at the server's log")  # fmt: skip
            return ModelError(f"{where} answered {error.status_code}: {reason_of(error)}; {advice}")
        if isinstance(error, openai.APIConnectionError):
            return ModelError(f"{where} cannot be reached ({error.__cause__ or error}); is the server running?")
        return ModelError(f"{where} answered with something else than JSON ({type(error).__name__}: {error})")
