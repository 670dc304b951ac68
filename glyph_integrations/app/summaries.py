"""Summaries told part by part, each citation with the place it leads to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import nullcontext
from typing import Any

from ..index import PageIndex
from ..page import Page
from ..reading import PageModel
from ..reading.models.quoting_model import QuotingModel
from ..rendering import Renderer
from ..summarizing import STYLES, Summarizer, Summary
from .conversation import citation_values
from .form import FormError, string
from .session import Session
from .work import Event, Job

_CONCURRENCY = 4


def summarizer_of(values: Mapping[str, Any], model: PageModel, renderer: Renderer) -> Summarizer:
    """The summarizer that a person asked for. Models that only quote write nothing: with them sentences are chosen.

    Raises:
        FormError: an unknown style, or a question that is lacking.
    """
    style = string(values.get("style_of_summary", "brief"), "style", 20)
    question = string(values.get("question", ""), "question", 2000).strip()
    language = string(values.get("language", ""), "language", 40).strip()
    if style not in STYLES:
        raise FormError(f"style of the summary: choose one of {', '.join(STYLES)}")
    if style == "question" and not question:
        raise FormError("type the question that the summary is to answer")
    writer = None if isinstance(model, QuotingModel) else model
    return Summarizer(
        writer, style=style, question=question if style == "question" else None,
        language=language or None, concurrency=_CONCURRENCY, renderer=renderer,
    )  # fmt: skip


def summarize(
    job: Job,
    session: Session,
    summarizer: Summarizer,
    what: Iterable[Page] | PageIndex,
    model: PageModel,
    source: str | None = None,
) -> Iterator[Event]:
    """Finished parts as they come, then the summary. ``source`` is the one document of an index to summarize."""
    quoting = isinstance(model, QuotingModel)
    where = None if source is None else {"glyph_source": source}
    with job.heavy() if quoting else nullcontext():  # sentences are weighed here, a model works elsewhere
        last: Summary | None = None
        for done, part in enumerate(summarizer.stream(what, filter=where), 1):
            job.check()
            last = part
            yield {
                "kind": "part", "done": done, "level": part.level, "source": part.source,
                "pages": list(part.pages) if part.pages else None, "text": part.text,
            }  # fmt: skip
    if last is not None:
        session.keep(page for each in (last, *last.parts) for page in each.cited_pages)
        yield {"kind": "summary", "model": "the most central sentences" if quoting else model.name, **_values(last)}


def _values(summary: Summary) -> dict[str, Any]:
    return {
        "text": summary.text, "level": summary.level, "source": summary.source,
        "citations": [citation_values(citation) for citation in summary.citations],
        "faithfulness": round(summary.faithfulness, 4), "cited": round(summary.cited, 4),
        "unsupported": [unsupported._asdict() for unsupported in summary.unsupported],
        "failures": [str(failure) for failure in summary.failures],
        "usage": {**summary.usage._asdict(), "saved_tokens": summary.usage.saved_tokens},
        "parts": [_values(part) for part in summary.parts],
    }  # fmt: skip
