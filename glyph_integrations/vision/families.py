"""The known model families. Limits are the published checkpoints' own; formulas are tested against transformers' processors.
Hosted models, whose rules are only published, are in `hosted`."""

from __future__ import annotations

from . import chat
from .counting import LongestEdge, SmartResize
from .hosted import HOSTED
from .profile import VisionProfile
from .tiling import ClosestTiling, RowsOfTiles, SameForAll

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
# GotOcr2ImageProcessor with crop_to_patches, as InternVLProcessor sets it: 256 tokens a tile.
_INTERNVL = ClosestTiling(tile=448, patch=28, fewest=1, most=12, overview=448)
# DeepseekOcr2ImageProcessor: 144 tokens a tile, 256 for the overview, and one after them all.
_DEEPSEEK_OCR_2 = ClosestTiling(tile=768, patch=64, fewest=2, most=6, overview=1024, uncut=768, enclosing=1)
# DeepseekOCRProcessor of vLLM in its one mode ("Gundam"): 100 tokens a tile, 256 for the overview, and the ends of rows.
_DEEPSEEK_OCR = ClosestTiling(tile=640, patch=64, fewest=2, most=6, overview=1024, uncut=640, enclosing=1, row_ends=True)
# Gemma3Processor without pan and scan: begin, 256, end, and a blank line before and after, each one token of its tokenizer (one
# that meets newlines of the prompt melts into them).
_GEMMA_3 = SameForAll(tokens=260, side=896, grid=56)
# SmolVLMProcessor with the limits of the 256M and 500M models. The 2.2B ones have other limits, and spell out their marks.
_SMOLVLM = RowsOfTiles(tile=512, tokens=64, longest_edge=2048)

_K = 1024
FAMILIES: tuple[VisionProfile, ...] = (
    VisionProfile(
        "glyph", _GLM_4_1V, native=True, style="glyph-72", context_window=128 * _K, chat=chat.GLM, pattern=r"glyph(?![a-z])"
    ),
    VisionProfile(
        "glm-4.1v", _GLM_4_1V, native=True, context_window=64 * _K, chat=chat.GLM, processor="Glm4vProcessor",
        pattern=r"glm-?4[._]1v",
    ),
    VisionProfile("glm-4.5v", _GLM_4_6V, native=True, context_window=64 * _K, chat=chat.GLM, pattern=r"glm-?4[._]5v"),
    VisionProfile(
        "glm-4.6v", _GLM_4_6V, native=True, context_window=128 * _K, chat=chat.GLM, processor="Glm46VProcessor",
        pattern=r"glm-?4[._]6v",
    ),
    VisionProfile(
        "qwen2-vl", _QWEN2, native=True, context_window=32 * _K, chat=chat.QWEN, processor="Qwen2VLProcessor",
        pattern=r"qwen-?2[-_]?vl",
    ),
    VisionProfile(
        "qwen2.5-vl", _QWEN2, native=True, context_window=128_000, chat=chat.QWEN, processor="Qwen2_5_VLProcessor",
        pattern=r"qwen-?2[._p]5[-_]?vl",
    ),
    VisionProfile(
        "qwen3-vl", _QWEN3, native=True, context_window=256 * _K, chat=chat.QWEN, processor="Qwen3VLProcessor",
        pattern=r"qwen-?3[-_]?vl",
    ),
    VisionProfile(
        "pixtral", _PIXTRAL, native=False, context_window=128 * _K, chat=chat.PIXTRAL, processor="PixtralProcessor",
        pattern=r"pixtral",
    ),
    VisionProfile(
        "internvl3", _INTERNVL, native=False, context_window=32 * _K, chat=chat.INTERNVL, processor="InternVLProcessor",
        pattern=r"internvl-?3(?!.*flash)",
    ),
    VisionProfile(
        "gemma-3", _GEMMA_3, native=False, context_window=128 * _K, chat=chat.GEMMA, processor="Gemma3Processor",
        pattern=r"gemma-?3(?!n|.*[-:](?:1b|270m))",
    ),
    VisionProfile(
        "smolvlm", _SMOLVLM, native=False, context_window=8 * _K, chat=chat.SMOLVLM, processor="SmolVLMProcessor",
        pattern=r"smolvlm2?-(?:256m|500m)",
    ),
    VisionProfile(
        "deepseek-ocr-2", _DEEPSEEK_OCR_2, native=False, context_window=8 * _K, max_images=1, chat=chat.DEEPSEEK_OCR,
        processor="DeepseekOcr2Processor", pattern=r"deepseek-ocr-?2",
    ),
    VisionProfile(
        "deepseek-ocr", _DEEPSEEK_OCR, native=False, context_window=8 * _K, max_images=1, chat=chat.DEEPSEEK_OCR,
        source="https://github.com/vllm-project/vllm/blob/main/vllm/model_executor/models/deepseek_ocr.py",
        pattern=r"deepseek-ocr(?!-?2)",
    ),
    *HOSTED,
)  # fmt: skip
"""One profile per family, in the order that tables print them."""
