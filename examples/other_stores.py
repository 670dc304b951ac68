"""Pages in a foreign vector store (Qdrant, in this process), read back as pages by both frameworks. Offline."""

from __future__ import annotations

from pydoc_data.topics import topics

from langchain_core.documents import Document
from langchain_qdrant import QdrantVectorStore
from llama_index.core import Document as LlamaDocument
from llama_index.core import StorageContext, VectorStoreIndex
from llama_index.vector_stores.qdrant import QdrantVectorStore as LlamaQdrant
from qdrant_client import QdrantClient
from qdrant_client.models import Distance, VectorParams

from glyph_integrations import LexicalEmbedder, Renderer
from glyph_integrations.langchain import GlyphEmbeddings, GlyphRetriever, PageSplitter, page_of
from glyph_integrations.llama_index import GlyphEmbedding, PageNodeParser
from glyph_integrations.llama_index import GlyphRetriever as LlamaRetriever

QUESTION = "When is the else clause of a loop executed?"
text = "\n\n".join(list(topics.values())[:25])

client = QdrantClient(":memory:")
client.create_collection("pages", vectors_config=VectorParams(size=1024, distance=Distance.COSINE))
store = QdrantVectorStore(client, "pages", GlyphEmbeddings(LexicalEmbedder(1024)))
pages = PageSplitter().split_documents([Document(text, metadata={"source": "reference.txt"})])
store.add_documents(pages, ids=[page.id for page in pages])

found = GlyphRetriever(vectorstore=store, k=2, page_tags=False).invoke(QUESTION)
print("LangChain:", [document.metadata["glyph_n"] for document in found], "of", len(pages), "pages")
page = page_of(found[0])
print("drawn from what Qdrant holds:", Renderer().draw(page).size, "pixels")

nodes = PageNodeParser().get_nodes_from_documents([LlamaDocument(text=text, metadata={"source": "reference.txt"})])
index = VectorStoreIndex(
    nodes,
    storage_context=StorageContext.from_defaults(vector_store=LlamaQdrant("nodes", client=client)),
    embed_model=GlyphEmbedding(LexicalEmbedder(1024)),
)
retrieved = LlamaRetriever(index.as_retriever(similarity_top_k=2)).retrieve(QUESTION)
print("LlamaIndex:", [found.node.metadata["glyph_n"] for found in retrieved])
