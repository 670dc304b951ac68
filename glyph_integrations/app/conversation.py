"""Questions asked in turn of documents or of the knowledge base, each answer streamed and its citations checked."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from ..errors import BudgetError
from ..index import PageIndex
from ..index.recorded import Absent
from ..page import Page, PageHit
from ..reading import Citation, ContextBuilder, ContextReport, OcrModel, PageModel, PagePart, Turn, verify_answer
from ..reading.models.quoting_model import QuotingModel
from ..reading.passages import best_passages
from ..reading.results import with_cite
from ..rendering import Renderer
from .session import Exchange, Session
from .work import Event, Job


class Question(NamedTuple):
    """What is asked, of what, and how. ``mode`` is how pages are found, ``k`` how many, ``source`` one document's name."""

    text: str
    scope: str
    k: int = 5
    mode: str = "hybrid"
    source: str | None = None


class Shelf(NamedTuple):
    """The pages that are asked: ``find`` goes from a question to the best of them, and how many there are in all; ``page`` from
    an id to one of them, or None."""

    find: Callable[[Question], tuple[list[PageHit], int]]
    page: Callable[[str], Page | None]


def ask(job: Job, session: Session, question: Question, shelf: Shelf, model: PageModel, renderer: Renderer) -> Iterator[Event]:
    """Find pages, send them, stream the answer, check it. The exchange joins the conversation when it is whole."""
    talk = session.talk(question.scope)
    hits, among = shelf.find(question)
    before = [page for page in (talk[-1].pages if talk else ()) if question.source in (None, page.source)]
    cited = [page for page in before if shelf.page(page.id)]  # its document may have been removed, or drawn otherwise
    yield {"kind": "found", "hits": [hit_values(hit, question.text) for hit in hits], "of": among}
    pages: list[PageHit | Page] = [*hits, *cited]  # a question that follows up may share no word with what it is about
    if not hits and not cited:
        shown = {"text": "No page matches the question.", "citations": [], "found": 0, "report": None, "model": model.name}
        session.said(question.scope, Exchange(question.text, "", shown, ()))
        yield {"kind": "answer", **shown}
        return
    with job.heavy():
        turns, report = _prompt(model, renderer, question.text, pages, talk)
    yield {"kind": "sent", "report": report_values(report)}
    if isinstance(model, OcrModel):
        yield from _read_pixels(job, model, turns)
    text = ""
    for chunk in model.stream(turns if isinstance(model, QuotingModel) else with_cite(turns)):
        if chunk.reasoning:
            yield {"kind": "reasoning", "text": chunk.reasoning}
        if chunk.text:
            text += chunk.text
            yield {"kind": "text", "text": chunk.text}
    citations = verify_answer(text, report.pages, renderer)
    shown = {
        "text": text or "(the model answered nothing)", "citations": [citation_values(c) for c in citations],
        "found": len(hits), "report": report_values(report), "model": model.name,
    }  # fmt: skip
    kept = [page for citation in citations for page in citation.pages]
    session.keep(report.pages)
    session.said(question.scope, Exchange(question.text, text, shown, tuple(dict.fromkeys(kept))))
    yield {"kind": "answer", **shown}


def search(index: PageIndex, question: Question) -> list[PageHit]:
    """The best pages; by words alone where the model that made the vectors is not at hand."""
    lexical = isinstance(index.embedder, Absent)
    where = None if question.source is None else {"glyph_source": question.source}
    return index.search(question.text, question.k, where, "lexical" if lexical else question.mode)  # type: ignore[arg-type]


def _prompt(
    model: PageModel, renderer: Renderer, question: str, pages: Sequence[PageHit | Page], talk: Sequence[Exchange]
) -> tuple[list[Turn], ContextReport]:
    """The turns to send, with as much of the conversation, from its end, as leaves most of the budget to pages."""
    builder = ContextBuilder(model.vision, renderer=renderer)
    if isinstance(model, QuotingModel):  # it quotes pages, and remembers nothing
        return builder.build(question, pages)
    before: list[Turn] = []
    for exchange in reversed(talk):
        turns = [Turn("user", exchange.question), Turn("assistant", exchange.answer or "(no answer)"), *before]
        if builder.budget is not None and sum(builder.gate.count(turn.parts) for turn in turns) > builder.budget // 4:
            break
        before = turns
    try:
        return builder.build(question, pages, before=before)
    except BudgetError:
        return builder.build(question, pages)


def _read_pixels(job: Job, model: OcrModel, turns: Sequence[Turn]) -> Iterator[Event]:
    """Read the pages one by one, so that there is progress to tell; the model finds the readings again."""
    parts = [part for turn in turns for part in turn.parts if isinstance(part, PagePart)]
    with job.heavy():
        for number, part in enumerate(parts):
            what = f"Reading the pixels of page {part.page.number}"
            yield {"kind": "progress", "what": what, "done": number, "share": round(number / len(parts), 3)}
            model.transcribe(part)
            job.check()


def hit_values(hit: PageHit, question: str) -> Event:
    """What is shown of a page that was found, with the stretch of it that shares most with the question."""
    page = hit.page
    best = next(iter(best_passages(question, [page.text])), None)
    start, end = (best.start, best.end) if best else (0, 0)
    words = shorten(visible(page, start, max(end, start + 400)))
    return {
        "id": page.id, "number": page.number, "source": page.source, "score": round(hit.score, 4),
        "relevance": round(hit.relevance, 4), "excerpt": words,
        "marks": [[start, min(end, len(page.text))]] if best else [],
    }  # fmt: skip


def visible(page: Page, start: int, end: int) -> str:
    """Characters of a page without the marks that are not drawn, and without the lines of tables, on one line."""
    pieces, at = [], start
    for run in sorted(run for run in page.runs if run.role == "syntax" and run.start < end and start < run.end):
        pieces.append(page.text[at : max(at, run.start)])
        at = max(at, run.end)
    text = "".join([*pieces, page.text[at : max(at, end)]])
    return " ".join(_TABLE_LINES.sub(" · ", text).split()).strip("· ")


_TABLE_LINES = re.compile(r"(?:\s*\|[\s|:+=-]*)+")


def shorten(text: str, most: int = 240) -> str:
    """The text, cut after a word where it has spaces."""
    if len(text) <= most:
        return text
    return (text[: most + 1].rpartition(" ")[0] or text[:most]) + "…"


def report_values(report: ContextReport) -> dict[str, Any]:
    """What became of the pages, and what it all costs."""
    return {**report.to_dict(), "left_out": len(report.left_out), "images": len(report.images)}


def citation_values(citation: Citation) -> dict[str, Any]:
    """What is shown of a citation: its words, whether they were found, and on each of its pages which characters."""
    return {
        "quote": citation.quote, "verified": citation.verified, "label": str(citation), "note": citation.note,
        "repaired": citation.repaired, "places": list(_places(citation)),
    }  # fmt: skip


def _places(citation: Citation) -> Iterable[Event]:
    for page in citation.pages:
        start, end = max(0, citation.start - page.start), min(citation.end, page.end) - page.start
        marks = [[start, end]] if citation.quote and end > start else []
        yield {"id": page.id, "number": page.number, "source": page.source, "marks": marks}
