"""Pages that go to a model are sampled and read back by OCR; counters go to Prometheus. Runs offline.

The pages are of Python's own language reference, drawn once in a legible style and once in letters that nobody can read.
"""

from __future__ import annotations

import logging
from pydoc_data.topics import topics

from glyph_integrations import ContextBuilder, PageIndex, PageStyle, QualityMonitor, Renderer

logging.basicConfig(format="%(levelname)s %(message).120s…")
text = "\n\n".join(sorted(set(topics.values())))[:40_000]
question = "When is the else clause of a loop executed?"

# rate=1 reads every page, so that there is something to see; 0.01 is plenty in production
with QualityMonitor(rate=1, warn_above=0.1) as monitor:
    for name, style in (("legible", PageStyle()), ("tiny", PageStyle(font_size=3.5, line_height=4.5))):
        with PageIndex.open() as index:
            index.add(Renderer(style).paginate(text, source=f"{name}.txt"))
            builder = ContextBuilder(
                "zai-org/Glyph", sharp=0, monitor=monitor
            )  # ChatGlyph, GlyphLLM and GlyphSynthesizer take one, too
            turns, report = builder.build(question, index.search(question, k=1))
            print(f"{name}: {len(report.images)} page as an image, {report.tokens:,} tokens")
    monitor.wait(timeout=25)  # for this example; an answer never waits

for misread in monitor.worst:
    print(f"{misread.page.source}: {misread.error_rate:.1%} of the characters misread")
    print(f"  drawn: {misread.drawn[:70]}\n  read:  {misread.read[:70]}")
print(*(line for line in monitor.prometheus().splitlines() if line.startswith("glyph_character_errors_total")), sep="\n")
