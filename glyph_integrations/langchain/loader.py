"""`GlyphLoader`: files as page Documents."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from langchain_core.document_loaders import BaseLoader
from langchain_core.documents import Document

from ..errors import DocumentError
from ..ocr import Reader
from ..rendering import Renderer, read_scans
from ..sources import find_files, open_document, source_name
from .page_documents import page_document

_log = logging.getLogger("glyph_integrations")


class GlyphLoader(BaseLoader):
    """Reads files and yields one Document per page, lazily.

    A Document's content is the page's raw text; its metadata are `Page.to_metadata` and ``source``, the file's name
    relative to the folder or pattern given; its id is the page's. With `langchain_core.indexing.index`, pass
    ``key_encoder=lambda document: document.id`` to keep that id, and ``cleanup="scoped_full"``: ``incremental`` deletes and
    adds again the later pages of a document longer than a batch.

    Args:
        path: a file, a folder, a pattern such as ``docs/**/*.md``, or several of them.
        renderer: makes the pages (default ``Renderer()``).
        encoding: of texts that are not UTF-8; see `open_document`.
        password: of encrypted PDFs.
        silent_errors: log a file that cannot be read as a warning, and go on with the next.
        ocr: give text to image files and to pages of PDFs that have none, see `read_scans`: True for RapidOCR (extra
            ``ocr``), ``tesseract:deu`` and the like, or an engine. False: such pages can be found by sight alone, by a store
            with a `VisualEmbedder`. With ``CachedReader(open_reader("rapidocr"), "readings")`` an interrupted run goes on.
        progress: called with the number of pages that OCR has read and is to read of a file, after each.

    Raises:
        DocumentError: while loading: nothing is there, or a file cannot be read.
        MissingExtraError, ModelError: while loading: there is a page for OCR, and the engine is not installed, or failed.

    Example:
        ``documents = GlyphLoader("books/*.txt").load()``
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
        renderer: Renderer | None = None,
        *,
        encoding: str | None = None,
        password: str | None = None,
        silent_errors: bool = False,
        ocr: bool | str | Reader = False,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        self.paths = [path] if isinstance(path, str | os.PathLike) else list(path)
        self.renderer = renderer or Renderer()
        self.encoding = encoding
        self.password = password
        self.silent_errors = silent_errors
        self.ocr = ocr
        self.progress = progress

    def lazy_load(self) -> Iterator[Document]:
        """The pages of all files, in a stable order; one file is read at a time."""
        for path in self.paths:
            for file in find_files(path):
                try:
                    yield from self._load(file, source_name(file, path))
                except DocumentError as error:
                    if not self.silent_errors:
                        raise
                    _log.warning("left out: %s", error)

    def _load(self, file: Path, name: str) -> Iterator[Document]:
        document = open_document(file, name=name, encoding=self.encoding, password=self.password)
        if self.ocr is not False:
            document = read_scans(document, "rapidocr" if self.ocr is True else self.ocr, self.progress)
        return map(page_document, self.renderer.paginate(document, metadata={"source": document.name}))
