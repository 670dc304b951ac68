"""Visual tokens: how exact they are, against the real processors of transformers, and what a full page costs each family.

    python benchmarks/tokens.py [--sizes 500]      # needs transformers, torch, torchvision and num2words; no weights

The first table counts random sizes by our formula and by the processor's own code, every token that the picture adds to a
prompt included, and compares a few whole prompts with real pictures. Rules of hosted models are only published, and cannot be
verified here.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from PIL import Image
from vision_processors import PICTURE, family_sizes, real_count, real_processor

from glyph_integrations.errors import PictureSizeError
from glyph_integrations.vision import VisionProfile

PAGES = {72: (588, 840), 96: (784, 1120), 120: (980, 1400)}
PROMPTS = [*PAGES.values(), (301, 77), (448, 448)]


def count(profile: VisionProfile, width: int, height: int) -> int | None:
    try:
        return profile.count(width, height)
    except PictureSizeError:
        return None


def exactness(family: str, tried: int) -> tuple[str, ...]:
    """Sizes that differ, sizes that both refuse, and whole prompts that differ."""
    profile, processor = VisionProfile.get(family), real_processor(family)
    different = refused = 0
    for size in family_sizes(family, tried):
        real = real_count(family, processor, *size)
        different += real != count(profile, *size)
        refused += real is None
    prompts = 0
    alone = len(processor.tokenizer("before after")["input_ids"])
    for size in PROMPTS:
        text = f"before{PICTURE[family]} after"
        prompt = processor(images=[Image.new("RGB", size)], text=[text], return_tensors="pt")["input_ids"]
        prompts += prompt.shape[1] - alone != profile.count(*size)
    return family, type(processor).__name__, str(tried), str(different), str(refused), f"{prompts} of {len(PROMPTS)}"


def cost(profile: VisionProfile) -> tuple[str, ...]:
    """Tokens of a full page at each resolution: of its own size, and padded to the profile's grid as `Renderer` pads it."""
    own = [f"{profile.count(*page):,}" for page in PAGES.values()]
    grid = profile.grid
    padded = [(-(-width // grid) * grid, -(-height // grid) * grid) for width, height in PAGES.values()]
    as_drawn = [f"{profile.count(*page):,} ({page[0]}x{page[1]})" for page in padded]
    rule = "own processor" if profile.verified else "published, not verified"
    return profile.name, *own, *as_drawn, "native" if profile.native else "", rule


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    for row in (head, tuple("-" * width for width in widths), *rows):
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    print()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, default=500, help="random sizes per family")
    tried = parser.parse_args().sizes
    table(
        ("family", "processor", "sizes", "different", "refused by both", "prompts that differ"),
        [exactness(family, tried) for family in PICTURE],
    )
    sizes = [f"{dpi} dpi {width}x{height}" for dpi, (width, height) in PAGES.items()]
    head = ("family", *sizes, *(f"{dpi} dpi padded" for dpi in PAGES), "", "rule")
    table(head, [cost(profile) for profile in VisionProfile.known()])


if __name__ == "__main__":
    main()
