"""What reading costs a model: the same novel as text tokens and as page images, through the architecture of Glyph.

    python benchmarks/gpu_reading.py [--tokens 32768 65536 131072] [--dpi 72 96] [--decode 64]     # on a GPU, about 40 GB
    python benchmarks/gpu_reading.py --tiny --tokens 2048                                          # anywhere: does it run?

The weights are random: GLM-4.1V-9B as transformers builds it from its configuration, in bf16. So this says how long prefill and
decoding take and how much memory, and nothing about answers. Glyph's paper (arXiv 2510.17800) measured 4.8 times faster prefill
and 4.4 times faster decoding at 128K text tokens.

``pages/s`` is drawing and the image processor together, on the host. ``prefill`` is the time to the first token, with the
vision encoder; ``decode`` the tokens per second after it.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import transformers

from glyph_integrations import Renderer, count_text_tokens

CORPORA = Path(os.environ.get("GLYPH_CORPORA", Path(__file__).resolve().parents[2] / "shared" / "corpora"))
TINY_TEXT = {
    "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
    "head_dim": 16, "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [2, 3, 3]},
}  # fmt: skip
TINY_VISION = {"depth": 2, "hidden_size": 64, "num_heads": 4, "intermediate_size": 128, "out_hidden_size": 64}


def build(tiny: bool, device: str) -> Any:
    """GLM-4.1V with random weights."""
    config = transformers.Glm4vConfig(text_config=TINY_TEXT, vision_config=TINY_VISION) if tiny else transformers.Glm4vConfig()
    config.text_config.max_position_embeddings = 1 << 18
    torch.manual_seed(0)
    with torch.device(device):
        model = transformers.AutoModelForImageTextToText.from_config(config, dtype=torch.float32 if tiny else torch.bfloat16)
    return model.eval()


def as_text(model: Any, tokens: int) -> dict[str, Any]:
    """A prompt of so many text tokens, at random."""
    ids = torch.randint(1000, 100_000, (1, tokens), device=model.device)
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids), "mm_token_type_ids": torch.zeros_like(ids)}


def as_pages(model: Any, tokens: int, dpi: int, text: str) -> tuple[dict[str, Any], int, float]:
    """The prompt that shows the same stretch of text as pages; how many they are, and the seconds it took to make them."""
    length = int(len(text) / count_text_tokens(text).count * tokens)
    long = "\n\n".join([text] * (1 + length // len(text)))[:length]
    renderer = Renderer()
    began = time.perf_counter()
    pictures = [renderer.draw(page, dpi, "glyph").convert("RGB") for page in renderer.paginate(long)]
    made = transformers.Glm4vImageProcessor()(pictures, return_tensors="pt")
    seconds = time.perf_counter() - began
    config = model.config
    ids = []
    for grid in made["image_grid_thw"]:
        ids += [config.image_start_token_id, *[config.image_token_id] * (int(grid.prod()) // 4), config.image_end_token_id]
    ids += list(range(1000, 1064))  # a question
    row = torch.tensor([ids], device=model.device)
    prompt = {
        "input_ids": row, "attention_mask": torch.ones_like(row), "mm_token_type_ids": (row == config.image_token_id).long(),
        "pixel_values": made["pixel_values"].to(model.device, model.dtype),
        "image_grid_thw": made["image_grid_thw"].to(model.device),
    }  # fmt: skip
    return prompt, len(pictures), seconds


def clock(model: Any, prompt: dict[str, Any], new: int) -> float:
    """Seconds to generate so many tokens, none of them the last."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    began = time.perf_counter()
    with torch.inference_mode():
        model.generate(**prompt, max_new_tokens=new, min_new_tokens=new, do_sample=False, eos_token_id=None, pad_token_id=0)
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - began


def rows(model: Any, tokens: int, dpis: list[int], new: int, text: str) -> Iterator[tuple[str, int, str, float, float, float]]:
    """Name, prompt tokens, pages a second, prefill seconds, decoded tokens a second, peak memory in GB; text first."""
    for dpi in (0, *dpis):
        pace = ""
        if dpi:
            prompt, pages, seconds = as_pages(model, tokens, dpi, text)
            pace = f"{pages / seconds:.0f}"
        else:
            prompt = as_text(model, tokens)
        clock(model, as_text(model, 64), 2)  # kernels are loaded
        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()
        prefill = min(clock(model, prompt, 1) for _ in range(2))
        after = clock(model, prompt, new) - prefill
        decode = (new - 1) / after if after > 0 else float("nan")  # too short to tell
        memory = torch.cuda.max_memory_allocated() / 1e9 if torch.cuda.is_available() else 0.0
        yield f"pages, {dpi} dpi" if dpi else "text", prompt["input_ids"].shape[1], pace, prefill, decode, memory


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, nargs="+", default=[32_768, 65_536, 131_072])
    parser.add_argument("--dpi", type=int, nargs="+", default=[72, 96])
    parser.add_argument("--decode", type=int, default=64)
    parser.add_argument("--tiny", action="store_true", help="a model of a few thousand weights, on any machine")
    args = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cpu" and not args.tiny:
        raise SystemExit("no GPU here; --tiny runs anywhere")
    text = (CORPORA / "texts" / "pride_and_prejudice.txt").read_text(encoding="utf-8")
    model = build(args.tiny, device)
    weights = sum(parameter.numel() for parameter in model.parameters())
    print(f"{weights / 1e9:.2f} billion weights, {model.dtype}, {device}; of two runs the faster")
    print(
        f"{'':16}{'prompt tokens':>14}{'pages/s':>9}{'prefill s':>11}{'decode/s':>10}{'peak GB':>9}{'prefill':>9}{'decode':>8}"
    )
    for tokens in args.tokens:
        base: tuple[float, float] | None = None
        for name, length, pace, prefill, decode, memory in rows(model, tokens, args.dpi, args.decode, text):
            base = base or (prefill, decode)
            ratios = f"{base[0] / prefill:>8.1f}x{decode / base[1]:>7.1f}x"
            print(f"{name:16}{length:>14,}{pace:>9}{prefill:>11.3f}{decode:>10.1f}{memory:>9.1f}{ratios}", flush=True)


if __name__ == "__main__":
    main()
