"""Long documents, a question, a cited answer: a LangChain pipeline that runs offline.

The document is Python's own language reference. The model quotes its pages; put any vision chat model in its place, such as
``ChatGlyph(llm=ChatOpenAI(base_url="http://127.0.0.1:8000/v1", model="zai-org/Glyph"))``.
"""

from __future__ import annotations

import sys
from pydoc_data.topics import topics

from langchain_core.documents import Document
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnablePassthrough

from glyph_integrations import ExtractiveModel
from glyph_integrations.langchain import ChatGlyph, ChatPageModel, GlyphVectorStore, PageSplitter, citations_of


def join(documents: list[Document]) -> str:
    return "\n\n".join(document.page_content for document in documents)


reference = Document("\n\n".join(topics.values()), metadata={"source": "language_reference.txt"})
pages = PageSplitter().split_documents([reference])
store = GlyphVectorStore.from_documents(pages)
prompt = ChatPromptTemplate.from_messages(
    [("system", "Answer from these pages:\n\n{context}"), ("human", "{question}")],
)
llm = ChatGlyph(llm=ChatPageModel(model=ExtractiveModel(vision="zai-org/Glyph")))
chain = {"context": store.as_retriever(k=4) | join, "question": RunnablePassthrough()} | prompt | llm

question = " ".join(sys.argv[1:]) or "When is the else clause of a loop executed?"
answer = chain.invoke(question)

report = answer.response_metadata["glyph"]["report"]
print(f"{len(reference.page_content):,} characters on {len(pages)} pages, of which {len(report['pages'])} are shown")
print(f"prompt: {report['tokens']:,} tokens; the shown pages as text: {report['text_tokens_replaced']:,}")
print(f"\n{question}\n{answer.text}\n")
for citation in citations_of(answer):
    if citation.page and citation.verified:
        print(
            f"{citation.page.source}, page:line {citation}, characters {citation.start}-{citation.end}: {citation.quote[:60]}…"
        )
