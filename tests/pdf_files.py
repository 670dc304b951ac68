"""PDF files made by hand, for tests."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np

from glyph_integrations import Page, Renderer, open_document

_PAD = bytes.fromhex("28BF4E5E4E758A4164004E56FFFA01082E2E00B6D0683E802F0CA9FE6453697A")
_ID = b"0123456789abcdef"


def pdf_of(objects: list[bytes], trailer: bytes = b"") -> bytes:
    """A PDF of these objects, numbered from 1; the first is the catalogue."""
    out = b"%PDF-1.7\n"
    offsets = []
    for number, value in enumerate(objects, 1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, value)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    head = b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    end = b"trailer\n<</Size %d/Root 1 0 R%s>>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, trailer, len(out))
    return out + head + table + end


def stream(data: bytes, extra: bytes = b"") -> bytes:
    return b"<</Length %d%s>>\nstream\n%s\nendstream" % (len(data), extra, data)


def show(text: str, x: int = 20, y: int = 700, size: int = 12) -> bytes:
    """Content that draws a line of text in Helvetica, ``y`` up from the lower edge."""
    return b"BT /F %d Tf %d %d Td (%s) Tj ET\n" % (size, x, y, text.encode("ascii"))


def pages_pdf(
    contents: list[bytes], page: bytes = b"/MediaBox[0 0 600 800]", trailer: bytes = b"", encrypt: bytes = b""
) -> bytes:
    """A PDF with a page for each content; ``page`` are further entries of each."""
    kids = b" ".join(b"%d 0 R" % (4 + 2 * n) for n in range(len(contents)))
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[%s]/Count %d>>" % (kids, len(contents)),
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
    ]
    for number, content in enumerate(contents):
        own = b"<</Type/Page/Parent 2 0 R/Resources<</Font<</F 3 0 R>>/XObject<</X %d 0 R>>>>/Contents %d 0 R%s>>"
        objects += [own % (4 + 2 * len(contents), 5 + 2 * number, page), stream(content)]
    return pdf_of([*objects, encrypt] if encrypt else objects, trailer)


def looping_pdf() -> bytes:
    """A page with a form that draws itself twice: two to the power of its depth, and PDFium goes deep."""
    form = stream(b"/X Do /X Do", b"/Type/XObject/Subtype/Form/BBox[0 0 600 800]/Resources<</XObject<</X 4 0 R>>>>")
    return pdf_of([
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 600 800]/Contents 5 0 R/Resources<</XObject<</X 4 0 R>>>>>>",
        form,
        stream(b"/X Do"),
    ])  # fmt: skip


def encrypted_pdf(text: str, password: str) -> bytes:
    """A page that a password opens: the standard handler, revision 2, RC4 with 40 bits."""
    user = (password.encode() + _PAD)[:32]
    owner = _rc4(hashlib.md5(user).digest()[:5], user)
    rights = b"\xfc\xff\xff\xff"
    key = hashlib.md5(user + owner + rights + _ID).digest()[:5]
    number = 5  # the object that holds the content
    own = hashlib.md5(key + number.to_bytes(3, "little") + b"\0\0").digest()[:10]
    entries = b"/Filter/Standard/V 1/R 2/P -4/O<%s>/U<%s>"
    encrypt = b"<<" + entries % (owner.hex().encode(), _rc4(key, _PAD).hex().encode()) + b">>"
    identity = _ID.hex().encode()
    trailer = b"/Encrypt 6 0 R/ID[<%s><%s>]" % (identity, identity)
    return pages_pdf([_rc4(own, show(text))], trailer=trailer, encrypt=encrypt)


def _rc4(key: bytes, data: bytes) -> bytes:
    state, j = list(range(256)), 0
    for i in range(256):
        j = (j + state[i] + key[i % len(key)]) % 256
        state[i], state[j] = state[j], state[i]
    out, i, j = bytearray(), 0, 0
    for byte in data:
        i = (i + 1) % 256
        j = (j + state[i]) % 256
        state[i], state[j] = state[j], state[i]
        out.append(byte ^ state[(state[i] + state[j]) % 256])
    return bytes(out)


def paginate(renderer: Renderer, data: bytes, name: str = "a.pdf") -> list[Page]:
    return list(renderer.paginate(open_document(data, name=name)))


def ink_in(image: np.ndarray[Any, Any], box: tuple[int, ...]) -> bool:
    left, top, right, bottom = box
    return bool((image[top:bottom, left:right] < 160).any())
