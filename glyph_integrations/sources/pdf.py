"""PDF files: their pages, the text on them, and their pictures. What reads them is a process of its own, `pdf_reader`."""

from __future__ import annotations

import atexit
import hashlib
import os
import subprocess
import sys
import threading
import time
from typing import Any

from ..errors import DocumentError, PasswordError
from .page_file import PDF, FilePage, PageFile
from .pdf_reader import receive, send

SECONDS = 60.0  # for opening a file, for reading a page, for drawing one


def read_pdf(data: bytes, label: str, password: str | None = None) -> tuple[PageFile, str, tuple[FilePage, ...]]:
    """A PDF's pages and their text, about 10 ms a page.

    The text of a page is its text layer, in the order of the file, a form feed between pages. A word that is divided at a
    line's end is one word, with a soft hyphen (U+00AD) where it was divided. Glyphs that the file gives no meaning are left
    out.

    Args:
        data: all bytes of the file.
        label: what messages call the file.
        password: that opens it.

    Raises:
        DocumentError: not a PDF, truncated, damaged, without pages, or a page takes over a minute.
        PasswordError: it is encrypted, and this is not its password.
    """
    if not data.startswith(PDF):
        raise DocumentError(f"{label} is not a PDF file: it does not begin with %PDF-")
    if b"%%EOF" not in data.rstrip(b"\0\t\n\r ")[-1024:]:  # so far back do PDF viewers look for it
        raise DocumentError(f"{label} is a PDF file that ends before its end: it is truncated; get it again")
    file = PageFile(data, hashlib.sha256(data).hexdigest(), password)
    texts: list[str] = []
    pages: list[FilePage] = []
    start = 0
    count = count_pdf_pages(file, label)
    for index in range(count):
        answer, _ = _READER.ask(file, label, do="read", index=index)
        text = answer["text"] + "\f" * (index < count - 1)
        texts.append(text)
        pages.append(FilePage(start, start + len(text), answer["width"], answer["height"], answer["boxes"]))
        start += len(text)
    return file, "".join(texts), tuple(pages)


def count_pdf_pages(file: PageFile, label: str) -> int:
    """How many pages it has.

    Raises:
        DocumentError: it is damaged, encrypted or without pages.
    """
    return _READER.count(file, label)


def draw_pdf_page(file: PageFile, index: int, width: int, height: int, label: str, color: bool = False) -> bytes:
    """Grey pixels, or red, green and blue of each, row by row, of a page (from 0) at a size.

    Raises:
        DocumentError: it cannot be drawn, or not in a minute.
    """
    _, pixels = _READER.ask(file, label, do="draw", index=index, width=width, height=height, color=color)
    return pixels


class _ReaderProcess:
    """The process, started when it is needed and again when it has ended. Safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._inherited: subprocess.Popen[bytes] | None = None
        self._open: tuple[str, str | None, int] | None = None  # hash and password of the file it has open, and its pages

    def count(self, file: PageFile, label: str) -> int:
        """How many pages a file has."""
        with self._lock:
            return self._opened(file, label)

    def ask(self, file: PageFile, label: str, **request: Any) -> tuple[dict[str, Any], bytes]:
        """The answer to a request about a page.

        Raises:
            DocumentError: there is none.
        """
        with self._lock:
            pages = self._opened(file, label)
            answer, data = self._exchange(label, request)
        if "error" in answer:
            where = f"page {request['index'] + 1} of {pages}"
            raise DocumentError(f"{label}: {where} cannot be read; the PDF file is damaged ({answer['error']})")
        return answer, data

    def _opened(self, file: PageFile, label: str) -> int:
        if self._process is None or self._process.poll() is not None:
            self._start()
        if self._open is None or self._open[:2] != (file.sha256, file.password):
            self._open = None
            answer, _ = self._exchange(label, {"do": "open", "password": file.password}, file.data)
            if "error" in answer:
                raise _refusal(answer, file.password, f"{label} is a PDF file that")
            self._open = (file.sha256, file.password, answer["pages"])
        return self._open[2]

    def _start(self) -> None:
        try:
            import pypdfium2  # noqa: F401
        except ImportError as error:
            raise DocumentError(
                "reading a PDF file needs pypdfium2, which is not installed; run: pip install pypdfium2"
            ) from error
        path = os.pathsep.join(entry or os.getcwd() for entry in sys.path)
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", f"{__package__}.pdf_reader"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env={**os.environ, "PYTHONPATH": path},
        )  # fmt: skip
        self._open = None

    def _exchange(self, label: str, request: dict[str, Any], data: bytes = b"") -> tuple[dict[str, Any], bytes]:
        process = self._process
        assert process is not None and process.stdin is not None and process.stdout is not None
        began = time.monotonic()
        try:
            send(process.stdin, {**request, "seconds": SECONDS}, data)
            return receive(process.stdout)
        except (EOFError, OSError) as error:
            self.end()
            late = time.monotonic() - began >= SECONDS
            why = f"took longer than {SECONDS:g} s" if late else f"made its reader fail (exit code {process.returncode})"
            page = f"page {request['index'] + 1} of " if "index" in request else ""
            raise DocumentError(f"{page}{label} {why}; the PDF file is damaged, or made to do this") from error
        except BaseException:  # interrupted: the answer would be taken for that to the next request
            self.end()
            raise

    def forked(self) -> None:
        """In a copy of this process: leave the pipes to the original."""
        self._lock = threading.Lock()
        self._inherited, self._process = self._process, None

    def end(self) -> None:
        """Stop the process."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.communicate()


def _refusal(answer: dict[str, Any], password: str | None, what: str) -> DocumentError:
    if answer["code"] == 4:  # FPDF_ERR_PASSWORD
        return PasswordError(f"{what} is encrypted{', and the password is wrong' if password else '; pass password='}")
    return DocumentError(f"{what} cannot be read: it is damaged or has no pages ({answer['error']})")


_READER = _ReaderProcess()
atexit.register(_READER.end)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_READER.forked)
