"""Pages of made-up prose that hide facts nobody can know who has not read them: names, and strings that must be exact."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

from ..errors import StyleError
from ..page import Page
from ..reading.matching import find_near, plain_text
from ..rendering import Renderer
from ..style import PageStyle

Language = Literal["en", "zh"]
"""In which language pages are written: English or Chinese."""


class Needle(NamedTuple):
    """A question, and the words of the page that answer it."""

    question: str
    answer: str

    def found_in(self, text: str, misread: int = 0) -> bool:
        """Whether an answer has the words, whatever its case, spaces and marks, with at most so many characters misread."""
        said, wanted = plain_text(text.casefold()).text, plain_text(self.answer.casefold()).text
        return find_near(wanted, said, misread) is not None


class _Words(NamedTuple):
    """Of what pages in one language are made. ``{a}``, ``{b}`` are things; ``{place}`` and ``{answer}`` belong to a needle."""

    sentences: tuple[str, ...]
    things: tuple[str, ...]
    named: tuple[str, str]  # the sentence of a name, and its question
    exact: tuple[str, str]
    misread: int  # characters of a name that may be wrong
    between: str
    paragraph: int  # sentences


_WORDS: dict[Language, _Words] = {
    "en": _Words(
        (
            "The {a} crossed the water twice a day, and nobody on the shore counted what it carried.",
            "In the second winter the {a} was sold for less than the {b} had cost.",
            "Nothing is known about the {a}, except that it stood for years behind the {b}.",
            "Whoever wanted to see the {a} had to walk along the dunes until the rain stopped.",
            "They painted the {a} green, since the {b} had been green as long as anybody could remember.",
            "A letter about the {a} arrived too late, and was laid upon the {b} to dry.",
            "Children were told that the {a} had come from the south on a warm evening in May.",
            "Both the {a} and the {b} were mended by the same carpenter, who asked for no money.",
        ),
        (
            "ferry", "windmill", "old bridge", "silver clock", "market hall", "barrel of salt", "fishing boat", "copper kettle",
            "wooden horse", "church bell", "garden wall", "iron stove", "travelling circus", "blue lantern", "apple orchard",
            "baker's cart", "broken ladder", "school desk", "grey goose", "stone jetty",
        ),
        ("The steward of {place} is called {answer}.", "What is the steward of {place} called?"),
        ("The registration code of {place} is {answer} today.", "What is the registration code of {place}?"),
        misread=1, between=" ", paragraph=7,
    ),
    "zh": _Words(
        (
            "那只{a}每天两次渡过河去，岸上没有人知道它装着什么。", "第二年冬天，{a}卖得比{b}还要便宜。",
            "关于{a}，人们只记得它多年以来一直放在{b}后面。", "想看{a}的人要沿着沙丘一直走到雨停为止。",
            "他们把{a}漆成绿色，因为{b}从来就是绿色的。", "一封谈到{a}的信来得太晚，只好放在{b}上面晾干。",
        ),
        (
            "渡船", "风车", "旧桥", "银钟", "市场", "盐桶", "渔船", "铜壶", "木马", "石墙", "铁炉", "灯笼", "果园", "板车",
            "梯子", "书桌",
        ),
        ("{place}的管家名叫{answer}。", "{place}的管家叫什么名字？"),
        ("{place}的登记号码是{answer}。", "{place}的登记号码是什么？"),
        misread=0, between="", paragraph=9,
    ),
}  # fmt: skip
_SYLLABLES = tuple("bal dor fen gri hul jan kel lum mor nis pol ras sel tav ven wil zor bri tham lok".split())
_CHARACTERS = "蕴澜骥麟黛馥霁璋韶燕衡龄毅谦颖睿嘉赢鹭墨"
_PLACES = "岚渝湘鄂冀豫皖赣浔泸"


def exam(
    renderer: Renderer, style: PageStyle, language: Language = "en", seed: int = 0, *, names: int = 4, strings: int = 0
) -> tuple[Page, list[Needle]]:
    """A full page in a style, and the questions that only it answers: first about names, then about exact strings (hashes,
    numbers, codes, amounts). Equal arguments make equal pages.

    Raises:
        StyleError: a page in this style is too small to hide them.
    """
    dice = random.Random(f"{seed} {style} {language}")
    words = _WORDS[language]
    needles: list[Needle] = []
    sentences: list[str] = []
    kinds = [(words.named, _name(dice, language)) for _ in range(names)]
    kinds += [(words.exact, _string(dice, kind)) for kind in range(strings)]
    places: set[str] = set()
    for (sentence, question), answer in kinds:
        while (place := _place(dice, language)) in places:
            pass
        places.add(place)
        sentences.append(sentence.format(place=place, answer=answer))
        needles.append(Needle(question.format(place=place), answer))
    filler = _filler(dice, words)
    text = ""
    while True:  # until a page is full
        text += "".join(next(filler) for _ in range(8 * words.paragraph))
        pages = list(renderer_for(renderer, style).paginate(text, source="calibration.txt"))
        if len(pages) > 1:
            break
    for share in (0.9, 0.7, 0.5):  # a page may end early, in its last quarter
        hidden = _hide(pages[0].text, sentences, words.between, share)
        page = next(renderer_for(renderer, style).paginate(hidden, source="calibration.txt"))
        if all(sentence in " ".join(page.text.split()) for sentence in sentences):
            return page, needles
    raise StyleError(f"a page in style {style} is too small to hide {len(sentences)} sentences on it; take a higher one")


def misread(language: Language) -> int:
    """How many characters of a name may be wrong in an answer that counts as read."""
    return _WORDS[language].misread


def renderer_for(renderer: Renderer, style: PageStyle) -> Renderer:
    """A renderer with the same fonts and another style."""
    return Renderer(style, renderer._extra_fonts, renderer.root)


def _hide(text: str, sentences: Sequence[str], between: str, share: float) -> str:
    """The sentences spread over the text, between others, so that all stand within its first ``share``."""
    ends = [match.end() for match in re.finditer(r"[.。](?=\s|[^\s.])", text)]
    room = max(0, len(text) * share - sum(map(len, sentences)))
    for number in reversed(range(len(sentences))):
        wanted = room * (number + 0.5) / len(sentences)
        at = min(ends, key=lambda end: abs(end - wanted))
        text = f"{text[:at]}{between}{sentences[number]}{text[at:]}"
    return text


def _filler(dice: random.Random, words: _Words) -> Iterator[str]:
    count = 0
    while True:
        a, b = dice.sample(words.things, 2)
        count += 1
        end = "\n\n" if count % words.paragraph == 0 else words.between
        yield dice.choice(words.sentences).format(a=a, b=b) + end


def _name(dice: random.Random, language: Language) -> str:
    if language == "zh":
        return "".join(dice.sample(_CHARACTERS, 4))
    return " ".join("".join(dice.sample(_SYLLABLES, n)).capitalize() for n in (2, 3))


def _place(dice: random.Random, language: Language) -> str:
    if language == "zh":
        return "".join(dice.sample(_PLACES, 3)) + "站"
    return "".join(dice.sample(_SYLLABLES, 3)).capitalize()


def _string(dice: random.Random, kind: int) -> str:
    """A hash, a long number, a mixed code, a UUID, an amount; then these again."""
    hexa = f"{dice.getrandbits(128):032x}"
    match kind % 5:
        case 0:
            return hexa[:16]
        case 1:
            return f"{dice.randrange(10**11, 10**12)}"
        case 2:
            parts = ("".join(dice.choice("ABCDEFGHJKLMNPQRSTUVWXYZ23456789") for _ in range(4)) for _ in range(3))
            return "-".join(parts)
        case 3:
            return f"{hexa[:8]}-{hexa[8:12]}-{hexa[12:16]}-{hexa[16:20]}-{hexa[20:]}"
        case _:
            return f"{dice.randrange(10**6, 10**7):,}"
