"""What a summary is checked for, where its citations are found, and which pages are summarized together."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glyph_integrations import Page, Renderer, Summarizer
from glyph_integrations.summarizing import check
from glyph_integrations.summarizing.centrality import centrality, tf_idf
from glyph_integrations.summarizing.cited import Cited, joined
from glyph_integrations.summarizing.grouping import group_ends

ENGLISH = (
    "Elizabeth Bennet refused Mr. Collins in 1813, who had asked her with 1,200 words and twenty-one sighs.\f"
    "“You are uniform in your charms!” cried he. The forty cattle stood in Meryton."
)
CHINESE = "猴王在花果山中与众猴玩耍，不知岁月，忽一日学道去了。如意金箍棒重一万三千五百斤，乃是龙王的宝贝。"
RUSSIAN = "Иван Петрович приехал в Москву в 1825 году и сразу отправился к Татьяне Лариной, которую он давно любил."


def pages_of(text: str, source: str = "") -> list[Page]:
    return list(Renderer().paginate(text, source=source))


def checked(answer: str, text: str) -> tuple[float, list[str]]:
    found = check(Cited.read(answer, pages_of(text)))
    return found.faithfulness, [unsupported.reason for unsupported in found.unsupported]


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ("Elizabeth refused Mr. Collins in 1813 [p. 1].", ENGLISH),
        ("The water rose by 12.5 feet to 1,204.5 [p. 1].", "To 1 204,5 feet it rose, the water: by 12,5."),
        (
            "His arrival was on the 12th of March [p. 1].",
            "He came to Meryton, an arrival expected on the\n12. of March, by coach.",
        ),
        ("He asked with 21 sighs and 1200 words. [p. 1]", ENGLISH),
        ("He called her “uniform in your charms” [p. 2].", ENGLISH),
        ("Bennet's refusal of Collins took many words [p. 1] and cattle stood in Meryton [p. 2].", ENGLISH),
        ("猴王在花果山玩耍，后来学道去了。[p. 1]", CHINESE),
        ("金箍棒重13500斤，是龙王的宝贝（第1页）。", CHINESE),
        ("Он давно любил Татьяну Ларину [стр. 1].", RUSSIAN),
        ("The staff weighs 13,500 catties [p. 1].", CHINESE),
    ],
)
def test_what_the_page_says_is_supported(answer: str, text: str) -> None:
    assert checked(answer, text) == (1.0, [])


@pytest.mark.parametrize(
    ("answer", "text", "reason"),
    [
        ("Elizabeth refused Mr. Darcy [p. 1].", ENGLISH, "not on page 1: darcy"),
        ("Elizabeth refused Mr. Collins in 1814 [p. 1].", ENGLISH, "not on page 1: 1814"),
        ("Elizabeth refused Mr. Collins in 1813 [p. 2].", ENGLISH, "not on page 2: 1813"),
        ("He called her “charming beyond measure” [p. 2].", ENGLISH, "“charming beyond measure” is not on page 2"),
        ("Elizabeth refused him [p. 7].", ENGLISH, "it cites a page that was not given"),
        ("Spaceships landed quietly beside ancient volcanoes [p. 1].", ENGLISH, "hardly any of its words are on page 1"),
        ("唐太宗派遣使者前往西域购买良马。[p. 1]", CHINESE, "hardly any of its words are on page 1"),
        ("Он давно любил Анну Каренину [p. 1].", RUSSIAN, "not on page 1: анну, каренину"),
    ],
)
def test_what_the_page_does_not_say_is_told_with_the_reason(answer: str, text: str, reason: str) -> None:
    assert checked(answer, text) == (0.0, [reason])


def test_a_page_of_one_numeral_over_and_over_holds_no_number_of_ten_thousand_digits() -> None:
    assert checked("He paid 30 [p. 1].", "三十元。" + "亿" * 3000) == (1.0, [])


def test_a_score_is_a_share_and_sentences_without_a_page_count_apart() -> None:
    answer = "# Summary\n\nElizabeth refused Mr. Collins [p. 1]. Darcy met Wickham [p. 1]. All this was long ago."
    found = check(Cited.read(answer, pages_of(ENGLISH)))
    assert found.faithfulness == 0.5
    assert found.cited == pytest.approx(2 / 3)
    assert [u.sentence for u in found.unsupported] == ["Darcy met Wickham."]


def test_a_translated_summary_is_held_to_names_and_numbers_alone() -> None:
    answer = Cited.read("Schrecklich viele Worte brauchte Collins damals 1813 [p. 1].", pages_of(ENGLISH))
    assert not check(answer).faithfulness
    strict = check(answer, translated=True)
    assert strict.faithfulness == 0.0  # German writes its nouns as names are written
    assert check(Cited.read("Collins brauchte 1813 sehr lange [p. 1].", pages_of(ENGLISH)), translated=True).faithfulness == 1.0


@pytest.mark.parametrize(
    ("answer", "marked"),
    [
        ("He left [p. 2].", "He left ⟦0⟧."),
        ("He left. (Page 2) She stayed [p. 1, 2].", "He left. ⟦0⟧ She stayed ⟦1,0⟧."),
        ("He left [pp. 1-2]; see Page 9.", "He left ⟦0,1⟧; see ⟦?⟧."),
        ("Er ging [Seite 2].", "Er ging ⟦0⟧."),
        ("他走了（第2页）。", "他走了⟦0⟧。"),
        ("A ⟦7⟧ trick [p. ?].", "A [7] trick ⟦?⟧."),
        ("He left [p. 2, ②].", "He left [⟦0⟧, ②]."),
        ("Section 2 of 1813.", "Section 2 of 1813."),
    ],
)
def test_every_form_of_citation_is_read(answer: str, marked: str) -> None:
    assert Cited.read(answer, pages_of(ENGLISH)).text == marked


def test_a_citation_belongs_to_its_sentence_wherever_the_full_stop_is() -> None:
    answer = (
        "One left. [p. 1] Two stayed [p. 2]. Three more\n- Four of them [p. 1]\n- [p. 2] says five. Six (Page 1) Seven went."
    )
    claims = Cited.read(answer, pages_of(ENGLISH)).claims()
    told = [(claim.text, [page.number for page in claim.pages]) for claim in claims if claim.cited]
    assert told == [("One left.", [1]), ("Two stayed.", [2]), ("Four of them", [1]), ("says five.", [2]), ("Six", [1])]


def test_texts_are_joined_with_their_pages() -> None:
    one, two = pages_of("One.", "a"), pages_of("Two.", "b")
    both = joined([Cited.read("A [p. 1].", one), Cited.read("B [p. 1].", two), Cited.read("C [p. 1].", one)])
    assert both.write(lambda page: page.source) == "A [a].\n\nB [b].\n\nC [a]."


sizes_and_marks = st.lists(st.tuples(st.integers(1, 40), st.integers(0, 2**64 - 1)), min_size=1, max_size=120)


@given(sizes_and_marks, st.integers(20, 200))
def test_groups_cover_everything_and_fit(items: list[tuple[int, int]], most: int) -> None:
    sizes, marks = [float(size) for size, _ in items], [mark for _, mark in items]
    ends = group_ends(sizes, marks, most)
    assert ends[-1] == len(items)
    for start, end in pairwise([0, *ends]):
        assert start < end
        assert end - start == 1 or sum(sizes[start:end]) <= most
    if sum(sizes) <= most:
        assert ends == [len(items)]


@given(st.integers(0, 2**32), st.integers(0, 99))
def test_an_insertion_leaves_most_groups_as_they_were(seed: int, at: int) -> None:
    source = random.Random(seed)
    marks = [source.getrandbits(64) for _ in range(200)]
    mark = source.getrandbits(64)

    def groups(marks: list[int]) -> set[tuple[int, ...]]:
        ends = group_ends([1.0] * len(marks), marks, 12)
        return {tuple(marks[a:b]) for a, b in pairwise([0, *ends])}

    assert len(groups([*marks[:at], mark, *marks[at:]]) - groups(marks)) <= 6


# -- without a model ----------------------------------------------------------------------------------------------------------


def test_the_sentence_that_the_others_echo_is_the_most_central() -> None:
    texts = ["red green blue", "red green", "green blue", "blue red", "seven unlike words", "nothing here"]
    ranks = centrality(tf_idf([text.split() for text in texts]))
    assert ranks.argmax() == 0
    assert ranks.sum() == pytest.approx(1)
    assert (ranks > 0).all()


@pytest.mark.parametrize(("text", "word"), [(ENGLISH * 3, "Collins"), (CHINESE * 3, "金箍棒"), (RUSSIAN * 3, "Татьяне")])
def test_without_a_model_sentences_are_chosen_in_any_script(text: str, word: str) -> None:
    summary = Summarizer(style="bullets").summarize(pages_of(text))
    assert word in summary.text
    assert summary.faithfulness == summary.cited == 1.0
    assert all(line.startswith("- ") and line.endswith("]") for line in summary.text.splitlines())
    assert len(set(summary.text.splitlines())) == len(summary.text.splitlines())  # nothing twice
    assert summary.usage == type(summary.usage)()


def test_without_a_model_a_question_chooses_what_bears_on_it() -> None:
    summary = Summarizer(question="How heavy is the 金箍棒?").summarize(pages_of(CHINESE))
    assert summary.text == "如意金箍棒重一万三千五百斤，乃是龙王的宝贝。 [p. 1]"
    assert Summarizer(question="Zebras?").summarize(pages_of(CHINESE)).text == ""


def test_without_a_model_headings_and_code_are_left_out() -> None:
    from glyph_integrations.sources import open_document

    code = "```\nprint('The code is not prose at all.')\n```"
    text = f"# The title of it all\n\nThe reason for it is told in this sentence.\n\n{code}\n"
    summary = Summarizer().summarize(
        Renderer().paginate(open_document(text.encode(), media_type="text/markdown"), source="a.md")
    )
    assert summary.text == "The reason for it is told in this sentence. [p. 1]"
