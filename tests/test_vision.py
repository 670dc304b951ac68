"""Visual tokens: equal to the real processors' counts, and found by any name a model goes by."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glyph_integrations.errors import GlyphError, PictureSizeError, UnknownModelError
from glyph_integrations.style import PRESETS
from glyph_integrations.vision import VisionProfile, count_visual_tokens

NATIVE = [profile for profile in VisionProfile.known() if profile.native]
# how each family's chat template writes a picture
GLM, QWEN, PIXTRAL = "<|begin_of_image|><|image|><|end_of_image|>", "<|vision_start|><|image_pad|><|vision_end|>", "[IMG]"
SPECIAL_TOKENS = [
    "<|endoftext|>", "<|begin_of_image|>", "<|end_of_image|>", "<|image|>", "<|video|>", "<|begin_of_video|>",
    "<|end_of_video|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>", "[IMG]",
    "[IMG_BREAK]", "[IMG_END]",
]  # fmt: skip


@pytest.fixture(scope="module")
def transformers() -> Any:
    pytest.importorskip("torchvision", reason="the real processors need torchvision")
    return pytest.importorskip("transformers", reason="the real processors are in transformers")


@pytest.fixture(scope="module")
def tokenizer(transformers: Any) -> Any:
    import tokenizers

    model = tokenizers.Tokenizer(tokenizers.models.BPE())
    model.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=SPECIAL_TOKENS,
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    model.train_from_iterator(["a page"], trainer)
    return transformers.PreTrainedTokenizerFast(tokenizer_object=model, pad_token="<|endoftext|>")


def real_processor(transformers: Any, tokenizer: Any, family: str) -> Any:
    """The processor that the family's published checkpoints load, with the pixel limits of their preprocessor_config."""
    t = transformers
    glm = {"shortest_edge": 12_544, "longest_edge": 9_633_792}
    qwen2 = {"shortest_edge": 3_136, "longest_edge": 12_845_056}
    qwen3 = {"shortest_edge": 65_536, "longest_edge": 16_777_216}
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
    raise AssertionError(f"no processor is known for {family}")


def random_sizes(count: int, shortest: int, longest: int, seed: int) -> list[tuple[int, int]]:
    """Widths and heights spread over all magnitudes, and page-like ones with sides half-way between grid lines."""
    draw = random.Random(seed)

    def spread() -> int:
        return round(shortest * (longest / shortest) ** draw.random())

    def half() -> int:
        return draw.randrange(1, 120) * draw.choice((7, 8, 14, 16))

    return [(side(), side()) for side in [spread] * (count // 2) + [half] * (count - count // 2)]


def real_placeholders(processor: Any, width: int, height: int) -> int | None:
    try:
        return int(processor._get_num_multimodal_tokens(image_sizes=[(height, width)])["num_image_tokens"][0])
    except ValueError:  # the shape is refused
        return None


@pytest.mark.parametrize("profile", VisionProfile.known(), ids=lambda p: p.name)
def test_counts_equal_the_real_processor_on_500_random_sizes(profile: VisionProfile, transformers: Any, tokenizer: Any) -> None:
    processor = real_processor(transformers, tokenizer, profile.name)
    enclosing = getattr(profile.counting, "enclosing", 0)
    # to count, that processor makes an array of the picture, and takes sides of 1 or 3 pixels for colours
    shortest, longest = (4, 1500) if profile.name == "pixtral" else (1, 8000)
    refused = 0
    for width, height in random_sizes(500, shortest, longest, seed=len(profile.name)):
        real = real_placeholders(processor, width, height)
        if not real:
            refused += 1
            with pytest.raises(PictureSizeError):
                profile.count(width, height)
        else:
            assert profile.count(width, height) == real + enclosing, (width, height)
    assert refused < 100


def test_class_default_limits_count_exactly_when_a_profile_is_given_them(transformers: Any, tokenizer: Any) -> None:
    profile = VisionProfile.get("qwen2-vl")
    profile = replace(profile, counting=replace(profile.counting, max_pixels=28 * 28 * 1280))
    processor = transformers.Qwen2VLProcessor(
        transformers.Qwen2VLImageProcessor(), tokenizer, transformers.Qwen2VLVideoProcessor()
    )
    for width, height in [(588, 840), (980, 1400), (3000, 2000), (10, 10)]:
        assert profile.count(width, height) == (real_placeholders(processor, width, height) or 0) + 2


@pytest.mark.parametrize("profile", VisionProfile.known(), ids=lambda p: p.name)
def test_a_picture_lengthens_the_prompt_by_exactly_its_count(profile: VisionProfile, transformers: Any, tokenizer: Any) -> None:
    from PIL import Image

    processor = real_processor(transformers, tokenizer, profile.name)
    picture = {"g": GLM, "q": QWEN, "p": PIXTRAL}[profile.name[0]]
    alone = len(tokenizer("before after")["input_ids"])
    for width, height in [(588, 840), (784, 1120), (301, 77)]:
        prompt = processor(images=[Image.new("RGB", (width, height))], text=[f"before{picture} after"], return_tensors="pt")
        assert prompt["input_ids"].shape[1] - alone == profile.count(width, height)


@pytest.mark.parametrize(
    ("model", "family"),
    [
        ("zai-org/Glyph", "glyph"),
        ("glyph", "glyph"),
        ("/models/models--zai-org--Glyph/snapshots/0123abcd/", "glyph"),
        ("THUDM/GLM-4.1V-9B-Thinking", "glm-4.1v"),
        ("glm-4.1v-9b-thinking", "glm-4.1v"),
        ("zai-org/GLM-4.5V-FP8", "glm-4.5v"),
        ("GLM-4.6V-Flash", "glm-4.6v"),
        ("Qwen/Qwen2-VL-2B-Instruct", "qwen2-vl"),
        ("Qwen/Qwen2.5-VL-7B-Instruct", "qwen2.5-vl"),
        ("qwen2.5-vl:7b", "qwen2.5-vl"),
        ("qwen2.5vl:7b", "qwen2.5-vl"),
        (r"C:\models\Qwen2.5-VL-7B-Instruct-AWQ", "qwen2.5-vl"),
        ("Qwen/Qwen3-VL-8B-Instruct", "qwen3-vl"),
        ("mistral-community/pixtral-12b", "pixtral"),
    ],
)
def test_a_model_is_known_by_any_of_its_names(model: str, family: str) -> None:
    assert VisionProfile.get(model).name == family
    assert VisionProfile.get(VisionProfile.get(model)) is VisionProfile.get(model)


@pytest.mark.parametrize("model", ["gpt-4o", "", "glyph-shop/llama-3", "glyphosate", "Qwen/Qwen2.5-7B-Instruct", "glm-4-9b"])
def test_an_unknown_model_is_refused_with_what_to_do(model: str) -> None:
    with pytest.raises(UnknownModelError, match=r"Known families: glyph, glm-4\.1v.*qwen2\.5-vl.*VisionProfile"):
        count_visual_tokens(588, 840, model=model)
    with pytest.raises(KeyError):
        VisionProfile.get(model)


@pytest.mark.parametrize(
    ("model", "tokens"),
    [("zai-org/Glyph", 632), ("Qwen/Qwen2.5-VL-7B-Instruct", 632), ("Qwen/Qwen3-VL-8B-Instruct", 470), ("pixtral", 2014)],
)
def test_a_default_page_costs_what_was_measured(model: str, tokens: int) -> None:
    assert count_visual_tokens(588, 840, model=model) == tokens


@given(st.sampled_from(NATIVE), st.integers(8, 60), st.integers(8, 60))
def test_native_models_see_pictures_on_their_grid_as_drawn(profile: VisionProfile, columns: int, rows: int) -> None:
    width, height = columns * profile.grid, rows * profile.grid
    assert profile.resized(width, height) == (width, height)
    assert profile.count(width, height) == columns * rows + 2


@given(st.sampled_from(VisionProfile.known()), st.integers(1, 20_000), st.integers(1, 20_000))
def test_every_shape_is_counted_within_the_limits_or_refused_by_our_own_error(
    profile: VisionProfile, width: int, height: int
) -> None:
    try:
        count = profile.count(width, height)
    except GlyphError:
        assert max(width, height) > 200 * min(width, height)
        return
    seen_width, seen_height = profile.resized(width, height)
    assert seen_width % profile.grid == 0
    assert seen_height % profile.grid == 0
    assert count <= {"glyph": 7_502, "glm-4.1v": 7_502, "pixtral": 64 * 65}.get(profile.name, 16_386)


@pytest.mark.parametrize("size", [(0, 10), (10, 0), (-3, 5)])
def test_a_picture_without_area_is_refused(size: tuple[int, int]) -> None:
    for profile in VisionProfile.known():
        with pytest.raises(PictureSizeError, match="no area"):
            profile.count(*size)


def test_profiles_recommend_presets_that_exist() -> None:
    assert {profile.style for profile in VisionProfile.known()} <= set(PRESETS)
    assert len({profile.name for profile in VisionProfile.known()}) == len(VisionProfile.known())
