"""A page model that summarizes by copying: the first sentence of each page it is shown, cited. It can be told to misbehave."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Sequence
from typing import Any

from glyph_integrations import ExtractiveModel
from glyph_integrations.errors import ModelError
from glyph_integrations.reading import Answer, PagePart, TextPart, Turn
from glyph_integrations.reading.models.quoting import quotable_texts
from glyph_integrations.reading.passages import sentences


class Scribe(ExtractiveModel):
    """Keeps every prompt. ``answer`` overrides what it says: given the turns, a text or None for its own."""

    def __init__(
        self, vision: str | None = "glyph", answer: Callable[[Sequence[Turn]], str | None] = lambda turns: None
    ) -> None:
        super().__init__(vision)
        self.name = "scribe"
        self.prompts: list[list[Turn]] = []
        self._say = answer
        self._lock = threading.Lock()
        self._at_once = 0
        self._most_at_once = 0

    @property
    def most_at_once(self) -> int:
        return self._most_at_once

    def read(self, turns: Sequence[Turn], **options: Any) -> Answer:
        with self._lock:
            self.prompts.append([*turns])
            self._at_once += 1
            self._most_at_once = max(self._most_at_once, self._at_once)
        try:
            said = self._say(turns)
            return super().read(turns, **options) if said is None else Answer(said)
        finally:
            with self._lock:
                self._at_once -= 1

    def _answer(self, turns: Sequence[Turn]) -> str:
        shown = [turns[-1].with_parts(turns[-1].parts[:-1])]
        texts = quotable_texts(shown, "", lambda part: part.text if isinstance(part, PagePart) else None)
        if any(label for label, _ in texts):
            return " ".join(f"{first(text)} [{label.replace('Page', 'p.')}]." for label, text in texts)
        return " ".join(re.findall(r"[^\n]+?\[p\. \d+\]\.", texts[0].text)[:3])


def first(text: str) -> str:
    start, end = sentences(text)[0]
    return " ".join(text[start:end].split()).rstrip(".")


def said_to(turns: Sequence[Turn]) -> str:
    """All text of a prompt, with the text of its pages."""
    return "\n".join(part.text for turn in turns for part in turn.parts if isinstance(part, TextPart | PagePart))


def failing(words: str) -> Callable[[Sequence[Turn]], str | None]:
    """Fails whenever a prompt holds some words."""

    def answer(turns: Sequence[Turn]) -> str | None:
        if words in said_to(turns):
            raise ModelError("the server is on fire")
        return None

    return answer
