"""Faults: kills, full disks, damaged files, pruned logs, interrupted rebuilds; and an index that many use at once."""

from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_index import TOWNS, Letters, page
from test_index_durability import answers, process

from glyph_integrations.embedding import LexicalEmbedder
from glyph_integrations.embedding.embedder import Vectors
from glyph_integrations.errors import (
    IndexCorruptError,
    IndexLockedError,
    IndexMismatchError,
    ModelError,
    QueryError,
)
from glyph_integrations.index import LostPage, PageIndex, store, words
from glyph_integrations.index.bm25 import Bm25
from glyph_integrations.page import Page

MANY = [page(f"page {n} of the river story, with word{n}", f"{n % 7}.txt", n, land="none") for n in range(150)]


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[object]]:
    """A closed index of several database pages, with deletions, and its answers."""
    path = tmp_path_factory.mktemp("example") / "index"
    with PageIndex.open(path, Letters()) as index:
        index.add([*TOWNS, *MANY])
        index.delete_source("3.txt")
        index.add([page(p.text, p.source, p.number + 1, land="Austria") for p in MANY[:5]])
        answers(index)
    shutil.rmtree(path / "bm25")  # deleted pages count in BM25 until tantivy merges them away; now there are none
    with PageIndex.open(path, Letters()) as index:
        truth = answers(index)
    assert {"fields.bin", "vectors.faiss", "bm25", "head.json"} <= {entry.name for entry in path.iterdir()}
    return path, truth


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """What happens to large indexes happens to small ones."""
    monkeypatch.setattr(words, "BACKGROUND", 100)
    monkeypatch.setattr(store, "KEPT", 20)


# -- kills and full disks ------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs processes that can be forked and killed")
def test_twenty_kills_break_no_promise(tmp_path: Path) -> None:
    command = [sys.executable, Path(__file__).parents[1] / "benchmarks" / "faults.py", "--kills", "20", "--folder", tmp_path]
    seed = str(random.randrange(10**6))
    done = subprocess.run([*map(str, command), "--seed", seed], capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, (seed, done.stdout, done.stderr)
    assert "20 kills" in done.stdout and "pages lost: 0" in done.stdout and "promises broken: 0" in done.stdout


def test_a_disk_that_fills_up_while_syncing_loses_nothing(tmp_path: Path) -> None:
    code = """
    import resource, signal
    from glyph_integrations.errors import GlyphError
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    def version(n, v):
        return [page(f"{n} {v} {i} " + "word " * 200, f"{n}.txt", i) for i in range(20)]
    index = PageIndex.open(sys.argv[1])
    for n in range(10):
        index.sync(f"{n}.txt", version(n, 0))
    largest = max((index.path / name).stat().st_size for name in ("pages.sqlite", "pages.sqlite-wal"))
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest + int(sys.argv[2]), resource.RLIM_INFINITY))
    for v in itertools.count(1):
        for n in range(10):
            try:
                index.sync(f"{n}.txt", version(n, v))
                print(n, v, flush=True)
            except GlyphError as error:
                print("error", error, flush=True)
                raise SystemExit
    """
    for turn, room in enumerate((4096, 200_000)):
        path = tmp_path / f"index{turn}"
        with process(code, path, room) as writer:
            assert writer.stdout
            *done, error = writer.stdout.read().splitlines()
        assert error.startswith("error ") and str(path) in error
        promised = dict.fromkeys(range(10), 0) | {int(line.split()[0]): int(line.split()[1]) for line in done}
        with PageIndex.open(path) as index:
            assert index.verify() == []
            for n, v in promised.items():
                versions = {int(p.text.split()[1]) for p in index.pages(f"{n}.txt")}
                assert versions in ({v}, {v, v + 1}, {v + 1}), "a promise was broken"
            index.sync("0.txt", [page("there is room again", "0.txt")])
            assert index.search("room again", k=1)[0].page.text == "there is room again"


# -- damaged files -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("checked", [True, False], ids=["structure checked", "large"])
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damage_anywhere_is_refused_or_changes_no_answer(
    checked: bool,
    data: st.DataObject,
    example: tuple[Path, list[object]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if not checked:
        monkeypatch.setattr("glyph_integrations.index.folder.CHECKED", 0)
    path, truth = example
    copy = tmp_path / "copy"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(path, copy)
    files = sorted(file for file in copy.rglob("*") if file.is_file() and file.stat().st_size)
    damaged = data.draw(st.one_of(st.just(copy / "pages.sqlite"), st.sampled_from(files)))
    damage(damaged, data)
    with refused_or(damaged.name in ("pages.sqlite", "head.json")), PageIndex.open(copy, Letters()) as index:
        found = answers(index)
        if checked:
            assert found == truth
        else:  # without `verify`, nothing checks the counts and absences that SQLite's own indexes tell of
            assert (found[:2], found[4:-1]) == (truth[:2], truth[4:-1])


def test_damage_that_makes_sqlites_own_message_unreadable_is_refused(
    example: tuple[Path, list[object]], tmp_path: Path
) -> None:
    copy = shutil.copytree(example[0], tmp_path / "copy")
    content = (copy / "pages.sqlite").read_bytes()
    (copy / "pages.sqlite").write_bytes(content.replace(b"seq INTEGER", b"seq I\xceTEGER (", 1))
    with pytest.raises(IndexCorruptError, match="restore"):
        PageIndex.open(copy, Letters())
    (copy / "pages.sqlite").write_bytes(content.replace(b"CREATE TABLE changes", b"CREATE \xceABLE changes", 1))
    with pytest.raises(IndexCorruptError, match="restore"):
        PageIndex.open(copy, Letters())


@contextmanager
def refused_or(allowed: bool) -> Iterator[None]:
    """The block may be refused as damaged, if that is allowed, with advice."""
    try:
        yield
    except (IndexCorruptError, IndexMismatchError) as error:
        told = str(error)
    else:
        return
    assert allowed and "restore" in told


def damage(file: Path, data: st.DataObject) -> None:
    """Flip a bit, cut the end off, or zero a stretch."""
    content = bytearray(file.read_bytes())
    place = data.draw(st.integers(0, len(content) - 1), label=file.name)
    match data.draw(st.sampled_from(["flip", "cut", "zeros"])):
        case "flip":
            content[place] ^= 1 << data.draw(st.integers(0, 7))
        case "cut":
            del content[place:]
        case "zeros":
            content[place : place + 512] = bytes(len(content[place : place + 512]))
    file.write_bytes(content)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_damaged_write_ahead_log_is_refused_or_changes_no_answer(data: st.DataObject, tmp_path: Path) -> None:
    folder, copy = tmp_path / "index", tmp_path / "copy"
    shutil.rmtree(copy, ignore_errors=True)
    if not (tmp_path / "open").exists():
        with PageIndex.open(folder, Letters()) as index:
            index.add([*TOWNS, *MANY])
            shutil.copytree(folder, tmp_path / "open", ignore=shutil.ignore_patterns("bm25"))  # at work
    shutil.copytree(tmp_path / "open", copy)
    (copy / "pages.sqlite-shm").unlink()
    damage(copy / "pages.sqlite-wal", data)
    with refused_or(True), PageIndex.open(copy, Letters()) as index:
        assert list(index) == [*TOWNS, *MANY]
        assert index.verify() == []


def test_verify_tells_of_damaged_derived_files_once_and_they_are_built_again(
    example: tuple[Path, list[object]], tmp_path: Path
) -> None:
    path, truth = example
    copy = shutil.copytree(path, tmp_path / "copy")
    segment = next(iter(sorted((copy / "bm25").glob("*.idx"))))
    for file in (copy / "fields.bin", copy / "vectors.faiss", segment):
        data = bytearray(file.read_bytes())
        data[len(data) // 2] ^= 1
        file.write_bytes(data)
    with PageIndex.open(copy, Letters()) as index:
        problems = index.verify()
        assert [line.partition(":")[0] for line in problems] == ["bm25", "vectors.faiss", "fields.bin"]
        assert answers(index) == truth
    with PageIndex.open(copy, Letters()) as index:
        assert index.verify() == []


# -- repair --------------------------------------------------------------------------------------------------------------


def damaged_copy(path: Path, copy: Path, *changes: str) -> Path:
    shutil.copytree(path, copy)
    database = sqlite3.connect(copy / "pages.sqlite")
    for change in changes:
        database.execute(change)
    database.commit()
    database.close()
    return copy


def test_repair_keeps_what_is_sound_and_names_what_is_not(example: tuple[Path, list[object]], tmp_path: Path) -> None:
    path, _ = example
    copy = damaged_copy(
        path,
        tmp_path / "copy",
        "UPDATE pages SET text = x'00' WHERE id = '" + TOWNS[1].id + "'",
        "UPDATE vectors SET data = zeroblob(length(data)) WHERE content = '" + MANY[1].content_hash + "'",
        "DELETE FROM pages WHERE id = '" + MANY[2].id + "'",
    )
    with PageIndex.open(path, Letters()) as index:
        before = list(index)
    done = PageIndex.repair(copy)
    assert set(done.lost) == {
        LostPage(TOWNS[1].id, "towns.txt"), LostPage(MANY[1].id, "1.txt"), LostPage(None, None)
    }  # fmt: skip
    assert done.kept == len(before) - 3 and done.sources == ["1.txt", "towns.txt"]
    assert "towns.txt" in done.advice and str(done.damaged) in done.advice
    assert (done.damaged / "pages.sqlite").is_file()
    gone = {TOWNS[1].id, MANY[1].id, MANY[2].id}
    with PageIndex.open(copy, Letters()) as index:
        assert list(index) == [p for p in before if p.id not in gone]
        assert index.verify() == []
        index.add([TOWNS[1], MANY[1]])
        assert index.search("Basel on the Rhine", k=1, mode="lexical")[0].page == TOWNS[1]


def test_repair_with_the_embedder_makes_lost_vectors_again(example: tuple[Path, list[object]], tmp_path: Path) -> None:
    path, truth = example
    copy = damaged_copy(path, tmp_path / "copy", "UPDATE vectors SET data = zeroblob(length(data))")
    with pytest.raises(IndexMismatchError, match="letters"):
        PageIndex.repair(copy, LexicalEmbedder())
    done = PageIndex.repair(copy, Letters())
    assert done.lost == () and done.complete and "nothing was lost" in done.advice
    with PageIndex.open(copy, Letters()) as index:
        assert answers(index) == truth


@pytest.mark.parametrize("vacuumed", [False, True])
@pytest.mark.parametrize("length", [100, 4096])
def test_repair_manages_without_the_head_of_the_database(
    example: tuple[Path, list[object]], tmp_path: Path, length: int, vacuumed: bool
) -> None:
    path, truth = example
    copy = damaged_copy(path, tmp_path / "copy", *(["VACUUM"] if vacuumed else []))
    (copy / "head.json").unlink()
    data = (copy / "pages.sqlite").read_bytes()
    (copy / "pages.sqlite").write_bytes(bytes(length) + data[length:])
    with pytest.raises(IndexCorruptError):
        PageIndex.open(copy, Letters())
    done = PageIndex.repair(copy)
    assert done.lost == () and not done.complete
    with PageIndex.open(copy, Letters()) as index:
        assert answers(index) == truth


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_repair_never_invents(data: st.DataObject, example: tuple[Path, list[object]], tmp_path: Path) -> None:
    path, _ = example
    with PageIndex.open(path, Letters()) as index:
        before = {p.id: p for p in index}
    copy = tmp_path / "copy"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(path, copy)
    damage(copy / "pages.sqlite", data)
    try:
        done = PageIndex.repair(copy, Letters())
    except IndexCorruptError:
        assert (copy / "head.json").is_file() and not list(copy.glob("*repaired*"))  # left as it was
        return
    with PageIndex.open(copy, Letters()) as index:
        assert index.verify() == []
        after = {p.id: p for p in index}
    assert after.items() <= before.items()
    assert done.kept == len(after)
    lost = before.keys() - after.keys()
    assert {page.id for page in done.lost if page.id in before} <= lost
    assert done.lost or not done.complete or not lost


def test_an_interrupted_repair_goes_on(
    example: tuple[Path, list[object]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, truth = example
    replace = os.replace

    class Killed(BaseException):
        pass

    for last in range(100):
        copy = shutil.copytree(path, tmp_path / f"copy{last}")
        (copy / "head.json").write_text("{}")
        calls = iter(range(100))

        def killed(source: Path, target: Path) -> None:
            if next(calls) == last:  # noqa: B023
                raise Killed
            replace(source, target)

        with monkeypatch.context() as patched:
            patched.setattr("os.replace", killed)
            try:
                PageIndex.repair(copy)
                finished = True
            except Killed:
                finished = False
        if not finished:
            with pytest.raises(IndexCorruptError, match="repair"):
                PageIndex.open(copy, Letters())
            PageIndex.repair(copy)
        with PageIndex.open(copy, Letters()) as index:
            assert answers(index) == truth
        assert any((folder / "pages.sqlite").is_file() for folder in copy.glob("damaged-*"))
        if finished:
            break
    assert last > 5


def test_what_is_no_index_or_in_use_is_not_repaired(example: tuple[Path, list[object]], tmp_path: Path) -> None:
    with pytest.raises(IndexCorruptError, match="no page index"):
        PageIndex.repair(tmp_path)
    copy = shutil.copytree(example[0], tmp_path / "copy")
    with PageIndex.open(copy, Letters()) as index:
        index.add([page("new")])
        with pytest.raises(IndexLockedError):
            PageIndex.repair(copy)
    (copy / "pages.sqlite").unlink()
    with pytest.raises(IndexCorruptError, match="nothing to save"):
        PageIndex.repair(copy)


# -- the log of changes --------------------------------------------------------------------------------------------------


def holdings(index: PageIndex) -> list[object]:
    """What is there, and found; but no scores of BM25, which deleted pages have a part in until tantivy merges them away."""
    found = [{hit.page.id for hit in index.search(word, k=500, mode="lexical")} for word in ("river", "old", "new")]
    dense = [[(hit.page, round(hit.score, 4)) for hit in index.search("river", k=9, mode="dense")]]
    return [list(index), found, dense, index.ids({"glyph_n": 7}), index.sources()]


def test_the_log_stays_short_under_daily_syncs(tmp_path: Path, small: None) -> None:
    path = tmp_path / "index"
    for day in range(12):
        with PageIndex.open(path, Letters()) as index:
            index.sync("news.txt", [page(f"day {day} news {n}", "news.txt", n) for n in range(30)])
            assert index.search(f"day {day}", k=1, mode="lexical")[0].page.text.startswith(f"day {day} ")
            assert index.search("news", k=40, mode="dense", filter={"source": "news.txt"})
            assert len(index) == 30 and index.verify() == []
            assert index.stats().changes <= 4 * 30 + 60
    sizes = []
    with PageIndex.open(path, Letters()) as index:
        truth = holdings(index)
        for _ in range(2):
            index.compact()
            assert index.stats().changes == 31  # one stands for all before
            assert index.verify() == []
            assert holdings(index) == truth
            sizes.append(index.stats().files["pages.sqlite"])
    assert sizes[0] == sizes[1]
    for lost in ("bm25", "vectors.faiss", "fields.bin"):  # what is derived is built again without the old log
        shutil.rmtree(path / lost) if lost == "bm25" else (path / lost).unlink(missing_ok=True)
    with PageIndex.open(path, Letters()) as index:
        assert holdings(index) == truth
        assert index.verify() == []


def test_what_is_older_than_the_log_is_built_again(tmp_path: Path, small: None) -> None:
    path = tmp_path / "index"
    with PageIndex.open(path, Letters()) as index:
        index.add([*TOWNS, *(page(f"old {n}", "old.txt", n) for n in range(20))])
        holdings(index)
    old = shutil.copytree(path, tmp_path / "old")
    with PageIndex.open(path, Letters()) as index, PageIndex.open(path, Letters()) as reader:
        assert reader.search("old 7", mode="dense")
        for day in range(3):
            index.sync("old.txt", [page(f"new {day} {n}", "old.txt", n) for n in range(20)])
        index.compact()
        truth = holdings(index)
        assert holdings(reader) == truth
        assert reader.verify() == []
    for name in ("vectors.faiss", "fields.bin"):
        shutil.copy(old / name, path / name)
    shutil.rmtree(path / "bm25")
    shutil.copytree(old / "bm25", path / "bm25")
    with PageIndex.open(path, Letters()) as index:
        assert holdings(index) == truth
        assert index.verify() == []


def test_compacting_gives_space_back_and_survives_a_reader(tmp_path: Path) -> None:
    with PageIndex.open(tmp_path / "index") as index, PageIndex.open(tmp_path / "index") as reader:
        index.add(page(f"{n} " + "words " * 500, "a.txt", n) for n in range(400))
        pages = reader.pages()
        first = next(pages)
        index.delete(p.id for p in list(index)[20:])
        before = sum(index.stats().files.values())
        index.compact()
        assert sum(index.stats().files.values()) < before / 3
        assert first == next(iter(index)) and len(reader) == 20
        assert index.verify() == reader.verify() == []
        pages.close()


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE changes SET page = page + 1 WHERE op = 'base'",
        "UPDATE changes SET checksum = zeroblob(8) WHERE op = 'base'",
        "DELETE FROM changes WHERE op = 'base'",
        "DELETE FROM pages WHERE row = (SELECT min(row) FROM pages)",
    ],
)
def test_a_damaged_short_log_is_found(tmp_path: Path, small: None, change: str) -> None:
    with PageIndex.open(tmp_path / "index", Letters()) as index:
        index.add(MANY)
        index.delete([p.id for p in MANY[:100]])
        index.add([page("last")])
        index.compact()
    copy = damaged_copy(tmp_path / "index", tmp_path / "copy", change)
    try:
        with PageIndex.open(copy, Letters()) as index:
            assert index.verify() != []
    except IndexCorruptError:
        pass


# -- rebuilding in the background ----------------------------------------------------------------------------------------


class Gate:
    """Lets BM25 take in only so many portions."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.portions = threading.Semaphore(0)
        self.waiting = threading.Event()
        apply = Bm25._apply

        def gated(bm25: Bm25, *args: object) -> None:
            self.waiting.set()
            self.portions.acquire()
            self.waiting.clear()
            apply(bm25, *args)  # type: ignore[arg-type]

        monkeypatch.setattr(Bm25, "_apply", gated)

    def open(self) -> None:
        self.portions.release(10**6)


@pytest.fixture
def big(tmp_path: Path) -> Path:
    """An index of four portions without BM25."""
    with PageIndex.open(tmp_path / "index", Letters()) as index:
        index.add(page(f"page {n} with word{n}", "a.txt", n) for n in range(1000))
    shutil.rmtree(tmp_path / "index" / "bm25")
    return tmp_path / "index"


def test_bm25_is_rebuilt_in_the_background_while_other_work_goes_on(
    big: Path, small: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(monkeypatch)
    found: list[str] = []
    with PageIndex.open(big, Letters()) as index:
        assert gate.waiting.wait(10)  # it began at once
        assert index.stats().bm25_building and index.stats().bm25_behind == 1000
        asking = threading.Thread(
            target=lambda: found.extend(hit.page.text for hit in index.search("word17", k=1, mode="lexical"))
        )
        asking.start()
        assert index.search("page", k=3, mode="dense")
        assert len(index) == 1000 and index.get(index.ids()[:1])
        index.add([page("added meanwhile with word17 and word17", "b.txt")])
        index.delete(index.ids({"glyph_n": 17}))
        assert asking.is_alive() and not found
        gate.open()
        asking.join(30)
        assert found == ["added meanwhile with word17 and word17"]  # never behind the truth
        assert index.stats().bm25_behind == 0 and not index.stats().bm25_building
        assert index.verify() == []


def test_closing_stops_a_rebuild_and_the_next_opening_goes_on_from_there(
    big: Path, small: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(monkeypatch)
    index = PageIndex.open(big, Letters())
    gate.portions.release()
    while index.stats().bm25_behind == 1000:
        time.sleep(0.01)
    closing = threading.Thread(target=index.close)
    closing.start()
    while closing.is_alive():  # until the portion it is at is done
        closing.join(0.5)
        gate.portions.release()
    with PageIndex.open(big, Letters()) as index:
        assert 0 < index.stats().bm25_behind < 1000
        gate.open()
        assert index.search("word999", k=1, mode="lexical")[0].page.number == 999
        assert index.verify() == []


def test_the_end_of_the_program_does_not_wait_for_a_rebuild(big: Path) -> None:
    code = """
    import time
    from glyph_integrations.index import words
    from glyph_integrations.index.bm25 import Bm25
    from test_index import Letters
    words.BACKGROUND = 100
    apply = Bm25._apply
    def slow(*args):
        time.sleep(0.5)
        apply(*args)
    Bm25._apply = slow
    index = PageIndex.open(sys.argv[1], Letters())
    while index.stats().bm25_behind == 1000:
        time.sleep(0.01)
    print("building", index.stats().bm25_building)
    """
    with process(code, big) as running:
        assert running.stdout and running.stdout.read() == "building True\n"
        start = time.monotonic()
        assert running.wait(30) == 0
        assert time.monotonic() - start < 10
    with PageIndex.open(big, Letters()) as index:
        assert 0 < index.stats().bm25_behind < 1000
        assert index.verify() == []


def test_progress_is_shown_on_a_terminal_only_and_can_be_switched_off(
    big: Path, small: None, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def told(progress: bool | None) -> str:
        shutil.rmtree(big / "bm25", ignore_errors=True)
        with PageIndex.open(big, Letters(), progress=progress) as index:
            index.search("page", k=1, mode="lexical")
            assert index.verify(progress=progress) == []
        captured = capfd.readouterr()
        assert captured.out == ""
        return captured.err

    assert told(None) == told(False) == ""
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich takes this for a terminal
    shown = told(None)
    assert "BM25" in shown and "Verifying" in shown
    assert told(False) == ""


def test_a_failing_rebuild_is_told_by_the_search_that_needs_it(big: Path, small: None) -> None:
    database = sqlite3.connect(big / "pages.sqlite")
    database.execute("UPDATE pages SET text = x'00' WHERE row = 900")
    database.commit()
    database.close()
    with PageIndex.open(big, Letters()) as index:
        assert index.search("page", k=1, mode="dense")
        with pytest.raises(IndexCorruptError, match="row 900"):
            index.search("page", mode="lexical")


def test_files_that_a_killed_commit_left_are_in_nobodys_way(tmp_path: Path) -> None:
    path = tmp_path / "index"
    with PageIndex.open(path) as index:
        index.add(MANY)
        index.search("river")
        index.delete([MANY[0].id])
    words_of = path / "bm25"
    meta = json.loads((words_of / "meta.json").read_bytes())
    segment = next(segment for segment in meta["segments"] if segment["deletes"])
    left = [f"{segment['segment_id'].replace('-', '')}.{meta['opstamp'] + n}.del" for n in range(1, 99)]
    for name in left:
        (words_of / name).write_bytes(b"")
    managed = json.loads((words_of / ".managed.json").read_bytes())
    (words_of / ".managed.json").write_text(json.dumps([*managed, *left]))
    with PageIndex.open(path) as index:
        index.delete([MANY[1].id])
        assert {hit.page.number for hit in index.search("river", k=500)} == set(range(2, 150))
        assert index.verify() == []


@pytest.mark.parametrize("kind", ["idx", "pos", "term", "store", "fast", "fieldnorm", "del"])
def test_a_file_of_bm25_that_is_gone_is_missed(kind: str, example: tuple[Path, list[object]], tmp_path: Path) -> None:
    original, truth = example
    path = tmp_path / "index"
    shutil.copytree(original, path)
    with PageIndex.open(path, Letters()) as index:
        index.delete([index.add([page("one page to go")])[0]])
        index.search("river", mode="lexical")
    gone = sorted((path / "bm25").glob(f"*.{kind}"))
    for file in gone:
        file.unlink()
    with PageIndex.open(path, Letters()) as index:
        assert gone or kind == "del"
        assert answers(index) == truth


# -- many hands ----------------------------------------------------------------------------------------------------------


def test_an_index_that_nobody_closed_lets_go_of_its_files(tmp_path: Path, small: None) -> None:
    path = tmp_path / "index"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        unraisable: list[object] = []
        hook, sys.unraisablehook = sys.unraisablehook, unraisable.append
        try:
            index = PageIndex.open(path)
            index.add(MANY)
            index.search("river")
            del index
        finally:
            sys.unraisablehook = hook
    assert unraisable == []
    with PageIndex.open(path) as index:
        assert len(index) == len(MANY)
        index.add([page("one more")])  # so the lock was let go
        assert index.verify() == []


async def test_an_index_serves_asyncio(tmp_path: Path) -> None:
    with PageIndex.open(tmp_path / "index", Letters()) as index:

        async def write(n: int) -> None:
            await asyncio.to_thread(index.add, [page(f"word{n} and more", f"{n}.txt")])

        async def ask(n: int) -> str:
            hits = await asyncio.to_thread(index.search, f"word{n}", 1, {"source": f"{n}.txt"}, "lexical")
            return hits[0].page.text

        await asyncio.gather(*(write(n) for n in range(12)))
        assert await asyncio.gather(*(ask(n) for n in range(12))) == [f"word{n} and more" for n in range(12)]
        assert index.verify() == []


def test_a_reader_is_never_wrong_while_another_process_writes(tmp_path: Path) -> None:
    code = """
    from glyph_integrations.index import store
    from test_index import Letters
    store.KEPT = 20
    with PageIndex.open(sys.argv[1], Letters()) as index:
        for n in range(40):
            index.sync("a.txt", [page(f"version{n} {i}", "a.txt", i) for i in range(20)])
            if n % 7 == 0:
                index.compact()
            print(n, flush=True)
    """
    PageIndex.open(tmp_path / "index", Letters()).close()
    with process(code, tmp_path / "index") as writer, PageIndex.open(tmp_path / "index", Letters()) as reader:
        assert writer.stdout
        for line in writer.stdout:
            for mode in ("lexical", "dense", "hybrid"):
                hits = reader.search(f"version{int(line)} 7", k=40, mode=mode)
                versions = {int(hit.page.text.split()[0][7:]) for hit in hits}
                assert versions and min(versions) >= int(line), "behind the truth"
            assert len(reader) >= 20
        assert writer.wait(10) == 0
        assert reader.verify() == []


# -- odd input -----------------------------------------------------------------------------------------------------------


def test_duplicates_in_one_call_are_one_page_and_the_last_wins(tmp_path: Path) -> None:
    with PageIndex.open(tmp_path / "index", Letters()) as index:
        first, last = page("the same", number=1, tag="first"), page("the same", number=2, tag="last")
        assert index.add([first, last] * 3) == [first.id] * 6
        assert [(p.number, p.metadata["tag"]) for p in index] == [(2, "last")]
        assert [hit.page.number for hit in index.search("same", k=10)] == [2]
        assert index.verify() == []


def test_pages_without_vectors_are_kept_and_found_by_words(tmp_path: Path) -> None:
    class Sometimes(Letters):
        def embed_pages(self, pages: Sequence[Page]) -> list[Vectors]:
            found = super().embed_pages(pages)
            return [vectors[:0] if "silent" in page.text else vectors for vectors, page in zip(found, pages, strict=True)]

    for _ in range(2):
        with PageIndex.open(tmp_path / "index", Sometimes()) as index:
            index.add([page("a silent page"), page("a loud page")])
            assert [p.text for p in index] == ["a silent page", "a loud page"]
            assert index.vectors(index.ids())[0].shape == (0, 26)
            assert [hit.page.text for hit in index.search("page", k=100, mode="dense")] == ["a loud page"]
            assert len(index.search("page", k=100, mode="lexical")) == len(index.search("page", k=100)) == 2
            assert index.verify() == []


def test_vectors_that_are_no_numbers_leave_the_index_as_it_was(tmp_path: Path) -> None:
    class Broken(Letters):
        def embed_pages(self, pages: Sequence[Page]) -> list[Vectors]:
            return [
                v * np.float32("nan") if "bad" in p.text else v for p, v in zip(pages, super().embed_pages(pages), strict=True)
            ]

    with PageIndex.open(tmp_path / "index", Broken()) as index:
        index.add(TOWNS)
        with pytest.raises(ModelError, match="letters"):
            index.sync("towns.txt", [page("good", "towns.txt"), page("bad", "towns.txt")])
        assert list(index) == TOWNS
        with pytest.raises(QueryError):
            index.search(np.full(26, np.nan, dtype=np.float32))
        assert index.verify() == []


def test_an_index_without_pages_answers(tmp_path: Path) -> None:
    with PageIndex.open(tmp_path / "index", Letters()) as index:
        index.compact()
        assert index.search("x", k=1000) == [] and index.stats().pages == 0 and index.verify() == []
    done = PageIndex.repair(tmp_path / "index")
    assert (done.kept, done.lost, done.complete) == (0, (), True)


def test_a_thousand_small_adds_and_deletes_stay_quick_and_tidy(tmp_path: Path) -> None:
    with PageIndex.open(tmp_path / "index") as index:
        ids = [index.add([page(f"page {n} word{n}", f"{n}.txt")])[0] for n in range(120)]
        for page_id in ids[::2]:
            index.delete([page_id])
        assert len(list((tmp_path / "index" / "bm25").glob("*.idx"))) < 40  # segments are merged
        assert index.verify() == []


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    yield
    assert not [thread for thread in threading.enumerate() if thread.name == "glyph-bm25"]
