"""Pages as LlamaIndex nodes: reading, parsing, storing, finding."""

from __future__ import annotations

import asyncio
import base64
import inspect
import pickle
import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path
from pydoc_data.topics import topics
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("llama_index.core")

from llama_index.core import Document, SimpleDirectoryReader, StorageContext, VectorStoreIndex, load_index_from_storage
from llama_index.core.embeddings import BaseEmbedding
from llama_index.core.ingestion import DocstoreStrategy, IngestionPipeline
from llama_index.core.node_parser import SentenceSplitter
from llama_index.core.retrievers import BaseRetriever
from llama_index.core.schema import (
    ImageDocument,
    ImageNode,
    MediaResource,
    MetadataMode,
    Node,
    NodeRelationship,
    NodeWithScore,
    RelatedNodeInfo,
    TextNode,
)
from llama_index.core.storage.docstore import SimpleDocumentStore
from llama_index.core.vector_stores import (
    ExactMatchFilter,
    FilterCondition,
    FilterOperator,
    MetadataFilter,
    MetadataFilters,
    SimpleVectorStore,
    VectorStoreQuery,
)
from llama_index.core.vector_stores.types import VectorStoreQueryMode

import glyph_integrations.llama_index as adapters
from glyph_integrations import LexicalEmbedder, Page, PageIndex, PageStyle, Renderer
from glyph_integrations.errors import DocumentError, IndexMismatchError, MissingExtraError, QueryError
from glyph_integrations.llama_index import GlyphEmbedding, GlyphReader, GlyphRetriever, GlyphVectorStore, PageNodeParser
from glyph_integrations.reading import REGISTRY

LOOPS = "\n\n".join(topics[name] for name in ("for", "while", "try", "with"))
NAMES = topics["naming"]
STRINGS = topics["formatstrings"]


def documents() -> list[Document]:
    return [
        Document(id_="loops", text=LOOPS, metadata={"source": "loops.txt", "kind": "statement", "year": 1991}),
        Document(id_="names", text=NAMES, metadata={"source": "names.txt", "kind": "model", "year": 1994}),
        Document(id_="strings", text=STRINGS, metadata={"source": "strings.txt", "kind": "model", "year": 2008}),
    ]


def page_nodes(**options: Any) -> list[Any]:
    return PageNodeParser(**options).get_nodes_from_documents(documents())


@pytest.fixture
def store() -> GlyphVectorStore:
    store = GlyphVectorStore()
    store.add(page_nodes())
    return store


def ask(store: GlyphVectorStore, question: str, k: int = 3, **options: Any) -> list[Any]:
    return list(store.query(VectorStoreQuery(query_str=question, similarity_top_k=k, **options)).nodes or [])


# -- what every component must be ---------------------------------------------------------------------------------------

COMPONENTS = {
    "GlyphReader": ("BasePydanticReader", lambda: GlyphReader(encoding="utf-8")),
    "PageNodeParser": ("NodeParser", lambda: PageNodeParser(style="glyph-96")),
    "GlyphVectorStore": ("BasePydanticVectorStore", GlyphVectorStore),
    "GlyphEmbedding": ("BaseEmbedding", lambda: GlyphEmbedding(LexicalEmbedder(64))),
    "PageImagePostprocessor": ("BaseNodePostprocessor", lambda: adapters.PageImagePostprocessor("glyph", dpi=96)),
    "PageTagPostprocessor": ("BaseNodePostprocessor", adapters.PageTagPostprocessor),
    "PageModelLLM": ("LLM", lambda: adapters.PageModelLLM(_extractive(), max_tokens=99)),
    "GlyphLLM": ("FunctionCallingLLM", lambda: adapters.GlyphLLM(llm=adapters.PageModelLLM(_extractive()), min_tokens=99)),
}


def _extractive() -> Any:
    from glyph_integrations import ExtractiveModel

    return ExtractiveModel(vision="glyph")


@pytest.mark.parametrize("name", COMPONENTS)
def test_a_component_has_the_base_class_and_name_that_llama_index_expects(name: str) -> None:
    base, make = COMPONENTS[name]
    component = make()
    assert base in [c.__name__ for c in type(component).__mro__]
    assert not inspect.isabstract(type(component))
    assert component.class_name() == name == component.to_dict()["class_name"]


@pytest.mark.parametrize(
    "name", ["GlyphReader", "PageNodeParser", "GlyphVectorStore", "PageImagePostprocessor", "PageTagPostprocessor"]
)
def test_a_component_comes_back_from_its_dict_and_from_pickling(name: str) -> None:
    component = COMPONENTS[name][1]()
    assert type(component).from_dict(component.to_dict()).to_dict() == component.to_dict()
    if name != "GlyphVectorStore":
        assert pickle.loads(pickle.dumps(component)).to_dict() == component.to_dict()


def test_without_llama_index_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    code = (
        "import sys; sys.modules['llama_index'] = None; sys.modules['llama_index.core'] = None\n"
        "import glyph_integrations.llama_index as adapters\n"
        "from glyph_integrations.errors import MissingExtraError\n"
        "try: adapters.GlyphReader\n"
        "except MissingExtraError as error: print(error)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "pip install 'glyph-integrations[llama-index]'" in run.stdout, run.stderr
    assert issubclass(MissingExtraError, ImportError)


def test_a_folder_in_place_of_an_index_is_refused_with_the_right_word() -> None:
    with pytest.raises(TypeError, match="a folder is path="):
        adapters.GlyphVectorStore("folder")


@pytest.mark.parametrize("name", adapters.__all__)
def test_every_public_name_can_be_imported_and_is_documented(name: str) -> None:
    assert getattr(adapters, name).__doc__
    assert name in dir(adapters)
    with pytest.raises(AttributeError, match="Nonsense"):
        _ = adapters.Nonsense


# -- reading ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    (tmp_path / "a" / "notes.txt").write_text(LOOPS, encoding="utf-8")
    (tmp_path / "b" / "notes.txt").write_text(LOOPS, encoding="utf-8")
    return tmp_path


def test_the_reader_gives_one_document_per_file_named_relative_to_what_was_asked(folder: Path) -> None:
    found = GlyphReader().load_data(folder)
    assert [d.id_ for d in found] == ["a/notes.txt", "b/notes.txt"]
    assert [d.metadata["source"] for d in found] == ["a/notes.txt", "b/notes.txt"]
    assert all(d.text == LOOPS and len(d.metadata["sha256"]) == 64 for d in found)
    assert found[0].get_content(MetadataMode.EMBED) == LOOPS


async def test_the_reader_is_lazy_and_asynchronous(folder: Path) -> None:
    lazy = GlyphReader().lazy_load_data(str(folder / "*" / "notes.txt"), extra_info={"team": "docs"})
    assert next(iter(lazy)).metadata["team"] == "docs"
    assert len(await GlyphReader().aload_data(folder)) == 2


def test_simple_directory_reader_can_use_the_reader(folder: Path) -> None:
    reader = GlyphReader(root=str(folder))
    loaded = SimpleDirectoryReader(str(folder), recursive=True, file_extractor={".txt": reader}).load_data()
    assert sorted(d.metadata["source"] for d in loaded) == ["a/notes.txt", "b/notes.txt"]
    assert {d.metadata["file_name"] for d in loaded} == {"notes.txt"}
    pages = PageNodeParser().get_nodes_from_documents(loaded)
    assert len({n.id_ for n in pages}) == len(pages)


def test_the_reader_takes_files_of_another_file_system() -> None:
    fsspec = pytest.importorskip("fsspec")
    remote = fsspec.filesystem("memory")
    remote.pipe_file("/books/loops.txt", LOOPS.encode())
    [document] = GlyphReader().load_data("/books/loops.txt", fs=remote)
    assert (document.text, document.metadata["source"]) == (LOOPS, "loops.txt")
    with pytest.raises(DocumentError, match="nowhere"):
        GlyphReader().load_data("/books/nowhere.txt", fs=remote)


def test_the_reader_reports_what_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_bytes(b"\x00\x01\x02")
    for path, message in ((tmp_path / "x.txt", "binary"), (tmp_path / "missing.txt", "does not exist")):
        with pytest.raises(DocumentError, match=message):
            GlyphReader().load_data(path)
    (tmp_path / "y.txt").write_text("words")
    with pytest.raises(DocumentError, match="not below the root"):
        GlyphReader(root=str(tmp_path / "elsewhere")).load_data(tmp_path / "y.txt")


# -- parsing ------------------------------------------------------------------------------------------------------------


def test_page_nodes_are_the_pages_of_the_document() -> None:
    document = documents()[0]
    nodes = PageNodeParser().get_nodes_from_documents([document])
    pages = list(Renderer().paginate(LOOPS, source="loops.txt"))
    assert [n.id_ for n in nodes] == [p.id for p in pages]
    assert "".join(n.text for n in nodes) == LOOPS
    assert all(LOOPS[n.start_char_idx : n.end_char_idx] == n.text for n in nodes)
    assert all(n.ref_doc_id == "loops" and n.source_node.hash == document.hash for n in nodes)
    assert [Page.from_metadata(n.text, n.metadata).lines for n in nodes] == [p.lines for p in pages]


def test_neighbours_are_linked_without_copies_of_their_metadata() -> None:
    nodes = page_nodes()
    first, second = nodes[:2]
    assert first.next_node.node_id == second.id_
    assert second.prev_node.node_id == first.id_
    assert NodeRelationship.PREVIOUS not in first.relationships
    assert first.next_node.metadata == {}
    assert first.next_node.hash


def test_positions_are_right_where_the_text_repeats_itself() -> None:
    text = "The same line again and again.\n" * 1000
    nodes = PageNodeParser().get_nodes_from_documents([Document(text=text, metadata={"source": "same.txt"})])
    assert len(nodes) > 3
    at = 0
    for node in nodes:
        assert (node.start_char_idx, node.end_char_idx) == (at, at + len(node.text))
        at = node.end_char_idx
    assert len({n.id_ for n in nodes}) == len(nodes)


def test_page_metadata_is_never_embedded_and_an_llm_reads_number_and_source_of_it() -> None:
    node = page_nodes()[1]
    embedded, read = node.get_content(MetadataMode.EMBED), node.get_content(MetadataMode.LLM)
    assert "glyph" not in embedded
    assert "kind: statement" in embedded
    assert "glyph_n: 2\n" in read
    assert "glyph_source: loops.txt" in read
    assert read.count("loops.txt") == 1
    assert "glyph_lines" not in read
    assert "glyph_id" not in read


def test_the_documents_own_exclusions_hold_for_its_pages() -> None:
    document = documents()[0]
    document.excluded_embed_metadata_keys = ["kind"]
    document.excluded_llm_metadata_keys = ["year"]
    node = PageNodeParser().get_nodes_from_documents([document])[0]
    assert "kind" not in node.get_content(MetadataMode.EMBED)
    assert "year" not in node.get_content(MetadataMode.LLM)


def test_pages_stay_as_they_are_when_parsed_again() -> None:
    nodes = page_nodes()
    again = PageNodeParser(style="glyph-96")(nodes)
    assert [(n.id_, n.text) for n in again] == [(n.id_, n.text) for n in nodes]
    assert all(n.metadata["glyph_style"].startswith("glyph-72") for n in again)


def test_a_style_can_be_given_in_any_form_and_a_wrong_one_is_refused() -> None:
    small = PageStyle.preset("glyph-72").replace(font_size=8)
    parser = PageNodeParser(style=small)
    assert parser.style == str(small) == PageNodeParser(style=str(small)).style
    assert parser.get_nodes_from_documents(documents())[0].metadata["glyph_style"].startswith(str(small))
    with pytest.raises(ValueError, match="unknown style"):
        PageNodeParser(style="glyph-73")
    assert "font_size=8" in str(parser.to_dict())


async def test_parsing_is_the_same_asynchronously() -> None:
    nodes = await PageNodeParser().acall(documents())
    assert [n.to_dict() for n in nodes] == [n.to_dict() for n in page_nodes()]


# -- the store ----------------------------------------------------------------------------------------------------------


def test_the_right_page_is_found_first_with_relevance_from_0_to_1(store: GlyphVectorStore) -> None:
    result = store.query(VectorStoreQuery(query_str="Which conversion flags can a replacement field have?", similarity_top_k=4))
    assert result.nodes and result.similarities and result.ids
    assert result.nodes[0].metadata["source"] == "strings.txt"
    assert result.ids == [n.node_id for n in result.nodes]
    assert all(0 <= s <= 1 for s in result.similarities)
    assert result.similarities[0] == max(result.similarities)


def test_a_node_comes_back_as_it_was_added(store: GlyphVectorStore) -> None:
    for node in page_nodes():
        [back] = store.get_nodes([node.id_])
        assert back.to_dict() == node.to_dict()
        assert type(back) is TextNode


def test_found_pages_are_registered(store: GlyphVectorStore) -> None:
    REGISTRY.clear()
    [node] = ask(store, "the else clause of a loop", k=1)
    page = REGISTRY.page(node.node_id)
    assert page is not None and page.text == node.text
    assert not any(key.startswith("_") for key in page.metadata)


def test_nodes_are_replaced_not_doubled(store: GlyphVectorStore) -> None:
    before = len(store.client)
    assert store.add(page_nodes()) == [n.id_ for n in page_nodes()]
    assert len(store.client) == before


def test_deleting_and_adding_again_harms_no_other_node(store: GlyphVectorStore) -> None:
    nodes = page_nodes()
    store.delete_nodes([nodes[0].id_])
    store.add([TextNode(id_="new", text="Completely new words about marmalade.")])
    everything = {n.node_id: n.text for n in store.get_nodes()}
    assert everything == {n.id_: n.text for n in nodes[1:]} | {"new": "Completely new words about marmalade."}
    assert ask(store, "marmalade", k=1)[0].node_id == "new"


def test_documents_are_deleted_by_their_id(store: GlyphVectorStore) -> None:
    store.delete("loops")
    assert {n.ref_doc_id for n in store.get_nodes()} == {"names", "strings"}
    store.delete("never heard of")
    store.clear()
    assert store.get_nodes() == []
    assert ask(store, "anything") == []


def test_filters_give_exactly_k_and_only_what_matches(store: GlyphVectorStore) -> None:
    models = MetadataFilters(filters=[ExactMatchFilter(key="kind", value="model")])
    found = ask(store, "loop statement", k=4, filters=models)
    assert len(found) == 4
    assert {n.metadata["kind"] for n in found} == {"model"}
    both = MetadataFilters(
        filters=[
            MetadataFilters(filters=[MetadataFilter(key="year", value=[1991, 2008], operator=FilterOperator.IN)]),
            MetadataFilter(key="kind", value="model"),
        ]
    )
    assert {n.metadata["source"] for n in store.get_nodes(filters=both)} == {"strings.txt"}
    same_field = MetadataFilters(
        filters=[MetadataFilter(key="year", value=1991), MetadataFilter(key="year", value=[1994], operator=FilterOperator.IN)]
    )
    assert store.get_nodes(filters=same_field) == []
    firsts = MetadataFilters(filters=[ExactMatchFilter(key="glyph_n", value=1)])
    assert [n.metadata["glyph_n"] for n in store.get_nodes(filters=firsts)] == [1, 1, 1]
    store.delete_nodes(filters=both)
    assert not any(n.metadata["source"] == "strings.txt" for n in store.get_nodes())


def test_queries_can_be_limited_to_documents_and_nodes(store: GlyphVectorStore) -> None:
    assert {n.ref_doc_id for n in ask(store, "a statement", k=9, doc_ids=["names"])} == {"names"}
    wanted = [n.id_ for n in page_nodes()[:2]]
    assert {n.node_id for n in ask(store, "a statement", k=9, node_ids=wanted)} <= set(wanted)
    assert store.get_nodes(["unknown"]) == []


@pytest.mark.parametrize(
    "filters",
    [
        MetadataFilters(filters=[MetadataFilter(key="kind", value="mod", operator=FilterOperator.TEXT_MATCH)]),
        MetadataFilters(filters=[ExactMatchFilter(key=k, value=1) for k in "ab"], condition=FilterCondition.OR),
        MetadataFilters(filters=[MetadataFilter(key="a", value="text", operator=FilterOperator.IN)]),
    ],
)
def test_filters_that_cannot_be_kept_are_refused(store: GlyphVectorStore, filters: MetadataFilters) -> None:
    with pytest.raises(QueryError, match=r"supported|takes a list|no page has it"):
        ask(store, "loop", filters=filters)
    with pytest.raises(QueryError):
        store.delete_nodes(filters=filters)
    assert len(store.client) == len(page_nodes())


def test_query_modes_are_those_of_the_index(store: GlyphVectorStore) -> None:
    for mode in ("default", "hybrid", "semantic_hybrid", "text_search", "sparse"):
        assert ask(store, "conversion flags", k=1, mode=VectorStoreQueryMode(mode))[0].ref_doc_id == "strings"
    with pytest.raises(QueryError, match="svm"):
        ask(store, "conversion flags", mode=VectorStoreQueryMode.SVM)
    query = VectorStoreQuery(query_str="conversion flags", similarity_top_k=1)
    assert store.query(query, mode="dense").ids == store.query(query).ids
    vector = LexicalEmbedder().embed_query("conversion flags")[0].tolist()
    assert store.query(VectorStoreQuery(query_embedding=vector, similarity_top_k=1)).ids == store.query(query).ids
    with pytest.raises(QueryError, match="query_str or query_embedding"):
        store.query(VectorStoreQuery())


def test_mmr_leaves_out_what_says_the_same() -> None:
    store = GlyphVectorStore()
    texts = {"a": "The ship sailed to Genoa.", "b": "The ship sailed to Genoa, too.", "c": "A ship is built of oak."}
    store.add([TextNode(id_=name, text=text) for name, text in texts.items()])
    query = VectorStoreQuery(query_str="the ship sailed to Genoa", similarity_top_k=2, mode=VectorStoreQueryMode.MMR)
    assert store.query(replace(query, mode=VectorStoreQueryMode.DEFAULT)).ids == ["a", "b"]
    assert store.query(replace(query, mmr_threshold=0.1)).ids == ["a", "c"]
    assert store.query(query, mmr_threshold=0.1).ids == ["a", "c"]
    assert store.query(query, mmr_threshold=0.1, mmr_prefetch_k=2).ids == ["a", "b"]
    assert store.query(replace(query, mmr_threshold=1.0)).ids == ["a", "b"]
    with pytest.raises(QueryError):
        store.query(replace(query, mmr_threshold=2.0))


def test_alpha_names_a_leg_and_hybrid_top_k_counts() -> None:
    store = GlyphVectorStore(embedder=Counter())
    store.add(
        [
            TextNode(id_="words", text="snowfall"),
            TextNode(id_="meaning", text="rain rain rain"),
            TextNode(id_="far", text="wind"),
        ]
    )
    query = VectorStoreQuery(query_str="rain snowfall snowfall", similarity_top_k=1, mode=VectorStoreQueryMode.HYBRID)
    assert store.query(replace(query, alpha=0.0)).ids == ["words"]
    assert store.query(replace(query, alpha=1.0, query_str="rain")).ids == ["meaning"]
    assert len(store.query(replace(query, hybrid_top_k=2)).ids or []) == 2


def test_a_node_whose_text_was_edited_is_plain_text_and_replaces_its_page(store: GlyphVectorStore) -> None:
    edited = page_nodes()[:2]
    for node in edited:
        node.set_content("Nothing but jam. " + node.text[:200])
    with pytest.warns(UserWarning, match=r"2 node\(s\)") as caught:
        assert store.add(edited) == [n.id_ for n in edited]
    assert len(caught) == 1
    assert len(store.client) == len(page_nodes())
    [found] = ask(store, "jam", k=1)
    assert found.node_id in [n.id_ for n in edited]
    assert found.text.startswith("Nothing but jam.")
    assert Page.from_metadata(found.text, found.metadata).source == f"/{found.node_id}"
    store.add(page_nodes()[:2])  # the pages as they were
    assert {n.node_id: n.text for n in store.get_nodes()} == {n.id_: n.text for n in page_nodes()}


def test_a_plain_node_is_found_with_all_its_properties() -> None:
    store = GlyphVectorStore()
    [chunk, *_] = SentenceSplitter(chunk_size=128, chunk_overlap=0).get_nodes_from_documents(documents())
    store.add([chunk])
    [back] = ask(store, chunk.text[:40], k=1)
    assert (back.node_id, back.text, back.ref_doc_id) == (chunk.node_id, chunk.text, "loops")
    assert (back.start_char_idx, back.next_node.node_id) == (chunk.start_char_idx, chunk.next_node.node_id)
    assert chunk.metadata.items() <= back.metadata.items()
    assert back.get_content(MetadataMode.EMBED) == chunk.get_content(MetadataMode.EMBED)


def test_a_plain_node_longer_than_a_page_loses_nothing() -> None:
    store = GlyphVectorStore()
    text = LOOPS + STRINGS
    assert store.add([TextNode(id_="long", text=text, metadata={"kind": "both"})]) == ["long"]
    parts = store.get_nodes(["long"])
    assert len(parts) > 2
    assert "".join(n.text for n in parts) == text
    assert all(n.parent_node.node_id == "long" and n.metadata["kind"] == "both" for n in parts)
    assert all(text[n.start_char_idx : n.end_char_idx] == n.text for n in parts)
    [found] = ask(store, "Which conversion flags can a replacement field have?", k=1)
    assert "conversion" in found.text and found.node_id in {n.node_id for n in parts}
    store.add([TextNode(id_="long", text="short now")])
    assert [n.text for n in store.get_nodes()] == ["short now"]
    store.delete_nodes(["long"])
    assert len(store.client) == 0


def test_equal_texts_of_different_nodes_are_different_nodes() -> None:
    store = GlyphVectorStore()
    store.add([TextNode(id_=name, text="The same words.") for name in "ab"])
    assert {n.node_id for n in store.get_nodes()} == {"a", "b"}


def test_nodes_without_visible_text_are_kept() -> None:
    store = GlyphVectorStore()
    assert store.add([TextNode(id_="empty", text=""), TextNode(id_="blank", text=" \n "), ImageNode(id_="image", image="aGk=")])
    assert {n.node_id: n.text for n in store.get_nodes()} == {"empty": "", "blank": " \n ", "image": ""}
    [image] = store.get_nodes(["image"])
    assert isinstance(image, ImageNode) and image.image == "aGk="


def test_a_page_written_by_others_gets_a_node() -> None:
    index = PageIndex.open()
    index.add(Renderer().paginate(LOOPS, source="loops.txt", metadata={"shelf": 3}))
    store = GlyphVectorStore(index)
    [node] = ask(store, "the else clause of a loop", k=1)
    assert node.node_id in index
    assert node.metadata["shelf"] == 3
    assert LOOPS[node.start_char_idx : node.end_char_idx] == node.text


async def test_asynchronous_calls_do_the_same_and_leave_the_loop_free(monkeypatch: pytest.MonkeyPatch) -> None:
    store = GlyphVectorStore()
    nodes = page_nodes()
    assert await store.async_add(nodes) == [n.id_ for n in nodes]
    query = VectorStoreQuery(query_str="conversion flags", similarity_top_k=2)
    assert (await store.aquery(query)).ids == store.query(query).ids
    assert len(await store.aget_nodes([nodes[0].id_])) == 1
    on_loop: list[bool] = []
    search = PageIndex.search

    def watched(*args: Any, **kwargs: Any) -> Any:
        try:
            asyncio.get_running_loop()
            on_loop.append(True)
        except RuntimeError:
            on_loop.append(False)
        return search(*args, **kwargs)

    monkeypatch.setattr(PageIndex, "search", watched)
    await asyncio.gather(*(store.aquery(query) for _ in range(4)))
    assert on_loop == [False] * 4
    await store.adelete_nodes([nodes[0].id_])
    await store.adelete("names")
    assert {n.ref_doc_id for n in await store.aget_nodes()} == {"loops", "strings"}
    await store.aclear()
    assert await store.aget_nodes() == []


# -- within LlamaIndex --------------------------------------------------------------------------------------------------


def test_a_vector_store_index_needs_no_embedding_model(store: GlyphVectorStore) -> None:
    index = VectorStoreIndex.from_vector_store(store, embed_model=store.embed_model)
    found = index.as_retriever(similarity_top_k=2).retrieve("Which conversion flags can a replacement field have?")
    assert [type(n.score) for n in found] == [float, float]
    assert found[0].node.metadata["source"] == "strings.txt"
    index.insert_nodes([TextNode(id_="jam", text="Marmalade is made of oranges.")])
    assert index.as_retriever(similarity_top_k=1).retrieve("marmalade")[0].node.node_id == "jam"
    index.delete_nodes(["jam"])
    index.delete_ref_doc("strings", delete_from_docstore=True)
    assert {n.ref_doc_id for n in store.get_nodes()} == {"loops", "names"}


async def test_a_vector_store_index_keeps_every_page(store: GlyphVectorStore) -> None:
    fresh = GlyphVectorStore()
    nodes = page_nodes()
    index = VectorStoreIndex(
        nodes, storage_context=StorageContext.from_defaults(vector_store=fresh), embed_model=fresh.embed_model
    )
    assert len(fresh.client) == len(nodes)
    retriever = index.as_retriever(similarity_top_k=2)
    question = "the else clause of a loop"
    assert await retriever.aretrieve(question) == retriever.retrieve(question)
    await index.adelete_ref_doc("loops")
    assert {n.ref_doc_id for n in fresh.get_nodes()} == {"names", "strings"}


def test_a_storage_context_is_written_and_read_back(store: GlyphVectorStore, tmp_path: Path) -> None:
    index = VectorStoreIndex.from_vector_store(store, embed_model=store.embed_model)
    for _ in range(2):  # writing again replaces
        index.storage_context.persist(persist_dir=str(tmp_path))
        store.delete("names")
    again = GlyphVectorStore.from_persist_dir(str(tmp_path))
    context = StorageContext.from_defaults(persist_dir=str(tmp_path), vector_store=again)
    loaded = load_index_from_storage(context, embed_model=again.embed_model)
    assert [n.to_dict() for n in again.get_nodes()] == [n.to_dict() for n in store.get_nodes()]
    [found] = loaded.as_retriever(similarity_top_k=1).retrieve("Which conversion flags can a replacement field have?")
    assert found.node.ref_doc_id == "strings"
    again.client.close()


def test_a_store_in_a_folder_is_durable_and_persists_elsewhere_as_a_copy(tmp_path: Path) -> None:
    store = GlyphVectorStore(path=tmp_path / "index")
    store.add(page_nodes())
    store.persist(str(tmp_path / "copy" / "default__vector_store.json"))
    store.client.close()
    for path in (tmp_path / "index", tmp_path / "copy" / "default__vector_store.glyph"):
        opened = GlyphVectorStore(path=path)
        assert len(opened.get_nodes()) == len(page_nodes())
        opened.persist(str(path.with_suffix(".json"))) if path.suffix else None  # onto itself
        opened.client.close()


def test_a_store_that_is_not_there_or_of_another_embedder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(IndexMismatchError, match="holds no page index"):
        GlyphVectorStore.from_persist_dir(str(tmp_path))
    assert list(tmp_path.iterdir()) == []
    store = GlyphVectorStore(path=tmp_path / "index", embedder=LexicalEmbedder(64))
    store.add(page_nodes())
    store.client.close()
    with pytest.raises(IndexMismatchError):
        GlyphVectorStore(path=tmp_path / "index", embedder=LexicalEmbedder(128))
    with pytest.raises(QueryError, match="local"):
        GlyphVectorStore().persist("somewhere.json", fs=pytest.importorskip("fsspec").filesystem("memory"))


def test_a_pipeline_with_a_docstore_replaces_what_changed() -> None:
    store = GlyphVectorStore()
    pipeline = IngestionPipeline(
        transformations=[PageNodeParser(), store.embed_model],
        vector_store=store,
        docstore=SimpleDocumentStore(),
        docstore_strategy=DocstoreStrategy.UPSERTS,
    )
    first = pipeline.run(documents=documents())
    assert len(store.client) == len(first) > 3
    assert pipeline.run(documents=documents()) == []
    changed = documents()
    changed[1].set_content("Names are rebound by marmalade.")
    assert [n.text for n in pipeline.run(documents=changed)] == ["Names are rebound by marmalade."]
    assert "".join(n.text for n in store.get_nodes() if n.ref_doc_id == "names") == "Names are rebound by marmalade."
    assert "".join(n.text for n in store.get_nodes() if n.ref_doc_id == "loops") == LOOPS
    assert ask(store, "marmalade", k=1)[0].ref_doc_id == "names"


async def test_a_pipeline_that_also_deletes_runs_asynchronously() -> None:
    store = GlyphVectorStore()
    pipeline = IngestionPipeline(
        transformations=[PageNodeParser(), store.embed_model],
        vector_store=store,
        docstore=SimpleDocumentStore(),
        docstore_strategy=DocstoreStrategy.UPSERTS_AND_DELETE,
    )
    await pipeline.arun(documents=documents())
    await pipeline.arun(documents=documents()[:1])
    assert {n.ref_doc_id for n in store.get_nodes()} == {"loops"}


def test_the_ingestion_cache_tells_equal_texts_of_different_files_and_different_styles_apart(folder: Path) -> None:
    pipeline = IngestionPipeline(transformations=[PageNodeParser()])
    runs = [pipeline.run(documents=[document]) for document in GlyphReader().load_data(folder)]
    assert {n.ref_doc_id for n in runs[0]} == {"a/notes.txt"}
    assert {n.ref_doc_id for n in runs[1]} == {"b/notes.txt"}
    assert not {n.id_ for n in runs[0]} & {n.id_ for n in runs[1]}
    store = GlyphVectorStore()
    embedded = IngestionPipeline(transformations=[store.embed_model], cache=pipeline.cache)
    assert [n.id_ for n in embedded.run(nodes=runs[0])] == [n.id_ for n in runs[0]]
    assert [n.id_ for n in embedded.run(nodes=runs[1])] == [n.id_ for n in runs[1]]  # equal text, other pages
    pipeline.transformations = [PageNodeParser(style="glyph-72;font_size=7")]
    [restyled] = {n.metadata["glyph_style"] for n in pipeline.run(documents=GlyphReader().load_data(folder)[:1])}
    assert "font_size=7" in restyled


# -- the retriever and the embedding ------------------------------------------------------------------------------------


async def test_the_retriever_works_over_store_index_and_other_retrievers(store: GlyphVectorStore) -> None:
    question = "Which conversion flags can a replacement field have?"
    other = VectorStoreIndex(  # an ordinary store, with the vectors of an embedder of ours
        page_nodes(), storage_context=StorageContext.from_defaults(vector_store=SimpleVectorStore()),
        embed_model=GlyphEmbedding(LexicalEmbedder(512)),
    )  # fmt: skip
    for pages in (store, store.client, other.as_retriever(similarity_top_k=2)):
        REGISTRY.clear()
        retriever = GlyphRetriever(pages, similarity_top_k=2)
        assert isinstance(retriever, BaseRetriever)
        found = retriever.retrieve(question)
        assert found[0].node.metadata["source"] == "strings.txt"
        assert len(found) == 2 and all(0 <= (n.score or 0) <= 1 for n in found)
        for n in found:
            assert (page := REGISTRY.page(n.node.metadata["glyph_id"])) and page.text == n.node.get_content()
        assert [n.node.node_id for n in await retriever.aretrieve(question)] == [n.node.node_id for n in found]


def test_the_retriever_keeps_filters_and_mode_and_refuses_what_holds_no_pages(store: GlyphVectorStore) -> None:
    filters = MetadataFilters(filters=[ExactMatchFilter(key="source", value="names.txt")])
    found = GlyphRetriever(store, similarity_top_k=2, filters=filters, mode="text_search").retrieve("loop")
    assert {n.node.metadata["source"] for n in found} == {"names.txt"}
    with pytest.raises(TypeError, match="GlyphVectorStore"):
        GlyphRetriever("pages")  # type: ignore[arg-type]


def test_the_retriever_passes_plain_nodes_of_others_through() -> None:
    class Plain(BaseRetriever):
        def _retrieve(self, query_bundle: Any) -> list[NodeWithScore]:
            return [NodeWithScore(node=TextNode(id_="plain", text="words"), score=0.5)]

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert [n.node.node_id for n in GlyphRetriever(Plain()).retrieve("words")] == ["plain"]


async def test_the_embedding_gives_the_embedders_vectors() -> None:
    embedder = LexicalEmbedder(256)
    model = GlyphEmbedding(embedder)
    node = page_nodes()[0]
    [expected] = embedder.embed_pages([Page.from_metadata(node.text, node.metadata)])
    assert model.get_text_embedding(node.text) == expected[0].tolist()
    assert await model.aget_text_embedding(node.text) == expected[0].tolist()
    assert model.get_query_embedding("loop") == embedder.embed_query("loop")[0].tolist()
    assert await model.aget_query_embedding("loop") == model.get_query_embedding("loop")
    assert model.get_text_embedding_batch(["a word", " "]) == await model.aget_text_embedding_batch(["a word", " "])


def test_the_embedding_means_windows_and_refuses_what_is_matched_one_by_one() -> None:
    class Two(LexicalEmbedder):
        asked = 1

        def embed_pages(self, pages: Any) -> Any:
            return [np.eye(2, self.dim, dtype=np.float32) * 3 for _ in pages]

        def embed_query(self, text: str, idf: Any = None) -> Any:
            return np.ones((self.asked, self.dim), dtype=np.float32)

    windows, late = Two(4), Two(4)
    late.asked = 2
    assert GlyphEmbedding(windows).get_text_embedding("words") == [0.5, 0.5, 0, 0]
    for embed in (GlyphEmbedding(late).get_text_embedding, GlyphEmbedding(late).get_query_embedding):
        with pytest.raises(QueryError, match="2 vectors"):
            embed("words")
    with pytest.raises(QueryError, match="fits on no page"):
        GlyphEmbedding(LexicalEmbedder(8)).get_text_embedding("line\n" * 3000)


# -- traps --------------------------------------------------------------------------------------------------------------


def test_an_image_is_not_lost_whatever_kind_of_node_carries_it(tmp_path: Path) -> None:
    class Sketch(ImageNode):
        artist: str = ""

    data = base64.b64encode(b"pixels").decode()
    nodes = [
        ImageNode(id_="image", image=data, text="words"),
        ImageDocument(id_="document", image=data),
        Document(id_="resource", text="words", image_resource=MediaResource(data=b"pixels", mimetype="image/png")),
        Node(id_="bare", image_resource=MediaResource(data=b"pixels"), text_resource=MediaResource(text="words")),
        Sketch(id_="sketch", image=data, text="words", artist="K."),
    ]
    for node in nodes:
        node.metadata = {"kind": "figure"}
        node.relationships[NodeRelationship.SOURCE] = RelatedNodeInfo(node_id="album")
    store = GlyphVectorStore()
    store.add(nodes)
    store.persist(str(tmp_path / "store.json"))
    again = GlyphVectorStore.from_persist_path(str(tmp_path / "store.json"))
    for name in ("image", "document", "resource", "bare", "sketch"):
        [back] = again.get_nodes([name])
        assert isinstance(back, ImageNode) and back.image == data, name
        assert back.text == ("" if name == "document" else "words") and back.ref_doc_id == "album"
        assert back.metadata["kind"] == "figure"
    again.client.close()


def test_a_drawn_page_is_stored_without_its_picture(store: GlyphVectorStore) -> None:
    drawn = adapters.PageImagePostprocessor("glyph").postprocess_nodes(
        GlyphRetriever(store, similarity_top_k=1).retrieve("Which conversion flags can a replacement field have?")
    )[0]
    assert drawn.node.class_name() == "PageImageNode"
    before = store.get_nodes([drawn.node.node_id])
    store.add([drawn.node])
    [back] = store.get_nodes([drawn.node.node_id])
    assert type(back) is TextNode and [back] == before


def test_pages_without_words_are_not_dropped(tmp_path: Path) -> None:
    Image.new("L", (80, 100), 200).save(tmp_path / "scan.png")
    documents = GlyphReader().load_data(tmp_path / "scan.png")
    [page] = PageNodeParser().get_nodes_from_documents(documents)
    assert page.text == "" and page.get_content(MetadataMode.EMBED)
    fresh = GlyphVectorStore()
    VectorStoreIndex([page], storage_context=StorageContext.from_defaults(vector_store=fresh), embed_model=fresh.embed_model)
    assert [n.node_id for n in fresh.get_nodes()] == [page.node_id]
    piped = GlyphVectorStore()
    IngestionPipeline(transformations=[PageNodeParser(), piped.embed_model], vector_store=piped).run(documents=documents)
    assert [n.node_id for n in piped.get_nodes()] == [page.node_id]


def test_a_page_that_looks_other_has_another_hash_at_the_same_place(tmp_path: Path) -> None:
    hashes = set()
    for grey in (0, 255):
        Image.new("L", (80, 100), grey).save(tmp_path / "scan.png")
        [page] = PageNodeParser().get_nodes_from_documents(GlyphReader().load_data(tmp_path / "scan.png"))
        hashes.add((page.hash, page.node_id))
    assert len({h for h, _ in hashes}) == len({i for _, i in hashes}) == 2


def test_equal_pages_of_one_document_are_two_nodes() -> None:
    text = ("The same line again and again.\n" * 200 + "\f") * 3
    nodes = PageNodeParser().get_nodes_from_documents([Document(text=text, metadata={"source": "same.txt"})])
    texts = [n.text for n in nodes]
    assert len(set(texts)) < len(texts)
    store = GlyphVectorStore()
    run = IngestionPipeline(transformations=[store.embed_model], vector_store=store)
    for node in nodes:  # one by one, so that each has a cache key of its own
        assert [n.node_id for n in run.run(nodes=[node])] == [node.node_id]
    assert "".join(n.text for n in store.get_nodes()) == text


def test_a_folder_read_without_the_store_does_not_pass_for_one_with_it(store: GlyphVectorStore, tmp_path: Path) -> None:
    index = VectorStoreIndex.from_vector_store(store, embed_model=store.embed_model)
    index.storage_context.persist(persist_dir=str(tmp_path))
    assert not (tmp_path / "default__vector_store.json").exists()
    with pytest.raises(KeyError):  # LlamaIndex's own; a binary file under that name was a JSONDecodeError
        load_index_from_storage(StorageContext.from_defaults(persist_dir=str(tmp_path)), embed_model=store.embed_model)


# -- embeddings that nodes bring ----------------------------------------------------------------------------------------


class Counter(BaseEmbedding):
    """Counts words, and how often it was asked."""

    model_name: str = "counter"
    asked: int = 0

    def _get_text_embedding(self, text: str) -> list[float]:
        self.asked += 1
        return [float(text.count(word)) + 0.01 for word in ("rain", "snow", "wind")]

    _get_query_embedding = _get_text_embedding

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return self._get_text_embedding(query)


def weather() -> list[TextNode]:
    return [TextNode(id_=word, text=f"A note about {word}.", embedding=[0.0, 0.0, 1.0]) for word in ("rain", "snow", "wind")]


def test_embeddings_that_nodes_bring_are_used_only_on_request() -> None:
    store = GlyphVectorStore(embedder=Counter())
    store.add(weather())
    assert [n.node_id for n in ask(store, "snow", k=1)] == ["snow"]
    model = Counter()
    on_request = GlyphVectorStore(embedder=model, use_embeddings=True)
    asked = model.asked
    on_request.add([*weather()[:2], TextNode(id_="none", text="snow and snow")])
    assert model.asked - asked <= 2  # what brought none, and perhaps its dimension
    found = on_request.query(VectorStoreQuery(query_embedding=[0.0, 0.0, 1.0], similarity_top_k=3))
    assert found.ids and set(found.ids[:2]) == {"rain", "snow"} and found.ids[2] == "none"
    assert found.similarities and found.similarities[0] == pytest.approx(1, abs=1e-3)
    with pytest.raises(QueryError, match=r"has 2 numbers; .*counter makes 3"):
        on_request.add([TextNode(id_="short", text="short", embedding=[1.0, 2.0])])
    assert on_request.get_nodes(["short"]) == []
    with pytest.raises(ValueError, match="needs embedder"):
        GlyphVectorStore(use_embeddings=True)


def test_writing_a_copy_embeds_nothing_again(tmp_path: Path) -> None:
    model = Counter()
    store = GlyphVectorStore(embedder=model)
    store.add(weather())
    path = str(tmp_path / "store.json")
    asked = model.asked
    store.persist(path)
    store.delete_nodes(["rain"])
    store.persist(path)
    assert model.asked == asked
    again = GlyphVectorStore.from_persist_path(path, embedder=Counter())
    assert [n.to_dict() for n in again.get_nodes()] == [n.to_dict() for n in store.get_nodes()]
    for question in ("snow", "wind"):
        query = VectorStoreQuery(query_str=question, similarity_top_k=2)
        assert again.query(query).ids == store.query(query).ids
        assert again.query(query).similarities == pytest.approx(store.query(query).similarities, abs=1e-3)
    again.client.close()
