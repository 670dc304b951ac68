"""Pages in Qdrant and Milvus, through the integrations of both frameworks: what went in comes back and is drawn the same."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from pydoc_data.topics import topics
from typing import Any

import numpy as np
import pytest
from PIL import Image

from glyph_integrations import ExtractiveModel, LexicalEmbedder, Page, Renderer, open_document
from glyph_integrations.reading import REGISTRY, split_tags

DOCS = Path(__file__).resolve().parents[1] / "docs" / "other-stores.md"
QUESTION = "Which conversion flags can a replacement field have?"
TABLE = "# Ships\n\nSome *slanted* words, and a table.\n\n| name | built |\n|---|---|\n| Aurora | 1871 |\n| Borea | 1902 |\n"
MIXED = "السفينة أورورا أبحرت في اليوم ٣٣٣ من ميناء جنوة.\n\nThe ship Aurora sailed on day 333 from Genoa.\n"
CODE = 'def sail(ship: str) -> None:\n    """Put to sea."""\n    print(f"{ship} sails")  # at last\n'


@pytest.fixture(scope="module")
def pages() -> list[Page]:
    """Prose of several pages, runs and a table, right-to-left text, highlighted code, and a scan without words."""
    texts = {"strings.txt": topics["formatstrings"], "ships.md": TABLE, "mixed.txt": MIXED, "sail.py": CODE}
    scan = BytesIO()
    Image.effect_noise((120, 160), 60).save(scan, "PNG")
    files = {name: text.encode() for name, text in texts.items()} | {"scan.png": scan.getvalue()}
    documents = [open_document(data, name=name) for name, data in files.items()]
    made = [page for d in documents for page in Renderer().paginate(d, metadata={"shelf": "A", "year": 1871, "old": True})]
    assert len(made) > len(files) and any(page.runs for page in made) and any(page.picture for page in made)
    return made


@pytest.fixture(autouse=True)
def _forget() -> None:
    REGISTRY.clear()


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the clients warn of each other, and of their in-process modes
        yield


def assert_the_same(found: list[Page], written: list[Page]) -> None:
    assert {page.id for page in found} == {page.id for page in written} and len(found) == len(written)
    originals = {page.id: page for page in written}
    for page in found:
        original = originals[page.id]
        assert (page.text, page.lines, page.runs, page.number, page.source) == (
            original.text, original.lines, original.runs, original.number, original.source,
        )  # fmt: skip
        assert original.metadata.items() <= page.metadata.items()
        for dpi in (72, 110):
            assert np.array_equal(Renderer().pixels(page, dpi=dpi), Renderer().pixels(original, dpi=dpi))


def qdrant_of_langchain(folder: Path) -> Any:
    module = pytest.importorskip("langchain_qdrant")
    from qdrant_client import QdrantClient, models

    from glyph_integrations.langchain import GlyphEmbeddings

    client = QdrantClient(path=str(folder / "qdrant"))
    vectors = models.VectorParams(size=512, distance=models.Distance.COSINE)
    client.create_collection("pages", vectors_config=vectors)
    return module.QdrantVectorStore(client, "pages", GlyphEmbeddings(LexicalEmbedder(512)))


def milvus_of_langchain(folder: Path) -> Any:
    module = pytest.importorskip("langchain_milvus")
    pytest.importorskip("milvus_lite")
    from pymilvus import connections

    from glyph_integrations.langchain import GlyphEmbeddings

    uri = str(folder / "milvus.db")
    store = module.Milvus(
        GlyphEmbeddings(LexicalEmbedder(512)), connection_args={"uri": uri}, collection_name="pages",
        index_params={"index_type": "FLAT", "metric_type": "COSINE"}, enable_dynamic_field=True,
    )  # fmt: skip
    connections.connect(alias=store.alias, uri=uri)  # pymilvus from 2.6.10 no longer does this for langchain-milvus 0.3
    return store


@pytest.mark.parametrize("made", [qdrant_of_langchain, milvus_of_langchain])
def test_pages_in_another_store_of_langchain(pages: list[Page], tmp_path: Path, made: Any) -> None:
    pytest.importorskip("langchain_core")
    from langchain_core.prompts import ChatPromptTemplate

    from glyph_integrations.langchain import ChatPageModel, GlyphRetriever, citations_of
    from glyph_integrations.langchain.page_documents import page_document, pages_of

    store = made(tmp_path)
    store.add_documents([page_document(page) for page in pages], ids=[page.id for page in pages])
    everything = GlyphRetriever(vectorstore=store, k=len(pages)).invoke(QUESTION)
    assert_the_same([page for page in pages_of(everything) if page], pages)
    for document in everything:
        (tag,) = split_tags(document.page_content)
        assert not isinstance(tag, str) and REGISTRY.resolve(tag)

    retriever = GlyphRetriever(vectorstore=store, k=3)
    prompt = ChatPromptTemplate.from_messages([("system", "Answer from these pages:\n{context}"), ("user", "{question}")])
    context = "\n\n".join(document.page_content for document in retriever.invoke(QUESTION))
    answer = (prompt | ChatPageModel(model=ExtractiveModel(vision="glyph"))).invoke({"context": context, "question": QUESTION})
    assert "conversion" in answer.text
    assert {(c.page.source, c.verified) for c in citations_of(answer) if c.page} == {("strings.txt", True)}


def qdrant_of_llama_index(folder: Path) -> Any:
    module = pytest.importorskip("llama_index.vector_stores.qdrant")
    from qdrant_client import QdrantClient

    return module.QdrantVectorStore(collection_name="pages", client=QdrantClient(path=str(folder / "qdrant")))


def milvus_of_llama_index(folder: Path) -> Any:
    module = pytest.importorskip("llama_index.vector_stores.milvus")
    pytest.importorskip("milvus_lite")
    return module.MilvusVectorStore(uri=str(folder / "milvus.db"), dim=512, collection_name="pages", similarity_metric="COSINE")


@pytest.mark.parametrize("made", [qdrant_of_llama_index, milvus_of_llama_index])
def test_pages_in_another_store_of_llama_index(pages: list[Page], tmp_path: Path, made: Any) -> None:
    pytest.importorskip("llama_index.core")
    from llama_index.core import StorageContext, VectorStoreIndex
    from llama_index.core.query_engine import RetrieverQueryEngine

    from glyph_integrations.llama_index import GlyphEmbedding, GlyphRetriever, GlyphSynthesizer, PageModelLLM, citations_of
    from glyph_integrations.llama_index.page_nodes import page_node, pages_in

    embedding = GlyphEmbedding(LexicalEmbedder(512))
    context = StorageContext.from_defaults(vector_store=made(tmp_path))
    index = VectorStoreIndex([page_node(page) for page in pages], storage_context=context, embed_model=embedding)
    found = GlyphRetriever(index.as_retriever(similarity_top_k=len(pages))).retrieve(QUESTION)
    assert_the_same([page for page in pages_in(n.node for n in found) if page], pages)
    assert all(REGISTRY.page(n.node.node_id) for n in found)

    engine = RetrieverQueryEngine(
        GlyphRetriever(index.as_retriever(similarity_top_k=3)),
        response_synthesizer=GlyphSynthesizer(llm=PageModelLLM(ExtractiveModel(vision="glyph"))),
    )
    answer = engine.query(QUESTION)
    assert "conversion" in str(answer)
    assert {(c.page.source, c.verified) for c in citations_of(answer) if c.page} == {("strings.txt", True)}


CODE_BLOCKS = re.findall(r"```python\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.S)


@pytest.mark.parametrize("number", range(len(CODE_BLOCKS)))
def test_the_code_of_the_docs_runs(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code = CODE_BLOCKS[number]
    for module in re.findall(r"^from (\w+(?:\.vector_stores\.\w+)?)", code, re.M):
        pytest.importorskip(module)
    story = "".join(f"Chapter {n}\n\n" + "It rained all day. " * 200 for n in range(9))
    (tmp_path / "book.txt").write_text(story + "Lady Catherine de Bourgh is his patroness.\n" + story, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    exec(compile(code, DOCS.name, "exec"), {"__name__": "docs"})
    assert capsys.readouterr().out.count("book.txt ") == 3
