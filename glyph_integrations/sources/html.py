"""HTML to text: the main content as paragraphs, lists and tables, with runs and a map to the source.

justhtml builds the tree that a browser would, in linear time, and knows where each piece of text stood. Nothing is fetched, no
script is run. Real pages take 0.5 s a megabyte, small tags without end 2 s.
"""

from __future__ import annotations

import codecs
import re
from typing import Any, NamedTuple

from justhtml import JustHTML

from ..errors import DocumentError
from ..page import Run
from .html_text import Piece, TextWriter
from .runs import in_order

MAX_CHARACTERS = 10_000_000
_CHARSET = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([\w.:-]+)", re.I)

_AS_BROWSERS_DO = {"iso-8859-1": "cp1252", "latin1": "cp1252", "us-ascii": "cp1252", "gb2312": "gb18030", "gbk": "gb18030"}

_NEVER = frozenset(
    "audio button canvas datalist dialog embed head iframe input map noscript object option script select style svg template "
    "textarea video annotation annotation-xml".split()
)
_ASIDE = frozenset("aside footer header".split())  # of the page; those of an article belong to it
_ASIDE_ROLES = frozenset("navigation banner contentinfo complementary search menu menubar".split())
_CONTENT = frozenset("article main section".split())
_BLOCK = frozenset(
    "address article aside body center dd details dir div dt fieldset figcaption footer form header hgroup html legend li main "
    "menu nav section summary tr caption".split()
)
_SPACED = frozenset("blockquote dl figure h1 h2 h3 h4 h5 h6 hr ol p pre table ul listing plaintext xmp".split())
_PRE = frozenset("pre listing plaintext xmp".split())
_ROLES = {
    **{f"h{level}": f"heading{level}" for level in range(1, 7)},
    "b": "strong", "strong": "strong", "th": "strong", "em": "emphasis", "i": "emphasis", "cite": "emphasis", "dfn": "emphasis",
    "var": "emphasis", "code": "code", "kbd": "code", "samp": "code", "tt": "code", "a": "link", "blockquote": "quote",
    "ul": "list", "ol": "list", **dict.fromkeys(_PRE, "codeblock"),
}  # fmt: skip
_RAISED = dict(zip(map(ord, "0123456789+-=()ni"), "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾ⁿⁱ", strict=True))
_LOWERED = dict(zip(map(ord, "0123456789+-=()"), "₀₁₂₃₄₅₆₇₈₉₊₋₌₍₎", strict=True))
_NUMBER = re.compile(r"-?\d{1,9}\Z")


class Extracted(NamedTuple):
    """The text of a marked-up document, its runs, and where the text stands in the source."""

    text: str
    runs: tuple[Run, ...]
    source_map: tuple[Piece, ...]


def declared_encoding(data: bytes) -> str | None:
    """The encoding that a page without a byte order mark names for itself, if it is not UTF-8 after all."""
    match = _CHARSET.search(data[:4096])
    if match is None:
        return None
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        name = match[1].decode("ascii", "replace").lower()
        name = _AS_BROWSERS_DO.get(name, name)
        try:
            return name if codecs.lookup(name)._is_text_encoding and not name.startswith("utf") else None
        except LookupError:
            return None
    return None


def extract_html(source: str, label: str = "document") -> Extracted:
    """The text of an HTML document.

    What is in ``<main>``, or else in ``<article>`` where most of the text is, or else the whole body; without scripts, styles,
    navigation, forms, hidden elements, and the page's own header, footer and asides. Paragraphs stand apart, list items have
    bullets or numbers, the cells of a row have `` | `` between them, ``pre`` is verbatim, links are text.

    Roles: ``heading1`` to ``heading6``, ``quote``, ``list``, ``table``, ``codeblock``, ``strong``, ``emphasis``, ``code``,
    ``link``.

    Raises:
        DocumentError: there is no text in it, or it has over 10 million characters.
    """
    if len(source) > MAX_CHARACTERS:
        raise DocumentError(
            f"{label} has {len(source):,} characters of HTML, over {MAX_CHARACTERS:,}; split it, or read it as text/plain"
        )
    document = JustHTML(source, sanitize=False, track_node_locations=True).root
    survey = _Survey(document)
    for roots, everything in ((survey.content(document), False), ([document], True)):
        writer = TextWriter(source)
        for root in roots:
            _Walk(writer, survey.layout_tables, everything).write(root)
        if text := writer.text:
            return Extracted(text, in_order(writer.spans), tuple(writer.pieces))
    raise DocumentError(f"{label} holds no text: nothing is left of this HTML without its scripts, forms and tags")


class _Survey:
    """One look at the whole tree: how much text there is and where, and which tables are only layout."""

    def __init__(self, document: Any) -> None:
        self.layout_tables: set[int] = set()
        self._total = 0
        self._found: dict[str, list[tuple[int, Any]]] = {"main": [], "article": []}
        tables: list[int] = []
        inside: dict[str, int] = {"main": 0, "article": 0}
        size = {"main": 0, "article": 0}
        stack: list[tuple[Any, str]] = [(document, "")]
        while stack:
            node, leaving = stack.pop()
            name = node.name
            if leaving == "table":
                tables.pop()
            elif leaving:
                inside[leaving] -= 1
                if not inside[leaving]:
                    self._found[leaving].append((size[leaving], node))
            elif name == "#text":
                length = len(node.data.strip())
                self._total += length
                for kind, depth in inside.items():
                    size[kind] += length if depth else 0
            elif name not in _NEVER:
                if tables and (name in _PRE or name == "table" or _ROLES.get(name, "").startswith("heading")):
                    self.layout_tables.add(tables[-1])
                kind = "main" if name == "main" or _attribute(node, "role") == "main" else name
                if name == "table":
                    tables.append(id(node))
                    if _attribute(node, "role") in ("presentation", "none"):
                        self.layout_tables.add(id(node))
                    stack.append((node, "table"))
                elif kind in inside:
                    if not inside[kind]:
                        size[kind] = 0
                    inside[kind] += 1
                    stack.append((node, kind))
                stack.extend((child, "") for child in reversed(node.children or ()))

    def content(self, document: Any) -> list[Any]:
        """The elements that hold the main content, in order."""
        mains = [max(self._found["main"], key=lambda found: found[0])] if self._found["main"] else []
        for found, share in ((mains, 5), (self._found["article"], 2)):
            if sum(size for size, _ in found) * share >= max(1, self._total):
                return [node for _, node in found]
        return [document]


class _Walk:
    """Writes an element and all below it, without recursion."""

    def __init__(self, writer: TextWriter, layout_tables: set[int], everything: bool) -> None:
        self.writer = writer
        self.layout_tables = layout_tables
        self.everything = everything
        self.content = self.pre = 0
        self.lists: list[int | None] = []  # the next number; None: bullets
        self.rows: list[int] = []  # cells so far, per open table; -1: a layout table
        self.script: list[dict[int, str]] = []

    def write(self, root: Any) -> None:
        stack: list[tuple[Any, bool]] = [(root, False)]
        while stack:
            node, leaving = stack.pop()
            if leaving:
                self._leave(node)
            elif node.name == "#text":
                self._text(node)
            elif node.children is not None and not (self._dropped(node) and node is not root):
                self._enter(node)
                stack.append((node, True))
                stack.extend((child, False) for child in reversed(node.children))

    def _dropped(self, node: Any) -> bool:
        name = node.name
        if name in _NEVER or name.startswith(("#comment", "!")):
            return True
        if self.everything or (not node.attrs and name != "nav" and name not in _ASIDE):
            return False
        role = _attribute(node, "role")
        aside = name in _ASIDE or role in _ASIDE_ROLES
        hidden = "hidden" in node.attrs or _attribute(node, "aria-hidden") == "true"
        hidden = hidden or "display:none" in _attribute(node, "style").replace(" ", "").lower()
        return hidden or name == "nav" or role == "navigation" or (aside and not self.content)

    def _text(self, node: Any) -> None:
        offset = node.origin_offset
        if self.pre:
            self.writer.verbatim(node.data, offset)
            return
        table = self.script[-1] if self.script else None
        if table and not all(ord(char) in table for char in node.data.strip()):
            table = None
        self.writer.words(node.data, offset, table)

    def _enter(self, node: Any) -> None:
        name, writer = node.name, self.writer
        self._break(name)
        if name == "br":
            writer.further_break()
        elif name == "li":
            self._item(node)
        elif name == "tr" and self._in_table():
            self.rows[-1] = 0
        elif name in ("td", "th"):
            if self._in_table():
                writer.cell(first=self.rows[-1] == 0)
                self.rows[-1] += 1
                writer.in_cell += 1
            else:
                writer.line_break(1)
        elif name == "table":
            self.rows.append(-1 if id(node) in self.layout_tables else 0)
        elif name in ("ul", "ol"):
            start = _attribute(node, "start")
            self.lists.append(None if name == "ul" else int(start) if _NUMBER.match(start) else 1)
        elif name in ("sup", "sub"):
            self.script.append(_RAISED if name == "sup" else _LOWERED)
        self.content += name in _CONTENT
        self.pre += name in _PRE
        if role := self._role(node):
            writer.open(role)

    def _leave(self, node: Any) -> None:
        name, writer = node.name, self.writer
        if self._role(node):
            writer.close()
        self.content -= name in _CONTENT
        self.pre -= name in _PRE
        if name in ("td", "th"):
            writer.in_cell -= self._in_table()
        elif name == "tr" and self._in_table():
            writer.cell(first=True)
        elif name == "li":
            writer.bullet("")
        elif name == "table":
            self.rows.pop()
        elif name in ("ul", "ol"):
            self.lists.pop()
        elif name in ("sup", "sub"):
            self.script.pop()
        self._break(name)

    def _break(self, name: str) -> None:
        if name in _SPACED:
            self.writer.line_break(1 if self.lists else 2)
        elif name in _BLOCK:
            self.writer.line_break(1)

    def _role(self, node: Any) -> str:
        if node.name == "table":
            return "" if id(node) in self.layout_tables else "table"
        if (self.pre and node.name == "code") or (node.name == "a" and "href" not in node.attrs):
            return ""
        return _ROLES.get(node.name, "")

    def _in_table(self) -> bool:
        return bool(self.rows) and self.rows[-1] >= 0

    def _item(self, node: Any) -> None:
        number = self.lists[-1] if self.lists else None
        if number is not None:
            value = _attribute(node, "value")
            number = int(value) if _NUMBER.match(value) else number
            self.lists[-1] = number + 1
        depth = max(0, min(len(self.lists), 10) - 1)
        self.writer.bullet("  " * depth + ("• " if number is None else f"{number}. "))


def _attribute(node: Any, name: str) -> str:
    return (node.attrs or {}).get(name) or ""
