"""Markdown to runs: what its marks say, and the marks themselves, which are not drawn.

The text stays untouched. markdown-it-py (CommonMark and tables) does the parsing but tells lines only, so each of its rules is
watched: what a rule consumed, and where, is exact. A mark that cannot be located with certainty stays visible.
About 0.5 s for a megabyte of prose.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.parser_inline import ParserInline
from markdown_it.rules_block import StateBlock
from markdown_it.rules_core import StateCore
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token

from ..page import Run
from .markdown_html import hidden_html
from .runs import Span, in_order, newlines_to_lf

MAX_CHARACTERS = 10_000_000
_MAX_NESTING = 100  # a list takes two of them; deeper, the parser reads nothing in the rest of the text
_FRONT_MATTER = re.compile(r"---[ \t]*\n[\w.-]+[ \t]*:(?:.*\n){1,1000}?(?:---|\.\.\.)[ \t]*(?:\n|\Z)")
_FENCE_END = re.compile(r"[\s>]*(`{3,}|~{3,})[ \t]*\Z")
# a definition without one of these is perhaps a sentence: "[Note]: Important"; a footnote is text, too
_DEFINITION = re.compile(r"\[(?!\^)(?:[^\]\\]|\\.)*\]:\s*\S*[/#.:<@?]")
_BLOCK_ROLES = {"blockquote": "quote", "list": "list", "table": "table", "code": "codeblock", "fence": "codeblock"}

_Pieces = list[tuple[int, int]]
"""Where the content of an inline token stands: (offset in the content, offset in the source), sorted; between two of them both
count on alike."""


def markdown_runs(text: str) -> tuple[Run, ...]:
    """The runs of a Markdown text, sorted, nested or apart.

    Roles: ``heading1`` to ``heading6``, ``quote``, ``list``, ``table``, ``codeblock`` (whole blocks, first mark to end of last
    line); ``strong``, ``emphasis``, ``code``, ``link`` (what stands between the marks); and ``syntax``: marks
    that are not drawn. A ``syntax`` run holds a newline where its whole line is a mark (a fence, the row under a table's head).
    List markers, the bars of tables, thematic breaks, entities and unknown HTML tags stay visible.

    A text over 10 million characters gets none, nor does one that the parser fails on.
    """
    if len(text) > MAX_CHARACTERS:
        return ()
    source, to_text = newlines_to_lf(text.replace("\0", "\ufffd"))
    spans = _Spans(source)
    if matter := _FRONT_MATTER.match(source):
        spans.add(0, len(matter.group().rstrip()), "codeblock")
        source = re.sub(r"[^\n]", " ", matter.group()) + source[matter.end() :]
    env: dict[str, Any] = {"spans": spans}
    try:
        _parser().parse(source, env)
    except IndexError:  # the parser fails on a text that ends inside a comment in a quoted list
        return ()
    return in_order(spans.found, to_text)


class _Place:
    """Offsets in the content of an inline token to offsets in the source."""

    def __init__(self, pieces: _Pieces, shift: int = 0) -> None:
        self.pieces, self.shift = pieces, shift
        self._starts = [start for start, _ in pieces]

    def __call__(self, start: int, end: int) -> tuple[int, int]:
        return self._at(start), self._at(end - 1) + 1

    def _at(self, offset: int) -> int:
        offset += self.shift
        content, source = self.pieces[max(0, bisect_right(self._starts, offset) - 1)]
        return source + offset - content

    def inside(self, shift: int) -> _Place:
        """For the parts of an image's description, which are counted from its start."""
        return _Place(self.pieces, self.shift + shift)


class _Spans:
    """Collects spans while a text is parsed. Offsets are of the source with all newlines as line feeds."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.found: list[Span] = []

    def add(self, start: int, end: int, role: str) -> None:
        if start < end:
            self.found.append((start, end, role))

    def hide(self, start: int, end: int) -> None:
        self.add(start, end, "syntax")

    # -- blocks ---------------------------------------------------------------------------------------------------------

    def block(self, name: str, state: StateBlock, line: int, tokens: Sequence[Token]) -> None:
        """A block rule turned the lines from ``line`` to ``state.line`` into these tokens (the first is enough for those
        that hold other blocks)."""
        last = state.line - 1
        while last > line and state.isEmpty(last):
            last -= 1
        start, end = state.bMarks[line] + state.tShift[line], state.eMarks[last]
        if name in _BLOCK_ROLES:
            self.add(start, end, _BLOCK_ROLES[name])
        elif name in ("heading", "lheading"):
            self.add(start, end, f"heading{tokens[0].tag[1:]}")
        if name == "paragraph":
            self._locate(state, tokens[1], line, last + 1)
        elif name == "heading":
            self._heading(tokens[1], start, end, len(tokens[0].markup))
        elif name == "lheading":
            self._locate(state, tokens[1], line, state.line - 1)
            self.hide(state.eMarks[state.line - 2], end)
        elif name == "fence":
            self._fence(state, tokens[0], line, start)
        elif name == "table":
            self.hide(state.eMarks[line], state.eMarks[line + 1])
            self._table(state, tokens)
        elif name == "blockquote":
            self._quote(state, line)
        elif name == "html_block":
            for a, b in hidden_html(self.source, start, end):
                self._hide_lines(a, b)
        elif name == "reference" and _DEFINITION.match(self.source, start):
            self._hide_lines(start, end)

    def _hide_lines(self, start: int, end: int) -> None:
        # with the newline, where nothing else is on these lines
        source = self.source
        line = source.rfind("\n", 0, start) + 1
        if end < len(source) and source[end] == "\n" and not source[line:start].strip():
            end += 1
        self.hide(start, end)

    def _locate(self, state: StateBlock, token: Token, line: int, stop: int) -> None:
        """Each line of a paragraph's content is the end of a source line, but for white space."""
        lines = token.content.split("\n")
        if len(lines) != stop - line:
            return
        pieces: _Pieces = []
        content = 0
        for number, got in enumerate(lines, line):
            begin, end = state.bMarks[number], state.eMarks[number]
            visible = got.lstrip(" \t")
            at = begin + len(self.source[begin:end].rstrip(_BLANK)) - len(visible.rstrip(_BLANK))
            if at < begin or not self.source.startswith(visible, at):
                return
            pieces.append((content + len(got) - len(visible), at))
            content += len(got) + 1
        token.meta["pieces"] = pieces

    def _heading(self, token: Token, start: int, end: int, level: int) -> None:
        after = self.source[start + level : end]
        at = start + level + len(after) - len(after.lstrip(_BLANK))
        if self.source.startswith(token.content, at):
            token.meta["pieces"] = [(0, at)]
            self.hide(start, at)
            self.hide(at + len(token.content), end)

    def _fence(self, state: StateBlock, token: Token, line: int, start: int) -> None:
        source, inside = self.source, token.content.count("\n") + (token.content[-1:] not in ("", "\n"))
        closing = source[state.eMarks[state.line - 2] : state.eMarks[state.line - 1]] if state.line > line + 1 else ""
        closed = state.line - line - 1 - inside == 1 and _FENCE_END.match(closing)
        self.hide(start, state.eMarks[line] + (state.line > line + 1))
        if closed:
            self.hide(state.eMarks[state.line - 2], state.eMarks[state.line - 1])

    def _quote(self, state: StateBlock, line: int) -> None:
        for number in range(line, state.line):
            at = state.bMarks[number] + state.tShift[number]
            if self.source.startswith(">", at) and state.sCount[number] >= state.blkIndent:
                self.hide(at, at + 1 + self.source.startswith(" ", at + 1))

    def _table(self, state: StateBlock, tokens: Sequence[Token]) -> None:
        cells: Iterator[list[tuple[int, int]]] = iter(())
        for token in tokens:
            if token.type == "tr_open" and token.map:
                number = token.map[0]
                cells = _cells(self.source, state.bMarks[number] + state.tShift[number], state.eMarks[number])
            elif token.type == "inline" and (cell := next(cells, None)):
                self._cell(token, cell)

    def _cell(self, token: Token, cell: list[tuple[int, int]]) -> None:
        # the parts of a cell between the backslashes of its escaped bars
        raw = "".join(self.source[a:b] for a, b in cell)
        lead = len(raw) - len(raw.lstrip(_BLANK))
        if not token.content or raw.strip(_BLANK) != token.content:
            return
        pieces: _Pieces = []
        content = -lead
        for (a, b), (after, _) in zip(cell, [*cell[1:], (0, 0)], strict=True):
            pieces.append((content, a))
            content += b - a
            self.hide(b, after)
        token.meta["pieces"] = pieces

    # -- inside a paragraph ---------------------------------------------------------------------------------------------

    def inline(self, tokens: Sequence[Token], place: _Place) -> None:
        """The marks among the parts of a paragraph, heading or cell, from what `_watched_inline` noted in their ``meta``."""
        opened: list[int] = []
        for token in tokens:
            if "at" not in token.meta:
                continue
            start, end = token.meta["at"]
            kind = token.type
            if kind in ("em_open", "strong_open"):
                opened.append(end)
                self.hide(*place(start, end))
            elif kind in ("em_close", "strong_close"):
                begin = opened.pop()
                if begin < start:
                    self.add(*place(begin, start), "strong" if kind == "strong_close" else "emphasis")
                self.hide(*place(start, end))
            elif kind == "text" and not token.content:  # the second half of a pair that means strong
                self.hide(*place(start, end))
            elif kind == "code_inline":
                self._between(place, start, start + len(token.markup), end - len(token.markup), end, "code")
            elif kind == "link_open":
                label, close = token.meta.get("label", (start + 1, end - 1))
                self._between(place, start, label, close, end, "link")
            elif kind == "image":
                label = start + 2
                self._between(place, start, label, label + len(token.content), end, "")
                self.inline(token.children or (), place.inside(label))
            elif kind == "hardbreak" or (kind == "text_special" and token.info == "escape" and token.content != token.markup):
                self.hide(*place(start, start + 1))
            elif kind == "html_inline":
                for a, b in hidden_html(self.source, *place(start, end)):
                    self.hide(a, b)

    def _between(self, place: _Place, start: int, inner: int, close: int, end: int, role: str) -> None:
        self.hide(*place(start, inner))
        if role and inner < close:
            self.add(*place(inner, close), role)
        self.hide(*place(close, end))


_BLANK = " \t\n\r\v\f\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))
"""What markdown-it trims."""


def _cells(source: str, start: int, end: int) -> Iterator[list[tuple[int, int]]]:
    """The cells of a table's row as markdown-it splits it, each as the parts between the backslashes of escaped bars."""
    row = source[start:end].strip(_BLANK)
    start += len(source[start:end]) - len(source[start:end].lstrip(_BLANK))
    cells: list[list[tuple[int, int]]] = [[]]
    begin = 0
    for bar in re.finditer(r"\|", row):
        at = bar.start()
        if at and row[at - 1] == "\\":
            cells[-1].append((start + begin, start + at - 1))
            begin = at
        else:
            cells[-1].append((start + begin, start + at))
            cells.append([])
            begin = at + 1
    cells[-1].append((start + begin, start + len(row)))
    if all(a == b for a, b in cells[0]):
        cells.pop(0)
    if cells and all(a == b for a, b in cells[-1]):
        cells.pop()
    return iter(cells)


# -- the parser, watched ------------------------------------------------------------------------------------------------


class _WatchedInline(ParserInline):
    """Notes where the label of a link stands: it is parsed by a call of its own."""

    def tokenize(self, state: StateInline) -> None:
        if state.tokens and state.tokens[-1].type == "link_open" and not state.pending:
            state.tokens[-1].meta.setdefault("label", (state.pos, state.posMax))
        super().tokenize(state)


@cache
def _parser() -> MarkdownIt:
    parser = MarkdownIt()
    parser.inline = _WatchedInline()
    parser.configure("commonmark").enable("table").disable(["fragments_join", "text_join"])  # joining would lose places
    parser.options["maxNesting"] = _MAX_NESTING
    parser.core.ruler.at("inline", _read_inline)
    for rule in parser.block.ruler.__rules__:
        rule.fn = _watched_block(rule.name, rule.fn)
    for inline_rule in parser.inline.ruler.__rules__:
        if inline_rule.name not in ("text", "newline", "entity"):
            inline_rule.fn = _watched_inline(inline_rule.name, inline_rule.fn)
    return parser


def _read_inline(state: StateCore) -> None:
    """The rule that parses what is inside of blocks. Its tokens are read at once and let go: millions of them, kept to the end,
    would keep the garbage collector busy for longer than parsing takes."""
    spans: _Spans = state.env["spans"]
    for token in state.tokens:
        if "pieces" in token.meta:
            inside: list[Token] = []
            state.md.inline.parse(token.content, state.md, state.env, inside)
            spans.inline(inside, _Place(token.meta["pieces"]))


_BlockRule = Callable[[StateBlock, int, int, bool], bool]
_InlineRule = Callable[[StateInline, bool], bool]


def _watched_block(name: str, rule: _BlockRule) -> _BlockRule:
    nests = name in ("blockquote", "list")

    def watched(state: StateBlock, line: int, end: int, silent: bool) -> bool:
        first = len(state.tokens)
        if not rule(state, line, end, silent):
            return False
        if not silent:
            state.env["spans"].block(name, state, line, state.tokens[first : first + 1 if nests else None])
            if not state.level:  # nothing is open around it, so nothing looks at its tokens again
                state.tokens[first:] = [token for token in state.tokens[first:] if "pieces" in token.meta]
        return True

    return watched


def _watched_inline(name: str, rule: _InlineRule) -> _InlineRule:
    def watched(state: StateInline, silent: bool) -> bool:
        first, start = len(state.tokens), state.pos
        if not rule(state, silent):
            return False
        if silent or len(state.tokens) == first:
            return True
        if name == "emphasis":  # one token for each mark
            for at in range(start, state.pos):
                state.tokens[at - state.pos].meta["at"] = (at, at + 1)
        elif name in ("link", "autolink"):
            opening = next(token for token in state.tokens[first : first + 2] if token.type == "link_open")
            opening.meta["at"] = (start, state.pos)
        else:
            state.tokens[-1].meta["at"] = (start, state.pos)
        return True

    return watched
