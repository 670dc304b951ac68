"""What comes of summarizing: a summary with its checked citations, what failed, and what it cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from ..page import Page
from ..reading import Citation

Style = Literal["brief", "detailed", "bullets", "question"]
STYLES: tuple[Style, ...] = ("brief", "detailed", "bullets", "question")
Level = Literal["pages", "section", "document", "knowledge base"]


class Cost(NamedTuple):
    """What summaries cost, or are going to cost, in calls and in tokens as the model's profile counts them.

    Attributes:
        calls: of the model. Without a model there are none.
        cached: answers that were found in the cache; they cost nothing.
        prompt_tokens: of all prompts.
        prompt_tokens_as_text: what the same prompts would cost if all their pages went as text.
        output_tokens: of all answers; in an estimate, the most they may take.
    """

    calls: int = 0
    cached: int = 0
    prompt_tokens: int = 0
    prompt_tokens_as_text: int = 0
    output_tokens: int = 0

    @property
    def saved_tokens(self) -> int:
        """Prompt tokens that pages as images saved."""
        return self.prompt_tokens_as_text - self.prompt_tokens

    def plus(self, other: Cost) -> Cost:
        """Both together."""
        return Cost(*(a + b for a, b in zip(self, other, strict=True)))


NO_COST = Cost()


class Failure(NamedTuple):
    """Something that the summary lacks. ``source`` is empty where several documents were to be combined; ``pages`` are the
    numbers of the first and last page, None where it is no matter of pages."""

    source: str
    pages: tuple[int, int] | None
    reason: str

    def __str__(self) -> str:
        """``book.txt, pages 1-9: the server did not answer``."""
        where = [self.source] if self.source else []
        if self.pages:
            first, last = self.pages
            where.append(f"page {first}" if first == last else f"pages {first}-{last}")
        return f"{', '.join(where)}: {self.reason}" if where else self.reason


class Unsupported(NamedTuple):
    """A sentence with a citation that the cited pages do not bear out, and why."""

    sentence: str
    reason: str

    def __str__(self) -> str:
        """The sentence, and why."""
        return f"{self.sentence} ({self.reason})"


@dataclass(frozen=True)
class Summary:
    """A summary of some pages, of a document or of several documents.

    Attributes:
        text: the summary. ``[p. 12]`` names a page, ``[p. 12 of book.txt]`` where several documents are summarized, ``[p. ?]``
            a page that the model invented.
        level: ``pages`` and ``section`` are notes on the way; ``document`` and ``knowledge base`` are in the style asked for.
        source: the document; empty for several.
        pages: numbers of the first and last page that went in; None for several documents.
        citations: one for each quotation, and for each page that another sentence cites, in the order of the text. Where
            nothing is quoted, the place is that sentence of the page which is nearest in words; ``verified`` then says that the
            summary's sentence passed its check.
        faithfulness: of the sentences with a citation, the share whose names, numbers and quotations stand on the cited pages;
            0 without any citation.
        cited: share of all sentences that carry a citation.
        unsupported: the sentences that failed, and those that cite invented pages.
        parts: of several documents, the summary of each that has one.
        failures: what is lacking: pages no call survived for, documents without words.
        usage: what this part cost; of the whole, everything.
    """

    text: str
    level: Level
    source: str
    pages: tuple[int, int] | None
    citations: tuple[Citation, ...]
    faithfulness: float
    cited: float
    unsupported: tuple[Unsupported, ...]
    parts: tuple[Summary, ...] = ()
    failures: tuple[Failure, ...] = ()
    usage: Cost = NO_COST

    @property
    def cited_pages(self) -> tuple[Page, ...]:
        """The pages that are cited, each once."""
        return tuple({page.id: page for citation in self.citations for page in citation.pages}.values())

    def __str__(self) -> str:
        """The text."""
        return self.text

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for response metadata and JSON."""
        return {
            "text": self.text, "level": self.level, "source": self.source, "pages": list(self.pages) if self.pages else None,
            "citations": [citation.to_dict() for citation in self.citations], "faithfulness": self.faithfulness,
            "cited": self.cited, "unsupported": [unsupported._asdict() for unsupported in self.unsupported],
            "parts": [part.to_dict() for part in self.parts], "failures": [str(failure) for failure in self.failures],
            "usage": {**self.usage._asdict(), "saved_tokens": self.usage.saved_tokens},
        }  # fmt: skip
