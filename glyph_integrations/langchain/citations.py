"""`citations_of`: the checked citations of an answer, wherever a chain put it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from langchain_core.documents import Document
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult, LLMResult

from ..page import Page
from ..reading import REGISTRY, Citation, PageTag, split_tags, verify_answer
from ..reading.registry import PageSource
from ..reading.results import read_citations
from .page_documents import pages_of

# where chains put a plain answer, and the Documents it was made from
_ANSWERS = ("answer", "result", "output_text", "output")
_DOCUMENTS = ("context", "source_documents", "input_documents")


def citations_of(answer: Any, pages: PageSource | None = None) -> list[Citation]:
    """The citations that `ChatGlyph` or `ChatPageModel` found in an answer.

    Args:
        answer: the message (or the sum of a stream's chunks); a list of messages, whose last answer is meant; the result of a
            model; or a chain's or agent's output: a dict that holds one of these, such as ``{"messages": [...]}`` or
            ``{"raw": message, "parsed": ...}``. A dict of plain text and Documents, such as ``{"answer": "...", "context":
            [...]}`` or ``{"result": "...", "source_documents": [...]}``, is checked on the spot, and so is what an
            `AgentExecutor` returns with ``return_intermediate_steps=True``.
        pages: where to look up pages that this process has not handed out: a `PageIndex`, or a function from page id to page.
            The page of a citation that is found nowhere is None.

    Returns:
        Citations in the order of the answer; empty when it quotes nothing or saw no pages.

    Raises:
        TypeError: a plain string (a parser has dropped the metadata), or nothing that holds an answer. `verify_answer` checks a
            string against pages.
    """
    if isinstance(answer, Mapping):
        text = next((answer[key] for key in _ANSWERS if isinstance(answer.get(key), str)), None)
        found = _pages_beside(answer, pages)
        if text is not None and found is not None:
            return verify_answer(text, found)
    message = _message(answer)
    if message is not None:
        return read_citations(message.response_metadata.get("glyph", {}), pages)
    dropped = "a parser has dropped them; use verify_answer(text, pages)"
    advice = dropped if isinstance(answer, str) else "it holds no message"
    raise TypeError(f"no citations in a {type(answer).__name__}: {advice}")


def _pages_beside(answer: Mapping[str, Any], pages: PageSource | None) -> list[Page] | None:
    """The pages of the Documents, or of the tools' results, that stand beside a plain answer; None when there are neither."""
    for key in _DOCUMENTS:
        documents = answer.get(key)
        if (
            isinstance(documents, Sequence)
            and not isinstance(documents, str)
            and all(isinstance(d, Document) for d in documents)
        ):
            return [page for page in pages_of(documents) if page]
    steps = answer.get("intermediate_steps")
    if not isinstance(steps, Sequence):
        return None
    tags = [tag for _, result in steps if isinstance(result, str) for tag in split_tags(result) if isinstance(tag, PageTag)]
    return [page for tag in tags if (page := REGISTRY.resolve(tag, pages))]


def _message(answer: Any) -> BaseMessage | None:
    if isinstance(answer, BaseMessage):
        return answer
    if isinstance(answer, ChatGeneration):
        return answer.message
    if isinstance(answer, ChatResult | LLMResult):
        return _message(answer.generations)
    if isinstance(answer, Mapping):
        first = [answer[key] for key in _ANSWERS if key in answer]  # beside it may stand the history of a chat
        return next((m for value in (*first, *answer.values()) if (m := _message(value))), None)
    if isinstance(answer, list | tuple):
        found = [m for value in answer if (m := _message(value))]
        return next((m for m in reversed(found) if isinstance(m, AIMessage)), None)
    return None
