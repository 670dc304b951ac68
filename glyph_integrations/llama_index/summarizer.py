"""`GlyphSummarizer`: nodes in, a cited summary out, as a response synthesizer."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator, Sequence
from typing import Any

from llama_index.core.base.response.schema import RESPONSE_TYPE
from llama_index.core.callbacks import CallbackManager
from llama_index.core.llms import LLM
from llama_index.core.prompts.mixin import PromptDictType
from llama_index.core.response_synthesizers import BaseSynthesizer
from llama_index.core.schema import NodeWithScore, QueryBundle, QueryType, TextNode
from llama_index.core.types import RESPONSE_TEXT_TYPE

from ..errors import DocumentError
from ..page import Page
from ..reading import REGISTRY, Answer, ExtractiveModel, PageModel, Turn, Usage
from ..reading.models.asked import AskedModel
from ..rendering import Renderer
from ..summarizing import Style, Summarizer, Summary
from ..vision import VisionProfile
from .glyph_llm import GlyphLLM, vision_of
from .page_llm import PageLLM
from .page_model_llm import PageModelLLM
from .page_nodes import as_pages


class GlyphSummarizer(BaseSynthesizer):
    """Summarizes all nodes, level by level, with citations; see `Summarizer`. For ``SummaryIndex(nodes).as_query_engine(
    response_synthesizer=GlyphSummarizer(llm))`` and any other query engine. Nodes that are not pages are laid out first.

    By default the query is the question that the summary is about. With another ``style`` the query says nothing but that a
    summary is wanted.

    The response's ``metadata["glyph"]`` holds `Summary.to_dict`; `citations_of` gives the checked citations. In a stream, the
    summary comes a sentence at a time once it is finished; `parts` gives the summaries on the way as they are made.

    Args:
        llm: a LlamaIndex chat LLM or a `PageModel`. None: the most central sentences, without a model (``Settings.llm`` is not
            asked).
        vision: how the model counts images: a `VisionProfile` or a name. None: known by the model's name.
        style: ``question`` (default), ``brief``, ``detailed`` or ``bullets``.
        renderer: lays out and draws (default ``Renderer()``).
        streaming, empty_response, callback_manager: as for `BaseSynthesizer`.
        settings: all else that `Summarizer` takes: ``language``, ``cache``, ``concurrency``, ``budget`` and so on.

    Raises:
        TypeError: ``llm`` is neither a chat LLM nor a `PageModel`.
        ValueError, UnknownModelError: as for `Summarizer`.
        ModelError: when asked: not one call succeeded.
    """

    def __init__(
        self,
        llm: LLM | PageModel | None = None,
        vision: VisionProfile | str | None = None,
        *,
        style: Style = "question",
        renderer: Renderer | None = None,
        streaming: bool = False,
        empty_response: str | None = None,
        callback_manager: CallbackManager | None = None,
        **settings: Any,
    ) -> None:
        self._renderer = renderer or Renderer()
        self._style = style
        self._settings = {"vision": vision, "renderer": self._renderer, **settings}
        self._model: PageModel | None
        if isinstance(llm, PageModelLLM):
            self._model = llm.model
        elif isinstance(llm, LLM):
            self._model = _asked(llm, vision, self._renderer)
        elif llm is None or isinstance(llm, PageModel):
            self._model = llm
        else:
            raise TypeError(f"{type(llm).__name__} is neither a LlamaIndex LLM nor a PageModel")
        super().__init__(
            llm=llm if isinstance(llm, LLM) else PageModelLLM(llm or ExtractiveModel()), callback_manager=callback_manager,
            streaming=streaming, empty_response=empty_response or "There was nothing to summarize.",
        )  # fmt: skip
        self._summarizer("?")  # so that a wrong setting is an error now

    def synthesize(
        self,
        query: QueryType,
        nodes: list[NodeWithScore],
        additional_source_nodes: Sequence[NodeWithScore] | None = None,
        **response_kwargs: Any,
    ) -> RESPONSE_TYPE:
        """The summary of these nodes, which become its source nodes together with the additional ones."""
        found: dict[str, Any] = {}
        answer = self._respond(_text_of(query), nodes, found)
        return self._response(answer, [*nodes, *(additional_source_nodes or ())], found)

    async def asynthesize(
        self,
        query: QueryType,
        nodes: list[NodeWithScore],
        additional_source_nodes: Sequence[NodeWithScore] | None = None,
        **response_kwargs: Any,
    ) -> RESPONSE_TYPE:
        """`synthesize`, without blocking the event loop."""
        found: dict[str, Any] = {}
        answer = await self._arespond(_text_of(query), nodes, found)
        return self._response(answer, [*nodes, *(additional_source_nodes or ())], found)

    def parts(self, query: QueryType, nodes: Sequence[NodeWithScore]) -> Iterator[Summary]:
        """Each part when it is finished: groups of pages, sections, documents; the last is the whole."""
        yield from self._summarizer(_text_of(query)).stream(self._pages(nodes))

    async def aparts(self, query: QueryType, nodes: Sequence[NodeWithScore]) -> AsyncIterator[Summary]:
        """`parts`, without blocking the event loop."""
        pages = await asyncio.to_thread(self._pages, nodes)
        async for part in self._summarizer(_text_of(query)).astream(pages):
            yield part

    def get_response(self, query_str: str, text_chunks: Sequence[str], **response_kwargs: Any) -> RESPONSE_TEXT_TYPE:
        """The summary of plain texts."""
        return self._respond(query_str, [NodeWithScore(node=TextNode(text=text)) for text in text_chunks], {})

    async def aget_response(self, query_str: str, text_chunks: Sequence[str], **response_kwargs: Any) -> RESPONSE_TEXT_TYPE:
        """`get_response`, without blocking the event loop."""
        return await self._arespond(query_str, [NodeWithScore(node=TextNode(text=text)) for text in text_chunks], {})

    def _get_prompts(self) -> PromptDictType:
        return {}

    def _update_prompts(self, prompts: PromptDictType) -> None:
        """There are none."""

    # -- one run --------------------------------------------------------------------------------------------------------

    def _summarizer(self, question: str) -> Summarizer:
        asked = question if self._style == "question" and question.strip() else None
        style: Style = "brief" if self._style == "question" and asked is None else self._style
        return Summarizer(self._model, style=style, question=asked, **self._settings)

    def _pages(self, nodes: Sequence[NodeWithScore]) -> list[Page]:
        return [page for pages in as_pages([n.node for n in nodes], self._renderer) for page in pages]

    def _respond(self, question: str, nodes: Sequence[NodeWithScore], found: dict[str, Any]) -> RESPONSE_TEXT_TYPE:
        def summarize() -> str:
            try:
                return self._told(self._summarizer(question).summarize(self._pages(nodes)), found)
            except DocumentError:
                return self._empty_response

        if not self._streaming:
            return summarize()

        def stream() -> Generator[str, None, None]:
            yield from _sentences(summarize())

        return stream()

    async def _arespond(self, question: str, nodes: Sequence[NodeWithScore], found: dict[str, Any]) -> RESPONSE_TEXT_TYPE:
        async def summarize() -> str:
            try:
                pages = await asyncio.to_thread(self._pages, nodes)
                return self._told(await self._summarizer(question).asummarize(pages), found)
            except DocumentError:
                return self._empty_response

        if not self._streaming:
            return await summarize()

        async def stream() -> AsyncGenerator[str, None]:
            for piece in _sentences(await summarize()):
                yield piece

        return stream()

    def _told(self, summary: Summary, found: dict[str, Any]) -> str:
        REGISTRY.register(summary.cited_pages)  # so that `citations_of` finds them
        found.update(summary.to_dict())
        return summary.text or self._empty_response

    def _response(self, answer: RESPONSE_TEXT_TYPE, nodes: list[NodeWithScore], found: dict[str, Any]) -> RESPONSE_TYPE:
        response = self._prepare_response_output(answer, nodes)
        response.metadata = {**(response.metadata or {}), "glyph": found}  # which a stream fills when it begins
        return response


def _asked(llm: LLM, vision: VisionProfile | str | None, renderer: Renderer) -> AskedModel:
    """A chat LLM."""
    profile = VisionProfile.get(vision) if vision is not None else vision_of(llm)
    inner = llm.llm if isinstance(llm, GlyphLLM) else llm
    reader: PageLLM = inner if isinstance(inner, PageLLM) else GlyphLLM(llm=inner, vision=profile, renderer=renderer)

    def ask(turns: Sequence[Turn]) -> Answer:
        return _answer(reader.send([*turns]))

    async def aask(turns: Sequence[Turn]) -> Answer:
        return _answer(await reader.asend([*turns]))

    settings = f"{inner.class_name()} {getattr(inner, 'temperature', None)} {inner.system_prompt}"
    return AskedModel(inner.metadata.model_name, profile, settings, ask, aask)


def _answer(response: Any) -> Answer:
    made = response.additional_kwargs.get("completion_tokens")
    usage = Usage(response.additional_kwargs.get("prompt_tokens") or 0, made) if isinstance(made, int) else None
    return Answer(response.message.content or "", usage)


def _sentences(text: str) -> list[str]:
    """The text in pieces that each end with a citation."""
    return re.findall(r".+?(?:\][.。]?\s+|\Z)", text, re.S) or [text]


def _text_of(query: QueryType) -> str:
    return query.query_str if isinstance(query, QueryBundle) else query
