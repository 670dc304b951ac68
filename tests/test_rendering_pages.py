"""Page ends, newlines, odd input, and what comes out of `Renderer`."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from PIL import Image
from rendering_cases import MORE, SMALL, renderers, texts

from glyph_integrations.errors import StyleError
from glyph_integrations.rendering import Renderer, highlight, png_in_parallel
from glyph_integrations.rendering.page_ends import group_lines
from glyph_integrations.rendering.raster import decode
from glyph_integrations.style import PageStyle


@pytest.fixture(scope="module")
def novel(corpora) -> str:
    return (corpora / "texts" / "pride_and_prejudice.txt").read_text(encoding="utf-8")


# -- page ends ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["call_of_the_wild.txt", "xiyouji_ch1-20.txt"])
def test_one_inserted_sentence_changes_at_most_3_pages(corpora, name: str) -> None:
    text = (corpora / "texts" / name).read_text(encoding="utf-8")[:120_000]
    renderer, chance = Renderer(), random.Random(7)
    before = {page.id for page in renderer.paginate(text, name)}
    stop = "。" if "xiyou" in name else ". "
    for _ in range(25):
        at = text.find(stop, chance.randrange(100_000)) + len(stop)
        sentence = (
            "".join(
                chance.choice(["甲乙", "丙丁"] if stop == "。" else ["some ", "more ", "words "])
                for _ in range(chance.randint(3, 25))
            )
            + stop
        )
        changed = [page for page in renderer.paginate(text[:at] + sentence + text[at:], name) if page.id not in before]
        assert 1 <= len(changed) <= 3


def test_pages_after_an_inserted_chapter_are_the_same_again(corpora) -> None:
    text = (corpora / "texts" / "pride_and_prejudice.txt").read_text(encoding="utf-8")[:300_000]
    renderer = Renderer()
    before = {page.id for page in renderer.paginate(text)}
    for lines in (7, 23, 41, 60):
        at = text.index("\n\n", 60_000) + 2
        more = "\n\n".join(f"Paragraph {n} of a chapter that was not there." for n in range(lines)) + "\n\n"
        changed = [page for page in renderer.paginate(text[:at] + more + text[at:]) if page.id not in before]
        assert len(changed) <= 3 + 2 * lines * 2 // renderer.lines_per_page


def test_a_form_feed_ends_a_page() -> None:
    pages = list(Renderer().paginate("first page\n\fsecond page\f\n\nthird"))
    assert [p.text.strip() for p in pages] == ["first page", "second page", "third"]


def test_equal_pages_of_a_document_have_ids_of_their_own() -> None:
    pages = list(Renderer(SMALL).paginate("\f".join(["the same words"] * 3), "doc"))
    assert len({p.id for p in pages}) == 3
    assert [p.ordinal for p in pages] == [0, 1, 0]  # the last one ends without a form feed
    assert len({p.content_hash for p in pages}) == 2


def test_page_ends_take_lines_one_at_a_time() -> None:
    taken = 0

    def lines():  # type: ignore[no-untyped-def]
        nonlocal taken
        from glyph_integrations.rendering.layout import LaidLine

        while True:
            taken += 1
            yield LaidLine(taken * 10, ((taken * 10, taken * 10 + 9, 0, 5, 0),), 2)

    next(group_lines(lines(), "x" * 100_000, 82))
    assert taken < 82 * 4


# -- newlines -----------------------------------------------------------------------------------------------------------------


def test_hard_wrapped_text_is_reflowed_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    import textwrap

    paragraph = (
        "It was the best of times, it was the worst of times, it was the age of wisdom, it was the age of foolishness. " * 4
    )
    text = "\n\n".join(textwrap.fill(paragraph, 72) for _ in range(5))
    with caplog.at_level("INFO", logger="glyph_integrations"):
        pages = list(Renderer().paginate(text, "tale.txt"))
    assert {p.style.newline for p in pages} == {"reflow"}
    assert "tale.txt was wrapped by hand" in caplog.text
    kept = list(Renderer(PageStyle(newline="keep")).paginate(text, "tale.txt"))
    assert sum(len(p.lines) for p in pages) < sum(len(p.lines) for p in kept)


def test_tables_and_definitions_within_wrapped_text_keep_their_lines() -> None:
    import textwrap

    prose = "\n\n".join(
        textwrap.fill("It was the best of times, it was the worst of times, and we had it all before us. " * 5, 72)
        for _ in range(5)
    )
    table = (
        '   decorator                 ::= "@" assignment_expression NEWLINE\n'
        '   parameter_list            ::= defparameter ("," defparameter)* ","\n'
        "                                 | parameter_list_without_positional_only\n"
        "   parameter                 ::= identifier"
    )
    (page,) = Renderer().paginate(f"{prose}\n\n{table}")
    assert page.style.newline == "reflow"
    drawn = [page.text[line[0].start : line[-1].end].strip() for line in page.lines if line]
    assert drawn[-4:] == [row.strip() for row in table.splitlines()]
    first, *rest = textwrap.wrap(
        "The first line of a paragraph is set in, as books have it, and goes on at the margin. " * 3, 72, initial_indent="     "
    )
    (page,) = Renderer().paginate("\n".join([first, *rest, "", prose]))
    assert page.lines[0][-1].end > len(first)


@pytest.mark.parametrize(
    "rows",
    [
        "Middleware: Components that Play Both Sides\n===========================================",
        "   +-------------------------------+-------------------------------+\n"
        "   |          Source Port          |       Destination Port        |\n"
        "   +-------------------------------+-------------------------------+",
        "Network Working Group                                        J. Postel\n"
        "Request for Comments: 793                                           ISI",
        "lamp\t12\tthe best lamp that there is on the island of Amrum, and beyond it\noil\t3\tno",
        "Subject: Re: the lighthouse and everything that belongs to it, once more\nDate: Mon, 1 Dec 2025 10:00:00 +0100",
        "> we had everything before us, we had nothing before us, said the\n> letter",
        "$ cd /usr/share/lighthouse/and/some/long/path/that/fills/the/line/wholly\n$ make",
        "| a cell that goes on until the margin of this text is there now | d |\n| next | e |",
    ],
    ids=["underlined heading", "packet", "letterhead", "tabs", "mail headers", "quoted", "commands", "bars"],
)
def test_what_stands_on_lines_of_its_own_keeps_them_within_wrapped_text(rows: str) -> None:
    import textwrap

    prose = textwrap.fill("It was the best of times, it was the worst of times, and we had it all before us. " * 20, 72)
    (page,) = Renderer().paginate(f"{prose}\n\n{rows}\n\n{prose}")
    assert page.style.newline == "reflow"
    drawn = [page.text[line[0].start : line[-1].end].strip() for line in page.lines if line]
    own = [row.strip() for row in rows.splitlines()]
    assert any(drawn[at : at + len(own)] == own for at in range(len(drawn)))


def test_what_a_letter_quotes_does_not_keep_its_own_text_from_being_reflowed() -> None:
    import textwrap

    sentence = "It was the best of times, it was the worst of times, and we had it all before us. "
    quoted = textwrap.fill(sentence * 20, 64, initial_indent="> ", subsequent_indent="> ")
    (page,) = Renderer().paginate(f"{textwrap.fill(sentence * 12, 72)}\n\n{quoted}")
    assert page.style.newline == "reflow"


def test_source_code_is_not_reflowed() -> None:
    import argparse
    import inspect

    page = next(iter(Renderer().paginate(inspect.getsource(argparse))))
    assert page.style.newline == "keep"


def test_marked_newlines_save_lines_and_show_where_they_were() -> None:
    text = "\n".join(f"line {n}" for n in range(60))
    (marked,) = Renderer(PageStyle(newline="marked")).paginate(text)
    (kept,) = Renderer(PageStyle(newline="keep")).paginate(text)
    assert len(marked.lines) < len(kept.lines) / 5
    assert marked.text == text


def test_lines_break_as_unicode_says() -> None:
    renderer = Renderer(PageStyle(width=60, height=200))
    lines = [
        page.line_text(n)
        for page in renderer.paginate("well-known things (here) “so” 3.14")
        for n in range(1, len(page.lines) + 1)
    ]
    assert all(not line.startswith((")", "”", "-", ".")) for line in lines)
    assert all(not line.endswith(("(", "“")) for line in lines)


# -- odd input ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["", " ", "\n\n\n", "\f\f", "\t \r\n", "\u200b\u200b"])
def test_text_without_ink_has_no_pages(text: str) -> None:
    assert list(Renderer().paginate(text)) == []


def test_a_long_word_and_a_letter_under_ten_thousand_marks_end() -> None:
    pages = list(Renderer().paginate("x" * 50_000))
    assert "".join(p.text for p in pages) == "x" * 50_000
    pages = list(Renderer().paginate("a" + "\u0301" * 10_000 + " end"))
    assert sum(len(p.text) for p in pages) == 10_005
    Renderer().pixels(pages[0])


def test_no_line_grows_without_bound() -> None:
    text = "x" + "\u200b" * 10_000 + "y z"
    lines = [line for page in Renderer().paginate(text) for line in page.lines]
    assert max(f.end - f.start for line in lines for f in line) <= 4096


def test_a_document_of_one_line_and_of_identical_lines() -> None:
    text = "no newline in here at all " * 20_000
    pages = list(Renderer().paginate(text))
    assert "".join(p.text for p in pages) == text
    pages = list(Renderer().paginate("same\n" * 1000))
    assert len(pages) <= 1000 // 82 + 2


@pytest.mark.parametrize("dpi", [0, -5, 17, 5000])
def test_absurd_resolutions_are_refused(dpi: int) -> None:
    (page,) = Renderer().paginate("x")
    with pytest.raises(StyleError, match="dpi"):
        Renderer().draw(page, dpi=dpi)


def test_a_picture_too_large_is_refused() -> None:
    renderer = Renderer(PageStyle(width=10_000, height=10_000, font_size=400, line_height=500))
    page = next(iter(renderer.paginate("x\n" * 20)))
    with pytest.raises(StyleError, match="pixels"):
        renderer.draw(page, dpi=600)


def test_a_font_that_is_not_one_is_refused(tmp_path) -> None:  # type: ignore[no-untyped-def]
    bad = tmp_path / "bad.ttf"
    bad.write_bytes(b"not a font")
    with pytest.raises(StyleError, match=r"bad\.ttf"):
        Renderer(PageStyle(font=str(bad)))
    with pytest.raises(StyleError, match="does not exist"):
        Renderer(PageStyle(font=str(tmp_path / "none.ttf")))


# -- output -------------------------------------------------------------------------------------------------------------------


@settings(max_examples=60 * MORE, deadline=None)
@given(texts, renderers)
def test_png_holds_exactly_the_pixels(text: str, renderer: Renderer) -> None:
    for page in renderer.paginate(text):
        read = np.asarray(Image.open(BytesIO(renderer.png(page))).convert("L"))
        assert np.array_equal(read, renderer.pixels(page))


def test_png_of_a_full_page_is_small(novel: str) -> None:
    pages = list(Renderer().paginate(novel[:100_000]))
    assert max(len(Renderer().png(p)) for p in pages) < 55_000


def test_several_processes_draw_the_same_pages_in_order() -> None:
    renderer = Renderer(SMALL)
    pages = list(renderer.paginate("some words of a longer text " * 300))
    alone = [renderer.png(page, 96) for page in pages]
    assert list(png_in_parallel(renderer, iter(pages), 96, processes=2)) == alone
    assert list(png_in_parallel(renderer, pages, 96, processes=1)) == alone


KILLED = """
import multiprocessing, os, signal
from glyph_integrations import Renderer
from glyph_integrations.rendering import png_in_parallel

if __name__ == "__main__":
    drawn = png_in_parallel(Renderer(), Renderer().paginate("A word. " * 90_000), processes=2)
    next(drawn)
    print(*(process.pid for process in multiprocessing.active_children()), flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
def test_workers_end_with_the_process_that_was_killed(tmp_path: Path) -> None:
    (script := tmp_path / "killed.py").write_text(KILLED, encoding="utf-8")
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True)
    workers = [int(pid) for pid in done.stdout.split()]
    assert done.returncode == -9 and len(workers) == 2

    def alive(pid: int) -> bool:
        try:
            return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
        except OSError:
            return False

    deadline = time.monotonic() + 20
    while any(map(alive, workers)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(alive, workers))


def test_boxes_cover_the_ink_of_their_characters() -> None:
    renderer = Renderer(PageStyle(width=200, height=200))
    (page,) = renderer.paginate("some words before the cited words and some after them, so that lines break")
    start = page.text.index("cited")
    boxes = renderer.boxes(page, start, start + len("cited words"))
    assert [line for line, _ in boxes] == sorted({page.line_of(start), page.line_of(start + 8)})
    for dpi in (72, 120):
        image = renderer.pixels(page, dpi=dpi)
        for _, box in renderer.boxes(page, start, start + 11, dpi=dpi):
            assert (image[box.top : box.bottom, box.left : box.right] < 128).any()
            assert 0 <= box.left < box.right <= image.shape[1]


def test_highlight_marks_boxes_and_keeps_the_ink() -> None:
    renderer = Renderer(SMALL)
    (page,) = renderer.paginate("mark these words please")
    boxes = [box for _, box in renderer.boxes(page, 5, 10)]
    image = highlight(renderer.draw(page), boxes)
    before, after = np.asarray(renderer.draw(page)), np.asarray(image)
    box = boxes[0]
    assert image.mode == "RGB"
    assert (after[box.top : box.bottom, box.left : box.right, 2] < 255).all()
    assert (after[before == 0].max(axis=-1) == 0).all()


def test_decode_keeps_lone_surrogates() -> None:
    assert decode("a\ud800b").tolist() == [0x61, 0xD800, 0x62]


@pytest.mark.parametrize(
    "row",
    [
        "Line {n:03} tells of rain in town {n:03} and more.\n",
        "{n:03},alpha,beta,gamma,delta delta,{n:03}\n",
        "2026-11-{n:03} INFO ready\n",
    ],
)
def test_records_of_equal_length_are_not_taken_for_wrapped_prose(row: str) -> None:
    text = "".join(row.format(n=n) for n in range(300))
    page = next(iter(Renderer().paginate(text)))
    assert page.style.newline == "keep" and len(page.lines) == page.text.count("\n")


def test_wrapped_text_of_a_script_without_capitals_is_reflowed() -> None:
    import textwrap

    sentence = "وقد وهبوا عقلا وضميرا وعليهم أن يعامل بعضهم بعضا بروح الإخاء ولكل إنسان حق التمتع بكافة الحقوق والحريات. "
    text = "\n\n".join(textwrap.fill(sentence * 5, 60) for _ in range(4))
    assert next(iter(Renderer().paginate(text))).style.newline == "reflow"
