"""How badly a vision-language model reads a style: it writes passages down, finds planted facts, answers questions."""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Sequence
from functools import cached_property
from typing import Protocol

from ..errors import ModelError, QueryError
from ..page import Page
from ..reading import PageModel, Part, PicturePart, TextPart, Turn
from ..rendering import Renderer
from ..style import PageStyle
from ..vision import VisionProfile
from .edit_distance import edits, normalize
from .evaluator import Ask, Score
from .legibility import drawn_text
from .sample import Sample

_TRANSCRIBE = "Write down the text on this picture, word for word, from top to bottom. Write nothing else."
_NEEDLES = {  # one language for each script that the sample may be in; what is asked is the number
    "CJK": ("{}的密码是{}。", "{}的密码是多少？只回答数字。", "灯塔 码头 磨坊 钟楼 粮仓 渡口 驿站 药铺"),
    "": (
        "The secret number of the {} is {}.",
        "What is the secret number of the {}? Answer with the number alone.",
        "lighthouse harbour windmill belfry granary ferry tavern foundry",
    ),
}
_AROUND = 6000  # characters of the document about a planted fact
_LONGEST = 4  # times the text: the rest of an endless transcription changes nothing


class Asked(Protocol):
    """A question of the user's own, such as `glyph_integrations.evaluation.LabelledQuestion`."""

    @property
    def question(self) -> str:  # noqa: D102
        ...

    @property
    def answer(self) -> str:  # noqa: D102
        ...

    @property
    def source(self) -> str:  # noqa: D102
        ...

    @property
    def span(self) -> tuple[int, int] | None:  # noqa: D102
        ...


def ask_model(model: PageModel, max_tokens: int = 2000) -> Ask:
    """Any `PageModel` as what evaluators ask. Pages go as pictures, never as text."""

    def ask(pictures: Sequence[bytes], question: str) -> str:
        parts: list[Part] = [*(PicturePart(picture) for picture in pictures), TextPart(question)]
        return model.read([Turn("user", parts)], max_tokens=max_tokens).text

    return ask


class TranscriptionEvaluator:
    """A model writes the passages down, one call each; the error is the character error rate, at most 1.

    Args:
        ask: shows the model pictures, and asks: `ask_model`, or ``as_page_asker`` of an adapter.
        name: of the model; scores are kept under it.
        vision: its profile, or the profile's name: how pages are padded.
    """

    blind = frozenset({"columns"})
    in_process = False

    def __init__(self, ask: Ask, name: str, vision: VisionProfile | str) -> None:
        self._ask, self._vision = ask, VisionProfile.get(vision)
        self.name = f"transcription by {name}, for {self._vision.name}"

    def evaluate(self, style: PageStyle, sample: Sample) -> Score:
        """The character error rate over all passages.

        Raises:
            ModelError: the model failed.
        """
        renderer = Renderer(style)
        errors: list[int] = []
        lengths: list[int] = []
        for crop in sample.crops(sample.lay_out(renderer)):
            drawn = normalize(" ".join(drawn_text(crop.page, n) for n in range(1, len(crop.page.lines) + 1)))
            read = normalize(self._ask([renderer.png(crop.page, vision=self._vision)], _TRANSCRIBE).replace("\u21b5", " "))
            lengths.append(len(drawn))
            errors.append(min(len(drawn), sum(e.cost for e in edits(drawn, read[: _LONGEST * len(drawn)]))))
        detail = {"characters": sum(lengths), "errors": sum(errors)}
        return Score(sum(errors) / sum(lengths), _spread(errors, lengths), len(errors), detail)


class NeedleEvaluator:
    """Numbers are planted in the text, and asked for; the error is the share that the model does not find.

    Each is asked for in a call of its own, which shows the page that holds it and those after it.

    Args:
        ask, name, vision: as for `TranscriptionEvaluator`.
        needles: how many numbers.
        pages: shown at a time.
    """

    blind: frozenset[str] = frozenset()
    in_process = False

    def __init__(self, ask: Ask, name: str, vision: VisionProfile | str, needles: int = 4, pages: int = 2) -> None:
        self._ask, self._vision, self._needles, self._pages = ask, VisionProfile.get(vision), needles, pages
        self.name = f"{needles} needles in {pages} pages, by {name}, for {self._vision.name}"

    def evaluate(self, style: PageStyle, sample: Sample) -> Score:
        """The share of numbers that were not found.

        Raises:
            ModelError: the model failed.
        """
        dice = random.Random(f"{sample.seed} {sample.first}")
        passages = [sample.passages[n % len(sample.passages)] for n in range(self._needles)]
        lost = []
        for number, passage in enumerate(passages):
            text = sample.documents[passage.document].text
            told, asked, places = _NEEDLES["CJK" if _is_chinese(text[passage.start : passage.end]) else ""]
            place, secret = places.split()[number % 8], str(dice.randrange(10_000, 100_000))
            at = _sentence_end(text, dice.randrange(passage.start, passage.end))
            begin = max(0, at - _AROUND)
            planted = f"{text[begin:at]} {told.format(place, secret)} {text[at : at + _AROUND]}"
            pages = _pages_with(Renderer(style), planted, secret, self._pages)
            answer = self._ask(_pictures(style, pages, self._vision), asked.format(place))
            if secret not in re.sub(r"[\s,.']", "", answer):
                lost.append([secret, answer[:200]])
        return _shares(len(lost), self._needles, {"lost": lost})


class QuestionEvaluator:
    """The user's own questions, each put with the page that holds its answer and those after it; the error is the share of
    answers that do not hold the right words.

    Args:
        ask, name, vision: as for `TranscriptionEvaluator`.
        questions: with an answer that stands in the documents, or a span of it; see `glyph_integrations.evaluation`.
        pages: shown at a time.

    Raises:
        QueryError: a question without answer and span: pages are numbered differently in each style.
    """

    blind: frozenset[str] = frozenset()
    in_process = False

    def __init__(self, ask: Ask, name: str, vision: VisionProfile | str, questions: Sequence[Asked], pages: int = 2) -> None:
        self._ask, self._vision, self._pages = ask, VisionProfile.get(vision), pages
        self._questions = tuple(questions)
        if not questions:
            raise QueryError("there are no questions to ask")
        for question in questions:
            if not question.answer.strip() and question.span is None:
                raise QueryError(
                    f"{question.question!r} names a page; page numbers differ by style, so give its answer, or its span"
                )
        self._model = name

    @cached_property
    def name(self) -> str:
        """The model and the questions."""
        asked = _hash("\0".join(f"{q.question}\1{q.answer}\1{q.source}\1{q.span}" for q in self._questions))
        return f"{len(self._questions)} questions on {self._pages} pages, by {self._model}, for {self._vision.name}: {asked}"

    def evaluate(self, style: PageStyle, sample: Sample) -> Score:
        """The share of questions answered wrongly.

        Raises:
            QueryError: the answer to a question stands nowhere in the sample.
            ModelError: the model failed.
        """
        renderer = Renderer(style)
        layouts = sample.lay_out(renderer)
        wrong = []
        for question in self._questions:
            pages, answer = self._find(question, sample, layouts)
            said = self._ask(_pictures(style, pages, self._vision), question.question)
            if normalize(answer).casefold() not in normalize(said).casefold():
                wrong.append([question.question, said[:200]])
        return _shares(len(wrong), len(self._questions), {"wrong": wrong})

    def _find(self, question: Asked, sample: Sample, layouts: list[list[Page]]) -> tuple[list[Page], str]:
        for document, pages in zip(sample.documents, layouts, strict=True):
            if question.source and question.source != document.name:
                continue
            start, end = question.span or (document.text.find(question.answer), 0)
            if question.span is None:
                end = start + len(question.answer)
            if 0 <= start < end <= len(document.text):
                first = next(n for n, page in enumerate(pages) if page.start <= start < page.end)
                return pages[first : first + self._pages], question.answer.strip() or document.text[start:end]
        raise QueryError(
            f"the answer to {question.question!r} does not stand in the first {sum(len(d.text) for d in sample.documents):,} "
            "characters of the documents, on which styles are tuned"
        )


def _pictures(style: PageStyle, pages: Sequence[Page], vision: VisionProfile) -> list[bytes]:
    renderer = Renderer(style)
    return [renderer.png(page, vision=vision) for page in pages]


def _pages_with(renderer: Renderer, text: str, needle: str, count: int) -> list[Page]:
    pages = list(renderer.paginate(text))
    first = next((n for n, page in enumerate(pages) if needle in page.text), None)
    if first is None:  # a number is never hyphenated, but a page may end within it
        raise ModelError(f"the planted number {needle} fell between two pages")
    return pages[first : first + count]


def _hash(text: str) -> str:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def _sentence_end(text: str, at: int) -> int:
    found = re.compile(r"[.!?]\s|[。！？\n]").search(text, at)
    return found.end() if found else at


def _is_chinese(text: str) -> bool:
    return sum("\u3400" <= c <= "\u9fff" for c in text) * 2 > sum(not c.isspace() for c in text)


def _shares(lost: int, of: int, detail: dict[str, object]) -> Score:
    share = lost / of
    return Score(share, (share * (1 - share) / of) ** 0.5, of, detail)


def _spread(errors: Sequence[int], lengths: Sequence[int]) -> float:
    """Standard error of a ratio of two sums (Cochran, Sampling Techniques, 1977, chapter 6)."""
    count, rate = len(errors), sum(errors) / sum(lengths)
    if count < 2:
        return rate
    squares = sum((e - rate * n) ** 2 for e, n in zip(errors, lengths, strict=True))
    return float((squares * count / (count - 1)) ** 0.5 / sum(lengths))
