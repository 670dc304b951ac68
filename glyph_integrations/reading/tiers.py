"""What of a budget a page deserves: cut to the lines that matter where it does not fit, drawn sharper where there is room."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from ..errors import PictureSizeError
from .excerpts import Match, lines_around
from .passages import best_passages, least_share
from .placement import Candidate, Gate, Room
from .report import Placement

_SHARPER = (96, 120)  # resolutions that a page may be raised to, one step above that of the others


def place_by_rank(
    gate: Gate, question: str, candidates: Sequence[Candidate], labels: Mapping[str, str], room: Room, *, crop: bool = True
) -> tuple[list[Placement], Room]:
    """How each page is sent, and what room that leaves. The best page chooses first: whole while it fits, else (with ``crop``)
    the lines around what matches the question, as an image or as text, whichever costs less; else it is left out.

    Args:
        candidates: pages, best first.
        labels: what the prompt calls each, by id.
    """
    matches: list[list[Match]] | None = None  # by candidate; looked for when a page does not fit
    placed = []
    for i, candidate in enumerate(candidates):
        label = labels[candidate.page.id]
        placement, left = gate.place_one(candidate, label, room)
        if crop and placement.sent_as == "left out" and candidate.lines is None:
            matches = _matches(question, candidates) if matches is None else matches
            for lines in lines_around(candidate.page, matches[i]):
                part, less = gate.place_one(Candidate(candidate.page, candidate.dpi, lines), label, room)
                if part.sent_as != "left out":
                    placement = replace(part, reason=f"cut to the lines that match; whole, {placement.reason}")
                    left = less
                    break
        placed.append(placement)
        room = left
    return placed, room


def _matches(question: str, candidates: Sequence[Candidate]) -> list[list[Match]]:
    least = least_share(question)
    found: list[list[Match]] = [[] for _ in candidates]
    for passage in best_passages(question, [candidate.page.text for candidate in candidates]):
        if passage.share >= least:
            found[passage.text_index].append(Match(passage.start, passage.end, passage.score))
    return found


def sharpen(gate: Gate, most: int, placements: list[Placement], labels: Mapping[str, str], room: Room) -> Room:
    """Draw the best ``most`` pages sharper, or send their text where that costs less, as far as there is room. The list is
    changed in place; what is returned is the room that is left."""
    for i in [i for i, p in enumerate(placements) if p.sent_as != "left out"][:most]:
        now = placements[i]
        dpi = next((dpi for dpi in _SHARPER if now.dpi is not None and dpi > now.dpi), None)
        if dpi is None or not _gains(gate, now, dpi):
            continue
        raised, left = gate.place_one(Candidate(now.page, dpi, now.lines), labels[now.page.id], gate.freed(room, now))
        if raised.sent_as == "image":
            placements[i], room = replace(raised, reason=f"{now.reason}; sharper, as one of the best {most}"), left
        elif raised.sent_as == "text" and raised.image_tokens is not None and raised.image_tokens >= raised.text_tokens:
            placements[i], room = replace(raised, reason="its text costs no more than a sharper image"), left
    return room


def _gains(gate: Gate, placement: Placement, dpi: int) -> bool:
    """Whether the model would see more pixels of a page."""
    vision, renderer = gate.vision, gate.renderer
    if vision is None:
        return False
    try:
        now, then = (vision.resized(*renderer.size(placement.page, d, vision, placement.lines)) for d in (placement.dpi, dpi))
    except PictureSizeError:
        return False
    return now is None or then is None or now[0] * now[1] < then[0] * then[1]
