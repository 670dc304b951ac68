"""Writes glyph_integrations/rendering/line_break.bin: the UAX 14 line breaking class of every code point, one byte each, zlib.

python tools/unicode_tables.py /usr/share/unicode     # the Unicode Character Database (Debian: package unicode-data)
"""

from __future__ import annotations

import re
import sys
import unicodedata
import zlib
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from glyph_integrations.rendering.line_break import CLASSES


def ranges(path: Path, wanted: str | None = None) -> list[tuple[int, int, str]]:
    found = []
    for row in path.read_text(encoding="utf-8").splitlines():
        match = re.match(r"([0-9A-F]+)(?:\.\.([0-9A-F]+))?\s*;\s*(\w+)", row)
        if match and (wanted is None or match[3] == wanted):
            found.append((int(match[1], 16), int(match[2] or match[1], 16), match[3]))
    return found


def main(ucd: Path) -> None:
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
    assigned = set()
    for low, high, name in ranges(ucd / "LineBreak.txt"):
        classes[low : high + 1] = [name] * (high - low + 1)
        assigned.update(range(low, high + 1))
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
    target = Path(__file__).resolve().parents[1] / "glyph_integrations" / "rendering" / "line_break.bin"
    target.write_bytes(zlib.compress(bytes(out), 9))
    print(f"{target.name}: {target.stat().st_size} bytes, {len(assigned)} code points listed")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
