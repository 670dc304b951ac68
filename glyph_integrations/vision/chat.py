"""`ChatForm`: what the models of a family write besides their answer, and what ends it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ChatForm:
    """How a family's models answer, as far as their chat template and generation settings do not say.

    Attributes:
        thinking: what begins and ends their reasoning, in models of the family that reason; None if there are none.
        wrapping: what encloses the answer proper after the reasoning.
        marks: control marks inside an answer that are no part of it.
        stop_tokens: tokens that end an answer, besides those that a checkpoint names itself.
        instructions: what a transcriber can be asked, the usual first; such a model only writes down what one picture
            shows. Empty for models that answer questions.
    """

    thinking: tuple[str, str] | None = None
    wrapping: tuple[str, str] | None = None
    marks: tuple[str, ...] = ()
    stop_tokens: tuple[str, ...] = ()
    instructions: tuple[str, ...] = ()

    @property
    def transcriber(self) -> bool:
        """Whether the models only write down what a picture shows, and answer no questions."""
        return bool(self.instructions)


_THINK = ("<think>", "</think>")
GLM = ChatForm(
    _THINK, ("<answer>", "</answer>"), ("<|begin_of_box|>", "<|end_of_box|>"), ("<|endoftext|>", "<|user|>", "<|observation|>")
)
QWEN = ChatForm(_THINK, stop_tokens=("<|im_end|>", "<|endoftext|>"))
INTERNVL = ChatForm(_THINK, stop_tokens=("<|im_end|>", "<|endoftext|>"))
PIXTRAL = ChatForm(stop_tokens=("</s>",))
GEMMA = ChatForm(stop_tokens=("<end_of_turn>", "<eos>"))
SMOLVLM = ChatForm(stop_tokens=("<end_of_utterance>", "<|im_end|>"))
# The prompts of the model card. The second one adds the places of what it writes down.
DEEPSEEK_OCR = ChatForm(
    stop_tokens=("<｜end▁of▁sentence｜>",), instructions=("Free OCR.", "<|grounding|>Convert the document to markdown.")
)
