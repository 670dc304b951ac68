"""Chunks and pages side by side: the same document and questions, what is found, what it costs a vision model. Offline.

Both stores search by words (BM25), so that only the unit differs.
"""

from __future__ import annotations

from pydoc_data.topics import topics

from langchain_core.documents import Document
from langchain_text_splitters import RecursiveCharacterTextSplitter

from glyph_integrations import ContextBuilder, count_text_tokens
from glyph_integrations.langchain import GlyphVectorStore, PageSplitter

QUESTIONS = {
    "When is the else clause of a loop executed?": 'the suite in the "else" clause, if present, is executed',
    "When are default parameter values evaluated?": "evaluated from left to right when the function definition",
    "How are chained comparisons evaluated?": "Comparisons can be chained arbitrarily",
    "What does a bare return statement return?": "an expression list is present, it is evaluated, else",
    "Which names does an import statement with a star bind?": "all public names defined",
}

book = [Document("\n\n".join(topics.values()), metadata={"source": "reference.txt"})]
chunks = RecursiveCharacterTextSplitter(chunk_size=1000, chunk_overlap=200).split_documents(book)
chunk_store = GlyphVectorStore.from_documents(chunks)
page_store = GlyphVectorStore.from_documents(PageSplitter().split_documents(book))


def holds(texts: list[str], answer: str) -> bool:
    return " ".join(answer.split()) in " ".join(" ".join(texts).split())


print(f"{len(book[0].page_content):,} characters: {len(chunks)} chunks, {len(page_store.index)} pages\n")
print("k   chunks: found, tokens      pages: found, tokens as text, as sent")
for k in (1, 2, 4, 8):
    chunk_hits = page_hits = chunk_tokens = text_tokens = sent = 0
    for question, answer in QUESTIONS.items():
        found = [document.page_content for document in chunk_store.similarity_search(question, k=k)]
        chunk_hits += holds(found, answer)
        chunk_tokens += sum(count_text_tokens(text).count for text in found)
        hits = page_store.index.search(question, k=k)
        page_hits += holds([hit.page.text for hit in hits], answer)
        text_tokens += sum(count_text_tokens(hit.page.text).count for hit in hits)
        sent += ContextBuilder("zai-org/Glyph", sidecar=0, sharp=0).build(question, hits)[1].tokens
    n = len(QUESTIONS)
    print(f"{k}   {chunk_hits}/{n} {chunk_tokens // n:8,}             {page_hits}/{n} {text_tokens // n:8,} {sent // n:10,}")
