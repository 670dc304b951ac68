"""The Unicode bidirectional algorithm."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import cache
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glyph_integrations.errors import PageFormatError
from glyph_integrations.rendering.bidi import (
    BidiState,
    Codes,
    line_levels,
    mirror,
    needs_bidi,
    paragraph_direction,
    reorder_line,
    resolve_levels,
    state_after,
    visual_runs,
)

UCD = Path("/usr/share/unicode")
LRE, RLE, PDF, LRO, RLO = "\u202a\u202b\u202c\u202d\u202e"
LRI, RLI, FSI, PDI = "\u2066\u2067\u2068\u2069"
SAMPLES = dict(
    zip(
        "L R AL EN ES ET AN CS B S WS ON NSM BN LRE RLE PDF LRO RLO LRI RLI FSI PDI".split(),
        f"aאا0+$\u0660,\u2029\t !\u0300\u00ad{LRE}{RLE}{PDF}{LRO}{RLO}{LRI}{RLI}{FSI}{PDI}",
        strict=True,
    )
)
ODD = range(1, 126, 2)
REMOVED = f"\u00ad{LRE}{RLE}{PDF}{LRO}{RLO}"
mixed = st.text(st.sampled_from("".join(SAMPLES.values())), max_size=40)
numeric = st.text(st.sampled_from("aאا0\u0660+,$ \u0300"), min_size=2, max_size=12)
closing = st.text(st.sampled_from(f"a0א{RLI}{LRE}{PDF}{PDI}"), min_size=1, max_size=20)
bracketed = st.text(st.sampled_from("".join(SAMPLES.values()) + "()[]〈〉\u2329\u232a"), max_size=40)
one_way = st.text(st.characters().filter(lambda c: not needs_bidi(codes_of(c))))
deep = st.tuples(st.sampled_from(["", RLE + LRE, RLI, RLO + LRI]), st.integers(60, 66)).map(lambda pair: pair[0] * pair[1])

Case = tuple[Codes, int | None, int | None, list[str], list[int]]  # start, paragraph's direction, levels, order


def codes_of(text: str) -> Codes:
    return np.array([ord(c) for c in text], np.uint32)


def levels(text: str, start: BidiState | int | None = None) -> list[int]:
    return resolve_levels(codes_of(text), start).tolist()


def on_the_line(text: str, base: int | None = None) -> str:
    """The text as one line, its characters from left to right, mirrored."""
    codes = codes_of(text)
    base = paragraph_direction(codes) if base is None else base
    line = line_levels(codes, resolve_levels(codes, base), base)
    return "".join(chr(mirror(ord(text[at]))) if line[at] % 2 else text[at] for at in reorder_line(line))


@pytest.mark.parametrize(
    ("logical", "visual"),
    [
        ("abc", "abc"),
        ("אבג", "גבא"),
        ("he said אבג. Then", "he said גבא. Then"),
        ("אבג (abc) 12-34.", ".12-34 (abc) גבא"),
        ("اب 12-34 12/34", "12/34 34-12 با"),
        ("a (אב) b", "a (בא) b"),
        ("אב [x] ג", "ג [x] בא"),
        ("א〈ב\u232aג", "ג\u2329ב〉א"),
        ("price: ₪12 אב", "price: ₪12 בא"),
        ("אב   ", "   בא"),
        ("", ""),
        (f"a {RLI}אב 1{PDI} 2", f"a {RLI}1 בא{PDI} 2"),
    ],
)
def test_a_line_reads_like_this_from_left_to_right(logical: str, visual: str) -> None:
    assert on_the_line(logical) == visual


def test_trailing_spaces_have_the_level_of_the_paragraph() -> None:
    assert on_the_line("ab אב  ", 0) == "ab בא  "
    assert on_the_line("ab\tאב", 1) == "בא\tab"
    codes = codes_of("אב  ")
    assert line_levels(codes, resolve_levels(codes, 0), 0).tolist() == [1, 1, 0, 0]


@pytest.mark.parametrize(
    ("text", "direction"),
    [
        ("", 0), ("123 !", 0), ("12 a א", 0), ("12 א a", 1), ("ا", 1), (f"{RLI}א{PDI}a", 0), (f"{RLI}a{PDI}א", 1),
        (f"{FSI}{LRI}a{PDI}א", 0), (f"{PDI}א", 1), (f"{RLE}a", 0), ("!\nא", 0),
    ],
)  # fmt: skip
def test_the_first_strong_character_outside_isolates_gives_the_direction(text: str, direction: int) -> None:
    assert paragraph_direction(codes_of(text)) == direction


@given(st.lists(bracketed, max_size=4), st.integers(0, 1))
def test_paragraphs_given_together_get_the_levels_they_have_alone(texts: list[str], base: int) -> None:
    paragraphs = [part for text in texts for part in f"{text}\u2029".splitlines(keepends=True)]
    assert levels("".join(paragraphs), base) == [level for part in paragraphs for level in levels(part, base)]


def test_only_a_direction_can_start_a_paragraph() -> None:
    with pytest.raises(ValueError, match="not 2"):
        levels("a", 2)


def unicode_file(name: str) -> Path:
    path = UCD / name
    if not path.is_file():
        pytest.skip(f"{name} is not here (Debian: package unicode-data)")
    with path.open(encoding="utf-8") as lines:
        header = next(lines)
    if "15.0" not in header:
        pytest.skip(f"the tables are of Unicode 15.0, the suite is {header}")
    return path


def character_test() -> Iterator[Case]:
    """The cases of BidiCharacterTest.txt."""
    with unicode_file("BidiCharacterTest.txt").open(encoding="utf-8") as lines:
        for line in lines:
            if line.strip() and not line.startswith("#"):
                text, start, direction, wanted, order = line.split(";")
                codes = np.array([int(code, 16) for code in text.split()], np.uint32)
                yield codes, {"0": 0, "1": 1}.get(start), int(direction), wanted.split(), [int(at) for at in order.split()]


def class_test() -> Iterator[Case]:
    """The cases of BidiTest.txt."""
    code = {name: ord(character) for name, character in SAMPLES.items()}
    wanted, order = [], []
    with unicode_file("BidiTest.txt").open(encoding="utf-8") as lines:
        for line in lines:
            if line.startswith("@Levels:"):
                wanted = line[8:].split()
            elif line.startswith("@Reorder:"):
                order = [int(at) for at in line[9:].split()]
            elif line.strip() and line[0] not in "#@":
                names, bits = line.split(";")
                codes = np.array([code[name] for name in names.split()], np.uint32)
                for bit, start in ((1, None), (2, 0), (4, 1)):
                    if int(bits, 16) & bit:
                        yield codes, start, start, wanted, order


@cache
def reordered(line: bytes) -> list[int]:
    return reorder_line(np.frombuffer(line, np.uint8)).tolist()


def passes(case: Case, line: np.ndarray) -> bool:
    _, _, _, wanted, order = case
    same = all(want in ("x", str(level)) for want, level in zip(wanted, line.tolist(), strict=True))
    return same and [at for at in reordered(line.tobytes()) if wanted[at] != "x"] == order


def failures(cases: Iterator[Case]) -> list[Case]:
    """The cases that come out differently, each taken as a paragraph of its own."""
    failed, count = [], 0
    for case in cases:
        codes, start, direction, _, _ = case
        found = paragraph_direction(codes) if start is None else start
        line = line_levels(codes, resolve_levels(codes, start), found)
        count += 1
        if not passes(case, line) or direction not in (None, found):
            failed.append(case)
    assert count > 2000
    return failed


def test_a_sample_of_unicodes_own_suites() -> None:
    assert failures(islice(character_test(), 0, None, 43)) == []
    assert failures(islice(class_test(), 0, None, 379)) == []


@pytest.mark.slow
def test_unicodes_suite_of_characters() -> None:
    assert failures(character_test()) == []


@pytest.mark.slow
def test_unicodes_suite_of_classes() -> None:
    """Many paragraphs in one call, as there are 770,000."""
    cases, count = class_test(), 0
    end = np.array([0x2029], np.uint32)
    while block := list(islice(cases, 40_000)):
        bases = [paragraph_direction(case[0]) if case[1] is None else case[1] for case in block]
        for base in (0, 1):
            chosen = [case for case, its in zip(block, bases, strict=True) if its == base]
            text = np.concatenate([end, *(part for case in chosen for part in (case[0], end))])
            lines, at = line_levels(text, resolve_levels(text, base), base), 1
            for case in chosen:
                assert passes(case, lines[at : at + len(case[0])]), case
                at += len(case[0]) + 1
        count += len(block)
    assert count == 770_241


@given(one_way, st.integers(0, 1))
def test_text_that_runs_left_to_right_has_no_levels_of_its_own(text: str, base: int) -> None:
    assert levels(text, 0) == levels(text) == [0] * len(text)
    assert not needs_bidi(codes_of(text))
    assert set(levels(text, base)) <= {base, 2 * base}


@given(deep, bracketed, st.sampled_from([0, 1, None]))
def test_levels_stay_in_bounds_and_reordering_loses_nothing(before: str, text: str, base: int | None) -> None:
    codes = codes_of(before + text)
    direction = paragraph_direction(codes) if base is None else base
    found = resolve_levels(codes, base)
    assert len(found) == len(codes) and all(direction <= level <= 126 for level in found)
    line = line_levels(codes, found, direction)
    order = reorder_line(line).tolist()
    assert sorted(order) == list(range(len(codes)))
    runs = [list(range(a, b))[:: -1 if level % 2 else 1] for a, b, level in visual_runs(line)]
    assert [at for run in runs for at in run] == order


@given(bracketed, st.integers(0, 1))
def test_reversing_from_the_highest_level_down_gives_the_order(text: str, base: int) -> None:
    line = levels(text, base)
    order = list(range(len(line)))
    for level in range(max(line, default=0), 0, -1):  # L2, word for word
        at = 0
        while at < len(order):
            end = at
            while end < len(order) and line[order[end]] >= level:
                end += 1
            order[at:end] = order[at:end][::-1]
            at = end + 1
    assert reorder_line(np.array(line, np.uint8)).tolist() == order


@settings(max_examples=200)
@given(deep, numeric | mixed, numeric | closing, st.data(), st.sampled_from([0, 1, None]))
def test_what_is_carried_over_a_cut_gives_the_rest_the_levels_it_has_in_the_whole(
    before: str, middle: str, end: str, data: st.DataObject, base: int | None
) -> None:
    text = before + middle + end
    whole, at = levels(text, base), 0
    state: BidiState | int | None = base
    for _ in range(2):
        cut = data.draw(st.integers(max(at, len(before)), len(text)))
        state = BidiState.parse(str(state_after(codes_of(text[at:]), cut - at, state)))
        at = cut
        rest = zip(levels(text[at:], state), whole[at:], text[at:], strict=True)
        assert all(found == level for found, level, character in rest if character not in REMOVED)


@pytest.mark.parametrize(
    ("text", "short"),
    [
        ("plain 12", "0"),
        ("אב", "1"),
        ("اب", "1;;;1A"),
        ("אב 12%", "1;;;1RET"),
        ("ab 12 ٣,", "0;;;0LNC"),
        (f"a{RLI}אב{RLO}ג", "0;1i3r;;0LI3R"),
        (f"a{RLI}ב\n", "0"),
        (RLI * 64, "0;" + "i".join(map(str, ODD)) + "i;1,0;0LI" + "RI".join(map(str, ODD)) + "RO"),
        (RLE * 63, "0;" + "e".join(map(str, ODD)) + "e"),
    ],
    ids=str,
)  # fmt: skip
def test_a_state_has_a_short_form(text: str, short: str) -> None:
    state = state_after(codes_of(text))
    assert str(state) == short
    assert BidiState.parse(short) == state


def test_a_late_first_strong_character_settles_an_isolate_that_is_already_cut() -> None:
    text = f"x {FSI}12 - אב 1{PDI}"
    assert str(state_after(codes_of(text), 5)) == "0;1i;;0LI1RE"
    assert levels(text[5:], state_after(codes_of(text), 5)) == levels(text)[5:]


@pytest.mark.parametrize(
    "text", ["", "2", "0;x", "0;3e1e", "0;126e", "0;1i", "0;;;0I", "0;;;1", "1;;5", "1;;;1Q", "1\n", "0;;;126R"]
)
def test_what_is_not_a_state_is_refused(text: str) -> None:
    with pytest.raises(PageFormatError, match="state of a bidirectional paragraph"):
        BidiState.parse(text)


@pytest.mark.parametrize(
    "text",
    [
        RLI + "a", RLE, FSI, f"{FSI}א{PDI}", RLE + LRE + PDF, "א(", "א()", "א]", f"א{PDI}", f"{RLI}a{PDI}", "א\n",
        f"{RLE}a{LRE}b", "א1,", "א\u0300", "(אb)",
    ],
    ids=ascii,
)  # fmt: skip
def test_time_is_linear_in_the_text_however_hostile(text: str) -> None:
    def seconds(count: int) -> float:
        codes = codes_of(text * count)
        start = time.process_time()  # of this process alone: another one's work does not count
        state_after(codes)
        reorder_line(resolve_levels(codes))
        return time.process_time() - start

    seconds(10)
    few = min(seconds(2_000) for _ in range(3))
    many = min(seconds(16_000) for _ in range(3))
    assert many < 40 * few + 0.1  # eightfold; quadratic would be 64-fold


def test_nesting_beyond_any_depth_is_closed_again() -> None:
    inside = levels(f"{RLI * 10_000}a{PDI * 10_000}b", 0)
    assert max(inside) == 126 and inside[-1] == 0
    brackets = levels("א" + "(" * 10_000 + "a" + ")" * 10_000, 0)
    assert brackets[0] == 1 and set(brackets[1:]) == {0}


@given(
    st.from_regex(r"[01];([1-9]?[13579]i){0,4};([0-9],[0-9])?;(1?[0-9]?[0-9][LRAENTCSO]{0,4}I?){0,4}", fullmatch=True),
    mixed,
)
def test_any_state_that_can_be_read_can_be_used(short: str, text: str) -> None:
    try:
        state = BidiState.parse(short)
    except PageFormatError:
        return
    assert len(levels(text, state)) == len(text)
    after = state_after(codes_of(text), None, state)
    assert BidiState.parse(str(after)) == after
