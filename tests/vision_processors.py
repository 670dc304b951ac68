"""The real processors of transformers, built from settings without weights, and what a picture costs by their own code."""

from __future__ import annotations

import random
from typing import Any

# How each family's chat template writes a picture.
GLM, QWEN = "<|begin_of_image|><|image|><|end_of_image|>", "<|vision_start|><|image_pad|><|vision_end|>"
PICTURE = {
    "glyph": GLM, "glm-4.1v": GLM, "glm-4.5v": GLM, "glm-4.6v": GLM, "qwen2-vl": QWEN, "qwen2.5-vl": QWEN, "qwen3-vl": QWEN,
    "pixtral": "[IMG]", "internvl3": "<IMG_CONTEXT>", "gemma-3": "<start_of_image>", "smolvlm": "<image>",
    "deepseek-ocr-2": "<image>",
}  # fmt: skip
SPECIAL_TOKENS = [
    "<|endoftext|>", "<|begin_of_image|>", "<|end_of_image|>", "<|image|>", "<|video|>", "<|begin_of_video|>",
    "<|end_of_video|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>", "[IMG]", "[IMG_BREAK]",
    "[IMG_END]", "<img>", "</img>", "<IMG_CONTEXT>", "<video>", "<start_of_image>", "<end_of_image>", "<image_soft_token>",
    "<image>", "<fake_token_around_image>", "<global-img>", "<end_of_utterance>",
    *(f"<row_{row}_col_{column}>" for row in range(1, 7) for column in range(1, 7)),
]  # fmt: skip
NAMED = {
    "internvl3": {
        "start_image_token": "<img>", "end_image_token": "</img>", "context_image_token": "<IMG_CONTEXT>",
        "video_token": "<video>",
    },
    "gemma-3": {"image_token": "<image_soft_token>", "boi_token": "<start_of_image>", "eoi_token": "<end_of_image>"},
}  # fmt: skip


def real_tokenizer(family: str) -> Any:
    """A byte-level tokenizer with the special tokens, and with one token for two newlines, as published ones have."""
    import tokenizers
    from transformers import PreTrainedTokenizerFast

    model = tokenizers.Tokenizer(tokenizers.models.BPE())
    model.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    alphabet = tokenizers.pre_tokenizers.ByteLevel.alphabet()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=257 + len(SPECIAL_TOKENS), special_tokens=SPECIAL_TOKENS, initial_alphabet=alphabet, show_progress=False
    )
    model.train_from_iterator(["\n\n"], trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=model, pad_token="<|endoftext|>", extra_special_tokens=NAMED.get(family, {})
    )


def real_processor(family: str) -> Any:
    """The processor that the family's published checkpoints load, with the limits of their preprocessor_config."""
    import transformers as t

    tokenizer = real_tokenizer(family)
    glm = {"shortest_edge": 12_544, "longest_edge": 9_633_792}
    qwen2 = {"shortest_edge": 3_136, "longest_edge": 12_845_056}
    qwen3 = {"shortest_edge": 65_536, "longest_edge": 16_777_216}
    smolvlm = {"size": {"longest_edge": 2048}, "max_image_size": {"longest_edge": 512}}
    match family:
        case "glyph" | "glm-4.1v":
            return t.Glm4vProcessor(t.Glm4vImageProcessor(), tokenizer, t.Glm4vVideoProcessor())
        case "glm-4.5v":
            return t.Glm4vProcessor(t.Glm4vImageProcessor(size=glm), tokenizer, t.Glm4vVideoProcessor())
        case "glm-4.6v":
            return t.Glm46VProcessor(t.Glm46VImageProcessor(size=glm), tokenizer, t.Glm46VVideoProcessor())
        case "qwen2-vl":
            return t.Qwen2VLProcessor(t.Qwen2VLImageProcessor(size=qwen2), tokenizer, t.Qwen2VLVideoProcessor())
        case "qwen2.5-vl":
            return t.Qwen2_5_VLProcessor(t.Qwen2VLImageProcessor(size=qwen2), tokenizer, t.Qwen2VLVideoProcessor())
        case "qwen3-vl":
            images = t.Qwen2VLImageProcessor(size=qwen3, patch_size=16)
            return t.Qwen3VLProcessor(images, tokenizer, t.Qwen3VLVideoProcessor())
        case "pixtral":
            return t.PixtralProcessor(t.PixtralImageProcessor(), tokenizer, patch_size=16, spatial_merge_size=1)
        case "internvl3":
            images = t.GotOcr2ImageProcessor(size={"height": 448, "width": 448}, crop_to_patches=True)
            return t.InternVLProcessor(images, tokenizer, t.InternVLVideoProcessor(), image_seq_length=256)
        case "gemma-3":
            images = t.Gemma3ImageProcessor(size={"height": 896, "width": 896})
            return t.Gemma3Processor(images, tokenizer, image_seq_length=256)
        case "smolvlm":
            videos = t.SmolVLMVideoProcessor()
            return t.SmolVLMProcessor(t.SmolVLMImageProcessor(**smolvlm), tokenizer, videos, image_seq_len=64)
        case "deepseek-ocr-2":
            return t.DeepseekOcr2Processor(t.DeepseekOcr2ImageProcessor(), tokenizer)
    raise AssertionError(f"no processor is known for {family}")


def random_sizes(count: int, shortest: int, longest: int, seed: int) -> list[tuple[int, int]]:
    """Widths and heights spread over all magnitudes, and page-like ones with sides half-way between grid lines."""
    draw = random.Random(seed)

    def spread() -> int:
        return round(shortest * (longest / shortest) ** draw.random())

    def half() -> int:
        return draw.randrange(1, 120) * draw.choice((7, 8, 14, 16))

    return [(side(), side()) for side in [spread] * (count // 2) + [half] * (count - count // 2)]


def family_sizes(family: str, count: int) -> list[tuple[int, int]]:
    """Random sizes that the family's processor can be asked about."""
    # to count, that of Pixtral makes an array of the picture, and takes sides of 1 or 3 pixels for colours
    shortest, longest = (4, 1500) if family == "pixtral" else (1, 8000)
    return random_sizes(count, shortest, longest, seed=len(family))


def real_count(family: str, processor: Any, width: int, height: int) -> int | None:
    """Every token of a picture of this size by the processor's own code, without making pixels; None where it is refused."""
    images, picture = processor.image_processor, PICTURE[family]
    match family:
        case "gemma-3":
            expanded = processor.replace_image_token({"num_crops": [0]}, 0)
        case "deepseek-ocr-2":
            crops = images.get_number_of_image_patches(height, width) - 1
            expanded = processor.replace_image_token({"num_local_patches": [crops]}, 0)
        case "smolvlm":
            rows, columns = _rows_of_tiles(images, width, height)
            expanded = processor.replace_image_token({"rows": [[rows]], "cols": [[columns]]}, 0)
        case _:
            try:
                own = int(processor._get_num_multimodal_tokens(image_sizes=[(height, width)])["num_image_tokens"][0])
            except ValueError:
                return None
            return own + len(processor.tokenizer(picture)["input_ids"]) - 1 if own else None
    return len(processor.tokenizer(expanded)["input_ids"])


def _rows_of_tiles(images: Any, width: int, height: int) -> tuple[int, int]:
    """The processor's own resizing and cutting, on a tensor that has a shape and no pixels."""
    import torch

    resample = 2  # bilinear: torch has no shape rule for Lanczos, and the shape does not depend on it
    picture = torch.empty(1, 3, height, width, device="meta")
    picture = images.resize(picture, images.size, resample=resample)
    picture = images.resize_for_vision_encoder(picture, images.max_image_size["longest_edge"], resample=resample)
    _, rows, columns = images.split_images(picture, images.max_image_size, resample=resample)
    return rows[0], columns[0]
