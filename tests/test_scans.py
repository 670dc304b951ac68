"""Scans: pages of pictures alone get their text by OCR, and are then found by words and cited by box."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pdf_files import pages_pdf, show
from PIL import Image

from glyph_integrations import Page, PageIndex, PageStyle, Renderer, open_document, read_scans, verify_answer
from glyph_integrations.errors import ModelError
from glyph_integrations.ocr import Stretch
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
