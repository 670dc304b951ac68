"""Where page images stand in a conversation: in user turns, before the text; everywhere else a marker stands for them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from ..page import Page
from .excerpts import Lines
from .placement import Candidate, Gate
from .report import Placement
from .turns import PagePart, Part, PicturePart, TextPart, Turn, question_of


class Mention(NamedTuple):
    """A page where a turn mentions it. Pages of one long text share a ``block`` name; a tag has none."""

    page: Page
    dpi: int | None = None
    lines: Lines | None = None
    block: str = ""


Text = list[str | Mention]
"""A text with the pages mentioned in it."""

Content = list[Part | Mention | Text]
"""What a turn holds: parts left alone, pages that were parts, texts with pages in them."""

Sidecar = Callable[[str, Sequence[Placement]], str]
"""From a question and the images of a turn to the exact strings to put before them."""

_LABEL_LINE = re.compile(r"(?:\A|\n)Page \d+(?: of [^\n]+)?(?:, lines \d+-\d+)?\s*\Z")


def mentions_in(content: Content) -> list[Mention]:
    """The pages mentioned, in order."""
    flat = [piece for item in content for piece in (item if isinstance(item, list) else [item])]
    return [piece for piece in flat if isinstance(piece, Mention)]


def as_sent(turns: Sequence[Turn], gate: Gate) -> list[Turn]:
    """The turns as a model takes them that is handed them directly: images of pages in user turns only, each whenever the
    model takes another."""
    contents: list[Content] = [[Mention(*p) if isinstance(p, PagePart) else p for p in turn.parts] for turn in turns]
    candidates = [Candidate(m.page, m.dpi, m.lines) for content in contents for m in mentions_in(content)]
    placements = {p.page.id: p for p in gate.place(candidates, cheaper=False)}
    return deliver(turns, contents, placements, lambda *_: "", None)


def deliver(
    turns: Sequence[Turn],
    contents: Sequence[Content],
    placements: Mapping[str, Placement],
    sidecar: Sidecar,
    question: str | None,
) -> list[Turn]:
    """The turns, every mention replaced by what `placements` (by page id) decided. Turns without any are the same objects."""
    last_user = max((i for i, turn in enumerate(turns) if turn.role == "user"), default=-1)
    out: list[Turn] = []
    seen: set[str] = set()
    waiting: list[Placement | PicturePart] = []
    from_tool = False
    asked = ""

    def opening() -> list[Part]:
        text = sidecar(asked, [w for w in waiting if isinstance(w, Placement)])
        parts: list[Part] = [TextPart(text)] if text else []
        for item in waiting:
            parts.extend(item.parts if isinstance(item, Placement) else (item,))
        waiting.clear()
        return parts

    for i, (turn, content) in enumerate(zip(turns, contents, strict=True)):
        if waiting and from_tool and turn.role not in ("tool", "user"):
            out.append(Turn("user", opening()))
            from_tool = False
        own: list[Placement | PicturePart] = []
        parts = _rewrite(turn, content, placements, seen, own)
        if turn.role == "user":
            asked = (question if i == last_user else None) or question_of([turn.with_parts(parts)]) or asked
            waiting.extend(own)
            parts = [*opening(), *parts]
            from_tool = False
        else:
            waiting.extend(own)
            from_tool = from_tool or (turn.role == "tool" and bool(own))
        out.append(turn if tuple(parts) == turn.parts else turn.with_parts(parts))
    if waiting:
        out.append(Turn("user", opening()))
    return out


def _rewrite(
    turn: Turn, content: Content, placements: Mapping[str, Placement], seen: set[str], moved: list[Placement | PicturePart]
) -> list[Part]:
    """A turn's parts with markers or text for its pages; the images that have to move are added to ``moved``."""
    in_place = turn.role == "user" and _labelled(content)
    parts: list[Part] = []
    for item in content:
        if isinstance(item, PicturePart) and turn.role in ("system", "tool"):
            moved.append(item)
            parts.append(TextPart("[picture: see image]"))
        elif isinstance(item, list):
            parts.append(TextPart(_rewrite_text(item, placements, seen, moved)))
        elif not isinstance(item, Mention):
            parts.append(item)
        else:
            placement = placements[item.page.id]
            first = item.page.id not in seen
            if in_place and first and placement.sent_as != "left out":
                seen.add(item.page.id)
                image = placement.sent_as == "image"
                parts.append(placement.parts[-1] if image else TextPart(placement.text))
                continue
            text = _rewrite_text([item], placements, seen, moved)
            opens_its_turn = turn.role == "user" and first and placement.sent_as == "image"
            if not opens_its_turn:
                parts.append(TextPart(text))
    return parts


def _rewrite_text(
    pieces: Text, placements: Mapping[str, Placement], seen: set[str], moved: list[Placement | PicturePart]
) -> str:
    out: list[str] = []
    run: list[Placement] = []  # neighbouring images of one long text share a marker

    def close_run() -> None:
        if len(run) == 1:
            out.append(_marker(run[0].label, "see image"))
        elif run:
            first, last = run[0], run[-1].page.number
            label = first.label.replace(first.page.label, f"pages {first.page.number}-{last}", 1)
            out.append(_marker(label, "see images"))
        run.clear()

    block = ""
    for piece in pieces:
        if isinstance(piece, str):
            close_run()
            out.append(piece)
            continue
        placement = placements[piece.page.id]
        first = piece.page.id not in seen
        if placement.sent_as == "image":
            if not piece.block or piece.block != block:
                close_run()
            block = piece.block
            run.append(placement)
            if first:
                moved.append(placement)
        else:
            close_run()
            if placement.sent_as == "left out":
                out.append(_marker(placement.label, "left out"))
            elif first:
                out.append("\n" if piece.block and out and not out[-1].endswith("\n") else "")
                out.append(f"{placement.label}\n{placement.text}")
            else:
                out.append(_marker(placement.label, "see above"))
        seen.add(piece.page.id)
    close_run()
    return "".join(out)


def _marker(label: str, note: str) -> str:
    return f"[{label[0].lower()}{label[1:]}: {note}]"


def _labelled(content: Content) -> bool:
    """Whether every page of a turn follows its label, and no text mentions one: such a turn was composed for a model."""
    if any(isinstance(item, list) for item in content):
        return False
    before = [content[i - 1] if i else None for i, item in enumerate(content) if isinstance(item, Mention)]
    return bool(before) and all(isinstance(b, TextPart) and _LABEL_LINE.search(b.text) for b in before)
