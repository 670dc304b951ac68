"""An answer's quotations and page references -> characters of the source, or a plain statement that they are not there."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from ..page import Box, Page
from .matching import find_near, find_words, misreads, plain_text, whole_words
from .placement import default_renderer
from .quotations import Quotation, Reference, find_quotations, find_references

if TYPE_CHECKING:
    from ..rendering import Renderer


@dataclass(frozen=True)
class Citation:
    """One quotation or page reference of an answer.

    Attributes:
        quote: the words between the quotation marks, as the answer has them; empty for a bare page reference.
        verified: the quoted words stand at ``start:end`` (ignoring white space, kinds of quotation marks and dashes,
            emphasis marks, and punctuation before the closing mark; a quotation with ``…`` needs its stretches in order).
        page: the page that holds them; for a bare reference, the page referred to; None when nothing resolved.
        line: line of the page (from 1) where the quotation begins; 0 when there is none.
        start, end: offsets into the text that was paginated (``page.start`` added); both -1 when nothing resolved. A quotation
            that runs on to the next page ends past ``page.end``.
        boxes: one rectangle per line on ``page``, in pixels at the page style's own dpi.
        repaired: the source's own words, when the quotation differs from them by what one misread makes (then ``verified`` is
            False); else None.
        claimed: the page number the answer gives for it; None when it gives none.
        note: why it is not verified, or that the page number is wrong; empty when all is well.
    """

    quote: str
    verified: bool
    page: Page | None = None
    line: int = 0
    start: int = -1
    end: int = -1
    boxes: tuple[Box, ...] = ()
    repaired: str | None = None
    claimed: int | None = None
    note: str = ""

    def __str__(self) -> str:
        """``57:12`` (page and line), ``57`` for a bare reference, or ``?``."""
        if self.page is None:
            return "?"
        return f"{self.page.number}:{self.line}" if self.line else str(self.page.number)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for response metadata: the fields above, with ``page`` as its number, ``source`` and ``page_id``."""
        page = self.page
        return {
            "quote": self.quote, "verified": self.verified, "page": page.number if page else None,
            "source": page.source if page else None, "page_id": page.id if page else None, "line": self.line,
            "start": self.start, "end": self.end, "boxes": [list(box) for box in self.boxes], "repaired": self.repaired,
            "claimed": self.claimed, "note": self.note,
        }  # fmt: skip

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], page: Page | None) -> Citation:
        """The inverse of `to_dict`; ``page`` is the one whose id is ``page_id``, if it is at hand."""
        return cls(
            quote=values["quote"], verified=values["verified"], page=page, line=values["line"], start=values["start"],
            end=values["end"], boxes=tuple(Box(*box) for box in values["boxes"]), repaired=values["repaired"],
            claimed=values["claimed"], note=values["note"],
        )  # fmt: skip


def verify_answer(text: str, pages: Iterable[Page], renderer: Renderer | None = None) -> list[Citation]:
    """Check every quotation and page reference of an answer against the pages it was made from. The answer is not altered.

    Found are stretches in “…”, "…", «…», „…“, 「…」, 『…』 and, with care for apostrophes, ‘…’ and '…'; and references such as
    ``Page 57``, ``[p. 12]``, ``pp. 3-5``, ``第57页``. A number that names none of the pages is reported, never looked up.
    A few milliseconds for a usual answer over 20 pages.

    Args:
        text: the answer.
        pages: the pages that were sent (`ContextReport.pages`).
        renderer: computes the boxes (default ``Renderer()``).

    Returns:
        Citations in the order of the answer; empty when it quotes and refers to nothing.
    """
    given = list({page.id: page for page in pages}.values())
    quotations = find_quotations(text)
    outside = [r for r in find_references(text) if not any(q.start < r.start and r.end < q.end for q in quotations)]
    claims = _attach(text, quotations, outside)
    found: list[tuple[int, Citation]] = []
    for i, quotation in enumerate(quotations):
        citation = _check(quotation.words, given, claims.get(i))
        if citation:
            found.append((quotation.start, citation))
    attached = {id(reference) for reference in claims.values()}
    for reference in outside:
        numbers = reference.numbers[1:] if id(reference) in attached else reference.numbers
        found.extend((reference.start, _bare(number, _named(given, number, reference.source))) for number in numbers)
    found.sort(key=lambda item: item[0])
    return [_with_boxes(citation, renderer) for _, citation in found]


def _attach(text: str, quotations: Sequence[Quotation], references: Sequence[Reference]) -> dict[int, Reference]:
    """Which reference belongs to which quotation (by its position in the list): the nearest, each used once."""
    pairs = []
    for reference in references:
        before = max((i for i, q in enumerate(quotations) if q.end <= reference.start), default=None)
        after = min((i for i, q in enumerate(quotations) if q.start >= reference.end), default=None)
        for i, between in (
            (before, text[quotations[before].end : reference.start] if before is not None else ""),
            (after, text[reference.end : quotations[after].start] if after is not None else ""),
        ):
            if i is None or "\n\n" in between:
                continue
            distance = len(between) + 5 * bool(re.search(r"[,;，；、]|\b(?:and|und|et|y)\b", between))
            distance += 20 * bool(re.search(r"[.!?。！？\n]", between))
            if distance <= 80:
                pairs.append((distance, i, reference))
    claims: dict[int, Reference] = {}
    used: set[int] = set()
    for _, i, reference in sorted(pairs, key=lambda pair: pair[:2]):
        if i not in claims and id(reference) not in used:
            claims[i] = reference
            used.add(id(reference))
    return claims


def _named(pages: Sequence[Page], number: int, source: str = "") -> list[Page]:
    same = [p for p in pages if p.number == number]
    return [p for p in same if source and p.source == source] or same


def _bare(number: int, named: Sequence[Page]) -> Citation:
    if not named:
        return Citation("", False, claimed=number, note=f"page {number} is not among the pages given")
    page = named[0]
    return Citation("", False, page, 0, page.start, page.end, claimed=number, note="a page reference without a quotation")


class _Place(NamedTuple):
    """Where words stand: characters of one page; ``end`` may lie on the next page."""

    page: Page
    start: int
    end: int


def _check(quote: str, pages: Sequence[Page], reference: Reference | None) -> Citation | None:
    """The citation of a quotation; None when there are no words in it."""
    needle = plain_text(quote).text
    if len(needle) < 2:
        return None
    claimed = reference.numbers[0] if reference else None
    named = [p for n in reference.numbers for p in _named(pages, n, reference.source)] if reference else []
    ordered = [*named, *pages]
    note = ""
    if claimed is not None and not named:
        note = f"page {claimed} is not among the pages given"
    place = _find(needle, ordered)
    repaired = None
    if place is None and (near := _find_near(needle.rstrip(_CLOSING_MARKS), ordered)):
        place = near
        repaired = " ".join(near.page.text[near.start : near.end].split())
    if place is None:
        return Citation(quote, False, claimed=claimed, note=note or "these words are on none of the pages given")
    page, start, end = place
    if named and page not in named:
        note = f"the words stand on page {page.number}, not {claimed}"
    if repaired:
        note = "; ".join(filter(None, ("the page differs by what one misread makes", note)))
    return Citation(
        quote, repaired is None, page, page.line_of(start), page.start + start, page.start + end,
        repaired=repaired, claimed=claimed, note=note,
    )  # fmt: skip


_CLOSING_MARKS = ",.;:!?。、"  # full-width marks are plain ones by now
_ELLIPSIS = re.compile(r"[\[(]?…[\])]?")


def _find(needle: str, pages: Sequence[Page]) -> _Place | None:
    for words in dict.fromkeys((needle, needle.rstrip(_CLOSING_MARKS))):
        if not words:
            continue
        for page in pages:
            if span := find_words(words, page.text, plain_text(page.text)):
                return _Place(page, *span)
        if place := _find_across(words, pages):
            return place
    stretches = [s for s in _ELLIPSIS.split(needle.rstrip(_CLOSING_MARKS)) if s]
    if stretches and stretches != [needle]:
        for page in pages:
            if span := _find_stretches(stretches, page.text):
                return _Place(page, *span)
    return None


def _find_stretches(stretches: Sequence[str], text: str) -> tuple[int, int] | None:
    first = at = -1
    for stretch in stretches:
        rest = text[max(at, 0) :]
        span = find_words(stretch, rest, plain_text(rest))
        if span is None:
            return None
        if first < 0:
            first = span[0]
        at = max(at, 0) + span[1]
    return first, at


def _find_across(words: str, pages: Sequence[Page]) -> _Place | None:
    """Words that begin on one page and end on a following one of the same source."""
    following = {(p.source, p.start): p for p in pages if p.text}
    for page in pages:
        head = plain_text(page.text)
        kept = head.text[-len(words) :]
        run: list[Page] = []  # the pages after it, as far as the words can reach
        reach = 0
        after = following.get((page.source, page.end))
        while after and reach < len(words):
            run.append(after)
            reach += len(plain_text(after.text).text)
            after = following.get((page.source, after.end))
        at = (kept + "".join(plain_text(p.text).text for p in run)).find(words)
        if not (run and kept and 0 <= at < len(kept) < at + len(words)):
            continue
        start, _ = head.span(len(head.text) - len(kept) + at, len(head.text))
        left = at + len(words) - len(kept)
        for last in run:
            tail = plain_text(last.text)
            if left <= len(tail.text):
                return _Place(page, start, last.start - page.start + tail.span(0, left)[1])
            left -= len(tail.text)
    return None


def _find_near(needle: str, pages: Sequence[Page]) -> _Place | None:
    best: tuple[int, _Place] | None = None
    for most in range(1, misreads(needle) + 1):
        for page in pages:
            plain = plain_text(page.text)
            near = find_near(needle, plain.text, most)
            if near and near.end > near.start and (best is None or near.edits < best[0]):
                best = near.edits, _Place(page, *whole_words(page.text, *plain.span(near.start, near.end)))
        if best:
            return best[1]
    return None


def _with_boxes(citation: Citation, renderer: Renderer | None) -> Citation:
    page = citation.page
    if page is None or not citation.quote or not (page.lines or page.picture):
        return citation
    start, end = citation.start - page.start, min(citation.end - page.start, len(page.text))
    boxes = (renderer or default_renderer()).boxes(page, start, end)
    return replace(citation, boxes=tuple(box for _, box in boxes))
