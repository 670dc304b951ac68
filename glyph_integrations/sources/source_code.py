"""Source code to runs: keywords, comments, strings, numbers and the names being defined, by pygments' lexers."""

from __future__ import annotations

import logging
import re
import time
from typing import TYPE_CHECKING

from ..page import Run
from .runs import Span, in_order, newlines_to_lf

if TYPE_CHECKING:
    from pygments.lexer import Lexer

MAX_CHARACTERS = 2_000_000
LONGEST_LINE = 20_000
MAX_SECONDS = 20.0
_log = logging.getLogger("glyph_integrations")


def code_media_type(name: str, text: str = "") -> str | None:
    """The media type of a source file by its name, such as ``text/x-python``; None if the name is of no language. How the text
    begins decides between languages with the same suffix."""
    from pygments.lexers import find_lexer_class_for_filename

    found = find_lexer_class_for_filename(name, text[:10_000])
    if found is None or found.name == "Text only":
        return None
    return next(iter(found.mimetypes), None) or f"text/x-{found.aliases[0]}"


def has_lexer(media_type: str) -> bool:
    """Whether programs of this media type can be read."""
    return _lexer(media_type, "") is not None


def code_runs(text: str, media_type: str, name: str = "") -> tuple[Run, ...]:
    """The runs of a program, sorted: ``keyword``, ``comment`` (and documentation strings), ``string``, ``number``, and ``name``
    where one is defined. They do not overlap.

    None for a language without a lexer, for over 2 million characters, for a line over 20,000 (minified code), and where a
    lexer takes over 20 s. About 1.7 s a megabyte.
    """
    if len(text) > MAX_CHARACTERS or re.search(rf"[^\n]{{{LONGEST_LINE + 1}}}", text):
        return ()
    lexer = _lexer(media_type, name)
    if lexer is None:
        return ()
    source, to_text = newlines_to_lf(text)
    deadline = time.monotonic() + MAX_SECONDS
    spans: list[Span] = []
    roles: dict[object, str] = {}
    for number, (start, kind, value) in enumerate(lexer.get_tokens_unprocessed(source)):
        role = roles[kind] if kind in roles else roles.setdefault(kind, _role(kind))
        if role and (found := value.strip()):
            start += value.index(found)
            end = start + len(found)
            if spans and spans[-1][2] == role and not source[spans[-1][1] : start].strip(" \t"):
                spans[-1] = (spans[-1][0], end, role)
            else:
                spans.append((start, end, role))
        if number % 1000 == 0 and time.monotonic() > deadline:
            _log.warning("%s: no roles, since its lexer took over %d s", name or media_type, MAX_SECONDS)
            return ()
    return in_order(spans, to_text)


def _lexer(media_type: str, name: str) -> Lexer | None:
    from pygments.lexers import get_lexer_by_name, get_lexer_for_filename, get_lexer_for_mimetype
    from pygments.util import ClassNotFound

    alias = re.sub(r"^(?:text|application)/(?:x-)?", "", media_type)
    for find, what in ((get_lexer_for_mimetype, media_type), (get_lexer_by_name, alias), (get_lexer_for_filename, name)):
        try:
            return find(what)
        except ClassNotFound:
            continue
    return None


def _role(kind: object) -> str:
    from pygments.token import Comment, Keyword, Name, Number, Operator, String

    definitions = (Name.Function, Name.Class, Name.Decorator, Name.Tag, Name.Namespace)
    for parent, role in (
        (String.Doc, "comment"), (Comment.Preproc, "keyword"), (Comment.PreprocFile, "string"), (Comment, "comment"),
        (Keyword, "keyword"), (Operator.Word, "keyword"), (String, "string"), (Number, "number"),
        *((definition, "name") for definition in definitions),
    ):  # fmt: skip
        if kind in parent:
            return role
    return ""
