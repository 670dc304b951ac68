"""HTML inside Markdown: which of its tags need not be seen."""

from __future__ import annotations

import re
from collections.abc import Iterator

_MARK = re.compile(
    r"<!--"
    r"|</?([A-Za-z][A-Za-z0-9-]*)(?:\s+[A-Za-z_:][A-Za-z0-9:._-]*(?:\s*=\s*(?:[^\"'=<>`\x00-\x20]+|'[^']*'|\"[^\"]*\"))?)*\s*/?>"
)
# the words on both sides of these belong together
_INLINE = frozenset(
    "a abbr b bdi bdo big cite code data dfn em font i kbd mark q ruby samp small span strong time tt u var".split()
)
# a browser starts a new line here
_BLOCK = frozenset(
    "address article aside blockquote body br caption center col colgroup dd details div dl dt figcaption figure footer h1 h2 "
    "h3 h4 h5 h6 head header hr html li link main meta nav ol p section summary table tbody td tfoot th thead tr ul".split()
)
_LONGEST = 100_000


def hidden_html(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Comments and tags in ``text[start:end]`` that a reader does not need, as spans of the text.

    Tags that change what is said (``sup``, ``del``), carry text (``img``) or are no HTML stay, and so do those whose
    absence would join two words. Nothing is hidden in a piece of over 100,000 characters.
    """
    if end - start > _LONGEST:
        return
    last = text.rfind("-->", start, end)  # else each of many comments without an end would be searched to the end
    at = start
    while mark := _MARK.search(text, at, end):
        start, at = mark.span()
        name = (mark[1] or "").lower()
        if not name:
            if last < start + 2:
                continue
            at = text.find("-->", start + 2, end) + 3  # "<!-->" is one, too
        at_edge = not text[max(0, start - 1) : start].strip() or not text[at : at + 1].strip()
        if not name or name in _INLINE or (name in _BLOCK and at_edge):
            yield start, at
