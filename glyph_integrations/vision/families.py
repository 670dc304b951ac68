"""The known model families. Limits are the published checkpoints' own; formulas are tested against transformers' processors."""

from __future__ import annotations

from .counting import LongestEdge, SmartResize
from .profile import VisionProfile

# Glm4vImageProcessor's own limits: at most 7,500 cells of 28 x 28 pixels.
_GLM_4_1V = SmartResize(grid=28, min_pixels=112 * 112, max_pixels=28 * 28 * 15_000, frames=2)
# The published preprocessor_config of the later ones, read by Glm46VImageProcessor: at most 6,144 cells.
_GLM_4_6V = SmartResize(grid=28, min_pixels=112 * 112, max_pixels=28 * 28 * 2 * 6_144, frames=2)
# Qwen2VLImageProcessor with the published limits: 16,384 cells (the class alone would stop at 1,280).
_QWEN2 = SmartResize(grid=28, min_pixels=56 * 56, max_pixels=28 * 28 * 16_384)
# Qwen2VLImageProcessor(patch_size=16) with the published limits.
_QWEN3 = SmartResize(grid=32, min_pixels=256 * 256, max_pixels=4096 * 4096)
# PixtralProcessor(patch_size=16) with PixtralImageProcessor's own limit.
_PIXTRAL = LongestEdge(grid=16, longest_edge=1024)

_K = 1024
FAMILIES: tuple[VisionProfile, ...] = (
    VisionProfile("glyph", _GLM_4_1V, native=True, style="glyph-72", context_window=128 * _K, pattern=r"glyph(?![a-z])"),
    VisionProfile("glm-4.1v", _GLM_4_1V, native=True, context_window=64 * _K, pattern=r"glm-?4[._]1v"),
    VisionProfile("glm-4.5v", _GLM_4_6V, native=True, context_window=64 * _K, pattern=r"glm-?4[._]5v"),
    VisionProfile("glm-4.6v", _GLM_4_6V, native=True, context_window=128 * _K, pattern=r"glm-?4[._]6v"),
    VisionProfile("qwen2-vl", _QWEN2, native=True, context_window=32 * _K, pattern=r"qwen-?2[-_]?vl"),
    VisionProfile("qwen2.5-vl", _QWEN2, native=True, context_window=128_000, pattern=r"qwen-?2[._p]5[-_]?vl"),
    VisionProfile("qwen3-vl", _QWEN3, native=True, context_window=256 * _K, pattern=r"qwen-?3[-_]?vl"),
    VisionProfile("pixtral", _PIXTRAL, native=False, context_window=128 * _K, pattern=r"pixtral"),
)
"""One profile per family, in the order that tables print them."""
