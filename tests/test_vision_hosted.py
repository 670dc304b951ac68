"""Hosted models: the vendors' own worked examples, and the names that models go by."""

from __future__ import annotations

import pytest

from glyph_integrations.errors import PictureSizeError, UnknownModelError
from glyph_integrations.vision import VisionProfile, count_visual_tokens

HOSTED = [profile for profile in VisionProfile.known() if not profile.verified]


def test_hosted_profiles_say_where_their_rule_is_published() -> None:
    assert {profile.source.split("/")[2] for profile in HOSTED if profile.source} == {
        "platform.claude.com", "developers.openai.com", "ai.google.dev", "github.com",
    }  # fmt: skip
    assert not any(profile.native for profile in HOSTED)
    assert all(profile.context_window and profile.max_images for profile in HOSTED)


@pytest.mark.parametrize(
    ("width", "height", "standard", "high"),
    [
        (200, 200, 64, 64), (1000, 1000, 1296, 1296), (1092, 1092, 1521, 1521), (1920, 1080, 1560, 2691),
        (2000, 1500, 1564, 3888), (3840, 2160, 1560, 4784),
    ],
)  # fmt: skip
def test_claude_costs_what_its_documentation_says(width: int, height: int, standard: int, high: int) -> None:
    for size in [(width, height), (height, width)]:
        assert count_visual_tokens(*size, "claude-haiku-4-5") == standard
        assert count_visual_tokens(*size, "claude-opus-4-7") == high


def test_claude_shrinks_as_its_documentation_says() -> None:
    assert VisionProfile.get("claude-standard").resized(1075, 1520) == (924, 1307)
    assert VisionProfile.get("claude-standard").resized(1920, 1080) == (1456, 819)
    assert VisionProfile.get("claude").resized(1075, 1520) == (1075, 1520)
    assert VisionProfile.get("claude").resized(3840, 2160) == (2576, 1449)


@pytest.mark.parametrize(
    ("model", "width", "height", "tokens"),
    [
        ("gpt-4o", 1024, 1024, 765), ("gpt-4o", 2048, 4096, 1105), ("gpt-4o", 500, 400, 255), ("gpt-4o-mini", 500, 400, 8500),
        ("gpt-5.1", 1024, 1024, 630), ("o3", 1024, 1024, 675),
        ("gpt-5.4", 1024, 1024, 1229), ("gpt-5.4", 2048, 2048, 3000), ("gpt-5.5", 2048, 2048, 4916),
        ("gpt-5.6", 1280, 720, 1104),
        ("gpt-4.1-mini", 320, 320, 162), ("o4-mini", 1800, 2400, 2498), ("gpt-4.1-nano", 32, 32, 3),
        ("gemini-2.5-flash", 384, 384, 258), ("gemini-2.5-pro", 960, 540, 1548), ("gemini-3-pro-preview", 960, 540, 1120),
    ],
)  # fmt: skip
def test_the_examples_of_openai_and_google_come_out(model: str, width: int, height: int, tokens: int) -> None:
    assert count_visual_tokens(width, height, model) == tokens


def test_a_picture_that_openai_refuses_is_refused() -> None:
    with pytest.raises(PictureSizeError, match="35,344 patches"):
        count_visual_tokens(6000, 6000, "gpt-5.6")


@pytest.mark.parametrize(
    ("model", "family"),
    [
        ("claude-opus-4-7", "claude"),
        ("anthropic/claude-opus-4.8", "claude"),
        ("claude-sonnet-5-5", "claude"),
        ("us.anthropic.claude-opus-4-7-v1:0", "claude"),
        ("claude-opus-4-20250514", "claude-standard"),
        ("claude-sonnet-4-5@20250929", "claude-standard"),
        ("claude-3-5-sonnet-20241022", "claude-standard"),
        ("gpt-4o-2024-08-06", "gpt-4o"),
        ("openai/chatgpt-4o-latest", "gpt-4o"),
        ("gpt-4o-mini", "gpt-4o-mini"),
        ("gpt-4.1-mini-2025-04-14", "gpt-4.1-mini"),
        ("gpt-5", "gpt-5.1"),
        ("gpt-5.4-nano", "gpt-5.4-mini"),
        ("gpt-5.6-terra", "gpt-5.6"),
        ("o1", "o3"),
        ("models/gemini-2.5-flash", "gemini-2.5"),
        ("gemini-3.1-pro-preview", "gemini-3"),
    ],
)
def test_a_hosted_model_is_known_by_any_of_its_names(model: str, family: str) -> None:
    assert VisionProfile.get(model).name == family


@pytest.mark.parametrize(
    "model",
    ["claude-2.1", "claude-instant", "gpt-4", "gpt-4o-audio-preview", "gpt-5.3-codex", "gpt-6-sol", "o3-mini", "gemini-1.5-pro",
     "gemini-2.5-flash-image", "gemini-4-argon"],
)  # fmt: skip
def test_models_without_a_published_rule_or_without_sight_are_not_known(model: str) -> None:
    with pytest.raises(UnknownModelError):
        VisionProfile.get(model)
