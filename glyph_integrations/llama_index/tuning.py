"""LLMs in a search for a page style: `as_advisor` proposes styles, `as_page_asker` reads pages."""

from __future__ import annotations

from collections.abc import Sequence

from llama_index.core.base.llms.types import ChatMessage, ImageBlock, MessageRole, TextBlock
from llama_index.core.llms import LLM

from ..tuning import Advisor, Ask


def as_advisor(llm: LLM) -> Advisor:
    """An LLM as the ``advisor`` of a `StyleSearch`."""

    def advise(prompt: str) -> str:
        return llm.complete(prompt).text

    return advise


def as_page_asker(llm: LLM) -> Ask:
    """A vision LLM as what `TranscriptionEvaluator`, `NeedleEvaluator` and `QuestionEvaluator` ask. Pages go as images."""

    def ask(pictures: Sequence[bytes], question: str) -> str:
        blocks = [ImageBlock(image=png, image_mimetype="image/png") for png in pictures]
        message = ChatMessage(role=MessageRole.USER, blocks=[*blocks, TextBlock(text=question)])
        return llm.chat([message]).message.content or ""

    return ask
