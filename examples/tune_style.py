"""A better page style for a document, found offline: an OCR engine reads, Glyph's tokens are counted. Needs the extras
``tuning`` and ``ocr``.

The document is Python's own language reference. For a real search give it minutes, not seconds, or use ``glyph tune``; and let
the model that will see the pages read them, with ``TranscriptionEvaluator``.
"""

from __future__ import annotations

import sys
from pydoc_data.topics import topics

from glyph_integrations import PageStyle, StyleSearch
from glyph_integrations.tuning import OcrEvaluator, Range, Sample, SearchSpace, choose

seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 12
sample = Sample.of(["\n\n".join(topics.values())], passages=1)
space = SearchSpace(dpi=(72, 84, 96), font_size=Range(6, 10, 0.5), leading=Range(0, 2, 0.5), theme=("light",))
search = StyleSearch(sample, OcrEvaluator(vision="zai-org/Glyph"), "zai-org/Glyph", space=space, population=8)
for trial in search.run(seconds=seconds):
    print(f"{trial.tokens:6.0f} tokens for 1,000 characters, {trial.error:7.2%} errors  {trial.style}")

usual = next(trial for trial in search.trials if trial.style == PageStyle.preset("glyph-72"))
best = choose(search.trials, most_error=max(usual.error, 0.01)) or usual
print(f"\n{len(search.trials)} styles in {search.generations} generations; {search.stopped}")
print(f"chosen: {best.style}, {1 - best.tokens / usual.tokens:.0%} fewer tokens than glyph-72")
best.style.save("style.json")
print("saved as style.json; use it with --style style.json, or PageStyle.load")
