"""A question and retrieved pages -> one prompt within a token budget, its tokens spent where the answer is likely to be."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal

from ..errors import BudgetError
from ..page import Page, PageHit
from ..vision import VisionProfile
from .exact_strings import exact_strings
from .placement import Candidate, Gate, Limits, labels_of, unique
from .report import ContextReport
from .tiers import place_by_rank, sharpen
from .turns import Part, TextPart, Turn
from .watcher import PageWatcher

if TYPE_CHECKING:
    from ..rendering import Renderer
    from ..vision.text_tokens import Tokenizer


class ContextBuilder:
    """Chooses, orders and labels pages for a question, and decides how much of the budget each deserves.

    Pages are taken best first, and each is sent whole, as an image where that costs less than its text:

    1. at the base resolution: the page style's own or, if that is higher, the one recommended for the model (72 dpi for
       Glyph, which was trained on such pages; 96 for every other family);
    2. pages that do not fit whole are cut to the lines around what matches the question, as an image or as text;
    3. the best pages are raised with what is left: one step, to 96 dpi (Glyph) or 120 (others), or to their text where that
       costs less than the sharper image. A model that would shrink the sharper image again gets no such image.

    Args:
        vision: the model's `VisionProfile` or name; None: the model reads text only.
        budget: most tokens the prompt may cost. None: three quarters of the model's context window where it is known
            (the rest is for the answer), else no limit.
        renderer: measures the images (default ``Renderer()``).
        order: ``document`` (by source and page number) or ``rank`` (best first).
        dpi: one resolution for all images. None: as described above.
        sharp: how many of the best pages may be raised; 0: none.
        crop: whether pages that do not fit whole may be cut; if not, they are left out.
        sidecar: most tokens of exact strings (ids, hashes, numbers, dates, paths, e-mails that bear on the question) sent as
            text before the images; 0: none. None: 96, or 0 where a calibration found that the model reads them right.
        tokenizer: passed to `count_text_tokens`.
        limits: of the server: images per request, bytes, pixels. A page whose image would break one goes as text.
        monitor: told of every prompt that is built, such as a `QualityMonitor`; default none.

    Raises:
        UnknownModelError: no profile is known under the name ``vision``.
        ValueError: a budget below 1, a negative ``sharp`` or an unknown order.
    """

    def __init__(
        self,
        vision: VisionProfile | str | None,
        budget: int | None = None,
        renderer: Renderer | None = None,
        *,
        order: Literal["document", "rank"] = "document",
        dpi: int | None = None,
        sharp: int = 1,
        crop: bool = True,
        sidecar: int | None = None,
        tokenizer: Tokenizer | str | None = None,
        limits: Limits | None = None,
        monitor: PageWatcher | None = None,
    ) -> None:
        if budget is not None and budget < 1:
            raise ValueError(f"budget={budget}: must be at least 1 token, or None")
        if order not in ("document", "rank"):
            raise ValueError(f"order={order!r}: choose document or rank")
        if sharp < 0:
            raise ValueError(f"sharp={sharp}: must be 0 or more pages")
        self.gate = Gate(vision, renderer, dpi, tokenizer, limits)
        window = self.gate.profile.context_window if self.gate.profile else None
        self.budget = budget if budget is not None or window is None else window * 3 // 4
        self.order = order
        self.sharp = sharp if dpi is None else 0
        self.crop = crop
        self.monitor = monitor
        self.sidecar = self.gate.sidecar(sidecar)

    def build(
        self,
        question: str,
        hits: Iterable[PageHit | Page],
        *,
        before: Sequence[Turn] = (),
        described: Iterable[Any] = (),
    ) -> tuple[list[Turn], ContextReport]:
        """One user turn: exact strings, labelled pages, then the question; and what became of every page.

        Args:
            question: what is asked.
            hits: pages, best first.
            before: turns of text that go before, such as instructions. They are counted, and returned before the user turn.
            described: what else the request describes to the model (tools, a schema for its answer), to be counted.

        Raises:
            BudgetError: the question, with the turns before it, does not fit the budget by itself.
        """
        gate = self.gate
        overhead = gate.overhead([*before, Turn("user", question)], described)
        asked = gate.count_text(question) + sum(gate.count(turn.parts) for turn in before) + overhead
        if self.budget is not None and asked > self.budget:
            others = " and the instructions" if before else ""
            raise BudgetError(
                f"the question{others} alone takes {asked} tokens (some {overhead} of them for the chat template) of a budget "
                f"of {self.budget}; shorten it or raise the budget"
            )
        candidates = unique(Candidate(hit.page if isinstance(hit, PageHit) else hit) for hit in hits)
        labels, room = labels_of(candidates), gate.room(None if self.budget is None else self.budget - asked)
        placements, room = place_by_rank(gate, question, candidates, labels, room, crop=self.crop)
        room = sharpen(gate, self.sharp, placements, labels, room)
        shown = [p for p in placements if p.sent_as != "left out"]
        if self.order == "document":
            shown.sort(key=lambda p: (p.page.source, p.page.number))
        parts: list[Part] = [part for placement in shown for part in placement.parts]
        limit = self.sidecar if room.tokens is None else min(self.sidecar, room.tokens)
        sidecar = exact_strings(question, [(p.label, p.text) for p in shown if p.sent_as == "image"], limit, gate.count_text)
        if sidecar:
            parts.insert(0, TextPart(sidecar))
        if question:
            parts.append(TextPart(question))
        turns = [*before, Turn("user", parts)]
        tokens = overhead + sum(gate.count(turn.parts) for turn in turns)
        report = ContextReport(tuple(placements), tokens, gate.count_text(sidecar), self.budget, gate.exact, overhead)
        if self.monitor is not None:
            self.monitor.watch(report, gate)
        return turns, report
