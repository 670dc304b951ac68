"""From pages to one summary, level by level: what is summarized together, and what of that makes the next level."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from ..page import Page
from .cited import Cited
from .grouping import group_ends
from .summary import NO_COST, Cost, Failure, Level


@dataclass(frozen=True)
class Node:
    """A finished part. ``mark`` depends on the content of its pages alone; ``final`` says that it is in the style asked for,
    and no notes. ``source`` is None for parts of several documents. In an estimate,
    ``text`` is None where no answer is known yet."""

    level: Level
    source: str | None
    mark: int
    final: bool
    first: int
    last: int
    text: Cited | None
    cost: Cost = NO_COST
    failures: tuple[Failure, ...] = ()


@dataclass(frozen=True)
class Job:
    """What is to be summarized in one go: pages of a document or, on all further levels, finished parts."""

    level: Level
    source: str | None
    final: bool
    pages: tuple[Page, ...] = ()
    children: tuple[Node, ...] = ()

    @property
    def mark(self) -> int:
        """A hash of the content."""
        return _hash(*(page.content_hash for page in self.pages), *(str(child.mark) for child in self.children))

    @property
    def span(self) -> tuple[int, int]:
        """Numbers of the first and last page; (0, 0) for parts of several documents."""
        if self.pages:
            return self.pages[0].number, self.pages[-1].number
        return (self.children[0].first, self.children[-1].last) if self.source is not None else (0, 0)


class Tree:
    """Says what to do next.

    Args:
        sizes: of pages of one document, in any unit.
        most: the largest group of pages, in that unit.
        children: how many parts are combined at most, 2 or more, when they are notes and when they are final.
    """

    def __init__(self, sizes: Callable[[Sequence[Page]], list[float]], most: float, children: tuple[int, int]) -> None:
        self._sizes = sizes
        self._most = most
        self._children = children

    def first(self, documents: Iterable[Sequence[Page]]) -> Iterator[Job]:
        """The groups of pages of each document; a document of one group is summarized at once. Documents are taken as
        needed."""
        for pages in documents:
            marks = [_hash(page.content_hash) for page in pages]
            ends = group_ends(self._sizes(pages), marks, self._most)
            whole = len(ends) == 1
            for start, end in zip([0, *ends], ends, strict=False):
                yield Job("document" if whole else "pages", pages[0].source, whole, tuple(pages[start:end]))

    def next(self, nodes: Sequence[Node], several: bool) -> tuple[list[Job], list[Node]]:
        """What to combine next, and the parts that wait; no jobs when all is done.

        Args:
            nodes: those that are open, those of a document in order.
            several: whether documents are to be combined when each has its summary.
        """
        by_source: dict[str | None, list[Node]] = {}
        for node in nodes:
            by_source.setdefault(node.source, []).append(node)
        across = by_source.pop(None, [])
        jobs: list[Job] = []
        waiting: list[Node] = []
        for source, own in by_source.items():
            if own[0].final:
                waiting += own
            else:
                self._combine(own, source, jobs, waiting)
        if jobs:
            return jobs, waiting
        parts = [*across, *waiting]
        if (several and len(parts) > 1) or any(not part.final for part in parts):
            waiting = []
            self._combine(parts, None, jobs, waiting)
            return jobs, waiting
        return [], parts

    def _combine(self, nodes: Sequence[Node], source: str | None, jobs: list[Job], waiting: list[Node]) -> None:
        most = min(self._children[final] for final in {node.final for node in nodes})
        ends = group_ends([1.0] * len(nodes), [node.mark for node in nodes], most) if len(nodes) > most else [len(nodes)]
        whole = len(ends) == 1
        for start, end in zip([0, *ends], ends, strict=False):
            if end - start == 1 and not whole:
                waiting.append(nodes[start])  # nothing to combine it with on this level
            else:
                level: Level = ("knowledge base" if source is None else "document") if whole else "section"
                jobs.append(Job(level, source, whole, (), tuple(nodes[start:end])))


def _hash(*parts: str) -> int:
    return int.from_bytes(hashlib.blake2b("\0".join(parts).encode(), digest_size=8).digest(), "little")
