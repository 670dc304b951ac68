"""Late interaction at scale: time, memory, disk and recall, beside byaldi's way and plain numpy.

    python benchmarks/late_interaction.py [--pages 20000] [--vectors 128 1024] [--precise 2000 256] [--queries 50]
                                          [--folder DIR]

Give ``--vectors`` or ``--precise`` no values to leave that part out; ``--pages 1000 --vectors 128 --precise 500 64`` takes a
minute. Every row is measured in processes of its own, so that peak memory is that row's. Pages of 1,024 vectors need 12 GB of
disk below the folder, and peers that hold them in RAM 11 GB; a peer that does not fit is left out, and the row says so.

Pages (`Patches`) are made like those of visual models. There are 200 topics of 120 concepts each (directions that share 0.6 of
their topic's), 300 concepts that any page may use and 4 looks of blank paper; all Gaussian with a power-law spectrum (the
deviation of dimension d is d to the power of -0.4). A page has a topic and, by its size, some 5 to 96 regions: a region shows
a concept (65 % of its own topic, 20 % common, 15 % of any topic; frequent ones are more frequent), plus 0.35 of a direction
that is the page's own and 0.45 of one that is the region's. A tenth to four tenths of its vectors are blank; every other is
its region's plus 0.35 of noise: so most vectors have near duplicates on their page, and pages of a topic are alike. The number
of vectors varies by an eighth. A question has up to 16 vectors, of 6 regions of one page, plus noise of 0.9 of their length
(a cosine of 0.74 with what they came from), and 4 that come from nothing, as visual models pad questions with. Its own page is
then found easily; the nine that follow differ by little, and make the recall.

recall@10 is against MaxSim of the float32 vectors with every page, in numpy. Times are those of single questions, one after
the other, k=10, with files in the system's cache; ``batch`` is the time of a question when 16 are asked at once. ``delete`` is
the deletion of one page, on disk when it returns (p50 / most of 20). ``memory`` is resident after the searches. ``byaldi's
way`` is what it does on a search: all pages in RAM as a list of torch tensors, padded with zeros in batches of 128, one einsum
per batch; in float32, for a CPU. It cannot delete.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from index import environment, memory, settled, tell

from glyph_integrations import Page, PageIndex, PageStyle
from glyph_integrations.embedding import pool_vectors
from glyph_integrations.embedding.embedder import Metric, Vectors

DIM = 128
STYLE = PageStyle(newline="keep")
TOPICS, CONCEPTS, COMMON, BLANK = 200, 120, 300, 4


class Patches:
    """Pages of about so many vectors, and questions; see above."""

    def __init__(self, vectors: int) -> None:
        self.vectors = vectors
        rng = np.random.default_rng(0)
        topics = self._directions(rng, TOPICS)[:, None]
        self.concepts = unit(0.6 * topics + self._directions(rng, TOPICS, CONCEPTS)).reshape(-1, DIM)
        self.common, self.blank = self._directions(rng, COMMON), self._directions(rng, BLANK)

    def _directions(self, rng: np.random.Generator, *shape: int) -> Vectors:
        scale = (np.arange(1, DIM + 1) ** -0.4).astype(np.float32)
        return unit(rng.standard_normal((*shape, DIM), dtype=np.float32) * scale)

    def page(self, number: int) -> tuple[Vectors, Any]:
        """Its vectors, and the region of each; -1 is blank."""
        rng = np.random.default_rng([7, number])
        eighth = self.vectors // 8
        count = self.vectors + int(rng.integers(-eighth, eighth + 1))
        regions = min(96, max(4, int(rng.integers(self.vectors // 24, self.vectors // 8 + 1))))
        topic, kind, often = rng.integers(TOPICS), rng.random(regions)[:, None], rng.random(regions) ** 2
        shown = np.where(
            kind < 0.65,
            self.concepts[topic * CONCEPTS + (CONCEPTS * often).astype(int)],
            np.where(
                kind < 0.85,
                self.common[(COMMON * often).astype(int)],
                self.concepts[rng.integers(0, len(self.concepts), regions)],
            ),
        )
        own = self._directions(rng, 1)
        shown = unit(shown + 0.35 * own + 0.45 * self._directions(rng, regions))
        blanks = int(count * rng.uniform(0.1, 0.4))
        where = np.concatenate([np.sort(rng.integers(0, regions, count - blanks)), np.full(blanks, -1)])
        paper = self.blank[rng.integers(0, BLANK, count)] + 0.15 * own
        return unit(np.where((where < 0)[:, None], paper, shown[where]) + 0.35 * self._directions(rng, count)), where

    def question(self, number: int, pages: int) -> Vectors:
        rng = np.random.default_rng([9, number])
        vectors, where = self.page(int(rng.integers(pages)))
        regions = rng.permutation(np.unique(where[where >= 0]))[:6]
        chosen = np.concatenate([rng.choice(np.flatnonzero(where == region), 3) for region in regions])[:16]
        asked = unit(vectors[chosen] + 0.9 * self._directions(rng, len(chosen)))
        padding = unit(self._directions(rng, 1) + 0.5 * self._directions(rng, 4))
        return np.concatenate([asked, padding])


def unit(vectors: Any) -> Vectors:
    made: Vectors = (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)
    return made


class Corpus:
    """The pages in a file: half precision, all one after the other, and where each begins."""

    name, revision, dim, stored = "patches", "1", DIM, True
    metric: Metric = "cosine"

    def __init__(self, folder: Path, pool: float = 1) -> None:
        self.pool = pool
        self.starts = np.load(folder / "starts.npy")
        self.file = folder / "vectors.bin"
        self.seconds = 0.0

    def __len__(self) -> int:
        return len(self.starts) - 1

    def pages(self, first: int, stop: int) -> Vectors:
        """The vectors of some pages, read from the file: a map of it would count as memory."""
        first, stop = int(self.starts[first]), int(self.starts[stop])
        return (
            np.fromfile(self.file, np.float16, (stop - first) * DIM, offset=first * DIM * 2).reshape(-1, DIM).astype(np.float32)
        )

    def page(self, number: int) -> Vectors:
        return self.pages(number, number + 1)

    def embed_pages(self, pages: Sequence[Page]) -> list[Vectors]:
        began = time.perf_counter()
        vectors = [pool_vectors(self.page(page.number), self.pool) for page in pages]
        self.seconds += time.perf_counter() - began
        return vectors

    def embed_query(self, text: str) -> Vectors:
        raise NotImplementedError("questions are given as vectors")


def make(args: argparse.Namespace) -> None:
    """Write the corpus, the questions and the answers of brute force."""
    patches, began = Patches(args.size), time.perf_counter()
    with ProcessPoolExecutor() as workers:
        counts = list(workers.map(counted, [args.size] * args.count, range(args.count), chunksize=500))
    starts = np.concatenate([[0], np.cumsum(counts)])
    np.save(args.folder / "starts.npy", starts)
    np.memmap(args.folder / "vectors.bin", np.float16, "w+", shape=(int(starts[-1]), DIM)).flush()
    parts = range(0, args.count, 500)
    with ProcessPoolExecutor() as workers:
        list(workers.map(written, [args.folder] * len(parts), [args.size] * len(parts), parts))
    questions = [patches.question(n, args.count) for n in range(args.queries)]
    np.savez(args.folder / "questions.npz", *questions)
    made = time.perf_counter() - began
    corpus, scores = Corpus(args.folder), np.empty((args.queries, args.count), dtype=np.float32)
    for start in range(0, args.count, 64):
        stop = min(args.count, start + 64)
        scores[:, start:stop] = max_sim(questions, corpus.pages(start, stop), starts[start:stop] - starts[start])
    best = np.argsort(-scores, axis=1)[:, :10]
    (args.folder / "best.json").write_text(json.dumps(best.tolist()), encoding="utf-8")
    taken = time.perf_counter() - began - made
    ranks = np.sort(scores, axis=1)[:, ::-1].mean(axis=0)
    told = ", ".join(f"{place}: {ranks[place - 1]:.3f}" for place in (1, 2, 10, 100, 1000) if place <= args.count)
    print(f"made in {made:.0f} s, all compared in {taken:.0f} s; mean MaxSim by rank {told}", flush=True)


def counted(size: int, number: int) -> int:
    """The number of vectors of a page: the first thing drawn."""
    rng = np.random.default_rng([7, number])
    return size + int(rng.integers(-(size // 8), size // 8 + 1))


def written(folder: Path, size: int, first: int) -> None:
    patches, starts = Patches(size), np.load(folder / "starts.npy")
    file = np.memmap(folder / "vectors.bin", np.float16, "r+", shape=(int(starts[-1]), DIM))
    for number in range(first, min(first + 500, len(starts) - 1)):
        file[starts[number] : starts[number + 1]] = patches.page(number)[0]


def max_sim(questions: list[Vectors], vectors: Vectors, firsts: Any) -> Any:
    """Scores [questions, pages] of pages laid end to end."""
    best = np.maximum.reduceat(vectors @ np.concatenate(questions).T, firsts, axis=0).T
    return np.stack([own.mean(axis=0) for own in np.split(best, np.cumsum([len(q) for q in questions])[:-1])])


# -- the rows -----------------------------------------------------------------------------------------------------------


def asked(args: argparse.Namespace, count: int | None = None) -> tuple[list[Vectors], list[set[int]]]:
    """Questions, and the ten best pages of each."""
    with np.load(args.folder / "questions.npz") as file:
        questions = [file[name] for name in file.files][:count]
    return questions, [set(own) for own in json.loads((args.folder / "best.json").read_text(encoding="utf-8"))][:count]


def timed(search: Callable[[Vectors], list[int]], questions: list[Vectors], best: list[set[int]]) -> dict[str, float]:
    """Milliseconds and recall; the first question is asked twice, to warm up."""
    search(questions[0])
    times, found = [], []
    for question, wanted in zip(questions, best, strict=True):
        began = time.perf_counter()
        numbers = search(question)
        times.append(1000 * (time.perf_counter() - began))
        found.append(len(wanted & set(numbers)) / len(wanted))
    return {"p50": statistics.median(times), "p95": float(np.quantile(times, 0.95)), "recall": statistics.mean(found)}


def add(args: argparse.Namespace, precision: Any, pool: float) -> None:
    """The first process of ours."""
    corpus = Corpus(args.folder, pool)
    began = time.perf_counter()
    pages = (Page(f"Page {n}.", STYLE, (), source=f"{n // 100}.txt", number=n) for n in range(len(corpus)))
    with PageIndex.open(args.folder / "index", corpus, precision=precision) as index:
        index.add(pages)
        added = time.perf_counter() - began
        cells = -1
        while cells != (cells := settled(index).nlist):  # one trained while pages came may be outgrown
            index.search(asked(args, 1)[0][0], 10)
        ready = time.perf_counter() - began
    tell(rate=len(corpus) / (added - corpus.seconds), peak=memory()["peak"], ready=ready)


def search(args: argparse.Namespace, pool: float) -> None:
    """The second process of ours."""
    corpus, (questions, best) = Corpus(args.folder, pool), asked(args)
    with PageIndex.open(args.folder / "index", corpus) as index:

        def find(question: Vectors) -> list[int]:
            return [hit.page.number for hit in index.search(question, 10)]

        began = time.perf_counter()
        find(questions[0])
        first = time.perf_counter() - began
        row: dict[str, Any] = timed(find, questions, best)
        began = time.perf_counter()
        for start in range(0, len(questions), 16):
            index.search_many(questions[start : start + 16], 10)
        row["batch"] = 1000 * (time.perf_counter() - began) / len(questions)
        stats = index.stats()
        used = memory()
        vectors = stats.search
        note = f"first answer {first:.1f} s; FAISS {vectors.vectors / vectors.pages:.0f} vectors, "
        note += f"{vectors.memory / vectors.pages / 1000:.1f} KB a page"
        if vectors.nlist:
            note += f"; {vectors.nprobe} of {vectors.nlist} cells, own recall {vectors.recall:.3f}"
        disk, times = stats.bytes_per_page, []
        for page_id in index.ids()[:: max(1, len(corpus) // 20)][:20]:
            began = time.perf_counter()
            index.delete([page_id])
            times.append(1000 * (time.perf_counter() - began))
        row["delete"] = f"{statistics.median(times):.0f} / {max(times):.0f}"
    tell(**row, disk=disk, now=used["now"], peak=memory()["peak"], note=note)


def numpy(args: argparse.Namespace) -> None:
    corpus, (questions, best) = Corpus(args.folder), asked(args, 5)
    every = np.empty((int(corpus.starts[-1]), DIM), dtype=np.float32)
    for start in range(0, len(corpus), 64):
        stop = min(len(corpus), start + 64)
        every[corpus.starts[start] : corpus.starts[stop]] = corpus.pages(start, stop)

    def find(question: Vectors) -> list[int]:
        found: list[int] = np.argsort(-max_sim([question], every, corpus.starts[:-1])[0])[:10].tolist()
        return found

    row = timed(find, questions, best)
    tell(**row, disk=every.nbytes / len(corpus), note="all in one array of float32, 5 questions", **memory())


def byaldi(args: argparse.Namespace) -> None:
    import torch

    corpus, (questions, best) = Corpus(args.folder), asked(args, 5)
    pages = [torch.from_numpy(corpus.page(n)) for n in range(len(corpus))]

    def find(question: Vectors) -> list[int]:
        query, scores = torch.from_numpy(question)[None], []
        for start in range(0, len(pages), 128):
            padded = torch.nn.utils.rnn.pad_sequence(pages[start : start + 128], batch_first=True, padding_value=0)
            scores.append(torch.einsum("bnd,csd->bcns", query, padded).max(dim=3)[0].sum(dim=2))
        found: list[int] = torch.cat(scores, dim=1)[0].topk(10).indices.tolist()
        return found

    with torch.inference_mode():
        row = timed(find, questions, best)
    tell(**row, disk=4 * DIM * int(corpus.starts[-1]) / len(corpus), note="5 questions", **memory())


Stage = Callable[[argparse.Namespace], None]


def ours(precision: str, pool: float = 1) -> list[Stage]:
    return [lambda args: add(args, precision, pool), lambda args: search(args, pool)]


ROWS: dict[str, list[Stage]] = {
    "fp16": ours("fp16"), "int8": ours("int8"), "1 bit": ours("bits"),
    "pooled by 2": ours("fp16", 2), "pooled by 4": ours("fp16", 4), "pooled by 2, int8": ours("int8", 2),
    "numpy, fp32": [numpy], "byaldi's way": [byaldi], "": [make],
}  # fmt: skip
IN_RAM = ("numpy, fp32", "byaldi's way")

# -- the table ----------------------------------------------------------------------------------------------------------

COLUMNS = {
    "": ("name", "{}"), "added/s": ("rate", "{:,.0f}"), "ready after s": ("ready", "{:,.0f}"), "p50 ms": ("p50", "{:,.0f}"),
    "p95 ms": ("p95", "{:,.0f}"), "batch ms": ("batch", "{:,.0f}"), "recall@10": ("recall", "{:.3f}"),
    "delete ms": ("delete", "{}"), "disk KB/page": ("disk", "{:,.1f}"), "memory MB": ("now", "{:,.0f}"),
    "peak MB": ("peak", "{:,.0f}"), "note": ("note", "{}"),
}  # fmt: skip


def line(row: dict[str, Any]) -> str:
    cells = []
    for key, form in COLUMNS.values():
        value = row.get(key)
        cells.append("" if value is None else form.format(value / 1000 if key == "disk" else value))
    return f"| {' | '.join(cells)} |"


def rows_of(args: argparse.Namespace, folder: Path, name: str, pages: int, size: int) -> Iterator[dict[str, Any]]:
    """What each process of a row tells."""
    for stage in range(len(ROWS[name])):
        command = [sys.executable, __file__, "--stage", name, str(stage), str(pages), str(size)]
        command += ["--folder", str(folder), "--queries", str(args.queries)]
        done = subprocess.run(command, capture_output=True, text=True, env=environment())
        for told in done.stdout.splitlines():
            if told.startswith("ROW "):
                yield json.loads(told[4:])
            else:
                print(told, flush=True)
        if done.returncode:
            error = (done.stderr.strip().splitlines() or [""])[-1]
            yield {"note": f"left out: {error}" if "ModuleNotFound" in error else f"failed ({done.returncode}): {done.stderr}"}
            return


def part(args: argparse.Namespace, pages: int, size: int, names: Sequence[str]) -> None:
    """One corpus and its table."""
    print(f"\n{pages:,} pages of about {size:,} vectors of {DIM} numbers, {args.queries} questions of 20\n", flush=True)
    with tempfile.TemporaryDirectory(dir=args.folder, prefix="late-interaction-") as folder:
        list(rows_of(args, Path(folder), "", pages, size))
        print(f"\n| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}", flush=True)
        for name in names:
            need = pages * size * DIM * 4 * 1.15
            if name in IN_RAM and need > available():
                print(line({"name": name, "note": f"left out: it takes {need / 1e9:.0f} GB of RAM"}), flush=True)
                continue
            told: dict[str, Any] = {"name": name}
            for row in rows_of(args, Path(folder), name, pages, size):
                peak = max(told.get("peak", 0), row.get("peak", 0))
                told |= row | {"peak": peak or None}
            print(line(told), flush=True)
            shutil.rmtree(Path(folder) / "index", ignore_errors=True)


def available() -> float:
    """Bytes of RAM to be had; infinite where nobody tells."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return 1024 * next(float(own.split()[1]) for own in lines if own.startswith("MemAvailable"))
    except (OSError, StopIteration):
        return float("inf")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pages", type=int, default=20_000)
    parser.add_argument("--vectors", type=int, nargs="*", default=[128, 1024])
    parser.add_argument("--precise", type=int, nargs="*", default=[2_000, 256], metavar=("PAGES", "VECTORS"))
    parser.add_argument("--queries", type=int, default=50)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--stage", nargs=4, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.stage:
        name, stage, args.count, args.size = args.stage[0], *map(int, args.stage[1:])
        ROWS[name][stage](args)
        return
    began = time.perf_counter()
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else f"{os.cpu_count()} cores")
    if args.precise:
        part(args, *args.precise, [*(name for name in ROWS if name and name not in IN_RAM), *IN_RAM])
    for size in args.vectors:
        part(args, args.pages, size, ["fp16", *IN_RAM])
    print(f"\n{time.perf_counter() - began:.0f} s in all")


if __name__ == "__main__":
    main()
