"""Visual tokens: how exact they are, against the real processors of transformers, and what a full page costs each family.

    python benchmarks/tokens.py [--sizes 500] [--text NOVEL] [--only-gate]

The first table needs transformers, torch, torchvision and num2words, but no weights; ``--only-gate`` prints the last one alone.

The first table counts random sizes by our formula and by the processor's own code, every token that the picture adds to a
prompt included, and compares a few whole prompts with real pictures. Rules of hosted models are only published, and cannot be
verified here. The last table is of a full page of real text (default: of a novel of the shared corpora): what it costs each
family at each resolution, the text tokens it replaces, what the gate makes of it, and how `ContextBuilder` sends the best page
and the others when there is room.
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

from glyph_integrations.errors import PictureSizeError
from glyph_integrations.page import Page
from glyph_integrations.reading import Candidate, ContextBuilder, Gate, Placement
from glyph_integrations.rendering import Renderer
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
    from vision_processors import PICTURE, family_sizes, real_count, real_processor

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


def full_pages(text: str, count: int) -> list[Page]:
    """The fullest pages of a text: those that replace most."""
    pages = list(Renderer().paginate(text, source="text"))
    return sorted(pages, key=lambda page: -len(page.text))[:count]


def decided(placement: Placement) -> str:
    return f"{placement.dpi} dpi" if placement.sent_as == "image" else placement.sent_as


def decision(profile: VisionProfile, pages: list[Page]) -> tuple[str, ...]:
    """Of a full page: tokens as an image, with its label, at each resolution and how many text tokens stand for one of them;
    what the gate decides there; and the tiers of a prompt with room."""
    cells = []
    text = 0
    for dpi in PAGES:
        (placement,) = Gate(profile, dpi=dpi).place([Candidate(pages[0])])
        assert placement.image_tokens is not None
        text = placement.text_tokens
        cells.append(f"{placement.image_tokens:,} ({text / placement.image_tokens:.1f}x) {placement.sent_as}")
    _, report = ContextBuilder(profile).build("Who?", pages)
    return profile.name, f"{text:,}", *cells, *map(decided, report.placements[:2])


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    for row in (head, tuple("-" * width for width in widths), *rows):
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    print()


def main() -> None:
    here = Path(__file__).resolve().parents[2] / "shared" / "corpora"
    novel = Path(os.environ.get("GLYPH_CORPORA", here)) / "texts" / "pride_and_prejudice.txt"
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, default=500, help="random sizes per family")
    parser.add_argument("--text", type=Path, default=novel, help="text of the full page")
    parser.add_argument("--only-gate", action="store_true", help="the last table alone")
    options = parser.parse_args()
    if not options.only_gate:
        from vision_processors import PICTURE

        table(
            ("family", "processor", "sizes", "different", "refused by both", "prompts that differ"),
            [exactness(family, options.sizes) for family in PICTURE],
        )
        sizes = [f"{dpi} dpi {width}x{height}" for dpi, (width, height) in PAGES.items()]
        head = ("family", *sizes, *(f"{dpi} dpi padded" for dpi in PAGES), "", "rule")
        table(head, [cost(profile) for profile in VisionProfile.known()])
    if not options.text.is_file():
        parser.error(f"{options.text} is not here; name a text file with --text")
    pages = full_pages(options.text.read_text(encoding="utf-8"), 3)
    print(f"A page of {len(pages[0].text):,} characters of {options.text.name}; text tokens are estimated")
    head = ("family", "as text", *(f"{dpi} dpi" for dpi in PAGES), "best page", "others")
    table(head, [decision(profile, pages) for profile in VisionProfile.known()])


if __name__ == "__main__":
    main()
