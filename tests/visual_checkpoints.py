"""Tiny checkpoints of real architectures that embed pictures: real classes and processors, a few hundred thousand weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from checkpoints import CHATML

LATE = ("colpali", "colqwen2", "colmodernvbert")
"""Families that give a page a vector per token."""
SINGLE = "qwen3-vl-embedding"
SAVED = ("colqwen2.5", "colqwen3", "colsmol")
"""Late interaction as sentence-transformers saves it: a language model, a projection, and no class of their own."""
ADAPTERS = ("colqwen2-lora", "colqwen2.5-lora")
"""A base and an adapter of peft beside it; read by transformers, and by sentence-transformers."""
CORPUS = [
    "What does the page say about the invoice of the year? Question: Query: Describe the image.",
    "Represent the user's input. The quick brown fox jumps over the lazy dog, 0123456789.",
]
Sizes = dict[str, dict[str, Any]]
_QWEN = "<|endoftext|> <|im_start|> <|im_end|> <|vision_start|> <|vision_end|> <|image_pad|> <|video_pad|>".split()
_VBERT = [
    *"<pad> <unk> <cls> <sep> <mask> <|begin_of_text|> <fake_token_around_image> <image> <end_of_utterance>".split(),
    "<global-img>",
    *(f"<row_{row}_col_{column}>" for row in range(1, 7) for column in range(1, 7)),
]


def build(family: str, folder: Path, *, small: bool = True, seed: int = 0, sizes: Sizes | None = None) -> Path:
    """Save a checkpoint of a family (`LATE`, `SINGLE`, `SAVED`, `ADAPTERS`, ``siglip`` or ``qwen3-vl``) and return its folder.

    ``small``: pictures are at most some 64 tokens; else as many as published checkpoints make of them. ``sizes``: what is to be
    otherwise in the configurations of ``text`` and ``vision``, for ``colqwen2``, ``colmodernvbert`` and `SINGLE`.
    """
    import torch

    torch.manual_seed(seed)
    if sizes:
        path = folder / f"{family}-sized"
        {"colqwen2": _colqwen2, "colmodernvbert": _colmodernvbert, SINGLE: _qwen3_embedding}[family](path, small, sizes)
        return path
    path = folder / f"{family}-tiny"
    {
        "colpali": _colpali, "colqwen2": _colqwen2, "colmodernvbert": _colmodernvbert, "siglip": _siglip, "qwen3-vl": _qwen3,
        SINGLE: _qwen3_embedding, "colqwen3": _colqwen3, "colqwen2.5": _colqwen25, "colsmol": _colsmol,
        "colqwen2-lora": _colqwen2_lora, "colqwen2.5-lora": _colqwen25_lora,
    }[family](path, small)  # fmt: skip
    return path


def _tokenizer(specials: list[str], **named: Any) -> Any:
    import tokenizers
    from transformers import PreTrainedTokenizerFast

    model = tokenizers.Tokenizer(tokenizers.models.BPE())
    model.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    model.decoder = tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=400, initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(), special_tokens=specials,
        show_progress=False,
    )  # fmt: skip
    model.train_from_iterator(CORPUS, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=model, **named)


def _text(tokenizer: Any, **more: Any) -> dict[str, Any]:
    return {
        "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4,
        "num_key_value_heads": 2, "max_position_embeddings": 32_768, "vocab_size": len(tokenizer),
        "bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id,
        **more,
    }  # fmt: skip


_TOWER = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4}


def _save(model: Any, processor: Any, path: Path) -> None:
    model.save_pretrained(path)
    processor.save_pretrained(path)


def _colpali(path: Path, small: bool) -> None:
    import transformers as t

    side = 112 if small else 448
    tokenizer = _tokenizer(
        ["<pad>", "<bos>", "<eos>", "<image>"], bos_token="<bos>", eos_token="<eos>", pad_token="<pad>", padding_side="right",
        extra_special_tokens={"image_token": "<image>"},
    )  # fmt: skip
    images = t.SiglipImageProcessor(size={"height": side, "width": side})
    images.image_seq_length = (side // 14) ** 2
    processor = t.ColPaliProcessor(images, tokenizer)
    paligemma = {
        "model_type": "paligemma", "text_config": _text(tokenizer, model_type="gemma", head_dim=16),
        "vision_config": {**_TOWER, "model_type": "siglip_vision_model", "image_size": side, "patch_size": 14,
                          "vision_use_head": False, "projection_dim": 64},
        "image_token_index": processor.image_token_id, "projection_dim": 64, "hidden_size": 64,
    }  # fmt: skip
    _save(t.ColPaliForRetrieval(t.ColPaliConfig(vlm_config=paligemma, embedding_dim=128)), processor, path)


def _qwen_ids(tokenizer: Any) -> dict[str, int]:
    names = {"vision_start": "vision_start", "vision_end": "vision_end", "image": "image_pad", "video": "video_pad"}
    return {f"{name}_token_id": tokenizer.convert_tokens_to_ids(f"<|{token}|>") for name, token in names.items()}


def _colqwen2(path: Path, small: bool, sizes: Sizes = {}) -> None:  # noqa: B006
    import transformers as t

    tokenizer = _tokenizer(_QWEN, eos_token="<|im_end|>", pad_token="<|endoftext|>", padding_side="left")
    pixels = (64 if small else 768) * 28 * 28
    images = t.Qwen2VLImageProcessor(size={"shortest_edge": 4 * 28 * 28, "longest_edge": pixels})
    rope = {"rope_type": "default", "rope_theta": 10_000.0, "mrope_section": [2, 3, 3]}
    qwen = {
        "model_type": "qwen2_vl", "text_config": _text(tokenizer, **{"rope_parameters": rope, **sizes.get("text", {})}),
        "vision_config": {"depth": 2, "embed_dim": 64, "num_heads": 4, "hidden_size": 64, "mlp_ratio": 2, "patch_size": 14,
                          **sizes.get("vision", {})},
        **_qwen_ids(tokenizer),
    }  # fmt: skip
    config = t.ColQwen2Config(vlm_config=qwen, embedding_dim=128)
    _save(t.ColQwen2ForRetrieval(config), t.ColQwen2Processor(images, tokenizer), path)


def _colmodernvbert(path: Path, small: bool, sizes: Sizes = {}) -> None:  # noqa: B006
    import transformers as t

    tokenizer = _tokenizer(
        _VBERT, cls_token="<cls>", sep_token="<sep>", mask_token="<mask>", unk_token="<unk>", pad_token="<pad>",
        padding_side="right",
    )  # fmt: skip
    images = t.Idefics3ImageProcessor(
        size={"longest_edge": 512 if small else 2048}, max_image_size={"longest_edge": 512}, do_image_splitting=True
    )
    processor = t.ColModernVBertProcessor(images, tokenizer, image_seq_len=64)
    vbert = {
        "model_type": "modernvbert",
        "text_config": {
            "model_type": "modernbert", "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2,
            "num_attention_heads": 4, "global_attn_every_n_layers": 2, "vocab_size": len(tokenizer),
            "pad_token_id": tokenizer.pad_token_id, "cls_token_id": tokenizer.cls_token_id,
            "sep_token_id": tokenizer.sep_token_id, "bos_token_id": None, "eos_token_id": None, **sizes.get("text", {}),
        },
        "vision_config": {**_TOWER, "model_type": "siglip_vision_model", "image_size": 512, "patch_size": 16,
                          **sizes.get("vision", {})},
        "pixel_shuffle_factor": 4, "image_token_id": processor.image_token_id,
    }  # fmt: skip
    _save(t.ColModernVBertForRetrieval(t.ColModernVBertConfig(vlm_config=vbert, embedding_dim=128)), processor, path)


def _qwen3(path: Path, small: bool, sizes: Sizes = {}) -> None:  # noqa: B006
    import transformers as t

    tokenizer = _tokenizer(_QWEN, eos_token="<|im_end|>", pad_token="<|endoftext|>", padding_side="left")
    tokenizer.chat_template = CHATML
    limits = {"shortest_edge": 4 * 32 * 32, "longest_edge": 64 * 32 * 32} if small else None
    images = t.Qwen2VLImageProcessor(patch_size=16, size=limits or {"shortest_edge": 65_536, "longest_edge": 16_777_216})
    processor = t.Qwen3VLProcessor(images, tokenizer, t.Qwen3VLVideoProcessor(), chat_template=CHATML)
    rope = {"rope_type": "default", "rope_theta": 10_000.0, "mrope_section": [4, 2, 2], "mrope_interleaved": True}
    config = t.Qwen3VLConfig(
        text_config=_text(tokenizer, **{"head_dim": 16, "rope_parameters": rope, **sizes.get("text", {})}),
        vision_config={
            "depth": 2, "hidden_size": 64, "num_heads": 4, "intermediate_size": 128, "out_hidden_size": 64, "patch_size": 16,
            "num_position_embeddings": 2304, "deepstack_visual_indexes": [0, 1], **sizes.get("vision", {}),
        },
        **_qwen_ids(tokenizer),
    )  # fmt: skip
    _save(t.Qwen3VLForConditionalGeneration(config), processor, path)


def _qwen3_embedding(path: Path, small: bool, sizes: Sizes = {}) -> None:  # noqa: B006
    """As the published one is saved: pooling of the last token, and normalisation."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer

    bare = path.with_name(path.name + "-bare")
    _qwen3(bare, small, sizes)
    model = Transformer(str(bare))
    pooling = Pooling(model.get_embedding_dimension(), pooling_mode="lasttoken")
    SentenceTransformer(modules=[model, pooling, Normalize()], device="cpu").save_pretrained(str(path))


def _colqwen3(path: Path, small: bool) -> None:
    """Late interaction as sentence-transformers saves it: a language model, a projection, and no class of its own."""
    from sentence_transformers import MultiVectorEncoder

    bare = path.with_name(path.name + "-bare")
    _qwen3(bare, small)
    MultiVectorEncoder(str(bare), device="cpu").save_pretrained(str(path))


def _colqwen25(path: Path, small: bool) -> None:
    import transformers as t
    from sentence_transformers import MultiVectorEncoder

    tokenizer = _tokenizer(_QWEN, eos_token="<|im_end|>", pad_token="<|endoftext|>", padding_side="left")
    tokenizer.chat_template = CHATML
    limits = {"shortest_edge": 4 * 28 * 28, "longest_edge": (64 if small else 768) * 28 * 28}
    images = t.Qwen2VLImageProcessor(size=limits)
    processor = t.Qwen2_5_VLProcessor(images, tokenizer, t.Qwen2VLVideoProcessor(), chat_template=CHATML)
    rope = {"rope_type": "default", "rope_theta": 10_000.0, "mrope_section": [2, 3, 3]}
    config = t.Qwen2_5_VLConfig(
        text_config=_text(tokenizer, rope_parameters=rope),
        vision_config={
            "depth": 2, "hidden_size": 64, "num_heads": 4, "intermediate_size": 128, "out_hidden_size": 64, "patch_size": 14,
            "fullatt_block_indexes": [1],
        },
        **_qwen_ids(tokenizer),
    )  # fmt: skip
    bare = path.with_name(path.name + "-bare")
    _save(t.Qwen2_5_VLForConditionalGeneration(config), processor, bare)
    MultiVectorEncoder(str(bare), device="cpu").save_pretrained(str(path))


def _colsmol(path: Path, small: bool) -> None:
    """ColSmol, ColIdefics3: tiles of 512 pixels, 64 tokens each."""
    import transformers as t
    from sentence_transformers import MultiVectorEncoder

    tokenizer = _tokenizer(
        ["<|im_start|>", *_VBERT], bos_token="<|im_start|>", eos_token="<end_of_utterance>", unk_token="<unk>",
        pad_token="<pad>", padding_side="left",
    )  # fmt: skip
    template = CHATML.replace("<|vision_start|><|image_pad|><|vision_end|>", "<image>").replace(
        "<|im_end|>", "<end_of_utterance>"
    )
    images = t.Idefics3ImageProcessor(
        size={"longest_edge": 512 if small else 2048}, max_image_size={"longest_edge": 512}, do_image_splitting=True
    )
    processor = t.Idefics3Processor(images, tokenizer, image_seq_len=64, chat_template=template)
    config = t.Idefics3Config(
        text_config=_text(tokenizer, model_type="llama"),
        vision_config={**_TOWER, "image_size": 512, "patch_size": 16}, scale_factor=4,
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"), pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    bare = path.with_name(path.name + "-bare")
    _save(t.Idefics3ForConditionalGeneration(config), processor, bare)
    MultiVectorEncoder(str(bare), device="cpu").save_pretrained(str(path))


_PROJECTIONS = r".*(q_proj|v_proj|embedding_proj_layer)$"


def _colqwen2_lora(path: Path, small: bool) -> None:
    """As colpali-engine publishes: the adapter, and a base of its own."""
    import peft
    import transformers as t

    base = path.with_name(path.name + "-base")
    _colqwen2(base, small)
    model = t.ColQwen2ForRetrieval.from_pretrained(base)
    config = peft.LoraConfig(r=4, lora_alpha=1, init_lora_weights=False, target_modules=_PROJECTIONS)
    peft.get_peft_model(model, config).save_pretrained(str(path))
    t.AutoProcessor.from_pretrained(base).save_pretrained(path)


def _colqwen25_lora(path: Path, small: bool) -> None:
    import peft
    from sentence_transformers import MultiVectorEncoder

    base = path.with_name(path.name + "-base")
    _colqwen25(base, small)
    model = MultiVectorEncoder(str(base), device="cpu")
    model.save_pretrained(str(path))
    for name in ("config.json", "model.safetensors"):  # an adapter stands in their place
        (path / name).unlink()
    config = peft.LoraConfig(r=4, lora_alpha=1, init_lora_weights=False, target_modules=_PROJECTIONS)
    # not by the model's own add_adapter, which wants a newer peft than there may be
    peft.get_peft_model(model.transformers_model, config).save_pretrained(str(path))


def _siglip(path: Path, small: bool) -> None:
    import transformers as t

    tokenizer = _tokenizer(["<pad>", "</s>", "<unk>"], eos_token="</s>", pad_token="<pad>", unk_token="<unk>")
    tokenizer.model_max_length = 64
    images = t.SiglipImageProcessor(size={"height": 128, "width": 128})
    text = {
        **_TOWER, "vocab_size": len(tokenizer), "max_position_embeddings": 64, "projection_size": 64,
        "bos_token_id": 1, "eos_token_id": 1, "pad_token_id": 0,
    }  # fmt: skip
    config = t.SiglipConfig(text_config=text, vision_config={**_TOWER, "image_size": 128, "patch_size": 16})
    _save(t.SiglipModel(config), t.SiglipProcessor(images, tokenizer), path)
