"""Unicode line breaking."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from glyph_integrations.rendering.line_break import break_opportunities

SUITE = Path("/usr/share/unicode/auxiliary/LineBreakTest.txt")


def breaks(text: str) -> list[str]:
    """The text cut where a line may start."""
    allowed = break_opportunities(np.array([ord(c) for c in text], np.uint32)).tolist()
    cuts = [0, *(at for at, ok in enumerate(allowed) if ok), len(text)]
    return [text[a:b] for a, b in zip(cuts, cuts[1:], strict=False)]  # noqa: RUF007


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("two words", ["two ", "words"]),
        ("a  b", ["a  ", "b"]),
        ("well-known", ["well-", "known"]),
        ("(so) “it” goes.", ["(so) ", "“it” ", "goes."]),
        ("3,141.5 and $20", ["3,141.5 ", "and ", "$20"]),
        ("大学之道，在明", ["大", "学", "之", "道，", "在", "明"]),
        ("「引」。次", ["「引」。", "次"]),
        ("e\u0301te\u0301 x", ["e\u0301te\u0301 ", "x"]),
        ("a\u00a0b c", ["a\u00a0b ", "c"]),
        ("line\nnext\r\nlast", ["line\n", "next\r\n", "last"]),
        ("🇩🇪🇫🇷", ["🇩🇪", "🇫🇷"]),
        ("👩\u200d👩 x", ["👩\u200d👩 ", "x"]),
        ("มีเหตุผลและ", ["มี", "เหตุผล", "และ"]),
    ],
)
def test_lines_may_start_here(text: str, pieces: list[str]) -> None:
    assert breaks(text) == pieces


def test_unicodes_own_suite() -> None:
    if not SUITE.is_file():
        pytest.skip("LineBreakTest.txt is not here (Debian: package unicode-data)")
    header = SUITE.read_text(encoding="utf-8").split("\n", 1)[0]
    if "15.0" not in header:
        pytest.skip(f"the tables are of Unicode 15.0, the suite is {header}")
    wrong = []
    for row in SUITE.read_text(encoding="utf-8").splitlines():
        marks = row.split("#")[0].split()
        if marks:
            codes = np.array([int(code, 16) for code in marks[1::2]], np.uint32)
            want = [False, *(mark == "÷" for mark in marks[2:-1:2])]
            if break_opportunities(codes).tolist() != want:
                wrong.append(row)
    # the suite follows the tailoring of example 7 (numbers as a regular expression) where we follow LB25 as written
    assert len(wrong) == 34
    assert all("÷ [999.0]" in row for row in wrong)
