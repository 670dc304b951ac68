"""A text whose sentences cite pages. Inside, citations are marks that count pages from 0: ⟦3⟧, ⟦3,5⟧, or ⟦?⟧ for an invented
one."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

from ..page import Page
from ..reading.passages import sentences
from ..reading.quotations import find_references

MARK = re.compile(r"⟦([\d,]*\??)⟧")
_BRACKETED = re.compile(r"[\[(（【]([^\[\]()（）【】]{1,300})[\])）】]")
_BESIDE = re.compile(r"lines? \d+(?:\s*[-–]\s*\d+)?|\b(?:p\.|see|also|and|und|et|y|и)\b|[\s,;，；、和及]+", re.I)
_HIDDEN = "\ue000"  # stands for a mark where sentences are told apart: neither white space nor punctuation
_WORDS = re.compile(r"[^\W\d_]{2,}")
_INVENTED = re.compile(r"\[p\. \?\]")  # as it is written
_LEADING = re.compile(r"\s*" + MARK.pattern)
_MARKED_END = re.compile(MARK.pattern + r"[\s.,;:!?。，；！？]*\Z")
_TELLING = 9  # characters of a sentence that a person would not say twice
_BULLET = re.compile(r"\A\s*(?:[-*•#>]+|\d{1,2}[.)])\s+")


class Cited(NamedTuple):
    """A text with marks, and the pages that they count."""

    text: str
    pages: tuple[Page, ...]

    @classmethod
    def read(cls, answer: str, pages: Sequence[Page]) -> Cited:
        """What a model wrote that was shown these pages under the numbers from 1: every form of page reference is found."""
        answer = answer.replace("⟦", "[").replace("⟧", "]")
        out: list[str] = []
        at = 0
        for start, end, numbers in _references(answer):
            known = [str(n - 1) for n in numbers if 1 <= n <= len(pages)]
            mark = f"⟦{','.join(known) or '?'}⟧"
            out.append(answer[at:start])
            out.append(f" {mark}" if out[-1][-1:] in tuple(".!?") else mark)  # so that the sentence ends before its mark
            at = end
        return cls("".join([*out, answer[at:]]).strip(), tuple(pages)).compact()

    def compact(self) -> Cited:
        """The same with none but the pages that are cited, in the order they are."""
        order = list(dict.fromkeys(number for match in MARK.finditer(self.text) for number in _numbers(match)))
        again = {number: i for i, number in enumerate(order)}
        return Cited(self._marked(lambda numbers: f"⟦{','.join(str(again[n]) for n in numbers) or '?'}⟧"),
                     tuple(self.pages[n] for n in order))  # fmt: skip

    def write(self, name: Callable[[Page], str]) -> str:
        """The text with a name for each page: ``[p. 12]``; neighbouring citations of several pages each have their own."""
        return self._marked(lambda numbers: " ".join(f"[{name(self.pages[n])}]" for n in numbers) or "[p. ?]")

    def _marked(self, mark: Callable[[list[int]], str]) -> str:
        return MARK.sub(lambda match: mark(_numbers(match)), self.text)

    def claims(self) -> list[Claim]:
        """The sentences and what each cites; a citation that stands after the full stop belongs to the sentence before it."""
        return [claim for start, end in self._spans() if (claim := self._claim(self.text[start:end]))]

    def shortened(self, room: float, count: Callable[[str], int]) -> Cited:
        """The first sentences, as many as fit a number of tokens and at least one, without those said before word for word."""
        out: list[str] = []
        seen: set[str] = set()
        at = 0
        for start, end in self._spans():
            said = " ".join(self.text[start:end].split()).casefold()
            if said not in seen or len(said) < _TELLING:
                room -= count(self.text[start:end])
                if room < 0 and out:
                    break
                out.append(self.text[at:end])
                seen.add(said)
            at = end
        return Cited("".join(out).strip(), self.pages).compact()

    def _spans(self) -> list[tuple[int, int]]:
        hidden = MARK.sub(_hidden, self.text)
        spans: list[tuple[int, int]] = []
        for start, end in sentences(hidden):
            body = start
            while match := _LEADING.match(self.text, body, end):
                body = match.end()
            between = self.text[spans[-1][1] : start] if spans else "\n"
            alone = body >= end or not _MARKED_END.search(self.text[slice(*spans[-1])] if spans else "")
            if body > start and "\n" not in between and alone:
                spans[-1] = spans[-1][0], body
                start = body
            if hidden[start:end].strip(" \n."):
                spans.append((start, end))
        return spans

    def _claim(self, text: str) -> Claim | None:
        """None for what says nothing: a heading, a lead-in, a scrap."""
        numbers = [_numbers(match) for match in MARK.finditer(text)]
        bare = re.sub(r"\s+([.,;:!?。，；])", r"\1", MARK.sub(" ", text))
        bare = " ".join(_BULLET.sub("", bare, count=1).split())
        heading = text.lstrip().startswith("#") or bare.rstrip("*_").endswith((":", "："))
        if not numbers and (heading or (len(_WORDS.findall(bare)) < 3 and sum(map(str.isalpha, bare)) < 8)):
            return None
        pages = tuple(self.pages[n] for n in dict.fromkeys(n for group in numbers for n in group))
        return Claim(bare, pages, bool(numbers), any(not group for group in numbers))


class Claim(NamedTuple):
    """A sentence without its citations; ``invented`` says that it cites a page that was not given."""

    text: str
    pages: tuple[Page, ...]
    cited: bool
    invented: bool


def joined(texts: Sequence[Cited], name: Callable[[int], str] | None = None, between: str = "\n\n") -> Cited:
    """Several texts as one, each after its name if ``name`` gives one for its place in the list."""
    numbers: dict[str, int] = {}
    pages: list[Page] = []
    out = []
    for place, cited in enumerate(texts):
        for page in cited.pages:
            if page.id not in numbers:
                numbers[page.id] = len(pages)
                pages.append(page)
        again = [numbers[page.id] for page in cited.pages]
        text = cited._marked(partial(_renumbered, again))
        out.append(f"{name(place)}\n\n{text}" if name else text)
    return Cited(between.join(out), tuple(pages))


def _renumbered(again: Sequence[int], numbers: list[int]) -> str:
    return f"⟦{','.join(str(again[n]) for n in numbers) or '?'}⟧"


def _hidden(match: re.Match[str]) -> str:
    """What stands for a mark where sentences are told apart; it ends one if the next begins without a full stop before it."""
    after = re.match(r"\s+[^\w\s]*(\w)", match.string[match.end() : match.end() + 20])
    ends = after is not None and not after[1].islower() and not after[1].isdigit()
    return _HIDDEN * (len(match[0]) - 1) + ("." if ends else _HIDDEN)


def _numbers(match: re.Match[str]) -> list[int]:
    return [int(n) for n in match[1].split(",") if n.isdigit()]


def _references(text: str) -> list[tuple[int, int, tuple[int, ...]]]:
    """Where pages are named, brackets around them included, and their numbers."""
    references = find_references(text)
    found: list[tuple[int, int, tuple[int, ...]]] = []
    inside: set[int] = set()
    for bracket in _BRACKETED.finditer(text):
        own = [r for r in references if bracket.start() < r.start and r.end < bracket.end()]
        rest = list(text[bracket.start(1) : bracket.end(1)])
        for r in own:
            rest[r.start - bracket.start(1) : r.end - bracket.start(1)] = " " * (r.end - r.start)
        left = _BESIDE.sub(" ", "".join(rest)).split()  # of "[p. 3, 5]" the five
        if own and all(n.isdecimal() for n in left):  # not "②", which is no integer to Python
            found.append((*bracket.span(), tuple(dict.fromkeys([*(n for r in own for n in r.numbers), *map(int, left)]))))
            inside.update(r.start for r in own)
    found += [(m.start(), m.end(), ()) for m in _INVENTED.finditer(text)]
    found += [(r.start, r.end, r.numbers) for r in references if r.start not in inside]
    return sorted(found)
