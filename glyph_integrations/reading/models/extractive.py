"""A page model without weights: it answers by quoting the pages it is given."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

from ...vision import VisionProfile
from ..passages import best_passages, least_share, sentences
from ..placement import Gate
from ..tags import split_tags
from ..turns import PagePart, TextPart, Turn, question_of
from .answer import Answer, AnswerChunk, Usage

_LABEL = re.compile(r"^(Page \d+(?: of [^\n]+)?)[ \t]*(?:\n|\Z)", re.M)
_INNER_QUOTES = str.maketrans({"“": "‘", "”": "’", '"': "'", "«": "‹", "»": "›", "「": "『", "」": "』"})
_SHORT = 160  # characters; a shorter sentence is quoted with the next, which often holds the answer (XQuAD en 0.75 -> 0.81)
NO_ANSWER = "No answer found in the pages given."


class ExtractiveModel:
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
        self._gate = Gate(vision)
        self.quotes = quotes

    @property
    def vision(self) -> VisionProfile | None:
        """The profile it stands in for."""
        return self._gate.vision

    def read(
        self,
        turns: Sequence[Turn],
        *,
        max_tokens: int | None = None,
        stop: Sequence[str] | None = None,
        tools: Sequence[dict[str, Any]] | None = None,
        **options: Any,
    ) -> Answer:
        """Quotations from the pages and texts of the turns that bear on the last question."""
        text, stop_reason = _cut(self._answer(turns), max_tokens, stop or (), self._gate)
        asked = sum(self._gate.count(turn.parts) for turn in turns)
        return Answer(text, Usage(asked, self._gate.count_text(text)), stop_reason, self.name)

    async def aread(
        self,
        turns: Sequence[Turn],
        *,
        max_tokens: int | None = None,
        stop: Sequence[str] | None = None,
        tools: Sequence[dict[str, Any]] | None = None,
        **options: Any,
    ) -> Answer:
        """`read`, which takes milliseconds."""
        return self.read(turns, max_tokens=max_tokens, stop=stop)

    def stream(
        self,
        turns: Sequence[Turn],
        *,
        max_tokens: int | None = None,
        stop: Sequence[str] | None = None,
        tools: Sequence[dict[str, Any]] | None = None,
        **options: Any,
    ) -> Iterator[AnswerChunk]:
        """The answer word by word."""
        answer = self.read(turns, max_tokens=max_tokens, stop=stop)
        for word in re.findall(r"\s*\S+|\s+$", answer.text):
            yield AnswerChunk(word)
        yield AnswerChunk(usage=answer.usage, stop_reason=answer.stop_reason, model=self.name)

    async def astream(
        self,
        turns: Sequence[Turn],
        *,
        max_tokens: int | None = None,
        stop: Sequence[str] | None = None,
        tools: Sequence[dict[str, Any]] | None = None,
        **options: Any,
    ) -> AsyncIterator[AnswerChunk]:
        """The answer word by word."""
        for chunk in self.stream(turns, max_tokens=max_tokens, stop=stop):
            yield chunk

    def _answer(self, turns: Sequence[Turn]) -> str:
        question = question_of(turns)
        if len(question) > 1000:  # a prompt in one piece: what is asked stands at its end
            question = question.rstrip().rsplit("\n", 1)[-1]
        documents = _documents(turns, question)
        least = least_share(question)
        found = [p for p in best_passages(question, [text for _, text in documents]) if p.share >= least]
        if not found:
            return NO_ANSWER
        best = [p for p in found[: self.quotes] if p.score >= 0.6 * found[0].score]
        quoted = []
        for passage in best:
            label, text = documents[passage.text_index]
            end = passage.end
            if end - passage.start < _SHORT:
                rest = text[end : end + 1000].partition("\n\n")[0]  # of the paragraph
                end += next((stop for _, stop in sentences(rest)), 0)
            words = " ".join(text[passage.start : end].strip('“”„"«»').split()).translate(_INNER_QUOTES)
            quoted.append(f"“{words}”" + (f" ({label})" if label else ""))
        return "\n".join(quoted)


def _documents(turns: Sequence[Turn], question: str) -> list[tuple[str, str]]:
    """What can be quoted, each with its label: pages; if there are none, the plain text around the question."""
    pages: list[tuple[str, str]] = []
    plain: list[tuple[str, str]] = []
    for turn in turns:
        label = ""
        for part in turn.parts:
            if isinstance(part, PagePart):
                pages.append((label or part.page.label, part.page.text))
                label = ""
            elif isinstance(part, TextPart) and turn.role != "assistant":
                text = part.text
                if turn.role == "user" and question and question in text:
                    text = text[: text.rindex(question)].rpartition("\n")[0]  # with the rest of its line, such as "Question:"
                outside = ""
                for piece in split_tags(text):
                    if isinstance(piece, str):
                        outside += piece
                    else:
                        pages.append((f"Page {piece.number}", piece.text))
                lead, *labelled = _LABEL.split(outside)
                plain.append(("", lead))
                for label, body in zip(labelled[::2], labelled[1::2], strict=True):
                    if body.strip():
                        pages.append((label, body))
                        label = ""  # used; a picture after it has its own
    return pages or plain


def _cut(text: str, max_tokens: int | None, stop: Sequence[str], gate: Gate) -> tuple[str, str]:
    ends = [at for at in (text.find(s) for s in stop if s) if at >= 0]
    text = text[: min(ends)] if ends else text
    if max_tokens is None or gate.count_text(text) <= max_tokens:
        return text, "stop"
    while text and gate.count_text(text) > max_tokens:
        text = text[: min(len(text) - 1, len(text) * 9 // 10)]
    return text.rstrip(), "length"
