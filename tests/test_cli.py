"""The `glyph` command on real files: drawing, counting, indexing, and what it says to bad input."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from glyph_command import CHINESE, QUESTION, error_of, files_in, glyph, isolate, ok, write_story
from PIL import Image

from glyph_integrations import LexicalEmbedder, PageIndex, PageStyle, Renderer, VisionProfile, __version__, open_document
from glyph_integrations.cli.staging import staged


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return isolate(tmp_path, monkeypatch)


@pytest.fixture
def story(own_folder: Path) -> Path:
    return write_story(own_folder)


# -- the command itself -------------------------------------------------------------------------------------------------------


def test_help_names_every_command_and_loads_no_heavy_library() -> None:
    code = "import sys; from glyph_integrations.cli import app; app(['--help'], standalone_mode=False); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert all(name in done.stdout for name in ("demo", "ask", "index", "render", "tokens"))
    heavy = {"numpy", "PIL", "faiss", "tantivy", "torch", "openai", "langchain_core", "llama_index", "sqlite3"}
    assert not heavy & set(done.stdout.split())


def test_version_through_the_module() -> None:
    done = subprocess.run([sys.executable, "-m", "glyph_integrations", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"glyph {__version__}"


def test_every_command_explains_itself() -> None:
    for command in ("demo", "ask", "index", "render", "tokens"):
        assert "--quiet" in ok(command, "--help")


def test_demo_answers_both_questions_from_the_language_reference(own_folder: Path) -> None:
    began = time.perf_counter()
    out = ok("demo")
    assert time.perf_counter() - began < 20
    assert out.count("Ask") == 2
    assert "visual tokens for glyph" in out and "estimate" in out
    assert out.count("verified") >= 2 and "NOT VERIFIED" not in out
    assert "when the function definition is executed" in out and "NameError" in out
    pictures = list((own_folder / "glyph-demo").iterdir())
    assert len(pictures) >= 2
    assert all(str(Path("glyph-demo") / picture.name) in out for picture in pictures)
    assert "LangChain" in out and "LlamaIndex" in out


# -- render -------------------------------------------------------------------------------------------------------------------


def test_render_writes_every_page_on_the_models_grid(story: Path, own_folder: Path) -> None:
    out = ok("render", story, "-o", "pages")
    pages = list(Renderer().paginate(open_document(story)))
    files = sorted((own_folder / "pages").iterdir())
    assert [f.name for f in files] == [f"page_{n:04}.png" for n in range(1, len(pages) + 1)]
    for file, page in zip(files, pages, strict=True):
        assert file.read_bytes() == Renderer().png(page, vision="glyph")
        with Image.open(file) as image:
            assert image.width % 28 == image.height % 28 == 0
    assert f"{len(pages)} pages" in out and f"{len(story.read_text()):,} characters" in out and "text tokens (estimate" in out


def test_render_takes_a_model_a_resolution_and_a_choice_of_pages(story: Path, own_folder: Path) -> None:
    ok("render", story, "-o", "pages", "--model", "Qwen/Qwen3-VL-8B-Instruct", "--dpi", 120, "--pages", "2,4-")
    pages = list(Renderer(PageStyle.preset("glyph-96")).paginate(open_document(story)))
    assert len(pages) > 4
    assert sorted(files_in(own_folder / "pages")) == [f"page_{n:04}.png" for n in (2, *range(4, len(pages) + 1))]
    with Image.open("pages/page_0002.png") as image:
        assert image.width % 32 == image.height % 32 == 0
        assert image.width >= 588 * 120 / 72


def test_render_with_several_processes_writes_the_same_files(story: Path, own_folder: Path) -> None:
    for folder, jobs in (("one", "1"), ("two", "2")):
        ok("render", story, "-o", folder, "--jobs", jobs)
    one, two = ({file.name: file.read_bytes() for file in (own_folder / name).iterdir()} for name in ("one", "two"))
    assert one == two
    assert one


def test_render_pads_numbers_so_that_names_sort(own_folder: Path) -> None:
    (own_folder / "long.txt").write_text("line\n" * 10_001)
    ok("render", "long.txt", "-o", "out", "--style", "glyph-72;width=60;height=30", "--pages", "1-2,9999-")
    names = sorted(files_in(own_folder / "out"))
    assert names[:2] == ["page_00001.png", "page_00002.png"]
    assert [int(name[5:-4]) for name in names] == sorted(int(name[5:-4]) for name in names)


@pytest.mark.parametrize("pages", ["0", "7-3", "9999", "two", "1--2", "", "-", "3 4"])
def test_render_refuses_pages_that_are_not_there(story: Path, own_folder: Path, pages: str) -> None:
    result = glyph("render", story, "-o", "out", f"--pages={pages}")
    assert result.exit_code == 2
    assert "--pages" in result.stderr
    assert files_in(own_folder) == {"story.txt"}


def test_render_replaces_its_own_files_and_mentions_others(story: Path, own_folder: Path) -> None:
    folder = own_folder / "pages"
    folder.mkdir()
    (folder / "page_0001.png").write_text("old")
    (folder / "page_9999.png").write_text("another run's")
    (folder / "notes.md").write_text("mine")
    result = glyph("render", story, "-o", folder)
    assert (folder / "page_0001.png").read_bytes().startswith(b"\x89PNG")
    assert (folder / "page_9999.png").read_text() == "another run's"
    assert (folder / "notes.md").read_text() == "mine"
    assert "1 page_*.png files that this run did not write" in result.stderr


def test_render_that_fails_leaves_nothing(story: Path, own_folder: Path) -> None:
    big = "glyph-72;width=10000;height=10000;font_size=2;line_height=2000"
    assert "line_height" in error_of("render", story, "-o", "deep/out", "--style", big)
    big = "glyph-72;width=10000;height=10000;line_height=200"
    assert "too large" in error_of("render", story, "-o", "deep/out", "--style", big, "--dpi", 600)  # while drawing
    assert files_in(own_folder) == {"story.txt"}


def test_a_stage_that_is_interrupted_keeps_the_old_files(own_folder: Path) -> None:
    (own_folder / "a.png").write_text("old")
    with pytest.raises(KeyboardInterrupt), staged(own_folder) as stage:  # noqa: PT012
        (stage / "a.png").write_text("new")
        raise KeyboardInterrupt
    assert files_in(own_folder) == {"a.png"}
    assert (own_folder / "a.png").read_text() == "old"


def test_styles_come_by_name_from_a_saved_file_and_from_a_glyph_config(story: Path, own_folder: Path) -> None:
    style = PageStyle(font_size=12, line_height=14)
    style.save("mine.json")
    Path("official.json").write_text(json.dumps({"page-size": "400,500", "dpi": 72, "font-size": 9, "alignment": "LEFT"}))
    ok("render", story, "-o", "a", "--style", "glyph-72;font_size=12;line_height=14", "--pages", 1)
    ok("render", story, "-o", "b", "--style", "mine.json", "--pages", 1)
    ok("render", story, "-o", "c", "--style", "official.json", "--pages", 1)
    assert Path("a/page_0001.png").read_bytes() == Path("b/page_0001.png").read_bytes()
    with Image.open("c/page_0001.png") as image:
        assert image.width == 28 * -(-400 // 28)


def test_characters_without_a_font_are_named(own_folder: Path) -> None:
    Path("odd.txt").write_text("A letter of no script: \U0003fffd.", encoding="utf-8")
    assert "no font here has 1 character of the text, drawn as codes: U+3FFFD" in glyph("render", "odd.txt", "-o", "out").stderr


# -- tokens -------------------------------------------------------------------------------------------------------------------


def test_tokens_compares_every_family(story: Path) -> None:
    out = ok("tokens", story)
    rows = {cells[0]: cells for line in out.splitlines() if len(cells := line.split()) > 5}
    for vision in VisionProfile.known():
        renderer = Renderer(PageStyle.preset(vision.style))
        pages = list(renderer.paginate(open_document(story)))
        visual = sum(vision.count(*renderer.size(page, vision=vision)) for page in pages)
        _, style, text, count, cost, ratio, *_ = rows[vision.name]
        assert (style, int(count), int(cost.replace(",", ""))) == (vision.style, len(pages), visual)
        assert float(ratio) == pytest.approx(int(text.replace(",", "")) / visual, abs=0.006)


# -- index --------------------------------------------------------------------------------------------------------------------


def row(out: str, document: str) -> list[int]:
    """Pages, added, unchanged, dropped."""
    line = next(line for line in out.splitlines() if line.split()[:1] == [document])
    return [int(cell) for cell in line.split()[1:]]


def test_index_adds_once_and_replaces_only_pages_that_changed(story: Path, own_folder: Path) -> None:
    count = row(ok("index", story, "--index", "idx"), "story.txt")[0]
    assert row(ok("index", story, "--index", "idx"), "story.txt") == [count, 0, count, 0]
    story.write_text(story.read_text().replace("Alasdair", "Iain"))
    pages, added, kept, dropped = row(ok("index", story, "--index", "idx"), "story.txt")
    assert 1 <= added == dropped <= 3
    assert added + kept == pages == count
    with PageIndex.open("idx") as index:
        text = "".join(page.text for page in sorted(index, key=lambda page: page.number))
    assert text == story.read_text()


def test_index_reads_folders_and_names_what_it_skips(own_folder: Path) -> None:
    docs = own_folder / "docs"
    (docs / "deep").mkdir(parents=True)
    (docs / "a.md").write_text("# Apples\n")
    (docs / "deep" / "b.txt").write_text("Pears\n")
    (docs / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (docs / "empty.txt").write_text("")
    result = glyph("index", docs, "--index", docs / "idx")  # inside the folder: the index does not index itself
    assert result.exit_code == 0, result.output
    result = glyph("index", docs, "--index", docs / "idx")
    assert row(result.stdout, "a.md") == row(result.stdout, "deep/b.txt") == [1, 0, 1, 0]
    assert row(result.stdout, "all") == [2, 0, 2, 0]
    assert "picture.png is a PNG picture" in result.stderr and "empty.txt is empty" in result.stderr


def test_index_writes_nothing_when_a_named_file_is_bad(story: Path, own_folder: Path) -> None:
    (own_folder / "empty.txt").write_text("")
    assert "empty.txt is empty" in error_of("index", story, "empty.txt", "--index", "idx")
    assert "nowhere.txt does not exist" in error_of("index", story, "nowhere.txt", "--index", "idx")
    assert files_in(own_folder) == {"story.txt", "empty.txt"}


def test_index_refuses_two_files_of_one_name(own_folder: Path) -> None:
    for folder in ("a", "b"):
        Path(folder).mkdir()
        Path(folder, "readme.md").write_text(folder)
    assert "readme.md" in error_of("index", "a/readme.md", "b/readme.md", "--index", "idx")
    assert not Path("idx").exists()
    assert row(ok("index", ".", "--index", "idx"), "all") == [2, 2, 0, 0]


# -- bad input ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["ask", "render", "index", "tokens"])
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b" \n\t\n", "only white space"),
        ("\u200b\u200b".encode(), "no visible characters"),
        (b"\x7fELF\x02\x01\x01\x00", "a program"),
        (b"%PDF-1.7\n", "a PDF file"),
        (b"text\x00text", "binary"),
        (b"first line\nsecond \xff line\n", "byte 18 (line 2)"),
        (None, "does not exist"),
    ],
)
def test_a_bad_file_is_one_line_and_nothing_is_written(
    own_folder: Path, command: str, content: bytes | None, said: str
) -> None:
    if content is not None:
        Path("bad.txt").write_bytes(content)
    options = {"ask": [QUESTION], "render": ["-o", "out"], "index": ["--index", "idx"], "tokens": []}[command]
    assert said in error_of(command, "bad.txt", *options)
    assert files_in(own_folder) <= {"bad.txt"}


def test_a_folder_that_is_no_index_says_how_to_make_one(own_folder: Path) -> None:
    Path("docs").mkdir()
    assert "glyph index docs" in error_of("ask", "docs", QUESTION)
    assert files_in(own_folder) == {"docs"}


def test_an_index_made_by_another_embedder_is_only_read_and_by_words(story: Path, own_folder: Path) -> None:
    class Renamed(LexicalEmbedder):
        name = "another"

    with PageIndex.open("idx", embedder=Renamed()) as index:
        index.add(Renderer().paginate(open_document(story)))
    before = {path: path.stat().st_size for path in Path("idx").rglob("*")}
    asked, added = glyph("ask", "idx", QUESTION), glyph("index", story, "--index", "idx")
    assert asked.exit_code == 0 and "Mackinnon" in asked.stdout and "words alone" in asked.stderr and "another" in asked.stderr
    assert added.exit_code == 2 and "another" in added.stderr
    assert {path: path.stat().st_size for path in Path("idx").rglob("*")} == before


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["render", "story.txt", "-o", "out", "--style", "fancy"], "known: glyph-72"),
        (["render", "story.txt", "-o", "out", "--style", "none.json"], "none.json"),
        (["render", "story.txt", "-o", "out", "--model", "gpt-2"], "gpt-2"),
        (["render", "story.txt", "-o", "story.txt"], "story.txt"),
        (["render", "story.txt", "-o", "story.txt/below"], "story.txt"),
        (["ask", "story.txt", QUESTION, "-o", "story.txt"], "story.txt"),
        (["ask", "story.txt", QUESTION, "--model", "gpt-2"], "gpt-2"),
        (["index", "story.txt", "--index", "story.txt"], "story.txt"),
        (["tokens", "story.txt", "--tokenizer", "story.txt"], "story.txt"),
    ],
)
def test_a_bad_option_is_one_line_and_nothing_is_written(
    story: Path, own_folder: Path, arguments: list[str], said: str
) -> None:
    before = story.read_bytes()
    assert said in error_of(*arguments)
    assert files_in(own_folder) == {"story.txt"}
    assert story.read_bytes() == before


@pytest.mark.parametrize(
    "arguments", [["ask", "story.txt", "  "], ["ask", "story.txt", "Who?", "--base-url", "http://127.0.0.1:1"]]
)
def test_wrong_usage_ends_with_code_two(story: Path, arguments: list[str]) -> None:
    result = glyph(*arguments)
    assert result.exit_code == 2
    assert result.stderr


def test_a_traceback_only_when_debugging(own_folder: Path) -> None:
    command = [sys.executable, "-m", "glyph_integrations", "tokens", "nowhere.txt"]
    plain = subprocess.run(command, capture_output=True, text=True)
    debug = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "GLYPH_DEBUG": "1"})
    assert plain.returncode == 1 and plain.stderr == "error: nowhere.txt does not exist; check the path\n"
    assert debug.returncode == 1 and "Traceback" in debug.stderr and "DocumentError" in debug.stderr


def test_output_that_the_terminal_cannot_encode_is_no_crash(own_folder: Path) -> None:
    Path("书.txt").write_text(CHINESE, encoding="utf-8")
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    command = [sys.executable, "-m", "glyph_integrations", "ask", "书.txt", "金箍棒有多重？"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert re.search(r"^  \d+:\d+  verified", done.stdout, re.M)


# -- texts of another encoding ------------------------------------------------------------------------------------------------


def test_an_encoding_is_named_for_every_command_that_opens_texts(own_folder: Path) -> None:
    (docs := own_folder / "docs").mkdir()
    told = "红楼梦第一回，甄士隐梦幻识通灵。\n\n" * 30
    (docs / "old.txt").write_bytes(told.encode("gb18030"))
    (docs / "new.txt").write_text(told + "贾雨村风尘怀闺秀。", encoding="utf-8")
    old, named = docs / "old.txt", ("--encoding", "gb18030")
    assert "is not utf-8 text" in (refusal := error_of("ask", old, "甄士隐")) and "--encoding" in refusal
    assert "甄士隐" in ok("ask", old, "甄士隐", *named)
    assert "1 document" in ok("summarize", docs) and "2 documents" in ok("summarize", docs, *named)
    assert "old.txt" in ok("tokens", old, *named)
    ok("render", old, "-o", "drawn", *named)
    assert files_in(own_folder / "drawn")
    ok("fonts", old, *named)
    ok("index", docs, "-i", "idx", *named)
    ok("export-pairs", docs, "-o", "pairs", "--style", "glyph-72", *named)
    with PageIndex.open("idx") as index:
        assert set(index.sources()) == {"new.txt", "old.txt"}
        assert all("甄士隐" in page.text for page in index)
    assert len((own_folder / "pairs" / "shard-00000" / "pairs.jsonl").read_text(encoding="utf-8").split("old.txt")) > 1
