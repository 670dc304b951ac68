"""A knowledge base summarized offline, with checked citations; then with a model, and again after an edit.

The documents are chapters of Python's own reference. Without a model the most central sentences are chosen. The model here
quotes what it is shown; put a vision model in its place, such as ``OpenAIModel("zai-org/Glyph", "http://127.0.0.1:8000/v1")``.
"""

from __future__ import annotations

import tempfile
from pydoc_data.topics import topics

from glyph_integrations import ExtractiveModel, PageIndex, Renderer, Summarizer

QUESTION = "When is an exception raised?"
CHAPTERS = ("exceptions", "compound", "class", "import", "with", "try", "assert", "typesseq", "objects", "execmodel")

renderer = Renderer()
index = PageIndex.open()  # in memory
for name in CHAPTERS:
    if name in topics:
        index.sync(f"{name}.txt", renderer.paginate(topics[name], source=f"{name}.txt"))
print(f"{len(index)} pages of {len(index.sources())} documents\n")

summary = Summarizer(style="bullets").summarize(index)
print(summary.text)
print(f"\n{summary.cited:.0%} of the sentences cite a page; {summary.faithfulness:.0%} of these passed the check")
first = summary.citations[0]
assert first.page is not None
print(f"the first: {first.page.source}, page:line {first}, characters {first.start}-{first.end}\n")

with tempfile.TemporaryDirectory() as cache:
    asker = Summarizer(ExtractiveModel("zai-org/Glyph"), question=QUESTION, cache=cache)
    print(f"estimate: {asker.estimate(index)}")
    for part in asker.stream(index):
        print(f"{part.level:15} {part.source or 'all documents':20} {' '.join(part.text.split())[:70]}")
    print(f"spent: {part.usage}, {part.usage.saved_tokens:,} tokens less than as text")

    edited = topics["with"] + "\n\nAn exception is raised when the wind turns."
    index.sync("with.txt", renderer.paginate(edited, source="with.txt"))
    print(f"after an edit: {asker.summarize(index).usage.calls} calls")
index.close()
