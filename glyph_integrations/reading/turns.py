"""What a model is sent: a list of turns; a turn is a role and parts. Adapters translate messages to turns and back."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any, Literal, NamedTuple

from ..page import Page
from .excerpts import lines_text
from .tags import outside_tags

Role = Literal["system", "user", "assistant", "tool"]
ROLES: tuple[Role, ...] = ("system", "user", "assistant", "tool")


class TextPart(NamedTuple):
    """Plain text."""

    text: str


class PagePart(NamedTuple):
    """A page, sent as an image drawn at ``dpi`` (None: the dpi of the page's own style), whole or only its ``lines`` (first and
    last, from 1)."""

    page: Page
    dpi: int | None = None
    lines: tuple[int, int] | None = None

    @property
    def text(self) -> str:
        """The text that the image shows."""
        return lines_text(self.page, self.lines) if self.lines else self.page.text


class PicturePart(NamedTuple):
    """A picture that is not ours: the bytes of an image file and their media type."""

    data: bytes
    media_type: str = "image/png"

    def __repr__(self) -> str:
        return f"PicturePart({len(self.data)} bytes, {self.media_type!r})"


class OpaquePart(NamedTuple):
    """Anything else (audio, reasoning, a provider's own block): passed through untouched."""

    value: Any


Part = TextPart | PagePart | PicturePart | OpaquePart


class ToolCall(NamedTuple):
    """A tool the model wants called. ``arguments`` is the JSON text exactly as the model wrote it."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True)
class Turn:
    """One message: who speaks, and what.

    ``Turn("user", "Who is Mr. Collins?")`` is a turn with one text part.

    Attributes:
        role: ``system | user | assistant | tool``.
        parts: the content, in order. A plain string becomes one `TextPart`; an empty string none.
        tool_calls: on an assistant turn, the tools it called.
        tool_call_id: on a tool turn, the call it answers.
        name: the speaker's or tool's name, where the protocol has one.
        origin: whatever an adapter needs to rebuild its own message; nothing in this package reads it. A turn that was
            added (for images of a tool result) has None.

    Raises:
        ValueError: an unknown role.
    """

    role: Role
    parts: tuple[Part, ...]
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    name: str | None = None
    origin: Any = field(default=None, compare=False, repr=False)

    def __init__(
        self,
        role: Role,
        parts: str | Iterable[Part],
        tool_calls: Iterable[ToolCall] = (),
        tool_call_id: str | None = None,
        name: str | None = None,
        origin: Any = None,
    ) -> None:
        if role not in ROLES:
            raise ValueError(f"unknown role {role!r}: choose one of {', '.join(ROLES)}")
        if isinstance(parts, str):
            parts = (TextPart(parts),) if parts else ()
        values: dict[str, Any] = {"role": role, "parts": tuple(parts), "tool_calls": tuple(tool_calls)}
        values |= {"tool_call_id": tool_call_id, "name": name, "origin": origin}
        for key, value in values.items():
            object.__setattr__(self, key, value)

    @property
    def text(self) -> str:
        """The text parts, separated by an empty line."""
        return "\n\n".join(p.text for p in self.parts if isinstance(p, TextPart))

    @property
    def pages(self) -> tuple[Page, ...]:
        """The pages among the parts, in order."""
        return tuple(p.page for p in self.parts if isinstance(p, PagePart))

    def with_parts(self, parts: Iterable[Part]) -> Turn:
        """The same turn with other content; role, calls, name and origin stay."""
        return replace(self, parts=tuple(parts))


_PAGE_TEXT = re.compile(r"Page \d+(?: of [^\n]+|, lines \d+-\d+)?[ \t]*\n")
_PAGE_LABEL = re.compile(r"(?:\A|\n)Page \d+(?: of [^\n]+|, lines \d+-\d+)?\s*\Z")
_LABEL = r"(?:question|query|问题|問題|질문|質問|вопрос|frage|pregunta)"
_LABELLED_QUESTION = re.compile(rf"^[ \t>*#]*{_LABEL}[ \t*]*[:：][ \t*]*(\S.*(?:\n(?![^\n]{{0,30}}[:：]).+)*)", re.I | re.M)


def question_of(turns: Sequence[Turn]) -> str:
    """What is being asked: the last user turn that has text after its pages, and after its pictures where these are labelled as
    pages or have text after them; of that text the last paragraph labelled ``Question:`` or ``Query:`` where a prompt template
    wrote one, else all of it, outside page tags and page markers."""
    for turn in reversed(turns):
        if turn.role != "user":
            continue
        last_page = max((i for i, p in enumerate(turn.parts) if isinstance(p, PagePart)), default=-1)
        last_image = max((i for i, p in enumerate(turn.parts) if isinstance(p, PagePart | PicturePart)), default=-1)
        text = _said(turn.parts[last_image + 1 :])
        if not text and not any(_labels_a_picture(*pair) for pair in pairwise(turn.parts)):
            text = _said(turn.parts[last_page + 1 :])
        if text:
            labelled = _LABELLED_QUESTION.findall(text)
            return str(labelled[-1]).strip() if labelled else text
    return ""


def _said(parts: Sequence[Part]) -> str:
    """The text of parts, without pages that go as text before it."""
    texts = [part.text for part in parts if isinstance(part, TextPart)]
    while len(texts) > 1 and _PAGE_TEXT.match(texts[0]):
        texts.pop(0)
    return outside_tags("\n\n".join(texts)).strip()


def _labels_a_picture(part: Part, following: Part) -> bool:
    return isinstance(part, TextPart) and isinstance(following, PicturePart) and bool(_PAGE_LABEL.search(part.text))
