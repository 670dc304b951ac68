"""`GlyphSummarizer`: documents, paths or a vector store in, a cited summary out."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from typing import Any

from langchain_core.documents import Document
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.runnables import Runnable, RunnableConfig, ensure_config, run_in_executor

from ..index import PageIndex
from ..page import Page
from ..reading import REGISTRY, Answer, PageModel, Turn, Usage
from ..reading.models.asked import AskedModel
from ..reading.placement import Gate
from ..rendering import Renderer
from ..summarizing import Style, Summarizer, Summary
from ..vision import VisionProfile
from .chat_glyph import ChatGlyph
from .chat_page_model import ChatPageModel
from .loader import GlyphLoader
from .messages import to_messages
from .page_documents import document_id, pages_of, paginate_plain
from .vector_store import GlyphVectorStore

Source = str | os.PathLike[str] | Document | Iterable[str | os.PathLike[str] | Document] | GlyphVectorStore | PageIndex


class GlyphSummarizer(Runnable[Any, AIMessage]):
    """Summarizes Documents, files or a whole vector store, level by level, with citations; see `Summarizer`.

    What comes out is a message with the summary for text. Its ``response_metadata["glyph"]`` holds `Summary.to_dict`, so
    `citations_of` gives the checked citations. A stream gives a chunk without text for every finished part (a group of pages, a
    section, a document), which holds the part in ``response_metadata["glyph_parts"]``, and the summary in the last chunk.

    Documents that are no pages are laid out first; a string is a path, as for `GlyphLoader`, and never a text.

    Args:
        llm: a chat model, such as ``ChatOpenAI(...)``, a `ChatGlyph` or a `ChatPageModel`, or a `PageModel`. It is called as it
            is: limit its answers yourself, if you want that. None: the most central sentences, without a model.
        vision: how the model counts images: a `VisionProfile` or a name. None: known by the model's name.
        filter: which pages of a vector store.
        renderer: lays out and draws (default ``Renderer()``).
        settings: all else that `Summarizer` takes: ``style``, ``question``, ``language``, ``cache``, ``concurrency``,
            ``budget``.

    Raises:
        TypeError: ``llm`` is no chat model; when called: input that is none of the above.
        ValueError, UnknownModelError: as for `Summarizer`.
        DocumentError, ModelError: when called: as for `Summarizer.summarize`.

    Example:
        ``GlyphSummarizer(ChatOpenAI(model="zai-org/Glyph", base_url=url), style="bullets").invoke("reports/**/*.pdf")``
    """

    def __init__(
        self,
        llm: BaseChatModel | Runnable[Any, Any] | PageModel | None = None,
        *,
        vision: VisionProfile | str | None = None,
        style: Style = "brief",
        filter: Mapping[str, Any] | None = None,
        renderer: Renderer | None = None,
        **settings: Any,
    ) -> None:
        self._llm = llm
        self._vision = vision
        self._filter = filter
        self._renderer = renderer or Renderer()
        self._settings = {"style": style, **settings}
        self._summarizer(ensure_config())  # so that a wrong setting is an error now

    def invoke(self, input: Source, config: RunnableConfig | None = None, **kwargs: Any) -> AIMessage:
        """The summary as a message."""
        return self._call_with_config(self._invoke, input, config, **kwargs)

    async def ainvoke(self, input: Source, config: RunnableConfig | None = None, **kwargs: Any) -> AIMessage:
        """`invoke`, without blocking the event loop."""
        return await self._acall_with_config(self._ainvoke, input, config, **kwargs)

    def stream(self, input: Source, config: RunnableConfig | None = None, **kwargs: Any) -> Iterator[AIMessage]:
        """Each finished part, then the summary."""
        yield from self._transform_stream_with_config(iter([input]), self._transform, config, **kwargs)

    async def astream(self, input: Source, config: RunnableConfig | None = None, **kwargs: Any) -> AsyncIterator[AIMessage]:
        """`stream`, without blocking the event loop."""

        async def once() -> AsyncIterator[Source]:
            yield input

        async for chunk in self._atransform_stream_with_config(once(), self._atransform, config, **kwargs):
            yield chunk

    # -- one run --------------------------------------------------------------------------------------------------------

    def _invoke(self, what: Any, run_manager: Any, config: RunnableConfig) -> AIMessage:
        return _message(self._summarizer(config).summarize(self._pages(what), filter=self._filter_for(what)))

    async def _ainvoke(self, what: Any, run_manager: Any, config: RunnableConfig) -> AIMessage:
        pages = await run_in_executor(None, self._pages, what)
        return _message(await self._summarizer(config).asummarize(pages, filter=self._filter_for(what)))

    def _transform(self, inputs: Iterator[Any], run_manager: Any, config: RunnableConfig) -> Iterator[AIMessage]:
        for what in inputs:
            summary = None
            for part in self._summarizer(config).stream(self._pages(what), filter=self._filter_for(what)):
                if summary:
                    yield _part(summary)
                summary = part
            if summary:
                yield _last(summary)

    async def _atransform(
        self, inputs: AsyncIterator[Any], run_manager: Any, config: RunnableConfig
    ) -> AsyncIterator[AIMessage]:
        async for what in inputs:
            summary = None
            pages = await run_in_executor(None, self._pages, what)
            async for part in self._summarizer(config).astream(pages, filter=self._filter_for(what)):
                if summary:
                    yield _part(summary)
                summary = part
            if summary:
                yield _last(summary)

    def _summarizer(self, config: RunnableConfig) -> Summarizer:
        model = self._llm
        vision = self._vision
        if isinstance(model, ChatPageModel):
            model = model.model
        elif isinstance(model, Runnable):
            model = _asked(model, vision, self._renderer, config)
        elif model is not None and not isinstance(model, PageModel):
            raise TypeError(f"{type(model).__name__} is neither a LangChain chat model nor a PageModel")
        return Summarizer(model, vision=vision, renderer=self._renderer, **self._settings)

    def _filter_for(self, what: Source) -> Mapping[str, Any] | None:
        return self._filter if isinstance(what, GlyphVectorStore | PageIndex) else None

    def _pages(self, what: Source) -> list[Page] | PageIndex:
        if isinstance(what, GlyphVectorStore):
            return what.index
        if isinstance(what, PageIndex):
            return what
        if isinstance(what, str | os.PathLike | Document):
            what = [what]
        elif not isinstance(what, Iterable) or isinstance(what, Mapping | BaseMessage):
            raise TypeError(f"expected Documents, paths or a vector store, not a {type(what).__name__}")
        documents: list[Document] = []
        for item in what:
            if isinstance(item, Document):
                documents.append(item)
            elif isinstance(item, str | os.PathLike):
                documents += GlyphLoader(item, self._renderer).lazy_load()
            else:
                raise TypeError(f"expected Documents or paths, not a {type(item).__name__}")
        found = zip(documents, pages_of(documents), strict=True)
        laid_out = ([page] if page else paginate_plain(d, document_id(d), self._renderer) for d, page in found)
        return [page for pages in laid_out for page in pages]


def _asked(
    llm: Runnable[Any, Any], vision: VisionProfile | str | None, renderer: Renderer, config: RunnableConfig
) -> AskedModel:
    """A chat model, called as any chain calls it, within the run of the summarizer."""
    drawn = llm if isinstance(llm, ChatGlyph) else ChatGlyph(llm=llm, vision=vision, renderer=renderer)
    inner = drawn._inner
    gate = Gate(drawn._vision_profile(), renderer)
    within: RunnableConfig = {**config, "run_name": None}  # type: ignore[typeddict-item]

    def ask(turns: Sequence[Turn]) -> Answer:
        return _answer(drawn.llm.invoke(to_messages(turns, gate.png), within))

    async def aask(turns: Sequence[Turn]) -> Answer:
        messages = await run_in_executor(None, to_messages, turns, gate.png)
        return _answer(await drawn.llm.ainvoke(messages, within))

    name = str(getattr(inner, "model_name", None) or getattr(inner, "model", None) or type(inner).__name__)
    return AskedModel(name, gate.vision, str(drawn._identifying_params), ask, aask)


def _answer(message: Any) -> Answer:
    used = getattr(message, "usage_metadata", None)
    usage = Usage(used["input_tokens"], used["output_tokens"]) if used else None
    return Answer(str(message.text) if isinstance(message, BaseMessage) else str(message), usage)


def _message(summary: Summary) -> AIMessage:
    return AIMessage(content=summary.text, response_metadata=_metadata(summary))


def _part(summary: Summary) -> AIMessageChunk:
    return AIMessageChunk(content="", response_metadata={"glyph_parts": [_metadata(summary)["glyph"]]})


def _last(summary: Summary) -> AIMessageChunk:
    return AIMessageChunk(content=summary.text, response_metadata=_metadata(summary), chunk_position="last")


def _metadata(summary: Summary) -> dict[str, Any]:
    REGISTRY.register(summary.cited_pages)  # so that `citations_of` finds them
    return {"glyph": summary.to_dict()}
