"""Turns whose text holds page tags -> turns with page parts. The one place where pages meet messages, for both frameworks."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

from ..errors import BudgetError
from ..vision import VisionProfile
from .delivery import Content, Mention, Sidecar, Text, deliver, mentions_in
from .exact_strings import exact_strings
from .history import Stretch, old_stretches
from .placement import Candidate, Gate, Limits, labels_of, unique
from .registry import REGISTRY, PageSource
from .report import ContextReport, Placement
from .tags import remnants, split_tags
from .tiers import place_by_rank
from .turns import PagePart, Part, PicturePart, TextPart, Turn, question_of
from .watcher import PageWatcher

if TYPE_CHECKING:
    from ..rendering import Renderer
    from ..vision.text_tokens import Tokenizer

_log = logging.getLogger("glyph_integrations")


class Prompt:
    """Turns pages in messages into parts a model can take.

    Args:
        vision: the model's `VisionProfile` or name; None: the model reads text only, and pages go as labelled text.
        renderer: measures and draws (default ``Renderer()``).
        pages: where tags may be looked up besides the registry of this process (a `PageIndex` or a function from id to page).
        draw_text: ``tagged`` (only tagged pages become images) or ``long`` (user text over ``min_tokens`` too, but never its
            question, and old exchanges of the conversation; never system text).
        min_tokens: see ``draw_text``; old exchanges are drawn whenever so many tokens of them have gathered.
        budget: most tokens the prompt may cost; pages of the latest turns are kept first, and of one that does not fit whole
            the lines that match the question. None: no limit.
        dpi: resolution of the images. None: the page style's own, or the one recommended for the model if that is higher.
            All pages are drawn alike, so that what was sent once stays the same as the conversation goes on.
        sidecar, tokenizer, limits: as for `ContextBuilder`; the sidecar's limit holds for each turn with images.
        monitor: told of every prompt that is built to be sent, such as a `QualityMonitor`; default none.

    Raises:
        UnknownModelError: no profile is known under the name ``vision``.
        ValueError: a budget below 1 or an unknown ``draw_text``.
    """

    def __init__(
        self,
        vision: VisionProfile | str | None,
        renderer: Renderer | None = None,
        *,
        pages: PageSource | None = None,
        draw_text: Literal["tagged", "long"] = "tagged",
        min_tokens: int = 2000,
        budget: int | None = None,
        dpi: int | None = None,
        sidecar: int | None = None,
        tokenizer: Tokenizer | str | None = None,
        limits: Limits | None = None,
        monitor: PageWatcher | None = None,
    ) -> None:
        if budget is not None and budget < 1:
            raise ValueError(f"budget={budget}: must be at least 1 token, or None")
        if draw_text not in ("tagged", "long"):
            raise ValueError(f"draw_text={draw_text!r}: choose tagged or long")
        self.gate = Gate(vision, renderer, dpi, tokenizer, limits)
        self.pages = pages
        self.draw_text = draw_text
        self.min_tokens = min_tokens
        self.budget = budget
        self.monitor = monitor
        self.sidecar = self.gate.sidecar(sidecar)

    def build(
        self, turns: Sequence[Turn], question: str | None = None, described: Iterable[Any] = (), *, sent: bool = True
    ) -> tuple[list[Turn], ContextReport]:
        """The turns to send, and what became of every page.

        - Page tags that resolve, pictures that this process drew, and `PagePart` become pages; all else stays as it is.
        - A page image stands only in user turns, before that turn's text, with its label; where a tag was, ``[page 57: see
          image]`` is left. From a system turn it opens the next user turn; from tool results, the user turn after the last of
          them, which is added (``origin=None``) when there is none. Other pictures in system and tool turns move with it.
        - A user turn whose pages already follow their labels, as `ContextBuilder` makes it, keeps its order.
        - A page sent as text stands, labelled, where its tag was.
        - With ``draw_text="long"``, old exchanges (a user's turn and all up to the next) become pages that open the user turn
          after them; the last exchange and the question never do. They are cut at fixed places: what was drawn once is drawn
          the same as the conversation goes on.
        - Assistant turns and opaque parts pass through; a turn without pages is returned as the same object.

        Args:
            turns: the conversation.
            question: what is asked, if the last user turn's text outside tags is not it.
            described: what else the request describes to the model (tools, a schema for its answer), to be counted.
            sent: whether the prompt will be sent, and not only counted.

        Raises:
            BudgetError: the text alone does not fit the budget.
        """
        described = tuple(described)
        contents = [self._content(turn, number, question) for number, turn in enumerate(turns, 1)]
        turns, contents = self._with_history(turns, contents)
        candidates = self._candidates(contents)
        labels = labels_of(candidates)
        pictures = [item for content in contents for item in content if isinstance(item, PicturePart)]
        placements = self.gate.place(candidates, pictures=pictures)

        def send(sidecar: Sidecar = lambda *_: "") -> tuple[list[Turn], int]:
            out = _joined(deliver(turns, contents, {p.page.id: p for p in placements}, sidecar, question))
            return out, sum(self.gate.count(turn.parts) for turn in out) + self.gate.overhead(out, described)

        delivered, tokens = send()
        if self.budget is not None and tokens > self.budget:
            placements = [p.left_out("") for p in placements]
            _, bare = send()
            if bare > self.budget:
                raise BudgetError(
                    f"the text alone takes {bare} tokens of a budget of {self.budget} (the chat template and descriptions of "
                    "tools included, estimated); shorten it or raise the budget"
                )
            room = self.gate.room(self.budget - bare, pictures)
            placements, _ = place_by_rank(self.gate, question or question_of(turns), candidates, labels, room)
            delivered, tokens = send()
            while tokens > self.budget:  # a page that joins a text may cost a token more than it does alone
                last = max(i for i, p in enumerate(placements) if p.sent_as != "left out")
                placements[last] = placements[last].left_out(
                    f"{placements[last].tokens} tokens, and less of the budget was left"
                )
                delivered, tokens = send()
        plain = tokens
        if self.sidecar > 0 and placements:
            delivered, tokens = send(self._sidecar(None if self.budget is None else self.budget - plain))
        overhead = self.gate.overhead(delivered, described)
        report = ContextReport(tuple(placements), tokens, tokens - plain, self.budget, self.gate.exact, overhead)
        if sent and self.monitor is not None:
            self.monitor.watch(report, self.gate)
        return delivered, report

    def png(self, part: PagePart) -> bytes:
        """The PNG to send for a page part. It is registered, so that a model adapter of this process that is handed these
        bytes finds the page (and its text) again."""
        png = self.gate.png(part)
        REGISTRY.register_png(png, part.page)
        return png

    def _content(self, turn: Turn, number: int, question: str | None) -> Content:
        if turn.role == "assistant":
            return list(turn.parts)
        content: Content = []
        last_text = max((i for i, part in enumerate(turn.parts) if isinstance(part, TextPart)), default=-1)
        for i, part in enumerate(turn.parts):
            if isinstance(part, PagePart):
                content.append(Mention(*part))
            elif isinstance(part, PicturePart):
                page = REGISTRY.page_of_png(part.data)
                content.append(Mention(page) if page else part)
            elif isinstance(part, TextPart):
                text = self._tagged(part.text)
                if text is None and turn.role == "user" and self.draw_text == "long":
                    text = self._long(part.text, number, question, holds_question=i == last_text)
                content.append(part if text is None else text)
            else:
                content.append(part)
        return content

    def _tagged(self, text: str) -> Text | None:
        """The text with its tags resolved; None when there are none."""
        pieces: Text = []
        for piece in split_tags(text):
            page = None if isinstance(piece, str) else REGISTRY.resolve(piece, self.pages)
            pieces.append(Mention(page) if page else piece if isinstance(piece, str) else piece.raw)
        if any(REGISTRY.page(page_id) for piece in pieces if isinstance(piece, str) for page_id in remnants(piece)):
            _say_spoilt()
        return pieces if any(isinstance(piece, Mention) for piece in pieces) else None

    def _long(self, text: str, number: int, question: str | None, *, holds_question: bool) -> Text | None:
        """The text with its long middle as pages; None when it is short or its question cannot be told apart."""
        if self.gate.vision is None or self.gate.count_text(text) <= self.min_tokens:
            return None
        head, body, tail = split_question(text, question, self.gate.count_text) if holds_question else ("", text, "")
        if self.gate.count_text(body) <= self.min_tokens:
            return None
        return [head, *self._drawn(body, f"message-{number}"), tail]

    def _drawn(self, text: str, name: str) -> list[Mention]:
        pages = list(self.gate.renderer.paginate(text, source=name))
        REGISTRY.register(pages)  # so that citations find them
        return [Mention(page, block=name) for page in pages]

    def _with_history(self, turns: Sequence[Turn], contents: list[Content]) -> tuple[list[Turn], list[Content]]:
        """The turns with old exchanges replaced by a turn each that mentions their pages."""
        out_turns: list[Turn] = []
        out_contents: list[Content] = []
        at = 0
        for number, stretch in enumerate(self._old(turns, contents), 1):
            story: Text = [*self._drawn(stretch.text, f"earlier-conversation-{number}")]
            out_turns += [*turns[at : stretch.first], Turn("user", "", origin=_HISTORY)]
            out_contents += [*contents[at : stretch.first], [story]]
            at = stretch.last
        return [*out_turns, *turns[at:]], [*out_contents, *contents[at:]]

    def _old(self, turns: Sequence[Turn], contents: Sequence[Content]) -> list[Stretch]:
        if self.draw_text != "long" or self.gate.vision is None:
            return []
        plain = [all(isinstance(item, TextPart) for item in content) for content in contents]
        return old_stretches(turns, plain, self.min_tokens, self.gate.count_text)

    @staticmethod
    def _candidates(contents: Sequence[Content]) -> list[Candidate]:
        """The pages mentioned, those of the latest turns first. A label tells the source where this turn or an earlier one has
        pages of another, so that later turns change nothing before them."""
        sources: set[str] = set()
        found: dict[str, Candidate] = {}
        by_turn: list[list[Candidate]] = []
        for content in contents:
            mentions = mentions_in(content)
            sources |= {m.page.source for m in mentions if not m.block}
            for page, dpi, lines, block in mentions:
                found.setdefault(page.id, Candidate(page, dpi, lines, bool(block) or len(sources) > 1))
            by_turn.append([found[m.page.id] for m in mentions])
        return unique(candidate for candidates in reversed(by_turn) for candidate in candidates)

    def _sidecar(self, room: int | None) -> Sidecar:
        left = room

        def sidecar(question: str, images: Sequence[Placement]) -> str:
            nonlocal left
            limit = self.sidecar if left is None else min(self.sidecar, left)
            text = exact_strings(question, [(p.label, p.text) for p in images], limit, self.gate.count_text)
            if left is not None:
                left -= self.gate.count_text(text)
            return text

        return sidecar


@cache
def _say_spoilt() -> None:
    _log.warning(
        "pages reached a prompt with their tags cut, edited or escaped, and go as plain text (said once): join the "
        "page_content of Documents instead of writing the list into the prompt, tag pages after splitting, and tell "
        "LlamaIndex the model's context_window"
    )


_HISTORY = object()  # origin of a turn that stands for old exchanges until it is joined with the next


def _joined(turns: Sequence[Turn]) -> list[Turn]:
    """The turns, those that stand for old exchanges joined with the user turn that follows."""
    out: list[Turn] = []
    opening: tuple[Part, ...] = ()
    for turn in turns:
        if turn.origin is _HISTORY:
            opening += turn.parts
        else:
            out.append(turn.with_parts((*opening, *turn.parts)) if opening else turn)
            opening = ()
    return out


_SHORT = 200  # tokens: a first or last paragraph no longer than this is an instruction or a question


def split_question(text: str, question: str | None, count: Callable[[str], int]) -> tuple[str, str, str]:
    """A user's text as what leads in, what may be drawn, and the question at its end. The middle is empty when no question
    can be told apart."""
    at = text.rfind(question) if question else -1
    separator = "\n\n" if "\n\n" in text.strip() else "\n"
    if at < 0:
        at = text.rstrip().rfind(separator) + len(separator)
        if at < len(separator) or count(text[at:]) > _SHORT:
            return text, "", ""
    first = text.find(separator) + len(separator)
    if not len(separator) <= first < at or count(text[:first]) > _SHORT:
        first = 0
    return text[:first], text[first:at], text[at:]
