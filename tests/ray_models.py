"""Embedders for workers of a Ray cluster, which import them by name."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL.Image import Image

from glyph_integrations import Page
from glyph_integrations.errors import ModelError


class Counted:
    """An embedder of four numbers a page that writes a file in ``folder`` for each call; told by a file there to misbehave."""

    name, revision, dim, metric, stored = "counted", "1", 4, "cosine", True

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)

    def embed_pages(self, pages: Sequence[Page]) -> list[Any]:
        (self.folder / f"call-{time.time_ns()}-{os.getpid()}").write_text("\n".join(page.id for page in pages))
        if (self.folder / "fail").exists():
            raise ModelError("the model is out of paper")
        if (self.folder / "break").exists():
            raise RuntimeError("a bug")
        try:
            (self.folder / "kill").unlink()
        except FileNotFoundError:
            pass
        else:
            os.kill(os.getpid(), signal.SIGKILL)
        return [np.float32([[len(page.text), page.number, page.start % 97, 1]]) for page in pages]

    def embed_query(self, text: str) -> Any:
        return np.float32([[1, 2, 3, len(text)]])


class Seeing(Counted):
    """One that looks at pictures, too: at their size."""

    def embed_images(self, images: Sequence[Image]) -> list[Any]:
        return [np.float32([[*image.size, 1, 1]]) for image in images]

    def embed_query(self, text: str | Image) -> Any:
        return super().embed_query(text) if isinstance(text, str) else self.embed_images([text])[0]
