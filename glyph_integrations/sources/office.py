"""Word, PowerPoint and Excel files to HTML, which is then read as any page is. Needs the extra ``office``.

mammoth (BSD) reads Word, python-pptx (MIT) PowerPoint, openpyxl (MIT) Excel. Values stand as they were stored: no number is
rounded. Pictures, charts, comments, headers and footers are left out.
"""

from __future__ import annotations

import datetime
import io
from collections.abc import Callable, Iterable, Iterator
from html import escape
from typing import Any

from ..errors import DocumentError, MissingExtraError
from .archive import open_archive
from .html import MAX_CHARACTERS
from .media_type import DOCX, PPTX, XLSX

MAX_CELLS = 2_000_000
MAX_ELEMENTS = 1_000_000
"""Of Word and PowerPoint, whose readers build trees: a kilobyte and 50 microseconds for six bytes of a file."""


def office_html(data: bytes, media_type: str, label: str) -> str:
    """An Office file as HTML: headings, paragraphs, lists and tables; slides and sheets under a heading each.

    Raises:
        MissingExtraError: the extra ``office`` is not installed.
        DocumentError: the file is damaged, encrypted, a bomb, or holds over 10 million characters, 2 million cells or, in
            Word and PowerPoint, a million XML elements.
    """
    archive = open_archive(data, label)
    convert = _CONVERTERS[media_type]
    try:
        elements = 0
        for name in archive.namelist():
            part = archive.read(name) if name.endswith((".xml", ".rels")) else b""
            if b"<!ENTITY" in part:
                raise DocumentError(f"{label} defines XML entities, which no Office program writes; refused")
            elements += part.count(b"<") - part.count(b"</")
        if media_type != XLSX and elements > MAX_ELEMENTS:
            raise DocumentError(f"{label} is made of {elements:,} XML elements, over {MAX_ELEMENTS:,}; split it")
        pieces, size = [], 0
        for piece in convert(io.BytesIO(data), label):  # a slide, or a cell's text, may be named a million times
            pieces.append(piece)
            size += len(piece)
            _check_size(size, label)
        return "".join(pieces)
    except (DocumentError, MissingExtraError):
        raise
    except Exception as error:  # these libraries raise whatever their parsers meet in a damaged file
        raise DocumentError(f"{label} cannot be read; it is damaged or not what its name says ({error!r})") from error


def _check_size(characters: int, label: str) -> None:
    if characters > MAX_CHARACTERS:
        raise DocumentError(f"{label} holds over {MAX_CHARACTERS:,} characters; split it")


def _word(file: io.BytesIO, label: str) -> Iterator[str]:
    try:
        import mammoth
    except ImportError as error:
        raise MissingExtraError("mammoth", "office") from error

    yield mammoth.convert_to_html(file, convert_image=lambda image: [], external_file_access=False).value


def _slides(file: io.BytesIO, label: str) -> Iterator[str]:
    try:
        from pptx import Presentation
    except ImportError as error:
        raise MissingExtraError("python-pptx", "office") from error

    for number, slide in enumerate(Presentation(file).slides, 1):
        title = slide.shapes.title
        heading = title.text_frame.text if title is not None else ""
        yield f"<h2>{escape(heading.strip() or f'Slide {number}')}</h2>"
        for shape in _shapes(slide.shapes):
            if title is not None and shape.shape_id == title.shape_id:
                continue
            if shape.has_text_frame:
                for paragraph in shape.text_frame.paragraphs:
                    yield f"<p>{_lines(paragraph.text)}</p>"
            elif shape.has_table:
                yield from _table([cell.text for cell in row.cells] for row in shape.table.rows)
        if slide.has_notes_slide and slide.notes_slide.notes_text_frame is not None:
            for paragraph in slide.notes_slide.notes_text_frame.paragraphs:
                yield f"<blockquote>{_lines(paragraph.text)}</blockquote>"


def _shapes(shapes: Iterable[Any]) -> Iterator[Any]:
    for shape in shapes:
        if hasattr(shape, "shapes"):
            yield from _shapes(shape.shapes)
        else:
            yield shape


def _sheets(file: io.BytesIO, label: str) -> Iterator[str]:
    try:
        from openpyxl import load_workbook
    except ImportError as error:
        raise MissingExtraError("openpyxl", "office") from error

    book = load_workbook(file, read_only=True, data_only=True, keep_links=False)
    cells = characters = 0
    for sheet in book.worksheets:
        sheet.reset_dimensions()  # what the file says of them may be wrong, or a trap
        rows = []
        for row in sheet.iter_rows(values_only=True):
            cells += max(1, len(row))
            if cells > MAX_CELLS:
                raise DocumentError(
                    f"{label} holds over {MAX_CELLS:,} cells; save the sheets you need, as CSV files for example"
                )
            values = [_value(value) for value in row]
            characters += sum(map(len, values))
            _check_size(characters, label)
            if any(values):
                rows.append(values)
        if rows:
            yield f"<h2>{escape(sheet.title)}</h2>"
            yield from _table(rows)


def _value(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, datetime.datetime) and value.time() == datetime.time():
        return str(value.date())
    return str(value)


def _table(rows: Iterable[list[str]]) -> Iterator[str]:
    yield "<table>"
    for row in rows:
        yield f"<tr>{''.join(f'<td>{_lines(value)}</td>' for value in row)}</tr>"
    yield "</table>"


def _lines(text: str) -> str:
    return escape(text.replace("\v", "\n")).replace("\n", "<br>")


_CONVERTERS: dict[str, Callable[[io.BytesIO, str], Iterator[str]]] = {DOCX: _word, PPTX: _slides, XLSX: _sheets}
