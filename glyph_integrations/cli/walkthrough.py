"""A document or index and a question, step by step, each step told: what `glyph ask` and `glyph demo` do."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..vision import count_text_tokens
from .layout import lay_out, tell_layout
from .staging import file_stem, staged
from .terminal import Terminal, counted, excerpt

if TYPE_CHECKING:
    from PIL import Image

    from ..index import PageIndex
    from ..page import Page
    from ..reading import Citation, ContextReport, PageModel
    from ..rendering import Renderer
    from ..sources import SourceDocument

_MARKED_DPI = 144  # marked pages are for people: twice the resolution that a model gets
_QUOTE = (
    "Answer from these pages only. Quote the sentences your answer rests on word for word, in double quotation marks, each "
    "followed by its page, like this: “…” (Page 57). If the pages do not say, answer that they do not."
)


class Walkthrough:
    """Answers questions and tells how.

    Args:
        terminal: where it is told.
        renderer: lays out and draws.
        model: what reads the pages.
    """

    def __init__(self, terminal: Terminal, renderer: Renderer, model: PageModel) -> None:
        from ..reading import ContextBuilder

        self.terminal = terminal
        self.renderer = renderer
        self.model = model
        self.builder = ContextBuilder(model.vision, renderer=renderer)
        self._several = False  # whether pages of more than one document are spoken of

    def read_document(self, document: SourceDocument) -> PageIndex:
        """The pages of a document, in an index in memory.

        Raises:
            DocumentError: the document has nothing to draw.
        """
        from ..index import PageIndex
        from ..reading import PagePart

        text = count_text_tokens(document.text)
        size = f"{len(document.text):,} characters, {text.count:,} text tokens ({text.method})"
        self.terminal.step("Read", f"{document.name}: {size}")
        began = time.perf_counter()
        pages = lay_out(self.terminal, self.renderer, document)
        lines = [f"{counted(len(pages), 'page')} in {time.perf_counter() - began:.1f} s, style {pages[0].style}"]
        if vision := self.model.vision:
            visual = self.builder.gate.count(PagePart(page) for page in pages)
            lines.append(
                f"{visual:,} visual tokens for {vision.name}, ratio {text.count / visual:.2f} (text tokens / visual tokens)"
            )
        self.terminal.step("Lay out", *lines)
        tell_layout(self.terminal, pages)
        began = time.perf_counter()
        index = PageIndex.open()
        try:
            index.add(pages)
        except BaseException:
            index.close()
            raise
        self.terminal.step("Index", f"{counted(len(index), 'page')} in memory in {time.perf_counter() - began:.1f} s")
        return index

    def use_index(self, index: PageIndex) -> None:
        """Tell what an index holds."""
        self.terminal.step(
            "Index", f"{index.path}: {counted(len(index), 'page')} of {counted(len(index.sources()), 'document')}"
        )

    def answer(self, index: PageIndex, question: str, k: int, folder: Path) -> None:
        """Retrieve, read, cite; cited pages go to the folder, with the cited lines marked.

        Raises:
            ModelError: the model or its server failed; nothing is written.
        """
        from ..embedding.wordless import wordless
        from ..index.recorded import Absent
        from ..page import PageHit
        from ..reading import ExtractiveModel, TextPart, verify_answer

        tell = self.terminal
        self._several = len(index.sources()) > 1
        tell.step("Ask", question)
        began = time.perf_counter()
        absent = isinstance(index.embedder, Absent)
        hits = index.search(question, k=k, mode="lexical" if absent else "hybrid")
        if absent:
            tell.warn(f"searched by words alone; the index also has vectors of {index.embedder.name!r}: add --embedder")
        if not hits and not isinstance(self.model, ExtractiveModel):  # a model may see what no word tells
            hits = [PageHit(page, 0.0, 0.0) for page in wordless(index, index.embedder)[:k]]
        if not hits:
            tell.step("Find", f"none of {counted(len(index), 'page')} shares a word with the question")
            tell.result("No answer: no page matches the question.")
            return
        found = f"{len(hits)} of {counted(len(index), 'page')} in {(time.perf_counter() - began) * 1000:.0f} ms, best first:"
        rows = (f"{self._name(hit.page)}  relevance {hit.relevance:.2f}  {excerpt(hit.page.text)}" for hit in hits)
        tell.step("Find", found, *rows)
        turns, report = self.builder.build(question, hits)
        tell.step("Send", *self._account(report))
        if isinstance(self.model, ExtractiveModel):
            tell.step(
                "Answer", "no model was asked (see --base-url); quoted are the sentences that share most with the question"
            )
        else:
            tell.step("Answer", f"by {self.model.name}")
            turns = [*turns[:-1], turns[-1].with_parts([*turns[-1].parts, TextPart(_QUOTE)])]
        answer = self.model.read(turns)
        tell.result(answer.text or "(the model answered nothing)")
        self._show(verify_answer(answer.text, report.pages, self.renderer), report.pages, folder)

    def _account(self, report: ContextReport) -> list[str]:
        lines = []
        if report.images:
            text = report.text_tokens_replaced
            cost = f"{report.image_tokens:,} tokens for {text:,} text tokens, ratio {text / report.image_tokens:.2f}"
            lines.append(f"{counted(len(report.images), 'page')} as images: {cost}")
        as_text = [placement for placement in report.placements if placement.sent_as == "text"]
        if as_text:
            lines.append(
                f"{counted(len(as_text), 'page')} as text: {sum(p.tokens for p in as_text):,} tokens ({as_text[0].reason})"
            )
        if report.left_out:
            lines.append(f"{counted(len(report.left_out), 'page')} left out: {report.left_out[0].reason}")
        budget = "" if report.budget is None else f" of a budget of {report.budget:,}"
        return [*lines, f"{report.tokens:,} tokens in all{budget}, question included"]

    def _show(self, citations: Sequence[Citation], pages: Sequence[Page], folder: Path) -> None:
        tell = self.terminal
        if not citations:
            tell.step("Cite", "nothing: the answer quotes no page")
            return
        tell.step("Cite", "page:line of each quotation, checked against the text of the pages:")
        for citation in citations:
            where = f"{citation.page.source} {citation}" if citation.page and self._several else str(citation)
            found = "verified" if citation.verified else "NOT VERIFIED"
            note = f": {citation.note}" if citation.note else ""
            tell.result(f"  {where}  {found}{note}  {excerpt(citation.quote)}".rstrip())
            if citation.repaired:
                tell.result(f"  {' ' * len(where)}  the page says: {excerpt(citation.repaired)}")
        pictures = self._marked(citations, pages)
        if not pictures:
            return
        with staged(folder) as stage:
            for name, image in pictures.items():
                image.save(stage / name, optimize=False)
        for name in pictures:
            tell.result(f"  {folder / name}")

    def _marked(self, citations: Sequence[Citation], pages: Sequence[Page]) -> dict[str, Image.Image]:
        from ..rendering import highlight

        pictures: dict[str, Image.Image] = {}
        for page in sorted(pages, key=lambda p: (p.source, p.number)):
            spans = [
                (max(c.start, page.start) - page.start, min(c.end, page.end) - page.start)
                for c in citations
                if c.page and c.page.source == page.source and c.start < page.end and page.start < c.end  # across page ends too
            ]
            if not spans and not any(c.page and c.page.id == page.id for c in citations):
                continue
            if reason := self.renderer.missing_file(page):
                hint = "" if self.renderer.root else " (on the command line: --root DIR)"
                self.terminal.warn(f"{self._name(page)} is not drawn: {reason}{hint}")
                continue
            boxes = [box for start, end in spans for _, box in self.renderer.boxes(page, start, end, dpi=_MARKED_DPI)]
            name = f"{file_stem(page.source)}_page_{page.number:04}.png"
            if name in pictures:  # two documents whose names differ in what a file name cannot hold
                name = f"{file_stem(page.source)}_{page.id[:8]}_page_{page.number:04}.png"
            pictures[name] = highlight(self.renderer.draw(page, dpi=_MARKED_DPI), boxes)
        return pictures

    def _name(self, page: Page) -> str:
        return f"{page.source} {page.label.lower()}" if self._several else page.label.lower()
