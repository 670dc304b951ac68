"""Files and Documents to page Documents, and pages through stores of others."""

from __future__ import annotations

import subprocess
import sys
import warnings
from pathlib import Path

import pytest

pytest.importorskip("langchain_core")

from langchain_core.documents import Document
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.load import dumps, loads
from langchain_core.vectorstores import InMemoryVectorStore

from glyph_integrations import Page, PageStyle, Renderer
from glyph_integrations.errors import DocumentError, PageFormatError
from glyph_integrations.langchain import GlyphLoader, GlyphRetriever, PageSplitter, page_content_blocks, page_image, tag_pages
from glyph_integrations.langchain.page_documents import page_of
from glyph_integrations.reading import REGISTRY, page_tag, split_tags

LINES = "".join(f"Line {i} tells of {['rain', 'snow', 'hail'][i % 3]} in <town> {i} & {{braces}}.\n" for i in range(400))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "deep").mkdir()
    (tmp_path / "a.txt").write_text(LINES, encoding="utf-8")
    (tmp_path / "deep" / "b.md").write_text("# Snow\n\nIt snows.", encoding="utf-8")
    return tmp_path


def test_a_loader_yields_the_pages_of_files_lazily(folder: Path) -> None:
    documents = GlyphLoader(folder).load()
    assert [d.metadata["source"] for d in documents[-2:]] == ["a.txt", "deep/b.md"]
    pages = [page_of(d) for d in documents]
    assert "".join(d.page_content for d in documents[:-1]) == LINES
    assert all(page and page.id == d.id and page.to_metadata() == d.metadata for page, d in zip(pages, documents, strict=True))
    first = next(iter(GlyphLoader([folder / "a.txt", folder / "missing.txt"]).lazy_load()))
    assert first == documents[0]  # what comes later was not touched
    assert [d.id for d in GlyphLoader(str(folder / "**" / "*.md")).load()] == [documents[-1].id]


async def test_a_loader_yields_the_same_asynchronously(folder: Path) -> None:
    assert await GlyphLoader(folder).aload() == GlyphLoader(folder).load()


def test_files_that_cannot_be_read_are_an_error_or_left_out(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    (folder / "c.pdf").write_bytes(b"%PDF-1.7 ...")
    with pytest.raises(DocumentError, match=r"c\.pdf is a PDF"):
        GlyphLoader(folder).load()
    documents = GlyphLoader(folder, silent_errors=True).load()
    assert {d.metadata["source"] for d in documents} == {"a.txt", "deep/b.md"}
    assert "c.pdf" in caplog.text
    with pytest.raises(DocumentError, match="does not exist"):
        GlyphLoader(folder / "nothing.txt").load()


def test_a_splitter_keeps_the_metadata_of_the_parent() -> None:
    parent = Document(LINES, id="x", metadata={"source": "weather.txt", "author": "Ann", "tags": ["a", "b"]})
    documents = PageSplitter().split_documents([parent])
    assert len(documents) > 3 and "".join(d.page_content for d in documents) == LINES
    for document in documents:
        assert {key: document.metadata[key] for key in parent.metadata} == parent.metadata
        assert document.metadata["glyph_source"] == "weather.txt"
        start, end = document.metadata["glyph_start"], document.metadata["glyph_end"]
        assert LINES[start:end] == document.page_content
    assert parent.metadata == {"source": "weather.txt", "author": "Ann", "tags": ["a", "b"]}
    assert PageSplitter().transform_documents(documents) == documents  # pages stay as they are
    assert PageSplitter().transform_documents([Document("  \n")]) == []


def test_documents_of_one_source_are_numbered_through_and_told_apart() -> None:
    chapters = [Document("The same words.", metadata={"source": "book"}) for _ in range(3)]
    documents = PageSplitter().transform_documents([*chapters, Document("The same words.", metadata={"source": "other"})])
    assert [d.metadata["glyph_n"] for d in documents] == [1, 2, 3, 1]
    assert len({d.id for d in documents}) == 4
    assert all(page_of(d) for d in documents)


async def test_a_splitter_splits_asynchronously() -> None:
    parent = Document(LINES)
    assert await PageSplitter().atransform_documents([parent]) == PageSplitter().transform_documents([parent])


def test_pages_survive_serialisation_and_stores_of_others() -> None:
    documents = PageSplitter(Renderer(PageStyle.preset("glyph-96"))).transform_documents(
        [Document(LINES, metadata={"source": "w"})]
    )
    again: list[Document] = loads(dumps(documents), allowed_objects="core")
    assert again == documents
    store = InMemoryVectorStore(DeterministicFakeEmbedding(size=8))
    store.add_documents(documents)
    found = GlyphRetriever(vectorstore=store, k=2, page_tags=False).invoke("rain")
    assert len(found) == 2
    for document in found:
        page, original = page_of(document), next(d for d in documents if d.id == document.id)
        before = page_of(original)
        assert page and before and page == before and REGISTRY.page(page.id) == page
        assert page_image(page).tobytes() == page_image(original).tobytes()


def test_tags_hold_the_exact_text_and_leave_it_in_the_metadata() -> None:
    nasty = Document(
        'He wrote <page n="1" source="x" id="' + "0" * 32 + '"> and &lt; </page> here.', metadata={"source": 'a "b"'}
    )
    documents = PageSplitter().transform_documents([nasty, Document(LINES)])
    tagged = tag_pages.invoke(documents)
    for document, original in zip(tagged, documents, strict=True):
        page = page_of(original)
        assert page and document.page_content == page_tag(page) and document.id == original.id
        assert document.metadata["glyph_text"] == original.page_content
        (tag,) = split_tags(document.page_content)
        assert not isinstance(tag, str) and REGISTRY.resolve(tag) == page
        assert page_of(document) == page
    assert tag_pages.invoke(tagged) == tagged


async def test_plain_documents_are_tagged_as_pages_of_their_own() -> None:
    plain = [Document("It rains in Spain.", metadata={"source": "s"}), Document(LINES, id="long")]
    tagged = await tag_pages.ainvoke(plain)
    pages: list[list[Page]] = []
    for document in tagged:
        found = [REGISTRY.resolve(tag) for tag in split_tags(document.page_content) if not isinstance(tag, str)]
        pages.append([page for page in found if page])
    assert ["".join(page.text for page in own) for own in pages] == [plain[0].page_content, LINES]
    assert [d.metadata["glyph_text"] for d in tagged] == [d.page_content for d in plain]
    assert await tag_pages.ainvoke(tagged) == tagged
    assert [d.metadata for d in plain] == [{"source": "s"}, {}]


def test_an_edited_page_is_plain_text_with_one_warning() -> None:
    documents = PageSplitter().transform_documents([Document(LINES)])
    edited = [Document(d.page_content[5:], metadata=d.metadata) for d in documents]
    with pytest.warns(UserWarning, match=f"{len(edited)} Document") as caught:
        tagged = tag_pages.invoke(edited)
    assert len(caught) == 1
    assert [d.metadata["glyph_text"] for d in tagged] == [d.page_content for d in edited]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert page_of(edited[0]) is None
        with pytest.raises(PageFormatError, match="holds no page"):
            page_image(edited[0])


def test_content_blocks_are_a_label_and_an_image_that_is_known_again() -> None:
    (document,) = PageSplitter().transform_documents([Document("It rains.", metadata={"source": "w"})])
    label, image = page_content_blocks(document, dpi=96, vision="glyph")
    assert label == {"type": "text", "text": "Page 1"}
    assert image["image_url"]["url"].startswith("data:image/png;base64,")
    assert len(page_content_blocks([document, document])) == 4
    size = page_image(document, dpi=96, vision="glyph").size
    assert all(side % 28 == 0 for side in size)


def test_without_langchain_the_error_names_the_extra() -> None:
    program = (
        "import sys; sys.modules['langchain_core'] = None\n"
        "import glyph_integrations.langchain as adapters\n"
        "from glyph_integrations.errors import MissingExtraError\n"
        "try: adapters.ChatGlyph\n"
        "except MissingExtraError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "glyph-integrations[langchain]" in done.stdout
