"""What is known of an answer beside its words: the pages it was made from, and its checked citations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llama_index.core.base.llms.types import ChatMessage, ChatResponse, CompletionResponse
from llama_index.core.base.response.schema import AsyncStreamingResponse, PydanticResponse, Response, StreamingResponse

from ..page import Page
from ..reading import Citation, verify_answer
from ..reading.registry import PageSource
from ..reading.results import read_citations
from .page_nodes import pages_in

_Response = Response | StreamingResponse | AsyncStreamingResponse | PydanticResponse


def citations_of(answer: Any, pages: PageSource | None = None) -> list[Citation]:
    """The citations that `GlyphSynthesizer`, `GlyphLLM` or `PageModelLLM` found in an answer.

    Args:
        answer: the response of a query engine or synthesizer (of a stream: when it has ended), or of an LLM (the last of a
            stream). The response of another synthesizer is checked on the spot against its source nodes.
        pages: where to look up pages that are neither source nodes nor handed out by this process: a `PageIndex`, or a function
            from page id to page. The page of a citation that is found nowhere is None.

    Returns:
        Citations in the order of the answer; empty when it quotes nothing or saw no pages.

    Raises:
        TypeError: a message or a plain string, which carry no results (`verify_answer` checks a string against pages), a stream
            that has not ended, or nothing that is an answer.
    """
    sources: list[Page] = []
    values: Any = None
    if isinstance(answer, _Response):
        sources = [page for page in pages_in(n.node for n in answer.source_nodes) if page]
        values = (answer.metadata or {}).get("glyph")
        if values is None and isinstance(answer, Response):
            return verify_answer(answer.response or "", sources)
    elif isinstance(answer, ChatResponse | CompletionResponse):
        values = answer.additional_kwargs.get("glyph")
    if not isinstance(values, Mapping) or "citations" not in values:
        advice = "use verify_answer(text, pages)" if isinstance(answer, str | ChatMessage) else "read a stream to its end first"
        raise TypeError(f"no citations in a {type(answer).__name__}: {advice}")
    return read_citations(values, pages, sources)
