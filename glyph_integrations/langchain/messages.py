"""LangChain messages as turns, and turns as messages."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)

from ..reading import OpaquePart, PagePart, Part, PicturePart, Role, TextPart, ToolCall, Turn
from .content_blocks import image_block

_ROLES: dict[str, Role] = {
    "system": "system",
    "developer": "system",
    "assistant": "assistant",
    "ai": "assistant",
    "tool": "tool",
}
_CALL_BLOCKS = ("tool_call", "tool_call_chunk", "invalid_tool_call", "tool_use", "function_call")
_DATA_URL = re.compile(r"data:(image/[\w.+-]+);base64,(.*)\Z", re.S)


class _Origin(NamedTuple):
    """What a turn was made from: the message, and the block of each part."""

    message: BaseMessage
    blocks: tuple[tuple[Part, Any], ...]


def to_turns(messages: Sequence[BaseMessage]) -> list[Turn]:
    """One turn per message. Text and images become parts, every other block an opaque part."""
    turns = []
    for message in messages:
        content = message.content
        blocks: list[Any] = ([content] if content else []) if isinstance(content, str) else list(content)
        if isinstance(message, AIMessage):  # its calls stand in tool_calls, too
            blocks = [b for b in blocks if not (isinstance(b, Mapping) and b.get("type") in _CALL_BLOCKS)]
        parts = [_part(block) for block in blocks]
        origin = _Origin(message, tuple(zip(parts, blocks, strict=True)))
        calls = _tool_calls(message) if isinstance(message, AIMessage) else ()
        call_id = message.tool_call_id if isinstance(message, ToolMessage) else None
        turns.append(Turn(_role(message), parts, calls, call_id, message.name, origin))
    return turns


def to_messages(turns: Sequence[Turn], png: Callable[[PagePart], bytes]) -> list[BaseMessage]:
    """A message per turn: the very message a turn was made from where nothing changed, else a copy with other content.

    Args:
        turns: as `to_turns` made them and `Prompt.build` changed them.
        png: draws a page.
    """
    messages: list[BaseMessage] = []
    for turn in turns:
        origin = turn.origin if isinstance(turn.origin, _Origin) else None
        if origin and turn.parts == tuple(part for part, _ in origin.blocks):
            messages.append(origin.message)
            continue
        known = {id(part): block for part, block in origin.blocks} if origin else {}
        content: Any
        if all(isinstance(part, TextPart) and not isinstance(known.get(id(part)), dict) for part in turn.parts):
            content = turn.text
        else:
            content = [_as_dict(known[id(part)]) if id(part) in known else _block(part, png) for part in turn.parts]
        if origin:
            messages.append(origin.message.model_copy(update={"content": content}))
        else:  # added: room for the images of tool results, or an instruction
            messages.append(SystemMessage(content) if turn.role == "system" else HumanMessage(content))
    return messages


def _role(message: BaseMessage) -> Role:
    if isinstance(message, SystemMessage):
        return "system"
    if isinstance(message, AIMessage):
        return "assistant"
    if isinstance(message, ToolMessage | FunctionMessage):
        return "tool"
    return _ROLES.get(message.role, "user") if isinstance(message, ChatMessage) else "user"


def _tool_calls(message: AIMessage) -> tuple[ToolCall, ...]:
    valid = [ToolCall(c["id"] or "", c["name"], json.dumps(c["args"], ensure_ascii=False)) for c in message.tool_calls]
    broken = [ToolCall(c["id"] or "", c["name"] or "", c["args"] or "") for c in message.invalid_tool_calls]
    return (*valid, *broken)


def _part(block: Any) -> Part:
    if isinstance(block, str):
        return TextPart(block)
    if isinstance(block, Mapping):
        if block.get("type") == "text" and isinstance(block.get("text"), str):
            return TextPart(block["text"])
        return _picture(block) or OpaquePart(block)
    return OpaquePart(block)


def _picture(block: Mapping[str, Any]) -> PicturePart | None:
    """The bytes in an image block of any dialect: v1, v0, OpenAI's or Anthropic's; None when it has none (a URL, a file id)."""
    kind, source = block.get("type"), block.get("source")
    data: Any = None
    media_type: Any = None
    if kind in ("image_url", "input_image"):
        url = block.get("image_url")
        data = url.get("url") if isinstance(url, Mapping) else url
    elif kind == "image" and isinstance(source, Mapping):
        data, media_type = source.get("data"), source.get("media_type")
    elif kind == "image":
        data = block.get("base64") or block.get("data") or block.get("url")
        media_type = block.get("mime_type")
    if not isinstance(data, str):
        return None
    if match := _DATA_URL.match(data):
        media_type, data = match.groups()
    elif kind in ("image_url", "input_image") or data == block.get("url"):
        return None
    try:
        return PicturePart(base64.b64decode(data, validate=True), media_type if isinstance(media_type, str) else "image/png")
    except (binascii.Error, ValueError):
        return None


def _block(part: Part, png: Callable[[PagePart], bytes]) -> Any:
    if isinstance(part, TextPart):
        return {"type": "text", "text": part.text}
    if isinstance(part, PagePart):
        return image_block(png(part))
    if isinstance(part, PicturePart):
        return image_block(part.data, part.media_type)
    return part.value


def _as_dict(block: Any) -> Any:
    return {"type": "text", "text": block} if isinstance(block, str) else block
