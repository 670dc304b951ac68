"""An agent with page search as its tool: a LangChain agent loop that runs offline.

The model here is a stand-in: it searches once, with the user's own words, and then quotes what was found. With a server that
serves a vision model, the same agent decides for itself:

    python agent.py --base-url http://127.0.0.1:8000/v1 --model Qwen/Qwen3-VL-8B-Instruct "When is a finally clause executed?"
"""

from __future__ import annotations

import argparse
from pydoc_data.topics import topics
from typing import Any

from langchain_core.documents import Document
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.tools import BaseTool

from glyph_integrations import ExtractiveModel
from glyph_integrations.langchain import (
    ChatGlyph,
    ChatPageModel,
    GlyphVectorStore,
    PageSplitter,
    citations_of,
    create_page_tool,
)


class SearchesOnce(BaseChatModel):
    """Calls its tool with the question, then quotes from what it is shown."""

    @property
    def _llm_type(self) -> str:
        return "searches-once"

    def bind_tools(self, tools: Any, **kwargs: Any) -> Any:
        return self.bind(tools=[tool.name for tool in tools])

    def _generate(self, messages: list[BaseMessage], stop: Any = None, run_manager: Any = None, **kwargs: Any) -> ChatResult:
        if any(isinstance(message, ToolMessage) for message in messages):
            return ChatPageModel(model=ExtractiveModel(vision="zai-org/Glyph"))._generate(messages)
        call = {"name": kwargs["tools"][0], "args": {"query": str(messages[-1].content)}, "id": "search-1"}
        return ChatResult(generations=[ChatGeneration(message=AIMessage("", tool_calls=[call]))])


def run_agent(llm: Any, tools: list[BaseTool], question: str) -> list[BaseMessage]:
    """The loop that every agent is: ask, call tools, ask again. `langchain.agents.create_agent` is the same with more to it."""
    named = {tool.name: tool for tool in tools}
    model = llm.bind_tools(tools)
    messages: list[BaseMessage] = [HumanMessage(question)]
    while True:
        answer = model.invoke(messages)
        messages.append(answer)
        if not answer.tool_calls:
            return messages
        messages += [named[call["name"]].invoke({**call, "type": "tool_call"}) for call in answer.tool_calls]


parser = argparse.ArgumentParser(description="Ask an agent that searches pages.")
parser.add_argument("question", nargs="?", default="When is a finally clause executed?")
parser.add_argument("--base-url")
parser.add_argument("--model", default="zai-org/Glyph")
args = parser.parse_args()

store = GlyphVectorStore()
store.add_documents(
    PageSplitter().split_documents([Document("\n\n".join(topics.values()), metadata={"source": "reference.txt"})])
)
search = create_page_tool(store, description="Searches the language reference of Python.", k=3)

if args.base_url:
    from langchain_openai import ChatOpenAI

    llm = ChatGlyph(llm=ChatOpenAI(base_url=args.base_url, model=args.model, api_key="none"))
else:
    llm = ChatGlyph(llm=SearchesOnce(), vision="zai-org/Glyph")

messages = run_agent(llm, [search], args.question)
for message in messages:
    if isinstance(message, ToolMessage):
        print("the tool found pages", ", ".join(str(found.metadata["glyph_n"]) for found in message.artifact))
answer = messages[-1]
report = answer.response_metadata["glyph"]["report"]
print(f"{report['image_tokens']:,} tokens as images instead of {report['text_tokens_replaced']:,} as text")
print(f"\n{args.question}\n{answer.text}\n")
for citation in citations_of(answer):
    print(f"page:line {citation}, verified: {citation.verified}")
