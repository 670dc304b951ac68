"""How fast pages are embedded by sight, and where the time goes: three architectures with random weights.

    python benchmarks/visual_embedding.py                            # on a GPU: published sizes, bf16, about 20 GB
    python benchmarks/visual_embedding.py --tiny --pages 16          # anywhere: models of a few hundred thousand weights
    python benchmarks/visual_embedding.py --tiny --pretend 20        # what this host can feed to a model of 20 ms a page
    python benchmarks/visual_embedding.py --pdf book.pdf             # pages of a file in place of pages of text

The weights are random: this says how long things take, and nothing about finding. Pictures are as large as the published models
take them. ``outside`` is the share of the wall time in which the model was not running. The columns after it are milliseconds a
page of each kind of work by itself: drawing the page, the model's processor, the model, taking inputs to the device and vectors
from it, and pooling. Drawing, processing and pooling go on while the model runs, in threads, so the columns add up to more than
a page takes. With ``--pretend`` the model only waits, as a host does for an accelerator, and its vectors are random.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

os.environ.setdefault("HF_HUB_OFFLINE", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

import torch
import visual_checkpoints

from glyph_integrations import Page, Renderer, VisualEmbedder, open_document
from glyph_integrations.embedding import visual

_VOCABULARY = 151_936
SIZES: dict[str, dict[str, dict[str, Any]]] = {  # as published: ModernVBERT (250M), Qwen2-VL-2B and Qwen3-VL-2B
    "colmodernvbert": {
        "text": {
            "hidden_size": 768, "intermediate_size": 1152, "num_hidden_layers": 22, "num_attention_heads": 12,
            "global_attn_every_n_layers": 3, "vocab_size": 50_368,
        },
        "vision": {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12},
    },
    "colqwen2": {
        "text": {
            "hidden_size": 1536, "intermediate_size": 8960, "num_hidden_layers": 28, "num_attention_heads": 12,
            "num_key_value_heads": 2, "vocab_size": _VOCABULARY,
            "rope_parameters": {"rope_type": "default", "rope_theta": 1_000_000.0, "mrope_section": [16, 24, 24]},
        },
        "vision": {"depth": 32, "embed_dim": 1280, "num_heads": 16, "mlp_ratio": 4, "hidden_size": 1536},
    },
    visual_checkpoints.SINGLE: {
        "text": {
            "hidden_size": 2048, "intermediate_size": 6144, "num_hidden_layers": 28, "num_attention_heads": 16,
            "num_key_value_heads": 8, "head_dim": 128, "vocab_size": _VOCABULARY,
            "rope_parameters": {
                "rope_type": "default", "rope_theta": 5_000_000.0, "mrope_section": [24, 20, 20], "mrope_interleaved": True,
            },
        },
        "vision": {
            "depth": 24, "hidden_size": 1024, "num_heads": 16, "intermediate_size": 4096, "out_hidden_size": 2048,
            "deepstack_visual_indexes": [5, 11, 17],
        },
    },
}  # fmt: skip


class Clock:
    """Seconds by kind of work, counted in whatever thread does it."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._lock = threading.Lock()

    @contextmanager
    def __call__(self, kind: str) -> Iterator[None]:
        began = time.perf_counter()
        try:
            yield
        finally:
            with self._lock:
                self.seconds[kind] = self.seconds.get(kind, 0.0) + time.perf_counter() - began

    def timed(self, kind: str, work: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any, **named: Any) -> Any:
            with self(kind):
                return work(*arguments, **named)

        return run


def pretended(model: Any, milliseconds: float) -> None:
    """Make a model wait so long a page, and answer at random."""

    def forward(*arguments: Any, **named: Any) -> Any:
        inputs = arguments[0] if arguments else named
        pages, tokens = inputs["input_ids"].shape
        time.sleep(pages * milliseconds / 1000)
        vectors = torch.nn.functional.normalize(torch.randn(pages, tokens, 128), dim=-1)
        if arguments:  # of sentence-transformers
            return {**inputs, "token_embeddings": vectors, "sentence_embedding": vectors[:, 0]}
        return SimpleNamespace(embeddings=vectors)

    model.forward = forward


def timed_model(clock: Clock, model: Any) -> None:
    """Count a model's own time, from when its inputs are there to when its result is."""
    forward = model.forward

    def run(*arguments: Any, **named: Any) -> Any:
        synchronize()
        with clock("model"):
            made = forward(*arguments, **named)
            synchronize()
        return made

    model.forward = run


def synchronize() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def pages_of(count: int, pdf: Path | None) -> list[Page]:
    renderer = Renderer()
    if pdf is not None:
        return list(renderer.paginate(open_document(pdf)))[:count]
    draw = np.random.default_rng(0)
    words = ["".join(draw.choice([*"aeiountrslmdhg"], draw.integers(2, 10))) for _ in range(5000)]
    found: list[Page] = []
    while len(found) < count:
        text = " ".join(draw.choice(words, 20_000))
        found += renderer.paginate(text, f"{len(found)}.txt")
    return found[:count]


def measured(embedder: VisualEmbedder, pages: list[Page]) -> tuple[float, dict[str, float], int]:
    """Wall seconds, seconds by kind of work, and vectors of the first page."""
    clock = Clock()
    encoder = embedder._encoder
    inner = encoder.prepare, encoder.run, encoder.model.forward
    outer = visual.see_page, visual.pool_vectors
    encoder.prepare, encoder.run = clock.timed("processor", encoder.prepare), clock.timed("run", encoder.run)  # type: ignore[method-assign]
    visual.see_page, visual.pool_vectors = clock.timed("drawing", visual.see_page), clock.timed("pooling", visual.pool_vectors)
    timed_model(clock, encoder.model)
    try:
        began = time.perf_counter()
        found = embedder.embed_pages(pages)
        wall = time.perf_counter() - began
    finally:
        encoder.prepare, encoder.run, encoder.model.forward = inner  # type: ignore[method-assign]
        visual.see_page, visual.pool_vectors = outer
    clock.seconds["transfer"] = clock.seconds.pop("run") - clock.seconds["model"]
    return wall, clock.seconds, len(found[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tiny", action="store_true", help="models of a few hundred thousand weights")
    parser.add_argument("--pretend", type=float, metavar="MS", help="a model that takes so long a page, and no work")
    parser.add_argument("--models", nargs="*", default=list(SIZES), choices=list(SIZES))
    parser.add_argument("--pages", type=int, default=256)
    parser.add_argument("--pdf", type=Path, help="pages of this file")
    parser.add_argument("--pool", nargs="*", type=float, default=[1, 3])
    parser.add_argument("--batch-pixels", type=int, default=8_000_000)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args()
    pages = pages_of(options.pages, options.pdf)
    kinds = ("drawing", "processor", "model", "transfer", "pooling")
    print(
        f"{len(pages)} pages, {options.device}, {os.cpu_count()} cores, {options.batch_pixels / 1e6:g} million pixels a batch"
    )
    print(
        "| model | weights | pool | vectors a page | pages/s | outside | " + " | ".join(f"{kind} ms" for kind in kinds) + " |"
    )
    print("|---" * (6 + len(kinds)) + "|")
    with tempfile.TemporaryDirectory() as folder:
        for family in options.models:
            path = checkpoint(family, Path(folder), options.tiny, options.device)
            for pool in options.pool:
                embedder = VisualEmbedder(path, device=options.device, pool=pool, batch_pixels=options.batch_pixels)
                if options.pretend is not None:
                    pretended(embedder._encoder.model, options.pretend)
                embedder.embed_pages(pages[:8])  # warm
                wall, seconds, vectors = measured(embedder, pages)
                weights = sum(p.numel() for p in embedder._encoder.model.parameters()) / 1e6
                outside = 1 - seconds["model"] / wall
                each = " | ".join(f"{1000 * seconds.get(kind, 0) / len(pages):.1f}" for kind in kinds)
                print(
                    f"| {family} | {weights:,.1f}M | {pool:g} | {vectors} | {len(pages) / wall:.2f} | {outside:.1%} | {each} |",
                    flush=True,
                )
                del embedder


def checkpoint(family: str, folder: Path, tiny: bool, device: str) -> Path:
    """A checkpoint with random weights, as many as published unless tiny."""
    if tiny:
        return visual_checkpoints.build(family, folder, small=False)
    torch.set_default_dtype(torch.bfloat16)
    try:
        with torch.device(device):
            return visual_checkpoints.build(family, folder, small=False, sizes=SIZES[family])
    finally:
        torch.set_default_dtype(torch.float32)


if __name__ == "__main__":
    main()
