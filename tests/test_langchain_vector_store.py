"""`GlyphVectorStore` and `GlyphRetriever` beyond what the standard tests ask."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("langchain_core")

from langchain_core.documents import Document
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.indexing import InMemoryRecordManager, aindex, index
from langchain_core.vectorstores import InMemoryVectorStore
from pydantic import ValidationError

from glyph_integrations import PageIndex
from glyph_integrations.errors import IndexMismatchError, QueryError
from glyph_integrations.langchain import GlyphEmbeddings, GlyphLoader, GlyphRetriever, GlyphVectorStore, PageSplitter
from glyph_integrations.langchain.page_documents import page_of
from glyph_integrations.reading import REGISTRY, split_tags

STORY = "".join(f"On day {i} the ship {name} sailed.\n" for i, name in enumerate(["Aurora", "Borea", "Cassia", "Dione"] * 300))


@pytest.fixture
def store() -> Iterator[GlyphVectorStore]:
    made = GlyphVectorStore()
    yield made
    made.index.close()


@pytest.fixture
def pages() -> list[Document]:
    return PageSplitter().transform_documents([Document(STORY, metadata={"source": "log.txt", "year": 1871})])


def test_page_documents_come_back_as_they_went_in(store: GlyphVectorStore, pages: list[Document]) -> None:
    ids = store.add_documents(pages)
    assert ids == [d.id for d in pages] == store.index.ids()
    assert store.get_by_ids(ids) == pages
    found = store.similarity_search("Which ship sailed on day 333?", k=1)
    assert found[0] in pages and "day 333 " in found[0].page_content
    assert store.similarity_search("ship", k=2, filter={"year": 1871}, batch_size=7) != []
    assert store.similarity_search("ship", k=2, filter={"year": 1999}) == []


def test_a_plain_document_keeps_its_id_and_metadata(store: GlyphVectorStore) -> None:
    document = Document("A short note about amber.", id="n/../1", metadata={"source": "notes", "rank": [1, 2]})
    assert store.add_documents([document]) == ["n/../1"]
    assert store.similarity_search("amber", k=1) == [document] == store.get_by_ids(["n/../1"])
    assert store.add_texts(["A short note about jade."], [{"a": 1}]) == store.add_texts(
        ["A short note about jade."], [{"a": 1}]
    )
    assert len(store.index) == 2


def test_a_long_plain_text_is_found_by_page_and_got_whole(store: GlyphVectorStore) -> None:
    store.add_texts([STORY, "Something else."], [{"k": "v"}, {}], ids=["story", "other"])
    (found,) = store.similarity_search("Which ship sailed on day 333?", k=1)
    assert "day 333 " in found.page_content and len(found.page_content) < len(STORY)
    assert found.metadata["k"] == "v" and page_of(found)
    assert store.get_by_ids(["story"]) == [Document(STORY, id="story", metadata={"k": "v"})]
    store.add_texts(["Now it is short."], ids=["story"])
    assert store.get_by_ids(["story"]) == [Document("Now it is short.", id="story")]
    assert len(store.index) == 2


def test_a_blank_text_is_not_lost(store: GlyphVectorStore) -> None:
    store.add_texts(["", " \n"], ids=["a", "b"])
    assert [(d.id, d.page_content) for d in store.get_by_ids(["a", "b"])] == [("a", ""), ("b", " \n")]


def test_the_callers_id_wins_over_the_pages(store: GlyphVectorStore, pages: list[Document]) -> None:
    first, second = pages[:2]
    assert store.add_documents([first, second], ids=["one", "two"]) == ["one", "two"]
    assert store.get_by_ids(["one"]) == [first.model_copy(update={"id": "one"})]
    assert {d.id for d in store.similarity_search("ship", k=9)} == {"one", "two"}
    store.add_documents([second], ids=["one"])  # one page, one entry
    assert [d.page_content for d in store.get_by_ids(["one"])] == [second.page_content]
    store.delete(["one", "never"])
    assert len(store.index) == 0


def test_an_edited_page_replaces_the_page_it_was(store: GlyphVectorStore, pages: list[Document]) -> None:
    store.add_documents(pages)
    edited = pages[0].model_copy(update={"page_content": "Torn out."})
    with pytest.warns(UserWarning, match="1 Document"):
        assert store.add_documents([edited]) == [pages[0].id]
    (found,) = store.get_by_ids([str(pages[0].id)])
    assert found.page_content == "Torn out." and found.metadata == {"source": "log.txt", "year": 1871}
    assert len(store.index) == len(pages)


IDS = st.sampled_from(["1", "2", "3", "/1", ""])
TEXTS = st.sampled_from(["alpha", "beta", "", STORY[:9000], "alpha beta"])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.lists(st.tuples(IDS, TEXTS), max_size=3)),
        st.tuples(st.just("delete"), st.lists(IDS, max_size=2)),
    ),
    max_size=6,
)


@settings(max_examples=30)
@given(STEPS)
def test_ids_name_what_was_last_added_under_them(steps: list[tuple[str, list[Any]]]) -> None:
    store, expected = GlyphVectorStore(), dict[str, str]()
    for step, values in steps:
        if step == "add":
            ids = store.add_documents([Document(text) for _, text in values], ids=[name or None for name, _ in values])
            expected.update(zip(ids, (text for _, text in values), strict=True))
        else:
            store.delete(values)
            for name in values:
                expected.pop(name, None)
    found = {d.id: d.page_content for d in store.get_by_ids([*expected, "1", "2", "3", "/1"])}
    assert found == expected
    store.delete(list(expected))
    assert len(store.index) == 0
    store.index.close()


def test_relevance_is_between_0_and_1_and_serves_as_a_threshold(store: GlyphVectorStore, pages: list[Document]) -> None:
    store.add_documents(pages)
    store.add_texts(["The colour of amber."], ids=["amber"])
    scored = store.similarity_search_with_relevance_scores("the colour of amber", k=5)
    assert all(0 <= relevance <= 1 for _, relevance in scored) and scored[0][0].id == "amber"
    kept = store.as_retriever(k=5, score_threshold=scored[0][1], page_tags=False).invoke("the colour of amber")
    assert [d.id for d in kept] == ["amber"]
    same = store.as_retriever(search_type="similarity_score_threshold", search_kwargs={"score_threshold": scored[0][1]})
    assert [d.id for d in same.invoke("the colour of amber")] == ["amber"]
    field = store.as_retriever(search_type="similarity_score_threshold", score_threshold=scored[0][1])
    assert [d.id for d in field.invoke("the colour of amber")] == ["amber"]
    order = [score for _, score in store.similarity_search_with_score("the colour of amber", k=5)]
    assert order == sorted(order, reverse=True)


def test_vectors_of_langchain_embeddings_are_searched_by_vector_and_diversely() -> None:
    embedding = DeterministicFakeEmbedding(size=16)
    texts = ["north", "south", "east", "west"]
    store = GlyphVectorStore.from_texts(texts, embedding, ids=texts)
    assert store.embeddings is embedding
    assert [d.id for d in store.similarity_search_by_vector(embedding.embed_query("east"), k=1)] == ["east"]
    assert store.similarity_search_with_relevance_scores("east", k=1, mode="dense")[0][1] == pytest.approx(1, abs=1e-3)
    diverse = store.max_marginal_relevance_search("east", k=3, mode="dense")
    assert diverse[0].id == "east" and len({d.id for d in diverse}) == 3
    assert store.max_marginal_relevance_search_by_vector(embedding.embed_query("east"), k=3) == diverse
    assert len(store.as_retriever(search_type="mmr", k=2).invoke("east")) == 2
    for search in (store.similarity_search_by_vector, store.max_marginal_relevance_search_by_vector):
        with pytest.raises(QueryError):
            search([1.0, 2.0])
    store.index.close()


def test_diverse_results_leave_out_what_says_the_same(store: GlyphVectorStore) -> None:
    store.add_texts(
        ["The ship sailed to Genoa.", "The ship sailed to Genoa, too.", "A ship is built of oak."], ids=["a", "b", "c"]
    )
    nearest = [d.id for d in store.similarity_search("the ship sailed to Genoa", k=2)]
    assert nearest == ["a", "b"]
    diverse = store.max_marginal_relevance_search("the ship sailed to Genoa", k=2, lambda_mult=0.1, batch_size=3)
    assert [d.id for d in diverse] == ["a", "c"]
    assert [d.id for d in store.max_marginal_relevance_search("the ship sailed to Genoa", k=2, lambda_mult=1)] == nearest
    retriever = store.as_retriever(search_type="mmr", search_kwargs={"k": 2, "fetch_k": 3, "lambda_mult": 0.1})
    assert [d.id for d in retriever.invoke("the ship sailed to Genoa")] == ["a", "c"]
    assert store.max_marginal_relevance_search("xylophone") == []


def test_an_index_on_disk_is_opened_again(tmp_path: Path, pages: list[Document]) -> None:
    store = GlyphVectorStore.from_documents(pages, path=tmp_path / "index")
    store.index.close()
    again = GlyphVectorStore(path=tmp_path / "index")
    assert again.get_by_ids([str(pages[0].id)]) == pages[:1]
    again.index.close()
    with pytest.raises(IndexMismatchError):
        GlyphVectorStore(DeterministicFakeEmbedding(size=8), path=tmp_path / "index")
    with PageIndex.open(tmp_path / "index") as opened:
        assert GlyphVectorStore(index=opened).similarity_search("ship", k=1)
        with pytest.raises(ValueError, match="not both"):
            GlyphVectorStore(index=opened, path=tmp_path)


def test_wrong_counts_are_refused_before_anything_is_written(store: GlyphVectorStore) -> None:
    with pytest.raises(ValueError, match="2 Documents came with 1 ids"):
        store.add_documents([Document("a"), Document("b")], ids=["1"])
    with pytest.raises(ValueError, match="1 texts came with 2 metadatas"):
        store.add_texts(["a"], [{}, {}])
    assert len(store.index) == 0


class Indexing:
    """One folder of one or two files, written again and indexed again."""

    def __init__(self, folder: Path, store: GlyphVectorStore, keep_ids: bool = True) -> None:
        self.folder, self.store = folder, store
        self.records = InMemoryRecordManager("test")
        self.records.create_schema()
        self.encoder: Any = (lambda document: document.id) if keep_ids else "sha256"

    def write(self, **files: str) -> None:
        for old in self.folder.glob("*.txt"):
            old.unlink()
        for name, text in files.items():
            (self.folder / f"{name}.txt").write_text(text, encoding="utf-8")

    def run(self, cleanup: Any, **options: Any) -> dict[str, int]:
        documents = GlyphLoader(sorted(self.folder.glob("*.txt"))).load()
        counts = index(
            documents, self.records, self.store, cleanup=cleanup, source_id_key="source", key_encoder=self.encoder, **options
        )
        return {key: int(str(value)) for key, value in counts.items() if value}

    async def arun(self, cleanup: Any) -> dict[str, int]:
        documents = GlyphLoader(sorted(self.folder.glob("*.txt"))).load()
        counts = await aindex(
            documents, self.records, self.store, cleanup=cleanup, source_id_key="source", key_encoder=self.encoder
        )
        return {key: int(str(value)) for key, value in counts.items() if value}


OTHER = "The harbour was quiet that day.\n" * 5


@pytest.mark.parametrize("keep_ids", [True, False])
@pytest.mark.parametrize("cleanup", [None, "incremental", "full", "scoped_full"])
def test_the_indexing_api_cleans_up(tmp_path: Path, store: GlyphVectorStore, cleanup: Any, keep_ids: bool) -> None:
    indexing = Indexing(tmp_path, store, keep_ids)
    indexing.write(log=STORY, other=OTHER)
    count = indexing.run(cleanup)["num_added"]
    assert count > 3 and len(store.index) == count
    assert indexing.run(cleanup) == {"num_skipped": count}
    indexing.write(log=STORY.replace("On day 0 ", "On the first day "))  # one page edited, one file gone
    changed = indexing.run(cleanup)
    assert 1 <= changed["num_added"] <= (3 if keep_ids else count)
    replaced = {None: 0, "full": changed["num_added"] + 1}.get(cleanup, changed["num_added"])
    assert changed.get("num_deleted", 0) == replaced
    if keep_ids:  # else a page that did not change answers to another id now, and is one page still
        assert len(store.index) == count + changed["num_added"] - replaced
    found = store.similarity_search("On the first day", k=1)[0]
    assert found.page_content.startswith("On the first day") and page_of(found)
    assert any("On day 0 " in page.text for page in store.index) == (cleanup is None)
    assert any("harbour" in page.text for page in store.index) == (cleanup != "full")


async def test_the_indexing_api_works_asynchronously_in_small_batches_and_by_force(
    tmp_path: Path, store: GlyphVectorStore
) -> None:
    indexing = Indexing(tmp_path, store)
    indexing.write(log=STORY)
    count = (await indexing.arun("scoped_full"))["num_added"]
    assert await indexing.arun("full") == {"num_skipped": count}
    assert indexing.run("full", force_update=True, batch_size=2) == {"num_updated": count}
    indexing.write()
    assert await indexing.arun("full") == {"num_deleted": count}
    assert len(store.index) == 0


def test_a_retriever_hands_out_tagged_registered_pages(store: GlyphVectorStore, pages: list[Document]) -> None:
    store.add_documents([*pages, Document("A note about amber.", id="n")])
    retriever = store.as_retriever(k=3)
    assert isinstance(retriever, GlyphRetriever)
    assert len(retriever.invoke("ship")) == 3 and len(retriever.invoke("ship", k=1)) == 1
    assert [d.id for d in store.as_retriever(filter={"year": 1871}).invoke("amber day 7")] != ["n"]
    (found,) = retriever.invoke("amber", k=1)
    (tag,) = split_tags(found.page_content)
    assert not isinstance(tag, str)
    page = REGISTRY.resolve(tag)
    assert page and page.text == found.metadata["glyph_text"] == "A note about amber." and found.id == "n"
    assert page.id in store.index  # the page in the store, not one like it
    assert [d.page_content for d in store.as_retriever(k=1, page_tags=False).invoke("amber")] == ["A note about amber."]
    for wrong in ({"mode": "telepathic"}, {"search_type": "telepathic"}, {"search_type": "mmr", "score_threshold": 0.5}):
        with pytest.raises(ValidationError):
            GlyphRetriever.model_validate({"vectorstore": store, **wrong})


def test_a_trace_says_where_pages_came_from(store: GlyphVectorStore) -> None:
    params = store.as_retriever()._get_ls_params()
    assert params["ls_retriever_name"] == "glyph" and params["ls_vector_store_provider"] == "GlyphVectorStore"
    assert (params["ls_embedding_provider"], params["ls_embedding_model"]) == ("LexicalEmbedder", "lexical")
    dense = GlyphVectorStore(DeterministicFakeEmbedding(size=4))
    params = dense.as_retriever()._get_ls_params()
    assert params["ls_embedding_provider"] == params["ls_embedding_model"] == "DeterministicFakeEmbedding"


def test_a_retriever_reads_pages_from_any_store(pages: list[Document]) -> None:
    other = InMemoryVectorStore(DeterministicFakeEmbedding(size=8))
    other.add_documents(pages)
    found = GlyphRetriever(vectorstore=other, k=2).invoke("ship")
    assert {d.metadata["glyph_text"] for d in found} <= {d.page_content for d in pages}
    assert all(page_of(d) for d in found)
    with pytest.raises(ValidationError, match="InMemoryVectorStore has its own ways"):
        GlyphRetriever(vectorstore=other, mode="dense")
    by_search_type = GlyphRetriever(vectorstore=other, search_type="mmr", search_kwargs={"k": 2, "fetch_k": 4})
    assert len(by_search_type.invoke("ship")) == 2


def test_any_store_can_hold_the_vectors_of_our_embedders(pages: list[Document]) -> None:
    other = InMemoryVectorStore(GlyphEmbeddings())
    other.add_documents([*pages, *PageSplitter().transform_documents([Document("Amber is a resin.", id="amber")])])
    (found,) = GlyphRetriever(vectorstore=other, k=1).invoke("What is amber?")
    assert found.metadata["glyph_text"] == "Amber is a resin." and page_of(found)


async def test_asynchronous_twins_leave_the_loop_free(pages: list[Document]) -> None:
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0)

    ticker = asyncio.create_task(tick())
    store = await GlyphVectorStore.afrom_documents(pages)
    before = ticks
    found = await store.as_retriever(k=2).ainvoke("ship")
    assert ticks > before > 0
    ticker.cancel()
    assert found == store.as_retriever(k=2).invoke("ship")
    assert await store.aget_by_ids([str(pages[0].id)]) == pages[:1]
    scored = await store.asimilarity_search_with_relevance_scores("ship", k=2)
    assert [s for _, s in scored] == [s for _, s in store.similarity_search_with_relevance_scores("ship", k=2)]
    by_vector = [0.1] * store.index.embedder.dim
    twins = [
        (store.similarity_search, store.asimilarity_search, ("ship",)),
        (store.similarity_search_with_score, store.asimilarity_search_with_score, ("ship",)),
        (store.similarity_search_by_vector, store.asimilarity_search_by_vector, (by_vector,)),
        (store.max_marginal_relevance_search, store.amax_marginal_relevance_search, ("ship",)),
        (store.max_marginal_relevance_search_by_vector, store.amax_marginal_relevance_search_by_vector, (by_vector,)),
    ]
    for sync, twin, given_ in twins:
        expected: Any = sync(*given_, k=3)
        assert await twin(*given_, k=3) == expected and len(expected) == 3
    assert await store.aadd_texts(["hail"], ids=["h"]) == await store.aadd_documents([Document("hail", id="h")]) == ["h"]
    again = await GlyphVectorStore.afrom_texts(["snow"], ids=["s"])
    assert [d.id for d in await again.as_retriever(search_type="mmr").ainvoke("snow")] == ["s"]
    again.index.close()
    await store.adelete()
    assert len(store.index) == 0
    store.index.close()
