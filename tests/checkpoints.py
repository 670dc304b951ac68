"""Tiny checkpoints of real vision-language architectures: real classes and patch sizes, half a million random weights.

The chat templates do what the published ones do where that matters to a caller: some want a turn's content as a string, some
as a list, some refuse system turns or two user turns in a row.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vision_processors import real_processor

THINKING = ["<think>", "</think>", "<answer>", "</answer>", "<|begin_of_box|>", "<|end_of_box|>"]  # words of GLM, not special
_GLM = """[gMASK]<sop>
{%- for m in messages %}
{%- if m.role == 'system' %}<|system|>
{{ m.content }}
{%- elif m.role == 'assistant' %}<|assistant|>
{{ m.content }}
{%- elif m.role == 'user' %}<|user|>
{% if m.content is string %}{{ m.content }}{% else %}
{%- for part in m.content %}
{%- if part.type == 'image' %}<|begin_of_image|><|image|><|end_of_image|>{% endif %}
{%- if part.type == 'text' %}{{ part.text }}{% endif %}
{%- endfor %}{% endif %}
{%- endif %}
{%- endfor %}
{% if add_generation_prompt %}<|assistant|>
{% endif %}"""
CHATML = """{% for m in messages %}<|im_start|>{{ m.role }}
{% if m.content is string %}{{ m.content }}{% else %}{% for part in m.content -%}
{% if part.type == 'image' %}<|vision_start|><|image_pad|><|vision_end|>{% elif part.type == 'text' %}{{ part.text }}{% endif %}
{%- endfor %}{% endif %}<|im_end|>
{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""
_PIXTRAL = """{{ bos_token }}{% for m in messages %}
{%- if (m.role == 'user') != (loop.index0 % 2 == 0) %}
{{- raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}
{%- endif %}
{%- if m.role == 'user' %}[INST]{% if m.content is string %}{{ m.content }}{% else %}{% for part in m.content %}
{%- if part.type == 'image' %}[IMG]{% else %}{{ part.text }}{% endif %}{% endfor %}{% endif %}[/INST]
{%- else %}{% if m.content is string %}{{ m.content }}{% else %}{{ m.content[0].text }}{% endif %}{{ eos_token }}{% endif %}
{%- endfor %}"""
_SMOLVLM = """<|im_start|>{% for m in messages %}{{ m.role | capitalize }}
{%- if m.content[0].type == 'image' %}:{% else %}: {% endif %}
{%- for part in m.content %}{% if part.type == 'text' %}{{ part.text }}{% elif part.type == 'image' %}<image>{% endif %}
{%- endfor %}
{{- '<end_of_utterance>\n' }}
{%- endfor %}{% if add_generation_prompt %}Assistant:{% endif %}"""
_INTERNVL = CHATML.replace("<|vision_start|><|image_pad|><|vision_end|>", "<IMG_CONTEXT>\n")
_GEMMA = """<bos>{% for m in messages %}<start_of_turn>{{ 'model' if m.role == 'assistant' else m.role }}
{% if m.content is string %}{{ m.content }}{% else %}{% for part in m.content -%}
{% if part.type == 'image' %}<start_of_image>{% else %}{{ part.text }}{% endif %}
{%- endfor %}{% endif %}<end_of_turn>
{% endfor %}{% if add_generation_prompt %}<start_of_turn>model
{% endif %}"""
CHAT = {  # template, begin, end of text, pad, and control tokens that the processors do not need
    "glm-4.1v": (_GLM, None, "<|user|>", "[gMASK] <sop> <|system|> <|user|> <|assistant|> <|observation|>"),
    "qwen2-vl": (CHATML, None, "<|im_end|>", "<|im_start|> <|im_end|>"),
    "qwen2.5-vl": (CHATML, None, "<|im_end|>", "<|im_start|> <|im_end|>"),
    "qwen3-vl": (CHATML, None, "<|im_end|>", "<|im_start|> <|im_end|>"),
    "pixtral": (_PIXTRAL, "<s>", "</s>", "<s> </s> [INST] [/INST]"),
    "smolvlm": (_SMOLVLM, None, "<end_of_utterance>", "<|im_start|>"),
    "deepseek-ocr-2": (None, "<bos>", "<eos>", "<bos> <eos> <|grounding|>"),
    "internvl3": (_INTERNVL, None, "<|im_end|>", "<|im_start|> <|im_end|>"),
    "gemma-3": (_GEMMA, "<bos>", "<eos>", "<bos> <eos> <start_of_turn> <end_of_turn>"),
}
FAMILIES = tuple(CHAT)
NAMES = {"glm-4.1v": "GLM-4.1V-tiny", "qwen2.5-vl": "Qwen2.5-VL-tiny", "deepseek-ocr-2": "DeepSeek-OCR-2-tiny"}


def chat_processor(family: str) -> Any:
    """The family's processor with a chat template and the tokens it writes."""
    from tokenizers import decoders

    template, begin, end, control = CHAT[family]
    processor = real_processor(family)
    tokenizer = processor.tokenizer
    tokenizer.backend_tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_tokens(control.split(), special_tokens=True)
    tokenizer.add_tokens(THINKING)
    tokenizer.bos_token, tokenizer.eos_token, tokenizer.padding_side = begin, end, "left"
    tokenizer.chat_template = processor.chat_template = template
    return processor


def build(family: str, folder: Path) -> Path:
    """Save a checkpoint of a family, and return its folder."""
    import torch
    import transformers as t

    processor = chat_processor(family)
    torch.manual_seed(0)
    config = _config(family, processor)
    model = t.AutoModelForImageTextToText.from_config(config)
    if family in ("glm-4.1v", "qwen2.5-vl"):  # larger weights, so that answers differ from prompt to prompt
        with torch.no_grad():
            for layer in model.model.language_model.layers.parameters():
                layer.mul_(10 if layer.ndim == 2 else 1)
    if family == "gemma-3":  # initialised to zero, so that pictures would not matter
        torch.nn.init.normal_(model.model.multi_modal_projector.mm_input_projection_weight, 0, 0.1)
    return _save(model, processor, folder / NAMES.get(family, f"{family}-tiny"))


def build_reciter(folder: Path, said: str, name: str = "Qwen2.5-VL-reciter") -> Path:
    """A checkpoint of Qwen2.5-VL that answers anything with ``said`` and then ends: each token leads to the next, whatever
    came before. So no token may occur twice; characters are tokens of their bytes, and `THINKING` are tokens.
    """
    import torch
    import transformers as t

    processor = chat_processor("qwen2.5-vl")
    tokenizer = processor.tokenizer
    torch.manual_seed(0)
    model = t.AutoModelForImageTextToText.from_config(_config("qwen2.5-vl", processor))
    chain = [*tokenizer.encode("\n"), *tokenizer.encode(said), tokenizer.eos_token_id]  # a prompt ends in a new line
    assert len(set(chain)) == len(chain), f"{said!r} has a token twice"
    with torch.no_grad():
        for layer in model.model.language_model.layers:  # layers add nothing: what comes out is the last token's embedding
            layer.self_attn.o_proj.weight.zero_()
            layer.mlp.down_proj.weight.zero_()
        embeddings = model.get_input_embeddings().weight
        embeddings.normal_()
        model.lm_head.weight.zero_()
        model.lm_head.weight[chain[1:]] = torch.nn.functional.normalize(embeddings[chain[:-1]])
    return _save(model, processor, folder / name)


def _save(model: Any, processor: Any, folder: Path) -> Path:
    tokenizer = processor.tokenizer
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    model.generation_config.bos_token_id = tokenizer.bos_token_id
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def _config(family: str, processor: Any) -> Any:
    import transformers as t

    tokenizer = processor.tokenizer

    def token(content: str) -> int:
        found: int = tokenizer.convert_tokens_to_ids(content)
        assert found is not None and found != tokenizer.unk_token_id, f"no token {content}"
        return found

    def rope(**more: Any) -> dict[str, Any]:
        return {"rope_type": "default", "rope_theta": 10_000.0, **more}

    text: dict[str, Any] = {
        "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4,
        "num_key_value_heads": 2, "max_position_embeddings": 32_768, "vocab_size": len(tokenizer),
        "bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id,
        "tie_word_embeddings": False,
    }  # fmt: skip
    vision: dict[str, Any] = {"depth": 2, "hidden_size": 64, "num_heads": 4, "intermediate_size": 128, "out_hidden_size": 64}
    tower = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4}
    qwen = {
        "vision_start_token_id": "<|vision_start|>", "vision_end_token_id": "<|vision_end|>",
        "image_token_id": "<|image_pad|>", "video_token_id": "<|video_pad|>",
    }  # fmt: skip
    qwen_ids = {key: token(content) for key, content in qwen.items()}
    match family:
        case "glm-4.1v":
            names = ("image", "video", "image_start", "image_end", "video_start", "video_end")
            tokens = (
                "<|image|>",
                "<|video|>",
                "<|begin_of_image|>",
                "<|end_of_image|>",
                "<|begin_of_video|>",
                "<|end_of_video|>",
            )
            return t.Glm4vConfig(
                text_config={**text, "rope_parameters": rope(partial_rotary_factor=0.5, mrope_section=[1, 1, 2])},
                vision_config={**vision, "image_size": 336, "patch_size": 14, "spatial_merge_size": 2},
                **{f"{name}_token_id": token(content) for name, content in zip(names, tokens, strict=True)},
            )
        case "qwen2-vl":
            narrow = {"depth": 2, "embed_dim": 64, "num_heads": 4, "hidden_size": 64, "mlp_ratio": 2, "patch_size": 14}
            return t.Qwen2VLConfig(
                text_config={**text, "rope_parameters": rope(mrope_section=[2, 3, 3])}, vision_config=narrow, **qwen_ids
            )
        case "qwen2.5-vl":
            return t.Qwen2_5_VLConfig(
                text_config={**text, "rope_parameters": rope(mrope_section=[2, 3, 3])},
                vision_config={**vision, "window_size": 112, "fullatt_block_indexes": [1]},
                tie_word_embeddings=False, **qwen_ids,
            )  # fmt: skip
        case "qwen3-vl":
            interleaved = rope(mrope_section=[4, 2, 2], mrope_interleaved=True)
            return t.Qwen3VLConfig(
                text_config={**text, "head_dim": 16, "rope_parameters": interleaved},
                vision_config={**vision, "patch_size": 16, "num_position_embeddings": 2304, "deepstack_visual_indexes": [0, 1]},
                **qwen_ids,
            )
        case "pixtral":
            axial = {"rope_type": "axial", "rope_theta": 10_000.0}
            return t.LlavaConfig(
                text_config={**text, "model_type": "mistral", "head_dim": 16},
                vision_config={**tower, "model_type": "pixtral", "image_size": 1024, "rope_parameters": axial},
                image_token_index=token("[IMG]"), vision_feature_layer=-1, vision_feature_select_strategy="full",
                image_seq_length=1,
            )  # fmt: skip
        case "smolvlm":
            return t.SmolVLMConfig(
                text_config={**text, "model_type": "llama"}, vision_config={**tower, "image_size": 512, "patch_size": 16},
                scale_factor=4, image_token_id=token("<image>"), pad_token_id=tokenizer.pad_token_id,
            )  # fmt: skip
        case "internvl3":
            return t.InternVLConfig(
                text_config={**text, "model_type": "qwen2"},
                vision_config={**tower, "image_size": [448, 448], "patch_size": [14, 14]},
                image_token_id=token("<IMG_CONTEXT>"), image_seq_length=256, downsample_ratio=0.5,
            )  # fmt: skip
        case "gemma-3":
            layers = {"layer_types": ["sliding_attention", "full_attention"], "sliding_window": 512}
            siglip = {"model_type": "siglip_vision_model", "image_size": 896, "patch_size": 14, "vision_use_head": False}
            return t.Gemma3Config(
                text_config={**text, "head_dim": 16, **layers}, vision_config={**tower, **siglip}, mm_tokens_per_image=256,
                image_token_index=token("<image_soft_token>"), boi_token_index=token("<start_of_image>"),
                eoi_token_index=token("<end_of_image>"),
            )  # fmt: skip
        case "deepseek-ocr-2":
            experts = {
                "num_key_value_heads": 4, "n_routed_experts": 4, "n_shared_experts": 1, "num_experts_per_tok": 2,
                "moe_intermediate_size": 32, "mlp_layer_types": ["dense", "sparse"], "n_group": 1, "topk_group": 1,
            }  # fmt: skip
            sam = {
                "hidden_size": 32, "output_channels": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "window_size": 14,
                "global_attn_indexes": [1], "mlp_ratio": 2.0, "downsample_channels": [32, 64], "initializer_range": 0.02,
            }  # fmt: skip
            return t.DeepseekOcr2Config(
                text_config={**text, **experts},
                vision_config={"sam_config": sam, "encoder_config": {**tower, "num_key_value_heads": 2}},
                image_token_id=token("<image>"),
            )
    raise AssertionError(f"no configuration is known for {family}")


class Checkpoints:
    """Checkpoints by family, each built when it is first asked for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._built: dict[str, Path] = {}

    def __call__(self, family: str) -> Path:
        if family not in self._built:
            self._built[family] = build(family, self._folder)
        return self._built[family]

    def reciter(self, said: str) -> Path:
        """One that answers anything with ``said``; see `build_reciter`."""
        if said not in self._built:
            self._built[said] = build_reciter(self._folder / f"reciter-{len(self._built)}", said)
        return self._built[said]
