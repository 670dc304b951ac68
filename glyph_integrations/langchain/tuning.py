"""Chat models in a search for a page style: `as_advisor` proposes styles, `as_page_asker` reads pages."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import HumanMessage

from ..tuning import Advisor, Ask


def as_advisor(llm: BaseChatModel) -> Advisor:
    """A chat model as the ``advisor`` of a `StyleSearch`."""

    def advise(prompt: str) -> str:
        return str(llm.invoke([HumanMessage(prompt)]).text)

    return advise


def as_page_asker(llm: BaseChatModel) -> Ask:
    """A vision chat model as what `TranscriptionEvaluator`, `NeedleEvaluator` and `QuestionEvaluator` ask. Pages go as standard
    image blocks."""

    def ask(pictures: Sequence[bytes], question: str) -> str:
        blocks: list[str | dict[str, str]] = [
            {"type": "image", "base64": b64encode(png).decode("ascii"), "mime_type": "image/png"} for png in pictures
        ]
        return str(llm.invoke([HumanMessage(content=[*blocks, {"type": "text", "text": question}])]).text)

    return ask
