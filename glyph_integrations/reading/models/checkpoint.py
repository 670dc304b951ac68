"""A model of the transformers library and its processor, loaded on a device: all that is asked of torch is asked here."""

from __future__ import annotations

import contextlib
import copy
import importlib.util
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from os import PathLike, fspath
from typing import Any

from ...accelerator import best_device, out_of_memory
from ...errors import MissingExtraError, ModelError
from ...vision import VisionProfile
from .chat_prompt import ChatPrompt

_OF_PROCESSOR = ("cache_dir", "local_files_only", "revision", "subfolder", "token", "trust_remote_code")
SLACK = 2  # tokens a picture may differ from a profile: a template puts a space or a newline beside it, or they melt together
_PAGES = ((588, 840), (784, 1120), (1190, 1684))  # pixels; at 72, 96 and 144 dpi


@dataclass(frozen=True)
class Checkpoint:
    """See `Checkpoint.load`."""

    model: Any
    processor: Any
    name: str

    @classmethod
    def load(cls, model: Any, processor: Any, device: str | None, dtype: str | None, options: Mapping[str, Any]) -> Checkpoint:
        """A model by repository id or folder, or as loaded by the caller.

        Raises:
            MissingExtraError: torch, transformers or something that the processor needs is not installed.
            ModelError: it cannot be loaded, or is not what `TransformersModel` needs.
        """
        for package in ("torch", "transformers"):
            if importlib.util.find_spec(package) is None:
                raise MissingExtraError(package, "transformers")
        if not isinstance(model, str | PathLike):
            if processor is None:
                raise ModelError("a loaded model needs its processor: TransformersModel(model, processor)")
            name = str(getattr(model, "name_or_path", "") or type(model).__name__)
            return cls(model.eval(), _checked(processor), name)
        name = fspath(model)
        options = {"trust_remote_code": False, **options}  # unsaid, transformers would ask at the terminal
        if processor is None:
            processor = _load_processor(name, {key: options[key] for key in _OF_PROCESSOR if key in options})
        return cls(_load_model(name, device, dtype, options), _checked(processor), name)

    @property
    def device(self) -> str:
        """Where the model's inputs go."""
        return str(self.model.device)

    @property
    def dtype(self) -> str:
        """Of the weights, such as ``bfloat16``."""
        return str(self.model.dtype).removeprefix("torch.")

    def vision(self) -> VisionProfile:
        """How the model counts images: the profile of its family where the processor agrees with it, else the processor's own;
        with the model's own context window."""
        from ...vision.processors import family_of

        own, family = VisionProfile.from_processor(self.processor), family_of(self.processor)
        profile = family if family and all(abs(family.count(*page) - own.count(*page)) <= SLACK for page in _PAGES) else own
        windows = [window for window in (profile.context_window, self.context_window()) if window]
        return replace(profile, context_window=min(windows, default=None))

    def context_window(self) -> int | None:
        """Positions that the model knows."""
        found = getattr(self.model.config.get_text_config(), "max_position_embeddings", None)
        return found if isinstance(found, int) else None

    def end_tokens(self) -> frozenset[int]:
        """Tokens that end an answer."""
        ends = self.model.generation_config.eos_token_id
        found = [*(ends if isinstance(ends, list) else [ends]), self.processor.tokenizer.eos_token_id]
        return frozenset(token for token in found if token is not None)

    def count_text(self, text: str) -> int:
        """Tokens of a rendered prompt without pictures."""
        return len(self.processor.tokenizer(text, add_special_tokens=not self._begun(text))["input_ids"])

    def encode(self, prompts: Sequence[ChatPrompt]) -> tuple[Any, list[int]]:
        """Prompts as the model's inputs, and how many tokens each has."""
        images = [list(prompt.images) for prompt in prompts]
        inputs = self.processor(
            text=[prompt.text for prompt in prompts],
            images=images if any(images) else None,
            padding=True,
            padding_side="left",
            add_special_tokens=not self._begun(prompts[0].text),
            return_tensors="pt",
        )
        tokens: list[int] = inputs["attention_mask"].sum(dim=1).tolist()
        return inputs.to(self.model.device), tokens

    def generate(
        self, inputs: Any, max_tokens: int, ends: Collection[int], options: Mapping[str, Any], watch: Callable[..., Any]
    ) -> None:
        """Make tokens until ``watch``, called with all tokens after each new one, says of each prompt that it is done."""
        from transformers import StoppingCriteriaList

        config = copy.deepcopy(self.model.generation_config)
        temperature = options.get("temperature") or None
        pad = config.pad_token_id if config.pad_token_id is not None else self.processor.tokenizer.pad_token_id
        config.update(
            do_sample=temperature is not None, num_beams=1, max_length=None, max_new_tokens=max_tokens,
            eos_token_id=sorted(ends) or None, pad_token_id=next(iter(ends), None) if pad is None else pad,
        )  # fmt: skip
        chosen = {key: options[key] for key in ("top_p", "top_k", "min_p") if key in options and temperature is not None}
        chosen |= {"temperature": temperature} if temperature is not None else {}
        chosen |= {"repetition_penalty": options["repetition_penalty"]} if "repetition_penalty" in options else {}
        chosen |= {"min_new_tokens": options["min_tokens"]} if "min_tokens" in options else {}
        config.update(**chosen)
        with self._seeded(options.get("seed") if temperature is not None else None):
            self.model.generate(**inputs, generation_config=config, stopping_criteria=StoppingCriteriaList([watch]))

    @contextlib.contextmanager
    def _seeded(self, seed: int | None) -> Iterator[None]:
        """Random numbers by a seed, without changing anybody else's."""
        import torch

        if seed is None:
            yield
            return
        device = self.model.device
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            torch.manual_seed(seed)
            yield

    def _begun(self, text: str) -> bool:
        """Whether a chat template has written the token that begins a text, so that the tokenizer need not."""
        begin = self.processor.tokenizer.bos_token
        return bool(begin) and text.startswith(begin)


def _checked(processor: Any) -> Any:
    if not hasattr(processor, "image_processor") or not hasattr(processor, "tokenizer"):
        raise ModelError(
            f"{type(processor).__name__} is no processor of text and pictures; "
            "pass a vision-language model, and what transformers.AutoProcessor.from_pretrained returns"
        )
    return processor


def _load_processor(name: str, options: Mapping[str, Any]) -> Any:
    from transformers import AutoProcessor

    try:
        return AutoProcessor.from_pretrained(name, **options)
    except ImportError as error:  # the message is a page long
        needed = next((package for package in ("torchvision", "num2words") if package in str(error).lower()), None)
        if needed:
            raise MissingExtraError(needed, "transformers") from error
        raise _not_loaded(name, error) from error
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise _not_loaded(name, error) from error


def _load_model(name: str, device: str | None, dtype: str | None, options: Mapping[str, Any]) -> Any:
    import torch
    from transformers import AutoModelForImageTextToText

    device = device or best_device()
    try:
        weights = _best_dtype(device) if dtype is None else getattr(torch, dtype.removeprefix("torch."))
        # with accelerate the weights go to the device one by one; without it the machine holds them all first
        mapped = device != "cpu" and (device == "auto" or importlib.util.find_spec("accelerate") is not None)
        placed = {"device_map": device} if mapped else {}
        model = AutoModelForImageTextToText.from_pretrained(name, dtype=weights, **{**placed, **options})
        return (model if mapped or "device_map" in options else model.to(device)).eval()
    except (OSError, ValueError, KeyError, RuntimeError, ImportError, AttributeError, AssertionError) as error:
        if out_of_memory(error):
            raise ModelError(
                f"the memory of {device} does not hold {name}; load it in a smaller dtype, with quantization_config in "
                "load_options, or on another device"
            ) from error
        raise _not_loaded(name, error) from error


def _not_loaded(name: str, error: Exception) -> ModelError:
    reason = " ".join(str(error).split())[:300]
    return ModelError(
        f"cannot load {name} as a vision-language model of transformers: {reason}; check the name or folder, the device and "
        "the dtype (load_options go to from_pretrained)"
    )


def _best_dtype(device: str) -> Any:
    import torch

    if device == "cpu" or (device == "auto" and best_device() == "cpu"):
        return torch.float32
    cuda = device.startswith("cuda") or (device == "auto" and best_device() == "cuda")
    return torch.float16 if cuda and not torch.cuda.is_bf16_supported() else torch.bfloat16
