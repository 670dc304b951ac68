"""Which pages of an index answer a question."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import NamedTuple

from ..index import PageIndex
from ..page import Page
from ..reading.matching import find_words, plain_text
from .questions import LabelledQuestion

_REACH = 1000  # characters of an answer on either side of a page's end


class Gold(NamedTuple):
    """Ids of the pages that answer a question; when there are none, the ``reason``."""

    pages: frozenset[str]
    reason: str = ""


def find_gold(index: PageIndex, questions: Sequence[LabelledQuestion]) -> list[Gold]:
    """The gold pages of each question. Each document that is asked about is read once; where questions name none, all are."""
    sources = index.sources()
    only = next(iter(sources)) if len(sources) == 1 else ""
    gold: dict[int, Gold] = {}
    asked: dict[str, list[int]] = {}
    for number, question in enumerate(questions):
        source = question.source or only
        if source and source not in sources:
            near = get_close_matches(source, sources, 1)
            reason = f"the index holds no document {source!r}" + (f"; is it {near[0]!r}?" if near else "")
            gold[number] = Gold(frozenset(), reason)
        elif not source and (question.span or question.page is not None):
            reason = f"the index holds {len(sources):,} documents; 'source' must say which is meant"
            gold[number] = Gold(frozenset(), reason)
        else:
            asked.setdefault(source, []).append(number)
    for source, numbers in asked.items():
        found = _found(index.pages(source or None), [questions[number] for number in numbers])
        gold |= dict(zip(numbers, found, strict=True))
    return [gold[number] for number in range(len(questions))]


def _found(pages: Iterable[Page], questions: Sequence[LabelledQuestion]) -> list[Gold]:
    """The gold pages of questions that are about these pages."""
    ids: list[set[str]] = [set() for _ in questions]
    needles = [_needle(question) for question in questions]
    last: Page | None = None
    count = end = 0
    for page in pages:
        count, end = count + 1, max(end, page.end)
        for own, question in zip(ids, questions, strict=True):
            if question.page == page.number or _overlap(question.span, page):
                own.add(page.id)
        if any(needles):
            text = page.text.casefold()
            plain = plain_text(text)
            joined, cut = "", 0
            if last and last.source == page.source and last.end == page.start:
                before = last.text[-_REACH:].casefold()
                joined, cut = before + text[:_REACH], len(before)
            for own, needle in zip(ids, needles, strict=True):
                if needle and find_words(needle, text, plain):
                    own.add(page.id)
                elif needle and last and _runs_over(needle, joined, cut):
                    own |= {last.id, page.id}
        last = page
    for own, question in zip(ids, questions, strict=True):
        if question.span and question.span[1] > end:
            own.clear()  # the span is of another text
    return [
        Gold(frozenset(own), "" if own else _reason(question, count, end)) for own, question in zip(ids, questions, strict=True)
    ]


def _overlap(span: tuple[int, int] | None, page: Page) -> bool:
    return span is not None and span[0] < page.end and page.start < span[1]


def _needle(question: LabelledQuestion) -> str:
    """The plain form of an answer that is to be looked for; else empty."""
    if question.span or question.page is not None:
        return ""
    return plain_text(question.answer.casefold()).text.strip(".,;:!?")


def _runs_over(needle: str, joined: str, cut: int) -> bool:
    """Whether an answer stands across a page's end."""
    found = find_words(needle, joined, plain_text(joined)) if joined else None
    return found is not None and found[0] < cut < found[1]


def _reason(question: LabelledQuestion, pages: int, end: int) -> str:
    where = f"{question.source!r}" if question.source else "the index"
    if question.span:
        return f"span {list(question.span)} is outside {where}, whose pages end at {end:,}"
    if question.page is not None:
        return f"{where} has no page {question.page}; it holds {pages:,} pages of that document"
    return f"no page of {where} holds the answer {' '.join(question.answer.split())[:60]!r}"
