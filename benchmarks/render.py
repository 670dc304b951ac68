"""Speed of drawing beside reportlab + pdf2image (poppler), the way the official Glyph renderer draws, in one run.

    pip install reportlab pdf2image             # and poppler-utils from the system
    python benchmarks/render.py [TEXT ...]      # default: a novel of the shared corpora

Both draw the same text (9 on 10 points, margins 10, 72 dpi) on one core, Latin text in DejaVu Sans; Chinese the baseline
sets in a CID font that poppler finds on the machine. The baseline gets groups of 30 lines as reportlab paragraphs, the whole
document as one PDF, rasterised by poppler as pdf2image does by default (RGB, as the official renderer has it) and in grey.
Ours breaks lines, paginates and draws.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from functools import partial
from io import BytesIO
from pathlib import Path
from xml.sax.saxutils import escape

os.environ["OMP_NUM_THREADS"] = "1"

from glyph_integrations import PageStyle, Renderer
from glyph_integrations.rendering.fonts import DEJAVU

CORPORA = Path(os.environ.get("GLYPH_CORPORA", Path(__file__).resolve().parents[2] / "shared" / "corpora"))


def baseline(text: str, png: bool, grey: bool = False) -> int:
    from pdf2image import convert_from_bytes
    from reportlab.lib.styles import ParagraphStyle
    from reportlab.pdfbase import pdfmetrics
    from reportlab.pdfbase.cidfonts import UnicodeCIDFont
    from reportlab.pdfbase.ttfonts import TTFont
    from reportlab.platypus import Paragraph, SimpleDocTemplate

    chinese = sum("\u4e00" <= c <= "\u9fff" for c in text[:1000]) > 300
    if chinese:
        pdfmetrics.registerFont(UnicodeCIDFont("STSong-Light"))
        style = ParagraphStyle("page", fontName="STSong-Light", fontSize=9, leading=10, wordWrap="CJK")
    else:
        pdfmetrics.registerFont(TTFont("DejaVu", str(DEJAVU / "DejaVuSans.ttf")))
        style = ParagraphStyle("page", fontName="DejaVu", fontSize=9, leading=10)
    lines = text.split("\n")
    groups = ("<br/>".join(escape(line) for line in lines[at : at + 30]) for at in range(0, len(lines), 30))
    out = BytesIO()
    margins = dict.fromkeys(("leftMargin", "rightMargin", "topMargin", "bottomMargin"), 10)
    SimpleDocTemplate(out, pagesize=(595, 842), **margins).build([Paragraph(group, style) for group in groups])
    pages = convert_from_bytes(out.getvalue(), dpi=72, grayscale=grey, thread_count=1)
    if png:
        for page in pages:
            page.save(BytesIO(), "PNG")
    return len(pages)


def ours(text: str, renderer: Renderer, png: bool, dpi: int | None = None) -> int:
    draw: Callable[..., object] = renderer.png if png else renderer.pixels
    count = 0
    for page in renderer.paginate(text):
        draw(page, dpi)
        count += 1
    return count


def clock(run: Callable[[], int], times: int) -> tuple[float, int]:
    taken, pages = [], 0
    for _ in range(times):
        start = time.perf_counter()
        pages = run()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken), pages


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("texts", nargs="*", type=Path, default=[CORPORA / "texts" / "pride_and_prejudice.txt"])
    parser.add_argument("--runs", type=int, default=5)
    args = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {0})
    for path in args.texts:
        compare(path.name, path.read_text(encoding="utf-8"), args.runs)


def compare(name: str, text: str, runs: int) -> None:
    print(f"{name}: {len(text):,} characters, one core, median of {runs} runs (baseline: 3)")
    print(f"{'':40}{'pages':>7}{'s':>9}{'pages/s':>9}{'chars/s':>12}{'ratio':>8}")

    def row(what: str, run: Callable[[], int], times: int, base: float = 0) -> float:
        seconds, pages = clock(run, times)
        speed = f"{pages:>7}{seconds:>9.3f}{pages / seconds:>9.1f}{len(text) / seconds:>12,.0f}"
        print(f"{what:40}{speed}{(base or seconds) / seconds:>7.1f}x", flush=True)
        return seconds

    warm = Renderer(PageStyle())
    ours(text, warm, False)
    for png, kind in ((False, "pixels only"), (True, "with PNG")):
        base = row(f"reportlab + pdf2image, {kind}", partial(baseline, text, png), 3)
        row(f"the same in grey, {kind}", partial(baseline, text, png, grey=True), 3, base)
        row(f"ours, {kind}, nothing drawn before", partial(ours, text, Renderer(PageStyle()), png), 1, base)
        row(f"ours, {kind}", partial(ours, text, warm, png), runs, base)
        if not png:
            row("ours at 100 dpi, pixels only", partial(ours, text, warm, png, 100), runs, base)


if __name__ == "__main__":
    main()
