"""Memory and linearity of drawing: a large text drawn to a consumer that drops the pages.

    python benchmarks/memory.py [--megabytes 100] [--one-line]

Prints the peak resident memory above the text's own, and the time per megabyte at a tenth of the size and at full size.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from pydoc_data.topics import topics

from glyph_integrations import Renderer


def peak() -> float:
    """Peak resident memory of this process in MB."""
    size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return size / 1e6 if sys.platform == "darwin" else size / 1e3


def draw(renderer: Renderer, text: str) -> tuple[int, float]:
    start = time.perf_counter()
    count = 0
    for page in renderer.paginate(text):
        renderer.pixels(page)
        count += 1
    return count, time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=float, default=100)
    parser.add_argument("--one-line", action="store_true", help="no newline in the text at all")
    args = parser.parse_args()
    sample = "\n\n".join(topics.values())
    if args.one_line:
        sample = " ".join(sample.split())
    size = int(args.megabytes * 1e6)
    small = (sample * (size // 10 // len(sample) + 1))[: size // 10]
    renderer = Renderer()
    pages, seconds = draw(renderer, small)
    print(f"{len(small) / 1e6:8.1f} MB: {pages:,} pages, {seconds:.2f} s, {seconds / len(small) * 1e6:.3f} s per MB")
    text = (sample * (size // len(sample) + 1))[:size]
    before = peak()
    pages, again = draw(renderer, text)
    print(f"{len(text) / 1e6:8.1f} MB: {pages:,} pages, {again:.2f} s, {again / len(text) * 1e6:.3f} s per MB")
    print(f"ten times the text takes {again / seconds:.1f} times as long; peak memory above the text: {peak() - before:.0f} MB")


if __name__ == "__main__":
    main()
