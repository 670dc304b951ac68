"""Quotations and page references of an answer resolve to characters of the source, or are said not to."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from glyph_integrations.page import Page
from glyph_integrations.reading import Citation, ContextBuilder, verify_answer
from glyph_integrations.reading.results import answer_results
from glyph_integrations.rendering import Renderer
from glyph_integrations.style import PageStyle

RENDERER = Renderer(PageStyle(width=300, height=120, newline="keep"))

ENGLISH = """It is a truth universally acknowledged, that a single man in possession of a good fortune, must be in want of a
wife.

However little known the feelings or views of such a man may be on his first entering a neighbourhood, this truth is so well
fixed in the minds of the surrounding families, that he is considered as the rightful property of some one or other of their
daughters.

“My dear Mr. Bennet,” said his lady to him one day, “have you heard that Netherfield Park is let at last?”

Mr. Bennet replied that he had not -- he _never_ heard anything. The rent was 4,812 pounds; the lease no. AB-1029-X.

Don't forget: the well-known rule... is Lady Catherine's own.
"""
CHINESE = """诗曰：混沌未分天地乱，茫茫渺渺无人见。自从盘古破鸿蒙，开辟从兹清浊辨。
那猴王说：“我的金箍棒，重一万三千五百斤。”众妖大惊。"""


def paginate(text: str, source: str = "a.txt") -> list[Page]:
    return list(RENDERER.paginate(text, source=source))


PAGES = paginate(ENGLISH)


def one(answer: str, pages: list[Page] | None = None) -> Citation:
    (citation,) = verify_answer(answer, PAGES if pages is None else pages, RENDERER)
    return citation


def cited(citation: Citation, text: str = ENGLISH) -> str:
    return " ".join(text[citation.start : citation.end].split())


def test_the_pages_of_this_file_are_several() -> None:
    assert len(PAGES) >= 2


def test_a_quotation_resolves_to_page_line_characters_and_boxes() -> None:
    citation = one("They say “a single man in possession of a good fortune” (Page 1).")
    assert citation.verified and not citation.note
    assert cited(citation) == citation.quote == "a single man in possession of a good fortune"
    assert citation.page is PAGES[0]
    assert citation.page.text[citation.start - citation.page.start :].startswith("a single man")
    assert str(citation) == f"1:{citation.line}"
    assert "a single" in citation.page.line_text(citation.line)
    assert citation.boxes and all(box.left < box.right and box.top < box.bottom for box in citation.boxes)
    assert len(citation.boxes) == 1 + citation.page.line_of(citation.end - 1 - citation.page.start) - citation.line


@pytest.mark.parametrize(
    ("answer", "source"),
    [
        ('It is "so well fixed in the minds".', "so well fixed in the minds"),
        ("« the rightful property »", "the rightful property"),
        ("„the rightful property“", "the rightful property"),
        ("‘the rightful property of some’", "the rightful property of some"),
        ("He's right: 'the rightful property of some', isn't it?", "the rightful property of some"),
        ("“'My dear Mr. Bennet,' said his lady”", "My dear Mr. Bennet,” said his lady"),
        ("“My dear Mr. Bennet,” said his lady", "My dear Mr. Bennet,"),
        ("“He had not—he never heard anything”", None),
        ("“he had not—he never heard anything”", "he had not -- he _never_ heard anything"),
        ("“he **never** heard anything”", "he _never_ heard anything"),
        ("She wrote “of their daughters,” once.", "of their daughters"),
        ("“the well‑known rule… is Lady Catherine’s own”", "the well-known rule... is Lady Catherine's own"),
        ("“Netherfield\nPark   is let”", "Netherfield Park is let"),
        ("“Don’t forget”", "Don't forget"),
        (
            "“a single man […] must be in want of a wife”",
            "a single man in possession of a good fortune, must be in want of a wife",
        ),
    ],
)
def test_marks_line_ends_and_emphasis_make_no_difference(answer: str, source: str | None) -> None:
    citation = one(answer)
    if source is None:
        assert not citation.verified
    else:
        assert citation.verified, citation
        assert cited(citation) == source


def test_what_is_not_there_is_unverified() -> None:
    citation = one("“a married man in possession of two dogs” (Page 1)")
    assert not citation.verified
    assert (citation.page, citation.line, citation.start, citation.end, citation.boxes) == (None, 0, -1, -1, ())
    assert str(citation) == "?"
    assert "none of the pages" in citation.note


@pytest.mark.parametrize(
    ("read", "true"),
    [
        ("this truth is so weII fixed", "this truth is so well fixed"),
        ("the rightful ploperty", "the rightful property"),
        ("The rent was 4,872 pounds", "The rent was 4,812 pounds"),
        ("possession of a good fortvne, rnust", None),
        ("must be in warnt of a wife", "must be in want of a wife"),
        ("lease no. AB-1O29-X", "lease no. AB-1029-X."),
        ("must be in want of a wif", "must be in want of a wife"),
    ],
)
def test_one_misread_is_offered_repaired_but_not_called_verified(read: str, true: str | None) -> None:
    citation = one(f"“{read}”")
    assert not citation.verified
    if true is None:
        assert citation.repaired is None
    else:
        assert citation.repaired is not None
        assert citation.repaired.rstrip(".") == true.rstrip(".")
        assert cited(citation) == citation.repaired
        assert citation.boxes


def test_short_words_are_not_repaired_into_others() -> None:
    assert one("“hid not”").repaired is None


def test_part_of_a_word_is_not_that_word() -> None:
    citation = one("“erfield”")
    assert not citation.verified


def test_a_quotation_may_run_on_to_the_next_page() -> None:
    first = PAGES[0]
    quote = " ".join(ENGLISH[first.end - 60 : first.end + 60].split()[1:-1]).replace("“", "").replace("”", "")
    citation = one(f"“{quote}”")
    assert citation.verified and citation.page is first
    assert citation.start < first.end < citation.end
    assert cited(citation).replace("“", "").replace("”", "") == " ".join(quote.split())


def over_the_seam() -> str:
    """Words that begin on the first page and end on the second."""
    return " ".join(ENGLISH[PAGES[0].end - 60 : PAGES[1].end].split()[1:])


def test_a_quotation_over_two_pages_has_boxes_on_both() -> None:
    citation = one(f"“{over_the_seam()}”")
    (more,) = citation.continues
    assert citation.pages == (PAGES[0], PAGES[1]) == (citation.page, more.page)
    first, second = PAGES[0], PAGES[1]
    assert citation.boxes == tuple(box for _, box in RENDERER.boxes(first, citation.start - first.start, len(first.text)))
    assert more.boxes == tuple(box for _, box in RENDERER.boxes(second, 0, citation.end - second.start)) != ()
    for claimed in (1, 2):
        assert one(f"“{over_the_seam()}” (Page {claimed})").note == ""
    assert "stand on page 1, not 3" in one(f"“{over_the_seam()}” (Page 3)").note
    assert not one("“a single man in possession”").continues


def test_a_quotation_over_three_pages_has_boxes_on_all() -> None:
    quote = " ".join(ENGLISH[PAGES[0].end - 30 : PAGES[1].end + 30].split()[1:-1]).replace("“", "‘").replace("”", "’")
    citation = one(f"«{quote}»")
    assert citation.verified and citation.pages == tuple(PAGES[:3])
    assert all(more.boxes for more in citation.continues)


def test_a_misread_on_either_side_of_a_page_end_is_repaired() -> None:
    true = over_the_seam()
    for at in (5, len(true) - 6):
        read = true[:at] + ("q" if true[at] != "q" else "z") + true[at + 1 :]
        citation = one(f"“{read}”")
        assert not citation.verified and citation.repaired is not None and len(citation.pages) == 2
        assert citation.repaired == cited(citation) == true.rstrip(".")


def test_the_pages_of_a_citation_are_drawn_with_the_words_marked() -> None:
    def marked(picture: Image.Image) -> bool:
        colors = picture.convert("RGB").getcolors(1 << 24) or []
        return any(isinstance(color, tuple) and color[2] < 150 < color[0] for _, color in colors)

    pictures = one(f"“{over_the_seam()}”").pictures(RENDERER, dpi=144)
    assert [p.size for p in pictures] == [RENDERER.size(page, 144) for page in PAGES[:2]] and all(map(marked, pictures))
    (plain,) = one("See page 1.").pictures(RENDERER)
    assert plain.size == RENDERER.size(PAGES[0]) and not marked(plain)
    assert one("See page 999.").pictures() == []


def test_a_citation_over_two_pages_survives_as_plain_values() -> None:
    known = {page.id: page for page in PAGES}
    for answer in (f"“{over_the_seam()}”", "“a single man”", "page 999", "“these words are not there”"):
        citation = one(answer)
        values = json.loads(json.dumps(citation.to_dict()))
        assert Citation.from_dict(values, known.get) == citation
    values = one(f"“{over_the_seam()}”").to_dict()
    lost = Citation.from_dict(values, lambda _: None)
    assert lost.page is None and lost.pages == () and lost.continues == () and lost.verified


@pytest.mark.parametrize(
    "reference",
    [
        "(Page 1)",
        "[p. 1]",
        "(p 1)",
        "p.1",
        "on page 1",
        "[P1]",
        "(pg. 1)",
        "第1页",
        "第一頁",
        "(Seite 1)",
        "(стр. 1)",
        "(Page 1 of a.txt)",
    ],
)
def test_page_references_of_many_kinds_are_read(reference: str) -> None:
    assert one(f"“a truth universally acknowledged” {reference}").claimed == 1
    bare = one(f"This stands {reference}.")
    assert (bare.page, bare.verified, bare.quote, bare.line, str(bare)) == (PAGES[0], False, "", 0, "1")


def test_ranges_and_lists_name_every_page() -> None:
    found = verify_answer("See pp. 1-2, pages 1 and 7, and pages 900–902.", PAGES, RENDERER)
    assert [c.claimed for c in found] == [1, 2, 1, 7, 900, 901, 902]


def test_an_invented_page_number_is_reported_and_never_looked_up() -> None:
    citation = one("As page 999 says.")
    assert (citation.page, citation.verified, citation.claimed) == (None, False, 999)
    assert "999 is not among the pages" in citation.note
    quoted = one("“a truth universally acknowledged” (Page 999)")
    assert quoted.verified and quoted.page is PAGES[0]
    assert quoted.claimed == 999 and "999 is not among the pages" in quoted.note


def test_a_wrong_page_number_is_noted() -> None:
    last = PAGES[-1].number
    citation = one(f"“a truth universally acknowledged” (Page {last})")
    assert citation.verified and citation.page is PAGES[0]
    assert citation.note == f"the words stand on page 1, not {last}"


def test_each_quotation_gets_the_reference_beside_it() -> None:
    answer = "On page 1, “a single man”. As page 2 says “of their daughters” and page 3 adds “Don't forget”."
    assert [c.claimed for c in verify_answer(answer, PAGES, RENDERER)] == [1, 2, 3]
    answer = "“a single man” (Page 1) and “of their daughters” (Page 2), later “Don't forget”. (Page 3)"
    assert [c.claimed for c in verify_answer(answer, PAGES, RENDERER)] == [1, 2, 3]


def test_a_reference_chooses_among_equal_words_and_equal_numbers() -> None:
    twins = [*paginate("The end of all.\n", "a.txt"), *paginate("Once more the end of all.\n", "b.txt")]
    citation = one("“the end of all” (Page 1 of b.txt)", twins)
    assert citation.page is not None and citation.page.source == "b.txt" and not citation.note
    plain = one("“Once more the end of all” (Page 1)", twins)
    assert plain.page is not None and plain.page.source == "b.txt" and not plain.note


@pytest.mark.parametrize(
    "quote", ["“重一万三千五百斤”", "「自从盘古破鸿蒙，开辟从兹清浊辨」", "『我的金箍棒,重一万』", '"清浊辨。那猴王说"']
)
def test_chinese_quotations_are_found(quote: str) -> None:
    pages = paginate(CHINESE, "x.txt")
    citation = one(f"答：{quote}（第1页）", pages)
    assert citation.verified and citation.claimed == 1 and not citation.note


def test_a_chinese_misread_is_repaired() -> None:
    assert one("“自从盘古破鸿蒙，开僻从兹清浊辨”", paginate(CHINESE)).repaired == "自从盘古破鸿蒙，开辟从兹清浊辨"


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "I don't know; it isn't James' fault, nor the girls' books.",
        "Its size is 5' by 6\".",
        "“”",
        "It has 57 pages.",
        "1849.",
        "“",
        "p.5.js",
    ],
)
def test_answers_without_quotations_have_no_citations(answer: str) -> None:
    assert verify_answer(answer, PAGES, RENDERER) == []


@pytest.mark.parametrize("answer", ["“" * 20_000, "»„" * 10_000, '"' * 20_000, '"\n\n' * 7000, "[" * 200_000])
def test_an_answer_that_has_run_wild_is_checked_at_once(answer: str) -> None:
    started = time.perf_counter()
    report = ContextBuilder("glyph").build("Who?", PAGES)[1]
    assert answer_results(answer, report)["citations"] == [] or answer[0] == '"'
    assert time.perf_counter() - started < 2


def test_nothing_resolves_without_pages() -> None:
    assert [c.page for c in verify_answer("“a single man” (Page 1)", [])] == [None]


def test_to_dict_is_plain() -> None:
    values = one("“a truth universally acknowledged” (Page 1)").to_dict()
    assert values["page"] == 1 and values["source"] == "a.txt" and values["page_id"] == PAGES[0].id
    assert values["boxes"] and isinstance(values["boxes"][0], list)
    assert one("“nothing of the kind was said”").to_dict()["page"] is None


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_every_verified_citation_contains_the_quoted_words(data: st.DataObject) -> None:
    words = st.sampled_from([*ENGLISH.split(), *"rent … 4,812 ” “ ' x -- * […] never".split(), CHINESE[3:9]])
    quotes = [" ".join(data.draw(st.lists(words, min_size=1, max_size=6))) for _ in range(2)]
    at = data.draw(st.integers(0, len(ENGLISH) - 2))
    quotes.append(ENGLISH[at : at + data.draw(st.integers(1, 200))])

    def bare(text: str) -> str:
        return "".join(c for c in text if c.isalnum())

    for citation in verify_answer(" and ".join(f"“{q}”" for q in quotes), PAGES, RENDERER):
        if citation.verified:
            source = bare(ENGLISH[citation.start : citation.end])
            assert citation.page is not None and citation.page.start <= citation.start < citation.page.end
            at = 0
            for stretch in citation.quote.replace("...", "…").split("…"):
                assert bare(stretch) in source[at:]
                at = source.index(bare(stretch), at) + len(bare(stretch))
        else:
            assert citation.note


@settings(max_examples=60, deadline=None)
@given(st.integers(0, len(ENGLISH) - 40), st.integers(12, 200))
def test_every_stretch_of_whole_words_is_found_again(at: int, length: int) -> None:
    quote = " ".join(ENGLISH[at : at + length].split()[1:-1])
    quote = "".join("'" if c in "“”" else c for c in quote)
    if sum(c.isalnum() for c in quote) < 2:
        return
    (citation, *_) = verify_answer(f"“{quote}”", PAGES, RENDERER)
    assert citation.verified


def test_twenty_full_pages_are_checked_in_well_under_a_tenth_of_a_second(corpora: Path) -> None:
    text = (corpora / "texts" / "pride_and_prejudice.txt").read_text(encoding="utf-8")
    pages = [
        Page(text=text[i : i + 9000], style=PageStyle(newline="keep"), lines=(), number=i // 9000 + 1, start=i)
        for i in range(0, 180_000, 9000)
    ]
    quotes = [" ".join(text[i : i + 200].split()[1:-1]).replace("“", "").replace("”", "") for i in range(100, 180_000, 20_000)]
    answer = "\n".join(
        f"“{q}” (Page 3)" for q in [*quotes, *(q[:60] + "zq" + q[62:] for q in quotes), "these words are nowhere at all in it"]
    )
    begun = time.perf_counter()
    found = verify_answer(answer, pages)
    seconds = time.perf_counter() - begun
    assert seconds < 0.5  # a twentieth of a second when the machine is idle
    assert sum(c.verified for c in found) >= 8
    assert sum(c.repaired is not None for c in found) >= 8
