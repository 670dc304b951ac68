"""What of LlamaIndex works with `GlyphVectorStore`: one test per cell of the table in docs/reference/llama-index.md."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("llama_index.core")

from llama_index.core import Document, StorageContext, VectorStoreIndex, load_index_from_storage
from llama_index.core.embeddings import BaseEmbedding
from llama_index.core.ingestion import DocstoreStrategy, IngestionPipeline
from llama_index.core.storage.docstore import SimpleDocumentStore
from llama_index.core.vector_stores import ExactMatchFilter, MetadataFilters, VectorStoreQuery
from llama_index.core.vector_stores.types import VectorStoreQueryMode

from glyph_integrations.llama_index import GlyphRetriever, GlyphVectorStore, PageNodeParser

TEXTS = {
    "rain.txt": "Rain fell on the harbour all night. The gutters sang.",
    "snow.txt": "Snow covered the pass by morning. Nobody came through.",
    "wind.txt": "Wind took the roof of the mill. The miller laughed.",
    "long.txt": "".join(f"On day {i} nothing happened, and nobody wrote it down.\n" for i in range(250)),
}
PARSER = PageNodeParser()


class Weather(BaseEmbedding):
    """Counts words of the weather."""

    model_name: str = "weather"

    def _get_text_embedding(self, text: str) -> list[float]:
        return [float(text.casefold().count(word)) + 0.01 for word in ("rain", "snow", "wind", "day")]

    _get_query_embedding = _get_text_embedding

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return self._get_text_embedding(query)


def documents() -> list[Document]:
    return [Document(id_=name, text=text, metadata={"source": name, "words": text.split()[0]}) for name, text in TEXTS.items()]


def nodes() -> list[Any]:
    return PARSER.get_nodes_from_documents(documents())


@pytest.fixture(params=["words in memory", "vectors in a folder"])
def embedder(request: pytest.FixtureRequest) -> BaseEmbedding | None:
    return Weather() if "vectors" in request.param else None


@pytest.fixture
def store(tmp_path: Path, embedder: BaseEmbedding | None) -> Iterator[GlyphVectorStore]:
    made = GlyphVectorStore(path=tmp_path / "index" if embedder else None, embedder=embedder)
    yield made
    made.client.close()


Call = Callable[..., Any]


@pytest.fixture(params=["sync", "async"])
def call(request: pytest.FixtureRequest) -> Call:
    """Calls a method of a store, or its asynchronous twin."""

    def sync(of: Any, name: str, *args: Any, **kwargs: Any) -> Any:
        return getattr(of, name)(*args, **kwargs)

    def twin(of: Any, name: str, *args: Any, **kwargs: Any) -> Any:
        name = {"add": "async_add"}.get(name, f"a{name}")

        async def run() -> Any:
            made: Awaitable[Any] = getattr(of, name)(*args, **kwargs)
            return await made

        return asyncio.run(run())

    return sync if request.param == "sync" else twin


def sources(found: Any) -> list[str]:
    return [n.metadata["source"] for n in found]


# -- the store ----------------------------------------------------------------------------------------------------------


def test_add(store: GlyphVectorStore, call: Call) -> None:
    added = nodes()
    for _ in range(2):  # again: nothing is doubled
        assert call(store, "add", added) == [n.node_id for n in added]
        assert [n.to_dict() for n in store.get_nodes()] == [n.to_dict() for n in added]


@pytest.mark.parametrize("by", ["ids", "filters", "both", "nothing"])
def test_get_nodes(store: GlyphVectorStore, call: Call, by: str) -> None:
    added = nodes()
    store.add(added)
    rain = MetadataFilters(filters=[ExactMatchFilter(key="source", value="rain.txt")])
    asked: dict[str, Any] = {
        "ids": {"node_ids": [added[1].node_id, "never"]}, "filters": {"filters": rain},
        "both": {"node_ids": [added[0].node_id, added[1].node_id], "filters": rain}, "nothing": {},
    }[by]  # fmt: skip
    expected = {"ids": ["snow.txt"], "filters": ["rain.txt"], "both": ["rain.txt"], "nothing": sources(added)}[by]
    assert sources(call(store, "get_nodes", **asked)) == expected


@pytest.mark.parametrize("by", ["document", "ids", "filters", "everything"])
def test_delete(store: GlyphVectorStore, call: Call, by: str) -> None:
    added = nodes()
    store.add(added)
    if by == "document":
        call(store, "delete", "long.txt")
    elif by == "ids":
        call(store, "delete_nodes", [n.node_id for n in added if n.ref_doc_id == "long.txt"])
    elif by == "filters":
        call(store, "delete_nodes", filters=MetadataFilters(filters=[ExactMatchFilter(key="words", value="On")]))
    else:
        call(store, "clear")
    assert sources(store.get_nodes()) == ([] if by == "everything" else ["rain.txt", "snow.txt", "wind.txt"])


@pytest.mark.parametrize("mode", ["default", "hybrid", "semantic_hybrid", "text_search", "sparse", "mmr"])
def test_query_mode(store: GlyphVectorStore, call: Call, mode: str) -> None:
    store.add(nodes())
    query = VectorStoreQuery(query_str="Where did the snow fall?", similarity_top_k=2, mode=VectorStoreQueryMode(mode))
    result = call(store, "query", query)
    assert sources(result.nodes)[0] == "snow.txt"
    assert result.ids == [n.node_id for n in result.nodes] and all(0 <= s <= 1 for s in result.similarities)


@pytest.mark.parametrize("by", ["embedding", "filters", "node_ids", "doc_ids"])
def test_query_by(store: GlyphVectorStore, call: Call, by: str) -> None:
    added = nodes()
    store.add(added)
    if by == "embedding":
        vector = store.client.embedder.embed_query("snow")[0].tolist()
        query = VectorStoreQuery(query_embedding=vector, similarity_top_k=1)
    else:
        limits: dict[str, Any] = {
            "filters": MetadataFilters(filters=[ExactMatchFilter(key="words", value="Snow")]),
            "node_ids": [added[1].node_id], "doc_ids": ["snow.txt"],
        }  # fmt: skip
        query = VectorStoreQuery(query_str="rain, snow, wind, nobody", similarity_top_k=3, **{by: limits[by]})
    assert sources(call(store, "query", query).nodes) == ["snow.txt"]


@pytest.mark.parametrize("through", ["persist_path", "persist_dir"])
def test_persist(store: GlyphVectorStore, embedder: BaseEmbedding | None, tmp_path: Path, through: str) -> None:
    store.add(nodes())
    if through == "persist_path":
        store.persist(str(tmp_path / "kept" / "pages.json"))
        again = GlyphVectorStore.from_persist_path(str(tmp_path / "kept" / "pages.json"), embedder=embedder)
    else:
        StorageContext.from_defaults(vector_store=store).persist(str(tmp_path / "kept"))
        again = GlyphVectorStore.from_persist_dir(str(tmp_path / "kept"), embedder=embedder)
    assert [n.to_dict() for n in again.get_nodes()] == [n.to_dict() for n in store.get_nodes()]
    query = VectorStoreQuery(query_str="snow", similarity_top_k=3)
    assert again.query(query).ids == store.query(query).ids
    again.client.close()


# -- within LlamaIndex --------------------------------------------------------------------------------------------------


def index_of(store: GlyphVectorStore, added: Any = ()) -> VectorStoreIndex:
    if not added:
        return VectorStoreIndex.from_vector_store(store, embed_model=store.embed_model, transformations=[PARSER])
    context = StorageContext.from_defaults(vector_store=store)
    return VectorStoreIndex(added, storage_context=context, embed_model=store.embed_model, transformations=[PARSER])


@pytest.mark.parametrize("made", ["from_vector_store", "nodes", "documents"])
def test_vector_store_index(store: GlyphVectorStore, call: Call, made: str) -> None:
    added = nodes()
    if made == "from_vector_store":
        store.add(added)
        index = index_of(store)
    elif made == "nodes":
        index = index_of(store, added)
    else:
        index = VectorStoreIndex.from_documents(
            documents(),
            StorageContext.from_defaults(vector_store=store),
            embed_model=store.embed_model,
            transformations=[PARSER],
        )
    assert sorted(n.node_id for n in store.get_nodes()) == sorted(n.node_id for n in added)
    for retriever in (index.as_retriever(similarity_top_k=2), GlyphRetriever(index.as_retriever(similarity_top_k=2))):
        assert sources(n.node for n in call(retriever, "retrieve", "snow"))[0] == "snow.txt"


@pytest.mark.parametrize("change", ["insert", "insert_nodes", "delete_nodes", "delete_ref_doc", "update_ref_doc", "refresh"])
def test_vector_store_index_change(store: GlyphVectorStore, change: str) -> None:
    index = index_of(store)
    for document in documents():
        index.insert(document)
    hail = Document(id_="hail.txt", text="Hail broke the glass.", metadata={"source": "hail.txt"})
    rain = Document(id_="rain.txt", text="Rain is over.", metadata={"source": "rain.txt"})
    if change == "insert":
        index.insert(hail)
    elif change == "insert_nodes":
        index.insert_nodes(PARSER.get_nodes_from_documents([hail]))
    elif change == "delete_nodes":
        index.delete_nodes([n.node_id for n in store.get_nodes() if n.ref_doc_id == "wind.txt"])
    elif change == "delete_ref_doc":
        index.delete_ref_doc("wind.txt")
    elif change == "update_ref_doc":
        index.update_ref_doc(rain)
    else:
        assert index.refresh_ref_docs([*documents()[1:], rain, hail]).count(True) >= 2
    now = {n.ref_doc_id: n.text for n in store.get_nodes() if n.ref_doc_id != "long.txt"}
    expected = {name: text for name, text in TEXTS.items() if name != "long.txt"}
    if change in ("insert", "insert_nodes", "refresh"):
        expected["hail.txt"] = hail.text
    if change in ("update_ref_doc", "refresh"):
        expected["rain.txt"] = rain.text
    if change in ("delete_nodes", "delete_ref_doc"):
        del expected["wind.txt"]
    assert now == expected


def test_storage_context_round_trip(store: GlyphVectorStore, embedder: BaseEmbedding | None, tmp_path: Path) -> None:
    index_of(store, nodes()).storage_context.persist(str(tmp_path / "kept"))
    again = GlyphVectorStore.from_persist_dir(str(tmp_path / "kept"), embedder=embedder)
    context = StorageContext.from_defaults(persist_dir=str(tmp_path / "kept"), vector_store=again)
    index = load_index_from_storage(context, embed_model=again.embed_model)
    assert sources(n.node for n in index.as_retriever(similarity_top_k=1).retrieve("snow")) == ["snow.txt"]
    again.client.close()


@pytest.mark.parametrize("strategy", list(DocstoreStrategy))
def test_ingestion_pipeline(store: GlyphVectorStore, call: Call, strategy: DocstoreStrategy) -> None:
    pipeline = IngestionPipeline(
        transformations=[PARSER, store.embed_model],
        vector_store=store,
        docstore=SimpleDocumentStore(),
        docstore_strategy=strategy,
    )
    assert len(call(pipeline, "run", documents=documents())) == len(nodes())
    assert list(call(pipeline, "run", documents=documents())) == []
    changed = documents()[:2]
    changed[0].set_content("Rain is over.")
    call(pipeline, "run", documents=changed)
    texts = {n.text for n in store.get_nodes()}
    assert {"Rain is over.", TEXTS["snow.txt"]} <= texts
    assert (TEXTS["rain.txt"] in texts) == (strategy == DocstoreStrategy.DUPLICATES_ONLY)
    assert (TEXTS["wind.txt"] in texts) == (strategy != DocstoreStrategy.UPSERTS_AND_DELETE)


def test_ingestion_pipeline_from_its_cache(store: GlyphVectorStore, call: Call) -> None:
    pipeline = IngestionPipeline(transformations=[PARSER, store.embed_model])
    first = call(pipeline, "run", documents=documents())
    pipeline.vector_store = store
    assert [n.node_id for n in call(pipeline, "run", documents=documents())] == [n.node_id for n in first]
    assert sorted(n.node_id for n in store.get_nodes()) == sorted(n.node_id for n in first)
