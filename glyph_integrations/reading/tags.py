"""Page tags: how a page travels through prompt templates as text, and how it is found again.

``<page n="57" source="jane_eyre.txt" id="...">text</page>``. Only what could be mistaken for a tag or an entity is escaped
inside the text, so that a text-only model reads prose and code as they are. A tag is a claim, not a page: see
`Registry.resolve`.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from ..page import Page


class PageTag(NamedTuple):
    """A candidate tag found in a text: what it claims, and ``raw``, the exact characters it was read from."""

    number: int
    source: str
    id: str
    text: str
    raw: str


_ENTITIES = {"&amp;": "&", "&lt;": "<", "&gt;": ">", "&quot;": '"', "&#10;": "\n", "&#13;": "\r"}
_TO_ENTITY = {character: entity for entity, character in _ENTITIES.items()}
_ENTITY = re.compile("|".join(_ENTITIES))
_CONFUSABLE = re.compile(r"&(?=(?:amp|lt|gt|quot|#10|#13);)|<(?=/?page\b)")
_ATTRIBUTE = re.compile(r'[&<>"\n\r]')
# what mustache, jinja2 and html.escape write for the five special characters
_HTML = {"&amp;": "&", "&lt;": "<", "&gt;": ">", "&quot;": '"', "&#34;": '"', "&#39;": "'", "&#x27;": "'"}
_HTML_ENTITY = re.compile("|".join(_HTML))
# an opening tag (three groups), a closing tag (one group), or the start of something that is neither
_PLAIN = re.compile(r'<(?:page n="(\d{1,9})" source="([^"<>]*)" id="([0-9a-f]{32})">|(/page>)|page\b)')
_QUOTE = r"(?:&quot;|&#34;)"
_ESCAPED = re.compile(
    rf"&lt;(?:page n={_QUOTE}(\d{{1,9}}){_QUOTE} source={_QUOTE}((?:(?!&quot;|&#34;|&lt;|&gt;)[^<>\n])*){_QUOTE} "
    rf"id={_QUOTE}([0-9a-f]{{32}}){_QUOTE}&gt;|(/page&gt;)|page\b)"
)
_REMNANT = re.compile(r"page n=[^\n]{1,400}? id=\S{1,6}?([0-9a-f]{32})")  # an opening tag, however its quotes were escaped
_MARKER = re.compile(r"\[pages? \d+(?:-\d+)?(?: of [^\]\n]*)?(?:, lines \d+-\d+)?: (?:see images?|see above|left out)\]")


def page_tag(page: Page) -> str:
    """The page as tagged text. `split_tags` gives back the exact text, whatever it contains."""
    source = _ATTRIBUTE.sub(lambda m: _TO_ENTITY[m[0]], page.source)
    text = _CONFUSABLE.sub(lambda m: _TO_ENTITY[m[0]], page.text)
    return f'<page n="{page.number}" source="{source}" id="{page.id}">{text}</page>'


def split_tags(text: str) -> list[str | PageTag]:
    """Cut a text into plain text and candidate tags, in order; joining the strings and each tag's ``raw`` gives the text back.

    Tags that a template HTML-escaped as a whole are found too. An opening without its own close, a close without an opening
    and anything malformed stays text.
    """
    found: list[tuple[int, int, PageTag]] = []
    for token, escaped in ((_PLAIN, False), (_ESCAPED, True)):
        opening: re.Match[str] | None = None
        for match in token.finditer(text):
            if match[4] and opening:  # a close directly after an opening: page text has no bare tags in it
                number, source, page_id = opening.group(1, 2, 3)
                inner = text[opening.end() : match.start()]
                if escaped:
                    source, inner = _unescape_html(source), _unescape_html(inner)
                raw = text[opening.start() : match.end()]
                found.append(
                    (opening.start(), match.end(), PageTag(int(number), _unescape(source), page_id, _unescape(inner), raw))
                )
            opening = match if match[3] else None
    pieces: list[str | PageTag] = []
    at = 0
    for start, end, tag in sorted(found):
        if start < at:  # escaped tags inside the text of a tag are that text
            continue
        if start > at:
            pieces.append(text[at:start])
        pieces.append(tag)
        at = end
    if at < len(text):
        pieces.append(text[at:])
    return pieces


def outside_tags(text: str) -> str:
    """The text without its candidate tags and without the markers, such as ``[page 57: see image]``, that delivery leaves."""
    return _MARKER.sub("", "".join(piece for piece in split_tags(text) if isinstance(piece, str)))


def remnants(text: str) -> list[str]:
    """The ids in the opening tags, however escaped, of a text in which no tag resolves: what was cut or edited on its way."""
    return _REMNANT.findall(text)


def _unescape(text: str) -> str:
    return _ENTITY.sub(lambda m: _ENTITIES[m[0]], text)


def _unescape_html(text: str) -> str:
    return _HTML_ENTITY.sub(lambda m: _HTML[m[0]], text)
