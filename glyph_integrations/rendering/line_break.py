"""Where a line may end: the Unicode line breaking algorithm (UAX 14, Unicode 15.0), over whole arrays of code points.

Words of Thai, Lao, Khmer and Burmese are told apart by a dictionary only; LB1 takes their letters for ordinary ones. Thai and
Lao lines may also start at a vowel that is written before its consonant, since a syllable does.
"""

from __future__ import annotations

import zlib
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

CLASSES = (
    "AL BA BB B2 BK CB CL CM CP CPE CR EB EM EX GL H2 H3 HL HY ID IDX IN IS"
    " JL JT JV LF NL NS NU OP OPE PO PR QU RI SP SY WJ ZW ZWJ"
).split()
_ID = {name: number for number, name in enumerate(CLASSES)}


def _set(names: str) -> list[int]:
    return [_ID[n] for n in names.split()]


def _flags(names: str) -> npt.NDArray[np.bool_]:
    flags = np.zeros(len(CLASSES), bool)
    flags[_set(names)] = True
    return flags


_HARD = _flags("BK CR LF NL")
_HARD_OR_SPACE = _flags("BK CR LF NL SP ZW")
_NEVER_FIRST = _flags("CL CP CPE EX IS SY WJ")
_HYPHEN = _flags("HY BA")


def is_newline(codes: npt.NDArray[np.uint32]) -> npt.NDArray[np.bool_]:
    """Which code points end a line: LF, CR, VT, FF, NEL, LS, PS."""
    return _HARD[_table()[codes]]


@cache
def _table() -> npt.NDArray[np.uint8]:
    packed = (Path(__file__).parent / "line_break.bin").read_bytes()
    return np.frombuffer(zlib.decompress(packed), np.uint8)


@cache
def _pairs() -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Whether a break is allowed between two classes: side by side, and with spaces between. Rules in reverse order of
    the annex, so that an earlier rule overwrites a later one."""
    n = len(CLASSES)
    near = np.ones((n, n), bool)
    letters, ideographs = "AL HL", "ID IDX EB EM"

    def keep(before: str, after: str) -> None:
        near[np.ix_(_set(before), _set(after))] = False

    everything = " ".join(CLASSES)
    keep("EB IDX", "EM")  # LB30b
    keep("AL HL NU", "OP")  # LB30, without the wide brackets
    keep("CP", "AL HL NU")
    keep("IS", letters)  # LB29
    keep(letters, letters)  # LB28
    keep("JL JV JT H2 H3", "PO")  # LB27
    keep("PR", "JL JV JT H2 H3")
    keep("JL", "JL JV H2 H3")  # LB26
    keep("JV H2", "JV JT")
    keep("JT H3", "JT")
    keep("CL CP CPE NU", "PO PR")  # LB25
    keep("PO PR", "OP OPE NU")
    keep("HY IS NU SY", "NU")
    keep("PR PO", letters)  # LB24
    keep(letters, "PR PO")
    keep("PR", ideographs)  # LB23a
    keep(ideographs, "PO")
    keep(letters, "NU")  # LB23
    keep("NU", letters)
    keep(everything, "IN")  # LB22
    keep("SY", "HL")  # LB21b
    keep(everything, "BA HY NS")  # LB21
    keep("BB", everything)
    for side in ("CB",):  # LB20
        near[_set(side), :] = True
        near[:, _set(side)] = True
    keep(everything, "QU")  # LB19
    keep("QU", everything)
    far = np.ones((n, n), bool)  # LB18: a break after spaces, except:
    for pairs in (near, far):
        pairs[np.ix_(_set("B2"), _set("B2"))] = False  # LB17
        pairs[np.ix_(_set("CL CP CPE"), _set("NS"))] = False  # LB16
        pairs[np.ix_(_set("QU"), _set("OP OPE"))] = False  # LB15
        pairs[_set("OP OPE"), :] = False  # LB14
        pairs[:, _set("CL CP CPE EX IS SY")] = False  # LB13
    near[:, _set("GL")] = False  # LB12a
    near[np.ix_(_set("BA HY"), _set("GL"))] = True
    near[_set("GL"), :] = False  # LB12
    near[_set("WJ"), :] = False  # LB11
    near[:, _set("WJ")] = far[:, _set("WJ")] = False
    near[_set("ZW"), :] = far[_set("ZW"), :] = True  # LB8
    for pairs in (near, far):
        pairs[:, _set("SP ZW BK CR LF NL")] = False  # LB7, LB6
    near[_set("BK LF NL CR"), :] = True  # LB4, LB5
    near[_ID["CR"], _ID["LF"]] = False
    return near, far


def break_opportunities(codes: npt.NDArray[np.uint32]) -> npt.NDArray[np.bool_]:
    """Whether a line may start at each character.

    Args:
        codes: ``uint32[n]`` code points, starting at the start of a line.

    Returns:
        ``bool[n]``; the first is always False. After a newline it is True.

    Costs about 25 ns a character.
    """
    n = len(codes)
    allowed = np.zeros(n, bool)
    if n < 2:
        return allowed
    near, far = _pairs()
    raw = _table().take(codes)
    at = np.arange(n, dtype=np.int32)
    # LB9: a mark takes the class of what it stands on; LB10: with nothing to stand on it is a letter
    mark = (raw == _ID["CM"]) | (raw == _ID["ZWJ"])
    cls: npt.NDArray[Any] = raw
    attached = np.zeros(n, bool)
    if mark.any():
        base = np.maximum.accumulate(np.where(mark, -1, at))
        bases = raw[np.maximum(base, 0)]
        floats = (base < 0) | _HARD_OR_SPACE[bases]
        attached = mark & ~floats
        cls = np.where(mark, np.where(floats, _ID["AL"], bases), raw).astype(np.uint8)
    before, after = cls[:-1], cls[1:]
    result = near.reshape(-1).take(before * np.int32(len(near)) + after)
    space = cls == _ID["SP"]
    word = np.nonzero(space[:-1] & ~space[1:])[0]  # the last of each run of spaces
    if len(word):
        run = np.nonzero(space & np.concatenate([[True], ~space[:-1]]))[0]  # and the first
        opens = np.zeros(len(word), bool)
        opens[0] = run[0] == 0
        behind = cls[np.maximum(run[: len(word)] - 1, 0)]
        opens |= _HARD[behind]  # spaces that open a line
        first = after[word]
        result[word] = np.where(opens, ~_NEVER_FIRST[first], far[behind, first]) & ~_HARD_OR_SPACE[first]
    regional = (cls == _ID["RI"]) & ~attached
    if regional.any():  # LB30a: flags are pairs
        length = at - np.maximum.accumulate(np.where((cls == _ID["RI"]), -1, at))
        count = np.cumsum(regional)
        start = at - length
        order = count - np.where(start >= 0, count[np.maximum(start, 0)], 0)
        pair = (before == _ID["RI"]) & (after == _ID["RI"]) & regional[1:]
        result = np.where(pair, order[:-1] % 2 == 0, result)
    hebrew = (cls == _ID["HL"]) if (raw == _ID["HL"]).any() else None
    if hebrew is not None:  # LB21a: a Hebrew letter, a hyphen, anything
        first = np.maximum.accumulate(np.where(attached, -1, at))  # the base of each character
        previous = first[np.maximum(first - 1, 0)]
        result &= ~(_HYPHEN[before] & hebrew[previous[:-1]] & (first[:-1] > 0))
    vowel = (((codes >= 0x0E40) & (codes <= 0x0E44)) | ((codes >= 0x0EC0) & (codes <= 0x0EC4)))[1:]
    if vowel.any():
        result |= vowel & (codes[:-1] >= 0x0E01) & (codes[:-1] <= 0x0EDF)
    result[raw[:-1] == _ID["ZWJ"]] = False  # LB8a
    result[attached[1:]] = False
    hard = _HARD.take(raw[:-1]) & ~((raw[:-1] == _ID["CR"]) & (raw[1:] == _ID["LF"]))
    result[hard] = True
    allowed[1:] = result
    return allowed
