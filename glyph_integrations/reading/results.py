"""What an adapter keeps beside an answer: the report on its context and the checked citations, as plain values and back."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from ..page import Page
from ..rendering import Renderer
from .citations import Citation, verify_answer
from .registry import REGISTRY, PageSource
from .report import ContextReport
from .turns import TextPart, Turn

_CITE = "Quote the words you rely on, in quotation marks, each with its page, as in “…” (Page 7)."


def with_cite(turns: Sequence[Turn]) -> list[Turn]:
    """The turns with a line that asks for quotations, in the system turn, so that it is no part of the question."""
    if turns and turns[0].role == "system":
        return [turns[0].with_parts((*turns[0].parts, TextPart(_CITE))), *turns[1:]]
    return [Turn("system", _CITE), *turns]


def answer_results(text: str, report: ContextReport, renderer: Renderer | None = None) -> dict[str, Any]:
    """The plain values that answers carry under ``glyph``: ``report`` and ``citations``. An answer in JSON has no citations:
    its strings are no quotations."""
    pages = () if _is_json(text) else report.pages
    citations = verify_answer(text, pages, renderer) if pages else []
    return {"report": report.to_dict(), "citations": [citation.to_dict() for citation in citations]}


def read_citations(values: Mapping[str, Any], pages: PageSource | None = None, known: Sequence[Page] = ()) -> list[Citation]:
    """The citations in `answer_results`, with their pages.

    Args:
        pages: where to look up pages that this process has not handed out.
        known: pages at hand, asked first. The page of a citation that is found nowhere is None.
    """
    here = {page.id: page for page in known}
    entries = values.get("citations", ())
    return [Citation.from_dict(entry, lambda page_id: here.get(page_id) or REGISTRY.find(page_id, pages)) for entry in entries]


def _is_json(text: str) -> bool:
    if not text.lstrip().startswith(("{", "[")):
        return False
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True
