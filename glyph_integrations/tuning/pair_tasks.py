"""What a model is taught of a page: questions made from templates, and their answers, which stand on the page."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from ..errors import DocumentError
from ..page import Page
from ..reading.passages import sentences

Templates = Mapping[str, Sequence[str]]
"""For each task its phrasings, of which one is drawn for each page."""

TEMPLATES: Templates = {
    "transcribe": (
        "Transcribe this page.", "Write down the text of this page, word for word.", "What does this page say? Copy all of it.",
    ),
    "lines": (
        "Copy the {count} lines that follow the line which begins “{words}”.",
        "After the line that begins with “{words}”, what do the next {count} lines say?",
    ),
    "complete": (
        "Complete the sentence as it stands on the page: “{words}”", "How does the sentence go on that begins “{words}”?",
    ),
    "missing": (
        "Which word stands in the gap on this page? “{words}”", "Fill in the word that is left out: “{words}”",
    ),
}  # fmt: skip
"""The tasks: OCR of the whole page, alignment of a few lines, and two kinds of questions."""

_PLACES = {"transcribe": (), "lines": ("count", "words"), "complete": ("words",), "missing": ("words",)}
_MARKS = re.compile(r"<(?:image|video|audio)>")
_GAP = "____"


class Exchange(NamedTuple):
    """A question about a page, and its answer."""

    task: str
    question: str
    answer: str


def read_templates(path: str | Path) -> Templates:
    """Templates from a JSON file: an object of tasks, each a list of phrasings. Tasks it does not name are left out.

    Raises:
        DocumentError: it cannot be read, names a task that is not known, or a phrasing lacks a place for what it asks about.
    """
    try:
        found = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise DocumentError(f"cannot read templates {path}: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise DocumentError(f"templates {path} are not JSON: {error}") from error
    return checked_templates(found, f"templates {path}")


def checked_templates(found: object, where: str = "templates") -> Templates:
    """The templates, if they can be used.

    Raises:
        DocumentError: see `read_templates`.
    """
    if not isinstance(found, Mapping) or not found:
        raise DocumentError(f"{where}: give an object of tasks, such as {{'transcribe': ['Transcribe this page.']}}")
    for task, phrasings in found.items():
        if task not in _PLACES:
            raise DocumentError(f"{where}: unknown task {task!r}; known: {', '.join(_PLACES)}")
        if isinstance(phrasings, str) or not isinstance(phrasings, Sequence) or not phrasings:
            raise DocumentError(f"{where}: {task} needs a list of phrasings")
        for phrasing in phrasings:
            needed = [f"{{{place}}}" for place in _PLACES[task]]
            if not isinstance(phrasing, str) or any(place not in phrasing for place in needed):
                raise DocumentError(f"{where}: {task}: {phrasing!r} must be text that holds {' and '.join(needed) or 'words'}")
    return {task: tuple(phrasings) for task, phrasings in found.items()}


def page_text(page: Page) -> str:
    """The text of a page as it is seen: without marks that are not drawn, and without white space around it."""
    return _seen(page, 0, len(page.text)).replace("\r\n", "\n").strip()


def _seen(page: Page, start: int, end: int) -> str:
    """Some characters of a page without those of marks that are not drawn."""
    at, kept = start, []
    for first, last, role in sorted(page.runs):
        if role == "syntax" and last > at and first < end:
            kept.append(page.text[at : max(at, first)])
            at = last
    return "".join([*kept, page.text[at:end]])


def _line(page: Page, number: int) -> str:
    """A line of a page (from 1) as it is seen, its white space made single spaces."""
    if page.picture_lines:
        return " ".join(page.line_text(number).split())
    line = page.lines[number - 1]
    return " ".join(_seen(page, min(f.start for f in line), max(f.end for f in line)).split()) if line else ""


def exchanges(page: Page, templates: Templates, seed: int) -> list[Exchange]:
    """The tasks of a page, one of each kind that it has room for, in the order of the templates; chosen by seed and page.
    None for a page without text, or with text that trainers take for a mark (``<image>``)."""
    text = page_text(page)
    if not text or _MARKS.search(text):
        return []
    dice = random.Random(f"{seed} {page.id}")
    found = []
    for task, phrasings in templates.items():
        phrasing = dice.choice(phrasings)
        made = _TASKS[task](page, text, dice)
        if made:
            values, answer = made
            question = re.sub(r"\{(count|words)\}", lambda match, values=values: values[match[1]], phrasing)  # type: ignore[misc]
            found.append(Exchange(task, question, answer))
    return found


_Made = tuple[dict[str, str], str] | None


def _transcribe(page: Page, text: str, dice: random.Random) -> _Made:
    return {}, text


def _lines(page: Page, text: str, dice: random.Random) -> _Made:
    count = len(page.picture_lines or page.lines)
    shown = [line for line in (_line(page, number) for number in range(1, count + 1)) if line]
    wanted = dice.randint(2, 4)
    begins = [_beginning(line) for line in shown]
    usable = [i for i in range(len(shown) - wanted) if begins[i] and sum(line.startswith(begins[i]) for line in shown) == 1]
    if not usable:
        return None
    at = dice.choice(usable)
    return {"count": str(wanted), "words": begins[at]}, "\n".join(shown[at + 1 : at + 1 + wanted])


def _beginning(line: str) -> str:
    """The first words of a line, about a third of it; empty for a short line, or one of very long words."""
    if len(line) < 12:
        return ""
    cut = max(6, len(line) // 3)
    space = line.find(" ", cut, cut + 20)
    return line[:space] if space > 0 else "" if " " in line else line[:cut]


def _complete(page: Page, text: str, dice: random.Random) -> _Made:
    found = _sentences(text)
    halves = [_halves(sentence) for sentence in _usable(found)]
    halves = [(begin, end) for begin, end in halves if sum(s.startswith(begin) for s in found) == 1]
    if not halves:
        return None
    begin, end = dice.choice(halves)
    return {"words": begin}, end


def _halves(sentence: str) -> tuple[str, str]:
    half = len(sentence) // 2
    space = sentence.rfind(" ", half // 2, half + 1)
    cut = space if space > 0 else half
    return sentence[:cut], sentence[cut:].strip()


def _missing(page: Page, text: str, dice: random.Random) -> _Made:
    usable = _usable(_sentences(text))
    sentence = dice.choice(usable) if usable else ""
    words = [m for m in re.finditer(r"[^\W\d_]{4,}", sentence) if len(re.findall(re.escape(m[0]), sentence)) == 1]
    words = [m for m in words if not re.search("[\u0e00-\u0eff\u2e80-\u9fff]", m[0])]  # scripts that leave no space
    if len(words) < 3:
        return None
    word = dice.choice(words)
    return {"words": f"{sentence[: word.start()]}{_GAP}{sentence[word.end() :]}"}, word[0]


def _sentences(text: str) -> list[str]:
    return [" ".join(text[start:end].split()) for start, end in sentences(text)]


def _usable(found: Sequence[str]) -> list[str]:
    """Sentences of a length to be asked about, which stand once on the page."""
    return [s for s in found if 24 <= len(s) <= 300 and found.count(s) == 1]


_TASKS: dict[str, Callable[[Page, str, random.Random], _Made]] = {
    "transcribe": _transcribe, "lines": _lines, "complete": _complete, "missing": _missing,
}  # fmt: skip
