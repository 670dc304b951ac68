"""`Summarizer`: pages or a whole index in, a summary with checked citations out."""

from __future__ import annotations

import asyncio
import os
import sys
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from copy import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..errors import DocumentError, ModelError, QueryError
from ..index import PageIndex
from ..index.progress import progress_bar
from ..page import Page
from ..reading import Limits, PageModel
from ..reading.placement import Gate
from ..vision import VisionProfile
from .cache import AnswerCache
from .extract_writer import ExtractWriter
from .faithfulness import check
from .instructions import Wanted
from .model_writer import ModelWriter
from .summary import STYLES, Cost, Failure, Style, Summary
from .tree import Job, Node

if TYPE_CHECKING:
    from ..rendering import Renderer
    from ..vision.text_tokens import Tokenizer


class Summarizer:
    """Summarizes a document, or a whole knowledge base, level by level: groups of pages, sections, documents, all of them.

    Each prompt stays within the model's window by the count of its vision profile; pages go as images where that costs less
    than their text. What is grouped depends on the pages' content, so a changed document, or a page inserted into one, changes
    the summaries above it and no others. When a call fails, the rest is finished, and the failure listed; where parts cannot be
    combined, they stand in for the whole, shortened.

    Args:
        model: what writes. None: the most central sentences of the pages are chosen (LexRank), without any model.
        vision: a `VisionProfile` or name. None: the model's own.
        style: ``brief`` (one paragraph), ``detailed`` (several), ``bullets``, or ``question``: what the pages say about a
            question.
        question: what is asked; makes the style ``question``.
        language: to write in, such as ``"German"``. None: that of the pages. Without a model there is no other.
        cache: a folder that keeps every answer, so that an interrupted run goes on where it was and a second one asks only
            about what has changed. Keys are the content of the pages, the prompt, the model and its settings.
        concurrency: most calls at a time.
        progress: a bar on standard error, if that is a terminal.
        budget: most tokens of a prompt. None: three quarters of the model's window (16,384 where it is not known), and at most
            16,000, some 25 pages, so that an edit is cheap.
        renderer: measures and draws the pages (default ``Renderer()``).
        tokenizer, limits: as for `ContextBuilder`.

    Raises:
        ValueError: an unknown style, the style ``question`` without a question, or a concurrency below 1.
        UnknownModelError: ``vision`` names no known profile.
        BudgetError: the budget holds no pages beside the instructions.
    """

    def __init__(
        self,
        model: PageModel | None = None,
        *,
        vision: VisionProfile | str | None = None,
        style: Style = "brief",
        question: str | None = None,
        language: str | None = None,
        cache: str | os.PathLike[str] | None = None,
        concurrency: int = 4,
        progress: bool = False,
        budget: int | None = None,
        renderer: Renderer | None = None,
        tokenizer: Tokenizer | str | None = None,
        limits: Limits | None = None,
    ) -> None:
        if style not in STYLES:
            raise ValueError(f"style={style!r}: choose one of {', '.join(STYLES)}")
        question = " ".join((question or "").split())
        if style == "question" and not question:
            raise ValueError("the style 'question' needs a question")
        if concurrency < 1:
            raise ValueError(f"concurrency={concurrency}: must be at least 1")
        wanted = Wanted("question" if question else style, question, language)
        self.style = wanted.style
        self.concurrency = concurrency
        self.progress = progress
        self._renderer = renderer
        self._translated = language is not None and model is not None
        self._writer: ModelWriter | ExtractWriter
        if model is None:
            self._writer = ExtractWriter(wanted)
        else:
            gate = Gate(vision if vision is not None else model.vision, renderer, None, tokenizer, limits)
            self._writer = ModelWriter(model, gate, wanted, AnswerCache(cache) if cache is not None else None, budget)
        self._tree = self._writer.tree()

    # -- the door -------------------------------------------------------------------------------------------------------

    def summarize(self, what: Iterable[Page] | PageIndex, *, filter: Mapping[str, Any] | None = None) -> Summary:
        """The summary of some pages or of an index.

        Args:
            what: pages, in any order: those of one source are one document; or an index.
            filter: which pages of an index; as for `PageIndex.search`.

        Raises:
            DocumentError: there is nothing to summarize: no pages, or none with words or a picture.
            ModelError: not one call succeeded.
            QueryError: a filter that cannot be read, or a filter for something else than an index.
        """
        return deque(self.stream(what, filter=filter), maxlen=1)[0]

    async def asummarize(self, what: Iterable[Page] | PageIndex, *, filter: Mapping[str, Any] | None = None) -> Summary:
        """`summarize`, without blocking the event loop."""
        return [part async for part in self.astream(what, filter=filter)][-1]

    def stream(self, what: Iterable[Page] | PageIndex, *, filter: Mapping[str, Any] | None = None) -> Iterator[Summary]:
        """Each part when it is finished, level by level: groups of pages, sections, documents, the knowledge base. The last is
        what `summarize` returns.

        Raises:
            DocumentError, ModelError, QueryError: as for `summarize`.
        """
        run = _Run(self, what, filter)
        ready = None  # one is held back: the last comes with all that is known of the whole
        with run.bar() as advance:
            while jobs := run.jobs():
                for node in self._written(jobs):
                    advance(1)
                    if part := run.take(node):
                        if ready:
                            yield ready
                        ready = part
        yield run.last(ready)

    async def astream(
        self, what: Iterable[Page] | PageIndex, *, filter: Mapping[str, Any] | None = None
    ) -> AsyncIterator[Summary]:
        """`stream`, without blocking the event loop."""
        run = await asyncio.to_thread(_Run, self, what, filter)
        ready = None
        with run.bar() as advance:
            while jobs := run.jobs():
                async for node in self._awritten(jobs):
                    advance(1)
                    if part := await asyncio.to_thread(run.take, node):
                        if ready:
                            yield ready
                        ready = part
        yield run.last(ready)

    def estimate(self, what: Iterable[Page] | PageIndex, *, filter: Mapping[str, Any] | None = None) -> Cost:
        """What a summary would cost, less what the cache holds; no model is asked. Calls and the tokens of pages are exact;
        answers on the way are taken to be as long as they may be.

        Raises:
            DocumentError, QueryError: as for `summarize`.
        """
        run = _Run(self, what, filter)
        while jobs := run.jobs():
            for job in jobs:
                run.count(self._writer.estimate(job))
        return run.cost

    # -- many calls at a time -------------------------------------------------------------------------------------------

    def _written(self, jobs: Iterator[Job]) -> Iterator[Node]:
        if isinstance(self._writer, ExtractWriter):  # nothing to wait for
            yield from map(self._writer.write, jobs)
            return
        pool = ThreadPoolExecutor(self.concurrency, "summarizing")
        under_way: deque[Future[Node]] = deque()
        try:
            for job in jobs:
                under_way.append(pool.submit(self._writer.write, job))
                if len(under_way) >= 2 * self.concurrency:
                    yield under_way.popleft().result()
            while under_way:
                yield under_way.popleft().result()
        finally:  # interrupted: calls under way are finished and kept in the cache, no others begun
            pool.shutdown(wait=False, cancel_futures=True)

    async def _awritten(self, jobs: Iterator[Job]) -> AsyncIterator[Node]:
        under_way: deque[asyncio.Task[Node]] = deque()
        free = asyncio.Semaphore(self.concurrency)

        async def write(job: Job) -> Node:
            async with free:
                return await self._writer.awrite(job)

        try:
            while job := await asyncio.to_thread(next, jobs, None):
                under_way.append(asyncio.create_task(write(job)))
                if len(under_way) >= 2 * self.concurrency:
                    yield await under_way.popleft()
            while under_way:
                yield await under_way.popleft()
        finally:
            for task in under_way:
                task.cancel()


class _Run:
    """One summary in the making: what is finished, what comes next, what failed."""

    def __init__(self, summarizer: Summarizer, what: Iterable[Page] | PageIndex, filter: Mapping[str, Any] | None) -> None:
        self._by = summarizer
        self._documents, self._sources = _documents(what, filter)
        self._level = 0
        self._several = len(self._sources) > 1
        self._open: list[Node] = []
        self._parts: dict[str, Summary] = {}
        self._failures: list[Failure] = []
        self.cost = Cost()
        if not self._sources:
            raise DocumentError("nothing to summarize: there are no pages")

    def bar(self) -> AbstractContextManager[Callable[[int], None]]:
        """A progress bar over all jobs, if one is to be seen."""
        shown = self._by.progress and sys.stderr is not None and sys.stderr.isatty()
        return progress_bar("Summarizing", self._total() if shown else 0, shown)

    def jobs(self) -> Iterator[Job] | None:
        """What is to be done on the next level; None when there is nothing left."""
        self._level += 1
        if self._level == 1:
            return self._by._tree.first(self._with_words())
        jobs, self._open = self._by._tree.next(self._open, self._several)
        return iter(jobs) if jobs else None

    def count(self, node: Node) -> None:
        """Take a node of an estimate."""
        self.cost = self.cost.plus(node.cost)
        self._open.append(node)

    def take(self, node: Node) -> Summary | None:
        """Take a finished node, as a summary; None if nothing came of it."""
        self.cost = self.cost.plus(node.cost)
        self._failures += node.failures
        if node.text is None:
            return None
        self._open.append(node)
        part = self._summary(node)
        if node.final and node.source is not None:
            self._parts[node.source] = part
        return part

    def last(self, whole: Summary | None) -> Summary:
        """The whole: the last part, with all that is known.

        Raises:
            DocumentError: no page held words.
            ModelError: no call succeeded.
        """
        if whole is None:
            reason = str(self._failures[0]) if self._failures else "the pages hold no words"
            asked = isinstance(self._by._writer, ModelWriter)
            wordless = all(failure.reason == _WORDLESS for failure in self._failures)
            error = ModelError if asked and not wordless else DocumentError
            raise error(f"nothing could be summarized; {len(self._failures):,} failed, the first: {reason}")
        parts = tuple(self._parts[source] for source in self._sources if source in self._parts) if self._several else ()
        return replace(whole, parts=parts, failures=tuple(self._failures), usage=self.cost)

    def _summary(self, node: Node) -> Summary:
        assert node.text is not None
        found = check(node.text, self._by._renderer, translated=self._by._translated)
        several = len({page.source for page in node.text.pages}) > 1 or node.source is None

        def name(page: Page) -> str:
            source = " ".join(page.source.split())
            return f"p. {page.number} of {source}" if several and source else f"p. {page.number}"

        return Summary(
            node.text.write(name), node.level, node.source or "", None if node.source is None else (node.first, node.last),
            found.citations, found.faithfulness, found.cited, found.unsupported, (), node.failures, node.cost,
        )  # fmt: skip

    def _with_words(self) -> Iterator[list[Page]]:
        for source, pages in self._documents():
            held = [page for page in pages if page.picture or page.text.strip()]
            if held:
                yield held
            else:
                self._failures.append(Failure(source, None, _WORDLESS))

    def _total(self) -> int:
        """How many jobs there will be."""
        run = copy(self)
        run._open, run._failures = [], []
        total = 0
        while jobs := run.jobs():
            for job in jobs:
                total += 1
                first, last = job.span
                run.count(Node(job.level, job.source, job.mark, job.final, first, last, None))
        return total


_WORDLESS = "it holds no words"
_Documents = Callable[[], Iterator[tuple[str, list[Page]]]]


def _documents(what: Iterable[Page] | PageIndex, filter: Mapping[str, Any] | None) -> tuple[_Documents, list[str]]:
    """What gives the documents one by one, each with its pages in order, and their names."""
    by_source: dict[str, list[Page]] = {}
    if isinstance(what, PageIndex):
        index = what
        if filter is None:
            sources = sorted(index.sources())
            return lambda: ((source, _in_order(index.pages(source))) for source in sources), sources
        what = index.pages(filter=filter)
    elif filter is not None:
        raise QueryError("a filter chooses pages of an index; of other pages, pass those that are meant")
    for page in what:
        if not isinstance(page, Page):
            raise TypeError(f"expected pages or a PageIndex, not a {type(page).__name__}")
        by_source.setdefault(page.source, []).append(page)
    return lambda: ((source, _in_order(pages)) for source, pages in by_source.items()), list(by_source)


def _in_order(pages: Iterable[Page]) -> list[Page]:
    unique = {page.id: page for page in pages}
    return sorted(unique.values(), key=lambda page: (page.number, page.start))
