"""Durability of the index: a process that writes is killed (SIGKILL) at random moments, and what it had promised is looked for.

    python benchmarks/faults.py [--kills 500] [--seed 0] [--folder DIR]

A process adds, syncs, deletes, compacts, searches and has BM25, vectors and the index of metadata built again, and tells what
it is about to do and what was done. After each kill another process opens the index, compares every page with what was told,
searches, and verifies everything. A promise is broken when a page that was promised is not there, one whose deletion was
promised is, a batch was done by half, a search does not find what is there, or anything raises an error. POSIX only.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from glyph_integrations import LexicalEmbedder, Page, PageIndex, PageStyle
from glyph_integrations.index import intake, store, words

STYLE = PageStyle(newline="keep")
SOURCES = 10
BATCH = 256  # pages an add writes at once

Key = tuple[int, int]
State = dict[str, set[Key]]


class Stored(LexicalEmbedder):
    """Vectors of words that the index keeps, as it does those of a model."""

    name = "stored"
    stored = True


class Operation(NamedTuple):
    """What is done to a source: these pages added (in this order), then these deleted."""

    kind: str
    source: str
    new: list[Key]
    gone: list[Key]

    def stages(self, before: set[Key]) -> list[set[Key]]:
        """All that may be there when it is interrupted: what was, one batch more, ..., what is to be."""
        added = [before.union(self.new[:end]) for end in range(0, len(self.new) + BATCH, BATCH)]
        return [*added, added[-1].difference(self.gone)]


def name(source: str, key: Key) -> str:
    """A word that is on one page only."""
    return hashlib.sha256(f"{source} {key}".encode()).hexdigest()[:16]


def make(source: str, keys: Iterable[Key]) -> list[Page]:
    prose = "and more words of prose " * 9
    return [Page(f"{source} version{v} {name(source, (v, n))} {prose}", STYLE, (), source, number=n) for v, n in keys]


def keys_of(pages: Iterable[Page]) -> set[Key]:
    return {(int(page.text.split()[1][7:]), page.number) for page in pages}


def choose(rng: random.Random, state: State) -> Operation:
    source = f"s{rng.randrange(SOURCES)}"
    old = sorted(state.get(source, ()))
    some = rng.sample(old, len(old) // 2)
    version = rng.randrange(10**6)
    new = [(version, n) for n in range(rng.choice((1, 20, 60, 300)))]
    kind = rng.choice(("add", "add", "sync", "sync", "sync", "delete", "empty", "compact", "rebuild", "search"))
    match kind:
        case "add":
            return Operation(kind, source, new, [])
        case "sync":
            return Operation(kind, source, new + some, sorted(set(old) - set(some)))
        case "delete":
            return Operation(kind, source, [], some)
        case "empty":
            return Operation(kind, source, [], old)
    return Operation(kind, source, [], [])


def write(folder: Path, seed: int, say: Callable[..., None]) -> None:
    """Write until killed."""
    words.BACKGROUND, store.KEPT = 300, 100  # so that a small index does what a large one does
    intake.FIRST = BATCH  # so that it is known where an addition may be interrupted
    rng = random.Random(seed)
    while True:
        with PageIndex.open(folder, Stored(64), progress=False) as index:
            state = {source: keys_of(index.pages(source)) for source in index.sources()}
            for _ in range(rng.randrange(1, 12)):
                doing = choose(rng, state)
                say("begin", *doing)
                match doing.kind:
                    case "add":
                        index.add(make(doing.source, doing.new))
                    case "sync":
                        index.sync(doing.source, make(doing.source, doing.new))
                    case "delete":
                        index.delete([page.id for page in make(doing.source, doing.gone)])
                    case "empty":
                        index.delete_source(doing.source)
                    case "compact":
                        index.compact()
                    case "search":
                        index.search("version", mode="dense")
                        index.search("version", filter={"glyph_source": doing.source}, mode="lexical")
                state[doing.source] = doing.stages(state.get(doing.source, set()))[-1]
                say("end")
                if doing.kind == "rebuild":
                    break
        if doing.kind == "rebuild":
            lost = folder / rng.choice(("bm25", "vectors.faiss", "fields.bin"))
            shutil.rmtree(lost) if lost.is_dir() else lost.unlink(missing_ok=True)


def check(folder: Path, seed: int, known: State, doing: Operation | None, say: Callable[..., None]) -> None:
    """Compare with what was told; says what is there now, how many promised pages are not, and what is wrong."""
    rng = random.Random(seed)
    lost, wrong = 0, []
    with PageIndex.open(folder, Stored(64), progress=False) as index:
        found = {source: keys_of(index.pages(source)) for source in index.sources()}
        for source in known.keys() | found.keys():
            before, now = known.get(source, set()), found.get(source, set())
            stages = doing.stages(before) if doing and doing.source == source else [before]
            if now not in stages:
                promised = set.intersection(*stages)
                lost += len(promised - now)
                wrong.append(f"{source}: {len(now)} pages, of {len(promised)} promised {len(promised - now)} are lost: {doing}")
        if len(index) != sum(map(len, found.values())):
            wrong.append("the number of pages is wrong")
        for source in rng.sample(sorted(found), min(3, len(found))):
            key = rng.choice(sorted(found[source]))
            (page,) = make(source, [key])
            nearest = index.search(index.vectors([page.id])[0], k=1)
            if nearest[0].relevance < 0.99:
                wrong.append(f"{source}: a page is not found by its vector")
            hits = index.search(name(source, key), k=1, filter={"source": source}, mode="lexical")
            if not hits or hits[0].page != page:
                wrong.append(f"{source}: a page is not found by its words")
        wrong += index.verify()
    say({source: sorted(keys) for source, keys in found.items()}, lost, wrong)


def fork(told: Path, work: Callable[[Callable[..., None]], None]) -> int:
    """Do something in a process of its own, that writes what it says to a file; returns the process's number."""
    if child := os.fork():
        return child
    with open(told, "wb", buffering=0) as file:
        try:
            work(lambda *what: file.write(json.dumps(what).encode() + b"\n") and None)
        except BaseException:
            file.write(json.dumps(["error", traceback.format_exc()]).encode() + b"\n")
    os._exit(0)


def heard(told: Path) -> list[list[Any]]:
    """What was said, line by line; the last may be cut."""
    lines = told.read_bytes().splitlines(keepends=True) if told.exists() else []
    return [json.loads(line) for line in lines if line.endswith(b"\n")]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="where to make a folder for the index; it is kept when something is wrong")
    args = parser.parse_args()
    place = Path(tempfile.mkdtemp(dir=args.folder))
    told, index = place / "told", place / "index"
    rng = random.Random(args.seed)
    known: State = {}
    promised = lost = finished = 0
    wrong: list[str] = []
    interrupted: Counter[str] = Counter()
    start = time.perf_counter()
    for kill in range(1, args.kills + 1):
        seed = rng.randrange(2**32)
        told.unlink(missing_ok=True)
        writer = fork(told, partial(write, index, seed))
        lines = rng.randrange(16)  # 0: while it opens the index, perhaps the first time
        died = 0
        while not died and len(heard(told)) < lines:
            time.sleep(0.002)
            died, _ = os.waitpid(writer, os.WNOHANG)
        if not died:
            time.sleep(rng.expovariate(50))
            os.kill(writer, signal.SIGKILL)
            os.waitpid(writer, 0)
        doing: Operation | None = None
        for what, *values in heard(told):
            if what == "error":
                wrong.append(f"kill {kill}: {values[0]}")
            elif what == "begin":
                doing = Operation(values[0], values[1], [(v, n) for v, n in values[2]], [(v, n) for v, n in values[3]])
            elif doing:
                known[doing.source] = doing.stages(known.get(doing.source, set()))[-1]
                promised += len(doing.new)
                finished += 1
                doing = None
        interrupted[doing.kind if doing else "opening or closing"] += 1

        told.unlink(missing_ok=True)
        os.waitpid(fork(told, partial(check, index, seed, known, doing)), 0)
        (what, *values), *_ = heard(told) or [["error", "the process that checks died"]]
        if what == "error":
            wrong.append(f"kill {kill}: {values[0]}")
            break
        known = {source: {(v, n) for v, n in keys} for source, keys in what.items()}
        lost += values[0]
        wrong += (f"kill {kill}: {line}" for line in values[1])
    print(
        f"{kill} kills in {time.perf_counter() - start:.0f} s, during:",
        ", ".join(f"{n} {k}" for k, n in interrupted.most_common()),
    )
    print(f"{finished:,} operations were finished, which promised {promised:,} pages")
    print(f"pages lost: {lost}")
    print(f"promises broken: {len(wrong)}")
    for line in wrong:
        print("   ", line, f"(in {place})")
    if not wrong:
        shutil.rmtree(place)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
