"""Writing text out of markup: white space collapsed, blocks apart, and for every stretch where in the source it came from."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from html import unescape

from .runs import Span

Piece = tuple[int, int, int]
"""A stretch of text: its offset, its offset in the source, and its length. A piece of length 0 says where in the source the one
before it ends, when that is longer there (``&amp;``)."""

_BEFORE_BULLET = frozenset({"list", "table", "quote"})
_STRETCH = re.compile(r"[^ \t\n\f\r]+(?: [^ \t\n\f\r]+)*")  # words with single spaces between them
_SPECIAL = re.compile(r"[&<\r\0]")
_ENTITY = re.compile(r"&(?:#[xX]?[0-9A-Fa-f]+;?|[A-Za-z][A-Za-z0-9]*;?)")
_TAG = re.compile(r"<[^>]*>")


class TextWriter:
    """Collects text, runs and the map to the source. Line ends, spaces, bullets and bars are owed until text follows them."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.length = 0
        self.spans: list[Span] = []
        self.pieces: list[Piece] = []
        self.in_cell = 0
        self._parts: list[str] = []
        self._open: list[list[int | str]] = []  # start (-1: not yet) and role
        self._fresh: list[list[int | str]] = []
        self._breaks = 0
        self._space: int | None = None  # its offset in the source
        self._bullet = ""
        self._bars = 0

    @property
    def text(self) -> str:
        """All that was written."""
        return "".join(self._parts)

    def line_break(self, count: int) -> None:
        """At least this many newlines before the next text; in a table's cell a space."""
        if self.in_cell:
            self._owe_space(-1)
        else:
            self._breaks = max(self._breaks, count)

    def further_break(self) -> None:
        """One newline more, up to a blank line."""
        self.line_break(min(2, self._breaks + 1))

    def bullet(self, mark: str) -> None:
        """A list item's mark, written before its first text."""
        self._bullet = mark

    def cell(self, *, first: bool) -> None:
        """The next cell of a row."""
        self._bars = 0 if first else self._bars + 1
        self._space = None

    def open(self, role: str) -> None:
        """A run begins with the next text."""
        mark: list[int | str] = [-1, role]
        self._open.append(mark)
        self._fresh.append(mark)

    def close(self) -> None:
        """The run opened last ends here."""
        start, role = self._open.pop()
        if start == -1:
            self._fresh.pop()
            return
        last = self._parts[-1]
        end = self.length - len(last) + len(last.rstrip("\n"))
        if isinstance(start, int) and start < end:
            self.spans.append((start, end, str(role)))

    def words(self, data: str, offset: int | None, table: dict[int, str] | None = None) -> None:
        """Text of a node with its white space collapsed, characters translated by ``table``."""
        origin = align(self.source, offset, data)
        at = 0
        for stretch in _STRETCH.finditer(data):
            if stretch.start() > at:
                self._owe_space(_origin_of(origin, at))
            at = stretch.end()
            self._write(data[stretch.start() : at].translate(table or {}), stretch.start(), origin)
        if at < len(data):
            self._owe_space(_origin_of(origin, at))

    def verbatim(self, data: str, offset: int | None) -> None:
        """Text of a node as it stands."""
        if data:
            self._write(data, 0, align(self.source, offset, data))

    # -- writing --------------------------------------------------------------------------------------------------------

    def _owe_space(self, origin: int) -> None:
        if self._space is None:
            self._space = origin

    def _put(self, text: str) -> None:
        self._parts.append(text)
        self.length += len(text)

    def _write(self, data: str, start: int, origin: Sequence[Piece]) -> None:
        """``data`` is a stretch that begins at ``start`` of its node's text."""
        self._pay()
        for at, source, length in _within(origin, start, start + len(data)):
            self._map(self.length + at - start, source, length)
        self._put(data)

    def _pay(self) -> None:
        if self._breaks:
            last = self._parts[-1] if self._parts else ""
            if self.length:
                self._put("\n" * (self._breaks - len(last) + len(last.rstrip("\n"))))
            self._breaks, self._space = 0, None
        at_line_start = not self.length or self._parts[-1].endswith("\n")
        before = self.length
        if self._bars or self._bullet:
            between = " | " * self._bars or ("" if self._space is None else " ")
            self._put((between.lstrip() if at_line_start else between) + self._bullet)
            self._bars, self._bullet, self._space = 0, "", None
        if self._space is not None and not at_line_start:
            if self._space >= 0:
                self._map(self.length, self._space, 1)
            self._put(" ")
        self._space = None
        outer = True
        for mark in self._fresh:
            outer = outer and mark[1] in _BEFORE_BULLET
            mark[0] = before if outer else self.length
        self._fresh.clear()

    def _map(self, at: int, source: int, length: int) -> None:
        if length and self.pieces:
            last, origin, size = self.pieces[-1]
            if size and last + size == at and origin + size == source:
                self.pieces[-1] = (last, origin, size + length)
                return
        self.pieces.append((at, source, length))


def _within(origin: Sequence[Piece], start: int, end: int) -> list[Piece]:
    found = []
    for number in range(max(0, bisect_right(origin, (start,)) - 2), len(origin)):
        at, source, length = origin[number]
        if at > end or (at == end and length):
            break
        if not length:
            if at > start:
                found.append((at, source, 0))
            continue
        a, b = max(at, start), min(at + length, end)
        if a < b:
            found.append((a, source + a - at, b - a))
    return found


def _origin_of(origin: Sequence[Piece], at: int) -> int:
    for start, source, length in _within(origin, at, at + 1):
        if length:
            return source + at - start
    return -1


def align(source: str, offset: int | None, data: str) -> list[Piece]:
    """Where the text of a node stands in the source: the parser says where it begins; entities, newlines and tags inside are
    stepped over. Ends early where the two do not agree, and is empty without an offset."""
    if offset is None:
        return []
    if "&" not in data and source.startswith(data, offset):
        return [(0, offset, len(data))]
    pieces: list[Piece] = []
    at, here = 0, offset
    if data[:1] != "\n" and source[here : here + 1] in ("\r", "\n"):  # dropped at the start of <pre>
        here += 2 if source.startswith("\r\n", here) else 1
    while at < len(data) and here < len(source):
        special = _SPECIAL.search(source, here)
        plain = min((special.start() if special else len(source)) - here, len(data) - at)
        if plain:
            if not source.startswith(data[at : at + plain], here):
                break
            pieces.append((at, here, plain))
            at, here = at + plain, here + plain
            continue
        entity, decoded = _entity(source, here)
        if entity and data.startswith(decoded, at):
            pieces += [(at, here, len(decoded)), (at + len(decoded), here + len(entity), 0)]
            at, here = at + len(decoded), here + len(entity)
        elif source[here] == data[at]:
            pieces.append((at, here, 1))
            at, here = at + 1, here + 1
        elif source[here] == "\r" and data[at] == "\n":
            end = here + (2 if source.startswith("\r\n", here) else 1)
            pieces += [(at, here, 1), (at + 1, end, 0)]
            at, here = at + 1, end
        elif tag := _TAG.match(source, here):
            here = tag.end()
        elif source[here] == "\0":
            here += 1
        else:
            break
    return pieces


def _entity(source: str, at: int) -> tuple[str, str]:
    """The entity that begins here and what it stands for; empty if none does."""
    match = _ENTITY.match(source, at)
    raw = match.group() if match else ""
    decoded = unescape(raw)
    if decoded == raw:
        return "", ""
    while raw[-1] != ";" and len(decoded) > 1 and decoded[-1] == raw[-1]:  # "&notit" is "&not" and two letters
        raw, decoded = raw[:-1], decoded[:-1]
    return raw, decoded
