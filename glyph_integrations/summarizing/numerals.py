"""Numbers in a text: those in digits, of any script, and those written out in English or Chinese."""

from __future__ import annotations

import re
import unicodedata

_NUMBER = re.compile(r"\d+(?:[.,:'’٫٬ \u00a0\u202f]\d+)*")
_GROUPED = re.compile(r"\d{1,3}(?:[.,'’٬ \u00a0\u202f]\d{3})+(?!\d)")
_DECIMAL = re.compile("[,٫]")
_ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen "
    "nineteen"
).split()
_TENS = dict(zip("twenty thirty forty fifty sixty seventy eighty ninety".split(), range(20, 100, 10), strict=True))
_ORDINALS = dict(
    zip("first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth".split(), range(1, 13), strict=True)
)
_SMALL = {**{word: i for i, word in enumerate(_ONES)}, **_ORDINALS, "dozen": 12}
_ENGLISH = re.compile(rf"\b(?:({'|'.join(_TENS)})(?:[- ]({'|'.join(_SMALL)}))?|({'|'.join(_SMALL)}))\b", re.I)
_HAN = {**dict(zip("〇零一二三四五六七八九", (0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9), strict=True)), "两": 2, "兩": 2}
_UNITS = {"十": 10, "百": 100, "千": 1000, "万": 10_000, "萬": 10_000, "亿": 100_000_000, "億": 100_000_000}
_CHINESE = re.compile(f"[{''.join(_HAN)}{''.join(_UNITS)}]{{1,24}}")  # a longer run is no number: 万万万…


def numbers_in(text: str) -> list[str]:
    """The numbers in digits, each in ASCII, without marks between thousands and with a decimal point: ``1,204.5`` and
    ``1 204,5`` are ``1204.5``."""
    found = []
    for match in _NUMBER.finditer(text):
        number = "".join(str(unicodedata.digit(c)) if c.isdigit() and not c.isascii() else c for c in match[0])
        number = _DECIMAL.sub(".", _GROUPED.sub(lambda m: re.sub(r"\D", "", m[0]), number))
        found += [part.strip(".,:'’").lstrip("0") or "0" for part in re.split(r"[ \u00a0\u202f]", number)]
    return found


def numbers_written(text: str) -> frozenset[str]:
    """The numbers that are written in words: English below a hundred, Chinese of any size."""
    found = set()
    for tens, ones, small in _ENGLISH.findall(text):
        found.add(_TENS[tens.lower()] + _SMALL.get(ones.lower(), 0) if tens else _SMALL[small.lower()])
    found |= {_chinese(match[0]) for match in _CHINESE.finditer(text)}
    return frozenset(map(str, found))


def _chinese(text: str) -> int:
    if not set(text) & set(_UNITS):  # 一九四九: digit by digit
        return int("".join(str(_HAN[c]) for c in text[:18]))
    total = part = digit = 0
    for character in text:
        unit = _UNITS.get(character, 0)
        if not unit:
            digit = _HAN[character]
        elif unit < 10_000:
            part += (digit or 1) * unit
            digit = 0
        else:
            total = (total + part + digit or 1) * unit
            part = digit = 0
    return total + part + digit
