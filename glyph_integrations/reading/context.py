"""A question and retrieved pages -> one prompt within a token budget."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal

from ..errors import BudgetError
from ..page import Page, PageHit
from ..vision import VisionProfile
from .exact_strings import exact_strings
from .placement import Candidate, ContextReport, Gate
from .turns import Part, TextPart, Turn

if TYPE_CHECKING:
    from ..rendering import Renderer
    from ..vision.text_tokens import Tokenizer


class ContextBuilder:
    """Chooses, orders and labels pages for a question.

    Args:
        vision: the model's `VisionProfile` or name; None: the model reads text only.
        budget: most tokens all parts may cost. None: three quarters of the model's context window where it is known
            (the rest is for the answer), else no limit.
        renderer: measures the images (default ``Renderer()``).
        order: ``document`` (by source and page number) or ``rank`` (best first).
        dpi: resolution of the images. None: the page style's own, or the one recommended for the model if that is higher.
        sidecar: most tokens of exact strings (ids, hashes, numbers, dates, paths, e-mails that bear on the question) sent as
            text before the images; 0: none.
        tokenizer: passed to `count_text_tokens`.

    Raises:
        UnknownModelError: no profile is known under the name ``vision``.
        ValueError: a budget below 1 or an unknown order.
    """

    def __init__(
        self,
        vision: VisionProfile | str | None,
        budget: int | None = None,
        renderer: Renderer | None = None,
        *,
        order: Literal["document", "rank"] = "document",
        dpi: int | None = None,
        sidecar: int = 96,
        tokenizer: Tokenizer | str | None = None,
    ) -> None:
        if budget is not None and budget < 1:
            raise ValueError(f"budget={budget}: must be at least 1 token, or None")
        if order not in ("document", "rank"):
            raise ValueError(f"order={order!r}: choose document or rank")
        self.gate = Gate(vision, renderer, dpi, tokenizer)
        window = self.gate.vision.context_window if self.gate.vision else None
        self.budget = budget if budget is not None or window is None else window * 3 // 4
        self.order = order
        self.sidecar = sidecar

    def build(self, question: str, hits: Iterable[PageHit | Page]) -> tuple[list[Turn], ContextReport]:
        """One user turn: exact strings, labelled pages, then the question; and what became of every page.

        Hits are taken best first, as long as they fit. A page goes as an image only when that costs less than its text.

        Raises:
            BudgetError: the question alone does not fit the budget.
        """
        gate = self.gate
        asked = gate.count_text(question)
        if self.budget is not None and asked > self.budget:
            raise BudgetError(
                f"the question alone takes {asked} tokens of a budget of {self.budget}; shorten it or raise the budget"
            )
        candidates = [Candidate(hit.page if isinstance(hit, PageHit) else hit) for hit in hits]
        placements = gate.place(candidates, None if self.budget is None else self.budget - asked)
        shown = [p for p in placements if p.sent_as != "left out"]
        if self.order == "document":
            shown.sort(key=lambda p: (p.page.source, p.page.number))
        parts: list[Part] = [part for placement in shown for part in placement.parts]
        spent = asked + sum(p.tokens for p in shown)
        room = self.sidecar if self.budget is None else min(self.sidecar, self.budget - spent)
        sidecar = exact_strings(question, [(p.label, p.page) for p in shown if p.sent_as == "image"], room, gate.count_text)
        if sidecar:
            parts.insert(0, TextPart(sidecar))
        if question:
            parts.append(TextPart(question))
        turn = Turn("user", parts)
        report = ContextReport(tuple(placements), gate.count(parts), gate.count_text(sidecar), self.budget, gate.exact)
        return [turn], report
