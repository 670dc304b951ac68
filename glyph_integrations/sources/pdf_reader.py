"""The program that reads PDFs, run as a process of its own by `pdf`: a PDF can make its reader loop, crash or fill the memory,
and PDFium serves one thread at a time. It ends itself when a request takes too long or its caller is gone.

A message is the length of a JSON header (4 bytes), the header, and as many bytes as its ``size`` says.
"""

from __future__ import annotations

import ctypes
import faulthandler
import json
import math
import os
import sys
from itertools import pairwise
from typing import IO, TYPE_CHECKING, Any

from ..picture import TextLine, pack_text_lines

if TYPE_CHECKING:
    from pypdfium2 import PdfDocument, PdfPage, PdfTextPage

_MEMORY = 4 << 30  # bytes, where the system can limit them
_Box = tuple[float, float, float, float]


def send(pipe: IO[bytes], header: dict[str, Any], data: bytes = b"") -> None:
    """Write a message."""
    text = json.dumps({**header, "size": len(data)}).encode()
    pipe.write(len(text).to_bytes(4, "big") + text)
    pipe.write(data)
    pipe.flush()


def receive(pipe: IO[bytes]) -> tuple[dict[str, Any], bytes]:
    """Read a message.

    Raises:
        EOFError: the other side is gone.
    """
    header = json.loads(_exactly(pipe, int.from_bytes(_exactly(pipe, 4), "big")))
    return header, _exactly(pipe, header["size"])


def _exactly(pipe: IO[bytes], size: int) -> bytes:
    data = pipe.read(size)
    if len(data) < size:
        raise EOFError
    return data


def main() -> None:
    """Answer requests from standard input on standard output until it ends."""
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # nothing but answers may go there
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, resource.getrlimit(resource.RLIMIT_AS)[1]))
    except (ImportError, ValueError, OSError):  # not on this system
        pass
    reader = _Reader()
    while True:
        try:
            request, data = receive(sys.stdin.buffer)
        except EOFError:
            return
        faulthandler.dump_traceback_later(request.pop("seconds"), exit=True)  # a timer that no call can hold up
        answer, drawn = reader.answer(data, **request)
        faulthandler.cancel_dump_traceback_later()
        send(out, answer, drawn)


class _Reader:
    """One open PDF."""

    def __init__(self) -> None:
        self._pdf: PdfDocument | None = None

    def answer(self, data: bytes, do: str, **request: Any) -> tuple[dict[str, Any], bytes]:
        from pypdfium2 import PdfiumError

        try:
            if do == "open":
                return {"pages": self._open(data, request["password"])}, b""
            assert self._pdf is not None
            page = self._pdf[request["index"]]
            try:
                if do == "read":
                    return _read(page), b""
                return {}, _draw(page, request["width"], request["height"], request["color"])
            finally:
                page.close()
        except (PdfiumError, IndexError) as error:
            return {"error": str(error), "code": getattr(error, "err_code", None)}, b""

    def _open(self, data: bytes, password: str | None) -> int:
        from pypdfium2 import PdfDocument

        if self._pdf is not None:
            self._pdf.close()
            self._pdf = None
        self._pdf = PdfDocument(data, password=password)
        self._pdf.init_forms()  # what was filled into a form is drawn too
        return len(self._pdf)


def _draw(page: PdfPage, width: int, height: int, color: bool) -> bytes:
    """Grey or RGB pixels, row by row. Drawn in colour: on grey PDFium puts letters on whole pixels only."""
    from PIL import Image
    from pypdfium2 import raw

    pixels = bytearray(b"\xff") * (4 * width * height)
    buffer = (ctypes.c_ubyte * len(pixels)).from_buffer(pixels)
    bitmap = raw.FPDFBitmap_CreateEx(width, height, raw.FPDFBitmap_BGRx, buffer, 4 * width)
    raw.FPDF_RenderPageBitmap(bitmap, page, 0, 0, width, height, 0, raw.FPDF_ANNOT)
    if page.formenv:
        raw.FPDF_FFLDraw(page.formenv, bitmap, page, 0, 0, width, height, 0, raw.FPDF_ANNOT)
    raw.FPDFBitmap_Destroy(bitmap)
    drawn = Image.frombuffer("RGB", (width, height), pixels, "raw", "BGRX", 0, 1)
    return (drawn if color else drawn.convert("L")).tobytes()


def _read(page: PdfPage) -> dict[str, Any]:
    """Size, text and text boxes of a page."""
    width, height = page.get_size()
    textpage = page.get_textpage()
    try:
        text, lines = _lines(page, textpage, width, height)
    finally:
        textpage.close()
    return {"width": width, "height": height, "text": text, "boxes": pack_text_lines(text, lines)}


def _lines(page: PdfPage, textpage: PdfTextPage, width: float, height: float) -> tuple[str, list[TextLine]]:
    from pypdfium2 import raw

    place = _Place(page, textpage, width, height)
    text: list[str] = []
    lines: list[list[tuple[int, _Box]]] = [[]]  # of each line the visible characters
    high = 0
    for number in range(raw.FPDFText_CountChars(textpage)):
        code = raw.FPDFText_GetUnicode(textpage, number)
        if 0xD800 <= code < 0xDC00:  # half of a character, where the system's wide characters have 16 bits
            high = code
            continue
        if 0xDC00 <= code < 0xE000:
            code = 0x10000 + (high - 0xD800 << 10) + code - 0xDC00 if high else 0xFFFD
        high = 0
        hyphen = code in (2, 0xFFFE) and raw.FPDFText_IsHyphen(textpage, number) == 1
        char = "\u00ad" if hyphen else chr(code)
        if char == "\n":
            while text and text[-1] == " ":
                text.pop()
            lines.append([])
        elif not hyphen and ((code < 32 and char != "\t") or 127 <= code < 160 or code in (0xFFFE, 0xFFFF)):
            continue  # no character: glyphs that the file gives no meaning
        elif not char.isspace():
            box = place.box(number)
            line = lines[-1]
            if line and _apart(box, line):
                lines.append(line := [])
            line.append((len(text), box))
        text.append(char)
        if hyphen:  # the rest of the word stands on the next line
            lines.append([])
    laid = (_laid(line, "".join(text[line[0][0] : line[-1][0] + 1]), width, height) for line in lines if line)
    return "".join(text), [line for line in laid if line]


class _Place:
    """Where characters stand on a page as it is seen: turned and cropped, from its upper left corner."""

    def __init__(self, page: PdfPage, textpage: PdfTextPage, width: float, height: float) -> None:
        from pypdfium2 import raw

        self._textpage, self._get = textpage, raw.FPDFText_GetCharBox
        self._values = [ctypes.c_double() for _ in range(4)]
        self._pointers = [ctypes.byref(value) for value in self._values]
        fine, x, y = 64, ctypes.c_int(), ctypes.c_int()

        def device(a: float, b: float) -> tuple[float, float]:
            raw.FPDF_PageToDevice(page, 0, 0, round(width * fine), round(height * fine), 0, a, b, x, y)
            return x.value / fine, y.value / fine

        self._x, self._y = device(0, 0)
        right, up = device(1000, 0), device(0, 1000)
        self._xx, self._xy = (right[0] - self._x) / 1000, (up[0] - self._x) / 1000
        self._yx, self._yy = (right[1] - self._y) / 1000, (up[1] - self._y) / 1000

    def box(self, number: int) -> _Box:
        """Left, top, right and bottom of a character's ink, in points."""
        self._get(self._textpage, number, *self._pointers)
        left, right, bottom, top = (value.value for value in self._values)
        xs = [self._x + self._xx * a + self._xy * b for a, b in ((left, bottom), (right, top))]
        ys = [self._y + self._yx * a + self._yy * b for a, b in ((left, bottom), (right, top))]
        return min(xs), min(ys), max(xs), max(ys)


def _apart(box: _Box, line: list[tuple[int, _Box]]) -> bool:
    """Whether a character begins a line of its own: after a gap as wide as those between columns and between cells of a table,
    or above or below and well back from the one before it."""
    before = line[-1][1]
    wide = 2 * max(before[2] - before[0], before[3] - before[1], box[2] - box[0], box[3] - box[1])
    if box[1] < max(b[3] for _, b in line) and box[3] > min(b[1] for _, b in line):
        return max(box[0] - before[2], before[0] - box[2]) > wide
    return before[0] - box[0] > wide


def _laid(line: list[tuple[int, _Box]], text: str, width: float, height: float) -> TextLine | None:
    """A line of visible characters, ``text`` from the first to the last; None when it lies outside of the page."""
    start, end = line[0][0], line[-1][0] + 1
    left = max(0, math.floor(min(box[0] for _, box in line)))
    top = max(0, math.floor(min(box[1] for _, box in line)))
    right = min(math.ceil(width), math.ceil(max(box[2] for _, box in line)))
    bottom = min(math.ceil(height), math.ceil(max(box[3] for _, box in line)))
    if left >= right or top >= bottom:
        return None
    laid = TextLine(start, end, left, top, right, bottom)
    words = [(at, box) for at, box in line if at == start or text[at - start - 1].isspace()]
    middles = [box[0] + box[2] for _, box in line]
    ahead = sum(a < b for a, b in pairwise(middles))
    back = sum(a > b for a, b in pairwise(middles))
    if bottom - top > right - left and len(line) > 2:
        return laid  # it runs up or down
    if ahead >= back and all(a[1][0] <= b[1][0] for a, b in pairwise(words)):
        return laid._replace(stops=((start, left), *((at, math.floor(box[0])) for at, box in words[1:]), (end, right)))
    if ahead < back and all(a[1][2] >= b[1][2] for a, b in pairwise(words)):
        return laid._replace(stops=((start, right), *((at, math.ceil(box[2])) for at, box in words[1:]), (end, left)))
    return laid


if __name__ == "__main__":
    main()
