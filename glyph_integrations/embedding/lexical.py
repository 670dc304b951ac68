"""Words without a model: the features of a text in any script, and their hashed vector."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any
from unicodedata import category as _category
from unicodedata import normalize as _normalize
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from ..page import Page
from .embedder import Metric, Vectors

GRAM = 4

# Thai to Balinese; kana, Han, Yi; Hangul.
# Scripts that put no spaces between words, and Hangul, whose words carry their particles: character bigrams serve them.
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u1950-\u19ff\u1a20-\u1aaf\u1b00-\u1b7f\ua980-\ua9ff\uaa60-\uaadf"
    "\u3005-\u3007\u3040-\u312f\u31a0-\u31ff\u3400-\u4dbf\u4e00-\ua4cf\uf900-\ufaff\U00020000-\U0003ffff"
    "\u1100-\u11ff\uac00-\ud7ff"
)
_FIRST, _LAST = np.array(sorted(map(ord, f"\0\0{_UNSPACED.replace('-', '')}"))).reshape(-1, 2).T  # of each range
_WORDS = re.compile(f"([{_UNSPACED}]+)|[^ {_UNSPACED}]+")


class _Letters(dict[int, str | None]):
    """For `str.translate`: letters, marks and digits stay, invisible format characters go, all else is a space."""

    def __missing__(self, code: int) -> str | None:
        char = chr(code)
        category = _category(char)
        self[code] = value = char if category[0] in "LNM" else None if category == "Cf" else " "
        return value


_LETTERS = _Letters()


def lexical_features(text: str) -> list[str]:
    """The features that BM25 and `LexicalEmbedder` count, in reading order, repeated as often as they occur.

    Text is normalised (NFKC) and casefolded, then cut into words of letters, marks and digits. A word of an alphabetic
    script gives its character 4-grams, or itself when shorter; a run of a script written without spaces (Chinese, Japanese,
    Thai, Lao, Khmer, Burmese; Korean too, for its particles) gives its character bigrams, or itself when a single character.
    """
    features: list[str] = []
    for match in _WORDS.finditer(_words(text)):
        word = match[0]
        size = GRAM if match.lastindex is None else 2
        if len(word) <= size:
            features.append(word)
        else:
            features += [word[i : i + size] for i in range(len(word) - size + 1)]
    return features


def joined_features(text: str) -> str:
    """`lexical_features` joined by spaces, in no particular order: for engines that count them. 3 times faster for a page."""
    words = f" {_words(text)}{' ' * GRAM}"  # so that nothing reaches beyond an end
    coding, code = ("ascii", "u1") if words.isascii() else ("utf-32-le", "<u4")
    codes: NDArray[np.integer[Any]] = np.frombuffer(words.encode(coding), dtype=code)
    kinds = (codes != ord(" ")).astype(np.int8)  # 0 between words, 1 in one, 2 in a script without spaces
    if code != "u1":
        kinds[codes <= _LAST[np.searchsorted(_FIRST, codes, side="right") - 1]] = 2
    edges = np.flatnonzero(kinds[1:] != kinds[:-1]) + 1
    kinds, starts, lengths = kinds[edges[:-1]], edges[:-1], np.diff(edges)
    sizes = np.minimum(lengths, np.array([0, GRAM, 2])[kinds])
    found = []
    for size in range(1, GRAM + 1):  # features of one length are the rows of a table
        chosen = sizes == size
        counts = lengths[chosen] - size + 1
        places = np.repeat(starts[chosen] - np.cumsum(counts) + counts, counts) + np.arange(counts.sum())
        table = np.full((len(places), size + 1), ord(" "), dtype=code)
        for i in range(size):
            table[:, i] = codes[places + i]
        found.append(table.tobytes().decode(coding))
    return "".join(found).rstrip()


def _words(text: str) -> str:
    text = text.lower() if text.isascii() else _normalize("NFKC", _normalize("NFKC", text).casefold())
    return text.translate(_LETTERS)


class LexicalEmbedder:
    """Pages as hashed counts of `lexical_features`: no model, any script, the same numbers on every machine.

    Each feature is hashed to a dimension and a sign (feature hashing, Weinberger et al. 2009). A page holds the saturated
    count ``tf / (tf + 1.2 * (0.25 + 0.75 * length / 4000))``, BM25's with a fixed reference length (a full page), so a page's
    vector depends on nothing but its text; rarity weighs on the query's side alone, whose weights sum to 1. The inner product
    is then about the share of the question found on the page, 0 to 1. Hash collisions make it coarser than BM25 on the same
    features: for stores that need a vector, and small indexes.

    Args:
        dim: length of the one vector a page gets.
    """

    name = "lexical"
    revision = "1"
    metric: Metric = "ip"
    stored = False

    def __init__(self, dim: int = 8192) -> None:
        if dim < 1:
            raise ValueError(f"dim={dim}: must be at least 1")
        self.dim = dim

    def embed_pages(self, pages: Sequence[Page]) -> list[Vectors]:
        """One float32 array of shape [1, dim] per page; all zero for a page without letters or digits."""
        return [self._embed_page(page.text) for page in pages]

    def embed_query(self, text: str, idf: Callable[[str], float] | None = None) -> Vectors:
        """A float32 array of shape [1, dim]; all zero when no feature has weight.

        Args:
            text: the question.
            idf: weight of a feature by its rarity, 0 for one to leave out; an index passes its own. None: all weigh the same.
        """
        counts = Counter(lexical_features(text))
        weights = np.array([n * (idf(feature) if idf else 1.0) for feature, n in counts.items()], dtype=np.float32)
        total = float(weights.sum())
        return self._hashed(counts, weights / total if total > 0 else weights * 0)

    def _embed_page(self, text: str) -> Vectors:
        features = lexical_features(text)
        counts = Counter(features)
        tf = np.fromiter(counts.values(), dtype=np.float32, count=len(counts))
        return self._hashed(counts, tf / (tf + 1.2 * (0.25 + 0.75 * len(features) / 4000)))

    def _hashed(self, features: Iterable[str], values: Vectors) -> Vectors:
        codes: NDArray[np.uint64] = np.fromiter((crc32(f.encode()) for f in features), dtype=np.uint64, count=len(values))
        # the finaliser of MurmurHash3: CRC alone is linear, so similar words would meet in similar places
        codes = (codes ^ (codes >> np.uint64(33))) * np.uint64(0xFF51AFD7ED558CCD)
        codes = (codes ^ (codes >> np.uint64(33))) * np.uint64(0xC4CEB9FE1A85EC53)
        codes ^= codes >> np.uint64(33)
        signs = np.where(codes >> np.uint64(63), np.float32(1), np.float32(-1))
        places = (codes % np.uint64(self.dim)).astype(np.intp)
        vector = np.bincount(places, weights=values * signs, minlength=self.dim)
        return vector.astype(np.float32)[None]
