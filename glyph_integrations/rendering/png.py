"""The PNG writer: rows unfiltered, 1, 4 or 8 bits of grey, whichever holds the values. Text compresses better and faster so
than with the filters that photographs need."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import numpy.typing as npt


def encode_png(pixels: npt.NDArray[np.uint8], dpi: int | None = None, level: int | None = None) -> bytes:
    """PNG bytes of ``uint8[height, width]`` grey values.

    Args:
        dpi: written as the physical resolution.
        level: zlib's; default 4 for grey, which takes about 3 ms for a full page, and 6 for black and white.
    """
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
    raw = np.zeros((height, rows.shape[1] + 1), np.uint8)  # a leading 0 names filter "none"
    raw[:, 1:] = rows
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, 0, 0, 0, 0))]
    if dpi:
        metre = round(dpi / 0.0254)
        chunks.append((b"pHYs", struct.pack(">IIB", metre, metre, 1)))
    chunks += [(b"IDAT", zlib.compress(raw.tobytes(), level if level is not None else 6 if depth == 1 else 4)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
