"""What became of the pages of a prompt: how each was sent, why, and what it all costs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

from ..page import Page
from .excerpts import Lines, lines_text
from .turns import PagePart, Part, TextPart

SentAs = Literal["image", "text", "left out"]


@dataclass(frozen=True)
class Placement:
    """What was decided for one page.

    Attributes:
        page: the page.
        sent_as: ``image``, ``text`` or ``left out``.
        tokens: what it costs in the prompt, its label included; 0 when left out.
        text_tokens: what its text (of ``lines``, where only these are sent) costs or would cost, its label included.
        image_tokens: what its image costs or would cost, its label included; None when the model has no vision profile.
        dpi: the resolution of the image; None when it is not an image.
        label: how the prompt names it: ``Page 57``, or ``Page 57 of jane_eyre.txt`` when several sources are in the prompt;
            ``Page 57, lines 12-30`` when only these are sent.
        reason: why, in a few words.
        lines: first and last line, from 1, when only a part of the page is sent; None: the whole page.
    """

    page: Page
    sent_as: SentAs
    tokens: int
    text_tokens: int
    image_tokens: int | None
    dpi: int | None
    label: str
    reason: str
    lines: Lines | None = None

    @property
    def text(self) -> str:
        """The page's text, or that of the lines that are sent."""
        return lines_text(self.page, self.lines) if self.lines else self.page.text

    @property
    def parts(self) -> tuple[Part, ...]:
        """Label and image, or labelled text, or nothing."""
        if self.sent_as == "image":
            return TextPart(self.label), PagePart(self.page, self.dpi, self.lines)
        return (TextPart(f"{self.label}\n{self.text}"),) if self.sent_as == "text" else ()

    def left_out(self, reason: str) -> Placement:
        """The same page, not sent."""
        return replace(self, sent_as="left out", tokens=0, dpi=None, reason=reason)

    def to_dict(self) -> dict[str, Any]:
        """Plain values without the page object."""
        return {
            "page": self.page.number, "source": self.page.source, "id": self.page.id, "sent_as": self.sent_as,
            "tokens": self.tokens, "text_tokens": self.text_tokens, "image_tokens": self.image_tokens, "dpi": self.dpi,
            "lines": list(self.lines) if self.lines else None, "reason": self.reason,
        }  # fmt: skip


@dataclass(frozen=True)
class ContextReport:
    """What became of every page of a prompt, and what it all costs, in tokens of the model.

    Attributes:
        placements: one per page, best first; a page that came twice has one placement.
        tokens: all tokens of the prompt: its parts and ``overhead_tokens``.
        sidecar_tokens: of these, the exact strings given as text before the images.
        budget: the limit that was kept; None: no limit.
        exact: whether text tokens were counted by a real tokenizer (False: estimated).
        overhead_tokens: of ``tokens``, what is no part: the chat template around turns, tool calls, descriptions of tools and
            of structured output. Always an estimate: templates differ.
    """

    placements: tuple[Placement, ...]
    tokens: int
    sidecar_tokens: int
    budget: int | None
    exact: bool
    overhead_tokens: int = 0

    @property
    def pages(self) -> tuple[Page, ...]:
        """The pages that were sent, as image or as text, whole or in part: what `verify_answer` is to be given."""
        return tuple(p.page for p in self.placements if p.sent_as != "left out")

    @property
    def images(self) -> tuple[Placement, ...]:
        """The pages sent as images."""
        return tuple(p for p in self.placements if p.sent_as == "image")

    @property
    def left_out(self) -> tuple[Placement, ...]:
        """The pages that were not sent."""
        return tuple(p for p in self.placements if p.sent_as == "left out")

    @property
    def image_tokens(self) -> int:
        """Tokens spent on pages as images, labels included."""
        return sum(p.tokens for p in self.images)

    @property
    def text_tokens_replaced(self) -> int:
        """Text tokens that these images stand for, labels included."""
        return sum(p.text_tokens for p in self.images)

    def to_dict(self) -> dict[str, Any]:
        """Plain values without page objects, for response metadata."""
        return {
            "tokens": self.tokens, "image_tokens": self.image_tokens, "text_tokens_replaced": self.text_tokens_replaced,
            "sidecar_tokens": self.sidecar_tokens, "overhead_tokens": self.overhead_tokens, "budget": self.budget,
            "exact": self.exact, "pages": [placement.to_dict() for placement in self.placements],
        }  # fmt: skip
