"""`citations_of`: the checked citations of an answer, wherever a chain put it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from langchain_core.documents import Document
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult, LLMResult

from ..reading import Citation, verify_answer
from ..reading.registry import PageSource
from ..reading.results import read_citations
from .page_documents import pages_of


def citations_of(answer: Any, pages: PageSource | None = None) -> list[Citation]:
    """The citations that `ChatGlyph` or `ChatPageModel` found in an answer.

    Args:
        answer: the message (or the sum of a stream's chunks); a list of messages, whose last answer is meant; the result of a
            model; or a chain's or agent's output: a dict that holds one of these, such as ``{"messages": [...]}`` or
            ``{"raw": message, "parsed": ...}``. A dict of plain text and Documents, ``{"answer": "...", "context": [...]}``,
            is checked on the spot.
        pages: where to look up pages that this process has not handed out: a `PageIndex`, or a function from page id to page.
            The page of a citation that is found nowhere is None.

    Returns:
        Citations in the order of the answer; empty when it quotes nothing or saw no pages.

    Raises:
        TypeError: a plain string (a parser has dropped the metadata), or nothing that holds an answer. `verify_answer` checks a
            string against pages.
    """
    message = _message(answer)
    if message is not None:
        return read_citations(message.response_metadata.get("glyph", {}), pages)
    if isinstance(answer, Mapping) and isinstance(answer.get("answer"), str):
        documents = answer.get("context")
        if isinstance(documents, Sequence) and all(isinstance(d, Document) for d in documents):
            return verify_answer(answer["answer"], [page for page in pages_of(documents) if page])
    dropped = "a parser has dropped them; use verify_answer(text, pages)"
    advice = dropped if isinstance(answer, str) else "it holds no message"
    raise TypeError(f"no citations in a {type(answer).__name__}: {advice}")


def _message(answer: Any) -> BaseMessage | None:
    if isinstance(answer, BaseMessage):
        return answer
    if isinstance(answer, ChatGeneration):
        return answer.message
    if isinstance(answer, ChatResult | LLMResult):
        return _message(answer.generations)
    if isinstance(answer, Mapping):
        return next((m for value in answer.values() if (m := _message(value))), None)
    if isinstance(answer, list | tuple):
        found = [m for value in answer if (m := _message(value))]
        return next((m for m in reversed(found) if isinstance(m, AIMessage)), None)
    return None
