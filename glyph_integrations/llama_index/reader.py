"""`GlyphReader`: files as Documents."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from llama_index.core.bridge.pydantic import Field
from llama_index.core.readers.base import BasePydanticReader
from llama_index.core.schema import Document
from pydantic.json_schema import SkipJsonSchema

from ..errors import DocumentError
from ..ocr import Reader
from ..rendering import read_scans
from ..sources import SourceDocument, find_files, open_document, source_name


class GlyphReader(BasePydanticReader):
    """Reads files and yields one Document per file, lazily; `PageNodeParser` makes pages of them.

    A Document's id is its name, so that a pipeline with a docstore replaces it when the file has changed. Its metadata are
    ``source`` (that name), ``media_type`` and the file's ``sha256``.

    Attributes:
        root: a folder; names are relative to it. None: relative to the folder or pattern given, and a single file has its own
            name only, so set it where a reader is handed files of several folders one by one, as `SimpleDirectoryReader` does.
        encoding: of texts that are not UTF-8; see `open_document`.
        password: of encrypted PDFs.
        ocr: give text to image files and to pages of PDFs that have none, see `read_scans`: True for RapidOCR (extra
            ``ocr``), ``tesseract:deu`` and the like, or an engine. False: such pages can be found by sight alone, by a store
            with a `VisualEmbedder`. With ``CachedReader(open_reader("rapidocr"), "readings")`` an interrupted run goes on.
        progress: called with the number of pages that OCR has read and is to read of a file, after each.

    Example:
        ``documents = GlyphReader().load_data("books/*.txt")``
    """

    root: str | None = Field(default=None, description="Names of documents are relative to this folder.")
    encoding: str | None = Field(default=None, description="Encoding of the files.")
    password: str | None = Field(default=None, exclude=True, repr=False, description="Of encrypted PDFs.")
    ocr: bool | str | SkipJsonSchema[Reader] = Field(
        default=False, description="Read pages that have no text, by which engine."
    )
    progress: SkipJsonSchema[Callable[[int, int], None] | None] = Field(
        default=None, exclude=True, repr=False, description="Told how many pages OCR has read."
    )

    @classmethod
    def class_name(cls) -> str:
        """Name in serialised form."""
        return "GlyphReader"

    def lazy_load_data(
        self, file_path: str | os.PathLike[str], extra_info: Mapping[str, Any] | None = None, fs: Any = None
    ) -> Iterator[Document]:
        """The Documents of a file, a folder or a pattern such as ``docs/**/*.md``, in a stable order.

        Args:
            file_path: where they are.
            extra_info: further metadata for each.
            fs: an fsspec file system that holds the (single) file; None: the local one.

        Raises:
            DocumentError: nothing is there, or a file cannot be read.
            MissingExtraError, ModelError: there is a page for OCR, and the engine is not installed, or failed.
        """
        if fs is not None:
            yield self._document(self._open_remote(str(file_path), fs), extra_info)
            return
        for file in find_files(file_path):
            name = self._name(file) or source_name(file, file_path)
            yield self._document(open_document(file, name=name, encoding=self.encoding, password=self.password), extra_info)

    def _open_remote(self, path: str, fs: Any) -> SourceDocument:
        try:
            data = fs.cat_file(path)
        except OSError as error:
            raise DocumentError(f"cannot read {path}: {error.strerror or error}") from error
        name = os.path.relpath(path, self.root) if self.root else path.rpartition("/")[2]
        return open_document(data, name=name, encoding=self.encoding, password=self.password)

    def _name(self, file: Path) -> str | None:
        if self.root is None:
            return None
        try:
            return file.resolve().relative_to(Path(self.root).resolve()).as_posix()
        except ValueError:
            raise DocumentError(f"{file} is not below the root {self.root} of this reader") from None

    def _document(self, document: SourceDocument, extra_info: Mapping[str, Any] | None) -> Document:
        if self.ocr is not False:
            document = read_scans(document, "rapidocr" if self.ocr is True else self.ocr, self.progress)
        own = {"source": document.name, "media_type": document.media_type, "sha256": document.sha256}
        return Document(
            id_=document.name,
            text=document.text,
            metadata={**(extra_info or {}), **own},
            excluded_embed_metadata_keys=list(own),
            excluded_llm_metadata_keys=["media_type", "sha256"],
        )
