"""Questions made from the pages of an index: asked of a chat model, or, crudely, a sentence with a word left out."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import NamedTuple

from ..embedding import lexical_features
from ..index import PageIndex
from ..page import Page
from ..reading import PageModel, TextPart, Turn
from ..reading.matching import find_words, plain_text
from ..reading.passages import sentences
from .gold import find_gold
from .questions import LabelledQuestion

LEAST = 60
"""Visible characters of a page that is worth a question."""

COMPARED = 200
"""Pages whose words tell which are rare."""

_PROMPT = """Below is one page of a longer document. Write one question that somebody who has never seen this page might ask \
and that this page answers. It must be understood without the page: name the people, things and places it is about, and never \
speak of "the page", "the text" or "the passage". Use other words than the page where you can. Then copy from the page, \
character for character, the few words that answer it. Write in the language of the page.

Answer with JSON alone: {"question": "...", "answer": "..."}

The page, from here to the end:

"""
_SELF_REFERENCE = re.compile(r"\b(?:this|the|above) (?:page|text|passage|excerpt|document|section)\b", re.I)
_MANY = 50  # opening braces of an answer that are tried


class Attempt(NamedTuple):
    """What came of a page: a question, or the ``reason`` why there is none."""

    page: Page
    question: LabelledQuestion | None
    reason: str = ""


def make_questions(
    index: PageIndex,
    count: int,
    model: PageModel | None = None,
    *,
    seed: int = 0,
    known: Sequence[LabelledQuestion] = (),
) -> Iterator[Attempt]:
    """Make questions from pages drawn at random, one a page, until there are ``count`` or no page is left.

    A model is sent a page's text and asked for a question and the words of the page that answer it. Where these do not stand on
    the page, or the question holds them or speaks of the page, it is discarded.

    Without a model a question is the sentence of the page with the rarest words, its rarest one left out. That is crude: it
    shares nearly all its words with the page, so that lexical search looks far better than with people's questions. It
    tells whether an index works, not how well.

    Args:
        index: where the pages are. Those with little text are passed over.
        count: how many questions.
        model: a chat model.
        seed: which pages are drawn, and in which order; pages that join the index do not change the order of the others.
        known: questions made before; their pages are passed over.

    Yields:
        For each page drawn, what came of it. Questions have an answer, a source and the span of the answer.

    Raises:
        ModelError: the model or its server failed. What was yielded before stands.
    """
    ids = sorted(index.ids(), key=lambda page_id: _order(seed, page_id))
    ask = partial(_asked, model) if model else partial(_cloze, _Rarity(_pages(index, ids[:COMPARED])))
    taken = {page_id for gold in find_gold(index, known) for page_id in gold.pages}
    before = {question.question.casefold() for question in known}
    made = 0
    for page in _pages(index, [page_id for page_id in ids if page_id not in taken]):
        if made >= count:
            return
        if sum(not character.isspace() for character in page.text) < LEAST:
            attempt = Attempt(page, None, "the page has little text")
        else:
            attempt = ask(page)
        if attempt.question and attempt.question.question.casefold() in before:
            attempt = Attempt(page, None, "it was asked before")
        if attempt.question:
            made += 1
            before.add(attempt.question.question.casefold())
        yield attempt


def _order(seed: int, page_id: str) -> bytes:
    return hashlib.blake2b(f"{seed} {page_id}".encode(), digest_size=8).digest()


def _pages(index: PageIndex, ids: Sequence[str]) -> Iterator[Page]:
    for page_id in ids:
        yield from index.get([page_id])


def _asked(model: PageModel, page: Page) -> Attempt:
    answer = model.read([Turn("user", [TextPart(_PROMPT + page.text)])])
    values = _json_of(answer.text)
    if values is None:
        return Attempt(page, None, "the model did not answer with a question and an answer in JSON")
    question, words = (" ".join(values[key].split()) for key in ("question", "answer"))
    span = _where(words, page.text)
    if span is None:
        return Attempt(page, None, "the answer does not stand on the page")
    if find_words(plain_text(words.casefold()).text, question.casefold(), plain_text(question.casefold())):
        return Attempt(page, None, "the question holds its answer")
    if _SELF_REFERENCE.search(question):
        return Attempt(page, None, "the question speaks of the page")
    return Attempt(page, _labelled(question, page, *span))


def _json_of(text: str) -> dict[str, str] | None:
    """The first object in a text that has a question and an answer."""
    decoder = json.JSONDecoder()
    for match in islice(re.finditer(r"\{", text), _MANY):
        try:
            values, _ = decoder.raw_decode(text, match.start())
        except (ValueError, RecursionError):
            continue
        if isinstance(values, dict) and all(isinstance(values.get(key), str) for key in ("question", "answer")):
            clean = {key: values[key].encode("utf-8", "replace").decode() for key in ("question", "answer")}
            if all(value.strip() for value in clean.values()):
                return clean
    return None


def _where(words: str, text: str) -> tuple[int, int] | None:
    plain = plain_text(text)
    for needle in (plain_text(words).text, plain_text(words).text.rstrip(".,;:!?")):
        if needle and (found := find_words(needle, text, plain)):
            return found
    return None


def _labelled(question: str, page: Page, start: int, end: int) -> LabelledQuestion:
    answer = " ".join(page.text[start:end].split())
    return LabelledQuestion(question, answer, page.source, span=(page.start + start, page.start + end))


class _Rarity:
    """On how few of some pages the features of a text stand."""

    def __init__(self, pages: Iterator[Page]) -> None:
        self._counts: Counter[str] = Counter()
        for page in pages:
            self._counts.update(set(lexical_features(page.text)))

    def of(self, text: str) -> float:
        """1 where no other page has any of it, to nearly 0."""
        features = lexical_features(text)
        return sum(1 / max(1, self._counts[feature]) for feature in features) / len(features) if features else 0.0


_WORD = re.compile(r"[^\W\d_]{3,30}|\d{2,12}")
_UNSPACED = re.compile("[\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff]{2}")


def _cloze(rarity: _Rarity, page: Page) -> Attempt:
    best = max(_clozable(page.text), key=lambda span: rarity.of(page.text[span[0] : span[1]]), default=None)
    if best is None:
        return Attempt(page, None, "the page has no sentence to leave a word out of")
    start, end = best
    sentence = page.text[start:end]
    words = list(_words(sentence))
    word = max(words, key=lambda match: rarity.of(match[0]))
    question = " ".join(f"{sentence[: word.start()]}____{sentence[word.end() :]}".split())
    return Attempt(page, _labelled(question, page, start + word.start(), start + word.end()))


def _clozable(text: str) -> Collection[tuple[int, int]]:
    return [
        (start, end) for start, end in sentences(text) if 30 <= end - start <= 300 and len(list(_words(text[start:end]))) >= 4
    ]


def _words(sentence: str) -> Iterator[re.Match[str]]:
    for match in _WORD.finditer(sentence):
        if _UNSPACED.match(match[0]):  # a clause without spaces: pairs of its characters
            yield from _UNSPACED.finditer(sentence, match.start(), match.end())
        else:
            yield match
