"""A second opinion: the same question put to a text model over the pages' text, and where the two answers differ."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ..embedding.lexical import lexical_features
from ..page import Page
from .context import ContextBuilder
from .exact_strings import find_exact
from .models import PageModel
from .quotations import find_references

_LEAST = 0.3  # of the shorter answer's words, those that the other must share


@dataclass(frozen=True)
class CrossCheck:
    """Two answers to one question, compared. A hint where to look, not a proof: both may be wrong, and the same thing can be
    said in two ways.

    Attributes:
        answer: the other model's answer.
        agrees: whether nothing speaks against their meaning the same: not each has a number, date or id that the other lacks,
            and they share at least 0.3 of the words (see ``overlap``).
        overlap: share of the words of the shorter answer, without those of the question, that the other has too, 0 to 1.
        only_here: numbers, dates, ids and the like that only the answer checked has; page numbers do not count.
        only_there: those that only the other has.
    """

    answer: str
    agrees: bool
    overlap: float
    only_here: tuple[str, ...]
    only_there: tuple[str, ...]


def cross_check(answer: str, question: str, pages: Iterable[Page], model: PageModel, budget: int | None = None) -> CrossCheck:
    """Put the question to a model over the text of the pages, and compare its answer.

    Args:
        answer: what a vision model answered from pictures of the pages.
        question: what was asked.
        pages: the pages that were sent (`ContextReport.pages`).
        model: what reads the text; it is sent no picture.
        budget: most tokens of that prompt. None: no limit.

    Raises:
        BudgetError: the question alone does not fit the budget.
        ModelError: the model or its server failed.
    """
    turns, _ = ContextBuilder(None, budget, sidecar=0).build(question, pages)
    other = model.read(turns).text
    here, there = _exact(answer, question), _exact(other, question)
    only_here = tuple(words for key, words in here.items() if key not in there)
    only_there = tuple(words for key, words in there.items() if key not in here)
    overlap = _overlap(answer, other, question)
    agrees = not (only_here and only_there) and overlap >= _LEAST
    return CrossCheck(other, agrees, overlap, only_here, only_there)


def _exact(text: str, question: str) -> dict[str, str]:
    """The exact strings of an answer, by a form in which ``1,204`` and ``1204`` are the same."""
    for reference in reversed(find_references(text)):
        text = text[: reference.start] + text[reference.end :]
    return {words.replace(",", "").casefold(): words for words in find_exact(text) if words not in question}


def _overlap(one: str, other: str, question: str) -> float:
    asked = set(lexical_features(question))
    first, second = set(lexical_features(one)) - asked, set(lexical_features(other)) - asked
    if not first or not second:
        return float(first == second)
    return len(first & second) / min(len(first), len(second))
