"""Some twenty questions to a model: does it answer from pages, which is the cheapest style it reads, are exact strings safe?"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from ..errors import ModelError
from ..page import Page
from ..reading import PageModel, PagePart, Part, TextPart, Turn
from ..rendering import Renderer
from ..style import PageStyle
from ..vision import Calibration
from ..vision.calibration import Readback, Rung
from .needles import Language, Needle, exam, misread

NAMES = 4
"""Names asked for on a page of each style that is tried; a style is read where at most one is missing."""

STRINGS = 5
"""Exact strings asked for, in the style that is chosen; all must be right."""

LADDERS: dict[Language, tuple[PageStyle, ...]] = {
    "en": (
        PageStyle(dpi=120, height=420, font_size=12, line_height=14), PageStyle.preset("glyph-120"),
        PageStyle.preset("glyph-96"), PageStyle(dpi=96, font_size=8, line_height=9), PageStyle.preset("glyph-72"),
        PageStyle.preset("dense-72"), PageStyle(font_size=7, line_height=8),
    ),
    "zh": (
        PageStyle(dpi=120, height=420, font_size=12, line_height=15), PageStyle.preset("cjk-96").replace(dpi=120),
        PageStyle.preset("cjk-96"), PageStyle.preset("cjk-72"), PageStyle(font_size=9, line_height=11),
        PageStyle(font_size=8, line_height=10),
    ),
}  # fmt: skip
"""The styles that are tried, in each language, from the easiest to the cheapest."""

_ABOUT_PICTURES = re.compile("image|picture|vision|multi-?modal|mmproj", re.IGNORECASE)
_ASK = "Answer with the {what} alone, copied from the page. "


def calibrate(
    model: PageModel,
    *,
    language: Language = "en",
    styles: Sequence[PageStyle] | None = None,
    renderer: Renderer | None = None,
    seed: int = 0,
    max_tokens: int = 1024,
    journal: str | os.PathLike[str] | None = None,
    told: Callable[[int, str], None] = lambda call, what: None,
) -> Calibration:
    """Find out how a model reads pages, in some twenty calls with temperature 0.

    1. A question about a made-up name on a page, sent as text: does the model answer at all?
    2. Four such questions about a page in the easiest style, now as a picture: nothing else tells the names. A model that
       misses more than one does not read pages, and is asked nothing more.
    3. The other styles, by bisection, four questions each: styles are taken to be harder the cheaper they are.
    4. Five exact strings on a page in the cheapest style that was read: a hash, a long number, a code, a UUID, an amount.

    ``calibrate(model).save()`` makes `VisionProfile.get`, and with it whatever builds prompts for this model, go by the result.

    Args:
        model: any page model, such as ``OpenAIModel(name, base_url)``.
        language: of the pages, ``en`` or ``zh``.
        styles: to choose from; default `LADDERS`. They are ordered by what they cost this model.
        renderer: its fonts are used.
        seed: of names, strings and pages.
        max_tokens: of an answer, reasoning included.
        journal: a file to keep answers in while it runs. A run that was interrupted goes on from there; delete it in the end.
        told: called after each answer with its number and what came of it.

    Raises:
        ModelError: the model or its server failed (with a ``journal`` nothing answered so far is lost); or the model's profile
            says that it takes no pictures.
        ValueError: no styles, or another language.
    """
    if language not in LADDERS:
        raise ValueError(f"language={language!r}: choose {' or '.join(LADDERS)}")
    styles = LADDERS[language] if styles is None else tuple(styles)
    if not styles:
        raise ValueError("styles is empty: name one style at least")
    asking = _Asking(model, language, renderer or Renderer(), seed, max_tokens, _Journal(journal, model.name), told)
    rungs = asking.ladder(styles)
    found, text, refusal = asking.easiest(rungs[0])
    profile = asking.vision
    if not found.read:
        return Calibration(
            model.name, profile.name, False, _why_not(found, text, refusal), profile.style, False, asking.calls,
            (found.rung(),) if not refusal else (), (),
        )  # fmt: skip
    tried = [found]
    low, high = 0, len(rungs)  # rungs[low] is read; rungs[high] is not, or is none
    while high - low > 1:
        middle = (low + high) // 2
        tried.append(asking.names(rungs[middle]))
        low, high = (middle, high) if tried[-1].read else (low, middle)
    chosen = rungs[low]
    strings = asking.strings(chosen)
    exact = all(string.exact for string in strings)
    count = sum(string.exact for string in strings)
    reason = (
        f"it read {tried[0].found} of {tried[0].asked} names from the easiest page, and {count} of {len(strings)} exact strings"
    )
    return Calibration(
        model.name, profile.name, True, reason, str(chosen.style), exact, asking.calls, tuple(t.rung() for t in tried),
        tuple(strings),
    )  # fmt: skip


class _Exam:
    """A style, the page drawn in it, and what this costs."""

    def __init__(self, style: PageStyle, page: Page, needles: list[Needle], tokens: float) -> None:
        self.style, self.page, self.needles, self.tokens = style, page, needles, tokens


class _Result:
    """How many names of an exam were found."""

    def __init__(self, exam: _Exam, asked: int, found: int) -> None:
        self.exam, self.asked, self.found = exam, asked, found

    @property
    def read(self) -> bool:
        return self.found >= max(1, self.asked - 1)

    def rung(self) -> Rung:
        return Rung(str(self.exam.style), round(self.exam.tokens, 1), self.asked, self.found)


class _Journal:
    """Answers by question, in a file of JSON lines; without a path in memory only."""

    def __init__(self, path: str | os.PathLike[str] | None, model: str) -> None:
        self._path = None if path is None else Path(path)
        self._model = model
        self._known: dict[str, str] = {}
        if self._path is not None and self._path.is_file():
            for line in self._path.read_text(encoding="utf-8", errors="replace").splitlines():
                try:
                    entry = json.loads(line)
                    self._known[str(entry["key"])] = str(entry["answer"])
                except (ValueError, TypeError, KeyError):  # the line that was being written when it was interrupted
                    continue

    def key(self, *what: object) -> str:
        return hashlib.blake2b("\0".join(map(str, (self._model, *what))).encode(), digest_size=12).hexdigest()

    def get(self, key: str) -> str | None:
        return self._known.get(key)

    def put(self, key: str, answer: str) -> None:
        self._known[key] = answer
        if self._path is not None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            torn = self._path.is_file() and not self._path.read_bytes().endswith(b"\n")
            with open(self._path, "a", encoding="utf-8") as file:
                file.write("\n" * torn + json.dumps({"key": key, "answer": answer}) + "\n")


class _Asking:
    """The calls of one calibration."""

    def __init__(
        self, model: PageModel, language: Language, renderer: Renderer, seed: int, max_tokens: int, journal: _Journal,
        told: Callable[[int, str], None],
    ) -> None:  # fmt: skip
        if model.vision is None:
            raise ModelError(
                f"nothing says how {model.name} counts pictures, or an earlier calibration found that it cannot read them: "
                f"pass the model vision=VisionProfile.get({model.name!r}, calibrated=False), or a family's name"
            )
        self.vision = model.vision
        self.calls = 0
        self._model, self._language, self._renderer, self._seed = model, language, renderer, seed
        self._max_tokens, self._journal, self._told = max_tokens, journal, told

    def ladder(self, styles: Sequence[PageStyle]) -> list[_Exam]:
        """An exam in each style, the dearest first; of styles that cost the same, the first named."""
        exams: dict[float, _Exam] = {}
        for style in styles:
            page, needles = exam(self._renderer, style, self._language, self._seed, names=NAMES)
            cost = 1000 * self.vision.count(*self._renderer.size(page, vision=self.vision)) / len(page.text)
            exams.setdefault(round(cost, 3), _Exam(style, page, needles, cost))
        return sorted(exams.values(), key=lambda exam: -exam.tokens)

    def easiest(self, exam: _Exam) -> tuple[_Result, bool | None, str]:
        """What came of the easiest page; whether its text is answered (None: a transcriber is not asked); and why the model
        refused the picture, if it did."""
        text = None if self.vision.chat.transcriber else self._text(exam)
        try:
            return self.names(exam), text, ""
        except ModelError as error:
            if text is None or _may_pass(error) or not self._alive(exam):
                raise
            return (
                _Result(exam, NAMES, 0),
                text,
                str(error.__cause__ or error),
            )  # it answers text, so it is the picture that it does not take

    def names(self, exam: _Exam) -> _Result:
        """How many names on a page the model finds."""
        most = misread(self._language)
        found = 0
        for needle in exam.needles:
            answer = self._ask(PagePart(exam.page, exam.page.style.dpi), exam.page.id, needle, "name")
            hit = needle.found_in(answer, most)
            found += hit
            self._told(self.calls, f"{exam.style}: {needle.answer} {'found' if hit else 'not found'}")
        return _Result(exam, len(exam.needles), found)

    def strings(self, exam: _Exam) -> list[Readback]:
        """Exact strings, as they were drawn and as they were read."""
        from .needles import exam as make

        page, needles = make(self._renderer, exam.style, self._language, self._seed, names=0, strings=STRINGS)
        found = []
        for needle in needles:
            answer = self._ask(PagePart(page, page.style.dpi), page.id, needle, "code")
            alone = rf"(?<![0-9A-Za-z]){re.escape(needle.answer)}(?![0-9A-Za-z])"  # not with a character too many
            read = needle.answer if re.search(alone, answer) else " ".join(answer.split())[:200]
            found.append(Readback(needle.answer, read))
            self._told(self.calls, f"{exam.style}: {needle.answer} {'right' if found[-1].exact else 'wrong'}")
        return found

    def _text(self, exam: _Exam) -> bool:
        needle = exam.needles[0]
        hit = needle.found_in(self._ask(TextPart(exam.page.text), "text", needle, "name"))
        self._told(self.calls, f"as text: {needle.answer} {'found' if hit else 'not found'}")
        return hit

    def _alive(self, exam: _Exam) -> bool:
        try:
            self._read(TextPart(exam.page.text), exam.needles[1], "name")
        except ModelError:
            return False
        self.calls += 1
        return True

    def _ask(self, shown: Part, what: str, needle: Needle, kind: str) -> str:
        key = self._journal.key(what, needle.question, self._seed, self._max_tokens)
        answer = self._journal.get(key)
        if answer is None:
            answer = self._read(shown, needle, kind)
            self._journal.put(key, answer)
        self.calls += 1
        return answer

    def _read(self, shown: Part, needle: Needle, kind: str) -> str:
        question = _ASK.format(what=kind) + needle.question
        parts: list[Part] = [TextPart(f"Page 1\n{shown.text}")] if isinstance(shown, TextPart) else [TextPart("Page 1"), shown]
        try:
            answer = self._model.read([Turn("user", [*parts, TextPart(question)])], max_tokens=self._max_tokens, temperature=0)
        except ModelError as error:
            raise ModelError(f"the calibration stopped after {self.calls} calls: {error}") from error
        return answer.text


def _may_pass(error: BaseException) -> bool:
    """Whether a failure says nothing about the model: its server was busy, out of memory, restarting or out of reach."""
    cause: BaseException | None = error
    while cause:
        status = getattr(cause, "status_code", None)
        if isinstance(status, int):  # some servers answer 500 to a picture, and say that they take none
            return status in (408, 409, 425, 429) or (status >= 500 and not _ABOUT_PICTURES.search(str(cause)))
        if re.search("timeout|connection", type(cause).__name__, re.IGNORECASE):
            return True
        cause = cause.__cause__
    return False


def _why_not(result: _Result, text: bool | None, refusal: str) -> str:
    if refusal:
        return f"it refused a picture: {refusal}"
    seen = f"of {result.asked} names that only a picture held it found {result.found}"
    if text is False:
        return f"{seen}, and did not find one in a text either: it does not answer questions, or not within max_tokens"
    return f"{seen}" + (", though it finds one in a text" if text else "")
