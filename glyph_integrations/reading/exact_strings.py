"""Ids, hashes, numbers, dates, paths and addresses that a picture may garble: sent as text beside the pages they stand on."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

from .passages import best_passages, least_share

_MONTH = r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]*\.?"
_D = r"[0-9٠-٩۰-۹०-९০-৯๐-๙０-９]"  # digits of scripts that write numbers with their own
_EXACT = re.compile(
    "|".join(
        (
            r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+",  # e-mail
            r"https?://[^\s<>\"'()\[\]]+[\w/]",
            # paths: from a root, or of three steps and more; names of files
            r"(?<![\w/.])(?:[A-Za-z]:\\|~?/|\.{1,2}/)[\w.@%+~-]+(?:[\\/][\w.@%+~-]+)*(?<![.])",
            r"(?<![\w/.])[\w.@%+~-]+(?:[\\/][\w.@%+~-]+){2,}(?<![.])",
            r"\b[\w-]+\.(?:[ch]|cc|cpp|css|csv|docx?|exe|gif|gz|html?|ini|ipynb|java|jpe?g|js|json|log|md|mp[34]|pdf|png|pptx?|py"
            r"|rs|sh|sql|tar|toml|ts|txt|wav|xlsx?|xml|ya?ml|zip)\b",
            r"\b[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}\b",
            r"\b\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:\d\d)?)?\b",
            r"\d{4}年\d{1,2}月(?:\d{1,2}日)?|\d{1,2}月\d{1,2}日",
            rf"\b\d{{1,2}}(?:st|nd|rd|th)? {_MONTH},? \d{{4}}\b",
            rf"\b{_MONTH} \d{{1,2}}(?:st|nd|rd|th)?,? \d{{4}}\b",
            r"\b(?:[A-Z]{2}\d{2}(?: [A-Z0-9]{4}){2,7}(?: [A-Z0-9]{1,3})?)\b",  # IBAN
            r"\+\d{1,3}(?:[ -]?\(?\d{1,5}\)?){2,6}",  # telephone
            r"\b[0-9a-f]{12,}\b|\b[0-9A-F]{12,}\b",  # hashes
            # codes: letters and digits, no ordinal
            r"\b(?!\d+(?:st|nd|rd|th|s)\b)(?=[A-Za-z_./:-]*\d)(?=[\d_./:-]*[A-Za-z])[A-Za-z0-9]+(?:[-_./:][A-Za-z0-9]+)*\b",
            rf"(?<![\w.])(?:[$€£¥]{_D}+(?:[.,:/-]{_D}+)*|{_D}+(?:[.,:/-]{_D}+)+%?|{_D}{{2,}}%?|{_D}%)(?!\w)",
        )
    ),
    re.ASCII,  # so that a number or id may stand directly beside a letter of a script without spaces
)


_HEADING = "Exact strings on these pages:"
_WRITTEN = re.compile(rf"^{_HEADING}\n((?:Page .*: .*(?:\n|\Z))+)", re.M)


def find_exact(text: str) -> list[str]:
    """The exact strings of a text, in order."""
    return _EXACT.findall(text)


def exact_strings(question: str, pages: Sequence[tuple[str, str]], limit: int, count: Callable[[str], int]) -> str:
    """The exact strings in those sentences of the pages that bear on the question, a line per page; empty if there are none.

    Args:
        question: what is asked.
        pages: labels of pages, and their texts.
        limit: most tokens of the result.
        count: tokens of a text.
    """
    if limit <= 0:
        return ""
    least = least_share(question)
    chosen: dict[str, list[str]] = {}
    text = ""
    for passage in best_passages(question, [text for _, text in pages]):
        if passage.share < least:
            continue
        label, shown = pages[passage.text_index]
        for found in find_exact(shown[passage.start : passage.end]):
            if found in question or found in chosen.get(label, ()):
                continue
            longer = {**chosen, label: [*chosen.get(label, []), found]}
            lines = "\n".join(f"{name}: {' | '.join(longer[name])}" for name, _ in pages if name in longer)
            longer_text = f"{_HEADING}\n{lines}"
            if count(longer_text) <= limit:
                chosen, text = longer, longer_text
    return text


def read_exact_strings(texts: Iterable[str]) -> dict[str, list[str]]:
    """What `exact_strings` wrote into the texts of a prompt: the strings, by the label of their page."""
    found: dict[str, list[str]] = {}
    for lines in (match[1] for text in texts for match in _WRITTEN.finditer(text)):
        for line in lines.splitlines():
            label, _, strings = line.partition(": ")
            found.setdefault(label, []).extend(strings.split(" | "))
    return found
