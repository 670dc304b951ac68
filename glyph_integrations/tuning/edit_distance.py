"""Two texts compared: what makes them comparable, and the fewest edits from one to the other."""

from __future__ import annotations

import re
import unicodedata
from typing import NamedTuple

import numpy as np

_QUOTES = str.maketrans(dict.fromkeys("“”„‟〝〞", '"') | dict.fromkeys("‘’‚‛", "'"))
# scripts written without spaces between words: Thai, Lao, Myanmar, Khmer, Chinese, Japanese
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u312f\u31a0-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_IDLE_SPACE = re.compile(rf"(?<=[{_UNSPACED}]) | (?=[{_UNSPACED}])")


class Edit(NamedTuple):
    """``text[start:end]`` was read as ``read``; one of the two may be empty."""

    start: int
    end: int
    read: str

    @property
    def cost(self) -> int:
        """How many characters must be replaced, added or dropped."""
        return max(self.end - self.start, len(self.read))


def normalize(text: str) -> str:
    """The text as it is compared.

    Format characters that leave no ink are dropped (Unicode category Cf), compatibility forms replaced (NFKC: full-width
    Latin and punctuation, ligatures), typographic quotes made straight. White space is one space; there is none at the ends,
    nor beside a character of a script that puts none between words.
    """
    text = "".join(c for c in text if unicodedata.category(c) != "Cf")
    text = unicodedata.normalize("NFKC", text).translate(_QUOTES)
    return _IDLE_SPACE.sub("", " ".join(text.split()))


def edits(text: str, read: str) -> list[Edit]:
    """The fewest edits that make ``read`` of ``text``, neighbours joined; their costs add up to the Levenshtein distance
    (Wagner and Fischer, 1974). Time and memory grow with the product of the lengths: 1 ms for two lines of 120 characters.
    """
    a, b = (np.frombuffer(s.encode("utf-32-le", "surrogatepass"), np.uint32) for s in (text, read))
    steps = np.arange(len(b) + 1, dtype=np.int32)
    table = np.empty((len(a) + 1, len(b) + 1), np.int32)
    table[0] = steps
    for i, code in enumerate(a, 1):
        best = table[i - 1] + 1
        best[1:] = np.minimum(best[1:], table[i - 1, :-1] + (b != code))
        table[i] = np.minimum.accumulate(best - steps) + steps  # characters added: each costs one more than that before it
    found: list[Edit] = []
    i, j = len(a), len(b)
    ends: tuple[int, int] | None = None  # of the edit that is being followed back
    while i or j:
        cost = table[i, j]
        if i and j and table[i - 1, j - 1] + (a[i - 1] != b[j - 1]) == cost:
            up, left = i - 1, j - 1
        elif i and table[i - 1, j] + 1 == cost:
            up, left = i - 1, j
        else:
            up, left = i, j - 1
        if table[up, left] != cost:
            ends = ends or (i, j)
        elif ends:
            found.append(Edit(i, ends[0], read[j : ends[1]]))
            ends = None
        i, j = up, left
    if ends:
        found.append(Edit(0, ends[0], read[: ends[1]]))
    return found[::-1]
