"""Which sentences of the pages at hand bear on a question, by the words they share with it; any script, no model."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from ..embedding.lexical import lexical_features


def least_share(question: str) -> float:
    """The least `Passage.share` that counts as bearing on a question. Of questions put to texts that cannot answer them about
    5 % reach it in English and 1 % in Chinese; of answerable ones (XQuAD, CMRC) over 90 % in every language."""
    han = sum("\u3400" <= c <= "\u9fff" for c in question)
    return 0.13 if 2 * han > sum(c.isalpha() for c in question) else 0.27


class Passage(NamedTuple):
    """A sentence. ``text_index`` says in which of the texts, ``start`` and ``end`` where in it. ``share`` (0 to 1) is how much
    of the question, weighed by rarity among these sentences, it contains; ``score`` orders passages."""

    text_index: int
    start: int
    end: int
    score: float
    share: float


_ABBREVIATION = r"\b(?:Mrs?|Ms|Dr|St|Prof|Rev|Col|Gen|Capt|Lt|Hon|Esq|Jr|Sr|No|vs|etc|e\.g|i\.e|cf|Fig|[A-Z])"
_END = re.compile(
    rf"(?:{_ABBREVIATION}\.\s)|"  # an abbreviation ends no sentence
    r"""(?P<end>[.!?…]+["'”’»)\]]*(?=\s)|[。！？｡；।؟۔]+["'”’»）」』]*|\n\s*\n|\n(?=\s*[-*•#|\d]))\s*"""
)
_CLAUSE = re.compile(r"[;:,—–][\"'”’)]*\s|[，；：、]")
_LONGEST = 400


def sentences(text: str) -> list[tuple[int, int]]:
    """Spans of the sentences of a text, without white space around them; those over 400 characters are cut between clauses."""
    spans: list[tuple[int, int]] = []
    at = 0
    for end in [m.end() for m in _END.finditer(text) if m["end"] is not None] + [len(text)]:
        while end - at > _LONGEST:
            aim = at + (end - at) // -(-(end - at) // _LONGEST)  # even parts, so that none is a stump
            cuts = [m.end() for m in _CLAUSE.finditer(text, aim - 100, aim + 100)]
            cut = min(cuts, key=lambda c: abs(c - aim)) if cuts else text.find(" ", aim, aim + 100) + 1 or aim
            spans.append((at, cut))
            at = cut
        spans.append((at, end))
        at = end
    stripped = []
    for start, end in spans:
        inner = text[start:end]
        start += len(inner) - len(inner.lstrip())
        if inner.strip():
            stripped.append((start, start + len(inner.strip())))
    return stripped


def best_passages(question: str, texts: Sequence[str]) -> list[Passage]:
    """The sentences that share something with the question, best first (BM25 over `lexical_features`, k1 = 0.3, b = 0.25, with
    rarity taken among the sentences at hand; a sentence also gains a little from its neighbours)."""
    asked = Counter(lexical_features(question))
    spans = [(i, start, end) for i, text in enumerate(texts) for start, end in sentences(text)]
    if not asked or not spans:
        return []
    bags: list[Counter[str]] = []
    lengths = []
    for i, start, end in spans:
        found = lexical_features(texts[i][start:end])
        lengths.append(len(found))
        bags.append(Counter(f for f in found if f in asked))
    frequency = Counter(f for bag in bags for f in bag)
    mean = sum(lengths) / len(lengths) or 1.0
    idf = {f: math.log(1 + (len(bags) - n + 0.5) / (n + 0.5)) for f, n in frequency.items()}
    unseen = math.log(1 + (len(bags) + 0.5) / 0.5)
    whole = sum(idf.get(f, unseen) for f in asked)
    own = []
    for bag, length in zip(bags, lengths, strict=True):
        own.append(sum(idf[f] * n * 1.3 / (n + 0.3 * (0.75 + 0.25 * length / mean)) for f, n in bag.items()))
    passages = []
    for k, (i, start, end) in enumerate(spans):
        if not bags[k]:
            continue
        neighbours = [own[j] for j in (k - 1, k + 1) if 0 <= j < len(spans) and spans[j][0] == i]
        score = own[k] + 0.1 * max(neighbours, default=0.0)
        passages.append(Passage(i, start, end, score, sum(idf[f] for f in bags[k]) / whole))
    return sorted(passages, key=lambda p: (-p.score, p.text_index, p.start))
