"""Ids, hashes, numbers, dates, paths and addresses that a picture may garble: sent as text beside the pages they stand on."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from ..page import Page
from .passages import best_passages, least_share

_MONTH = r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]*\.?"
_EXACT = re.compile(
    "|".join(
        (
            r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+",  # e-mail
            r"https?://[^\s<>\"'()\[\]]+[\w/]",
            r"(?<![\w/.])(?:[A-Za-z]:\\|~?/|\.{1,2}/)?[\w.@%+~-]+(?:[\\/][\w.@%+~-]+){2,}",  # paths
            r"\b[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}\b",
            r"\b\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d)?Z?)?\b",
            r"\d{4}年\d{1,2}月(?:\d{1,2}日)?",
            rf"\b\d{{1,2}}(?:st|nd|rd|th)? {_MONTH},? \d{{4}}\b",
            rf"\b{_MONTH} \d{{1,2}}(?:st|nd|rd|th)?,? \d{{4}}\b",
            # codes: letters and digits, no ordinal
            r"\b(?!\d+(?:st|nd|rd|th|s)\b)(?=[A-Za-z_./:-]*\d)(?=[\d_./:-]*[A-Za-z])[A-Za-z0-9]+(?:[-_./:][A-Za-z0-9]+)*\b",
            r"[$€£¥]?(?<![\w.])\d+(?:[.,:/-]\d+)+%?(?!\w)|[$€£¥]?(?<![\w.])\d{2,}%?(?!\w)",
        )
    )
)


def exact_strings(question: str, pages: Sequence[tuple[str, Page]], limit: int, count: Callable[[str], int]) -> str:
    """The exact strings in those sentences of the pages that bear on the question, a line per page; empty if there are none.

    Args:
        question: what is asked.
        pages: pages with their labels.
        limit: most tokens of the result.
        count: tokens of a text.
    """
    if limit <= 0:
        return ""
    least = least_share(question)
    chosen: dict[str, list[str]] = {}
    text = ""
    for passage in best_passages(question, [page.text for _, page in pages]):
        if passage.share < least:
            continue
        label, page = pages[passage.text_index]
        for found in _EXACT.findall(page.text[passage.start : passage.end]):
            if found in question or found in chosen.get(label, ()):
                continue
            longer = {**chosen, label: [*chosen.get(label, []), found]}
            lines = "\n".join(f"{name}: {' | '.join(longer[name])}" for name, _ in pages if name in longer)
            longer_text = f"Exact strings on these pages:\n{lines}"
            if count(longer_text) <= limit:
                chosen, text = longer, longer_text
    return text
