"""Word, PowerPoint, Excel and EPUB files: their text, and nothing but a clear error from damaged or hostile ones."""

from __future__ import annotations

import datetime
import io
import struct
import sys
import time
import zipfile
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glyph_integrations.errors import DocumentError, MissingExtraError
from glyph_integrations.sources import SourceDocument, open_document
from glyph_integrations.sources.media_type import DOCX, EPUB, PPTX, XLSX

W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
OFFICE_REL = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"


def archive(files: dict[str, str | bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as packed:
        for name, content in files.items():
            packed.writestr(name, content, zipfile.ZIP_STORED if name == "mimetype" else compression)
    return buffer.getvalue()


def word_file(body: str = "<w:p><w:r><w:t>text</w:t></w:r></w:p>", **more: str | bytes) -> bytes:
    main = "application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"
    return archive({
        "[Content_Types].xml": (
            '<?xml version="1.0"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
            '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
            f'<Override PartName="/word/document.xml" ContentType="{main}"/></Types>'
        ),
        "_rels/.rels": (
            '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
            f'<Relationship Id="r1" Type="{OFFICE_REL}/officeDocument" Target="word/document.xml"/></Relationships>'
        ),
        "word/_rels/document.xml.rels": (
            '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
            f'<Relationship Id="s1" Type="{OFFICE_REL}/styles" Target="styles.xml"/></Relationships>'
        ),
        "word/styles.xml": (
            f'<w:styles {W}><w:style w:type="paragraph" w:styleId="Heading1"><w:name w:val="heading 1"/></w:style></w:styles>'
        ),
        "word/document.xml": f'<?xml version="1.0"?><w:document {W}><w:body>{body}</w:body></w:document>',
        **more,
    })  # fmt: skip


def slides_file() -> bytes:
    pptx = pytest.importorskip("pptx")
    book = pptx.Presentation()
    slide = book.slides.add_slide(book.slide_layouts[1])
    slide.shapes.title.text = "Plans & <ideas>"
    slide.placeholders[1].text = "one\ntwo"
    slide.notes_slide.notes_text_frame.text = "say hello"
    table = slide.shapes.add_table(2, 2, 0, 0, 100, 100).table
    for at, text in enumerate(["k", "v", "a|b", "3"]):
        table.cell(at // 2, at % 2).text = text
    group = slide.shapes.add_group_shape()
    group.shapes.add_textbox(0, 0, 10, 10).text_frame.text = "in a group"
    book.slides.add_slide(book.slide_layouts[6])
    buffer = io.BytesIO()
    book.save(buffer)
    return buffer.getvalue()


def sheet_file(rows: list[list[object]]) -> bytes:
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    book.active.title = "Sales"
    for row in rows:
        book.active.append(row)
    book.create_sheet("Empty")
    buffer = io.BytesIO()
    book.save(buffer)
    return buffer.getvalue()


def book_file(chapters: dict[str, str] | None = None, **more: str | bytes) -> bytes:
    chapters = (
        {"one.xhtml": "<h1>One</h1><p>First.</p>", "two.xhtml": "<h1>Two</h1><p>Second.</p>"} if chapters is None else chapters
    )
    items = "".join(f'<item id="c{n}" href="{name}" media-type="application/xhtml+xml"/>' for n, name in enumerate(chapters))
    spine = "".join(f'<itemref idref="c{n}"/>' for n in range(len(chapters)))
    page = '<?xml version="1.0"?><!DOCTYPE html><html xmlns="http://www.w3.org/1999/xhtml"><head><title/></head><body>{}</body></html>'
    return archive({
        "mimetype": EPUB,
        "META-INF/container.xml": (
            '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
            '<rootfile full-path="OEBPS/book.opf" media-type="application/oebps-package+xml"/></rootfiles></container>'
        ),
        "OEBPS/book.opf": (
            f'<package xmlns="http://www.idpf.org/2007/opf"><manifest><item id="nav" href="nav.xhtml" properties="nav" '
            f'media-type="application/xhtml+xml"/>{items}</manifest><spine><itemref idref="nav"/>{spine}</spine></package>'
        ),
        "OEBPS/nav.xhtml": page.format("<nav>contents</nav>"),
        **{f"OEBPS/{name}": page.format(body) for name, body in chapters.items()},
        **more,
    })  # fmt: skip


def said(document: SourceDocument, role: str) -> list[str]:
    return [document.text[start:end] for start, end, name in document.runs if name == role]


def test_a_word_file_gives_headings_emphasis_and_tables() -> None:
    pytest.importorskip("mammoth")
    cell = "<w:tc><w:p><w:r><w:t>{}</w:t></w:r></w:p></w:tc>"
    data = word_file(
        '<w:p><w:pPr><w:pStyle w:val="Heading1"/></w:pPr><w:r><w:t>Title</w:t></w:r></w:p>'
        '<w:p><w:r><w:t xml:space="preserve">a &lt;b&gt; </w:t></w:r><w:r><w:rPr><w:b/></w:rPr><w:t>bold</w:t></w:r></w:p>'
        f"<w:tbl><w:tr>{cell.format('x')}{cell.format('y')}</w:tr><w:tr>{cell.format('1')}{cell.format('')}</w:tr></w:tbl>"
    )
    document = open_document(data, name="letter.docx")
    assert (document.text, document.media_type) == ("Title\n\na <b> bold\n\nx | y\n1", DOCX)
    assert (said(document, "heading1"), said(document, "strong"), said(document, "table")) == (
        ["Title"],
        ["bold"],
        ["x | y\n1"],
    )
    assert document.source_span(3, 9) == (3, 9)


def test_slides_give_titles_text_tables_groups_and_notes() -> None:
    document = open_document(slides_file())
    assert document.media_type == PPTX
    assert document.text == "Plans & <ideas>\n\none\n\ntwo\n\nk | v\na|b | 3\n\nin a group\n\nsay hello\n\nSlide 2"
    assert said(document, "heading2") == ["Plans & <ideas>", "Slide 2"]
    assert said(document, "quote") == ["say hello"]


def test_sheets_give_every_value_as_it_was_stored() -> None:
    rows: list[list[object]] = [
        ["Name", "Id", "When"], ["007", 123456789012345, datetime.datetime(2024, 1, 2)], [], [None, 0.1, True],
        ["two\nlines", None, datetime.datetime(2024, 1, 2, 3, 4)],
    ]  # fmt: skip
    document = open_document(sheet_file(rows))
    assert document.media_type == XLSX
    assert document.text == (
        "Sales\n\nName | Id | When\n007 | 123456789012345 | 2024-01-02\n| 0.1 | TRUE\ntwo lines |  | 2024-01-02 03:04:00"
    )


def test_a_sheet_that_claims_to_be_endless_is_read_for_what_it_holds() -> None:
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    book.active["A1"], book.active["XFD2000"] = "first", "last"
    buffer = io.BytesIO()
    book.save(buffer)
    assert open_document(buffer.getvalue()).text.startswith("Sheet\n\nfirst\n")


def test_a_sheet_with_too_many_cells_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("glyph_integrations.sources.office.MAX_CELLS", 100)
    with pytest.raises(DocumentError, match="holds over 100 cells"):
        open_document(sheet_file([list(range(10))] * 11))


def test_a_text_that_many_cells_share_does_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    book, buffer = openpyxl.Workbook(), io.BytesIO()
    for _ in range(10):
        book.active.append(["the same words in each cell"] * 10)
    book.save(buffer)
    assert open_document(buffer.getvalue()).text.count("the same words") == 100
    monkeypatch.setattr("glyph_integrations.sources.office.MAX_CHARACTERS", 2500)
    with pytest.raises(DocumentError, match="over 2,500 characters"):
        open_document(buffer.getvalue())


def test_a_word_file_of_countless_elements_is_refused_before_a_tree_of_them_is_built() -> None:
    pytest.importorskip("mammoth")
    many = word_file("<w:p/>" * 1_000_001)
    began = time.monotonic()
    with pytest.raises(DocumentError, match=r"1,000,0\d\d XML elements"):
        open_document(many)
    assert time.monotonic() - began < 5  # building one takes a minute, and a gigabyte


def test_a_book_that_names_a_chapter_countless_times_is_refused() -> None:
    book = zipfile.ZipFile(io.BytesIO(book_file({"one.xhtml": "<p>" + "word " * 20_000 + "</p>"})))
    files: dict[str, str | bytes] = {name: book.read(name) for name in book.namelist()}
    again = b'<itemref idref="c0"/>'
    assert open_document(archive(files)).text.count("word") == 20_000
    with pytest.raises(DocumentError, match="over 10,000,000 characters"):
        open_document(archive({**files, "OEBPS/book.opf": bytes(files["OEBPS/book.opf"]).replace(again, again * 5000)}))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("OEBPS/one.xhtml", "<body>" * 100_000),
        ("OEBPS/one.xhtml", "<p>text</p>" + "<body " * 100_000),
        ("META-INF/encryption.xml", "<" * 600_000),
    ],
)
def test_a_book_made_to_be_slow_is_read_in_a_moment(name: str, content: str) -> None:
    began = time.monotonic()
    open_document(book_file(**{name: content}))
    assert time.monotonic() - began < 8  # looking for an end from each beginning took minutes


def test_a_book_gives_its_chapters_in_reading_order() -> None:
    document = open_document(book_file(), name="a.epub")
    assert document.media_type == EPUB
    assert document.text == "One\n\nFirst.\n\nTwo\n\nSecond."
    assert said(document, "heading1") == ["One", "Two"]
    marked = open_document(book_file({"a.xhtml": "<p><a id='x'/>one <i/>two <b>three</b></p>"}))
    assert (marked.text, [run.role for run in marked.runs]) == ("one two three", ["strong"])


def test_the_kind_is_told_by_what_is_inside_whatever_the_name_says() -> None:
    assert open_document(book_file(), name="innocent.txt").media_type == EPUB
    with pytest.raises(DocumentError, match="is a ZIP archive, not text"):
        open_document(archive({"a.txt": "x"}), name="a.docx")
    with pytest.raises(DocumentError, match=r"is a file of type application/vnd\.oasis\.opendocument\.text"):
        open_document(archive({"mimetype": "application/vnd.oasis.opendocument.text", "content.xml": "<a/>"}))
    with pytest.raises(DocumentError, match="damaged or truncated"):
        open_document(b"plain text", DOCX)


@pytest.mark.parametrize(
    ("package", "make"), [("mammoth", word_file), ("pptx", slides_file), ("openpyxl", lambda: sheet_file([["x"]]))]
)
def test_without_the_extra_the_error_names_it(package: str, make, monkeypatch: pytest.MonkeyPatch) -> None:
    data = make()
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtraError, match=r"pip install 'glyph-integrations\[office\]'"):
        open_document(data)


def test_bombs_are_refused_before_they_are_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = word_file(**{"word/media/a.bin": b"\0" * 30_000_000})
    monkeypatch.setattr(zipfile.ZipExtFile, "read", lambda *_: pytest.fail("something was unpacked"))
    with pytest.raises(DocumentError, match=r"would unpack to 30,\d{3},\d{3} bytes .* possible bomb"):
        open_document(bomb)
    with pytest.raises(DocumentError, match="possible bomb"):
        open_document(archive({"META-INF/container.xml": "", **{f"{n}": "" for n in range(10_001)}}))


def test_a_part_that_lies_about_its_size_is_damaged() -> None:
    data = bytearray(book_file())
    at = data.rindex(b"OEBPS/book.opf") - 46  # its entry in the list of files
    assert data[at : at + 4] == b"PK\x01\x02"
    data[at + 24 : at + 28] = struct.pack("<I", 10)
    with pytest.raises(DocumentError, match="damaged"):
        open_document(bytes(data))


def test_xml_entities_are_refused() -> None:
    pytest.importorskip("mammoth")
    entities = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;">]>'
    with pytest.raises(DocumentError, match="XML entities"):
        open_document(word_file(**{"word/document.xml": f"{entities}<w:document {W}><w:body>&b;</w:body></w:document>"}))
    with pytest.raises(DocumentError, match="XML entities"):
        open_document(book_file(**{"META-INF/container.xml": f"{entities}<container>&b;</container>"}))


def test_encrypted_files_are_named() -> None:
    office = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600
    with pytest.raises(DocumentError, match="encrypted with a password"):
        open_document(office + "EncryptedPackage".encode("utf-16-le") + b"\0" * 100, name="a.docx")
    with pytest.raises(DocumentError, match="an old Office file"):
        open_document(office, name="a.doc")
    cipher = '<encryption><CipherData><CipherReference URI="OEBPS/one.xhtml"/></CipherData></encryption>'
    with pytest.raises(DocumentError, match="DRM"):
        open_document(book_file(**{"META-INF/encryption.xml": cipher}))
    fonts = cipher.replace("one.xhtml", "font.otf")  # only a font is scrambled
    assert open_document(book_file(**{"META-INF/encryption.xml": fonts})).text.startswith("One")
    data = bytearray(word_file())
    for mark, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = data.find(mark)
        while at >= 0:
            data[at + flags] |= 1
            at = data.find(mark, at + 4)
    with pytest.raises(DocumentError, match="is encrypted"):
        open_document(bytes(data))


@pytest.mark.parametrize("missing", ["META-INF/container.xml", "OEBPS/book.opf", "OEBPS/two.xhtml"])
def test_a_book_that_lacks_a_part_is_refused(missing: str) -> None:
    with zipfile.ZipFile(io.BytesIO(book_file())) as packed:
        files = {name: packed.read(name) for name in packed.namelist() if name != missing}
    with pytest.raises(DocumentError, match=f"lacks its part {missing}"):
        open_document(archive(files))
    with pytest.raises(DocumentError, match="lists no chapters"):
        open_document(book_file({}))


@pytest.mark.parametrize(
    "make", [word_file, slides_file, lambda: sheet_file([["x", 1]]), book_file], ids=["docx", "pptx", "xlsx", "epub"]
)
def test_truncated_and_damaged_files_are_refused_or_read_never_a_crash(make) -> None:
    data = make()
    for size in range(4, len(data), max(1, len(data) // 25)):
        with pytest.raises(DocumentError):
            open_document(data[:size])

    @settings(max_examples=60)
    @given(st.integers(0, len(data) - 1), st.integers(1, 255))
    def one_byte_changed(at: int, by: int) -> None:
        damaged = bytearray(data)
        damaged[at] ^= by
        with suppress(DocumentError):  # anything else would fail
            assert open_document(bytes(damaged)).text

    one_byte_changed()


def test_a_document_that_nests_too_deep_is_refused() -> None:
    pytest.importorskip("mammoth")
    deep = "<w:p><w:r><w:t>x</w:t></w:r></w:p>"
    body = "<w:tbl><w:tr><w:tc>" * 3000 + deep + "</w:tc></w:tr></w:tbl>" * 3000
    with pytest.raises(DocumentError, match="cannot be read"):
        open_document(word_file(body))


def test_an_empty_office_file_is_refused() -> None:
    pytest.importorskip("mammoth")
    with pytest.raises(DocumentError, match="holds no text"):
        open_document(word_file("<w:p/>"))
