"""An index on disk: what it promised is there after a crash, what is damaged is refused or built again, one process writes."""

from __future__ import annotations

import contextlib
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, cast

import pytest
from test_index import TOWNS, Letters, page

from glyph_integrations.errors import GlyphError, IndexCorruptError, IndexLockedError, IndexMismatchError
from glyph_integrations.index import PageIndex, sealed, store
from glyph_integrations.index import folder as folders
from glyph_integrations.index.durable import Head
from glyph_integrations.index.lock import WriteLock
from glyph_integrations.index.record import Fields, Mark
from glyph_integrations.index.sealed import sealing, unsealed
from glyph_integrations.index.store import Store
from glyph_integrations.index.vector_table import VectorTable
from glyph_integrations.page import Page

QUESTIONS = ("Which river is at Vienna?", "bears", "黑豹队", "Rhine")


def answers(index: PageIndex) -> list[object]:
    """All that can be asked of an index, for comparison."""
    found: list[object] = [list(index), index.ids({"land": "Switzerland"}), index.sources(), len(index)]
    for question in QUESTIONS:
        found.append([(hit.page, round(hit.score, 4)) for hit in index.search(question, k=9, mode="dense")])
        for mode in (
            "lexical",
            "hybrid",
        ):  # here scores, and so the order, depend on when deleted pages leave BM25's statistics
            hits = sorted(index.search(question, k=9, mode=mode), key=lambda hit: hit.page.id)
            found.append([(hit.page, hit.page.metadata) for hit in hits])
    return [*found, [p.id in index for p in TOWNS]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "index"
    with PageIndex.open(path, Letters()) as index:
        index.add([*TOWNS, page("to be deleted", "gone.txt")])
        index.delete_source("gone.txt")
        answers(index)
    return path


@pytest.fixture
def truth(folder: Path) -> list[object]:
    with PageIndex.open(folder, Letters()) as index:
        return answers(index)


def test_an_index_reopens_as_it_was(folder: Path, truth: list[object]) -> None:
    for _ in range(2):
        with PageIndex.open(folder, Letters()) as index:
            assert answers(index) == truth
            assert list(index) == TOWNS
            assert index.verify() == []


@pytest.mark.parametrize("lost", ["bm25", "bm25/state.json", "bm25/meta.json", "vectors.faiss"])
def test_what_is_derived_is_built_again_when_missing(folder: Path, truth: list[object], lost: str) -> None:
    target = folder / lost
    assert target.exists()
    shutil.rmtree(target) if target.is_dir() else target.unlink()
    with PageIndex.open(folder, Letters()) as index:
        assert answers(index) == truth
        assert index.verify() == []
    assert target.exists()


def test_what_is_derived_catches_up_when_behind_or_ahead(folder: Path, truth: list[object], tmp_path: Path) -> None:
    late = page("Salzburg has a river too.", "towns.txt", 4, land="Austria")
    old = shutil.copytree(folder, tmp_path / "old")
    with PageIndex.open(folder, Letters()) as index:
        index.add([late])
        index.delete([TOWNS[0].id])
        newer = answers(index)
    for name in ("bm25", "vectors.faiss"):
        behind, ahead = shutil.copytree(folder, tmp_path / f"behind {name}"), shutil.copytree(old, tmp_path / f"ahead {name}")
        for target, source in ((behind, old), (ahead, folder)):
            if name == "bm25":
                shutil.rmtree(target / name)
                shutil.copytree(source / name, target / name)
            else:
                shutil.copy(source / name, target / name)
        with PageIndex.open(behind, Letters()) as index:
            assert answers(index) == newer
        with PageIndex.open(ahead, Letters()) as index:
            assert answers(index) == truth
            # the log now passes the number the derived file saw, on another way
            index.add([page(f"Graz has no river {n}", "towns.txt", 5 + n) for n in range(9)])
            assert index.verify() == []


@pytest.mark.parametrize("name", ["pages.sqlite", "head.json", "vectors.faiss", "bm25"])
def test_flipped_bits_never_change_an_answer(folder: Path, truth: list[object], name: str, tmp_path: Path) -> None:
    rng = random.Random(name)
    refused = 0
    for turn in range(40 if name == "pages.sqlite" else 15):
        copy = shutil.copytree(folder, tmp_path / f"copy{turn}")
        files = [copy / name] if name != "bm25" else sorted(path for path in (copy / name).iterdir() if path.stat().st_size)
        damaged = rng.choice(files)
        data = bytearray(damaged.read_bytes())
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        damaged.write_bytes(data)
        try:
            with PageIndex.open(copy, Letters()) as index:
                assert answers(index) == truth, damaged
        except GlyphError as error:
            told, refused = str(error), refused + 1
            assert name in ("pages.sqlite", "head.json") and "restore" in told, (damaged, told)
        shutil.rmtree(copy)
    if name in ("pages.sqlite", "head.json"):
        assert refused


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE pages SET text = CAST(replace(CAST(text AS TEXT), 'Danube', 'Rhine!') AS BLOB)",
        "UPDATE pages SET metadata = replace(metadata, 'Austria', 'Bavaria')",
        "UPDATE pages SET number = number + 1",
        "UPDATE pages SET layout = replace(layout, '\"glyph_n\": 1', '\"glyph_n\": 2')",
        "UPDATE vectors SET data = zeroblob(length(data))",
        "UPDATE changes SET page = 3 WHERE seq = (SELECT max(seq) FROM changes)",
        "DELETE FROM pages WHERE row = 2",
        "DELETE FROM vectors",
        "DELETE FROM changes WHERE seq = (SELECT max(seq) FROM changes)",
        "UPDATE meta SET value = replace(value, 'letters', 'numbers')",
        "DELETE FROM meta",
        "DROP TABLE vectors",
    ],
)
def test_rows_changed_behind_its_back_are_refused(folder: Path, change: str) -> None:
    shutil.rmtree(folder / "bm25")
    (folder / "vectors.faiss").unlink()
    database = sqlite3.connect(folder / "pages.sqlite")
    database.execute(change)
    database.commit()
    database.close()

    def ask() -> None:
        with PageIndex.open(folder, Letters()) as index:
            assert index.verify() != []
            answers(index)

    with pytest.raises(IndexCorruptError):
        ask()


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE changes SET page = 3 WHERE seq = 2",
        "UPDATE changes SET op = 'set' WHERE seq = 1",
        "DELETE FROM changes WHERE seq = 3",
        "DELETE FROM changes WHERE seq < 3",
    ],
)
def test_damage_in_the_old_part_of_the_log_is_found_and_changes_no_answer(
    folder: Path, truth: list[object], change: str
) -> None:
    for lost in (False, True):  # what is derived from a log is built again from the pages
        database = sqlite3.connect(folder / "pages.sqlite")
        database.execute(change)
        database.commit()
        database.close()
        if lost:
            shutil.rmtree(folder / "bm25")
            (folder / "vectors.faiss").unlink()
        with PageIndex.open(folder, Letters()) as index:
            assert answers(index) == truth
            assert index.verify() != []


def test_a_database_behind_its_head_is_refused(folder: Path, tmp_path: Path) -> None:
    old = tmp_path / "old.sqlite"
    shutil.copy(folder / "pages.sqlite", old)
    with PageIndex.open(folder, Letters()) as index:
        index.add([page("one more")])
    shutil.copy(old, folder / "pages.sqlite")
    with pytest.raises(IndexCorruptError, match="lost"):
        PageIndex.open(folder, Letters())


@pytest.mark.parametrize("damage", [
    lambda folder: (folder / "head.json").unlink(),
    lambda folder: (folder / "head.json").write_text("{}"),
    lambda folder: (folder / "pages.sqlite").unlink(),
    lambda folder: (folder / "pages.sqlite").write_bytes(b""),
    lambda folder: (folder / "pages.sqlite").write_bytes(b"not a database " * 500),
    lambda folder: (folder / "pages.sqlite").write_bytes((folder / "pages.sqlite").read_bytes()[:9000]),
])  # fmt: skip
def test_lost_and_cut_files_are_refused(folder: Path, damage: Callable[[Path], None]) -> None:
    damage(folder)
    for _ in range(2):  # trying does not make it worse, nor seem better
        with pytest.raises(IndexCorruptError, match=r"head\.json|pages\.sqlite"):
            PageIndex.open(folder, Letters())


def test_a_cut_write_ahead_log_is_refused(tmp_path: Path) -> None:
    with PageIndex.open(tmp_path / "index") as index:
        index.add([page(f"page {n}", number=n) for n in range(300)])
        copy = shutil.copytree(tmp_path / "index", tmp_path / "copy", ignore=shutil.ignore_patterns("bm25"))  # at work
    log = copy / "pages.sqlite-wal"
    log.write_bytes(log.read_bytes()[: log.stat().st_size // 2])
    with pytest.raises(IndexCorruptError, match="lost"):
        PageIndex.open(copy)


def test_a_newer_schema_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("glyph_integrations.index.store.SCHEMA", 0)
    with pytest.raises(IndexMismatchError, match="upgrade"):
        PageIndex.open(folder, Letters())


def test_an_index_that_cannot_be_written_can_be_read(
    folder: Path, truth: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(folder / "bm25")

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("os.access", lambda *_: False)
    monkeypatch.setattr("glyph_integrations.index.lock.WriteLock.acquire", refuse)
    with PageIndex.open(folder, Letters()) as index:
        assert answers(index) == truth
        with pytest.raises(GlyphError, match="Permission denied"):
            index.add([page("x")])
    assert not (folder / "bm25").exists()


def test_an_interrupted_creation_is_finished(tmp_path: Path) -> None:
    PageIndex.open(tmp_path / "index").close()
    (tmp_path / "index" / "pages.sqlite").unlink()  # as if killed right after the head was written
    with PageIndex.open(tmp_path / "index") as index:
        index.add(TOWNS)
        assert index.verify() == []


# -- other processes ----------------------------------------------------------------------------------------------------

PRELUDE = f"""
import itertools, sys
sys.path[:0] = {[str(Path(__file__).parent), str(Path(__file__).parents[1])]!r}
from glyph_integrations.index import PageIndex
from test_index import page
"""


@contextlib.contextmanager
def process(code: str, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    """A fresh interpreter, killed at the end."""
    command = [sys.executable, "-c", PRELUDE + textwrap.dedent(code), *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True) as running:
        try:
            yield running
        finally:
            running.kill()


WRITE = """
with PageIndex.open(sys.argv[1]) as index:
    for n in itertools.count(int(sys.argv[2])):
        old = page(f"old {n}", f"{n}.txt")
        index.add([old])
        index.add(page(f"batch {n} page {i} with some words", f"{n}.txt", i) for i in range(30))
        index.delete([old.id])
        print(n, flush=True)
"""


def test_what_add_returned_is_there_after_kill_9(tmp_path: Path) -> None:
    rng = random.Random(9)
    promised: set[int] = set()
    for turn in range(5):
        with process(WRITE, tmp_path / "index", 1000 * turn) as writer:
            assert writer.stdout
            promised.add(int(writer.stdout.readline()))
            time.sleep(rng.uniform(0, 0.3))
            writer.send_signal(signal.SIGKILL)
            promised.update(int(line) for line in writer.stdout.read().splitlines(keepends=True) if line.endswith("\n"))
        with PageIndex.open(tmp_path / "index") as index:
            for n in promised:
                assert {p.number for p in index.pages(f"{n}.txt")} == set(range(30)), "a promise was broken"
                assert f"old {n}" not in {p.text for p in index.pages(f"{n}.txt")}
            for source in set(index.sources()) - {f"{n}.txt" for n in promised}:
                whole = {p.text for p in index.pages(source)}
                assert len(whole) in (1, 30, 31), "half of an add"
            last = max(promised)
            assert index.search(f"batch {last}", k=1, filter={"source": f"{last}.txt"})
            assert index.verify() == []
    assert len(promised) >= 5


def test_a_full_disk_is_an_error_and_loses_nothing(tmp_path: Path) -> None:
    code = """
    import resource, signal
    from glyph_integrations.errors import GlyphError
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
    done = 0
    try:
        with PageIndex.open(sys.argv[1]) as index:
            for n in range(200):
                index.add(page(f"{n} {i} " + "word " * 200, f"{n}.txt", i) for i in range(20))
                done += 1
    except GlyphError as error:
        print(done, error)
    """
    for turn, limit in enumerate((60_000, 300_000, 1_000_000)):
        path = tmp_path / f"index{turn}"
        with process(code, path, limit) as writer:
            assert writer.stdout
            done, _, message = writer.stdout.read().partition(" ")
        assert message, "no error of ours"
        with PageIndex.open(path) as index:
            assert index.verify() == []
            assert all(index.sources()[f"{n}.txt"] == 20 for n in range(int(done)))
            assert set(index.sources().values()) <= {20}


def test_one_process_writes_and_others_read_what_it_wrote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = """
    with PageIndex.open(sys.argv[1]) as index:
        for n, line in enumerate(sys.stdin):
            index.add([page(line, "said.txt", n)])
            print("done", flush=True)
    """
    reader = PageIndex.open(tmp_path / "index")
    with process(code, tmp_path / "index") as writer:
        assert writer.stdin and writer.stdout

        def say(text: str) -> None:
            assert writer.stdin and writer.stdout
            print(text, file=writer.stdin, flush=True)
            assert writer.stdout.readline() == "done\n"

        for word in ("elephant", "giraffe", "hippopotamus"):
            say(word)
            for mode in ("lexical", "dense"):
                assert [hit.page.text for hit in reader.search(word, mode=mode)] == [word + "\n"]
        monkeypatch.setattr(folders, "PATIENCE", 0.1)
        with pytest.raises(IndexLockedError, match="another process"):
            reader.add([page("mine")])
        with pytest.raises(IndexLockedError):
            reader.delete(reader.ids())
        assert len(reader) == 3
        shutil.rmtree(tmp_path / "index" / "bm25" / "nothing", ignore_errors=True)
        writer.stdin.close()
        writer.wait(10)
    reader.add([page("mine at last")])
    with pytest.raises(IndexLockedError, match="another PageIndex"):
        PageIndex.open(tmp_path / "index").add([page("mine too")])
    reader.close()


def test_a_writer_waits_while_a_reader_saves_what_it_derived(tmp_path: Path) -> None:
    writer = PageIndex.open(tmp_path / "index")
    lock = WriteLock(tmp_path / "index" / "lock")
    lock.acquire()
    saved = threading.Timer(0.3, lock.release)
    saved.start()
    assert len(writer.add([page("said")])) == 1
    saved.join()
    writer.close()


def test_an_index_is_opened_while_another_process_writes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = PageIndex.open(folder, Letters())
    mark, read, written = Store.mark, Head.read, [0]

    def write() -> None:
        if not written[0]:
            written[0] = 1
            writer.add([page("in between", f"{written}.txt")])

    def marked(store: Store) -> Mark:
        found = mark(store)
        if store is not writer._store:
            write()
        return found

    with monkeypatch.context() as patched:
        patched.setattr(Store, "mark", marked)
        PageIndex.open(folder, Letters()).close()
    assert written == [1]

    def cut_short(path: Path) -> Head:
        found = read(path)
        if written == [1]:
            written[0] = 2
            for n in range(3):
                writer.delete(writer.add([page(f"in between {n}", f"{n}.txt")]))
            writer.compact()
        return found

    monkeypatch.setattr(store, "KEPT", 1)
    monkeypatch.setattr(Head, "read", cut_short)
    for doomed in writer.ids():
        writer.delete([doomed])
    PageIndex.open(folder, Letters()).close()
    assert written == [2]
    writer.close()


def test_an_index_is_sound_while_another_process_writes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer, reader = PageIndex.open(folder, Letters()), PageIndex.open(folder, Letters())
    answers(reader)
    writer.add([page("before", "before.txt")])
    scan, missing = Store.scan_fields, VectorTable.missing

    def scanned(own: Store) -> Iterator[Fields]:
        yield from scan(own)
        if own is reader._store:
            writer.add([page(f"in between {len(writer)}", f"{len(writer)}.txt")])

    def looked(own: VectorTable, contents: Iterable[str]) -> set[str]:
        if own is reader._store.vectors:
            writer.delete_source("before.txt")
        return missing(own, contents)

    monkeypatch.setattr(Store, "scan_fields", scanned)
    monkeypatch.setattr(VectorTable, "missing", looked)
    assert reader.verify() == []
    assert len(reader) == len(TOWNS) + 1
    reader.close()
    writer.close()


def test_a_file_that_is_replaced_while_it_is_read_is_read_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "derived"

    def save(body: bytes) -> None:
        with sealing(path, b"magic", {}) as write:
            write(body)

    def opened(name: Path, mode: str) -> BinaryIO:
        file = open(name, mode)  # noqa: SIM115
        save(b"a later and longer state")
        return cast(BinaryIO, file)

    save(b"a state")
    monkeypatch.setattr(sealed, "open", opened, raising=False)
    with unsealed(path, b"magic") as (_, file):
        assert file.read().startswith(b"a state")


def test_a_reader_builds_what_is_derived_when_nobody_writes(folder: Path, truth: list[object]) -> None:
    shutil.rmtree(folder / "bm25")
    one, other = PageIndex.open(folder, Letters()), PageIndex.open(folder, Letters())
    assert answers(one) == answers(other) == truth
    other.add([page("a late page")])  # so the lock was given back
    assert one.search("late page", k=1, mode="lexical")[0].page.text == "a late page"
    one.close()
    other.close()


def test_memory_does_not_grow_with_the_corpus(tmp_path: Path) -> None:
    code = """
    import resource
    peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    words = " ".join(f"word{i}" for i in range(400))
    def pages(first, last):
        return (page(f"{n} {words}", number=n) for n in range(first, last))
    with PageIndex.open(sys.argv[1]) as index:
        index.add(pages(0, 1000))
        before = peak()
        index.add(pages(1000, 4000))
        print(peak() - before)
    """
    with process(code, tmp_path / "index") as writer:
        assert writer.stdout
        grown = int(writer.stdout.read()) * (1 if sys.platform == "darwin" else 1024)
    assert grown < 3000 * 3000  # of 3,000 pages of 3,000 characters, not even the text


def test_pages_are_not_kept_open_by_iteration(folder: Path) -> None:
    with PageIndex.open(folder, Letters()) as index:
        seen: list[Page] = []
        for p in index:
            seen.append(p)
            index.delete([p.id])
        assert seen == TOWNS and len(index) == 0
