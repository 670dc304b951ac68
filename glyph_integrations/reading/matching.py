"""Finding quoted words in a page's text, whatever its line ends and kinds of marks, and words that are one misread away."""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

_DASHES = "‐‑‒–—―−﹘－"
_ONE_TO_ONE = str.maketrans({**dict.fromkeys(_DASHES, "-"), **{chr(c): chr(c - 0xFEE0) for c in range(0xFF01, 0xFF5F)}})
_DROPPED = "\\s\"'`´“”„‟«»‹›「」『』‘’‚‛\u00ad\u200b-\u200f\u2060\ufeff"
_PIECE = re.compile(
    rf"(?P<ligature>[ﬀ-ﬆ])|(?P<dash>-+)|(?P<dots>…+|\.(?: ?\.)+)|(?P<kept>[^{_DROPPED}….*_ﬀ-ﬆ-]+|\.|(?<=\w)[*_]+(?=\w))"
)


class PlainText(NamedTuple):
    """A text without white space, quotation marks, emphasis marks and invisible characters, with dashes and dots made one
    kind. ``begins``, ``origins`` and ``lengths`` describe its pieces: where each begins here, and where and how long it was
    in the original."""

    text: str
    begins: list[int]
    origins: list[int]
    lengths: list[int]

    def span(self, start: int, end: int) -> tuple[int, int]:
        """The original's characters for ``start:end`` of the plain text (not empty)."""
        first, last = bisect_right(self.begins, start) - 1, bisect_right(self.begins, end - 1) - 1
        low = self.origins[first] + min(start - self.begins[first], self.lengths[first] - 1)
        whole = end == (self.begins[last + 1] if last + 1 < len(self.begins) else len(self.text))
        inside = self.lengths[last] if whole else min(end - self.begins[last], self.lengths[last])
        return low, self.origins[last] + inside


@lru_cache(maxsize=256)
def plain_text(text: str) -> PlainText:
    """The plain form of a text. A page of 9,000 characters takes a millisecond, and is remembered."""
    pieces: list[str] = []
    begins: list[int] = []
    origins: list[int] = []
    lengths: list[int] = []
    at = 0
    for match in _PIECE.finditer(text.translate(_ONE_TO_ONE)):
        kind = match.lastgroup
        piece = match[0]
        begins.append(at)
        origins.append(match.start())
        lengths.append(len(piece))
        if kind != "kept":
            piece = "-" if kind == "dash" else "…" if kind == "dots" else unicodedata.normalize("NFKC", piece)
        pieces.append(piece)
        at += len(piece)
    return PlainText("".join(pieces), begins, origins, lengths)


def find_words(needle: str, text: str, plain: PlainText) -> tuple[int, int] | None:
    """Where the words of a plain needle first stand in a text, as whole words: a span of the text."""
    at = plain.text.find(needle)
    while at >= 0:
        start, end = plain.span(at, at + len(needle))
        if not (_joined(text, start) or _joined(text, end)):
            return start, end
        at = plain.text.find(needle, at + 1)
    return None


def whole_words(text: str, start: int, end: int) -> tuple[int, int]:
    """A span widened to the ends of its words."""
    while _joined(text, start):
        start -= 1
    while _joined(text, end):
        end += 1
    return start, end


def _joined(text: str, at: int) -> bool:
    """Whether a word of a script with spaces goes on across an offset."""
    return 0 < at < len(text) and _spaced(text[at - 1]) and _spaced(text[at])


def _spaced(character: str) -> bool:
    return character.isalnum() and not "\u2e80" <= character <= "\ufaff" and not "\u0e00" <= character <= "\u0eff"


def misreads(needle: str) -> int:
    """How many edits one misread may make of a plain needle: "rn" read as "m" is two. None in short ones, where anything is
    near to anything."""
    weight = sum(2 if "\u2e80" <= c <= "\ufaff" else 1 for c in needle)
    return 0 if weight < 12 else 1 if weight < 20 else 2


class Near(NamedTuple):
    """A place in a plain text that differs from a needle by some edits."""

    start: int
    end: int
    edits: int


def find_near(needle: str, haystack: str, most: int) -> Near | None:
    """The nearest place within ``most`` edits (insertions, deletions, substitutions).

    Of ``most + 1`` pieces of the needle one must stand in the haystack unchanged, so only places around such pieces are
    compared: about a tenth of a millisecond for a page.
    """
    best: Near | None = None
    bounds = [len(needle) * i // (most + 1) for i in range(most + 2)]
    for low, high in pairwise(bounds):
        piece = needle[low:high]
        at = haystack.find(piece)
        while at >= 0:
            left = _extend(needle[:low][::-1], haystack[max(0, at - low - most) : at][::-1], most)
            if left:
                after = at + len(piece)
                right = _extend(needle[high:], haystack[after : after + len(needle) - high + most], most - left[0])
                if right and (best is None or left[0] + right[0] < best.edits):
                    best = Near(at - left[1], after + right[1], left[0] + right[0])
            at = haystack.find(piece, at + 1)
    return best


def _extend(needle: str, beside: str, most: int) -> tuple[int, int] | None:
    """Fewest edits that make all of ``needle`` a beginning of ``beside``, and how much of ``beside`` that takes."""
    same = 0
    for a, b in zip(needle, beside, strict=False):
        if a != b:
            break
        same += 1
    if same == len(needle):
        return 0, same
    if not most:
        return None
    best: tuple[int, int] | None = None
    for skip_needle, skip_beside in ((1, 1), (1, 0), (0, 1)):
        if same + skip_beside <= len(beside):
            rest = _extend(needle[same + skip_needle :], beside[same + skip_beside :], most - 1)
            if rest and (best is None or rest[0] + 1 < best[0]):
                best = rest[0] + 1, same + skip_beside + rest[1]
    return best
