"""A page model without weights: it answers by quoting the pages it is given."""

from __future__ import annotations

from collections.abc import Sequence

from ...vision import VisionProfile
from ..placement import Gate
from ..turns import PagePart, Turn
from .quoting import quotable_texts, quote, short_question
from .quoting_model import QuotingModel


class ExtractiveModel(QuotingModel):
    """Answers by quoting the sentences that share most with the question, with their page: ``“...” (Page 57)``. A short
    sentence is quoted together with the next of its paragraph.

    It works on the pages' text, not on their pixels, and needs no weights: for trying pipelines offline, for tests, and as
    an honest fallback. It does not reason, calls no tools and has no options. It says "No answer found in the pages given."
    when nothing matches. White space in a quotation is collapsed, and quotation marks inside it become single ones.

    Args:
        vision: a `VisionProfile` or model name to stand in for, so that budgets and costs are those of a real model;
            None: pages are sent to it as text.
        quotes: most sentences quoted.

    Raises:
        UnknownModelError: no profile is known under the name ``vision``.
    """

    name = "extractive"

    def __init__(self, vision: VisionProfile | str | None = None, *, quotes: int = 2) -> None:
        super().__init__(Gate(vision), quotes)

    def _answer(self, turns: Sequence[Turn]) -> str:
        question = short_question(turns)
        texts = quotable_texts(turns, question, lambda part: part.text if isinstance(part, PagePart) else None)
        return quote(question, texts, self.quotes)
