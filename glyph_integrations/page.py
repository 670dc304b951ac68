"""The value types every room shares: a page, its lines and boxes, a retrieved page; and a page as flat metadata.

A page is text, style and entry state; its picture is a pure function of the three and is never stored.
"""

from __future__ import annotations

import base64
import hashlib
import re
import zlib
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import MappingProxyType
from typing import Any, NamedTuple

from .errors import PageFormatError
from .packing import fold, pack, unfold, unpack
from .picture import Picture, TextLine
from .style import PageStyle

Scalar = str | int | float | bool

_PREFIX = "glyph_"


class Run(NamedTuple):
    """A stretch of a page's text with a role (``heading``, ``emphasis``, ``code``, ``syntax``: a mark that is not drawn)."""

    start: int
    end: int
    role: str


class Fragment(NamedTuple):
    """A stretch of text drawn from one pen position. Offsets count from the start of the page's text;
    ``x`` and ``width`` are pixels at the style's own dpi, ``x`` from the left edge of the page; ``level`` is the
    bidirectional level (0: left to right)."""

    start: int
    end: int
    x: int
    width: int
    level: int = 0


Line = tuple[Fragment, ...]
"""One line of a page, in reading order. A blank line is empty."""


class Box(NamedTuple):
    """A rectangle in pixels of a drawn page: ``left`` and ``top`` inside, ``right`` and ``bottom`` just outside."""

    left: int
    top: int
    right: int
    bottom: int


@dataclass(frozen=True)
class Entry:
    """What holds where a page begins; all empty at the start of a paragraph.

    Attributes:
        continues: the first line goes on with the paragraph that the page before began.
        line: number of the source's line that the page begins in, from 1; 0 when the style shows no line numbers.
    """

    continues: bool = False
    line: int = 0

    def __str__(self) -> str:
        return ("c" if self.continues else "") + (str(self.line) if self.line else "")

    @classmethod
    def parse(cls, text: str) -> Entry:
        """The inverse of ``str(entry)``."""
        match = re.fullmatch(r"(c?)([1-9]\d{0,11})?", text, re.ASCII)
        if not match:
            raise PageFormatError(f"unknown page entry state {text!r}; the page was written by a newer version")
        return cls(bool(match[1]), int(match[2] or 0))


@dataclass(frozen=True)
class Page:
    """One page of a document. Made by `Renderer.paginate`; drawn by `Renderer.draw`.

    A page of a PDF or an image has a `picture` and no ``lines``: its text is what the file says stands on it.

    Attributes:
        text: the untouched slice ``[start:end]`` of the text that was paginated.
        style: how it is drawn, with everything resolved (``newline`` is never ``auto``).
        lines: where the text stands; see `Fragment` for units.
        source: name of the document, a relative path with forward slashes.
        number: from 1.
        start, end: offsets into the text that was paginated.
        entry: the state the page begins in.
        runs: stretches with a role.
        missing: the distinct characters that no font covers, sorted.
        ordinal: how many pages of the document with equal content came before.
        picture: the page of a file that is drawn in place of the text; None for a page of text.
        metadata: the caller's own values, flat.
    """

    text: str
    style: PageStyle
    lines: tuple[Line, ...]
    source: str = ""
    number: int = 1
    start: int = 0
    entry: Entry = Entry()
    runs: tuple[Run, ...] = ()
    missing: str = ""
    ordinal: int = 0
    picture: Picture | None = None
    metadata: Mapping[str, Scalar] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "metadata", MappingProxyType(dict(self.metadata)))

    def __repr__(self) -> str:
        begin = self.text if len(self.text) <= 40 else self.text[:40] + "…"
        where = f"number={self.number}, source={self.source!r}, start={self.start}, end={self.end}"
        return f"Page({begin!r}, {where}, style={str(self.style)!r})"

    def __getstate__(self) -> dict[str, Any]:
        return {k: dict(v) if k == "metadata" else v for k, v in self.__dict__.items()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, metadata=MappingProxyType(state["metadata"]))

    @property
    def end(self) -> int:
        """Offset just after the page in the text that was paginated."""
        return self.start + len(self.text)

    @cached_property
    def content_hash(self) -> str:
        """Hash of what is drawn: text, runs, entry and style, or the page of a file. Pages with equal hashes share vectors.
        32 hex digits."""
        parts = (self.text, _pack_runs(self.runs), str(self.entry), str(self.style))
        return _hash(parts if self.picture is None else (*parts, self.picture.sha256, str(self.picture.index)))

    @cached_property
    def id(self) -> str:
        """Stable name: hash of source, content and ordinal; no offsets, so an edit elsewhere keeps it. 32 hex digits."""
        return _hash((self.source, self.content_hash, str(self.ordinal)))

    @cached_property
    def breaks(self) -> str:
        """`lines` as one compact string."""
        return _pack_lines(self.lines, round(self.style.width * self.style.dpi / 72))

    @property
    def label(self) -> str:
        """How a prompt names the page: ``Page 57``."""
        return f"Page {self.number}"

    @cached_property
    def picture_lines(self) -> tuple[TextLine, ...]:
        """Where the text stands on the picture; empty for a page that is drawn from its text."""
        return self.picture.lines(self.text) if self.picture else ()

    def line_of(self, offset: int) -> int:
        """Number (from 1) of the line that draws the character at ``offset`` into the page's text; characters that are
        not drawn (line ends) belong to the line before them. 0 for a page without lines."""
        if self.picture_lines:
            return max(1, bisect_right(self.picture_lines, offset, key=lambda line: line.start))
        last = 0
        for number, line in enumerate(self.lines, 1):
            if not line:
                continue
            if line[0].start > offset:
                break
            last = number
        return last or next((n for n, line in enumerate(self.lines, 1) if line), 0)

    def line_text(self, number: int) -> str:
        """The text drawn on a line (numbered from 1); newlines inside a reflowed line read as spaces."""
        if self.picture_lines:
            place = self.picture_lines[number - 1]
            return self.text[place.start : place.end]
        line = self.lines[number - 1]
        if not line:
            return ""
        text = self.text[min(f.start for f in line) : max(f.end for f in line)]
        return text.replace("\r\n", "\n").replace("\n", " ")

    def with_metadata(self, **values: Scalar) -> Page:
        """A copy with some of the caller's values added."""
        return replace(self, metadata={**self.metadata, **values})

    # -- flat metadata, for stores that hold a text and a few values ----------------------------------------------------

    def to_metadata(self) -> dict[str, Scalar]:
        """Flat scalars under ``glyph_*``, beside the caller's own values: with `text`, all that `from_metadata` needs.

        At most 1 KB for a prose page and 4 KB for a page of code.
        """
        values: dict[str, Scalar] = {
            "id": self.id, "n": self.number, "source": self.source, "start": self.start, "end": self.end,
            "style": str(self.style), "lines": self.breaks, "runs": _pack_runs(self.runs), "entry": str(self.entry),
            "missing": self.missing.encode("unicode_escape").decode(), "ordinal": self.ordinal,
            "picture": str(self.picture or ""),
        }  # fmt: skip
        always = ("id", "n", "source", "start", "end", "style", "lines")
        return {**self.metadata, **{_PREFIX + k: v for k, v in values.items() if k in always or v not in ("", 0)}}

    @staticmethod
    def in_metadata(metadata: Mapping[str, Any]) -> bool:
        """Whether these values claim to belong to a page."""
        return isinstance(metadata.get("glyph_id"), str) and isinstance(metadata.get("glyph_lines"), str)

    @classmethod
    def from_metadata(cls, text: str, metadata: Mapping[str, Any]) -> Page:
        """The page whose text and `to_metadata` values these are.

        Raises:
            PageFormatError: the values are damaged, or the text no longer hashes to the id (something edited or split it).
        """

        def get(key: str, default: Any) -> Any:
            value = metadata.get(_PREFIX + key, default)
            if isinstance(default, int):  # stores return numbers as floats
                if isinstance(value, bool) or not isinstance(value, int | float):
                    raise PageFormatError(f"glyph_{key}={value!r}: expected a number")
                return int(value)
            if not isinstance(value, str):
                raise PageFormatError(f"glyph_{key}={value!r}: expected a string")
            return value

        try:
            style = PageStyle.parse(get("style", ""))
            missing = get("missing", "").encode("ascii").decode("unicode_escape")
        except (ValueError, TypeError) as error:
            raise PageFormatError(f"glyph_style or glyph_missing cannot be read: {error}") from error
        page = cls(
            text=text, style=style,
            lines=_unpack_lines(get("lines", ""), round(style.width * style.dpi / 72), len(text)),
            source=get("source", ""), number=get("n", 1), start=get("start", 0),
            entry=Entry.parse(get("entry", "")), runs=_unpack_runs(get("runs", ""), len(text)),
            missing=missing, ordinal=get("ordinal", 0),
            picture=Picture.parse(get("picture", "")) if get("picture", "") else None,
            metadata={k: v for k, v in metadata.items() if not k.startswith(_PREFIX)},
        )  # fmt: skip
        if page.picture and page.picture.name != normalize_source(page.picture.name):
            raise PageFormatError(f"the file of a page is named {page.picture.name!r}: expected a relative path")
        if page.id != metadata.get("glyph_id"):
            raise PageFormatError(f"the text beside page {metadata.get('glyph_id')!r} was edited or split; it is not that page")
        _ = page.picture_lines  # damage is an error now, not when a citation is looked up
        return page


class PageHit(NamedTuple):
    """A retrieved page. ``score`` orders hits of one search; ``relevance`` (0 to 1) can be compared with a threshold."""

    page: Page
    score: float
    relevance: float


def normalize_source(source: str) -> str:
    """A document's name as stored: forward slashes, no drive, no leading slash, no ``.`` or ``..`` steps."""
    steps = re.sub(r"^[A-Za-z]:(?=[\\/])", "", source).replace("\\", "/").split("/")
    return "/".join(step for step in steps if step not in ("", ".", ".."))


def _hash(parts: Iterable[str]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        data = part.encode("utf-8", "surrogatepass")
        digest.update(len(data).to_bytes(8, "little"))
        digest.update(data)
    return digest.hexdigest()


def _pack_lines(lines: tuple[Line, ...], width: int) -> str:
    # per line: count of fragments; per fragment: skipped characters, length, x after the pen, slack to the page's width, level
    values: list[int] = []
    at = 0
    for line in lines:
        values.append(len(line))
        pen = 0
        for start, end, x, advance, level in line:
            values += (fold(start - at), end - start, fold(x - pen), fold(width - x - advance), level)
            at, pen = end, x + advance
    return pack(values)


def _unpack_lines(packed: str, width: int, length: int) -> tuple[Line, ...]:
    try:
        numbers = iter(unpack(packed, 64 * (length + 1000)))
    except ValueError as error:
        raise PageFormatError(f"line breaks of a page cannot be decoded: {error}") from error
    lines: list[Line] = []
    at = 0
    try:
        for count in numbers:
            fragments = []
            pen = 0
            for _ in range(count):
                start = at + unfold(next(numbers))
                end = start + next(numbers)
                x = pen + unfold(next(numbers))
                advance = width - x - unfold(next(numbers))
                fragments.append(Fragment(start, end, x, advance, next(numbers)))
                if not 0 <= start <= end <= length:
                    raise PageFormatError("line breaks of a page point outside its text")
                at, pen = end, x + advance
            lines.append(tuple(fragments))
    except (StopIteration, RuntimeError) as error:
        raise PageFormatError("line breaks of a page end too early") from error
    return tuple(lines)


def _pack_runs(runs: tuple[Run, ...]) -> str:
    if not runs:
        return ""
    plain = "|".join(f"{r.start},{r.end},{r.role}" for r in runs)
    return base64.b85encode(zlib.compress(plain.encode("utf-8"), 9)).decode("ascii")


def _unpack_runs(packed: str, length: int) -> tuple[Run, ...]:
    if not packed:
        return ()
    try:
        decoder = zlib.decompressobj()
        plain = decoder.decompress(base64.b85decode(packed), 64 * (length + 1000)).decode("utf-8")
        runs = tuple(Run(int(a), int(b), role) for a, b, role in (item.split(",", 2) for item in plain.split("|")))
    except (ValueError, zlib.error) as error:
        raise PageFormatError(f"runs of a page cannot be decoded: {error}") from error
    if any(not 0 <= r.start <= r.end <= length for r in runs):
        raise PageFormatError("runs of a page point outside its text")
    return runs
