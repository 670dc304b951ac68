"""Rows of the truth as values: what an index is made of, a page as columns, an entry of the log; and their checksums."""

from __future__ import annotations

import hashlib
import json
import zlib
from typing import NamedTuple

from ..errors import PageFormatError
from ..page import Page
from .precision import Form, Precision


class Made(NamedTuple):
    """What an index is made of; opening it with anything else is refused. ``name`` is its own, by which its files know it."""

    name: str
    schema: int
    embedder: str
    revision: str
    dim: int
    metric: str
    precision: Precision = "fp16"

    def __str__(self) -> str:
        kept = f"dim {self.dim}, {self.metric}, {self.precision}"
        return f"embedder {self.embedder!r} revision {self.revision!r} ({kept})"

    @property
    def form(self) -> Form:
        """Of the vectors."""
        return Form(self.dim, self.precision)


class Mark(NamedTuple):
    """A place in the log: a sequence number and the checksum found there, which covers all of the log before it. Two
    databases that agree on a mark agree on how they came there.

    What is derived begins by reading the pages themselves, not the log from its first entry. While it does so its mark is
    ``Mark.reading``: the number is negative, and behind every place in the log.
    """

    seq: int
    checksum: str

    @classmethod
    def reading(cls, row: int, since: Mark) -> Mark:
        """The pages up to ``row`` were read, each as it was at ``since`` or later."""
        return cls(-row, f"{since.seq}:{since.checksum}")

    @property
    def read(self) -> tuple[int, Mark] | None:
        """The arguments of `reading`; None for a place in the log."""
        if self.seq >= 0:
            return None
        seq, _, checksum = self.checksum.partition(":")
        return -self.seq, Mark(int(seq), checksum)


START = Mark(0, "")


class Change(NamedTuple):
    """An entry of the log: a row was ``put`` (new), ``set`` (other metadata; content never changes) or ``del`` (deleted).
    ``record`` is the checksum of the row then. Seeing one twice must do no harm."""

    op: str
    row: int
    record: bytes
    mark: Mark

    @classmethod
    def after(cls, previous: Mark, op: str, row: int, record: bytes) -> Change:
        """The entry that follows ``previous``."""
        seq = previous.seq + 1
        return cls(op, row, record, Mark(seq, digest(previous.checksum, seq, op, row, record).hex()))


class Record(NamedTuple):
    """A page as columns."""

    id: str
    content: str
    source: bytes
    number: int
    metadata: str
    layout: str
    text: bytes

    @classmethod
    def of(cls, page: Page) -> Record:
        """The columns of a page.

        Raises:
            PageFormatError: not a page, or metadata that JSON cannot hold.
        """
        if not isinstance(page, Page):
            raise PageFormatError(f"an index takes Page objects, not {type(page).__name__}; make them with Renderer.paginate")
        try:
            metadata = json.dumps(dict(page.metadata), ensure_ascii=False, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise PageFormatError(f"metadata of page {page.number} of {page.source!r} is not plain JSON: {error}") from error
        if any("\ud800" <= char <= "\udfff" for char in metadata):  # SQL text cannot hold these
            metadata = json.dumps(dict(page.metadata))
        layout = json.dumps({k: v for k, v in page.to_metadata().items() if k.startswith("glyph_")})
        return cls(page.id, page.content_hash, to_blob(page.source), page.number, metadata, layout, to_blob(page.text))

    def page(self) -> Page:
        """The page again."""
        page = Page.from_metadata(to_text(self.text), json.loads(self.layout))
        return page.with_metadata(**json.loads(self.metadata))

    def checksum(self, row: int) -> bytes:
        """Over everything, the row number included."""
        return digest(row, *self)

    def fields(self, row: int) -> Fields:
        """What filters read."""
        return Fields(row, self.id, self.source, self.number, self.metadata)


class Fields(NamedTuple):
    """What filters read of a page: its row and the short columns."""

    row: int
    id: str
    source: bytes
    number: int
    metadata: str

    def checksum(self) -> int:
        """CRC-32: every page is checked when filters are made ready, so this one has to be quick."""
        row, page_id, source, number, metadata = self
        return zlib.crc32(f"{row} {page_id} {source!r} {number} {metadata!r}".encode())


def digest(*parts: str | bytes | int) -> bytes:
    """Eight bytes of BLAKE2b over values with their types and lengths."""
    state = hashlib.blake2b(digest_size=8)
    for part in parts:
        data = part if isinstance(part, bytes) else to_blob(str(part))
        state.update(f"{type(part).__name__}{len(data)}:".encode())  # one flipped bit can make a text a blob
        state.update(data)
    return state.digest()


def to_blob(text: str) -> bytes:
    """Text as bytes, lone surrogates too."""
    return text.encode("utf-8", "surrogatepass")


def to_text(blob: bytes) -> str:
    """The inverse of `to_blob`."""
    return blob.decode("utf-8", "surrogatepass")
