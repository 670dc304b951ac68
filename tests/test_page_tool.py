"""`create_page_tool` of both adapters: pages for agents."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageChops

from glyph_integrations import ExtractiveModel, Page, PageIndex, Renderer, verify_answer
from glyph_integrations.errors import UnknownModelError
from glyph_integrations.reading import REGISTRY, split_tags

LOG = "".join(f"On day {i} the ship {name} sailed.\n" for i, name in enumerate(["Aurora", "Borea", "Cassia", "Dione"] * 300))
AMBER = "Amber is the resin of trees that died long ago. It burns with a scent of pine.\n" + "".join(
    f"Piece {i} was found on the beach and weighed {i * 7 % 90} grams.\n" for i in range(60)
)


@pytest.fixture
def index(tmp_path: Path) -> Iterator[PageIndex]:
    with PageIndex.open() as made:
        made.add(Renderer().paginate(LOG, source="log.txt"))
        made.add(Renderer().paginate(AMBER, source="amber.txt"))
        yield made


def picture_of(data: bytes) -> Image.Image:
    return Image.open(BytesIO(data)).convert("L")


def same(one: Image.Image, other: Image.Image) -> bool:
    return one.size == other.size and not ImageChops.difference(one, other.convert("L")).getbbox()


class TestLangChain:
    @pytest.fixture(autouse=True)
    def _installed(self) -> None:
        pytest.importorskip("langchain_core")

    def tool(self, index: PageIndex, **options: Any) -> Any:
        from glyph_integrations.langchain import GlyphVectorStore, create_page_tool

        return create_page_tool(GlyphVectorStore(index=index), **options)

    @staticmethod
    def called(tool: Any, query: str) -> dict[str, Any]:
        return {"type": "tool_call", "id": "1", "name": tool.name, "args": {"query": query}}

    async def test_an_agent_gets_tagged_text_and_the_documents_as_artifact(self, index: PageIndex) -> None:
        tool = self.tool(index, k=2)
        message = tool.invoke(self.called(tool, "Which ship sailed on day 333?"))
        tags = [tag for tag in split_tags(message.content) if not isinstance(tag, str)]
        assert len(tags) == len(message.artifact) == 2
        page = REGISTRY.resolve(tags[0])
        assert page and "day 333 " in page.text and page.id in index
        assert message.content == "\n\n".join(d.page_content for d in message.artifact)
        assert await tool.ainvoke(self.called(tool, "Which ship sailed on day 333?")) == message
        assert tool.args_schema.model_json_schema()["required"] == ["query"]

    async def test_images_are_those_of_the_pages(self, index: PageIndex) -> None:
        tool = self.tool(index, k=2, images=True, dpi=96)
        for message in (tool.invoke(self.called(tool, "amber day 7")), await tool.ainvoke(self.called(tool, "amber day 7"))):
            assert [block["type"] for block in message.content] == ["text", "image_url"] * 2
            labels = [block["text"] for block in message.content[::2]]
            pages = [REGISTRY.page(d.metadata["glyph_id"]) for d in message.artifact]
            for page, label, block in zip(pages, labels, message.content[1::2], strict=True):
                assert page and label == f"Page {page.number} of {page.source}"
                data = base64.b64decode(block["image_url"]["url"].partition(",")[2])
                assert same(picture_of(data), Renderer().draw(page, dpi=96))
                assert REGISTRY.page_of_png(data) == page

    def test_a_page_whose_file_is_not_at_hand_is_sent_as_text(self, index: PageIndex) -> None:
        from langchain_core.documents import Document
        from langchain_core.retrievers import BaseRetriever

        from glyph_integrations.langchain import create_page_tool
        from glyph_integrations.langchain.page_documents import page_document
        from glyph_integrations.picture import Picture

        drawn = next(iter(index))
        lost = Page("Words of a scan.", drawn.style, (), "scan.pdf", picture=Picture("scan.pdf", "0" * 64, 0, 200, 300))

        class Found(BaseRetriever):
            def _get_relevant_documents(self, query: str, *, run_manager: Any) -> list[Document]:
                return [page_document(lost), Document("A plain note.", id="note"), page_document(drawn)]

        message_content, artifact = create_page_tool(Found(), images=True).func("anything")  # type: ignore[misc]
        texts = [block["text"] for block in message_content if block["type"] == "text"]
        assert sum("Words of a scan." in text for text in texts) == 1
        assert len(artifact) == 3 and sum(block["type"] == "image_url" for block in message_content) == 2

    def test_nothing_found_is_said(self, index: PageIndex) -> None:
        tool = self.tool(index)
        message = tool.invoke(self.called(tool, "xylophone zugzwang"))
        assert message.content == "No page was found for this." and message.artifact == []

    def test_the_tool_is_told_what_it_is_called_and_what_it_must_not_be_given(self, index: PageIndex) -> None:
        from glyph_integrations.langchain import GlyphVectorStore, create_page_tool

        tool = self.tool(index, name="ships", description="The log of the ships.", filter={"glyph_source": "amber.txt"}, k=1)
        assert (tool.name, tool.description) == ("ships", "The log of the ships.")
        (document,) = tool.invoke(self.called(tool, "ship")).artifact or [None]
        assert document is None or document.metadata["glyph_source"] == "amber.txt"
        with pytest.raises(TypeError, match="set these on the retriever"):
            create_page_tool(GlyphVectorStore(index=index).as_retriever(), k=3)
        with pytest.raises(TypeError, match="pass a retriever or a vector store"):
            create_page_tool("pages")  # type: ignore[arg-type]
        with pytest.raises(UnknownModelError):
            self.tool(index, images=True, vision="no such model")

    @pytest.mark.parametrize("images", [False, True])
    def test_a_chat_model_answers_from_the_tools_message_with_checked_citations(self, index: PageIndex, images: bool) -> None:
        from langchain_core.messages import AIMessage, HumanMessage

        from glyph_integrations.langchain import ChatPageModel, citations_of

        tool = self.tool(index, k=1, images=images)
        call = self.called(tool, "What does amber burn with?")
        asked = [HumanMessage("What does amber burn with?"), AIMessage("", tool_calls=[call]), tool.invoke(call)]
        answer = ChatPageModel(model=ExtractiveModel(vision="glyph")).invoke(asked)
        assert "scent of pine" in answer.text
        assert [c.page.source for c in citations_of(answer) if c.verified and c.page][:1] == ["amber.txt"]
        found = [page for d in asked[-1].artifact if (page := REGISTRY.page(d.metadata["glyph_id"]))]
        assert all(c.verified for c in verify_answer(answer.text, found))


class TestLlamaIndex:
    @pytest.fixture(autouse=True)
    def _installed(self) -> None:
        pytest.importorskip("llama_index.core")

    async def test_an_agent_gets_tagged_text_and_the_nodes(self, index: PageIndex) -> None:
        from llama_index.core.tools import AsyncBaseTool

        from glyph_integrations.llama_index import create_page_tool

        tool = create_page_tool(index, similarity_top_k=2)
        assert isinstance(tool, AsyncBaseTool)
        output = tool.call(query="Which ship sailed on day 333?")
        tags = [tag for tag in split_tags(output.content) if not isinstance(tag, str)]
        page = REGISTRY.resolve(tags[0])  # type: ignore[arg-type]
        assert page and "day 333 " in page.text and page.id in index
        assert [n.node.node_id for n in output.raw_output] == [tag.id for tag in tags if not isinstance(tag, str)]
        assert (await tool.acall("Which ship sailed on day 333?")).blocks == output.blocks
        assert tool.metadata.to_openai_tool()["function"]["parameters"]["required"] == ["query"]

    async def test_images_are_those_of_the_pages(self, index: PageIndex) -> None:
        from llama_index.core.base.llms.types import ImageBlock, TextBlock

        from glyph_integrations.llama_index import create_page_tool

        tool = create_page_tool(index, images=True, dpi=96, similarity_top_k=2)
        for output in (tool.call(query="amber day 7"), await tool.acall(query="amber day 7")):
            assert [type(block) for block in output.blocks] == [TextBlock, ImageBlock] * 2
            pages = [REGISTRY.page(n.node.node_id) for n in output.raw_output]
            for page, label, block in zip(pages, output.blocks[::2], output.blocks[1::2], strict=True):
                assert page and isinstance(label, TextBlock) and label.text == f"Page {page.number} of {page.source}"
                assert isinstance(block, ImageBlock)
                data = block.resolve_image().read()
                assert same(picture_of(data), Renderer().draw(page, dpi=96)) and REGISTRY.page_of_png(data) == page

    def test_what_is_no_page_or_cannot_be_drawn_is_sent_as_text(self, index: PageIndex) -> None:
        from llama_index.core.retrievers import BaseRetriever
        from llama_index.core.schema import NodeWithScore, TextNode

        from glyph_integrations.llama_index import create_page_tool
        from glyph_integrations.llama_index.page_nodes import page_node
        from glyph_integrations.picture import Picture

        drawn = next(iter(index))
        lost = Page("Words of a scan.", drawn.style, (), "scan.pdf", picture=Picture("scan.pdf", "0" * 64, 0, 200, 300))
        nodes = [page_node(lost), TextNode(text="A plain note."), page_node(drawn)]

        class Found(BaseRetriever):
            def _retrieve(self, query_bundle: Any) -> list[NodeWithScore]:
                return [NodeWithScore(node=node) for node in nodes]

        output = create_page_tool(Found(), images=True).call("anything")
        assert [block.block_type for block in output.blocks] == ["text", "text", "text", "image"]
        assert "Words of a scan." in output.content and "A plain note." in output.content
        with pytest.raises(TypeError, match="set these on the retriever"):
            create_page_tool(Found(), similarity_top_k=3)

    def test_nothing_found_is_said_and_a_wrong_model_refused(self, index: PageIndex) -> None:
        from glyph_integrations.llama_index import create_page_tool

        assert create_page_tool(index).call("xylophone zugzwang").content == "No page was found for this."
        with pytest.raises(UnknownModelError):
            create_page_tool(index, vision="no such model")
        with pytest.raises(TypeError, match="GlyphVectorStore"):
            create_page_tool("pages")  # type: ignore[arg-type]

    @pytest.mark.parametrize("images", [False, True])
    def test_an_llm_answers_from_the_tools_message_with_checked_citations(self, index: PageIndex, images: bool) -> None:
        from llama_index.core.base.llms.types import ChatMessage, MessageRole

        from glyph_integrations.llama_index import PageModelLLM, citations_of, create_page_tool

        tool = create_page_tool(index, images=images, similarity_top_k=1)
        output = tool.call(query="What does amber burn with?")
        asked = [
            ChatMessage("What does amber burn with?"),
            ChatMessage(role=MessageRole.TOOL, blocks=output.blocks, additional_kwargs={"tool_call_id": "1"}),
        ]
        answer = PageModelLLM(ExtractiveModel(vision="glyph")).chat(asked)
        assert "scent of pine" in str(answer)
        assert [c.page.source for c in citations_of(answer) if c.verified and c.page][:1] == ["amber.txt"]

    async def test_a_function_agent_calls_it(self, index: PageIndex) -> None:
        from llama_index.core.agent.workflow import FunctionAgent, ToolCallResult
        from llama_index.core.base.llms.types import ChatMessage, ChatResponse, LLMMetadata, MessageRole
        from llama_index.core.llms.function_calling import FunctionCallingLLM
        from llama_index.core.llms.llm import ToolSelection

        from glyph_integrations.llama_index import create_page_tool

        class Caller(FunctionCallingLLM):
            """Calls the tool once, then repeats what it said."""

            @property
            def metadata(self) -> LLMMetadata:
                return LLMMetadata(is_function_calling_model=True, is_chat_model=True)

            def _prepare_chat_with_tools(self, tools: Any, **kwargs: Any) -> dict[str, Any]:
                return {"messages": kwargs["chat_history"]}

            def get_tool_calls_from_response(self, response: Any, **kwargs: Any) -> list[ToolSelection]:
                return response.raw or []

            def chat(self, messages: Any, **kwargs: Any) -> ChatResponse:
                told = [m for m in messages if m.role == MessageRole.TOOL]
                if told:
                    return ChatResponse(message=ChatMessage("told: " + str(told[-1].content), role="assistant"))
                call = ToolSelection(tool_id="1", tool_name="search_pages", tool_kwargs={"query": "What is amber?"})
                return ChatResponse(message=ChatMessage("", role="assistant"), raw=[call])

            async def achat(self, messages: Any, **kwargs: Any) -> ChatResponse:
                return self.chat(messages)

            def stream_chat(self, messages: Any, **kwargs: Any) -> Any:
                yield self.chat(messages)

            async def astream_chat(self, messages: Any, **kwargs: Any) -> Any:
                async def one() -> Any:
                    yield self.chat(messages)

                return one()

            async def astream_chat_with_tools(self, tools: Any, **kwargs: Any) -> Any:
                return await self.astream_chat(kwargs["chat_history"])

            async def achat_with_tools(self, tools: Any, **kwargs: Any) -> ChatResponse:
                return self.chat(kwargs["chat_history"])

            complete = acomplete = stream_complete = astream_complete = chat  # type: ignore[assignment]

        agent = FunctionAgent(tools=[create_page_tool(index, similarity_top_k=1)], llm=Caller())
        handler = agent.run("What is amber?")
        results = [event async for event in handler.stream_events() if isinstance(event, ToolCallResult)]
        assert "resin of trees" in str(await handler)
        assert [r.tool_output.is_error for r in results] == [False]
