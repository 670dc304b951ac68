"""An answer made of quotations: which texts of a prompt can be quoted, and which of their sentences bear on its question."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from ..passages import best_passages, least_share, sentences
from ..tags import split_tags
from ..turns import PagePart, PicturePart, TextPart, Turn, question_of

NO_ANSWER = "No answer found in the pages given."

_LABEL = re.compile(r"^(Page \d+(?: of [^\n]+|, lines \d+-\d+)?)[ \t]*(?:\n|\Z)", re.M)
_INNER_QUOTES = str.maketrans({"“": "‘", "”": "’", '"': "'", "«": "‹", "»": "›", "「": "『", "」": "』"})
_SHORT = 160  # characters; a shorter sentence is quoted with the next, which often holds the answer (XQuAD en 0.75 -> 0.81)


class Quotable(NamedTuple):
    """A text that can be quoted, and what the prompt calls it: ``Page 57``, or nothing."""

    label: str
    text: str


def short_question(turns: Sequence[Turn]) -> str:
    """What is asked; of a prompt in one piece, its last line, or what follows the last page in it."""
    question = question_of(turns)
    if len(question) > 1000:
        return question.rstrip().rsplit("\n", 1)[-1]
    return question.rsplit("\n\n", 1)[-1] if _LABEL.search(question) else question


ImageText = Callable[[PagePart | PicturePart], str | None]
"""The text of an image; None: it is not to be quoted."""


def quotable_texts(turns: Sequence[Turn], question: str, text_of: ImageText) -> list[Quotable]:
    """What can be quoted: pages and pictures; if there are none, the plain text around the question."""
    pages: list[Quotable] = []
    plain: list[Quotable] = []
    for turn in turns:
        label = ""
        for part in turn.parts:
            if isinstance(part, PagePart | PicturePart):
                text = text_of(part)
                if text is not None:
                    pages.append(Quotable(label or (part.page.label if isinstance(part, PagePart) else ""), text))
                label = ""
            elif isinstance(part, TextPart) and turn.role != "assistant":
                text = part.text
                if turn.role == "user" and question and question in text:
                    text = text[: text.rindex(question)].rpartition("\n")[0]  # with the rest of its line, such as "Question:"
                outside = ""
                for piece in split_tags(text):
                    if isinstance(piece, str):
                        outside += piece
                    else:
                        pages.append(Quotable(f"Page {piece.number}", piece.text))
                lead, *labelled = _LABEL.split(outside)
                plain.append(Quotable("", lead))
                for label, body in zip(labelled[::2], labelled[1::2], strict=True):
                    if body.strip():
                        pages.append(Quotable(label, body))
                        label = ""  # used; a picture after it has its own
    return pages or plain


def quote(question: str, texts: Sequence[Quotable], most: int, corrected: Callable[[Quotable, str], str] | None = None) -> str:
    """The sentences that share most with the question, each with its label: ``“...” (Page 57)``; or `NO_ANSWER`.

    Args:
        question: what is asked.
        texts: what can be quoted.
        most: sentences at most.
        corrected: makes of the words of a quotation what is to stand between the marks.
    """
    least = least_share(question)
    found = [p for p in best_passages(question, [text for _, text in texts]) if p.share >= least]
    if not found:
        return NO_ANSWER
    quoted = []
    for passage in [p for p in found[:most] if p.score >= 0.6 * found[0].score]:
        label, text = texts[passage.text_index]
        end = passage.end
        if end - passage.start < _SHORT:
            rest = text[end : end + 1000].partition("\n\n")[0]  # of the paragraph
            end += next((stop for _, stop in sentences(rest)), 0)
        words = " ".join(text[passage.start : end].strip('“”„"«»').split()).translate(_INNER_QUOTES)
        words = corrected(texts[passage.text_index], words) if corrected else words
        quoted.append(f"“{words}”" + (f" ({label})" if label else ""))
    return "\n".join(quoted)
