"""Scans: pages of pictures alone get their text by OCR, and are then found by words and cited by box."""

from __future__ import annotations

import re
import sys
import threading
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chat_server import chat_server
from glyph_command import error_of, files_in, glyph, isolate, ok, write_story
from pdf_files import pages_pdf, show
from PIL import Image

from glyph_integrations import Page, PageIndex, PageStyle, Renderer, open_document, read_scans, verify_answer
from glyph_integrations.errors import GlyphError, MissingExtraError, ModelError
from glyph_integrations.ocr import CachedReader, Stretch
from glyph_integrations.picture import Picture

LINES = ["The invoice of March names", "a total of 4,870 crowns, due", "before the harvest festival."]


class Engine:
    """Finds what it is told, in lines over the whole width of ink; counts what it reads."""

    name, scripts = "test", ()

    def __init__(self, *texts: str) -> None:
        self.texts, self.pictures = texts, 0

    def read(self, image: Image.Image) -> list[Stretch]:
        self.pictures += 1
        high = image.height / max(1, len(self.texts))
        return [Stretch(text, n * high + 1, (n + 1) * high - 1, 0, image.width) for n, text in enumerate(self.texts)]


def scan(lines: list[str], scale: int = 2) -> Image.Image:
    """A picture of lines of text, 24 points apart, in the middle of paper."""
    style = PageStyle(width=420, font_size=18, line_height=26, newline="keep")
    (page,) = Renderer(style).paginate("\n".join(lines))
    drawn = Renderer().draw(page, dpi=72 * scale)
    paper = Image.new("L", (drawn.width + 100, drawn.height + 300), 246)
    paper.paste(drawn, (50, 150))
    return paper


def tiff(*pictures: Image.Image) -> bytes:
    data = BytesIO()
    pictures[0].save(data, "TIFF", save_all=True, append_images=pictures[1:])
    return data.getvalue()


def test_a_high_screenshot_is_read_at_a_legible_size_and_not_where_it_is_blank() -> None:
    drawn = scan(LINES)
    high = Image.new("L", (1080, 30_000), 246)
    for top in (0, 29_000):
        high.paste(drawn, (50, top))
    data = BytesIO()
    high.save(data, "PNG")
    widths: list[int] = []

    class Measured(Engine):
        def read(self, image: Image.Image) -> list[Stretch]:
            widths.append(image.width)
            return super().read(image)

    document = read_scans(open_document(data.getvalue(), name="shot.png"), Measured("some words"))
    assert 2 <= document.text.count("some words") == len(widths) <= 4
    ink = np.flatnonzero((np.asarray(drawn) < 128).any(axis=0))
    assert min(widths) > 0.9 * np.ptp(ink) * 24 / 52  # lines were drawn 52 pixels apart, and engines read 24 well


@pytest.mark.parametrize("engine", ["rapidocr", "tesseract"])
def test_a_scan_is_read_found_by_words_and_cited_by_box(engine: str) -> None:
    try:
        document = read_scans(open_document(tiff(scan(LINES)), name="ledger.tif"), engine)
    except (ModelError, ImportError) as error:
        pytest.skip(str(error))
    (page,) = Renderer().paginate(document)
    assert page.text.split("\n") == LINES
    with PageIndex.open() as index:
        index.add([page, *Renderer().paginate("Nothing of the kind.", "other.txt")])
        assert index.search("harvest festival", 1)[0].page.source == "ledger.tif"
    (citation,) = verify_answer('It was "a total of 4,870 crowns".', [page])
    assert citation.verified and citation.line == 2
    (box,) = citation.boxes
    ink = np.asarray(Renderer().draw(page)) < 128
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    third = (rows[-1] - rows[0]) / 3
    assert rows[0] + 0.6 * third < (box.top + box.bottom) / 2 < rows[0] + 2.4 * third
    assert abs(box.left - columns[0]) < 12 and box.right < columns[-1]


def test_only_pages_without_text_are_read(tmp_path: Path) -> None:
    square = b"100 300 300 200 re f"
    engine = Engine("read by sight")
    plain = open_document(pages_pdf([show("has text"), square, show("more text"), square]), name="mixed.pdf")
    document = read_scans(plain, engine)
    assert document.text.split("\f") == ["has text", "read by sight", "more text", "read by sight"] and engine.pictures == 2
    pages = list(Renderer().paginate(document))
    assert [page.text.strip("\f") for page in pages] == document.text.split("\f")
    for page in (pages[1], Page.from_metadata(pages[1].text, pages[1].to_metadata())):
        ((number, box),) = Renderer().boxes(page, page.text.index("sight"), page.text.index("sight") + 5)
        assert number == 1 and 60 < box.left < box.right < 420 and 280 < box.top < box.bottom < 520
    assert read_scans(document, engine) is document and engine.pictures == 2
    text = open_document(b"plain words", name="a.txt")
    assert read_scans(text, engine) is text


def test_divided_words_are_one_word() -> None:
    document = read_scans(open_document(tiff(scan(["x", "x", "x"]))), Engine("a fairy-", "tale of the North-", "West"))
    assert document.text == "a fairy\u00adtale of the North-\nWest"
    (page,) = Renderer().paginate(document)
    assert [page.line_text(n) for n in (1, 2, 3)] == ["a fairy\u00ad", "tale of the North-", "West"]


def test_boxes_fit_pictures_of_any_size() -> None:
    for width in (1, 40, 500, 5000):
        picture = Image.new("L", (width, 300), 255)
        picture.paste(0, (0, 20, width, 60))
        document = read_scans(open_document(tiff(picture)), Engine("some words", "", "\u05d0\u05d1 \u05d2 abc", "  "))
        (page,) = Renderer().paginate(document)
        assert page.picture is not None and len(page.picture_lines) == 2
        for line in page.picture_lines:
            assert 0 <= line.left < line.right <= np.ceil(page.picture.width)
        assert page.picture_lines[0].stops and not page.picture_lines[1].stops
        assert Picture.parse(str(page.picture)) == page.picture


def test_blank_scans_and_unknown_engines() -> None:
    blank = open_document(tiff(Image.new("L", (300, 300), 255), Image.new("L", (300, 300), 255)))
    assert read_scans(blank, Engine("never read")).text == "\f"
    with pytest.raises(ModelError, match="unknown OCR engine"):
        read_scans(blank, "eyes")


def test_a_scan_with_text_is_found_by_sight_too(visual_embedder: Callable[[str], Any]) -> None:
    from glyph_integrations.embedding.self_test import canary

    document = read_scans(open_document(tiff(*(canary(seed) for seed in range(3)))), Engine("kelp", "and brine"))
    embedder = visual_embedder("colqwen2")
    with PageIndex.open(embedder=embedder) as index:
        ids = index.add(Renderer().paginate(document))
        assert len(index.search("brine", 5, mode="lexical")) == 3
        assert index.search(embedder.embed_query(canary(2)), 1)[0].page.id == ids[2]


# -- in the frameworks --------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A scan of two pages, and a PDF whose second page has no text."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "ledger.tif").write_bytes(tiff(scan(LINES), scan(LINES[::-1])))
    square = b"100 300 300 200 re f"
    (tmp_path / "docs" / "mixed.pdf").write_bytes(pages_pdf([show("has text about kelp"), square]))
    return tmp_path / "docs"


async def test_langchain_reads_scans_finds_and_cites_them(folder: Path) -> None:
    pytest.importorskip("langchain_core")
    from glyph_integrations.langchain import GlyphLoader, GlyphVectorStore

    told: list[tuple[int, int]] = []
    engine = Engine("the total is 4,870 crowns", "before the harvest festival")
    loader = GlyphLoader(folder, ocr=engine, progress=lambda done, count: told.append((done, count)))
    documents = loader.load()
    assert [document.page_content.strip("\f").count("crowns") for document in documents] == [1, 1, 0, 1]
    assert told == [(1, 2), (2, 2), (1, 1)]
    assert [document async for document in loader.alazy_load()] == documents == await loader.aload()
    store = GlyphVectorStore.from_documents(documents)
    retriever = store.as_retriever(k=3)
    for found in (retriever.invoke("harvest festival"), await retriever.ainvoke("harvest festival")):
        assert [document.metadata["glyph_source"] for document in found[:3]].count("ledger.tif") == 2
    pages = [Page.from_metadata(document.page_content, document.metadata) for document in documents[:1]]
    (citation,) = verify_answer('"the total is 4,870 crowns"', pages)
    ((line, box),) = Renderer().boxes(pages[0], citation.start - pages[0].start, citation.end - pages[0].start)
    assert citation.verified and line == 1 and box.bottom > box.top > 0
    assert all(document.page_content.strip("\f") == "" for document in GlyphLoader(folder / "ledger.tif").load())


async def test_llama_index_reads_scans_finds_and_cites_them(folder: Path) -> None:
    pytest.importorskip("llama_index.core")
    from llama_index.core.ingestion import IngestionPipeline

    from glyph_integrations.llama_index import GlyphReader, GlyphRetriever, GlyphVectorStore, PageNodeParser

    told: list[tuple[int, int]] = []
    engine = Engine("the total is 4,870 crowns", "before the harvest festival")
    reader = GlyphReader(ocr=engine, progress=lambda done, count: told.append((done, count)))
    documents = reader.load_data(folder)
    assert told == [(1, 2), (2, 2), (1, 1)] and [document.text.count("crowns") for document in documents] == [2, 1]
    assert [document.text for document in await reader.aload_data(folder)] == [document.text for document in documents]
    nodes = PageNodeParser().get_nodes_from_documents(documents)
    assert len(nodes) == 4 and all(node.metadata["glyph_picture"] for node in nodes)
    pages = [Page.from_metadata(node.get_content(), node.metadata) for node in nodes]
    (citation,) = verify_answer('"the total is 4,870 crowns"', pages[:1])
    assert citation.verified and Renderer().boxes(pages[0], 0, 5)
    for run in ("run", "arun"):
        store = GlyphVectorStore()
        pipeline = IngestionPipeline(transformations=[PageNodeParser(), store.embed_model], vector_store=store)
        await pipeline.arun(documents=documents) if run == "arun" else pipeline.run(documents=documents)
        retriever = GlyphRetriever(store, similarity_top_k=2)
        assert {n.metadata["source"] for n in retriever.retrieve("harvest")} <= {"ledger.tif", "mixed.pdf"}
        assert len(await retriever.aretrieve("harvest")) == 2
    plain = GlyphReader.from_dict(GlyphReader(ocr="tesseract:eng").to_dict())
    assert plain.ocr == "tesseract:eng" and plain.progress is None and "ocr" in GlyphReader.model_json_schema()["properties"]


async def test_scans_without_text_are_found_by_sight_in_both_frameworks(
    visual_embedder: Callable[[str], Any], tmp_path: Path
) -> None:
    pytest.importorskip("langchain_core")
    pytest.importorskip("llama_index.core")
    from glyph_integrations.embedding.self_test import canary
    from glyph_integrations.langchain import GlyphLoader
    from glyph_integrations.langchain import GlyphVectorStore as ChainStore
    from glyph_integrations.llama_index import GlyphReader, GlyphRetriever, GlyphVectorStore, PageNodeParser

    for seed in range(3):
        canary(seed).save(tmp_path / f"{seed}.png")
    embedder = visual_embedder("colqwen2")
    chain = ChainStore.from_documents(GlyphLoader(tmp_path).load(), embedder).as_retriever(k=1)
    assert chain.retrieve_image(tmp_path / "1.png")[0].metadata["glyph_source"] == "1.png"
    assert (await chain.aretrieve_image(canary(2)))[0].metadata["glyph_source"] == "2.png"
    assert len(chain.invoke("What does it say?")) == 1
    store = GlyphVectorStore(embedder=embedder)
    nodes = PageNodeParser().get_nodes_from_documents(GlyphReader().load_data(tmp_path))
    assert len(nodes) == 3 and store.add(nodes) == [node.node_id for node in nodes]
    retriever = GlyphRetriever(store, similarity_top_k=1)
    assert retriever.retrieve_image(canary(1))[0].metadata["source"] == "1.png"
    assert (await retriever.aretrieve_image(canary(0)))[0].metadata["source"] == "0.png"
    assert len(retriever.retrieve("What does it say?")) == 1


def test_a_page_that_nothing_can_find_is_told_once(
    visual_embedder: Callable[[str], Any], folder: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("langchain_core")
    pytest.importorskip("llama_index.core")
    from glyph_integrations.embedding import wordless
    from glyph_integrations.langchain import GlyphLoader
    from glyph_integrations.langchain import GlyphVectorStore as ChainStore
    from glyph_integrations.llama_index import GlyphReader, GlyphVectorStore, PageNodeParser

    documents, files = GlyphLoader(folder).load(), GlyphReader().load_data(folder)
    for fill in (
        lambda: [ChainStore.from_documents(documents) for _ in range(2)],
        lambda: [GlyphVectorStore().add(PageNodeParser().get_nodes_from_documents(files)) for _ in range(2)],
    ):
        monkeypatch.setattr(wordless, "_told", set())
        caplog.clear()
        fill()
        (message,) = [record.getMessage() for record in caplog.records if "no search will find it" in record.getMessage()]
        assert message.startswith("Page 1 of ledger.tif has no text") and "ocr=True" in message and "VisualEmbedder" in message
    monkeypatch.setattr(wordless, "_told", set())
    caplog.clear()
    ChainStore.from_documents(documents, visual_embedder("colpali"))
    ChainStore.from_documents(GlyphLoader(folder, ocr=Engine("words")).load())
    assert "no search will find it" not in caplog.text


def test_readers_in_several_threads_share_a_folder_of_readings(tmp_path: Path) -> None:
    pictures = [Image.new("L", (10, 10), grey) for grey in range(120)]
    wrong: list[Exception] = []

    def read() -> None:
        reader = CachedReader(Engine("words " * 500), tmp_path)
        try:
            for picture in pictures:
                reader.read(picture)
        except Exception as error:
            wrong.append(error)

    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=read) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(usual)
    assert not wrong and len(list(tmp_path.iterdir())) == len(pictures)


def test_a_folder_that_takes_no_readings_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(GlyphError, match=r"what OCR read cannot be kept in .*file"):
        CachedReader(Engine("words"), tmp_path / "file").read(Image.new("L", (9, 9)))


def test_a_missing_engine_names_the_extra(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("langchain_core")
    pytest.importorskip("llama_index.core")
    from glyph_integrations.langchain import GlyphLoader
    from glyph_integrations.llama_index import GlyphReader
    from glyph_integrations.rendering import scans

    scans._named.cache_clear()
    monkeypatch.setitem(sys.modules, "rapidocr", None)
    for load in (GlyphLoader(folder, ocr=True).load, lambda: GlyphReader(ocr=True).load_data(folder)):
        with pytest.raises(MissingExtraError, match=r"rapidocr is not installed.*\[ocr\]"):
            load()
    with pytest.raises(TypeError, match="int is no OCR engine"):
        read_scans(open_document(folder / "ledger.tif"), 7)  # type: ignore[arg-type]


def test_an_interrupted_reading_goes_on_where_it_stopped(folder: Path, tmp_path: Path) -> None:
    document = open_document(folder / "ledger.tif")

    def interrupt(done: int, count: int) -> None:
        raise KeyboardInterrupt

    engine = Engine("words")
    with pytest.raises(KeyboardInterrupt):
        read_scans(document, CachedReader(engine, tmp_path / "readings"), interrupt)
    read = engine.pictures
    assert read > 0 and read_scans(document, CachedReader(engine, tmp_path / "readings")).text == "words\fwords"
    assert engine.pictures == 2 * read
    again = Engine("words")
    assert read_scans(document, CachedReader(again, tmp_path / "readings")).text == "words\fwords" and not again.pictures


# -- on the command line ------------------------------------------------------------------------------------------------


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return isolate(tmp_path, monkeypatch)


def test_an_index_of_scans_is_read_asked_and_stays_read(here: Path) -> None:
    pytest.importorskip("rapidocr")
    (here / "docs").mkdir()
    (here / "docs" / "ledger.tif").write_bytes(tiff(scan(LINES)))
    plain = glyph("index", "docs", "-i", "idx")
    assert plain.exit_code == 0 and "1 page without text (ledger.tif) cannot be found: add --ocr" in plain.stderr
    assert "no page matches" in ok("ask", "idx", "When is the harvest festival?")
    read = glyph("index", "docs", "-i", "idx", "--ocr")
    assert read.exit_code == 0 and "cannot be found" not in read.stderr
    readings = files_in(here / "idx" / "ocr")
    assert "engine.txt" in readings and len(readings) > 1
    answer = ok("ask", "idx", "When is the harvest festival?", "--root", "docs")
    assert "1:1  verified" in answer
    marked = np.asarray(Image.open(here / "glyph-answer" / "ledger_page_0001.png").convert("RGB")).astype(int)
    assert (marked[..., 0] - marked[..., 2] > 40).any()  # the cited lines are marked
    for arguments in (("index", "docs", "-i", "idx"), ("index", "docs", "-i", "idx", "--ocr")):
        (row,) = [line.split() for line in ok(*arguments).splitlines() if line.strip().startswith("ledger.tif")]
        assert row == ["ledger.tif", "1", "0", "1", "0"] and files_in(here / "idx" / "ocr") == readings
    with PageIndex.open(here / "idx") as index:
        assert "harvest festival" in next(iter(index)).text
    ok("index", "docs", "-i", "idx", "--no-ocr")
    with PageIndex.open(here / "idx") as index:
        assert not next(iter(index)).text


def test_a_question_to_a_scan(here: Path) -> None:
    pytest.importorskip("rapidocr")
    (here / "ledger.tif").write_bytes(tiff(scan(LINES)))
    blind = glyph("ask", "ledger.tif", "When is the harvest festival?")
    assert "1 page of ledger.tif has no text to search: add --ocr" in blind.stderr and "no page matches" in blind.stdout
    assert "verified" in ok("ask", "ledger.tif", "When is the harvest festival?", "--ocr")


def test_options_of_ocr_that_do_not_fit(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "a.tif").write_bytes(tiff(scan(LINES)))
    write_story(here)
    ok("index", "story.txt", "-i", "idx", "--ocr")  # nothing to read, so no engine is needed
    for arguments in (("ask", "idx", "Who?", "--ocr"), ("index", "a.tif", "-i", "new", "--no-ocr", "--ocr-engine", "rapidocr")):
        result = glyph(*arguments)
        assert result.exit_code == 2, result.output
    assert "unknown OCR engine 'eyes'" in error_of("index", "a.tif", "-i", "new", "--ocr-engine", "eyes")
    monkeypatch.setitem(sys.modules, "rapidocr", None)
    assert "glyph-integrations[ocr]" in error_of("index", "a.tif", "-i", "new", "--ocr")
    assert not (here / "new").exists()


def test_a_model_is_shown_a_page_that_has_no_words(here: Path) -> None:
    with chat_server() as server:
        (here / "ledger.png").write_bytes(b"")
        scan(LINES).save(here / "ledger.png")
        result = glyph("ask", "ledger.png", "What is the total?", "--base-url", server.url, "--model", "qwen2.5-vl")
    assert result.exit_code == 0, result.output
    assert "1 page as images" in result.stdout
    assert any("image_url" in str(request) for request in server.requests)


def test_the_guide_runs(here: Path) -> None:
    for package in ("rapidocr", "langchain_core", "llama_index.core"):
        pytest.importorskip(package)
    (here / "scans").mkdir()
    (here / "scans" / "ledger.tif").write_bytes(tiff(scan(LINES)))
    guide = (Path(__file__).resolve().parents[1] / "docs" / "pdfs-and-scans.md").read_text(encoding="utf-8")
    names: dict[str, Any] = {}
    for code in re.findall(r"```python\n(.*?)```", guide, re.S):
        if "colmodernvbert" not in code:  # nothing is downloaded here
            exec(compile(code, "guide", "exec"), names)
    assert "harvest" in names["documents"][0].text and "harvest" in names["nodes"][0].get_content()
    assert "harvest" in names["loader"].load()[0].page_content and files_in(here / "readings")
