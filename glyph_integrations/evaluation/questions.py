"""Questions whose answers are known, and the file they come in."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from os import PathLike
from pathlib import Path
from typing import Any

from ..errors import DocumentError, QueryError

_SHOWN = 10


@dataclass(frozen=True)
class LabelledQuestion:
    """A question, and where its answer stands: a ``span``, else a ``page``, else every page that holds the ``answer``.

    Attributes:
        question: what is asked.
        answer: words that stand on the page, whatever their line breaks, quotation marks and case. Beside a span or a page it
            is only kept.
        source: the document; may be left out where the index holds only one, and of an answer that counts wherever it stands.
        page: number of the page, from 1.
        span: characters ``[start, end)`` of the document, which need not be cut into the same pages each time.
        line: of the file it was read from; 0 for none.

    Raises:
        QueryError: a blank question; not one of answer, page and span; a page or a span that cannot be.
    """

    question: str
    answer: str = ""
    source: str = ""
    page: int | None = None
    span: tuple[int, int] | None = None
    line: int = 0

    def __post_init__(self) -> None:
        for name in ("question", "answer", "source"):
            if not isinstance(getattr(self, name), str):
                raise QueryError(f"{name} must be a string")
        if not self.question.strip():
            raise QueryError("the question is blank")
        if self.span is not None:
            object.__setattr__(self, "span", _checked_span(self.span))
        if self.page is not None and (not isinstance(self.page, int) or isinstance(self.page, bool) or self.page < 1):
            raise QueryError(f"page {self.page!r}: must be a whole number from 1")
        if self.page is not None and self.span is not None:
            raise QueryError("page and span are both given; keep one")
        if self.page is None and self.span is None and not self.answer.strip():
            raise QueryError("it needs an answer, a page or a span, or nothing says what would be right")

    @classmethod
    def of(cls, values: Mapping[str, Any], line: int = 0) -> LabelledQuestion:
        """The question of one line of a file.

        Raises:
            QueryError: an unknown or missing field, or as above.
        """
        known = [field.name for field in fields(cls) if field.name != "line"]
        if unknown := [name for name in values if name not in known]:
            raise QueryError(f"unknown field {unknown[0]!r}; known are {', '.join(known)}")
        if "question" not in values:
            raise QueryError("the field 'question' is missing")
        return cls(**values, line=line)

    def to_json(self) -> str:
        """One line of a file, without its end."""
        values = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "line"}
        return json.dumps({name: value for name, value in values.items() if value not in ("", None)}, ensure_ascii=False)


def read_questions(path: str | PathLike[str]) -> list[LabelledQuestion]:
    """The questions of a JSONL file (UTF-8, one object a line; blank lines are skipped).

    Raises:
        DocumentError: the file is missing or holds no question, or a line is no question; the message names the line.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise DocumentError(f"{path} cannot be read: {error.strerror or error}") from error
    found: list[LabelledQuestion] = []
    faults: list[tuple[int, str]] = []
    for number, line in enumerate(data.removeprefix(b"\xef\xbb\xbf").split(b"\n"), 1):
        if line.strip():
            try:
                found.append(LabelledQuestion.of(_parsed(line), number))
            except QueryError as error:
                faults.append((number, str(error)))
    if faults:
        others = ", ".join(str(number) for number, _ in faults[1 : _SHOWN + 1]) + ", ..." * (len(faults) > _SHOWN + 1)
        more = f" (wrong too: line {others})" if others else ""
        raise DocumentError(f"{path}, line {faults[0][0]}: {faults[0][1]}{more}")
    if not found:
        raise DocumentError(f'{path} holds no question; write one on each line: {{"question": "...", "answer": "..."}}')
    return found


def write_questions(path: str | PathLike[str], questions: Iterable[LabelledQuestion]) -> int:
    """Append questions to a JSONL file, each written before the next is asked for; returns how many. The file is made if
    need be.

    Raises:
        DocumentError: the file cannot be written.
    """
    count = 0
    try:
        with open(path, "ab") as file:
            if file.tell() and not _ends_a_line(Path(path)):
                file.write(b"\n")
            for question in questions:
                file.write(f"{question.to_json()}\n".encode())
                file.flush()
                count += 1
    except OSError as error:
        raise DocumentError(f"{path} cannot be written: {error.strerror or error}") from error
    return count


def _ends_a_line(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, 2)
        return file.read() == b"\n"


def _parsed(line: bytes) -> dict[str, Any]:
    try:
        values = json.loads(line.decode("utf-8"))
        json.dumps(values, ensure_ascii=False).encode("utf-8")  # half a surrogate pair is no text
    except UnicodeError as error:
        raise QueryError("it is not text in UTF-8") from error
    except (ValueError, RecursionError) as error:
        raise QueryError(f"it is not JSON ({error})") from error
    if not isinstance(values, dict):
        raise QueryError('expected one JSON object a line, like {"question": "...", "answer": "..."}')
    return values


def _checked_span(span: Any) -> tuple[int, int]:
    if not isinstance(span, list | tuple) or len(span) != 2 or any(type(end) is not int for end in span):
        raise QueryError(f"span {span!r}: expected two whole numbers, [start, end]")
    if not 0 <= span[0] < span[1]:
        raise QueryError(f"span {list(span)}: it must begin at 0 or later, and end after that")
    return span[0], span[1]
