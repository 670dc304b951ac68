"""Pages by sight in both frameworks: stores, retrievers that take a picture, and embeddings of pictures."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from visual_checkpoints import SINGLE

from glyph_integrations import LexicalEmbedder, Page, PageStyle, Renderer, VisualEmbedder
from glyph_integrations.embedding import embed_picture
from glyph_integrations.embedding.self_test import canary
from glyph_integrations.errors import DocumentError, QueryError

pytest.importorskip("sentence_transformers")
Load = Callable[[str], VisualEmbedder]
STYLE = PageStyle(width=280, height=280, font_size=18, line_height=20)


@pytest.fixture(scope="module")
def pages() -> list[Page]:
    draw, renderer = np.random.default_rng(5), Renderer(STYLE)
    texts = (" ".join("".join(draw.choice([*"aeiountrslm"], 5)) for _ in range(60)) for _ in range(8))
    return [next(renderer.paginate(text, f"{number}.txt")) for number, text in enumerate(texts)]


@pytest.fixture(scope="module")
def pictures(pages: list[Page], tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("pictures")
    files = [folder / f"{page.number}-{page.source}.png" for page in pages]
    for page, file in zip(pages, files, strict=True):
        Renderer().draw(page).save(file)
    return files


@pytest.mark.parametrize("family", ["colpali", SINGLE])
async def test_langchain_finds_pages_by_question_and_picture(
    family: str, pages: list[Page], pictures: list[Path], visual_embedder: Load
) -> None:
    pytest.importorskip("langchain_core")
    from langchain_core.documents import Document

    from glyph_integrations.langchain import GlyphVectorStore

    documents = [Document(page.text, id=page.id, metadata=page.to_metadata()) for page in pages]
    store = GlyphVectorStore.from_documents(documents, visual_embedder(family))
    assert len(store.similarity_search("what does it say", 3, mode="dense")) == 3
    retriever = store.as_retriever(k=2)
    for picture in (pictures[3], str(pictures[3]), pictures[3].read_bytes(), Renderer().draw(pages[3])):
        found = retriever.retrieve_image(picture)
        assert len(found) == 2 and found[0].metadata["glyph_id"] == pages[3].id and "<page" in found[0].page_content
    assert (await retriever.aretrieve_image(pictures[5], k=1))[0].metadata["glyph_source"] == "5.txt"
    filtered = retriever.retrieve_image(pictures[5], filter={"glyph_source": "1.txt"})
    assert [document.metadata["glyph_source"] for document in filtered] == ["1.txt"]


@pytest.mark.parametrize("family", ["colpali", SINGLE])
async def test_llama_index_finds_pages_by_question_and_picture(
    family: str, pages: list[Page], pictures: list[Path], visual_embedder: Load
) -> None:
    pytest.importorskip("llama_index.core")
    from glyph_integrations.llama_index import GlyphRetriever, GlyphVectorStore

    store = GlyphVectorStore(embedder=visual_embedder(family))
    store.client.add(pages)
    retriever = GlyphRetriever(store, similarity_top_k=2)
    assert len(retriever.retrieve("what does it say")) == 2
    for picture in (pictures[3], pictures[3].read_bytes(), Renderer().draw(pages[3])):
        found = retriever.retrieve_image(picture)
        assert len(found) == 2 and found[0].node.node_id == pages[3].id and 0 < (found[0].score or 0) <= 1
    assert (await retriever.aretrieve_image(pictures[5]))[0].node.node_id == pages[5].id
    with pytest.raises(QueryError, match="takes no pictures"):
        GlyphRetriever(retriever).retrieve_image(pictures[0])


async def test_embeddings_of_pictures(pictures: list[Path], visual_embedder: Load) -> None:
    pytest.importorskip("llama_index.core")
    pytest.importorskip("langchain_core")
    from llama_index.core.embeddings import MultiModalEmbedding

    from glyph_integrations.langchain import GlyphEmbeddings
    from glyph_integrations.llama_index import GlyphEmbedding

    embedder = visual_embedder(SINGLE)
    expected = np.concatenate(embedder.embed_images([canary(0), canary(1)]))
    files = [BytesIO(), BytesIO()]
    for seed, file in enumerate(files):
        canary(seed).save(file, "PNG")
    model = GlyphEmbedding(embedder)
    assert isinstance(model, MultiModalEmbedding)
    assert np.allclose(model.get_image_embedding_batch(files), expected, atol=2e-3)
    assert np.allclose(await model.aget_image_embedding(files[1]), expected[1], atol=2e-3)
    assert len(model.get_text_embedding("some words")) == len(model.get_query_embedding("Who?")) == 64
    ours, theirs = (
        GlyphEmbeddings(embedder).embed_image(pictures[:2]),
        model.get_image_embedding_batch([*map(str, pictures[:2])]),
    )
    assert ours == theirs
    with pytest.raises(QueryError, match="use GlyphVectorStore"):
        GlyphEmbedding(visual_embedder("colpali")).get_image_embedding(str(pictures[0]))
    with pytest.raises(QueryError, match="it embeds text"):
        GlyphEmbedding(LexicalEmbedder(8)).get_image_embedding(files[0])
    with pytest.raises(DocumentError):
        model.get_image_embedding("no such file.png")


def test_pictures_that_cannot_be_searched_with(pages: list[Page], visual_embedder: Load, tmp_path: Path) -> None:
    pytest.importorskip("langchain_core")
    from glyph_integrations.langchain import GlyphVectorStore

    with pytest.raises(QueryError, match=r"embeds text; .*VisualEmbedder"):
        GlyphVectorStore().as_retriever().retrieve_image(canary(0))
    (tmp_path / "notes.png").write_text("words")
    for broken in (tmp_path / "notes.png", tmp_path / "absent.png", b"", b"%PDF-1.7", "https://localhost/picture.png"):
        with pytest.raises(DocumentError, match="cannot be read, or is no picture"):
            embed_picture(visual_embedder("colpali"), broken)
