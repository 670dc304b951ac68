"""A long document that every Python has, to try things on."""

from __future__ import annotations

from functools import lru_cache

from ..errors import DocumentError
from .document import SourceDocument


@lru_cache(maxsize=1)
def language_reference() -> SourceDocument:
    """Python's own language reference, as plain text of some 370 thousand characters; a topic that another holds is left out.

    Raises:
        DocumentError: this Python comes without it.
    """
    try:
        from pydoc_data.topics import topics
    except ImportError:
        raise DocumentError(
            "this Python comes without pydoc_data, which holds the sample; use a document of your own"
        ) from None
    lines = {topic: {line.strip() for line in body.splitlines() if len(line) > 30} for topic, body in topics.items()}
    parts = [  # a topic whose lines nearly all stand in a longer one would only be found twice
        f"{topic}\n{'=' * len(topic)}\n\n{body.strip()}\n"
        for topic, body in topics.items()
        if not any(len(topics[o]) > len(body) and len(lines[topic] & lines[o]) >= 0.9 * len(lines[topic]) for o in topics)
    ]
    return SourceDocument("\n\n".join(parts), name="python_language_reference.txt")
