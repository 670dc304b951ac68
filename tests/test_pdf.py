"""PDF files: their pages, what stands where on them, and what becomes of bad ones."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pdf_files import encrypted_pdf, ink_in, looping_pdf, pages_pdf, paginate, pdf_of, show

from glyph_integrations import (
    Page,
    PageIndex,
    Renderer,
    VisionProfile,
    open_document,
    verify_answer,
)
from glyph_integrations.errors import DocumentError, PageFormatError
from glyph_integrations.picture import Picture, TextLine, pack_text_lines
from glyph_integrations.sources import pdf
from glyph_integrations.sources.page_file import OPENED

NAMES = (
    "598us1r3_j4ek", "GeoTopo-komprimiert", "amt_handbook_sample", "google-doc-document", "multicolumn", "pdflatex-4-pages",
)  # fmt: skip
ROOT = b"<</Type/Catalog/Pages 2 0 R>>"
TWO = pages_pdf([show("Alpha beta gamma") + show("second line", y=680), show("Delta")])


@pytest.fixture(autouse=True)
def nothing_open() -> Iterator[None]:
    OPENED.clear()
    yield
    OPENED.clear()


@pytest.fixture(scope="module")
def renderer() -> Renderer:
    return Renderer()


@pytest.mark.parametrize("name", NAMES)
def test_real_pdfs_draw_and_every_word_has_ink_in_its_box(name: str, corpora: Path, renderer: Renderer) -> None:
    document = open_document(corpora / "pdfs" / f"{name}.pdf")
    pages = list(renderer.paginate(document))
    assert document.media_type == "application/pdf" and len(pages) == document.text.count("\f") + 1
    assert "".join(page.text for page in pages) == document.text
    assert [page.number for page in pages] == list(range(1, len(pages) + 1))
    words = blank = 0
    for page in pages:
        assert document.text[page.start : page.end] == page.text
        image = renderer.pixels(page, dpi=96)
        assert image.shape[::-1] == renderer.size(page, dpi=96)
        for match in list(re.finditer(r"\w{2,}", page.text))[::5]:
            boxes = renderer.boxes(page, *match.span(), dpi=96)
            words += 1
            blank += not any(ink_in(image, box) for _, box in boxes)
    assert words > 30 * len(pages) ** 0.5 and blank <= words / 500  # a watermark is paler than ink


def test_boxes_are_as_narrow_as_the_words(renderer: Renderer) -> None:
    page = paginate(renderer, TWO)[0]
    at = page.text.index("beta")
    [(number, box)] = renderer.boxes(page, at, at + 4, dpi=288)
    assert (number, page.line_text(1), page.line_text(2), page.line_of(at)) == (1, "Alpha beta gamma", "second line", 1)
    assert page.line_of(page.text.index("line")) == 2
    rows = renderer.pixels(page, dpi=288)[box.top : box.bottom]
    spaces = [run.span() for run in re.finditer(r"1{9,}", "".join("01"[column] for column in (rows > 200).all(0).tolist()))]
    before, after = next((a, b) for a, b in pairwise(spaces) if b[1] > box.right)
    assert abs(box.left - before[1]) <= 4 and abs(box.right - after[0]) <= 8


@pytest.mark.parametrize("turn", [0, 90, 180, 270])
def test_turned_and_cropped_pages_have_their_boxes_where_the_ink_is(turn: int, renderer: Renderer) -> None:
    entries = b"/MediaBox[-50 -20 600 800]/CropBox[10 300 500 760]/Rotate %d" % turn
    page = paginate(renderer, pages_pdf([show("Needle", x=100, y=600)], entries))[0]
    assert page.picture and (page.picture.width, page.picture.height) == ((490, 460) if turn % 180 == 0 else (460, 490))
    image = renderer.pixels(page)
    [(_, box)] = renderer.boxes(page, 0, 6)
    rows, columns = np.nonzero(image < 160)
    assert abs(box.left - columns.min()) <= 2 and abs(box.right - columns.max() - 1) <= 2
    assert abs(box.top - rows.min()) <= 2 and abs(box.bottom - rows.max() - 1) <= 2


def test_a_word_divided_at_the_end_of_a_line_is_found_and_stands_on_both_lines(corpora: Path, renderer: Renderer) -> None:
    pages = list(renderer.paginate(open_document(corpora / "pdfs/multicolumn.pdf")))
    [citation] = verify_answer("“tortor sed accumsan bibendum, erat” (Page 1)", pages, renderer)
    assert citation.verified and citation.page is pages[0]
    first, second = citation.boxes
    assert first.bottom <= second.top and second.left < first.left
    image = renderer.pixels(pages[0])
    assert ink_in(image, first) and ink_in(image, second)


def test_metadata_bring_back_the_page_its_picture_and_its_boxes(corpora: Path, renderer: Renderer) -> None:
    for page in renderer.paginate(open_document(corpora / "pdfs/multicolumn.pdf"), metadata={"shelf": 3}):
        metadata = page.to_metadata()
        again = Page.from_metadata(page.text, metadata)
        assert again == page and again.id == page.id and again.picture_lines == page.picture_lines
        assert (renderer.pixels(again) == renderer.pixels(page)).all()
        assert sum(len(key) + len(str(value)) for key, value in metadata.items()) < 1300


def test_a_page_without_text_is_a_page(renderer: Renderer, tmp_path: Path) -> None:
    pages = paginate(renderer, pages_pdf([show("Alpha"), b"100 100 50 50 re f", show("Gamma")]))
    assert [page.text for page in pages] == ["Alpha\f", "\f", "Gamma"]
    assert len({page.id for page in pages}) == 3 and (renderer.pixels(pages[1]) == 0).sum() == 50 * 50
    with PageIndex.open(tmp_path / "index") as index:
        ids = index.add(pages)
        assert index.get(ids) == pages and index.search("gamma", k=1)[0].page == pages[2]


def test_pictures_keep_to_the_grid_and_scale_with_the_resolution(renderer: Renderer) -> None:
    page = paginate(renderer, TWO)[0]
    assert renderer.size(page) == (600, 800) and renderer.size(page, dpi=144) == (1200, 1600)
    grid = VisionProfile.get("glyph").grid
    width, height = renderer.size(page, vision="glyph")
    assert width % grid == 0 and height % grid == 0
    padded = renderer.draw(page, vision="glyph")
    assert padded.size == (width, height) and padded.mode == "L"
    assert (np.asarray(padded)[:800, :600] == renderer.pixels(page)).all() and (np.asarray(padded)[800:] == 255).all()
    assert renderer.png(page).startswith(b"\x89PNG")


# -- bad files ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("part", [0.02, 0.3, 0.6, 0.9, 0.999])
def test_truncated_files_are_refused(part: float, corpora: Path) -> None:
    for name in ("multicolumn", "google-doc-document"):
        data = (corpora / "pdfs" / f"{name}.pdf").read_bytes()
        with pytest.raises(DocumentError, match=r"a\.pdf is a PDF file that .*truncated"):
            open_document(data[: int(part * len(data))], name="a.pdf")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"%PDF-1.7\n%%EOF", "cannot be read: it is damaged or has no pages"),
        (b"%PDF-1.7\n" + bytes(range(256)) * 50 + b"%%EOF", "cannot be read: it is damaged or has no pages"),
        (pages_pdf([]), "damaged or has no pages"),
        (pdf_of([ROOT, b"<</Type/Pages/Kids[2 0 R 2 0 R]/Count 2>>"]), "page 1 of 2 cannot be read"),
        (pdf_of([ROOT, b"<</Type/Pages/Kids[3 0 R]/Count 999999>>", b"<</Type/Page/Parent 2 0 R>>"]), "page 2 of 999999"),
    ],
    ids=["empty", "noise", "no pages", "loop", "count"],
)  # fmt: skip
def test_damaged_files_are_refused(data: bytes, message: str) -> None:
    with pytest.raises(DocumentError, match=message):
        open_document(data, name="a.pdf")


def test_what_is_no_pdf_is_not_read_as_one() -> None:
    with pytest.raises(DocumentError, match="does not begin with %PDF-"):
        open_document(b"plain words", "application/pdf")
    assert open_document(b"plain words", name="a.pdf").pages == ()  # by content first


def test_encrypted_files_need_their_password(renderer: Renderer) -> None:
    data = encrypted_pdf("Secret words", "sesame")
    with pytest.raises(DocumentError, match="is encrypted; pass password="):
        open_document(data)
    with pytest.raises(DocumentError, match="the password is wrong"):
        open_document(data, password="simsim")
    document = open_document(data, password="sesame")
    assert document.text == "Secret words" and "sesame" not in repr(document)
    page = next(renderer.paginate(document))
    assert ink_in(renderer.pixels(page), renderer.boxes(page, 0, 6)[0][1])
    assert "sesame" not in str(page.to_metadata())


def test_a_huge_page_is_drawn_smaller_and_said(renderer: Renderer, caplog: pytest.LogCaptureFixture) -> None:
    content = b"BT /F 9000 Tf 5000 60000 Td (Huge) Tj ET"
    page = paginate(renderer, pages_pdf([content], b"/MediaBox[0 0 100000 80000]"))[0]
    with caplog.at_level(logging.WARNING):
        image = renderer.draw(page, vision="glyph")
    assert image.width * image.height <= 100_000_000 and "100000 x 80000 points: drawn at" in caplog.text
    assert ink_in(np.asarray(image), renderer.boxes(page, 0, 4)[0][1])


def test_a_file_that_loops_is_given_up(monkeypatch: pytest.MonkeyPatch, renderer: Renderer) -> None:
    monkeypatch.setattr(pdf, "SECONDS", 1.0)
    began = time.monotonic()
    with pytest.raises(DocumentError, match=r"page 1 of a\.pdf took longer than 1 s"):
        open_document(looping_pdf(), name="a.pdf")
    assert time.monotonic() - began < 5
    monkeypatch.undo()
    assert [page.text for page in paginate(renderer, TWO)] == ["Alpha beta gamma\nsecond line\f", "Delta"]  # and life goes on


def test_a_reader_that_dies_takes_nothing_with_it(renderer: Renderer) -> None:
    pages = paginate(renderer, TWO)
    before = renderer.pixels(pages[1])
    assert pdf._READER._process is not None
    pdf._READER._process.kill()
    pdf._READER._process.wait()
    assert (renderer.pixels(pages[1]) == before).all()


@given(st.binary(max_size=300), st.integers(0, len(TWO) - 30))
def test_no_damage_does_more_than_a_document_error(noise: bytes, at: int) -> None:
    try:
        document = open_document(TWO[:at] + noise + TWO[at + len(noise) :], "application/pdf")
    except DocumentError:
        return
    assert document.pages and document.pages[-1].end == len(document.text)


def test_threads_draw_what_one_thread_draws(renderer: Renderer, corpora: Path) -> None:
    pages = paginate(renderer, TWO) + list(renderer.paginate(open_document(corpora / "pdfs/multicolumn.pdf")))
    alone = [renderer.png(page) for page in pages]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(renderer.png, pages * 3)) == alone * 3


# -- text boxes as metadata --------------------------------------------------------------------------------------------


@st.composite
def laid_out(draw: st.DrawFn) -> tuple[str, list[TextLine]]:
    text, lines = "", []
    for words in draw(
        st.lists(st.lists(st.text("abc\u05d0\u00e9", min_size=1, max_size=6), min_size=1, max_size=5), max_size=6)
    ):
        text += draw(st.sampled_from(["", "\n", " \n\n"]))
        start, text = len(text), text + " ".join(words)
        left, top = draw(st.integers(0, 300)), draw(st.integers(0, 700))
        right, bottom = left + draw(st.integers(1, 300)), top + draw(st.integers(1, 100))
        line = TextLine(start, len(text), left, top, right, bottom)
        if draw(st.booleans()):
            inner = sorted(draw(st.lists(st.integers(left, right), min_size=len(words) - 1, max_size=len(words) - 1)))
            ends = (left, right)
            if draw(st.booleans()):
                inner, ends = inner[::-1], (right, left)
            begins = [start + match.start() for match in re.finditer(r"(?<=\s)\S", text[start:])]
            line = line._replace(stops=((start, ends[0]), *zip(begins, inner, strict=True), (len(text), ends[1])))
        lines.append(line)
    return text, lines


@given(laid_out())
def test_text_lines_come_back_as_they_were_packed(case: tuple[str, list[TextLine]]) -> None:
    text, lines = case
    picture = Picture("a, b.pdf", "0" * 64, 3, 600.25, 800, pack_text_lines(text, lines))
    assert Picture.parse(str(picture)) == picture
    for line, again in zip(lines, picture.lines(text), strict=True):
        assert again[:6] == line[:6] and set(line.stops) <= set(again.stops)
        assert again.across(line.start, line.end) == (line.left, line.right)
        assert all(line.left <= x <= line.right for _, x in again.stops)


@given(st.text("0123456789ABCDEFabcdef!#$%&()*+-;<=>?@^_`{|}~", max_size=60), st.text(max_size=50))
def test_any_box_string_is_read_or_refused(boxes: str, text: str) -> None:
    try:
        lines = Picture("", "0" * 64, 0, 600, 800, boxes).lines(text)
    except PageFormatError:
        return
    assert all(0 <= line.start < line.end <= len(text) for line in lines)
