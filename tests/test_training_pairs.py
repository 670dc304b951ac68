"""Training pairs: what stands on the page, in shards that are whole or not there, the same each time."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from glyph_command import CHINESE, error_of, files_in, glyph, isolate, ok
from hypothesis import given, settings
from hypothesis import strategies as st
from pdf_files import pages_pdf, show
from PIL import Image

from glyph_integrations import PageStyle, Renderer, VisionProfile, export_pairs
from glyph_integrations.errors import DocumentError, StyleError
from glyph_integrations.tuning.pair_tasks import TEMPLATES, checked_templates, exchanges, page_text
from glyph_integrations.tuning.shards import Manifest, verify_pairs

STYLES = ["glyph-72;height=120", "glyph-96;height=120"]
STORY = "".join(
    f"Chapter {n}\n\nThe keeper of lamp {n} wrote a line into the log of his tower every night. "
    f"He counted {n + 40} ships before the winter storm came over the island. Nobody believed the number {n * 7}.\n\n"
    for n in range(1, 25)
)


@pytest.fixture
def documents(tmp_path: Path) -> Path:
    folder = tmp_path / "documents"
    (folder / "deep").mkdir(parents=True)
    (folder / "story.txt").write_text(STORY, encoding="utf-8")
    (folder / "deep" / "note.md").write_text("# Note\n\nThe **amber** room has nineteen windows. " * 30, encoding="utf-8")
    (folder / "monkey.txt").write_text(CHINESE[:900], encoding="utf-8")
    (folder / "marks.txt").write_text("Put <image> where the picture goes. " * 20, encoding="utf-8")
    (folder / "zeros.bin").write_bytes(bytes(100))
    return folder


def rows_of(folder: Path) -> list[dict[str, Any]]:
    return [
        json.loads(line) for file in sorted(folder.glob("shard-*/pairs.jsonl")) for line in file.read_text("utf-8").splitlines()
    ]


def contents(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in files_in(folder) if (folder / name).is_file()}


def test_rows_hold_a_picture_the_text_and_tasks_that_the_page_answers(documents: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    manifest = export_pairs([documents], out, styles=STYLES, shard=7)
    rows = rows_of(out)
    assert manifest.complete and manifest.pairs == len(rows) == sum(shard.pairs for shard in manifest.shards)
    assert [row["id"] for row in rows] == [f"{n:08}" for n in range(len(rows))]
    assert {row["source"] for row in rows} == {"story.txt", "deep/note.md", "monkey.txt"}
    assert sum(shard.skipped for shard in manifest.shards) >= 1  # the text that trainers would take for a mark
    assert {re.sub(r";newline=.*", "", row["style"]) for row in rows} == set(STYLES)
    kinds = set()
    for row in rows:
        first, *others = [turn["value"] for turn in row["conversations"] if turn["from"] == "human"]
        assert first.startswith("<image>\n") and not any("<image>" in value for value in others)
        with Image.open(out / row["images"][0]) as image:
            assert image.height > 20
        text = "".join(row["text"].split())
        answers = [turn["value"] for turn in row["conversations"] if turn["from"] == "gpt"]
        for task, answer in zip(row["tasks"], answers, strict=True):
            assert "".join(answer.split()) in text and "**" not in answer, task
            kinds.add(task)
    assert kinds == set(TEMPLATES)
    whole = "".join(row["text"] for row in rows if row["source"] == "story.txt" and row["style"].startswith(STYLES[0]))
    assert "".join(whole.split()) == "".join(STORY.split())


@settings(max_examples=25)
@given(st.integers(0, 10**6), st.sampled_from([STORY, CHINESE]))
def test_questions_tell_no_answer(seed: int, text: str) -> None:
    page = next(Renderer(PageStyle(height=160)).paginate(text))
    made = exchanges(page, TEMPLATES, seed)
    assert made == exchanges(page, TEMPLATES, seed)
    assert made[0].answer == page_text(page)
    for task, question, answer in made[1:]:
        assert answer and answer not in question, task
        if task == "missing":
            assert question.count("____") == 1
            sentence = re.search("“(.*)”", question, re.S)
            assert sentence and sentence[1].replace("____", answer) in " ".join(page.text.split())


@pytest.mark.parametrize("format", ["sharegpt", "webdataset"])
def test_equal_arguments_make_equal_files_and_seeds_differ(documents: Path, tmp_path: Path, format: Any) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        export_pairs([documents / "story.txt"], tmp_path / name, format, styles=STYLES, shard=9, seed=seed)
        assert verify_pairs(tmp_path / name) == []
    a, b, c = (contents(tmp_path / name) for name in "abc")
    assert a == b and a.keys() == c.keys() and a != c


def test_tar_shards_hold_samples_that_a_reader_of_webdataset_groups(documents: Path, tmp_path: Path) -> None:
    manifest = export_pairs([documents], tmp_path / "out", "webdataset", styles=STYLES[:1], shard=10, vision="glyph")
    grid = VisionProfile.get("glyph").grid
    keys = []
    for shard in manifest.shards:
        with tarfile.open(tmp_path / "out" / shard.name) as tar:
            members = tar.getmembers()
            assert all((m.mtime, m.uid, m.gid, m.uname) == (0, 0, 0, "") for m in members)
            for png, values, text in zip(*[iter(members)] * 3, strict=True):
                key, _, ending = png.name.partition(".")
                assert (ending, values.name, text.name) == ("png", f"{key}.json", f"{key}.txt")
                keys.append(key)
                image = Image.open(BytesIO(tar.extractfile(png).read()))  # type: ignore[union-attr]
                assert image.width % grid == image.height % grid == 0
                row = json.load(tar.extractfile(values))  # type: ignore[arg-type]
                assert row["conversations"][1]["value"] == tar.extractfile(text).read().decode()  # type: ignore[union-attr]
    assert keys == [f"{n:08}" for n in range(manifest.pairs)]


def test_every_page_that_is_passed_over_is_counted(tmp_path: Path) -> None:
    words = show("The keeper of the lamp wrote a line into his log every night of that winter.")
    (tmp_path / "a.pdf").write_bytes(pages_pdf([words, b"1 0 0 rg 0 0 99 99 re f", words, b"", b""]))
    for shard in (1, 2, 3):
        manifest = export_pairs([tmp_path / "a.pdf"], tmp_path / f"out{shard}", shard=shard)
        assert (manifest.pairs, sum(made.skipped for made in manifest.shards)) == (2, 3)
        assert Manifest.read(tmp_path / f"out{shard}") == manifest and verify_pairs(tmp_path / f"out{shard}") == []


def test_a_beginning_that_is_asked_about_has_one_end() -> None:
    text = "".join(f"The keeper of the northern tower saw {number} ships. " for number in range(20, 40))
    text += "Everybody else on the island had gone to sleep by then."
    page = next(Renderer(PageStyle()).paginate(text, source="ships.txt"))
    found = [made for seed in range(30) for made in exchanges(page, TEMPLATES, seed) if made.task == "complete"]
    assert found and {made.answer for made in found} == {"island had gone to sleep by then."}


@pytest.mark.parametrize("format", ["sharegpt", "webdataset"])
def test_an_interrupted_export_goes_on_and_ends_the_same(documents: Path, tmp_path: Path, format: Any) -> None:
    export_pairs([documents], tmp_path / "whole", format, styles=STYLES, shard=5)

    class Stop(Exception):
        pass

    def stop_at(limit: int) -> Any:
        def told(_: str, pairs: int) -> None:
            if pairs == limit:
                raise Stop

        return told

    out = tmp_path / "out"
    for limit in (3, 5, 12, 23):
        with pytest.raises(Stop):
            export_pairs([documents], out, format, styles=STYLES, shard=5, told=stop_at(limit))
        assert not [path for path in out.iterdir() if path.name.startswith(".")]
        assert verify_pairs(out) == ["the export is not complete: run it again to go on"]
    export_pairs([documents], out, format, styles=STYLES, shard=5)
    assert contents(out) == contents(tmp_path / "whole")
    before = {file: file.stat().st_mtime_ns for file in out.rglob("*")}
    export_pairs([documents], out, format, styles=STYLES, shard=5)
    assert before == {file: file.stat().st_mtime_ns for file in out.rglob("*")}  # complete: nothing is done


@pytest.mark.slow
@pytest.mark.parametrize("format", ["sharegpt", "webdataset"])
def test_an_export_survives_kill(documents: Path, tmp_path: Path, format: str) -> None:
    (documents / "long.txt").write_text(STORY * 20, encoding="utf-8")
    command = ["export-pairs", documents, "--format", format, "--shard", "20", "-q", "-s", STYLES[0], "-o"]
    ok(*command, tmp_path / "whole")
    out = tmp_path / "out"
    for wanted in (1, 3):
        process = subprocess.Popen([sys.executable, "-m", "glyph_integrations", *map(str, [*command, out])])
        while process.poll() is None and len(list(out.glob("shard-*"))) < wanted:
            time.sleep(0.005)
        os.kill(process.pid, signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    assert "not complete" in glyph("export-pairs", "--verify", "-o", out).stdout
    assert "pages in" in ok(*command, out)
    assert contents(out) == contents(tmp_path / "whole")
    assert "every checksum is right" in ok("export-pairs", "--verify", "-o", out)


@pytest.mark.parametrize("format", ["sharegpt", "webdataset"])
def test_damage_is_found(documents: Path, tmp_path: Path, format: Any) -> None:
    out = tmp_path / "out"
    export_pairs([documents], out, format, styles=STYLES[:1], shard=8)
    victim = max((file for file in out.glob("shard-*/*.png" if format == "sharegpt" else "shard-*.tar")), key=str)
    data = bytearray(victim.read_bytes())
    data[len(data) // 2] ^= 1
    victim.write_bytes(data)
    (problem,) = verify_pairs(out)
    assert (victim.name if format == "webdataset" else victim.parent.name) in problem
    assert victim.name in problem
    victim.unlink()
    assert len(verify_pairs(out)) == 1


@pytest.mark.parametrize("format", ["sharegpt", "webdataset"])
def test_shards_that_are_gone_or_cut_short_are_made_again(documents: Path, tmp_path: Path, format: Any) -> None:
    out = tmp_path / "out"
    manifest = export_pairs([documents], out, format, styles=STYLES, shard=5)
    before = contents(out)
    second = out / manifest.shards[1].name
    victim = second / "pairs.jsonl" if format == "sharegpt" else second
    os.truncate(victim, 10)
    assert export_pairs([documents], out, format, styles=STYLES, shard=5) == manifest and contents(out) == before
    last = out / manifest.shards[-1].name
    shutil.rmtree(last) if format == "sharegpt" else last.unlink()
    assert export_pairs([documents], out, format, styles=STYLES, shard=5) == manifest and contents(out) == before


def test_an_export_below_its_documents_goes_on_too(documents: Path, tmp_path: Path) -> None:
    inside = documents / "pairs"
    manifest = export_pairs([documents], inside, styles=STYLES[:1])
    before = contents(inside)
    for where in (documents, documents / "**" / "*"):
        assert export_pairs([where], inside, styles=STYLES[:1]) == manifest and contents(inside) == before


def test_one_export_at_a_time_writes_to_a_folder(documents: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"

    def told(_: str, pairs: int) -> None:
        if pairs == 7:
            with pytest.raises(DocumentError, match="another process exports to"):
                export_pairs([documents], out, styles=STYLES, shard=5)

    export_pairs([documents], out, styles=STYLES, shard=5, told=told)
    assert verify_pairs(out) == [] and not (out / ".lock").exists()


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="names of files are Unicode there")
@pytest.mark.parametrize("format", ["sharegpt", "webdataset"])
def test_a_file_whose_name_is_no_text_is_exported(tmp_path: Path, format: Any) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / os.fsdecode(b"old\xff.txt")).write_text(STORY[:600], encoding="utf-8")
    out = tmp_path / "out"
    for _ in range(2):
        export_pairs([tmp_path / "in"], out, format, styles=STYLES[:1])
        assert verify_pairs(out) == []
    if format == "sharegpt":
        assert {os.fsencode(row["source"]) for row in rows_of(out)} == {b"old\xff.txt"}


def test_a_folder_of_other_things_is_left_alone(documents: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    export_pairs([documents], out, styles=STYLES)
    before = contents(out)
    for change in ({"seed": 9}, {"styles": STYLES[:1]}, {"format": "webdataset"}, {"shard": 9}):
        with pytest.raises(DocumentError, match=f"another {next(iter(change))}"):
            export_pairs([documents], out, **{"styles": STYLES, **change})
    (documents / "story.txt").write_text("Changed.", encoding="utf-8")
    with pytest.raises(DocumentError, match="content of documents"):
        export_pairs([documents], out, styles=STYLES)
    assert contents(out) == before
    with pytest.raises(DocumentError, match="holds other files"):
        export_pairs([documents], documents)
    (out / "manifest.json").write_text("{}")
    with pytest.raises(DocumentError, match="cannot be read"):
        Manifest.read(out)


def test_bad_input_is_refused_before_anything_is_written(documents: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    for error, arguments in (
        (ValueError, {"format": "parquet"}), (ValueError, {"shard": 0}), (ValueError, {"styles": []}),
        (StyleError, {"styles": ["glyph-73"]}), (DocumentError, {"templates": {"sing": ["La"]}}),
    ):  # fmt: skip
        with pytest.raises(error):
            export_pairs([documents], out, **arguments)  # type: ignore[arg-type]
    with pytest.raises(DocumentError, match="nothing to export"):
        export_pairs([documents / "*.bin"], out)
    assert not out.exists()
    with pytest.raises(DocumentError, match="no page of these"):
        export_pairs([documents / "marks.txt"], tmp_path / "marks")
    for bad in ({}, {"lines": ["Copy {count} lines."]}, {"transcribe": []}, {"transcribe": "Copy."}, ["Copy."]):
        with pytest.raises(DocumentError):
            checked_templates(bad)


def test_the_command_writes_what_templates_say(documents: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    isolate(tmp_path, monkeypatch)
    (tmp_path / "templates.json").write_text('{"transcribe": ["Lies {} vor."], "complete": ["Weiter: {words}"]}')
    told = ok("export-pairs", "documents", "-o", "out", "--templates", "templates.json", "-s", STYLES[0])
    assert "1 shard" in told
    rows = rows_of(tmp_path / "out")
    assert rows[0]["conversations"][0]["value"] == "<image>\nLies {} vor."
    assert {task for row in rows for task in row["tasks"]} == {"transcribe", "complete"}
    assert "holds no manifest.json" in error_of("export-pairs", "--verify", "-o", "documents")
    assert "unknown style" in error_of("export-pairs", "documents", "-o", "x", "-s", "glyph-73")
    assert glyph("export-pairs", "documents", "-o", "x", "--format", "zip").exit_code == 2
    assert glyph("export-pairs", "-o", "x").exit_code == 2
