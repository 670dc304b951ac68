"""Files to documents: what is text is read to the character, what is not is refused by name."""

from __future__ import annotations

import codecs
import hashlib
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pdf_files import pages_pdf, show

from glyph_integrations.errors import DocumentError, EncodingError
from glyph_integrations.sources import SourceDocument, find_files, open_document, source_name


def test_text_is_read_to_the_character_with_its_newlines(tmp_path: Path) -> None:
    text = "first\r\nsecond\rthird\n\n汉字 naïve \u2028 \x0c end"
    file = tmp_path / "a.txt"
    file.write_bytes(text.encode("utf-8"))
    document = open_document(file)
    assert document == SourceDocument(text, "a.txt", "text/plain", hashlib.sha256(file.read_bytes()).hexdigest())
    assert open_document(str(file)) == document


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1), st.booleans())
def test_any_text_survives_a_round_trip_through_any_unicode_encoding(text: str, little: bool) -> None:
    text = "x" + text
    order = "le" if little else "be"
    for mark, codec in [
        (b"", "utf-8"),
        (codecs.BOM_UTF8, "utf-8"),
        (codecs.BOM_UTF16_LE if little else codecs.BOM_UTF16_BE, f"utf-16-{order}"),
        (codecs.BOM_UTF32_LE if little else codecs.BOM_UTF32_BE, f"utf-32-{order}"),
    ]:
        assert open_document(mark + text.encode(codec)).text == text


def test_bytes_take_the_name_and_type_they_are_given() -> None:
    document = open_document(b"# Title", "text/markdown", name="/docs\\notes/./a.md")
    assert (document.name, document.media_type) == ("docs/notes/a.md", "text/markdown")
    assert open_document(b"# Title").name == ""


@pytest.mark.parametrize(
    ("name", "media_type"),
    [("a.md", "text/markdown"), ("a.RST", "text/x-rst"), ("a.py", "text/x-python"), ("a.json", "application/json"),
     ("LICENSE", "text/plain"), ("a.unknown", "text/plain")],
)  # fmt: skip
def test_the_media_type_follows_from_the_name(name: str, media_type: str) -> None:
    assert open_document(b"text", name=name).media_type == media_type


def test_broken_utf8_names_byte_and_line() -> None:
    data = "one\ntwo\nthr\u00e9e\n".encode() + b"caf\xe9 au lait\n"
    with pytest.raises(DocumentError, match=r"not utf-8 text: byte 18 \(line 4\) is 0xE9.*encoding='cp1252'.*errors='replace'"):
        open_document(data)
    assert open_document(data, errors="replace").text.endswith("caf\ufffd au lait\n")
    assert open_document(data[15:], encoding="cp1252").text == "café au lait\n"


def test_a_byte_order_mark_does_not_shift_the_reported_byte() -> None:
    with pytest.raises(DocumentError, match=r"byte 5 \(line 1\)"):
        open_document(codecs.BOM_UTF8 + b"ab\xff")
    with pytest.raises(DocumentError, match=r"not utf-16-le text: byte 8 \(line 2\)"):
        open_document(codecs.BOM_UTF16_LE + "a\nb".encode("utf-16-le") + b"c")


def test_a_named_encoding_is_taken_at_its_word_and_its_mark_is_dropped() -> None:
    assert open_document("plain".encode("utf-16-le"), encoding="utf-16-le").text == "plain"
    assert open_document("\ufeffplain".encode("utf-16-le"), encoding="utf-16-le").text == "plain"
    with pytest.raises(DocumentError, match="'klingon'"):
        open_document(b"text", encoding="klingon")
    with pytest.raises(DocumentError, match="'hex'"):
        open_document(b"text", encoding="hex")


def test_an_encoding_may_be_named_for_a_folder_that_holds_other_files_too() -> None:
    chinese = "红楼梦第一回\n"
    for codec in ("gb18030", "utf-8", "utf-8-sig", "utf-16"):
        assert open_document(chinese.encode(codec), name="a.txt", encoding="gb18030").text == chinese
    page = "<html><head><meta charset='gb2312'></head><body>红楼梦</body></html>"
    for codec in ("gb18030", "utf-8"):
        assert "红楼梦" in open_document(page.encode(codec), name="a.html", encoding="gb18030").text
    pdf = open_document(pages_pdf([show("In a portable document")]), name="a.pdf", encoding="gb18030")
    assert pdf.pages and "portable" in pdf.text
    assert open_document("日本".encode("iso2022_jp"), encoding="iso2022_jp").text == "日本"  # its bytes are ASCII
    assert open_document(b"%PDF- is how a PDF begins", "text/plain", encoding="ascii").text.startswith("%PDF-")
    for codec in ("utf-8", "utf-8-sig", "gb18030"):  # whoever names one means text, even with such characters in it
        assert open_document("红楼\0梦".encode(codec), encoding="gb18030").text == "红楼\0梦"
    with pytest.raises(EncodingError, match="not gb18030 text"):
        open_document(b"caf\xff", encoding="gb18030")


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"%PDF-1.7\n%text only", "a PDF file"),
        (b"\x89PNG\r\n\x1a\n", "a PNG picture"),
        (b"\xff\xd8\xff\xe0", "a JPEG picture"),
        (b"RIFF\x01\x02\x03\x04WEBP", "a WebP picture"),
        (b"PK\x03\x04word/document.xml", "a ZIP archive, not text"),
        (b"\x1f\x8b\x08", "gzip data"),
        (b"SQLite format 3\x00", "an SQLite database"),
        (b"text and \x00 more", "byte 9 is NUL.*utf-16-le"),
        ("no mark".encode("utf-16-le"), "byte 1 is NUL"),
    ],
)
def test_binary_files_are_refused_by_name_whatever_they_are_called(data: bytes, kind: str, tmp_path: Path) -> None:
    file = tmp_path / "innocent.txt"
    file.write_bytes(data)
    with pytest.raises(DocumentError, match=rf"innocent\.txt is .*{kind}"):
        open_document(file)


@pytest.mark.parametrize("data", [b"", codecs.BOM_UTF8, b" \n\t\n"])
def test_empty_documents_are_refused(data: bytes) -> None:
    with pytest.raises(DocumentError, match="is empty"):
        open_document(data)


def test_paths_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DocumentError, match="does not exist"):
        open_document(tmp_path / "missing.txt")
    with pytest.raises(DocumentError, match="is a folder"):
        open_document(tmp_path)
    with pytest.raises(DocumentError, match="not a path"):
        open_document("a\0b")
    with pytest.raises(DocumentError, match="cannot read"):
        open_document("x" * 5000)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(DocumentError, match="not a regular file"):
        open_document(pipe)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root reads every file")
def test_a_file_without_read_permission_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "secret.txt"
    file.write_text("text", encoding="utf-8")
    file.chmod(0)
    with pytest.raises(DocumentError, match="Permission denied"):
        open_document(file)


def test_a_type_that_is_not_text_is_refused() -> None:
    with pytest.raises(DocumentError, match="application/zip is not a text type"):
        open_document(b"text", "application/zip")
    assert open_document(b"{}", "application/ld+json; charset=utf-8").text == "{}"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "docs"
    for name in ("b.txt", "a.md", "sub/c.md", "sub/deep/d.md", ".hidden/e.md", "sub/.f.md"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name, encoding="utf-8")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret.md").write_text("secret", encoding="utf-8")
    (root / "link.md").symlink_to(tmp_path / "outside" / "secret.md")
    (root / "linked").symlink_to(tmp_path / "outside")
    (root / "sub" / "inside.md").symlink_to(root / "a.md")
    return root


def names(where: Path) -> list[str]:
    return [source_name(file, where) for file in find_files(where)]


def test_a_folder_gives_its_files_in_order_without_hidden_ones_and_links_that_lead_out(tree: Path) -> None:
    assert names(tree) == ["a.md", "b.txt", "sub/c.md", "sub/inside.md", "sub/deep/d.md"]


def test_patterns_give_matching_files_named_below_their_fixed_part(tree: Path) -> None:
    assert names(tree / "*.md") == ["a.md"]
    assert names(tree / "**" / "*.md") == ["a.md", "sub/c.md", "sub/deep/d.md", "sub/inside.md"]
    assert names(tree / "sub" / "d*" / "?.md") == ["deep/d.md"]


def test_a_file_is_found_as_itself_even_with_brackets_in_its_name(tree: Path) -> None:
    odd = tree / "notes [1].txt"
    odd.write_text("x", encoding="utf-8")
    assert names(odd) == ["notes [1].txt"]
    assert names(tree / "a.md") == ["a.md"]


def test_finding_nothing_is_an_error(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for where, message in [
        (tree / "missing", "does not exist"),
        (tree / "*.pdf", "no file matches"),
        (tmp_path / "empty", "holds no files"),
        (tmp_path / "nowhere" / "*.md", "does not exist"),
    ]:
        with pytest.raises(DocumentError, match=message):
            list(find_files(where))


def test_patterns_do_not_follow_links_that_lead_out(tree: Path) -> None:
    with pytest.raises(DocumentError, match="no file matches"):
        list(find_files(tree / "linked*" / "*.md"))
