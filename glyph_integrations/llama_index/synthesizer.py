"""`GlyphSynthesizer`: retrieved nodes to one cited answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

from llama_index.core.base.response.schema import RESPONSE_TYPE, Response
from llama_index.core.callbacks import CallbackManager
from llama_index.core.callbacks.schema import CBEventType, EventPayload
from llama_index.core.constants import DEFAULT_CONTEXT_WINDOW
from llama_index.core.instrumentation.events.synthesis import SynthesizeEndEvent, SynthesizeStartEvent
from llama_index.core.llms import LLM
from llama_index.core.llms.structured_llm import StructuredLLM
from llama_index.core.prompts.mixin import PromptDictType
from llama_index.core.response_synthesizers import BaseSynthesizer
from llama_index.core.schema import NodeWithScore, QueryBundle, QueryType, TextNode
from llama_index.core.settings import Settings
from llama_index.core.types import RESPONSE_TEXT_TYPE
from llama_index_instrumentation import get_dispatcher

from ..reading import ContextBuilder, ContextReport, Limits, PageModel, Turn
from ..reading.results import answer_results, with_cite
from ..rendering import Renderer
from ..vision import VisionProfile
from .glyph_llm import GlyphLLM, vision_of
from .page_llm import PageLLM
from .page_model_llm import PageModelLLM
from .page_nodes import as_pages

dispatcher = get_dispatcher(__name__)


class GlyphSynthesizer(BaseSynthesizer):
    """Answers from all retrieved nodes in one call: as many pages as fit the budget, as images where that costs less than their
    text, then the question. Nodes that are not pages are laid out as pages first.

    The response's ``metadata["glyph"]`` holds ``report`` (what became of every page, and what it cost) and ``citations``; read
    them with `citations_of`. In a stream they are there when it has ended.

    Args:
        llm: a LlamaIndex chat LLM or a `PageModel`; default ``Settings.llm``. Of a `GlyphLLM` its model is used, with its
            ``vision`` but none of its other settings.
        vision: how the model counts images: a `VisionProfile` or a model's name. None: known by the model's name; where that is
            unknown, pages go as text.
        budget: most tokens of the prompt. None: three quarters of the profile's or the LLM's context window, whichever is less.
        renderer: measures and draws (default ``Renderer()``).
        order, dpi, sharp, crop, sidecar, limits, monitor: as for `ContextBuilder`.
        cite: ask the model, in one line, to quote with page numbers.
        streaming: answer in a stream; structured output comes whole all the same.
        empty_response: the answer when nothing was retrieved, or no page fits the budget; the model is not asked then.
        callback_manager: as for `BaseSynthesizer`.

    Raises:
        TypeError: ``llm`` is neither a chat LLM nor a `PageModel`.
        UnknownModelError: ``vision`` names no known profile.
        BudgetError: when asked: the question alone does not fit.

    Example:
        ``RetrieverQueryEngine(retriever, response_synthesizer=GlyphSynthesizer(ExtractiveModel())).query("Who?")``
    """

    def __init__(
        self,
        llm: LLM | PageModel | None = None,
        vision: VisionProfile | str | None = None,
        budget: int | None = None,
        renderer: Renderer | None = None,
        *,
        order: Literal["document", "rank"] = "document",
        dpi: int | None = None,
        sharp: int = 1,
        crop: bool = True,
        sidecar: int | None = None,
        limits: Limits | None = None,
        monitor: Any = None,
        cite: bool = False,
        streaming: bool = False,
        empty_response: str | None = None,
        callback_manager: CallbackManager | None = None,
    ) -> None:
        if llm is None:
            llm = Settings.llm
        elif not isinstance(llm, LLM):
            if not isinstance(llm, PageModel):
                raise TypeError(f"{type(llm).__name__} is neither a LlamaIndex LLM nor a PageModel")
            llm = PageModelLLM(llm)
        profile = VisionProfile.get(vision) if vision is not None else vision_of(llm)
        if isinstance(llm, GlyphLLM):
            llm = llm.llm
        self._structured = isinstance(llm, StructuredLLM)
        super().__init__(
            llm=llm, callback_manager=callback_manager, streaming=streaming and not self._structured,
            empty_response=empty_response or "No answer: no page was found for this question, or none fits the budget.",
        )  # fmt: skip
        self._reader = llm if isinstance(llm, PageLLM) else GlyphLLM(llm=llm, vision=profile, renderer=renderer)
        self._instructions = [Turn("system", llm.system_prompt)] if llm.system_prompt else []
        if cite and not self._structured:
            self._instructions = with_cite(self._instructions)
        if budget is None:
            budget = _default_budget(profile, llm)
        self._builder = ContextBuilder(
            profile, budget, renderer, order=order, dpi=dpi, sharp=sharp, crop=crop, sidecar=sidecar, limits=limits,
            monitor=monitor,
        )  # fmt: skip
        self._described = [llm.output_cls.model_json_schema()] if isinstance(llm, StructuredLLM) else []

    # -- BaseSynthesizer ------------------------------------------------------------------------------------------------

    def synthesize(
        self,
        query: QueryType,
        nodes: list[NodeWithScore],
        additional_source_nodes: Sequence[NodeWithScore] | None = None,
        **response_kwargs: Any,
    ) -> RESPONSE_TYPE:
        """The answer from these nodes, which become its source nodes together with the additional ones."""
        bundle = QueryBundle(query) if isinstance(query, str) else query
        with self._observed(bundle) as finished:
            found: dict[str, Any] = {}
            answer = self._respond(bundle.query_str, nodes, found)
            finished.append(self._response(answer, [*nodes, *(additional_source_nodes or ())], found))
        return finished[0]

    async def asynthesize(
        self,
        query: QueryType,
        nodes: list[NodeWithScore],
        additional_source_nodes: Sequence[NodeWithScore] | None = None,
        **response_kwargs: Any,
    ) -> RESPONSE_TYPE:
        """`synthesize`, without blocking the event loop."""
        bundle = QueryBundle(query) if isinstance(query, str) else query
        with self._observed(bundle) as finished:
            found: dict[str, Any] = {}
            answer = await self._arespond(bundle.query_str, nodes, found)
            finished.append(self._response(answer, [*nodes, *(additional_source_nodes or ())], found))
        return finished[0]

    def get_response(self, query_str: str, text_chunks: Sequence[str], **response_kwargs: Any) -> RESPONSE_TEXT_TYPE:
        """The answer from plain texts."""
        return self._respond(query_str, [NodeWithScore(node=TextNode(text=text)) for text in text_chunks], {})

    async def aget_response(self, query_str: str, text_chunks: Sequence[str], **response_kwargs: Any) -> RESPONSE_TEXT_TYPE:
        """`get_response`, without blocking the event loop."""
        return await self._arespond(query_str, [NodeWithScore(node=TextNode(text=text)) for text in text_chunks], {})

    def _get_prompts(self) -> PromptDictType:
        return {}

    def _update_prompts(self, prompts: PromptDictType) -> None:
        """There are none."""

    # -- one call -------------------------------------------------------------------------------------------------------

    def _respond(self, question: str, nodes: Sequence[NodeWithScore], found: dict[str, Any]) -> RESPONSE_TEXT_TYPE:
        turns, report = self._context(question, nodes)
        found.update(self._results("", report))
        if not report.pages:
            return self._empty_response_generator() if self._streaming else self._empty_response
        if not self._streaming:
            text = self._reader.send(turns).message.content or ""
            found.update(self._results(text, report))
            return text

        def stream() -> Generator[str, None, None]:
            text = ""
            for chunk in self._reader.send_stream(turns):
                text += chunk.delta or ""
                yield chunk.delta or ""
            found.update(self._results(text, report))

        return stream()

    async def _arespond(self, question: str, nodes: Sequence[NodeWithScore], found: dict[str, Any]) -> RESPONSE_TEXT_TYPE:
        turns, report = await asyncio.to_thread(self._context, question, nodes)
        found.update(self._results("", report))
        if not report.pages:
            return self._empty_response_agenerator() if self._streaming else self._empty_response
        if not self._streaming:
            text = (await self._reader.asend(turns)).message.content or ""
            found.update(await asyncio.to_thread(self._results, text, report))
            return text

        async def stream() -> AsyncGenerator[str, None]:
            text = ""
            async for chunk in self._reader.asend_stream(turns):
                text += chunk.delta or ""
                yield chunk.delta or ""
            found.update(await asyncio.to_thread(self._results, text, report))

        return stream()

    def _context(self, question: str, nodes: Sequence[NodeWithScore]) -> tuple[list[Turn], ContextReport]:
        laid_out = as_pages([n.node for n in nodes], self._builder.gate.renderer)
        pages = [page for pages in laid_out for page in pages]
        return self._builder.build(question, pages, before=self._instructions, described=self._described)

    def _results(self, text: str, report: ContextReport) -> dict[str, Any]:
        return answer_results("" if self._structured else text, report, self._builder.gate.renderer)

    def _response(self, answer: Any, nodes: list[NodeWithScore], found: dict[str, Any]) -> RESPONSE_TYPE:
        if answer is self._empty_response:  # which is not to be parsed as structured output
            response: RESPONSE_TYPE = Response(answer, nodes, self._get_metadata_for_response([n.node for n in nodes]))
        else:
            response = self._prepare_response_output(answer, nodes)
        response.metadata = {**(response.metadata or {}), "glyph": found}  # which a stream fills at its end
        return response

    @contextmanager
    def _observed(self, query: QueryBundle) -> Iterator[list[RESPONSE_TYPE]]:
        """The events that `BaseSynthesizer` sends; the response is to be put into the list."""
        dispatcher.event(SynthesizeStartEvent(query=query))
        finished: list[RESPONSE_TYPE] = []
        with self._callback_manager.event(CBEventType.SYNTHESIZE, payload={EventPayload.QUERY_STR: query.query_str}) as event:
            yield finished
            event.on_end(payload={EventPayload.RESPONSE: finished[0]})
        dispatcher.event(SynthesizeEndEvent(query=query, response=finished[0]))


def _default_budget(profile: VisionProfile | None, llm: LLM) -> int | None:
    windows = [profile.context_window] if profile and profile.context_window else []
    if llm.metadata.context_window != DEFAULT_CONTEXT_WINDOW:  # which is what an LLM says that was told nothing
        windows.append(llm.metadata.context_window)
    return min(windows) * 3 // 4 if windows else None
