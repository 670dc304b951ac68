"""Images that a message names by where they are, instead of by their bytes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_IMAGE_TYPES = ("image", "image_url", "input_image", "image-plain-url")


def image_address(block: Any) -> str:
    """The address, path or file id of an image block of any dialect (OpenAI's, Anthropic's, LangChain's, LlamaIndex's), at
    most 80 characters of it; empty for a block with the image's own bytes, and for one that is no image."""
    values = block if isinstance(block, Mapping) else {"type": getattr(block, "block_type", ""), **_attributes(block)}
    if values.get("type") not in _IMAGE_TYPES:
        return ""
    for key in ("image_url", "source", "url", "path", "file_id"):
        value = values.get(key)
        if isinstance(value, Mapping):
            value = value.get("url") or value.get("file_id")
        address = "" if value is None else str(value)
        if address and not address.startswith("data:"):
            return address if len(address) <= 80 else f"{address[:79]}…"
    return ""


def _attributes(block: Any) -> dict[str, Any]:
    return {key: getattr(block, key, None) for key in ("url", "path")}
