"""An answer's reasoning, and the marks that a family's models put around the answer, split off it."""

from __future__ import annotations

from ...vision import ChatForm
from ..turns import OpaquePart, Part

_THINK = ("<think>", "</think>")  # of any model


def split_thinking(text: str, form: ChatForm | None = None) -> tuple[str, str]:
    """A whole answer as its reasoning and the rest. Chat templates may begin the reasoning in the prompt, so that an answer
    has only its end."""
    begin, end = (form and form.thinking) or _THINK
    head, close, _ = text.partition(end)
    splitter = ThinkingSplitter(form, opened=bool(close) and begin not in head)
    parts = [splitter.feed(text), splitter.finish()]
    return "".join(reasoning for reasoning, _ in parts).strip(), "".join(answer for _, answer in parts)


def begins_thinking(prompt: str, form: ChatForm) -> bool:
    """Whether a prompt ends in the beginning of the answer's reasoning."""
    return prompt.rstrip().endswith((form.thinking or _THINK)[0])


class ThinkingSplitter:
    """`split_thinking` for an answer that arrives piece by piece. Only reasoning at the very start is seen as such.

    Args:
        form: the marks of the model's family; None: ``<think>`` and ``</think>``.
        opened: whether the prompt has begun the reasoning.
    """

    def __init__(self, form: ChatForm | None = None, *, opened: bool = False) -> None:
        form = form or ChatForm()
        self._begin, self._end = form.thinking or _THINK
        self._wrapping = form.wrapping
        self._marks = form.marks
        self._state = "opened" if opened else "start"
        self._held = ""
        self._reasoned = False

    def feed(self, text: str) -> tuple[str, str]:
        """New reasoning and new answer text. What may be part of a mark is held back until the next call."""
        self._held += text
        reasoning = ""
        if self._state in ("start", "opened"):
            begun = self._held.lstrip()
            if self._begin.startswith(begun) and begun != self._begin:  # also when nothing came yet
                return "", ""
            if begun.startswith(self._begin):
                self._state, self._held = "thinking", begun.removeprefix(self._begin)
            else:
                self._state = "thinking" if self._state == "opened" else "answer"
        if self._state == "thinking":
            self._held = self._held if self._reasoned else self._held.lstrip()
            reasoning, close, rest = self._held.partition(self._end)
            self._reasoned = self._reasoned or bool(reasoning)
            if not close:
                keep = overlap(reasoning, (self._end,))
                self._held = reasoning[len(reasoning) - keep :]
                return reasoning[: len(reasoning) - keep], ""
            self._state, self._held = "after", rest
        if self._state == "after":
            self._held = self._held.lstrip()
            opening = self._wrapping[0] if self._wrapping else ""
            if not self._held or (opening.startswith(self._held) and opening != self._held):
                return reasoning, ""
            if self._wrapping and self._held.startswith(opening):
                self._held = self._held.removeprefix(opening).lstrip()
                self._marks = (*self._marks, self._wrapping[1])
            self._state = "answer"
        for mark in self._marks:
            self._held = self._held.replace(mark, "")
        keep = overlap(self._held, self._marks)
        answer, self._held = self._held[: len(self._held) - keep], self._held[len(self._held) - keep :]
        return reasoning, answer

    def finish(self) -> tuple[str, str]:
        """What was still held back."""
        held, self._held = self._held, ""
        return (held, "") if self._state in ("thinking", "opened") else ("", held)


def overlap(text: str, marks: tuple[str, ...]) -> int:
    """How many characters at the end of a text may be the beginning of one of the marks."""
    longest = min(len(text), max(map(len, marks), default=1) - 1)
    return next((n for n in range(longest, 0, -1) if any(m.startswith(text[len(text) - n :]) for m in marks if len(m) > n)), 0)


def is_reasoning(part: Part) -> bool:
    """Whether a part is reasoning of an earlier answer, which is not sent again."""
    return isinstance(part, OpaquePart) and isinstance(part.value, dict) and part.value.get("type") in ("reasoning", "thinking")
