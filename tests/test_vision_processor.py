"""Profiles of loaded processors: the real classes, saved without weights and loaded again."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from vision_processors import PICTURE, real_processor

from glyph_integrations.errors import ModelError, PictureSizeError
from glyph_integrations.vision import VisionProfile

SIZES = [(588, 840), (784, 1120), (301, 77)]


@pytest.fixture(scope="module", autouse=True)
def libraries() -> None:
    pytest.importorskip("torchvision", reason="the real processors need torchvision")
    pytest.importorskip("transformers", reason="the real processors are in transformers")


def templated(family: str) -> Any:
    """The family's processor with a chat template that writes pictures as the family's does."""
    if family == "smolvlm" and not find_spec("num2words"):
        pytest.skip("the processor of SmolVLM needs num2words")
    processor = real_processor(family)
    processor.chat_template = (
        "{% for message in messages %}User:{% for part in message['content'] %}{% if part['type'] == 'image' %}"
        + PICTURE[family]
        + "{% else %}{{ part['text'] }}{% endif %}{% endfor %}{% endfor %}"
    )
    return processor


@pytest.mark.parametrize("family", PICTURE)
def test_a_processor_counts_what_the_known_family_counts(family: str) -> None:
    known, read = VisionProfile.get(family), VisionProfile.from_processor(templated(family))
    assert [read.count(*size) for size in SIZES] == [known.count(*size) for size in SIZES]
    assert read.native == known.native
    if known.native:
        assert read.grid == known.grid
    assert read.verified


def test_without_a_chat_template_the_placeholder_alone_is_counted() -> None:
    assert VisionProfile.from_processor(real_processor("qwen2-vl")).count(588, 840) == 630
    assert VisionProfile.from_processor(real_processor("deepseek-ocr-2")).count(588, 840) == 1121


def test_limits_name_and_window_are_read_from_the_checkpoint(tmp_path: Path) -> None:
    from transformers import AutoProcessor

    processor = templated("qwen3-vl")
    processor.image_processor.size = {"shortest_edge": 65_536, "longest_edge": 32 * 32 * 100}
    processor.tokenizer.model_max_length = 4_096
    processor.save_pretrained(tmp_path / "Qwen3-VL-page-reader")
    read = VisionProfile.from_processor(AutoProcessor.from_pretrained(tmp_path / "Qwen3-VL-page-reader", local_files_only=True))
    assert (read.name, read.context_window, read.grid) == ("Qwen3-VL-page-reader", 4_096, 32)
    assert 80 < read.count(588, 840) <= 102
    assert not read.native  # not even a page of 640 x 896 pixels keeps its own


def test_each_size_is_run_once(monkeypatch: pytest.MonkeyPatch) -> None:
    processor = templated("deepseek-ocr-2")  # has no counting of its own
    read = VisionProfile.from_processor(processor)
    before = read.count(640, 480)
    monkeypatch.setattr(type(processor), "__call__", lambda *_, **__: pytest.fail("run again"))
    assert read.count(640, 480) == before == 257


def test_what_the_processor_refuses_is_our_own_error() -> None:
    read = VisionProfile.from_processor(templated("qwen2-vl"))
    with pytest.raises(PictureSizeError, match="refuses a picture of 1 x 4000"):
        read.count(1, 4000)
    with pytest.raises(PictureSizeError, match="no area"):
        read.count(0, 5)
    assert read.resized(588, 840) is None


def test_what_is_no_processor_is_refused() -> None:
    processor = real_processor("qwen2-vl")
    for other in (processor.tokenizer, processor.image_processor, "Qwen/Qwen2-VL-2B-Instruct"):
        with pytest.raises(ModelError, match="no processor of text and pictures"):
            VisionProfile.from_processor(other)
