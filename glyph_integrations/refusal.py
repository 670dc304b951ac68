"""What an OpenAI-compatible server said when it refused a request."""

from __future__ import annotations

from typing import Any


def reason_of(error: Any) -> str:
    """The server's own words, in one line of at most 300 characters: the message of its JSON, else all of its answer.

    Args:
        error: an ``openai.APIStatusError``, of any version: the library's own message differs between them.
    """
    body = error.body
    said = body.get("message") or body.get("detail") if isinstance(body, dict) else None
    return " ".join(str(said or error.response.text or error.message).split())[:300]
