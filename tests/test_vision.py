"""Visual tokens: equal to the real processors' counts, and found by any name a model goes by."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from vision_processors import PICTURE, family_sizes, real_count, real_processor

from glyph_integrations.errors import GlyphError, PictureSizeError, UnknownModelError
from glyph_integrations.style import PRESETS
from glyph_integrations.vision import ClosestTiling, RowsOfTiles, VisionProfile, count_visual_tokens

VERIFIED = [profile for profile in VisionProfile.known() if profile.verified]
NATIVE = [profile for profile in VERIFIED if profile.native]


@pytest.fixture(scope="module")
def processors() -> dict[str, Any]:
    """The real processor of each family."""
    pytest.importorskip("torchvision", reason="the real processors need torchvision")
    pytest.importorskip("transformers", reason="the real processors are in transformers")
    return {name: real_processor(name) for name in PICTURE if name != "smolvlm" or find_spec("num2words")}


def processor_of(processors: dict[str, Any], family: str) -> Any:
    if family not in processors:
        pytest.skip("the processor of SmolVLM needs num2words")
    return processors[family]


@pytest.mark.parametrize("profile", VERIFIED, ids=lambda p: p.name)
def test_counts_equal_the_real_processor_on_500_random_sizes(profile: VisionProfile, processors: dict[str, Any]) -> None:
    processor = processor_of(processors, profile.name)
    refused = 0
    for width, height in family_sizes(profile.name, 500):
        real = real_count(profile.name, processor, width, height)
        if real is None:
            refused += 1
            with pytest.raises(PictureSizeError):
                profile.count(width, height)
        else:
            assert profile.count(width, height) == real, (width, height)
    assert refused < 100


@pytest.mark.parametrize("profile", VERIFIED, ids=lambda p: p.name)
def test_a_picture_lengthens_the_prompt_by_exactly_its_count(profile: VisionProfile, processors: dict[str, Any]) -> None:
    from PIL import Image

    processor = processor_of(processors, profile.name)
    picture = PICTURE[profile.name]
    alone = len(processor.tokenizer("before after")["input_ids"])
    for width, height in [(588, 840), (784, 1120), (301, 77), (1000, 100), (448, 448)]:
        prompt = processor(images=[Image.new("RGB", (width, height))], text=[f"before{picture} after"], return_tensors="pt")
        assert prompt["input_ids"].shape[1] - alone == profile.count(width, height)


def test_class_default_limits_count_exactly_when_a_profile_is_given_them(processors: dict[str, Any]) -> None:
    import transformers as t

    profile = VisionProfile.get("qwen2-vl")
    profile = replace(profile, counting=replace(profile.counting, max_pixels=28 * 28 * 1280))
    tokenizer = processors["qwen2-vl"].tokenizer
    processor = t.Qwen2VLProcessor(t.Qwen2VLImageProcessor(), tokenizer, t.Qwen2VLVideoProcessor())
    for width, height in [(588, 840), (980, 1400), (3000, 2000), (10, 10)]:
        assert profile.count(width, height) == real_count("qwen2-vl", processor, width, height)


def test_rows_of_tiles_count_idefics3_too(processors: dict[str, Any]) -> None:
    import transformers as t

    tokenizer = processors["gemma-3"].tokenizer
    processor = t.Idefics3Processor(t.Idefics3ImageProcessor(), tokenizer, image_seq_len=169)
    counting = RowsOfTiles(tile=364, tokens=169, longest_edge=1456)
    for width, height in family_sizes("idefics3", 300):
        own = processor._get_num_multimodal_tokens(image_sizes=[(height, width)])["num_image_tokens"][0]
        assert counting.count(width, height) == own, (width, height)


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
        ("OpenGVLab/InternVL3-8B-hf", "internvl3"),
        ("OpenGVLab/InternVL3_5-4B-HF", "internvl3"),
        ("google/gemma-3-27b-it", "gemma-3"),
        ("gemma3:12b", "gemma-3"),
        ("HuggingFaceTB/SmolVLM-256M-Instruct", "smolvlm"),
        ("HuggingFaceTB/SmolVLM2-500M-Video-Instruct", "smolvlm"),
        ("deepseek-community/DeepSeek-OCR-2", "deepseek-ocr-2"),
        ("deepseek-ai/DeepSeek-OCR", "deepseek-ocr"),
    ],
)
def test_a_model_is_known_by_any_of_its_names(model: str, family: str) -> None:
    assert VisionProfile.get(model).name == family
    assert VisionProfile.get(VisionProfile.get(model)) is VisionProfile.get(model)


@pytest.mark.parametrize(
    "model",
    [
        "", "gpt-2", "glyph-shop/llama-3", "glyphosate", "Qwen/Qwen2.5-7B-Instruct", "glm-4-9b", "google/gemma-3-1b-it",
        "google/gemma-3n-E4B-it", "HuggingFaceTB/SmolVLM2-2.2B-Instruct", "OpenGVLab/InternVL3_5-8B-Flash",
    ],
)  # fmt: skip
def test_an_unknown_model_is_refused_with_what_to_do(model: str) -> None:
    with pytest.raises(UnknownModelError, match=r"Known families: glyph, glm-4\.1v.*qwen2\.5-vl.*VisionProfile"):
        count_visual_tokens(588, 840, model=model)
    with pytest.raises(KeyError):
        VisionProfile.get(model)


@pytest.mark.parametrize(
    ("model", "tokens"),
    [
        ("zai-org/Glyph", 632),
        ("Qwen/Qwen2.5-VL-7B-Instruct", 632),
        ("Qwen/Qwen3-VL-8B-Instruct", 470),
        ("pixtral", 2014),
        ("internvl3", 1794),
        ("gemma-3", 260),
        ("smolvlm", 863),
        ("deepseek-ocr-2", 1121),
        ("deepseek-ocr", 903),  # 16 rows of 17, 30 rows of 21, and one
    ],
)
def test_a_default_page_costs_what_was_measured(model: str, tokens: int) -> None:
    assert count_visual_tokens(588, 840, model=model) == tokens


@given(st.sampled_from(NATIVE), st.integers(8, 60), st.integers(8, 60))
def test_native_models_see_pictures_on_their_grid_as_drawn(profile: VisionProfile, columns: int, rows: int) -> None:
    width, height = columns * profile.grid, rows * profile.grid
    assert profile.resized(width, height) == (width, height)
    assert profile.count(width, height) == columns * rows + 2


@given(st.sampled_from([VisionProfile.get("internvl3"), VisionProfile.get("deepseek-ocr-2")]), st.data())
def test_pages_of_whole_tiles_are_cut_as_they_were_drawn(profile: VisionProfile, data: st.DataObject) -> None:
    counting = profile.counting
    assert isinstance(counting, ClosestTiling)
    columns = data.draw(st.integers(1, counting.most))
    rows = data.draw(st.integers(2 if columns == 1 else 1, counting.most // columns or 1))
    if 1 < columns * rows <= counting.most:
        assert counting.tiles(columns * profile.grid, rows * profile.grid) == (columns, rows)


@given(st.sampled_from(VisionProfile.known()), st.integers(1, 20_000), st.integers(1, 20_000))
def test_every_shape_is_counted_or_refused_by_our_own_error(profile: VisionProfile, width: int, height: int) -> None:
    try:
        count = profile.count(width, height)
    except GlyphError:
        assert max(width, height) > 200 * min(width, height) or (profile.name == "gpt-5.6" and width * height > 5_000**2)
        return
    assert count >= 1
    seen = profile.resized(width, height)
    assert seen is None or min(seen) >= 1
    if profile.verified:
        assert seen is not None
        if profile.native or profile.name == "pixtral":
            assert seen[0] % profile.grid == seen[1] % profile.grid == 0
        most = {"glyph": 7_502, "glm-4.1v": 7_502, "pixtral": 64 * 65, "internvl3": 13 * 256 + 2, "gemma-3": 260}
        assert count <= {**most, "smolvlm": 4 * (4 * 66 + 1) + 67, "deepseek-ocr-2": 1121}.get(profile.name, 16_386)


@pytest.mark.parametrize("size", [(0, 10), (10, 0), (-3, 5)])
def test_a_picture_without_area_is_refused(size: tuple[int, int]) -> None:
    for profile in VisionProfile.known():
        with pytest.raises(PictureSizeError, match="no area"):
            profile.count(*size)
        with pytest.raises(PictureSizeError, match="no area"):
            profile.resized(*size)


def test_profiles_recommend_presets_that_exist() -> None:
    assert {profile.style for profile in VisionProfile.known()} <= set(PRESETS)
    assert len({profile.name for profile in VisionProfile.known()}) == len(VisionProfile.known())


def test_quirks_of_families_are_told() -> None:
    assert VisionProfile.get("glyph").chat.thinking == ("<think>", "</think>")
    assert [profile.name for profile in VisionProfile.known() if profile.chat.transcriber] == ["deepseek-ocr-2", "deepseek-ocr"]
    assert VisionProfile.get("deepseek-ocr-2").max_images == 1
