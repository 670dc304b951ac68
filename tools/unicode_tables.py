"""Writes the tables of glyph_integrations/rendering, one byte for each code point, zlib: line_break.bin (the UAX 14 line
breaking class) and bidi.bin (the UAX 9 bidirectional class and flags, then pairs of mirrored code points).

python tools/unicode_tables.py /usr/share/unicode     # the Unicode Character Database (Debian: package unicode-data)
"""

from __future__ import annotations

import re
import struct
import sys
import unicodedata
import zlib
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from glyph_integrations.rendering import bidi, bidi_sequences
from glyph_integrations.rendering.line_break import CLASSES

ROOM = Path(__file__).resolve().parents[1] / "glyph_integrations" / "rendering"
LONG_NAMES = {"Left_To_Right": "L", "Right_To_Left": "R", "Arabic_Letter": "AL", "European_Terminator": "ET"}


def ranges(path: Path, wanted: str | None = None) -> list[tuple[int, int, str]]:
    found = []
    for row in path.read_text(encoding="utf-8").splitlines():
        match = re.match(r"([0-9A-F]+)(?:\.\.([0-9A-F]+))?\s*;\s*(\w+)", row)
        if match and (wanted is None or match[3] == wanted):
            found.append((int(match[1], 16), int(match[2] or match[1], 16), match[3]))
    return found


def write(name: str, data: bytes) -> None:
    target = ROOM / name
    target.write_bytes(zlib.compress(data, 9))
    print(f"{target.name}: {target.stat().st_size} bytes")


def line_break(ucd: Path) -> bytes:
    classes = ["XX"] * 0x110000
    for low, high in (
        (0x3400, 0x4DBF),
        (0x4E00, 0x9FFF),
        (0xF900, 0xFAFF),
        (0x20000, 0x2FFFD),
        (0x30000, 0x3FFFD),
        (0x1F000, 0x1FAFF),
        (0x1FC00, 0x1FFFD),
    ):
        classes[low : high + 1] = ["ID"] * (high - low + 1)
    classes[0x20A0:0x20D0] = ["PR"] * 48
    for low, high, name in ranges(ucd / "LineBreak.txt"):
        classes[low : high + 1] = [name] * (high - low + 1)
    wide = [False] * 0x110000
    for low, high, name in ranges(ucd / "EastAsianWidth.txt"):
        wide[low : high + 1] = [name in "FWH"] * (high - low + 1)
    pictographic = set()
    for low, high, _ in ranges(ucd / "emoji" / "emoji-data.txt", "Extended_Pictographic"):
        pictographic.update(range(low, high + 1))
    out = bytearray(0x110000)
    for code, name in enumerate(classes):  # LB1, and the splits that LB30 and LB30b ask for
        if name in ("AI", "SG", "XX"):
            name = "AL"
        elif name == "SA":
            name = "CM" if unicodedata.category(chr(code)) in ("Mn", "Mc") else "AL"
        elif name == "CJ":
            name = "NS"
        if name in ("OP", "CP") and wide[code]:
            name += "E"
        if name == "ID" and code in pictographic and unicodedata.category(chr(code)) == "Cn":
            name = "IDX"
        out[code] = CLASSES.index(name)
    return bytes(out)


def bidirectional(ucd: Path) -> bytes:
    listed = ucd / "extracted" / "DerivedBidiClass.txt"
    out = bytearray(0x110000)
    defaults = re.findall(r"(?m)^# @missing: ([0-9A-F]+)\.\.([0-9A-F]+); (\w+)", listed.read_text(encoding="utf-8"))
    rows = [(int(low, 16), int(high, 16), LONG_NAMES[name]) for low, high, name in defaults]
    for low, high, name in [*rows, *ranges(listed)]:
        out[low : high + 1] = bytes([bidi_sequences.CLASSES.index(name)]) * (high - low + 1)
    directed = {bidi_sequences.CLASSES.index(name) for name in "R AL AN LRE LRO RLE RLO PDF LRI RLI FSI PDI".split()}
    out = bytearray(number | bidi.DIRECTED * (number in directed) for number in out)
    pair = r"(?m)^([0-9A-F]+); ([0-9A-F]+)(?:; ([oc]))?"
    mirrored = re.findall(pair, (ucd / "BidiMirroring.txt").read_text(encoding="utf-8"))
    pairs = {int(code, 16): int(other, 16) for code, other, _ in mirrored}
    for code, other, side in re.findall(pair, (ucd / "BidiBrackets.txt").read_text(encoding="utf-8")):
        assert pairs[int(code, 16)] == int(other, 16)  # so that one table of pairs serves both
        out[int(code, 16)] |= bidi.OPENING if side == "o" else bidi.CLOSING
    return bytes(out) + b"".join(struct.pack("<II", *both) for both in sorted(pairs.items()))


if __name__ == "__main__":
    write("line_break.bin", line_break(Path(sys.argv[1])))
    write("bidi.bin", bidirectional(Path(sys.argv[1])))
