"""LlamaIndex messages as turns, and turns as messages."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import NamedTuple

from llama_index.core.base.llms.types import ChatMessage, ContentBlock, ImageBlock, MessageRole, TextBlock, ToolCallBlock

from ..reading import OpaquePart, PagePart, Part, PicturePart, Role, TextPart, ToolCall, Turn

_ROLES: dict[MessageRole, Role] = {
    MessageRole.SYSTEM: "system",
    MessageRole.DEVELOPER: "system",
    MessageRole.ASSISTANT: "assistant",
    MessageRole.CHATBOT: "assistant",
    MessageRole.MODEL: "assistant",
    MessageRole.TOOL: "tool",
    MessageRole.FUNCTION: "tool",
}


class _Origin(NamedTuple):
    """What a turn was made from: the message, and the block of each part."""

    message: ChatMessage
    blocks: tuple[tuple[Part, ContentBlock], ...]


def to_turns(messages: Sequence[ChatMessage]) -> list[Turn]:
    """One turn per message. Text and inline images become parts, tool calls the turn's, every other block an opaque part."""
    turns = []
    for message in messages:
        blocks = tuple((_part(b), b) for b in message.blocks if not isinstance(b, ToolCallBlock))
        calls = [_tool_call(b) for b in message.blocks if isinstance(b, ToolCallBlock)]
        values = message.additional_kwargs
        turns.append(
            Turn(
                _ROLES.get(message.role, "user"), [part for part, _ in blocks], calls,
                values.get("tool_call_id"), values.get("name"), _Origin(message, blocks),
            )
        )  # fmt: skip
    return turns


def to_messages(turns: Sequence[Turn], png: Callable[[PagePart], bytes]) -> list[ChatMessage]:
    """A message per turn: the very message a turn was made from where nothing changed, else a copy with other content.

    Args:
        turns: as `to_turns` made them and `Prompt.build` changed them, or as `ContextBuilder` makes them.
        png: draws a page.
    """
    messages = []
    for turn in turns:
        origin = turn.origin if isinstance(turn.origin, _Origin) else None
        if origin and turn.parts == tuple(part for part, _ in origin.blocks):
            messages.append(origin.message)
            continue
        known = {id(part): block for part, block in origin.blocks} if origin else {}
        blocks: list[ContentBlock]
        if all(isinstance(part, TextPart) for part in turn.parts):
            blocks = [TextBlock(text=turn.text)]  # adapters join text blocks without a space
        else:
            blocks = [known[id(part)] if id(part) in known else _block(part, png) for part in turn.parts]
        message = origin.message if origin else ChatMessage(role=MessageRole(turn.role))
        messages.append(message.model_copy(update={"blocks": blocks}))
    return messages


def _part(block: ContentBlock) -> Part:
    if isinstance(block, TextBlock):
        return TextPart(block.text)
    # an image by path or address is neither opened nor fetched here: it passes through to the model's own adapter
    if isinstance(block, ImageBlock) and (block.image or str(block.url or "").startswith("data:")):
        try:
            file = block.resolve_image()
        except ValueError:  # there is none in it: the model's own adapter says so
            return OpaquePart(block)
        data = file.read()
        file.seek(0)
        return PicturePart(data, block.image_mimetype or "image/png")
    return OpaquePart(block)


def _block(part: Part, png: Callable[[PagePart], bytes]) -> ContentBlock:
    if isinstance(part, TextPart):
        return TextBlock(text=part.text)
    if isinstance(part, PagePart):
        return ImageBlock(image=png(part), image_mimetype="image/png")
    if isinstance(part, PicturePart):
        return ImageBlock(image=part.data, image_mimetype=part.media_type)
    block: ContentBlock = part.value
    return block


def _tool_call(block: ToolCallBlock) -> ToolCall:
    arguments = block.tool_kwargs
    text = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
    return ToolCall(block.tool_call_id or "", block.tool_name, text)
