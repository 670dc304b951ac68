"""The page index at scale, beside the FAISS stores of langchain-community and LlamaIndex.

    python benchmarks/index.py [--sizes 10000 100000 1000000] [--peers-up-to 100000] [--late 20000] [--text 100000]
                               [--queries 200] [--folder DIR] [--corpora DIR]

Give a part 0 (or ``--sizes`` no values) to leave it out. Every case runs in processes of its own: one adds, one opens what was
added and searches; so memory is that of the case.

Pages of one vector (``--sizes``): 384 numbers, drawn from 100 broad and 3,000 narrow topics with a power-law spectrum
(see `Mixture`): the ten nearest are as hard to find for an inverted file as those of 11 thousand sentences embedded by
all-MiniLM-L6-v2 (98 % takes a quarter of 256 cells for both). The text of a page is one line. Queries are drawn alike, and
are no pages. Late interaction (``--late``): 128 vectors of 128 numbers a page, 24 to a query, which are noisy copies of
vectors of one page. Full pages (``--text``): paragraphs of the corpora, or of Python's documentation, with their words
shuffled, so that no two are alike; the default embedder (BM25); queries are eight words in a row of one page, and recall is
the share of queries that find it.

add/s leaves out the time for making pages and vectors. recall@10 is against comparing with everything in numpy; ``hits``
are those returned for k=10. ``candidates`` are row numbers alone; ``faiss alone`` is the same FAISS index asked for as many
with the same parameters, on one thread as well. 0.03 % of the pages match the filter ``rare``, 50 % the filter ``half``.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from glyph_integrations import Page, PageIndex, PageStyle, Renderer
from glyph_integrations.embedding.embedder import Metric, Vectors

STYLE = PageStyle(newline="keep")
FILTERS: dict[str, dict[str, Any]] = {"": {}, "rare": {"rare": 1}, "half": {"half": 1}}
BLOCK = 4096


class Mixture:
    """An embedder that knows the vectors of numbered pages: blocks of them are drawn again when needed, not kept.

    A vector is 0.3 of a broad topic, 0.6 of a narrow one and 0.7 of its own, all Gaussian with standard deviations that fall as
    the square root of the dimension's number, scaled to length 1.
    """

    name, revision, stored = "mixture", "1", True
    metric: Metric = "cosine"

    def __init__(self, dim: int = 384) -> None:
        self.dim = dim
        self.seconds = 0.0
        rng = np.random.default_rng(0)
        self.scale = (np.arange(1, dim + 1) ** -0.5).astype(np.float32)
        self.topics = [weight * self._gauss(rng, count) for weight, count in ((0.3, 100), (0.6, 3000))]
        self._block: tuple[int, Any] = (-1, None)

    def _gauss(self, rng: np.random.Generator, count: int) -> Vectors:
        return rng.standard_normal((count, self.dim), dtype=np.float32) * self.scale

    def draw(self, seed: int, count: int) -> Vectors:
        rng = np.random.default_rng([1, seed])
        vectors = 0.7 * self._gauss(rng, count) + sum(topics[rng.integers(0, len(topics), count)] for topics in self.topics)
        unit: Vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        return unit

    def block(self, number: int) -> Any:
        """The vectors of `BLOCK` pages."""
        if self._block[0] != number:
            self._block = (number, self.draw(number, BLOCK))
        return self._block[1]

    def queries(self, count: int) -> list[Vectors]:
        return list(self.draw(10**9, count)[:, None])

    def embed_pages(self, pages: Sequence[Page]) -> list[Vectors]:
        began = time.perf_counter()
        vectors = [np.atleast_2d(self.block(page.number // BLOCK)[page.number % BLOCK]) for page in pages]
        self.seconds += time.perf_counter() - began
        return vectors

    def embed_query(self, text: str) -> Vectors:
        raise NotImplementedError("queries are given as vectors")


class Tokens(Mixture):
    """128 vectors of 128 numbers a page; a third of each is the page's own topic."""

    def __init__(self) -> None:
        super().__init__(128)

    def block(self, number: int) -> Any:
        if self._block[0] != number:
            tokens = self.draw(number, BLOCK * 128).reshape(BLOCK, 128, 128) + 0.5 * self.draw(number + 10**6, BLOCK)[:, None]
            tokens /= np.linalg.norm(tokens, axis=2, keepdims=True)
            self._block = (number, tokens)
        return self._block[1]

    def queries(self, count: int) -> list[Vectors]:
        rng = np.random.default_rng(3)
        pages = self.block(0)[rng.integers(0, BLOCK, count)]
        return [page[rng.permutation(128)[:24]] + 0.06 * rng.standard_normal((24, 128), dtype=np.float32) for page in pages]


def pages_of(count: int) -> Iterator[Page]:
    for n in range(count):
        metadata = {"rare": int(n % 3333 == 0), "half": n % 2, "shelf": f"shelf {n % 97}"}
        text = f"Page {n} is about matter {n * 7919 % 10007}."
        yield Page(text, STYLE, (), source=f"{n // 100}.txt", number=n, metadata=metadata)


def matches(numbers: Any, name: str) -> Any:
    return numbers % 3333 == 0 if name == "rare" else numbers % 2 == 1 if name == "half" else numbers >= 0


def nearest(embedder: Mixture, queries: list[Vectors], count: int, name: str) -> list[set[int]]:
    """Numbers of the ten best pages of each query, by comparing with all of them."""
    tops: list[list[tuple[float, int]]] = [[] for _ in queries]
    together = np.concatenate(queries)
    ends = np.cumsum([len(query) for query in queries])
    for start in range(0, count, BLOCK):
        block = embedder.block(start // BLOCK)[: count - start]
        numbers = np.arange(start, start + len(block))
        for part in np.array_split(np.flatnonzero(matches(numbers, name)), 1 if block.ndim == 2 else 16):
            if not len(part):
                continue
            scores = together @ block[part].reshape(-1, block.shape[-1]).T
            if block.ndim == 3:
                scores = scores.reshape(len(together), len(part), -1).max(axis=2)
            for top, own in zip(tops, np.split(scores, ends[:-1]), strict=True):
                mean = own.mean(axis=0)
                best = np.argsort(-mean)[:10]
                top[:] = sorted([*top, *zip(mean[best].tolist(), numbers[part][best].tolist(), strict=True)], reverse=True)[:10]
    return [{number for _, number in top} for top in tops]


# -- measuring ----------------------------------------------------------------------------------------------------------


def timed(search: Callable[[Any], Sequence[int]], queries: list[Any], wanted: list[set[int]] | None) -> dict[str, Any]:
    """Milliseconds per query, hits and their recall; the first queries only warm up."""
    for query in queries[:5]:
        search(query)
    times, hits, found = [], [], []
    for n, query in enumerate(queries):
        began = time.perf_counter()
        numbers = search(query)
        times.append(1000 * (time.perf_counter() - began))
        hits.append(len(numbers))
        if wanted:
            found.append(len(wanted[n] & set(numbers)) / max(1, len(wanted[n])))
    row = {"p50": statistics.median(times), "p95": float(np.quantile(times, 0.95)), "hits": statistics.mean(hits)}
    return {**row, "recall": statistics.mean(found)} if wanted else row


def memory() -> dict[str, float]:
    """Resident megabytes of this process: now, and at most so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6
    try:
        now = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 1e6
    except OSError:
        now = float("nan")
    return {"now": now, "peak": peak}


def tell(**row: Any) -> None:
    """A row of the table, to the process that prints it."""
    print("ROW " + json.dumps(row), flush=True)


def settled(index: PageIndex) -> Any:
    """What the index says of its vectors, once no training is going on."""
    while index.stats().search.training:
        time.sleep(0.2)
    return index.stats().search


# -- ours ---------------------------------------------------------------------------------------------------------------


def add_vectors(args: argparse.Namespace, embedder: Mixture) -> None:
    began = time.perf_counter()
    with PageIndex.open(args.folder / "index", embedder) as index:
        index.add(pages_of(args.count))
        seconds = time.perf_counter() - began - embedder.seconds
        index.search(embedder.queries(1)[0], 10)  # which may begin to train
        search = settled(index)
        told = f"{search.kind}, settled after {time.perf_counter() - began:.0f} s"
    size = sum(path.stat().st_size for path in (args.folder / "index").rglob("*") if path.is_file()) / args.count
    tell(case="add", rate=args.count / seconds, bytes=size, note=told, **memory())


def search_vectors(args: argparse.Namespace, embedder: Mixture) -> None:
    queries = embedder.queries(args.queries)
    began = time.perf_counter()
    with PageIndex.open(args.folder / "index", embedder) as index:
        index.search(queries[0], 10)
        first = time.perf_counter() - began
        search = settled(index)
        kind = f"{search.kind} {search.quantizer}"
        if search.nlist:
            kind += f", {search.nprobe} of {search.nlist} cells, own recall {search.recall:.3f}"
        used = memory()
        for name, filter in FILTERS.items():
            wanted = nearest(embedder, queries, args.count, name)

            def find(query: Vectors, filter: dict[str, Any] = filter) -> list[int]:
                return [hit.page.number for hit in index.search(query, 10, filter=filter or None, mode="dense")]

            row = timed(find, queries, wanted)
            if name:
                tell(case=name, **row)
                continue
            tell(case="search", note=f"{kind}; first answer after {first:.1f} s", **row, **used)
            compare_with_faiss(index._ranking.vectors(), queries, row["p50"])


def compare_with_faiss(dense: Any, queries: list[Vectors], whole: float) -> None:
    """Time to find row numbers, here and by the FAISS index alone."""
    import faiss

    many = len(queries[0]) > 1
    depth = dense.depth(queries[0], 10)
    want = min(len(dense), max(1000, dense.pages // 4)) if many else depth
    ids = timed(lambda query: dense.search(query, depth).rows.tolist(), queries, None)
    parameters = dense._parameters(None, dense._probes)
    if not many:
        faiss.omp_set_num_threads(1)
    raw = timed(lambda query: dense._index.search(query, want, params=parameters)[1][0].tolist(), queries, None)
    tell(case="candidates", note=f"{ids['p50'] / raw['p50']:.2f} times faiss", **ids)
    tell(case="faiss alone", note=f"search takes {whole - raw['p50']:.2f} ms more", **raw)


# -- peers --------------------------------------------------------------------------------------------------------------


def batches(items: Iterable[Page]) -> Iterator[list[Page]]:
    source = iter(items)
    while batch := list(islice(source, BLOCK)):
        yield batch


def langchain(args: argparse.Namespace) -> None:
    import faiss
    from langchain_community.docstore.in_memory import InMemoryDocstore
    from langchain_community.vectorstores import FAISS
    from langchain_core.embeddings import FakeEmbeddings

    embedder, queries = Mixture(), Mixture().queries(args.queries)
    store = FAISS(FakeEmbeddings(size=384), faiss.IndexFlatL2(384), InMemoryDocstore(), {})
    seconds = 0.0
    for batch in batches(pages_of(args.count)):
        given = [(page.text, vectors[0].tolist()) for page, vectors in zip(batch, embedder.embed_pages(batch), strict=True)]
        metadatas = [{**page.metadata, "number": page.number} for page in batch]
        began = time.perf_counter()
        store.add_embeddings(given, metadatas, [page.id for page in batch])
        seconds += time.perf_counter() - began
    store.save_local(str(args.folder / "langchain"))
    size = sum(path.stat().st_size for path in (args.folder / "langchain").iterdir()) / args.count
    tell(case="add", rate=args.count / seconds, bytes=size, **memory())
    for name, filter in FILTERS.items():

        def find(query: Vectors, filter: dict[str, Any] = filter) -> list[int]:
            found = store.similarity_search_with_score_by_vector(query[0].tolist(), k=10, filter=filter or None)
            return [document.metadata["number"] for document, _ in found]

        tell(case=name or "search", **timed(find, queries, nearest(embedder, queries, args.count, name)))


def llama_index(args: argparse.Namespace) -> None:
    import faiss
    from llama_index.core import MockEmbedding, QueryBundle, StorageContext, VectorStoreIndex
    from llama_index.core.schema import TextNode
    from llama_index.core.vector_stores import MetadataFilter, MetadataFilters
    from llama_index.vector_stores.faiss import FaissVectorStore

    embedder, queries = Mixture(), Mixture().queries(args.queries)
    context = StorageContext.from_defaults(vector_store=FaissVectorStore(faiss.IndexFlatIP(384)))
    store = VectorStoreIndex([], storage_context=context, embed_model=MockEmbedding(384))
    seconds = 0.0
    for batch in batches(pages_of(args.count)):
        nodes = [
            TextNode(id_=page.id, text=page.text, metadata={**page.metadata, "number": page.number}, embedding=own[0].tolist())
            for page, own in zip(batch, embedder.embed_pages(batch), strict=True)
        ]
        began = time.perf_counter()
        store.insert_nodes(nodes)
        seconds += time.perf_counter() - began
    store.storage_context.persist(str(args.folder / "llama"))
    size = sum(path.stat().st_size for path in (args.folder / "llama").iterdir()) / args.count
    tell(case="add", rate=args.count / seconds, bytes=size, **memory())
    for name, filter in FILTERS.items():
        wanted = nearest(embedder, queries, args.count, name)
        filters = MetadataFilters(filters=[MetadataFilter(key=key, value=value) for key, value in filter.items()])
        retriever = store.as_retriever(similarity_top_k=10, filters=filters if filter else None)

        def find(query: Vectors, retriever: Any = retriever) -> list[int]:
            return [found.metadata["number"] for found in retriever.retrieve(QueryBundle("", embedding=query[0].tolist()))]

        try:
            tell(case=name or "search", **timed(find, queries, wanted))
        except ValueError as error:
            tell(case=name, note=f"refused: {error}")


# -- full pages ---------------------------------------------------------------------------------------------------------


def prose(corpora: Path) -> list[str]:
    """Paragraphs of English."""
    texts = []
    for name in ("fairytaleqa_val", "squality_dev", "qmsum_val10", "xquad12_en"):
        path = corpora / f"{name}.docs.jsonl"
        if path.exists():
            texts += [json.loads(line)["text"] for line in path.read_text(encoding="utf-8").splitlines() if line]
    if not texts:
        from pydoc_data.topics import topics

        texts = list(topics.values())
    return [part for text in texts for part in text.split("\n") if len(part) > 40]


def full_pages(args: argparse.Namespace, count: int) -> Iterator[Page]:
    paragraphs, renderer, made = prose(args.corpora), Renderer(PageStyle.preset("glyph-72")), 0
    for n in range(count):
        rng = np.random.default_rng(n)
        texts = [paragraphs[i].split() for i in rng.integers(0, len(paragraphs), 1500)]
        text = "\n\n".join(" ".join(words[i] for i in rng.permutation(len(words))) for words in texts)
        for page in renderer.paginate(text, source=f"{n}.txt"):
            yield page
            made += 1
            if made == count:
                return


def add_text(args: argparse.Namespace) -> None:
    seconds = characters = 0.0
    questions: list[tuple[str, str]] = []
    rng = np.random.default_rng(5)
    with PageIndex.open(args.folder / "index") as index:
        for batch in batches(full_pages(args, args.count)):
            characters += sum(len(page.text) for page in batch)
            for page in rng.choice(np.array(batch, dtype=object), max(1, args.queries * len(batch) // args.count)):
                words = page.text.split()
                at = rng.integers(0, max(1, len(words) - 8))
                questions.append((" ".join(words[at : at + 8]), page.id))
            began = time.perf_counter()
            index.add(batch)
            seconds += time.perf_counter() - began
    (args.folder / "questions.json").write_text(json.dumps(questions), encoding="utf-8")
    size = sum(path.stat().st_size for path in (args.folder / "index").rglob("*") if path.is_file()) / args.count
    note = f"{characters / args.count:.0f} characters a page"
    tell(case="add", rate=args.count / seconds, bytes=size, note=note, **memory())


def search_text(args: argparse.Namespace) -> None:
    questions = json.loads((args.folder / "questions.json").read_text(encoding="utf-8"))
    with PageIndex.open(args.folder / "index") as index:
        places = {page_id: n for n, (_, page_id) in enumerate(questions)}

        def find(question: str) -> list[int]:
            return [places.get(hit.page.id, -1 - n) for n, hit in enumerate(index.search(question, 10))]

        wanted = [{places[page_id]} for _, page_id in questions]
        tell(case="search", **timed(find, [question for question, _ in questions], wanted), **memory())


# -- the table ----------------------------------------------------------------------------------------------------------

STAGES: dict[str, list[Callable[[argparse.Namespace], None]]] = {
    "glyph": [lambda args: add_vectors(args, Mixture()), lambda args: search_vectors(args, Mixture())],
    "glyph, late interaction": [lambda args: add_vectors(args, Tokens()), lambda args: search_vectors(args, Tokens())],
    "glyph, full pages, no model": [add_text, search_text],
    "langchain-community FAISS": [langchain],
    "LlamaIndex FaissVectorStore": [llama_index],
}
COLUMNS = {
    "case": "{:12}", "add/s": "{:>7,.0f}", "p50 ms": "{:>8.2f}", "p95 ms": "{:>8.2f}", "recall@10": "{:>9.3f}",
    "hits": "{:>5.1f}", "B/page": "{:>7,.0f}", "MB": "{:>6,.0f}", "peak MB": "{:>7,.0f}", "": "{}",
}  # fmt: skip
KEYS = ("case", "rate", "p50", "p95", "recall", "hits", "bytes", "now", "peak", "note")


def cells(row: dict[str, Any]) -> str:
    """A line of the table."""
    texts = []
    for form, key in zip(COLUMNS.values(), KEYS, strict=True):
        value = row.get(key)
        width = len(form.format("" if key in ("case", "note") else 0))
        texts.append(" " * width if value is None else form.format(value))
    return " | ".join(texts).rstrip(" |")


def run(args: argparse.Namespace, name: str, count: int) -> None:
    """A case in processes of its own; its rows are printed as they come."""
    print(f"\n{name}, {count:,} pages", flush=True)
    with tempfile.TemporaryDirectory(dir=args.folder, prefix="index-benchmark-") as folder:
        for stage in range(len(STAGES[name])):
            command = [sys.executable, __file__, "--stage", name, str(stage), str(count), "--folder", folder]
            command += ["--queries", str(args.queries), "--corpora", str(args.corpora)]
            with tempfile.TemporaryFile("w+") as errors:
                with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True, env=environment()) as child:
                    assert child.stdout
                    for line in child.stdout:
                        if line.startswith("ROW "):
                            print(cells(json.loads(line[4:])), flush=True)
                errors.seek(0)
                told = errors.read().strip()
            if child.returncode:
                missing = told.splitlines()[-1] if "ModuleNotFoundError" in told else ""
                print(f"left out: {missing}" if missing else f"failed ({child.returncode}): {told}", flush=True)
                return


def environment() -> dict[str, str]:
    """So that the package beside this file is found."""
    paths = [str(Path(__file__).resolve().parents[1]), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths)), "TOKENIZERS_PARALLELISM": "false"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    beside = Path(__file__).resolve().parents[2] / "shared" / "corpora"
    parser.add_argument("--sizes", type=int, nargs="*", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--peers-up-to", type=int, default=100_000)
    parser.add_argument("--late", type=int, default=20_000)
    parser.add_argument("--text", type=int, default=100_000)
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--corpora", type=Path, default=Path(os.environ.get("GLYPH_CORPORA", beside)))
    parser.add_argument("--stage", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.stage:
        name, stage, args.count = args.stage[0], int(args.stage[1]), int(args.stage[2])
        STAGES[name][stage](args)
        return
    free = shutil.disk_usage(args.folder).free / 1e9
    print(f"{os.cpu_count()} cores, Python {sys.version.split()[0]}, {free:.0f} GB free")
    widths = [len(form.format("" if name == "case" else 0)) for name, form in COLUMNS.items() if name]
    print(" | ".join(f"{name:>{width}}" for name, width in zip(COLUMNS, widths, strict=False)))
    for size in filter(None, args.sizes):
        run(args, "glyph", size)
        for peer in ("langchain-community FAISS", "LlamaIndex FaissVectorStore"):
            if size <= args.peers_up_to:
                run(args, peer, size)
    if args.late:
        run(argparse.Namespace(**{**vars(args), "queries": min(50, args.queries)}), "glyph, late interaction", args.late)
    if args.text:
        run(args, "glyph, full pages, no model", args.text)


if __name__ == "__main__":
    main()
