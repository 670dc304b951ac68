"""Quotations and page references in an answer, as a reader would find them: marks of many languages, apostrophes spared."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import NamedTuple


class Quotation(NamedTuple):
    """Quoted words; ``start`` and ``end`` enclose the marks."""

    start: int
    end: int
    words: str


class Reference(NamedTuple):
    """Page numbers named at one place; ``source`` follows where the answer says ``Page 3 of jane_eyre.txt``, else empty."""

    start: int
    end: int
    numbers: tuple[int, ...]
    source: str


_LONGEST = 4000
_CLOSING = {"“": "”", "„": "“”", "«": "»", "»": "«", "「": "」", "『": "』", '"': '"', "＂": "＂"}
_MARKS = re.compile('["“”„«»「」『』＂]')
# single marks enclose a quotation only when at least three words, or CJK text, stand between them
_SINGLE = re.compile(
    r"(?<!\w)(?:'(?=\S)(?P<straight>(?:[^'\n]|(?<=\w)'(?=\w)){2,600}?)(?<!\s)'(?!\w)"
    r"|‘(?=\S)(?P<curly>(?:[^‘’\n]|(?<=\w)’(?=\w)){2,600}?)(?<!\s)’(?!\w))"
)
_ENOUGH = re.compile(r"\S\s+\S+\s+\S|[\u3040-\u30ff\u3400-\u9fff]{2}")


def find_quotations(text: str) -> list[Quotation]:
    """The outermost quotations of a text, in order."""
    found: list[Quotation] = []
    at = 0
    for start, end in sorted(_pairs(text).items()):
        if start >= at and end - start < _LONGEST:
            found.append(Quotation(start, end + 1, text[start + 1 : end]))
            at = end + 1
    for match in _SINGLE.finditer(text):
        words = match["straight"] or match["curly"]
        if _ENOUGH.search(words) and not any(q.start < match.end() and match.start() < q.end for q in found):
            found.append(Quotation(match.start(), match.end(), words))
    return sorted(found)


def _pairs(text: str) -> dict[int, int]:
    """Where each opening mark that is closed stands, and where the mark that closes it."""
    marks = [(match.start(), match[0]) for match in _MARKS.finditer(text)]
    pairs: dict[int, int] = {}
    for opening, closing in _CLOSING.items():
        own = [(at, mark) for at, mark in marks if mark in closing or mark == opening]
        if opening in closing:  # nothing tells which one closes: do not look past the paragraph
            pairs |= {a: b for (a, _), (b, _) in pairwise(own) if "\n\n" not in text[a:b]}
            continue
        opened: list[int] = []
        for at, mark in own:
            if mark == opening:
                opened.append(at)
            elif opened:
                pairs[opened.pop()] = at
    return pairs


_DIGITS = r"\d{1,6}"
_SINGULAR = re.compile(
    r"(?<!\w)(?:page|pg\.?|p\.|p(?=\s)|(?<=[\[(（])p|seite|página|pagina|стр\.?|страниц[аеыу])[ \t\n]*(?:no\.?\s*)?"
    rf"({_DIGITS}(?:\s?[-–—]\s?{_DIGITS})?)(?!\w|\.\w|,\d)",
    re.I,
)
_PLURAL = re.compile(
    rf"(?<!\w)(?:pages|pgs\.?|pp\.?|seiten|páginas|pagine|страниц(?:ы|ах|ам)?)\s*"
    rf"({_DIGITS}(?:\s*(?:,\s*(?:and|or|&)?|and|or|&|to|und|et|y|e|и|[-–—])\s*{_DIGITS})*)(?!\w|\.\w|,\d)",
    re.I,
)
_HAN = "〇零一二两三四五六七八九"
_EAST = re.compile(
    rf"第\s*({_DIGITS}(?:\s*[-–—~～至到、，,和及]\s*第?\s*{_DIGITS})*|[{_HAN}十百]{{1,7}})\s*[页頁]|({_DIGITS})\s*(?:ページ|쪽|페이지)"
)
_RANGE = re.compile(rf"({_DIGITS})\s*(?:[-–—~～至到]|to)\s*第?\s*({_DIGITS})")
_SOURCE = re.compile(r" of ([^\s()\[\]]*[^\s()\[\].,;:!?])")


def find_references(text: str) -> list[Reference]:
    """The places where a text names pages, in order. Ranges of up to 50 pages are written out."""
    found: list[Reference] = []
    for pattern in (_PLURAL, _SINGULAR, _EAST):
        for match in pattern.finditer(text):
            if any(r.start < match.end() and match.start() < r.end for r in found):
                continue
            source = _SOURCE.match(text, match.end())
            found.append(Reference(match.start(), match.end(), _numbers(match[1] or match[2]), source[1] if source else ""))
    return sorted(found)


def _numbers(text: str) -> tuple[int, ...]:
    if not any(c.isdigit() and c not in _HAN for c in text):
        return (_han_number(text),)
    numbers: list[int] = []
    ranges = {m.start(): (int(m[1]), int(m[2])) for m in _RANGE.finditer(text)}
    for match in re.finditer(_DIGITS, text):
        if match.start() in ranges:
            low, high = ranges[match.start()]
            numbers.extend(range(low, high) if low < high <= low + 50 else (low,))  # the high end comes as a number of its own
        else:
            numbers.append(int(match[0]))
    return tuple(dict.fromkeys(numbers))


def _han_number(text: str) -> int:
    if not set(text) & set("十百"):
        return int("".join(str(_HAN_DIGITS[c]) for c in text))
    total = digit = 0
    for character in text:
        if character in "十百":
            total += (digit or 1) * (10 if character == "十" else 100)
            digit = 0
        else:
            digit = _HAN_DIGITS[character]
    return total + digit


_HAN_DIGITS = dict(zip(_HAN, (0, 0, 1, 2, 2, 3, 4, 5, 6, 7, 8, 9), strict=True))
