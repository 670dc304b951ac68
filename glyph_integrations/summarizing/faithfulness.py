"""Whether the sentences of a summary are borne out by the pages they cite: names, numbers, quotations, and enough of the
words."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from ..embedding.lexical import lexical_features
from ..page import Page
from ..reading import Citation, verify_answer
from ..reading.matching import find_words, plain_text
from ..reading.passages import best_passages
from ..reading.placement import default_renderer
from .cited import Cited, Claim
from .numerals import numbers_in, numbers_written
from .summary import Unsupported

if TYPE_CHECKING:
    from ..rendering import Renderer

_WORD = re.compile(r"[^\W\d_]+(?:['’‑-][^\W\d_]+)*")
_POSSESSIVE = re.compile(r"['’]s?\Z")
_OPENS = re.compile(r"(?:\A|[!?:;…。—\n“\"„«(*])\s*[“\"„«(*‘'’]*\Z")  # what stands before the first word of a sentence
_UNSPACED = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7ff]")
_LEAST_SHARE = 0.3
_STEM = 5  # letters; of a longer name two letters may be an ending: Ивана, Иваном


@dataclass(frozen=True)
class Faithfulness:
    """What was found when a text was checked: see `Summary`, which has the same attributes."""

    citations: tuple[Citation, ...]
    faithfulness: float
    cited: float
    unsupported: tuple[Unsupported, ...]


def check(text: Cited, renderer: Renderer | None = None, *, translated: bool = False) -> Faithfulness:
    """Check every sentence that cites pages.

    Of such a sentence, these must stand on the pages it cites: quotations (as `verify_answer` finds them), numbers written in
    digits (on the page they may be words: English to a hundred, Chinese), and names: words with a capital letter that do not
    begin the sentence, up to two letters of their ending. Of the other words three tenths must: words of four letters and more
    where there are spaces, character pairs where there are none. Over a page in another script than the sentence's, only
    numbers and quotations can be checked.

    Args:
        text: with its marks.
        renderer: computes the boxes of the citations (default ``Renderer()``).
        translated: the summary is in another language than the pages, so their words are not compared.
    """
    claims = text.claims()
    known = {word for claim in claims for word in _names(claim.text, frozenset())}
    citations: list[Citation] = []
    unsupported = []
    for claim in claims:
        if not claim.cited:
            continue
        words = plain_text(claim.text).text
        if spans := [find_words(words, page.text, plain_text(page.text)) for page in claim.pages if len(words) > 1]:
            whole = [_place(page, span, "", renderer) for page, span in zip(claim.pages, spans, strict=True) if span]
            if whole and not claim.invented:  # the sentence is the page's own, quotations and all
                citations += whole
                continue
        quoted = [c for c in verify_answer(claim.text, claim.pages, renderer) if c.quote]
        reason = _reason(claim, quoted, frozenset(known), translated)
        if reason:
            unsupported.append(Unsupported(claim.text, reason))
        citations += quoted
        elsewhere = [page for page in claim.pages if not any(page in c.pages for c in quoted)]
        citations += [_nearest(claim.text, page, reason, renderer) for page in elsewhere]
    cited = sum(claim.cited for claim in claims)
    return Faithfulness(
        tuple(citations), (cited - len(unsupported)) / cited if cited else 0.0, cited / len(claims) if claims else 0.0,
        tuple(unsupported),
    )  # fmt: skip


def _reason(claim: Claim, quoted: Sequence[Citation], known: frozenset[str], translated: bool) -> str:
    """Why a claim is not supported; empty when it is."""
    if claim.invented:
        return "it cites a page that was not given"
    text = "\n".join(page.text for page in claim.pages)
    where = "page " + ", ".join(str(page.number) for page in claim.pages)
    if not text.strip():
        return f"no text is known of {where}"
    for citation in quoted:
        if not citation.verified:
            return f"“{citation.quote[:60]}” is not on {where}"
    missing = [number for number in numbers_in(claim.text) if number not in _numbers_on(text)]
    if missing:
        return f"not on {where}: {', '.join(missing)}"
    if not _same_script(claim.text, text):
        return ""
    page_words = _words_on(text)
    absent = [name for name in _names(claim.text, known) if not _stands(name, page_words)]
    if absent:
        return f"not on {where}: {', '.join(absent)}"
    if not translated and _share(claim.text, text) < _LEAST_SHARE:
        return f"hardly any of its words are on {where}"
    return ""


def _nearest(sentence: str, page: Page, reason: str, renderer: Renderer | None) -> Citation:
    """The passage of a page that is nearest to a sentence."""
    found = best_passages(sentence, [page.text])
    if not found:
        return Citation("", not reason, page, 0, page.start, page.end, claimed=page.number, note=reason)
    return _place(page, (found[0].start, found[0].end), reason, renderer)


def _place(page: Page, span: tuple[int, int], reason: str, renderer: Renderer | None) -> Citation:
    start, end = span
    drawn = (renderer or default_renderer()).boxes(page, start, end) if page.lines or page.picture else []
    return Citation(
        "", not reason, page, page.line_of(start), page.start + start, page.start + end, tuple(box for _, box in drawn),
        claimed=page.number, note=reason,
    )  # fmt: skip


# -- what a sentence says, and what a page says ------------------------------------------------------------------------------


def _names(text: str, known: frozenset[str]) -> list[str]:
    """Words that begin with a capital letter, in lower case; the first of a sentence only if it is among the known ones."""
    found = []
    for match in _WORD.finditer(text):
        word = _POSSESSIVE.sub("", match[0])
        if not word[:1].isupper() or len(word) < 2:
            continue
        plain = _plain(word)
        if not _OPENS.search(text, 0, match.start()) or plain in known or (len(word) > 2 and word.isupper()):
            found.append(plain)
    return list(dict.fromkeys(found))


def _stands(name: str, words: frozenset[str]) -> bool:
    """Whether a name is among words, up to its ending; of a hyphenated one each part counts by itself."""
    if name in words:
        return True
    if "-" in name:
        return all(_stands(part, words) for part in name.split("-") if part)
    stem = name[: max(_STEM - 1, len(name) - 2)] if len(name) >= _STEM else ""
    return bool(stem) and any(word.startswith(stem) and len(word) <= len(name) + 3 for word in words)


def _plain(word: str) -> str:
    return unicodedata.normalize("NFKC", word).casefold().replace("’", "'").replace("‑", "-")


@lru_cache(maxsize=64)
def _words_on(text: str) -> frozenset[str]:
    words = {_POSSESSIVE.sub("", _plain(match[0])) for match in _WORD.finditer(text)}
    return frozenset(words | {part for word in words for part in re.split(r"['-]", word) if part})


@lru_cache(maxsize=64)
def _numbers_on(text: str) -> frozenset[str]:
    return frozenset(numbers_in(text)) | numbers_written(text)


@lru_cache(maxsize=64)
def _features_on(text: str) -> frozenset[str]:
    return frozenset(lexical_features(text))


def _share(sentence: str, text: str) -> float:
    """How much of a sentence's words a text holds, 0 to 1; 1 for a sentence without any."""
    if _UNSPACED.search(sentence):
        wanted = [feature for feature in lexical_features(sentence) if len(feature) == 2]
        held = _features_on(text)
        return sum(feature in held for feature in wanted) / len(wanted) if wanted else 1.0
    words = [word for match in _WORD.finditer(sentence) if len(word := _plain(match[0])) >= 4]
    page_words = _words_on(text)
    return sum(_stands(word, page_words) for word in words) / len(words) if words else 1.0


def _same_script(sentence: str, text: str) -> bool:
    """Whether both are mostly in the same one of the scripts that a name cannot cross."""
    return _script(sentence) == _script(text)


@lru_cache(maxsize=256)
def _script(text: str) -> str:
    counts: dict[str, int] = {}
    for character in text[:2000]:
        if character.isalpha():
            code = ord(character)
            kind = "east" if _UNSPACED.match(character) else next((name for top, name in _SCRIPTS if code < top), "other")
            counts[kind] = counts.get(kind, 0) + 1
    return max(counts, key=lambda kind: counts[kind], default="")


_SCRIPTS = ((0x250, "latin"), (0x370, "phonetic"), (0x400, "greek"), (0x530, "cyrillic"), (0x590, "armenian"), (0x600,
            "hebrew"), (0x900, "arabic"), (0xE00, "indic"))  # fmt: skip
