"""Hosted models whose vendors publish how they count pictures. The rules are theirs, and are not verified here."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from ..errors import PictureSizeError
from .counting import check_area
from .profile import VisionProfile
from .tiling import SameForAll

CLAUDE = "https://platform.claude.com/docs/en/build-with-claude/vision#resolution-and-token-cost"
OPENAI = "https://developers.openai.com/api/docs/guides/images-vision#calculating-costs"
GEMINI = "https://ai.google.dev/gemini-api/docs/image-understanding#token-calculation"
GEMINI_3 = "https://ai.google.dev/gemini-api/docs/media-resolution#token-counts"


@dataclass(frozen=True)
class ClaudePatches:
    """One token per patch of 28 x 28 pixels; larger pictures are first shrunk to the largest size of the same shape that
    keeps within both limits.

    The rule is at `CLAUDE`, in full under "How Claude resizes and pads images" of the page on coordinates beside it. What
    frames a picture in the prompt is not published; others have measured 3 or 4 tokens more per picture.

    Attributes:
        longest_edge: most pixels of a side, padded to whole patches.
        most: tokens per picture.
        grid: pixels per token and side.
    """

    longest_edge: int
    most: int
    grid: int = 28

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Width and height after shrinking, in pixels."""
        check_area(width, height)
        if self._fits(width, height):
            return width, height
        longer, shape = max(width, height), max(width, height) / min(width, height)
        fits, too_long = 1, longer
        while fits + 1 < too_long:
            middle = (fits + too_long) // 2
            if self._fits(middle, max(round(middle / shape), 1)):
                fits = middle
            else:
                too_long = middle
        shorter = max(round(fits / shape), 1)
        return (fits, shorter) if width >= height else (shorter, fits)

    def count(self, width: int, height: int) -> int:
        """Prompt tokens for a picture of this size."""
        return self._patches(*self.size(width, height))

    def _patches(self, width: int, height: int) -> int:
        return math.ceil(width / self.grid) * math.ceil(height / self.grid)

    def _fits(self, width: int, height: int) -> bool:
        edge = math.ceil(max(width, height) / self.grid) * self.grid
        return edge <= self.longest_edge and self._patches(width, height) <= self.most


@dataclass(frozen=True)
class OpenAIPatches:
    """Patches of 32 x 32 pixels times a multiplier, rounded up; larger pictures are first shrunk to both limits.

    The rule is at `OPENAI` under "Patch-based image tokenization", for ``detail: auto``, which is what a request without
    ``detail`` gets. The vendor says that a bill can differ by one token.

    Attributes:
        longest_edge: most pixels of a side.
        most: patches per picture; None: nothing is shrunk to a number of them, and a picture of over 30,000 is refused.
        multiplier: tokens per patch.
        grid: pixels per patch and side.
    """

    longest_edge: int
    most: int | None
    multiplier: float
    grid: int = 32

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Width and height after shrinking, in pixels."""
        check_area(width, height)
        scale = min(1.0, self.longest_edge / max(width, height))
        width, height = max(1, round(width * scale)), max(1, round(height * scale))
        patches = self._patches(width, height)
        if self.most is None and patches > 30_000:
            raise PictureSizeError(f"a picture of {width} x {height} pixels has {patches:,} patches, of 30,000 at most; cut it")
        if self.most is None or patches <= self.most:
            return width, height
        shrink = math.sqrt(self.grid**2 * self.most / (width * height))
        columns, rows = width * shrink / self.grid, height * shrink / self.grid
        shrink *= min(math.floor(columns) / columns, math.floor(rows) / rows)
        return max(1, math.floor(width * shrink)), max(1, math.floor(height * shrink))

    def count(self, width: int, height: int) -> int:
        """Prompt tokens for a picture of this size."""
        tokens = self._patches(*self.size(width, height)) * self.multiplier
        return math.ceil(round(tokens, 6))  # 1.62 x 100 is 162, not a hair more

    def _patches(self, width: int, height: int) -> int:
        return math.ceil(width / self.grid) * math.ceil(height / self.grid)


@dataclass(frozen=True)
class OpenAITiles:
    """A picture is shrunk into 2,048 x 2,048 pixels, then to a shorter side of 768; it costs ``base`` tokens and ``tile`` more
    per square of 512 x 512 pixels that it touches.

    The rule is at `OPENAI` under "Tile-based image tokenization", for ``detail: auto`` or ``high``.

    Attributes:
        base: tokens per picture.
        tile: tokens per square.
        grid: pages are padded to multiples of this many pixels.
    """

    base: int
    tile: int
    grid: int = 16

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Width and height after shrinking, in pixels."""
        check_area(width, height)
        scale = min(1.0, 2048 / max(width, height))
        width, height = max(1, round(width * scale)), max(1, round(height * scale))
        shorter = min(width, height)
        return (width, height) if shorter <= 768 else (width * 768 // shorter, height * 768 // shorter)

    def count(self, width: int, height: int) -> int:
        """Prompt tokens for a picture of this size."""
        width, height = self.size(width, height)
        return self.base + self.tile * math.ceil(width / 512) * math.ceil(height / 512)


@dataclass(frozen=True)
class GeminiTiles:
    """258 tokens for a picture of at most 384 x 384 pixels; else as many per square of 2/3 of the shorter side.

    The rule is at `GEMINI`, and calls itself rough.

    Attributes:
        grid: pages are padded to multiples of this many pixels.
    """

    grid: int = 16

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Width and height of all tiles together, each of 768 x 768 pixels; a small picture stays as it is."""
        columns, rows = self._tiles(width, height)
        return (768 * columns, 768 * rows) if columns else (width, height)

    def count(self, width: int, height: int) -> int:
        """Prompt tokens for a picture of this size."""
        columns, rows = self._tiles(width, height)
        return 258 * max(1, columns * rows)

    def _tiles(self, width: int, height: int) -> tuple[int, int]:
        check_area(width, height)
        if max(width, height) <= 384:
            return 0, 0
        side = max(1, math.floor(min(width, height) / 1.5))
        return math.ceil(width / side), math.ceil(height / side)


def _claude(name: str, counting: ClaudePatches, pattern: str, context_window: int, max_images: int) -> VisionProfile:
    return VisionProfile(
        name, counting, native=False, context_window=context_window, max_images=max_images, source=CLAUDE,
        pattern=rf"(?:[a-z]+\.)*{pattern}",  # of a cloud: us.anthropic.claude-...
    )  # fmt: skip


def _openai(name: str, counting: OpenAIPatches | OpenAITiles, context_window: int, pattern: str = "") -> VisionProfile:
    return VisionProfile(
        name, counting, native=False, context_window=context_window, max_images=1500, source=OPENAI,
        pattern=rf"(?:{pattern or re.escape(name)})(?:-20\d\d-\d\d-\d\d|-latest)?(?::.*)?$",  # other variants count otherwise
    )  # fmt: skip


def _gemini(name: str, counting: GeminiTiles | SameForAll, source: str, pattern: str) -> VisionProfile:
    return VisionProfile(
        name, counting, native=False, context_window=1_048_576, max_images=3600, source=source,
        pattern=rf"{pattern}(?!.*(?:image|tts|live|audio))",  # these are other models
    )  # fmt: skip


# Context windows and most images are the vendors' too.
HOSTED: tuple[VisionProfile, ...] = (
    _claude("claude", ClaudePatches(2576, 4784), r"claude-[a-z]+-(?:4[-.][7-9]|[5-9])(?!\d)", 1_000_000, 600),
    _claude("claude-standard", ClaudePatches(1568, 1568), r"claude-(?:3|(?:opus|sonnet|haiku)-4)", 200_000, 100),
    _openai("gpt-4o", OpenAITiles(85, 170), 128_000, r"(?:chat)?gpt-4o"),
    _openai("gpt-4o-mini", OpenAITiles(2833, 5667), 128_000),
    _openai("gpt-4.1", OpenAITiles(85, 170), 1_047_576),
    _openai("gpt-4.1-mini", OpenAIPatches(2048, 6144, 1.62), 1_047_576),
    _openai("gpt-5.1", OpenAITiles(70, 140), 400_000, r"gpt-5(?:\.1)?"),
    _openai("gpt-5.2", OpenAIPatches(2048, 6144, 1.2), 400_000),
    _openai("gpt-5.4", OpenAIPatches(2048, 2500, 1.2), 1_050_000),
    _openai("gpt-5.4-mini", OpenAIPatches(2048, 2500, 1.2), 400_000, r"gpt-5\.4-(?:mini|nano)"),
    _openai("gpt-5.5", OpenAIPatches(6000, 10_000, 1.2), 1_050_000),
    _openai("gpt-5.6", OpenAIPatches(65_535, None, 1.2), 1_050_000, r"gpt-5\.6(?:-sol|-terra|-luna)?"),
    # Due for shutdown, and gone from the page's table of limits: these limits are from an earlier state of it.
    _openai("gpt-4.1-nano", OpenAIPatches(2048, 1536, 2.46), 1_047_576),
    _openai("gpt-5-mini", OpenAIPatches(2048, 1536, 1.2), 400_000),
    _openai("gpt-5-nano", OpenAIPatches(2048, 1536, 1.5), 400_000),
    _openai("o3", OpenAITiles(75, 150), 200_000, r"o[13](?:-pro)?"),
    _openai("o4-mini", OpenAIPatches(2048, 1536, 1.72), 200_000),
    _gemini("gemini-2.5", GeminiTiles(), GEMINI, r"gemini-2\.[05]-"),
    _gemini("gemini-3", SameForAll(1120, grid=16), GEMINI_3, r"gemini-3(?:\.\d+)?-"),  # at the default resolution, at most
)
"""One profile per rule and context window, in the order that tables print them."""
