"""Legibility of styles: pages are drawn, read by an OCR engine, and compared line by line with what was drawn.

    python benchmarks/legibility.py [presets] [choices] [hinting] [scripts] [--lines 36] [--cache FOLDER]     # default: all

presets  every preset x {English novel, Chinese novel, Python source}, read by RapidOCR
choices  size of letters on line height (points), grey or 1-bit, at 72 and at 96 dpi, for the same texts
hinting  how FreeType fits letters to the pixel grid, at 72 and at 96 dpi, for the same texts
scripts  every preset, and line heights at 72 and at 96 dpi, x {Arabic, Hindi, Thai, Russian}, read by Tesseract where it has
         their language packs

``error`` is the character error rate, ``+-`` its standard error (styles within twice of it are not told apart), ``tokens`` the
visual tokens of Glyph for 1,000 characters. Styles of one text are read at the same places. With ``--cache`` a run that was
stopped goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import os
import textwrap
from collections.abc import Callable
from functools import partial
from pathlib import Path

import freetype

from glyph_integrations import GlyphError, PageStyle, open_document
from glyph_integrations.rendering import fonts
from glyph_integrations.sources import SourceDocument
from glyph_integrations.style import PRESETS
from glyph_integrations.tuning import CachedReader, Legibility, Reader, measure_legibility, open_reader

CORPORA = Path(os.environ.get("GLYPH_CORPORA", Path(__file__).resolve().parents[2] / "shared" / "corpora"))
TABLES = ["presets", "choices", "hinting", "scripts"]
HINTING = {"the font's own": 0, "none": freetype.FT_LOAD_NO_HINTING, "light": freetype.FT_LOAD_TARGET_LIGHT}
PACKS = {"ar": "ara", "hi": "hin", "th": "tha", "ru": "rus"}
CHANGES = {
    "10 on 12": {"font_size": 10, "line_height": 12},
    "10 on 11": {"font_size": 10, "line_height": 11},
    "9 on 11": {"line_height": 11},
    "9 on 10": {},
    "9 on 10 1-bit": {"levels": 2},
    "8 on 10": {"font_size": 8},
    "8 on 9": {"font_size": 8, "line_height": 9},
    "8 on 9 1-bit": {"font_size": 8, "line_height": 9, "levels": 2},
    "7 on 8": {"font_size": 7, "line_height": 8},
}


def texts() -> dict[str, Callable[[], SourceDocument]]:
    """What is drawn: a novel, a Chinese novel, and the source of a module of Python's library."""
    return {
        "English": partial(open_document, CORPORA / "texts" / "call_of_the_wild.txt"),
        "Chinese": partial(open_document, CORPORA / "texts" / "xiyouji_ch1-20.txt"),
        "code": partial(open_document, Path(textwrap.__file__)),
    }


def questions(language: str) -> str:
    """The articles of a language of XQuAD, one after the other."""
    lines = (CORPORA / f"xquad12_{language}.docs.jsonl").read_text(encoding="utf-8").splitlines()
    return "\n\n".join(json.loads(line)["text"] for line in lines)


def heading(title: str) -> None:
    columns = f"{'text':10}{'style':14}{'dpi':>4}{'error':>9}{'+-':>8}{'tokens':>8}{'lines':>7}{'unread':>7}"
    print(f"\n{title}\n{columns}  worst confusions", flush=True)


def row(text: str, name: str, found: Legibility) -> None:
    worst = ", ".join(f"{c.drawn[:8] or '-'}>{c.read[:8] or '-'} {c.times}" for c in found.confusions(5))
    figures = f"{100 * found.error_rate:>8.2f}%{100 * found.standard_error:>7.2f}%{found.tokens_per_1000:>8.0f}"
    print(f"{text:10}{name:14}{found.style.dpi:>4}{figures}{len(found.lines):>7}{found.unread:>7}  {worst}", flush=True)


def presets(reader: Reader, lines: int) -> None:
    heading(f"presets, read by {reader.name}")
    for text, load in texts().items():
        document = load()
        for name, style in PRESETS.items():
            row(text, name, measure_legibility(document, reader, style, lines=lines))


def choices(reader: Reader, lines: int) -> None:
    heading(f"choices, read by {reader.name}")
    for text, load in texts().items():
        document = load()
        for dpi in (72, 96):
            for name, changes in CHANGES.items():
                row(text, name, measure_legibility(document, reader, PageStyle(dpi=dpi).replace(**changes), lines=lines))


def hinting(reader: Reader, lines: int) -> None:
    heading(f"hinting, read by {reader.name}")
    load_glyph = fonts.FT_Load_Glyph
    for text, load in texts().items():
        document = load()
        for dpi in (72, 96):
            for name, flags in HINTING.items():
                fonts.FT_Load_Glyph = lambda face, glyph, _, flags=flags: load_glyph(face, glyph, flags)
                row(text, name, measure_legibility(document, reader, PageStyle(dpi=dpi), lines=lines))
    fonts.FT_Load_Glyph = load_glyph


def scripts(cache: Path | None, lines: int) -> None:
    readers: dict[str, Reader] = {}
    for language, pack in PACKS.items():
        try:
            readers[language] = CachedReader(open_reader(f"tesseract:{pack}"), cache)
        except GlyphError as error:
            print(f"\n{language}: skipped: {error}")
    heights = [(f"9 on {height}", PageStyle(dpi=dpi, line_height=height)) for dpi in (72, 96) for height in range(10, 15)]
    for title, styles in (("presets", [*PRESETS.items()]), ("line height", heights)):
        heading(f"{title}, read by Tesseract")
        for language, reader in readers.items():
            for name, style in styles:
                row(language, name, measure_legibility(questions(language), reader, style, lines=lines))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", nargs="*", metavar="TABLE", help=" or ".join(TABLES))
    parser.add_argument("--lines", type=int, default=36)
    parser.add_argument("--cache", type=Path)
    args = parser.parse_args()
    if unknown := {*args.tables} - {*TABLES}:
        parser.error(f"unknown table {', '.join(unknown)}; known: {', '.join(TABLES)}")
    wanted = args.tables or TABLES
    if {"presets", "choices", "hinting"} & set(wanted):
        rapid = CachedReader(open_reader("rapidocr"), args.cache)
        if "presets" in wanted:
            presets(rapid, args.lines)
        if "choices" in wanted:
            choices(rapid, args.lines)
        if "hinting" in wanted:
            hinting(rapid, args.lines)
    if "scripts" in wanted:
        scripts(args.cache, args.lines)


if __name__ == "__main__":
    main()
