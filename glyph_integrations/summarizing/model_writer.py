"""Summaries that a model writes."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import NamedTuple

from ..errors import BudgetError, GlyphError, ModelError
from ..page import Page
from ..reading import Answer, ContextBuilder, PageModel, TextPart, Turn
from ..reading.models.quoting import NO_ANSWER
from ..reading.placement import Candidate, Gate
from .cache import AnswerCache, key_of
from .cited import Cited, joined
from .instructions import NOTHING, SYSTEM, Wanted
from .summary import Cost, Failure
from .tree import Job, Node, Tree

_THINKING = 4096  # tokens that a model of a family that reasons may spend on that
_WINDOW = 16_384  # tokens, where a model's window is not known
_MOST = 16_000  # tokens of a prompt where nobody says: some 25 pages of Glyph's; larger prompts would make edits dearer
_EMPTY = re.compile(rf"\W*(?:{NOTHING}|{re.escape(NO_ANSWER)})\W*", re.I)


class Request(NamedTuple):
    """A prompt that is ready to go, the pages it numbers from 1, whether it holds nothing to summarize, and what it costs."""

    turns: list[Turn]
    pages: tuple[Page, ...]
    empty: bool
    key: str
    tokens: int
    as_text: int
    failures: tuple[Failure, ...]


class ModelWriter:
    """Puts jobs to a model and makes nodes of its answers.

    Pages go as images where that costs less than their text. In every prompt they are numbered from 1, whatever their numbers
    in the document, so that the same pages always make the same prompt; the answer's references are led back.
    """

    def __init__(
        self, model: PageModel, gate: Gate, wanted: Wanted, cache: AnswerCache | None, budget: int | None
    ) -> None:  # fmt: skip
        self.model = model
        self._gate = gate
        self._wanted = wanted
        self._cache = cache
        vision = gate.vision
        window = (vision.context_window if vision else None) or _WINDOW
        self._budget = budget or min(_MOST, window * 3 // 4)
        self._thinking = _THINKING if model.vision and model.vision.chat.thinking else 0
        self._builder = ContextBuilder(vision, self._budget, gate._renderer, sharp=0, sidecar=0, tokenizer=gate.tokenizer,
                                       limits=gate.limits)  # fmt: skip

    def tree(self) -> Tree:
        """How much goes into one prompt."""
        room = self._budget - self._count(self._wanted.instruction(True)) - self._count(SYSTEM) - 40
        if room < 200:
            raise BudgetError(f"a budget of {self._budget} tokens holds no pages beside the instructions; give at least 600")
        images = self._gate.limits.images
        least = room / images if images else 1.0

        def sizes(pages: Sequence[Page]) -> list[float]:
            placed = [self._gate.place_one(Candidate(page), page.label, self._gate.room())[0] for page in pages]
            return [max(p.tokens + 4.0, least if p.sent_as == "image" else 1.0) for p in placed]

        children = [max(2, int(room / self._part(final))) for final in (False, True)]
        return Tree(sizes, room, (children[0], children[1]))

    # -- writing --------------------------------------------------------------------------------------------------------

    def write(self, job: Job) -> Node:
        """The node of a job; its text is None, or that of its parts, when the model fails."""
        try:
            request = self._prepare(job)
            answer = self._kept(request)
            if answer is not None or request.empty:
                return self._node(job, request, answer, None)
            with self._asking():
                read = self.model.read(request.turns, max_tokens=self._limit(job.final) + self._thinking)
            return self._node(job, request, *self._checked(job, request, read))
        except GlyphError as error:
            return self._failed(job, str(error))

    async def awrite(self, job: Job) -> Node:
        """`write`, without blocking the event loop."""
        try:
            request = await asyncio.to_thread(self._prepare, job)
            answer = await asyncio.to_thread(self._kept, request)
            if answer is not None or request.empty:
                return self._node(job, request, answer, None)
            with self._asking():
                read = await self.model.aread(request.turns, max_tokens=self._limit(job.final) + self._thinking)
            return self._node(job, request, *await asyncio.to_thread(self._checked, job, request, read))
        except GlyphError as error:
            return self._failed(job, str(error))

    @contextmanager
    def _asking(self) -> Iterator[None]:
        """Whatever a model raises is a failed call: one without memory for these pages may have enough for the next."""
        try:
            yield
        except GlyphError:
            raise
        except Exception as error:
            raise ModelError(f"{self.model.name}: {type(error).__name__}: {error}") from error

    def estimate(self, job: Job) -> Node:
        """What a job would cost; no model is asked. Its text is None unless the cache holds the answer."""
        if all(child.text is not None for child in job.children):
            request = self._prepare(job)
            answer = self._kept(request)
            if answer is not None or request.empty:
                return self._node(job, request, answer, None)
            tokens, as_text = request.tokens, request.as_text
        else:
            parts = sum(self._part(child.final) for child in job.children)
            tokens = as_text = parts + self._count(SYSTEM) + self._count(self._instruction(job)) + 20
        return self._made(job, None, Cost(1, 0, tokens, as_text, self._limit(job.final)))

    # -- the prompt -----------------------------------------------------------------------------------------------------

    def _prepare(self, job: Job) -> Request:
        system, instruction = Turn("system", SYSTEM), self._instruction(job)
        failures: list[Failure] = []
        if job.pages:
            numbered = [replace(page, number=i) for i, page in enumerate(job.pages, 1)]
            turns, report = self._builder.build(instruction, numbered, before=[system])
            tokens, as_text = report.tokens, report.tokens - report.image_tokens + report.text_tokens_replaced
            for placement in report.left_out:
                number = job.pages[placement.page.number - 1].number
                failures.append(Failure(job.source or "", (number, number), f"left out: {placement.reason}"))
            pages, empty = job.pages, not report.pages
        else:
            name = "Document" if job.source is None and job.children[0].final else "Part"
            texts = [child.text for child in job.children if child.text and child.text.text]
            together = joined(texts, lambda i: f"{name} {i + 1}:")
            pages, empty = together.pages, not together.text
            order = {page.id: i for i, page in enumerate(pages, 1)}
            turns = [
                system,
                Turn("user", [TextPart(together.write(lambda page: f"p. {order[page.id]}")), TextPart(instruction)]),
            ]
            tokens = as_text = sum(self._gate.count(turn.parts) for turn in turns) + self._gate.overhead(turns)
        return Request(turns, pages, empty, key_of(self.model, turns, self._limit(job.final)),
                       tokens, as_text, tuple(failures))  # fmt: skip

    def _instruction(self, job: Job) -> str:
        documents = bool(job.children) and job.source is None and job.children[0].final
        return self._wanted.instruction(job.final, notes=bool(job.children), documents=documents)

    def _limit(self, final: bool) -> int:
        return min(self._wanted.tokens(final), self._budget // 4)

    def _part(self, final: bool) -> int:
        """Most tokens of a part in the prompt above it, with its name; there, numbers of pages may be longer."""
        return round(1.2 * self._limit(final)) + 10

    def _count(self, text: str) -> int:
        return self._gate.count_text(text)

    # -- the answer -----------------------------------------------------------------------------------------------------

    def _kept(self, request: Request) -> str | None:
        return self._cache.get(request.key) if self._cache else None

    def _checked(self, job: Job, request: Request, answer: Answer) -> tuple[str, Cost]:
        """The words of an answer, made to fit, and what the call cost.

        Raises:
            ModelError: it is empty.
        """
        words = "".join(c for c in answer.text if c.isprintable() or c in "\n\t").strip()
        limit = self._limit(job.final)
        cited = Cited.read(words[: 40 * limit], request.pages).shortened(limit, self._count)
        order = {page.id: i for i, page in enumerate(request.pages, 1)}
        text = cited.write(lambda page: f"p. {order[page.id]}")
        if not text:
            why = "; all its tokens went into reasoning" if answer.reasoning else ""
            raise ModelError(f"{self.model.name} answered nothing{why}")
        if self._cache:
            self._cache.put(request.key, text)
        output = answer.usage.output_tokens if answer.usage else self._count(answer.text)
        return text, Cost(1, 0, request.tokens, request.as_text, output)

    def _node(self, job: Job, request: Request, answer: str | None, cost: Cost | None) -> Node:
        silent = answer is None or bool(_EMPTY.fullmatch(answer))
        text = None if request.empty and job.pages else Cited("", ()) if silent else Cited.read(answer or "", request.pages)
        node = self._made(job, text, cost or Cost(0, int(answer is not None)))
        return replace(node, failures=request.failures)

    def _failed(self, job: Job, reason: str) -> Node:
        failure = Failure(job.source or "", None if job.source is None else job.span, reason)
        texts = [child.text for child in job.children if child.text and child.text.text]
        room = self._limit(job.final) / max(1, len(texts))  # what cannot be combined is shortened, and stands for the whole
        text = joined([text.shortened(room, self._count) for text in texts]) if texts else None
        return replace(self._made(job, text, Cost()), failures=(failure,))

    def _made(self, job: Job, text: Cited | None, cost: Cost) -> Node:
        first, last = job.span
        return Node(job.level, job.source, job.mark, job.final, first, last, text, cost)
