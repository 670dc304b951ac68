"""How far an edit reaches: one sentence inserted at a random place, and the pages that are no longer the same.

    python benchmarks/locality.py [--edits 350] [--seed 2026]

Reads the first 300,000 characters of four texts of the shared corpora. ``full`` is how much of their height pages use.
"""

from __future__ import annotations

import argparse
import os
import random
from collections import Counter
from pathlib import Path

from glyph_integrations import Renderer

CORPORA = Path(os.environ.get("GLYPH_CORPORA", Path(__file__).resolve().parents[2] / "shared" / "corpora"))
TEXTS = ("call_of_the_wild.txt", "pride_and_prejudice.txt", "rust_book_ch01-09.md", "xiyouji_ch1-20.txt")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--edits", type=int, default=350, help="per text")
    parser.add_argument("--seed", type=int, default=2026)
    args = parser.parse_args()
    chance = random.Random(args.seed)
    renderer = Renderer()
    print(f"{'text':26}{'pages':>6}{'full':>6}  pages changed: edits")
    for name in TEXTS:
        text = (CORPORA / "texts" / name).read_text(encoding="utf-8")[:300_000]
        pages = list(renderer.paginate(text, name))
        known = {page.id for page in pages}
        full = sum(renderer.size(page)[1] for page in pages) / len(pages) / renderer.style.height
        words = text.split()[:3000]
        changed: Counter[int] = Counter()
        while changed.total() < args.edits:
            stop = "。" if "xiyouji" in name else ". "
            at = text.find(stop, chance.randrange(len(text)))
            if at < 0:
                continue
            if stop == "。":
                sentence = text[500 : 500 + chance.randint(8, 60)].replace("\n", "") + stop
            else:
                sentence = " ".join(chance.choice(words) for _ in range(chance.randint(5, 30))) + stop
            at += len(stop)
            edited = renderer.paginate(text[:at] + sentence + text[at:], name)
            changed[sum(page.id not in known for page in edited)] += 1
        print(f"{name:26}{len(pages):>6}{full:>6.2f}  {', '.join(f'{n}: {changed[n]}' for n in sorted(changed))}", flush=True)


if __name__ == "__main__":
    main()
