"""An answer's quotations and page references -> characters of the source, or a plain statement that they are not there."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from ..page import Box, Page
from .matching import PlainText, find_near, find_words, misreads, plain_text, whole_words
from .placement import default_renderer
from .quotations import Quotation, Reference, find_quotations, find_references

if TYPE_CHECKING:
    from PIL import Image

    from ..rendering import Renderer


class Continuation(NamedTuple):
    """A page that a quotation runs on to, and where it stands there: one rectangle per line, in pixels at the page style's own
    dpi."""

    page: Page
    boxes: tuple[Box, ...]


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
        continues: the pages after ``page`` that the quotation runs on to, in order; empty when it ends where it begins.
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
    continues: tuple[Continuation, ...] = ()

    @property
    def pages(self) -> tuple[Page, ...]:
        """All pages that the quotation stands on; empty when nothing resolved."""
        return () if self.page is None else (self.page, *(more.page for more in self.continues))

    def pictures(self, renderer: Renderer | None = None, dpi: int | None = None) -> list[Image.Image]:
        """Each of its pages, drawn with the cited characters marked; a reference to a whole page marks none.

        Args:
            renderer: draws (default ``Renderer()``).
            dpi: resolution; default the page style's own.

        Raises:
            DocumentError: the file of a page of a PDF or an image is not at hand.
        """
        from ..rendering import highlight

        renderer = renderer or default_renderer()
        drawn = []
        for page in self.pages:
            start, end = max(0, self.start - page.start), min(self.end, page.end) - page.start
            boxes = [box for _, box in renderer.boxes(page, start, end, dpi)] if self.quote or self.line else []
            drawn.append(highlight(renderer.draw(page, dpi), boxes))
        return drawn

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
            "continues": [
                {"page": m.page.number, "page_id": m.page.id, "boxes": [list(box) for box in m.boxes]} for m in self.continues
            ],
        }  # fmt: skip

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], find: Callable[[str], Page | None]) -> Citation:
        """The inverse of `to_dict`; ``find`` gives the page with an id, if it is at hand. A page that is not is None, and left
        out of ``continues``."""
        page = find(values["page_id"]) if values["page_id"] else None
        following = [(find(more["page_id"]), more["boxes"]) for more in values.get("continues", ())]
        return cls(
            quote=values["quote"], verified=values["verified"], page=page, line=values["line"], start=values["start"],
            end=values["end"], boxes=tuple(Box(*box) for box in values["boxes"]), repaired=values["repaired"],
            claimed=values["claimed"], note=values["note"],
            continues=tuple(Continuation(more, tuple(Box(*box) for box in boxes)) for more, boxes in following if more),
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
    return [_with_boxes(citation, given, renderer) for _, citation in found]


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
        repaired = " ".join(_text_at(near, pages).split())
    if place is None:
        return Citation(quote, False, claimed=claimed, note=note or "these words are on none of the pages given")
    page, start, end = place
    if named and not any(p.source == page.source and p.start < page.start + end and page.start + start < p.end for p in named):
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


class _Seam(NamedTuple):
    """The end of a page and as much after it as words can reach, as one plain text of which the first ``kept``
    characters are on the page."""

    plain: str
    kept: int
    head: PlainText
    page: Page
    following: list[Page]

    def place(self, start: int, end: int) -> _Place | None:
        """Where characters of the plain text stand; None unless they begin on the first page and end on a later one."""
        if not 0 <= start < self.kept < end:
            return None
        first, _ = self.head.span(len(self.head.text) - self.kept + start, len(self.head.text))
        left = end - self.kept
        for page in self.following:
            tail = plain_text(page.text)
            if left <= len(tail.text):
                return _Place(self.page, first, page.start - self.page.start + tail.span(0, left)[1])
            left -= len(tail.text)
        return None


def _seams(length: int, pages: Sequence[Page]) -> Iterator[_Seam]:
    """Where pages of one source follow each other, with as much on both sides as words of a length can reach."""
    following = {(p.source, p.start): p for p in pages if p.text}
    for page in dict.fromkeys(pages):
        head = plain_text(page.text)
        kept = head.text[-length:]
        run: list[Page] = []
        reach = 0
        after = following.get((page.source, page.end))
        while after and reach < length:
            run.append(after)
            reach += len(plain_text(after.text).text)
            after = following.get((page.source, after.end))
        if run and kept:
            yield _Seam(kept + "".join(plain_text(p.text).text for p in run), len(kept), head, page, run)


def _find_across(words: str, pages: Sequence[Page]) -> _Place | None:
    """Words that begin on one page and end on a following one of the same source."""
    for seam in _seams(len(words), pages):
        at = seam.plain.find(words)
        if place := seam.place(at, at + len(words)):
            return place
    return None


def _find_near(needle: str, pages: Sequence[Page]) -> _Place | None:
    best: tuple[int, _Place] | None = None
    for most in range(1, misreads(needle) + 1):
        for page in pages:
            plain = plain_text(page.text)
            near = find_near(needle, plain.text, most)
            if near and near.end > near.start and (best is None or near.edits < best[0]):
                best = near.edits, _Place(page, *whole_words(page.text, *plain.span(near.start, near.end)))
        for seam in _seams(len(needle) + most, pages) if best is None else ():
            near = find_near(needle, seam.plain, most)
            if near and (place := seam.place(near.start, near.end)):
                best = near.edits, place
        if best:
            return best[1]
    return None


def _text_at(place: _Place, pages: Sequence[Page]) -> str:
    """The characters of a place, those on following pages included."""
    text, at = place.page.text[place.start : place.end], place.page.end
    following = {(p.source, p.start): p for p in pages if p.text}
    while at < place.page.start + place.end:
        after = following[place.page.source, at]
        text += after.text[: place.page.start + place.end - at]
        at = after.end
    return text


def _with_boxes(citation: Citation, pages: Sequence[Page], renderer: Renderer | None) -> Citation:
    page = citation.page
    if page is None or not citation.quote:
        return citation
    renderer = renderer or default_renderer()
    stands = [page, *(p for p in sorted(pages, key=lambda p: p.start) if p.source == page.source and p.start >= page.end)]
    boxes = [
        Continuation(p, tuple(box for _, box in renderer.boxes(p, max(0, citation.start - p.start), citation.end - p.start)))
        if p.lines or p.picture else Continuation(p, ())
        for p in stands if p.text and p.start < citation.end
    ]  # fmt: skip
    return replace(citation, boxes=boxes[0].boxes, continues=tuple(boxes[1:]))
