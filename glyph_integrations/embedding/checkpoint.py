"""Loading a visual model: which library reads it, and that every one of its weights came from the checkpoint."""

from __future__ import annotations

import importlib.util
import json
import logging
from pathlib import Path
from typing import Any, NamedTuple
from zlib import crc32

import numpy as np

from ..accelerator import best_device
from ..errors import MissingExtraError, ModelError
from .encoders import Encoder, RetrievalModel, SentenceModel

_log = logging.getLogger("glyph_integrations")
_SHORT = 128  # tokens: a text tower that reads no more was made for captions
_SIGNS = 16_384  # weights of a layer that its checksum looks at
_NATIVE = {"ColModernVBertForRetrieval"}  # sentence-transformers 6 gives their processors no prompt, and questions no padding


class Source(NamedTuple):
    """Where a checkpoint is, and what may be done to read it."""

    name: str
    revision: str | None = None
    local_files_only: bool = False
    trust_remote_code: bool = False

    @property
    def options(self) -> dict[str, Any]:
        """For ``from_pretrained``."""
        return {key: value for key, value in self._asdict().items() if key != "name" and value}


def load_encoder(source: Source, device: str | None = None, dtype: str | None = None) -> Encoder:
    """The model of a checkpoint, ready to run.

    A folder that sentence-transformers wrote is read by it; a ``...ForRetrieval`` class of transformers by transformers.

    Args:
        source: the checkpoint.
        device: None: the best there is.
        dtype: of weights and computation. None: the checkpoint's own on an accelerator, else float32.

    Raises:
        MissingExtraError: torch, transformers or sentence-transformers is not installed.
        ModelError: no such checkpoint; no embedder of pictures; damaged, or weights are missing from it.
    """
    try:
        import sentence_transformers  # noqa: F401
        import torch
        import transformers
    except ImportError as error:
        raise MissingExtraError((error.name or "transformers").partition(".")[0], "transformers") from None
    device = device or best_device()
    try:
        kind = getattr(torch, dtype) if dtype else torch.float32 if device.startswith("cpu") else "auto"
    except AttributeError:
        raise ModelError(f"dtype={dtype!r} is none of torch's; use float32, bfloat16 or float16") from None
    try:
        reader = _reader(source)
        if reader.endswith("ForRetrieval"):
            encoder: Encoder = _retrieval_model(getattr(transformers, reader), source, device, kind)
        else:
            encoder = _sentence_model(reader, source, device, kind)
    except (ModelError, MissingExtraError):
        raise
    except Exception as error:  # of the hub, of safetensors, of transformers, of torch
        told = str(error).strip().partition("\n")[0]
        raise ModelError(f"cannot load visual model {source.name!r}: {told or type(error).__name__}") from error
    _refuse_unplaced(source, encoder.model)
    fresh = fresh_weights(encoder.model)
    if fresh:
        some = ", ".join(fresh[:4]) + (", ..." if len(fresh) > 4 else "")
        raise ModelError(
            f"{source.name!r} lacks {len(fresh)} of the model's weights, which would be random ({some}): the checkpoint is "
            "incomplete, or was written for another version of transformers; download it again, or try another version"
        )
    return encoder


def given_encoder(model: Any) -> Encoder:
    """A loaded ``MultiVectorEncoder`` or ``SentenceTransformer``.

    Raises:
        TypeError: something else.
        ModelError: it embeds no pictures, or some of its weights came from no checkpoint.
    """
    if not (hasattr(model, "encode_document") and hasattr(model, "preprocess") and hasattr(model, "modalities")):
        raise TypeError(
            f"{type(model).__name__} is no visual embedding model: pass the name or folder of one, or a MultiVectorEncoder or "
            "SentenceTransformer of sentence-transformers 6 or newer"
        )
    if "image" not in model.modalities:
        raise _text_only(type(model).__name__)
    fresh = fresh_weights(model)
    if fresh and len(fresh) < sum(1 for _ in model.parameters()):  # all: made in memory, which nothing can be said about
        raise ModelError(f"{type(model).__name__} has {len(fresh)} weights that came from no checkpoint, such as {fresh[0]}")
    return SentenceModel(model)


def fresh_weights(model: Any) -> list[str]:
    """Names of the weights that transformers initialised because the checkpoint had none for them, or of another shape."""
    import torch

    if hasattr(model, "transformers_model"):  # of sentence-transformers, whose own layers refuse to load without their weights
        model = model.transformers_model
    if not isinstance(model, torch.nn.Module):
        return []
    return [name for name, weights in model.named_parameters() if not getattr(weights, "_is_hf_initialized", False)]


def weights_checksum(model: Any) -> str:
    """Of the signs of some weights of each layer: the one thing that no rounding changes, so that the same checkpoint agrees
    with itself in every dtype. Training on turns many of them."""
    import torch

    value = 0
    for weights in model.parameters():
        signs = torch.signbit(weights.detach().flatten()[:_SIGNS]).cpu().numpy()
        value = crc32(np.packbits(signs).tobytes(), value)
    return f"{value:08x}"


def captions_only(encoder: Encoder) -> bool:
    """Whether a model is of CLIP's kind: it matches pictures with captions, one vector each, and reads a few words of text."""
    if encoder.late:
        return False
    if any(type(module).__name__ == "CLIPModel" for module in encoder.model.modules()):
        return True
    config = getattr(getattr(encoder.model, "transformers_model", None), "config", None)
    tower = getattr(config, "text_config", None)
    reads = getattr(tower, "max_position_embeddings", None)
    return isinstance(reads, int) and reads <= _SHORT


def _reader(source: Source) -> str:
    """The class that reads a checkpoint."""
    import transformers

    adapter = _json(source, "adapter_config.json")
    config = _json(_base(source, adapter) if adapter else source, "config.json") or {}
    if adapter and importlib.util.find_spec("peft") is None:  # without it the adapter would be left aside
        raise MissingExtraError("peft", "transformers")
    written = _json(source, "config_sentence_transformers.json")
    modules = _json(source, "modules.json")
    architectures = config.get("architectures") or []
    named = next((name for name in architectures if name.endswith("ForRetrieval") and hasattr(transformers, name)), None)
    if modules is not None and named not in _NATIVE:
        return str((written or {}).get("model_type", "SentenceTransformer"))
    if named:
        return str(named)
    if not (config or modules or adapter):
        where = "in this folder" if Path(source.name).is_dir() else "of this name, on this machine or the hub"
        raise ModelError(f"there is no model {where}: {source.name!r} has no config.json")
    if "text_config" in config and "vision_config" in config and not _generates(architectures):
        return "SentenceTransformer"  # CLIP, SigLIP: pictures and captions
    if any("ForRetrieval" in str(value) for value in (config.get("auto_map") or {}).values()):
        return "MultiVectorEncoder"  # its own code
    kind = ", ".join(architectures) or ("a PEFT adapter" if adapter else str(config.get("model_type", "unknown")))
    raise ModelError(
        f"{source.name!r} is no embedder of pages ({kind}): it would get layers with random weights. Name a model for visual "
        "document retrieval (ColPali, ColQwen, ColModernVBERT, Qwen3-VL-Embedding), or one saved by sentence-transformers"
    )


def _base(source: Source, adapter: dict[str, Any]) -> Source:
    """The checkpoint that an adapter belongs to."""
    name = adapter.get("base_model_name_or_path")
    if not isinstance(name, str) or not name:
        raise ModelError(f"the adapter {source.name!r} does not say of which model it is (base_model_name_or_path)")
    return source._replace(name=name, revision=adapter.get("revision") or None)


def _generates(architectures: list[str]) -> bool:
    return any(name.endswith(("ForConditionalGeneration", "ForCausalLM", "LMHeadModel")) for name in architectures)


def _json(source: Source, file: str) -> Any:
    from sentence_transformers.util.file_io import load_file_path

    path = load_file_path(source.name, file, revision=source.revision, local_files_only=source.local_files_only)
    if path is None:
        return None
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except ValueError as error:
        raise ModelError(f"{file} of {source.name!r} is damaged: {error}") from error


def _refuse_unplaced(source: Source, model: Any) -> None:
    """See that each weight of an adapter beside the model is in it: what has no place is dropped with a warning alone.

    Raises:
        ModelError: some are not.
    """
    from safetensors import safe_open
    from sentence_transformers.util.file_io import load_file_path

    options = {"revision": source.revision, "local_files_only": source.local_files_only}
    path = load_file_path(source.name, "adapter_model.safetensors", **options)
    if path is None:
        return
    with safe_open(path, "pt") as file:
        stored = [key for key in file.keys() if ".lora_" in key]  # noqa: SIM118
    inner = getattr(model, "transformers_model", model)
    placed = sum(".lora_" in name for name, _ in inner.named_parameters())
    if placed < len(stored):
        raise ModelError(
            f"{len(stored) - placed} of {len(stored)} weights of the adapter {source.name!r} found no place in the model: it "
            "would run without its training; use a merged checkpoint, or try another version of peft and transformers"
        )


def _retrieval_model(cls: Any, source: Source, device: str, dtype: Any) -> RetrievalModel:
    import transformers

    model, report = cls.from_pretrained(source.name, output_loading_info=True, **_weights(dtype), **source.options)
    adapters = sorted(key for key in report["unexpected_keys"] if "lora_" in key)
    if adapters:
        raise ModelError(
            f"{source.name!r} holds {len(adapters)} weights of an adapter that found no place in the model "
            f"({adapters[0]}, ...): it would run without its training; use a merged checkpoint"
        )
    processor = transformers.AutoProcessor.from_pretrained(source.name, **source.options)
    if not hasattr(processor, "process_images"):
        raise ModelError(f"{source.name!r} is a {cls.__name__}, whose processor does not tell pages from questions")
    return RetrievalModel(model.to(device).eval(), processor)


def _sentence_model(reader: str, source: Source, device: str, dtype: Any) -> SentenceModel:
    import sentence_transformers

    if reader not in ("MultiVectorEncoder", "SentenceTransformer"):
        raise ModelError(f"{source.name!r} is a {reader}, which embeds no pages")
    model = getattr(sentence_transformers, reader)(
        source.name, device=device, model_kwargs=_weights(dtype), **source.options
    ).eval()
    if "image" not in model.modalities:
        raise _text_only(source.name)
    return SentenceModel(model)


def _weights(dtype: Any) -> dict[str, Any]:
    """How to read weights; those of another shape than the model's count as missing, for one clear error."""
    return {"dtype": dtype, "ignore_mismatched_sizes": True}


def _text_only(name: str) -> ModelError:
    return ModelError(f"{name!r} embeds text, not pictures; use TextEmbedder for it")
