"""A long document behind a LlamaIndex query engine: found by page, answered with checked citations. No model, no network."""

from pydoc_data.topics import topics

from llama_index.core import Document
from llama_index.core.query_engine import RetrieverQueryEngine

from glyph_integrations import ExtractiveModel
from glyph_integrations.llama_index import GlyphRetriever, GlyphSynthesizer, GlyphVectorStore, PageNodeParser, citations_of

QUESTION = "When are default parameter values evaluated?"

# the language reference that comes with Python, as one document (a file would come from GlyphReader().load_data(path))
text = "\n\n".join(sorted(set(topics.values())))
document = Document(text=text, metadata={"source": "python_reference.txt"})

# pages are nodes like any other; the store draws, embeds and finds them itself
nodes = PageNodeParser(style="glyph-72").get_nodes_from_documents([document])
store = GlyphVectorStore()
store.add(nodes)
print(f"{len(text):,} characters on {len(nodes)} pages")

# ExtractiveModel quotes, without weights, and counts tokens as Glyph would. A vision model goes in the same place:
# GlyphSynthesizer(OpenAILike(model="zai-org/Glyph", api_base="http://127.0.0.1:8000/v1", is_chat_model=True), cite=True)
engine = RetrieverQueryEngine(
    GlyphRetriever(store, similarity_top_k=3),
    response_synthesizer=GlyphSynthesizer(ExtractiveModel(vision="zai-org/Glyph", quotes=1)),
)
response = engine.query(QUESTION)

for node in response.source_nodes:
    print(f"page {node.metadata['glyph_n']} with relevance {node.score:.2f}")
report = response.metadata["glyph"]["report"]
print(f"{report['image_tokens']:,} tokens as images instead of {report['text_tokens_replaced']:,} as text")
print(f"\n{QUESTION}\n{response}\n")
for citation in citations_of(response):
    verified = "verified" if citation.verified else "not verified"
    print(f"{citation}  {verified}  characters {citation.start}-{citation.end}  “{citation.quote[:60]}…”")
