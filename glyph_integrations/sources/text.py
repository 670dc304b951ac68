"""Bytes to text: encodings and byte order marks."""

from __future__ import annotations

import codecs

from ..errors import DocumentError, EncodingError

_ADVICE = "Name its encoding, for example encoding='cp1252' (--encoding cp1252 on the command line)"
_MARKS = (  # UTF-32 first: its little-endian mark begins with that of UTF-16
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


def decode(data: bytes, label: str, encoding: str | None = None, errors: str = "strict") -> str:
    """The text of a file's bytes, newlines untouched, without its byte order mark.

    Args:
        data: all bytes of the file.
        label: what messages call the file.
        encoding: None for UTF-8, or what a byte order mark says; otherwise taken at its word.
        errors: an error handler of Python's codecs, such as ``strict`` or ``replace``.

    Raises:
        EncodingError: the bytes are not in the encoding.
        DocumentError: they are no text, or there is no such encoding or error handler.
    """
    mark, codec = b"", encoding or "utf-8"
    if encoding is None:
        mark, codec = next(((m, c) for m, c in _MARKS if data.startswith(m)), (mark, codec))
        if codec == "utf-8" and (at := data.find(0)) >= 0:
            raise DocumentError(
                f"{label} is a binary file: byte {at} is NUL. If it is text without a byte order mark, name its encoding, "
                "for example encoding='utf-16-le' (--encoding utf-16-le on the command line)"
            )
    try:
        text = data[len(mark) :].decode(codec, errors)
    except UnicodeDecodeError as error:
        at = len(mark) + error.start
        line = data[len(mark) : at].decode(codec, "replace").count("\n") + 1
        found = data[at : len(mark) + error.end][:4].hex().upper()
        raise EncodingError(
            f"{label} is not {codec} text: byte {at} (line {line}) is 0x{found}: {error.reason}. {_ADVICE}, "
            "or pass errors='replace'"
        ) from error
    except (LookupError, UnicodeError) as error:
        raise DocumentError(f"{label}: encoding {codec!r} with errors {errors!r} cannot be used: {error}") from error
    return text.removeprefix("\ufeff") if encoding else text


def shown_encoding(data: bytes) -> str | None:
    """The encoding that bytes show by a byte order mark, or by being UTF-8 as text in another is not likely to be; or None."""
    for mark, codec in _MARKS:
        if data.startswith(mark):
            return codec
    try:
        return "utf-8" if not data.isascii() and data.decode("utf-8") else None
    except UnicodeDecodeError:
        return None
