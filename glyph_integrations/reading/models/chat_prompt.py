"""Turns -> a prompt as a processor of transformers takes it: the text that its chat template makes, and pictures."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from io import BytesIO
from typing import TYPE_CHECKING, Any, NamedTuple

from ...errors import ModelError
from ...vision import ChatForm
from ..turns import OpaquePart, PagePart, Part, PicturePart, TextPart, Turn
from .addresses import image_address
from .thinking import is_reasoning

if TYPE_CHECKING:
    from PIL import Image

Content = list[dict[str, Any]]
_PROBE = "probe 7"


class ChatPrompt(NamedTuple):
    """What a model is given.

    Attributes:
        text: with one placeholder for each picture.
        images: in the order of their placeholders.
        bare: the text as it would be without pictures, to tell their tokens from others.
    """

    text: str
    images: tuple[Image.Image, ...]
    bare: str


class ChatTemplate:
    """The chat template of a processor, and how it wants its turns.

    Templates differ: some take the content of system and assistant turns as a string, some as a list of parts, and print
    something else for the other, or nothing; some have no system turn; many refuse two user turns in a row. So each role is
    tried once. A system text goes before the first user turn's where there is no other way; results of tools go into user
    turns; neighbouring user turns become one.

    Control tokens of the model that stand in a text (a page about chat templates, an attack) get a space after their first
    character, so that they are text.

    Raises:
        ModelError: the processor has no chat template, or it takes no user turns.
    """

    def __init__(self, processor: Any, form: ChatForm, draw: Callable[[PagePart], Image.Image]) -> None:
        self._processor = processor
        self._form = form
        self._draw = draw
        written = {token.content for token in processor.tokenizer.added_tokens_decoder.values() if token.special}
        written |= {token for token in [getattr(processor, "image_token", None)] if isinstance(token, str)}
        longest_first = sorted((token for token in written if len(token) > 1), key=len, reverse=True)
        self._control = re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")
        if form.transcriber:
            return
        if not getattr(processor, "chat_template", None):
            raise ModelError(
                f"{type(processor).__name__} has no chat template, so it is no chat model; "
                "set processor.chat_template and pass the processor"
            )
        user = {"role": "user", "content": [{"type": "text", "text": "Hello"}]}
        self._system = self._listed([{"role": "system"}, user])
        self._assistant = self._listed([user, {"role": "assistant"}, user])
        if self._listed([{"role": "user"}]) is None:
            raise ModelError(f"the chat template of {type(processor).__name__} writes no user turns")

    def prompt(self, turns: Sequence[Turn], options: Mapping[str, Any]) -> ChatPrompt:
        """The prompt for turns whose pictures stand in user turns.

        Raises:
            ModelError: a part that cannot be sent, a picture that cannot be read, or turns that the template refuses.
        """
        if self._form.transcriber:
            return self._transcription(turns)
        messages = self._messages(turns)
        images = tuple(part.pop("image") for _, content in messages for part in content if part["type"] == "image")
        bare = [(role, [part for part in content if part["type"] == "text"]) for role, content in messages]
        return ChatPrompt(self._render(messages, options), images, self._render(bare, options) if images else "")

    def _transcription(self, turns: Sequence[Turn]) -> ChatPrompt:
        (picture, asked) = turns[0].parts
        assert isinstance(asked, TextPart)
        bare = f"\n{asked.text}"
        return ChatPrompt(f"{self._processor.image_token}{bare}", (self._image(picture),), bare)

    def _messages(self, turns: Sequence[Turn]) -> list[tuple[str, Content]]:
        messages: list[tuple[str, Content]] = []
        waiting: Content = []
        for turn in turns:
            role, content = self._content(turn)
            if not content:
                continue
            if role == "system" and self._system is None:
                waiting += content
                continue
            if role == "user":
                content, waiting = [*waiting, *content], []
                if messages and messages[-1][0] == "user":
                    content = [*messages.pop()[1], *content]
            messages.append((role, _joined(content)))
        if waiting:
            messages.append(("user", waiting))
        return messages

    def _content(self, turn: Turn) -> tuple[str, Content]:
        if turn.role == "tool":
            return "user", [_text(self._plain(f"Result of {turn.name or 'the tool'}:\n{turn.text}"))]
        parts = [self._part(part) for part in turn.parts if not is_reasoning(part)]
        if turn.role == "user":
            return "user", parts
        calls = [f"Call of {call.name}: {call.arguments}" for call in turn.tool_calls]
        text = "\n\n".join([part["text"] for part in parts] + [self._plain(call) for call in calls])
        return turn.role, [_text(text)] if text else []

    def _part(self, part: Part) -> dict[str, Any]:
        if isinstance(part, TextPart):
            return _text(self._plain(part.text))
        return {"type": "image", "image": self._image(part)}

    def _plain(self, text: str) -> str:
        return self._control.sub(lambda found: f"{found[0][0]} {found[0][1:]}", text)

    def _image(self, part: Part) -> Image.Image:
        if isinstance(part, PagePart):
            return self._draw(part)
        if isinstance(part, PicturePart):
            return _opened(part)
        value = part.value if isinstance(part, OpaquePart) else part
        if address := image_address(value):
            raise ModelError(f"an image given by its address ({address}) is not fetched; send its bytes or a data URL")
        raise ModelError(f"a part of type {type(value).__name__} cannot be sent to a local model; leave it out")

    def _render(self, messages: Sequence[tuple[str, Content]], options: Mapping[str, Any]) -> str:
        listed = {"user": True, "system": self._system, "assistant": self._assistant}
        written = [
            {"role": role, "content": (content or [_text("")]) if listed[role] else "".join(part["text"] for part in content)}
            for role, content in messages
        ]
        try:
            text: str = self._processor.apply_chat_template(written, add_generation_prompt=True, tokenize=False, **options)
        except Exception as error:  # templates raise what they like
            raise ModelError(f"the chat template of {type(self._processor).__name__} refuses these turns: {error}") from error
        return text

    def _listed(self, messages: list[dict[str, Any]]) -> bool | None:
        """Whether the template wants the content of the one message without any as a list or as a string; None: neither."""
        for content in ([_text(_PROBE)], _PROBE):
            tried = [message if "content" in message else {**message, "content": content} for message in messages]
            try:
                text = self._processor.apply_chat_template(tried, tokenize=False)
            except Exception:  # templates raise what they like
                continue
            if _PROBE in text and "'type'" not in text:
                return isinstance(content, list)
        return None


def _text(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def _joined(content: Content) -> Content:
    """Neighbouring texts as one, since templates put nothing between them."""
    out: Content = []
    for part in content:
        if out and part["type"] == out[-1]["type"] == "text":
            out[-1] = _text(f"{out[-1]['text']}\n\n{part['text']}")
        else:
            out.append(part)
    return out


def _opened(part: PicturePart) -> Image.Image:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(BytesIO(part.data)) as image:
            return image.convert("RGB")
    except (UnidentifiedImageError, OSError, ValueError, Image.DecompressionBombError) as error:
        raise ModelError(f"a picture of {len(part.data)} bytes ({part.media_type}) cannot be read: {error}") from error
