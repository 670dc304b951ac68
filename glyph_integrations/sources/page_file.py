"""Files whose pages are pictures (PDF, images), and those this process has opened, so that their pages can be drawn."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from PIL import Image

    from .document import SourceDocument

PDF = b"%PDF-"


class FilePage(NamedTuple):
    """A page of a file. ``start`` and ``end`` are its span of the document's text, ``width`` and ``height`` its size (a PDF's
    in points, an image's in pixels), ``boxes`` its `Picture.boxes`."""

    start: int
    end: int
    width: float
    height: float
    boxes: str = ""


@dataclass(frozen=True)
class PageFile:
    """The bytes of a PDF or an image.

    Attributes:
        data: all of them.
        sha256: of the data, 64 hex digits.
        password: that opens it.
    """

    data: bytes = field(repr=False, compare=False)
    sha256: str
    password: str | None = field(default=None, repr=False, compare=False)

    def check(self, label: str) -> None:
        """See that it can be opened.

        Raises:
            DocumentError: it is an encrypted PDF, and the password is not known; or damaged.
        """
        if self.data.startswith(PDF):
            from .pdf import count_pdf_pages

            count_pdf_pages(self, label)

    def draw(self, index: int, width: int, height: int, label: str, color: bool = False) -> Image.Image:
        """A page or frame (from 0) at a size in pixels, mode ``L``, with ``color`` mode ``RGB``, on white; ``label`` is what
        messages call the file.

        Raises:
            DocumentError: it cannot be drawn, or not in a minute.
        """
        from PIL import Image

        if self.data.startswith(PDF):
            from .pdf import draw_pdf_page

            pixels = draw_pdf_page(self, index, width, height, label, color)
            return Image.frombytes("RGB" if color else "L", (width, height), pixels)
        from .images import draw_frame

        return draw_frame(self.data, index, width, height, label, color)


class OpenedFiles:
    """The files last opened, by hash. Safe to share between threads.

    Args:
        limit: bytes of files and texts to keep; the last file is kept whatever its size. The least recently used go first.
    """

    def __init__(self, limit: int = 256 << 20) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._documents: OrderedDict[str, SourceDocument] = OrderedDict()

    def keep(self, document: SourceDocument) -> None:
        """Remember a document that has a file."""
        with self._lock:
            self._documents[document.sha256] = document
            self._documents.move_to_end(document.sha256)
            size = sum(map(_weight, self._documents.values()))
            while size > self._limit and len(self._documents) > 1:
                size -= _weight(self._documents.popitem(last=False)[1])

    def get(self, sha256: str) -> SourceDocument | None:
        """The document of the file with this hash, if it is kept."""
        with self._lock:
            if sha256 in self._documents:
                self._documents.move_to_end(sha256)
            return self._documents.get(sha256)

    def clear(self) -> None:
        """Forget all."""
        with self._lock:
            self._documents.clear()


def _weight(document: SourceDocument) -> int:
    return len(document.text) + (len(document.file.data) if document.file else 0)


OPENED = OpenedFiles()
"""What `open_document` opened in this process."""
