"""What is known of an answer beside its words: the pages it was made from, and its checked citations."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from llama_index.core.agent.workflow import AgentOutput
from llama_index.core.base.llms.types import ChatMessage, ChatResponse, CompletionResponse
from llama_index.core.base.response.schema import AsyncStreamingResponse, PydanticResponse, Response, StreamingResponse
from llama_index.core.chat_engine.types import AgentChatResponse, StreamingAgentChatResponse
from llama_index.core.schema import BaseNode, NodeWithScore

from ..page import Page
from ..reading import REGISTRY, Citation, verify_answer
from ..reading.registry import PageSource
from ..reading.results import read_citations
from .page_nodes import pages_in

_Response = Response | StreamingResponse | AsyncStreamingResponse | PydanticResponse


def citations_of(answer: Any, pages: PageSource | None = None) -> list[Citation]:
    """The citations that `GlyphSynthesizer`, `GlyphLLM` or `PageModelLLM` found in an answer.

    Args:
        answer: the response of a query engine, synthesizer, chat engine or agent (of a stream: when it has ended), or of an LLM
            (the last of a stream). One that carries no results, such as that of another synthesizer, is checked on the spot
            against its source nodes, or against what its tools found.
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
        sources = _pages_of((n.node for n in answer.source_nodes), pages)
        values = (answer.metadata or {}).get("glyph")
        if values is None and isinstance(answer, Response):
            return verify_answer(answer.response or "", sources)
    elif isinstance(answer, AgentChatResponse | StreamingAgentChatResponse):
        if isinstance(answer, AgentChatResponse) or answer.is_done:
            return _told(str(answer), [source.raw_output for source in answer.sources], answer.source_nodes, pages)
    elif isinstance(answer, AgentOutput):
        outputs = [getattr(call, "tool_output", None) for call in answer.tool_calls]
        return _told(str(answer), [output.raw_output for output in outputs if output is not None], [], pages)
    elif isinstance(answer, ChatResponse | CompletionResponse):
        values = answer.additional_kwargs.get("glyph")
    if not isinstance(values, Mapping) or "citations" not in values:
        advice = "use verify_answer(text, pages)" if isinstance(answer, str | ChatMessage) else "read a stream to its end first"
        raise TypeError(f"no citations in a {type(answer).__name__}: {advice}")
    return read_citations(values, pages, sources)


def _told(text: str, found: Iterable[Any], nodes: Iterable[NodeWithScore], pages: PageSource | None) -> list[Citation]:
    """The citations of what a chat engine or an agent says, of what its tools found."""
    found = list(found)
    for output in found:  # an engine that passes an answer on
        if isinstance(output, _Response) and "glyph" in (output.metadata or {}) and str(output).strip() == text.strip():
            return citations_of(output, pages)
    scored = [*nodes, *(node for output in found for node in _nodes_in(output))]
    return verify_answer(text, _pages_of((n.node for n in scored), pages))


def _nodes_in(output: Any) -> Iterator[NodeWithScore]:
    nodes = output.source_nodes if isinstance(output, _Response) else output
    if isinstance(nodes, list):
        yield from (node for node in nodes if isinstance(node, NodeWithScore))


def _pages_of(nodes: Iterable[BaseNode], pages: PageSource | None) -> list[Page]:
    """The pages of nodes, also of nodes that an engine has cut or renamed: these still say which page they were."""
    found: dict[str, Page] = {}
    unknown = []
    for node in nodes:
        page_id = node.metadata.get("glyph_id")
        page = REGISTRY.find(page_id, pages) if isinstance(page_id, str) else None
        if page:
            found[page.id] = page
        else:
            unknown.append(node)
    return [*found.values(), *(page for page in pages_in(unknown) if page and page.id not in found)]
