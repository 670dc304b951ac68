"""Isolating run sequences: the rules of the Unicode bidirectional algorithm (UAX 9) that find them, P2 to X10.

They see bidirectional classes only, one a character, numbered as in ``CLASSES``.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ..errors import PageFormatError

Bytes = npt.NDArray[np.uint8]
Slots = npt.NDArray[np.int32]

# strong, numbers, weak, neutral, and from BN what X9 removes: a rule about a kind is one comparison
CLASSES = "L R AL EN AN ES ET CS NSM ON WS S B LRI RLI FSI PDI BN LRE LRO RLE RLO PDF".split()
(L, R, AL, EN, AN, ES, ET, CS, NSM, ON, WS, S, B, LRI, RLI, FSI, PDI, BN, LRE, LRO, RLE, RLO, PDF) = range(len(CLASSES))

_MAX_DEPTH = 125  # BD2
_KIND = {LRE: "e", RLE: "e", LRO: "l", RLO: "r", LRI: "i", RLI: "i"}
CONTEXT = {L: "L", R: "R", AL: "A", EN: "E", AN: "N", ET: "T", CS: "C", ES: "S", ON: "O", LRI: "I"}
_LETTER = {letter: cls for cls, letter in CONTEXT.items()}


class BidiState(NamedTuple):
    """What the part of a paragraph before a cut means for the part behind it.

    Attributes:
        base: The paragraph's direction: 0 left to right, 1 right to left.
        open: Embeddings, overrides and isolates that are open, outermost first, each as its level (1 to 125) and its
            kind: ``e`` embedding, ``l`` or ``r`` override, ``i`` isolate.
        overflow: How many isolates and embeddings are open beyond the greatest depth.
        context: Level and one to four characters that stand for all text before the cut in each isolating run sequence
            that goes on: the last strong one, the last number behind it, what the text ends with, an isolate initiator.

    ``str()`` gives a short form (``"0"``, ``"1;;;1AE"``), which ``parse`` reads.
    """

    base: int = 0
    open: tuple[tuple[int, str], ...] = ()
    overflow: tuple[int, int] = (0, 0)
    context: tuple[tuple[int, str], ...] = ()

    def __str__(self) -> str:
        stack, context = ("".join(f"{level}{letters}" for level, letters in pairs) for pairs in (self.open, self.context))
        return f"{self.base};{stack};{'{},{}'.format(*self.overflow) if any(self.overflow) else ''};{context}".rstrip(";")

    @classmethod
    def parse(cls, text: str) -> BidiState:
        """The state that ``str()`` wrote. Raises PageFormatError when it is not one."""
        form = r"([01])(?:;((?:\d{1,3}[elri])*)(?:;(\d{1,9},\d{1,9})?(?:;((?:\d{1,3}(?:[LRAENTCSO]{1,4}I?|I))*))?)?)?"
        match = re.fullmatch(form, text, re.ASCII)
        if match is None:
            raise PageFormatError(f"not the state of a bidirectional paragraph: {text[:80]!r}")
        stack, context = (
            tuple((int(level), letters) for level, letters in re.findall(r"(\d+)([A-Za-z]+)", match[group] or ""))
            for group in (2, 4)
        )
        isolates, embeddings = map(int, (match[3] or "0,0").split(","))
        levels = [int(match[1]), *(level for level, _ in stack)]
        nested = all(a < b for a, b in zip(levels, levels[1:], strict=False)) and levels[-1] <= _MAX_DEPTH  # noqa: RUF007
        initiators = sum(letters.endswith("I") for _, letters in context)
        if not nested or any(level > _MAX_DEPTH for level, _ in context) or initiators != sum(k == "i" for _, k in stack):
            raise PageFormatError(f"not the state of a bidirectional paragraph: its levels do not nest: {text[:80]!r}")
        return cls(levels[0], stack, (isolates, embeddings), context)


def first_strong(types: Bytes) -> dict[int, int]:
    """Direction of the first strong character of the paragraph (key -1) and inside each isolate (key: its position)."""
    strong = np.flatnonzero(types <= AL)
    events = np.flatnonzero((types >= B) & (types <= PDI))
    following = np.searchsorted(strong, np.concatenate([[0], events]))
    places = np.append(strong, len(types))[following].tolist()
    directions = np.append(types[strong] > L, False)[following].tolist()
    owners = [-1]
    found: dict[int, int] = {}
    bounds = [-1, *events.tolist(), len(types)]
    for at, end, place, direction in zip(bounds, bounds[1:], places, directions, strict=False):
        cls = int(types[at]) if at >= 0 else -1
        if cls == B:
            owners = [at]
        elif cls == PDI and len(owners) > 1:
            owners.pop()
        elif LRI <= cls <= FSI:
            owners.append(at)
        if place < end:
            found.setdefault(owners[-1], int(direction))
    return found


class Sequences(NamedTuple):
    """The isolating run sequences of a text, each between its borders, one after another in slots."""

    types: Bytes  # class in each slot, L or R in borders
    levels: Bytes  # explicit level in each slot
    borders: Slots  # the slot of each sos
    kept: Slots  # positions in context and text that X9 keeps
    slot: Slots  # and their slots
    lead: int  # how many positions are context
    last: int  # class of the last character kept


def isolating_run_sequences(types: Bytes, state: BidiState, isolates: dict[int, int]) -> tuple[Sequences, BidiState, list[int]]:
    """Also the state behind the text, without its context, and the positions of initiators still open."""
    letters = [(level, _LETTER[letter]) for level, group in state.context for letter in group]
    lead = len(letters)
    types = np.concatenate([np.array([cls for _, cls in letters], np.uint8), types])
    levels, forced, links, after, openers = _explicit(types, lead, state, isolates)
    levels[:lead] = [level for level, _ in letters]
    forced[:lead] = types[:lead]
    kept = np.flatnonzero(types < BN).astype(np.int32)  # X9
    original, levels, forced = types[kept], levels[kept], forced[kept]
    count = len(kept)
    if count == 0:
        return Sequences(forced, levels, kept, kept, kept, lead, ON), after, openers
    opens = np.ones(count, bool)  # a level run (BD7) opens here
    opens[1:] = (levels[1:] != levels[:-1]) | (original[:-1] == B)
    first = np.flatnonzero(opens)
    last = np.append(first[1:], count) - 1
    base = np.array([state.base], np.uint8)
    before = np.concatenate([base, levels[last[:-1]]])
    final = (original[last] >= B) & (original[last] <= FSI)  # nothing that counts is behind a separator or an initiator
    behind = np.where(final, base, np.concatenate([levels[first[1:]], base]))
    sos = np.maximum(before, levels[first]) & 1  # X10
    eos = np.maximum(behind, levels[last]) & 1
    run = np.cumsum(opens, dtype=np.int32) - 1
    order = np.arange(count, dtype=np.int32)
    sequence = run
    if links:  # BD13: a run that ends with an initiator goes on where its isolate ends
        ends = run[np.searchsorted(kept, np.array(links))]
        joined = np.arange(len(first))
        tail = joined.copy()
        for a, b in ends[ends[:, 0] != ends[:, 1]].tolist():
            joined[b] = joined[a]
            tail[joined[b]] = b
        heads = joined == np.arange(len(first))
        sos, eos = sos[heads], eos[tail[heads]]
        sequence = (np.cumsum(heads, dtype=np.int32) - 1)[joined][run]
        order = np.argsort(sequence, kind="stable").astype(np.int32)
    sizes = np.bincount(sequence).astype(np.int32)
    borders = np.concatenate([[0], np.cumsum(sizes + 2)[:-1]]).astype(np.int32)
    place = np.arange(count, dtype=np.int32) + 2 * sequence[order] + 1
    slots = np.zeros(count + 2 * len(sizes), np.uint8)
    slots[borders], slots[borders + sizes + 1] = sos, eos
    slots[place] = forced[order]
    padded = np.zeros(len(slots), np.uint8)
    padded[place] = levels[order]
    slot = np.empty(count, np.int32)
    slot[order] = place
    return Sequences(slots, padded, borders, kept, slot, lead, int(original[-1])), after, openers


def _explicit(
    types: Bytes, lead: int, state: BidiState, isolates: dict[int, int]
) -> tuple[Bytes, Bytes, list[tuple[int, int]], BidiState, list[int]]:
    """X1 to X8: levels, classes after overrides, pairs of initiator and PDI, the state behind, initiators left open."""
    stack = [(state.base, "e"), *state.open]
    too_deep, ignored = state.overflow  # isolates, embeddings
    openers = np.flatnonzero(types[:lead] == LRI).tolist()
    links: list[tuple[int, int]] = []
    where = lead + np.flatnonzero(types[lead:] >= B)
    where = where[types[where] != BN]
    entries = [stack[-1]]  # what is on top before the first control and after each
    for at, cls in zip(where.tolist(), types[where].tolist(), strict=True):
        if cls == PDI:  # X6a
            if too_deep:
                too_deep -= 1
            elif openers:
                ignored = 0
                while stack.pop()[1] != "i":
                    pass
                links.append((openers.pop(), at))
        elif cls == PDF:  # X7
            if not too_deep and ignored:
                ignored -= 1
            elif not too_deep and len(stack) > 1 and stack[-1][1] != "i":
                stack.pop()
        elif cls == B:  # X8
            del stack[1:]
            openers, too_deep, ignored = [], 0, 0
        else:  # X2 to X5c
            if cls == FSI:
                cls = RLI if isolates.get(at - lead) else LRI
            level = stack[-1][0] + 1
            level += (level & 1) != (cls in (RLE, RLO, RLI))
            if level <= _MAX_DEPTH and not too_deep and not ignored:
                stack.append((level, _KIND[cls]))
                if cls in (LRI, RLI):
                    openers.append(at)
            elif cls in (LRI, RLI):
                too_deep += 1
            elif not too_deep:
                ignored += 1
        entries.append(stack[-1])
    lengths = np.diff(np.concatenate([[0], where, [len(types)]]))
    each = np.array([entry[0] for entry in entries], np.uint8)
    ways = np.array(["elri".index(entry[1]) for entry in entries], np.uint8)
    levels, kinds = np.repeat(each, lengths), np.repeat(ways, lengths)
    outside = (types[where] >= LRI) & (types[where] <= FSI)  # an initiator is on the level it leaves
    levels[where[outside]], kinds[where[outside]] = each[:-1][outside], ways[:-1][outside]
    forced = np.where(kinds == 1, L, np.where(kinds == 2, R, types)).astype(np.uint8)
    after = BidiState(state.base, tuple(stack[1:]), (too_deep, ignored))
    return levels, forced, links, after, openers
