"""Pages of PDF files on their way: stored and drawn again, in prompts, in frameworks, at the command."""

from __future__ import annotations

import base64
import logging
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from chat_server import chat_server, images_of
from pdf_files import encrypted_pdf, ink_in, pages_pdf, paginate, show
from PIL import Image

from glyph_integrations import (
    ContextBuilder,
    ExtractiveModel,
    Page,
    PageIndex,
    Renderer,
    open_document,
    verify_answer,
)
from glyph_integrations.errors import DocumentError, PageFormatError
from glyph_integrations.reading import Gate, PagePart, page_tag
from glyph_integrations.sources.page_file import OPENED

TWO = pages_pdf([show("Alpha beta gamma") + show("second line", y=680), show("Delta")])


@pytest.fixture(autouse=True)
def nothing_open() -> Iterator[None]:
    OPENED.clear()
    yield
    OPENED.clear()


@pytest.fixture(scope="module")
def renderer() -> Renderer:
    return Renderer()


# -- where files come from ----------------------------------------------------------------------------------------------


@pytest.fixture
def shelf(tmp_path: Path) -> tuple[Path, Page]:
    """A folder with a PDF in it, and a page of it as another process would read it from a store."""
    (tmp_path / "root" / "deep").mkdir(parents=True)
    (tmp_path / "root" / "deep" / "a.pdf").write_bytes(TWO)
    page = next(Renderer().paginate(open_document(TWO, name="deep/a.pdf")))
    again = Page.from_metadata(page.text, page.to_metadata())
    OPENED.clear()
    return tmp_path / "root", again


def test_without_a_root_no_file_is_opened(shelf: tuple[Path, Page], monkeypatch: pytest.MonkeyPatch) -> None:
    root, page = shelf
    monkeypatch.chdir(root)  # not even when its name leads there
    with pytest.raises(DocumentError, match="not at hand: open it in this process, or give the renderer root="):
        Renderer().draw(page)
    assert "not at hand" in Renderer().missing_file(page)
    assert Renderer().boxes(page, 0, 5) and Renderer().size(page) == (600, 800)  # these need no file


def test_a_root_that_holds_the_file_is_enough(shelf: tuple[Path, Page]) -> None:
    root, page = shelf
    renderer = Renderer(root=root)
    assert renderer.missing_file(page) == "" and ink_in(renderer.pixels(page), renderer.boxes(page, 0, 5)[0][1])


def test_another_file_of_that_name_is_refused(shelf: tuple[Path, Page]) -> None:
    root, page = shelf
    (root / "deep" / "a.pdf").write_bytes(TWO + b"\n")
    with pytest.raises(DocumentError, match="its hash is another"):
        Renderer(root=root).draw(page)
    (root / "deep" / "a.pdf").unlink()
    with pytest.raises(DocumentError, match=r"deep/a\.pdf is not below"):
        Renderer(root=root).draw(page)


def test_links_do_not_lead_out_of_the_root(shelf: tuple[Path, Page]) -> None:
    root, page = shelf
    (root / "deep" / "a.pdf").rename(root.parent / "outside.pdf")
    (root / "deep" / "a.pdf").symlink_to(root.parent / "outside.pdf")
    with pytest.raises(DocumentError, match="is not below"):
        Renderer(root=root).draw(page)


def test_an_encrypted_file_below_the_root_is_not_at_hand_without_its_password(tmp_path: Path) -> None:
    data = encrypted_pdf("Secret words", "sesame")
    (tmp_path / "a.pdf").write_bytes(data)
    page = next(Renderer().paginate(open_document(data, name="a.pdf", password="sesame")))
    OPENED.clear()
    assert "encrypted" in Renderer(root=tmp_path).missing_file(page)


@pytest.mark.parametrize(
    "change",
    [
        (",deep/", ",../deep/"), (",deep/", ",/deep/"), (",600.0,", ",nan,"), (",600.0,", ",-600.0,"), (",600.0,", ",1e300,"),
        (",600.0,", ",60.0,"), (",0,600", ",1,600"), (",0,600", ",-1,600"), (",800.0,", ",800.0,zz"), (",800.0,", ""),
    ],
)  # fmt: skip
def test_metadata_that_were_tampered_with_are_refused(change: tuple[str, str], shelf: tuple[Path, Page]) -> None:
    metadata = shelf[1].to_metadata()
    changed = str(metadata["glyph_picture"]).replace(*change)
    assert changed != metadata["glyph_picture"]
    with pytest.raises(PageFormatError):
        Page.from_metadata(shelf[1].text, {**metadata, "glyph_picture": changed})


# -- prompts, frameworks, command ---------------------------------------------------------------------------------------


def test_the_gate_sends_what_it_has(shelf: tuple[Path, Page]) -> None:
    page = shelf[1]
    long = pages_pdf(
        [
            b"".join(show("many words that cost more than their picture " * 2, y=n * 8, size=6) for n in range(99)),
            b"0 0 9 9 re f",
        ]
    )
    worded, wordless = paginate(Renderer(), long)
    build = ContextBuilder("glyph").build
    report = build("?", [worded, wordless, page])[1]
    assert [(p.sent_as, p.reason) for p in report.placements][:2] == [
        ("image", "its image costs less than its text; sharper, as one of the best 1"), ("image", "no text is known of it"),
    ]  # fmt: skip
    assert report.placements[2].sent_as == "text" and "not at hand" in report.placements[2].reason
    report = ContextBuilder(None).build("?", [worded, wordless])[1]
    assert [p.sent_as for p in report.placements] == ["text", "left out"]
    assert report.left_out[0].reason == "no text is known of it, and the model takes no images" and report.tokens > 1000
    OPENED.clear()
    turns, report = build("?", [worded, wordless])
    assert [p.sent_as for p in report.placements] == ["text", "left out"] and not turns[0].pages
    assert all("not at hand" in p.reason for p in report.placements)


def test_an_answer_cites_a_page_of_a_pdf(corpora: Path, renderer: Renderer) -> None:
    pages = list(renderer.paginate(open_document(corpora / "pdfs/598us1r3_j4ek.pdf")))
    with PageIndex.open() as index:
        index.add(pages)
        question = "Who sentenced Cruz to death?"
        turns, report = ContextBuilder("glyph", renderer=renderer).build(question, index.search(question, k=3))
        citations = verify_answer(ExtractiveModel("glyph").read(turns).text, report.pages, renderer)
    assert citations and all(citation.verified and citation.boxes for citation in citations)
    assert all(ink_in(renderer.pixels(c.page), box) for c in citations if c.page for box in c.boxes)


CHART = [  # bars of the same grey, told apart by their colours alone; and the same in black and a printer's black
    b"".join(
        show("Sales of the north and of the south, quarter by quarter, for some years", y=y, size=8) for y in range(9, 400, 9)
    )
    + b"%s rg 100 500 90 200 re f %s rg 300 500 90 120 re f" % colors
    for colors in ((b"0.8 0 0", b"0 0.4 0"), (b"0 0 0", b"0.137 0.122 0.125"))
]


def drawn(data: bytes) -> tuple[str, tuple[Any, ...]]:
    """The mode of a picture, and the values in both bars."""
    image = Image.open(BytesIO(data))
    return image.mode, tuple(image.getpixel((x * image.width // 600, 250 * image.height // 800)) for x in (145, 345))


RED_AND_GREEN, BLACK = ("RGB", ((204, 0, 0), (0, 102, 0))), ("L", (0, 32))


def test_pages_of_a_file_are_drawn_in_their_colours_and_cost_the_same(renderer: Renderer) -> None:
    colored, black = paginate(renderer, pages_pdf(CHART))
    gate = Gate("qwen2.5-vl", renderer)
    for page, expected in ((colored, RED_AND_GREEN), (black, BLACK)):
        part = PagePart(page)
        assert drawn(renderer.png(page)) == drawn(gate.png(part)) == expected
        assert gate.image(part).tobytes() == Image.open(BytesIO(gate.png(part))).convert(expected[0]).tobytes()
        assert renderer.pixels(page).ndim == 2  # grey where it is not asked for
    assert gate.image(PagePart(colored)).size == gate.image(PagePart(black)).size
    assert gate.count([PagePart(colored)]) == gate.count([PagePart(black)])
    assert len(renderer.png(colored)) < 2 * len(renderer.png(black))
    strip = Image.open(BytesIO(renderer.png(colored, lines=(1, 2))))
    assert strip.mode in ("L", "RGB") and strip.width == 600 and strip.height < 60


async def test_both_frameworks_send_pages_of_a_file_in_their_colours(renderer: Renderer) -> None:
    pytest.importorskip("langchain_core")
    pytest.importorskip("llama_index.core")
    from langchain_openai import ChatOpenAI
    from llama_index.core.base.llms.types import ChatMessage
    from llama_index.core.schema import NodeWithScore
    from llama_index.llms.openai_like import OpenAILike

    from glyph_integrations.langchain import ChatGlyph, page_content_blocks
    from glyph_integrations.llama_index import GlyphLLM, GlyphSynthesizer, PageImagePostprocessor
    from glyph_integrations.llama_index.page_nodes import page_node
    from glyph_integrations.reading import REGISTRY

    pages = paginate(renderer, pages_pdf(CHART))
    REGISTRY.register(pages)
    asked = "".join(map(page_tag, pages)) + "\n\nWhich bar is higher?"
    nodes = [NodeWithScore(node=page_node(page), score=1.0) for page in pages]

    def data_of(url: str) -> bytes:
        return base64.b64decode(url.partition(",")[2])

    with chat_server() as server:
        chat = ChatGlyph(llm=ChatOpenAI(model="m", base_url=server.url, api_key="none"), vision="qwen3-vl", dpi=72)  # type: ignore[arg-type]
        llm = OpenAILike(model="m", api_base=server.url, api_key="none", is_chat_model=True)
        wrapped = GlyphLLM(llm=llm, vision="qwen3-vl", dpi=72)
        chat.invoke(asked)
        list(chat.stream(asked))
        await chat.ainvoke(asked)
        wrapped.chat([ChatMessage(role="user", content=asked)])
        await wrapped.achat([ChatMessage(role="user", content=asked)])
        GlyphSynthesizer(llm, "qwen3-vl", dpi=72).synthesize("Which bar is higher?", nodes)
        assert len(server.requests) == 6
        for request in server.requests:
            sent = [data_of(url) for message in request["messages"] for url in images_of(message)]
            assert [drawn(data) for data in sent] == [RED_AND_GREEN, BLACK]
            assert [REGISTRY.page_of_png(data) for data in sent] == pages
    blocks = [block["image_url"]["url"] for block in page_content_blocks(pages) if block["type"] == "image_url"]
    assert [drawn(data_of(url)) for url in blocks] == [RED_AND_GREEN, BLACK]
    shown: list[Any] = [n.node for n in PageImagePostprocessor("qwen3-vl", dpi=72).postprocess_nodes(nodes)]
    assert [drawn(base64.b64decode(node.image)) for node in shown] == [RED_AND_GREEN, BLACK]


async def test_langchain_loads_pages_of_a_pdf(tmp_path: Path) -> None:
    pytest.importorskip("langchain_core")
    from glyph_integrations.langchain import GlyphLoader, page_image

    (tmp_path / "a.pdf").write_bytes(TWO)
    (tmp_path / "b.pdf").write_bytes(encrypted_pdf("Secret", "sesame"))
    documents = GlyphLoader(tmp_path, password="sesame").load()
    assert documents == [document async for document in GlyphLoader(tmp_path, password="sesame").alazy_load()]
    assert [(d.page_content, d.metadata["glyph_n"], d.metadata["source"]) for d in documents] == [
        ("Alpha beta gamma\nsecond line\f", 1, "a.pdf"), ("Delta", 2, "a.pdf"), ("Secret", 1, "b.pdf"),
    ]  # fmt: skip
    picture = page_image(documents[1])
    assert picture.size == (600, 800)
    OPENED.clear()
    with pytest.raises(DocumentError, match="not at hand"):
        page_image(documents[1])
    assert page_image(documents[1], renderer=Renderer(root=tmp_path)).tobytes() == picture.tobytes()


async def test_llama_index_parses_pages_of_a_pdf(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    pytest.importorskip("llama_index.core")
    from llama_index.core.ingestion import IngestionPipeline

    from glyph_integrations.llama_index import GlyphReader, PageNodeParser

    (tmp_path / "a.pdf").write_bytes(TWO)
    documents = GlyphReader().load_data(tmp_path)
    assert len(documents) == 1 and documents[0].id_ == "a.pdf"
    nodes = IngestionPipeline(transformations=[PageNodeParser()]).run(documents=documents)
    again = await IngestionPipeline(transformations=[PageNodeParser()]).arun(documents=await GlyphReader().aload_data(tmp_path))
    assert [node.id_ for node in nodes] == [node.id_ for node in again]
    assert [(node.get_content(), node.start_char_idx) for node in nodes] == [
        ("Alpha beta gamma\nsecond line\f", 0),
        ("Delta", 29),
    ]
    page = Page.from_metadata(nodes[1].get_content(), nodes[1].metadata)
    assert page.picture and page.picture.index == 1 and nodes[0].ref_doc_id == "a.pdf"
    OPENED.clear()  # as in another process
    with caplog.at_level(logging.WARNING):
        assert "glyph_picture" not in PageNodeParser()(documents)[0].metadata
    assert "a.pdf was not read by this process" in caplog.text


def test_the_command_draws_and_asks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from typer.testing import CliRunner

    from glyph_integrations.cli import app

    def glyph(*words: object) -> Any:
        return CliRunner().invoke(app, [str(word) for word in words])

    (tmp_path / "a.pdf").write_bytes(encrypted_pdf("The patroness of Mr. Collins is Lady Catherine.", "sesame"))
    assert "is encrypted" in glyph("render", tmp_path / "a.pdf", "-o", tmp_path / "out").stderr
    monkeypatch.setenv("DOOR", "sesame")
    assert glyph("render", tmp_path / "a.pdf", "-o", tmp_path / "out", "--password", "DOOR").exit_code == 0
    assert (tmp_path / "out" / "page_0001.png").read_bytes().startswith(b"\x89PNG")
    answer = glyph("ask", tmp_path / "a.pdf", "Who is the patroness?", "-o", tmp_path / "answer", "--password", "DOOR")
    assert answer.exit_code == 0 and "Lady Catherine" in answer.stdout and "verified" in answer.stdout
    assert len(list((tmp_path / "answer").glob("*.png"))) == 1

    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "b.pdf").write_bytes(pages_pdf([show("The patroness of Mr. Collins is Lady Catherine.")]))
    assert glyph("index", tmp_path / "docs", "-i", tmp_path / "index").exit_code == 0
    OPENED.clear()
    asked = ("ask", tmp_path / "index", "Who is the patroness?", "-o", tmp_path / "marked")
    blind = glyph(*asked)
    assert blind.exit_code == 0 and "page 1 is not drawn: b.pdf is not at hand" in blind.stderr
    assert not (tmp_path / "marked").exists()
    assert glyph(*asked, "--root", tmp_path / "docs").exit_code == 0 and len(list((tmp_path / "marked").glob("*.png"))) == 1
