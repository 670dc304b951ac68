"""What of a budget a page deserves: cut to the lines that matter where it does not fit, drawn sharper where there is room."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from ..errors import PictureSizeError
from .excerpts import Match, lines_around
from .passages import best_passages, least_share
from .placement import Candidate, Gate, Room
from .report import Placement

_SHARPER = (96, 120)  # resolutions that a page may be raised to, one step above that of the others


def cut_to_fit(gate: Gate, question: str, placements: list[Placement], labels: Mapping[str, str], room: Room) -> Room:
    """Send, of pages that were left out, the lines around what matches the question, as an image or as text, whichever costs
    less, as far as they fit. The list is changed in place; what is returned is the room that is left."""
    if all(p.sent_as != "left out" for p in placements):
        return room
    least = least_share(question)
    passages = [p for p in best_passages(question, [p.page.text for p in placements]) if p.share >= least]
    for i, whole in enumerate(placements):
        if whole.sent_as != "left out":
            continue
        page = whole.page
        for lines in lines_around(page, [Match(p.start, p.end, p.score) for p in passages if p.text_index == i]):
            part, left = gate.place_one(Candidate(page, lines=lines), labels[page.id], room)
            if part.sent_as != "left out":
                placements[i], room = replace(part, reason=f"cut to the lines that match; whole, {whole.reason}"), left
                break
    return room


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
