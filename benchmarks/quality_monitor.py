"""What a quality monitor costs: time to build a prompt of five pages without one, with one that samples nothing, 1 % and all.

    python benchmarks/quality_monitor.py

Processor time of the engine's thread is told apart from that of the thread that answers.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from glyph_integrations import ContextBuilder, QualityMonitor, Renderer

CORPORA = Path(os.environ.get("GLYPH_CORPORA", Path(__file__).resolve().parents[2] / "shared" / "corpora"))
PROMPTS = 200


def main() -> None:
    text = (CORPORA / "texts" / "call_of_the_wild.txt").read_text(encoding="utf-8")
    pages = list(Renderer().paginate(text, source="call_of_the_wild.txt"))
    for rate in (None, 0.0, 0.01, 1.0, None):
        monitor = None if rate is None else QualityMonitor(rate)
        builder = ContextBuilder("zai-org/Glyph", monitor=monitor)
        builder.build("Who is Buck?", pages[:5])
        wall, own = time.perf_counter(), time.thread_time()
        for n in range(PROMPTS):
            builder.build("Who is Buck?", pages[n % 10 : n % 10 + 5])
        wall, own = time.perf_counter() - wall, time.thread_time() - own
        told = "off" if rate is None else f"rate {rate:g}"
        print(f"{told:>9}: {1000 * own / PROMPTS:.2f} ms of processor time a prompt, {1000 * wall / PROMPTS:.1f} ms in all")
        if monitor:
            before = time.perf_counter()
            monitor.wait(60)
            total, counts = monitor.total, monitor.counts
            waited = time.perf_counter() - before
            print(f"{'':>11}{counts.sampled} of {counts.seen:,} pages sampled, {counts.dropped} dropped; {total.pages} read,")
            print(f"{'':>11}{waited:.0f} s after the last prompt; {100 * total.error_rate:.2f} % errors")
            monitor.close()


if __name__ == "__main__":
    main()
