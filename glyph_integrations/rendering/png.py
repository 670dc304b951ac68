"""The PNG writer: rows unfiltered, 1, 4 or 8 bits of grey, whichever holds the values, or 24 bits of colour. Text compresses
better and faster so than with the filters that photographs need."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import numpy.typing as npt


def encode_png(pixels: npt.NDArray[np.uint8], dpi: int | None = None, level: int | None = None) -> bytes:
    """PNG bytes of ``uint8[height, width]`` grey values, or of ``uint8[height, width, 3]`` red, green and blue.

    Args:
        dpi: written as the physical resolution.
        level: zlib's; default 4 for grey, which takes about 3 ms for a full page, and for colour, and 6 for black and white.
    """
    if pixels.ndim == 3:
        return _color_png(pixels, dpi, 4 if level is None else level)
    height, width = pixels.shape
    values = np.zeros(256, bool)
    values[pixels.reshape(-1)] = True
    used = np.nonzero(values)[0]
    rows: npt.NDArray[np.uint8]
    if np.isin(used, (0, 255)).all():
        depth, rows = 1, np.packbits(pixels > 0, axis=1)
    elif not (used % 17).any():
        depth, nibbles = 4, pixels >> np.uint8(4)
        if width % 2:
            nibbles = np.pad(nibbles, ((0, 0), (0, 1)))
        rows = nibbles[:, 0::2] << np.uint8(4) | nibbles[:, 1::2]
    else:
        depth, rows = 8, pixels
    data = _packed(rows, _NONE, level if level is not None else 6 if depth == 1 else 4)
    return _file(struct.pack(">IIBBBBB", width, height, depth, 0, 0, 0, 0), dpi, data)


def _color_png(pixels: npt.NDArray[np.uint8], dpi: int | None, level: int) -> bytes:
    height, width, _ = pixels.shape
    rows = pixels.reshape(height, -1)
    data = _packed(rows, _NONE, level)
    if len(data) > height * width:  # photographs: what differs from the row above
        data = min(data, _packed(np.diff(rows, axis=0, prepend=np.uint8(0)), _UP, level), key=len)
    return _file(struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0), dpi, data)


_NONE, _UP = 0, 2  # filters


def _packed(rows: npt.NDArray[np.uint8], kind: int, level: int) -> bytes:
    raw = np.full((len(rows), rows.shape[1] + 1), kind, np.uint8)  # the filter of a row stands before it
    raw[:, 1:] = rows
    return zlib.compress(raw.tobytes(), level)


def _file(header: bytes, dpi: int | None, data: bytes) -> bytes:
    chunks = [(b"IHDR", header)]
    if dpi:
        metre = round(dpi / 0.0254)
        chunks.append((b"pHYs", struct.pack(">IIB", metre, metre, 1)))
    chunks += [(b"IDAT", data), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
