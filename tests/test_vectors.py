"""Search by vectors: as good as comparing with everything when flat, measured when trained; exactly k, whatever was deleted."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_index import STYLE

from glyph_integrations.embedding.embedder import Metric, Vectors
from glyph_integrations.errors import ModelError, QueryError
from glyph_integrations.index import Ann, PageIndex
from glyph_integrations.index.max_sim import Bags, estimated
from glyph_integrations.page import Page, Scalar

DIM = 16


class Given:
    """Pages are embedded as they were told to be; a page of the same text always alike."""

    name, revision, stored = "given", "1", True

    def __init__(self, dim: int = DIM, metric: Metric = "ip") -> None:
        self.dim = dim
        self.metric = metric
        self.told: dict[str, Vectors] = {}

    def page(self, vectors: Any, number: int, **metadata: Scalar) -> Page:
        text = f"page {number} of {len(self.told)}"
        self.told[text] = np.asarray(vectors, dtype=np.float32).reshape(-1, self.dim)
        return Page(text, STYLE, (), source=f"{number % 7}.txt", number=number, metadata=metadata)

    def embed_pages(self, pages: Sequence[Page]) -> list[Vectors]:
        return [self.told[page.text] for page in pages]

    def embed_query(self, text: str) -> Vectors:
        return self.told[text]


def halves(array: Any) -> Vectors:
    """As the index keeps numbers."""
    return np.asarray(array, dtype=np.float16).astype(np.float32)


def brute(pages: dict[int, Vectors], query: Vectors) -> dict[int, float]:
    """Number -> mean MaxSim, one page at a time."""
    query = np.atleast_2d(halves(query))
    return {
        number: float((query @ np.atleast_2d(halves(own)).T).max(axis=1).mean()) for number, own in pages.items() if len(own)
    }


def assert_best(index: PageIndex, pages: dict[int, Vectors], query: Vectors, k: int, **search: Any) -> None:
    """The hits are the k best of these pages, by score."""
    hits = index.search(query, k, **search)
    wanted = brute(pages, query)
    scores = sorted(wanted.values(), reverse=True)[:k]
    assert [hit.score for hit in hits] == pytest.approx(scores, abs=1e-3)
    assert [hit.score for hit in hits] == pytest.approx([wanted[hit.page.number] for hit in hits], abs=1e-3)
    assert len({hit.page.number for hit in hits}) == len(hits)


def clustered(count: int, seed: int = 0, dim: int = DIM) -> Vectors:
    """Unit vectors around 40 directions."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(1).standard_normal((40, dim))
    vectors = centres[rng.integers(0, 40, count)] + 0.7 * rng.standard_normal((count, dim))
    unit: Vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return unit


def trained(index: PageIndex, seconds: float = 60) -> None:
    """Wait until nothing is trained any more."""
    until = time.monotonic() + seconds
    while index.stats().search.training:
        assert time.monotonic() < until
        time.sleep(0.02)


# -- flat: exact --------------------------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10**6), most=st.integers(1, 4), queries=st.integers(1, 3), k=st.integers(1, 40),
    rounds=st.integers(1, 4), metric=st.sampled_from(["ip", "cosine"]),
)  # fmt: skip
def test_flat_search_is_comparing_with_every_page(
    seed: int, most: int, queries: int, k: int, rounds: int, metric: Metric
) -> None:
    rng = np.random.default_rng(seed)
    embedder = Given(metric=metric)
    pages: dict[int, Vectors] = {}
    ids: dict[int, str] = {}
    with PageIndex.open(embedder=embedder) as index:
        for _ in range(rounds):
            new = {}
            for number in rng.integers(0, 60, rng.integers(1, 30)).tolist():
                if number not in ids:
                    vectors = rng.standard_normal((rng.integers(0 if most > 1 else 1, most + 1), DIM)).astype(np.float32)
                    if metric == "cosine":
                        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
                    new[number] = embedder.page(vectors, number, third=number % 3)
                    pages[number], ids[number] = vectors, new[number].id
            index.add(new.values())
            gone = [number for number in ids if rng.random() < 0.3]
            assert index.delete(ids.pop(number) for number in gone) == len(gone)
            back = [number for number in gone if rng.random() < 0.3]  # equal pages again, in new rows
            index.add(new[number] for number in back if number in new)
            ids |= {number: new[number].id for number in back if number in new}
            pages = {number: pages[number] for number in ids}
            query = rng.standard_normal((queries, DIM)).astype(np.float32)
            if metric == "cosine":
                query /= np.linalg.norm(query, axis=1, keepdims=True)
            assert_best(index, pages, query, k)
            third = {number: own for number, own in pages.items() if number % 3 == 1}
            if third:
                assert_best(index, third, query, k, filter={"third": 1})
        assert index.verify() == []


@pytest.mark.parametrize("queries", [1, 4])
@pytest.mark.parametrize("per_page", [1, 5])
def test_flat_search_of_many_pages(queries: int, per_page: int) -> None:
    embedder, vectors = Given(), clustered(1500 * per_page).reshape(1500, per_page, DIM)
    pages = dict(enumerate(vectors))
    with PageIndex.open(embedder=embedder) as index:
        ids = index.add(embedder.page(own, n, half=n % 2, rare=n % 499 == 7) for n, own in pages.items())
        index.delete(ids[::5])
        pages = {n: own for n, own in pages.items() if n % 5}
        query = clustered(1, seed=5) + 0.1 * clustered(queries, seed=6)  # parts of one question are about one thing
        for k in (1, 10, 300):
            assert_best(index, pages, query, k)
            assert_best(index, {n: own for n, own in pages.items() if n % 2}, query, k, filter={"half": 1})
            assert_best(index, {n: own for n, own in pages.items() if n % 499 == 7}, query, k, filter={"rare": True})
        assert_best(index, pages, query, 2000)


# -- trained ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def many() -> tuple[Given, list[Page]]:
    """3,000 pages of one vector."""
    embedder = Given()
    pages = [embedder.page(own, n, third=n % 3, rare=n % 499 == 7) for n, own in enumerate(clustered(3000))]
    return embedder, pages


@pytest.mark.parametrize("quantizer", ["fp16", "sq8", "pq"])
def test_a_trained_index_finds_what_it_says_it_finds(many: tuple[Given, list[Page]], quantizer: Any) -> None:
    embedder, pages = many
    with PageIndex.open(embedder=embedder, ann=Ann("ivf", quantizer=quantizer)) as index:
        index.add(pages)
        assert len(index.search(clustered(1, 9), 10)) == 10  # answered while it is trained
        trained(index)
        stats = index.stats().search
        assert (stats.kind, stats.pages, stats.vectors, stats.quantizer) == ("ivf", 3000, 3000, quantizer)
        assert 0 < stats.nprobe <= stats.nlist and stats.reached == (stats.recall >= 0.98)
        assert stats.recall >= (0.9 if quantizer == "pq" else 0.98)
        vectors = halves(clustered(3000))
        asked = range(1, 3000, 25)  # pages of its own, each to find the ten nearest others
        nearest = {n: set(np.argsort(-(vectors @ vectors[n]))[:11].tolist()) - {n} for n in asked}
        hits = {n: {hit.page.number for hit in index.search(vectors[n], 11)} - {n} for n in asked}
        assert sum(len(nearest[n] & hits[n]) for n in asked) / 10 / len(asked) == pytest.approx(stats.recall, abs=0.02)
        hit = index.search(vectors[4], 1)[0]
        assert hit.page.number == 4 and hit.score == pytest.approx(float(vectors[4] @ vectors[4]), abs=1e-6)  # exact


def test_a_trained_index_gives_exactly_k(many: tuple[Given, list[Page]]) -> None:
    embedder, pages = many
    with PageIndex.open(embedder=embedder, ann=Ann("ivf", nlist=60, nprobe=1)) as index:
        ids = index.add(pages)
        index.search(clustered(1), 1)
        trained(index)
        index.delete(ids[::4])
        left = {n: own for n, own in enumerate(clustered(3000)) if n % 4}
        for seed in range(2):
            query = clustered(1, seed)
            for k in (1, 10, 2000):
                hits = index.search(query, k)
                assert len({hit.page.number for hit in hits} & left.keys()) == k == len(hits)
                third = index.search(query, k, filter={"third": 2})
                assert len(third) == min(k, 750) and all(hit.page.number % 3 == 2 and hit.page.number % 4 for hit in third)
            assert len(index.search(query, 10_000)) == 2250
            assert_best(index, {n: own for n, own in left.items() if n % 499 == 7}, query, 20, filter={"rare": True})
            assert len(index.search(np.concatenate([query, clustered(2, 50)]), 2000)) == 2000
        assert index.delete(ids) == 2250
        assert index.search(query, 5) == []
        index.add(pages[:30])
        assert len(index.search(query, 40)) == 30
        assert index.verify() == []


def test_pages_of_many_vectors_in_a_trained_index() -> None:
    embedder, vectors = Given(), clustered(400 * 8).reshape(400, 8, DIM)
    with PageIndex.open(embedder=embedder, ann=Ann("ivf")) as index:
        ids = index.add(embedder.page(own, n) for n, own in enumerate(vectors))
        index.search(vectors[0], 1)
        trained(index)
        assert index.stats().search.kind == "ivf" and index.stats().search.pages == 400
        index.delete(ids[:2])
        pages = {n: own for n, own in enumerate(vectors) if n > 1}
        for n in (0, 7, 133):
            assert_best(index, pages, vectors[n], 5)
            assert_best(index, pages, vectors[n], 400)


def test_an_index_that_cannot_reach_the_recall_says_so(many: tuple[Given, list[Page]]) -> None:
    embedder, pages = many
    with PageIndex.open(embedder=embedder, ann=Ann("ivf", nprobe=1, recall=1.0)) as index:
        index.add(pages)
        index.search(clustered(1), 1)
        trained(index)
        stats = index.stats().search
        assert stats.nprobe == 1 and stats.recall < 1 and not stats.reached


def test_training_waits_for_a_size_and_is_done_again_when_outgrown(many: tuple[Given, list[Page]]) -> None:
    embedder, pages = many
    with PageIndex.open(embedder=embedder, ann=Ann(threshold=1200)) as index:
        cells = []
        for start in range(0, 3000, 600):
            index.add(pages[start : start + 600])
            assert len(index.search(clustered(1), 10)) == 10
            trained(index)
            cells.append(index.stats().search.nlist)
        assert cells[0] == 0 < cells[1] == cells[2] < cells[4]
        assert index.stats().search.vectors == 3000


@pytest.mark.parametrize("disk", [True, False])
def test_what_happens_during_training_is_not_lost(many: tuple[Given, list[Page]], disk: bool, tmp_path: Path) -> None:
    embedder, pages = many
    with PageIndex.open(tmp_path / "index" if disk else None, embedder, ann=Ann("ivf")) as index:
        ids = index.add(pages[:2000])
        index.search(clustered(1), 1)
        deleted = added = 0
        while index.stats().search.training or added < 5:
            if added < 200:
                deleted += index.delete([ids[7 * deleted]])
                index.add([pages[2000 + added]])
                added += 1
            assert len(index.search(clustered(1, added), 10)) == 10
        stats = index.stats().search
        assert (stats.kind, stats.pages) == ("ivf", 2000 + added - deleted)
        found = {hit.page.id for hit in index.search(clustered(1), 5000)}
        assert found == set(index.ids())
        assert index.verify() == []


def test_close_stops_training_and_opening_takes_it_up(tmp_path: Path) -> None:
    embedder, vectors = Given(64), clustered(5000, dim=64)
    with PageIndex.open(tmp_path / "index", embedder, ann=Ann("flat")) as index:
        index.add(embedder.page(own, n) for n, own in enumerate(vectors))
    index = PageIndex.open(tmp_path / "index", embedder, ann=Ann("ivf", nlist=120))
    assert index.search(vectors[5], 1)[0].page.number == 5
    assert index.stats().search.training
    began = time.monotonic()
    index.close()
    assert time.monotonic() - began < 3
    with PageIndex.open(tmp_path / "index", embedder, ann=Ann("ivf", nlist=120)) as index:
        assert index.stats().search.kind == "flat"
        assert index.search(vectors[5], 1)[0].page.number == 5
        assert index.stats().search.training
        trained(index)
        assert index.stats().search.kind == "ivf"
    with PageIndex.open(tmp_path / "index", embedder, ann=Ann("ivf", nlist=120)) as index:
        assert index.stats().search.nlist == 120
        assert index.search(vectors[5], 1)[0].page.number == 5
        assert not index.stats().search.training
    with PageIndex.open(tmp_path / "index", embedder, ann=Ann("flat")) as index:
        assert index.search(vectors[5], 1)[0].page.number == 5
        assert index.stats().search.kind == "flat"


def test_a_process_that_ends_during_training_just_ends(tmp_path: Path) -> None:
    code = f"""
        import sys
        sys.path[:0] = {[str(Path(__file__).parent), str(Path(__file__).parents[1])]!r}
        from test_vectors import Ann, Given, PageIndex, clustered
        embedder, vectors = Given(64), clustered(4000, dim=64)
        index = PageIndex.open(embedder=embedder, ann=Ann("ivf", nlist=100))
        index.add(embedder.page(own, n) for n, own in enumerate(vectors))
        index.search(vectors[0], 1)
        print(index.stats().search.training or index.stats().search.kind)
    """
    ended = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=60, check=False
    )
    assert (ended.returncode, ended.stderr) == (0, "") and ended.stdout in ("True\n", "ivf\n")


def test_training_that_fails_is_told_and_leaves_a_flat_index(
    many: tuple[Given, list[Page]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("no memory")

    monkeypatch.setattr("glyph_integrations.index.training.ivf_index", fail)
    embedder, pages = many
    with PageIndex.open(embedder=embedder, ann=Ann("ivf")) as index:
        index.add(pages[:500])
        index.add(pages[500:1000])
        index.search(clustered(1), 1)
        trained(index)
        with pytest.warns(RuntimeWarning, match="no memory"):
            assert_best(index, dict(enumerate(clustered(3000)[:1000])), clustered(1, 3), 10)
        assert_best(index, dict(enumerate(clustered(3000)[:1000])), clustered(1, 4), 10)
        assert index.stats().search.kind == "flat"


@pytest.mark.parametrize(
    "bad", [{"kind": "hnsw"}, {"quantizer": "int4"}, {"threshold": 0}, {"nlist": -1}, {"nprobe": 1.5}, {"recall": 0}]
)
def test_settings_that_cannot_be_are_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(QueryError, match=next(iter(bad))):
        Ann(**bad)


# -- keeping up ---------------------------------------------------------------------------------------------------------


def test_a_large_add_leaves_little_to_the_first_search(many: tuple[Given, list[Page]], tmp_path: Path) -> None:
    embedder, pages = many
    with PageIndex.open(tmp_path / "index", embedder) as index:
        index.add(iter(pages))
        assert index.stats().search.pages == 3000
    with PageIndex.open(tmp_path / "index", embedder) as index:
        index.add([embedder.page(clustered(1, 77), 7777)])
        assert index.search(clustered(1, 77), 1)[0].page.number == 7777


def test_deleted_vectors_are_taken_out_by_the_tenth(many: tuple[Given, list[Page]], tmp_path: Path) -> None:
    embedder, pages = many
    with PageIndex.open(tmp_path / "index", embedder) as index:
        ids = index.add(pages[:1000])
        vectors = halves(clustered(1000 + 2000)[:1000])
        assert index.search(vectors[0], 1)[0].page.number == 0
        held = []
        for n in range(0, 200, 20):
            index.delete(ids[n : n + 20])
            assert index.search(vectors[n], 1)[0].page.number >= n + 20
            held.append(index.stats().search.vectors)
        assert held[:5] == [1000] * 5  # a tenth of all may stay
        assert held[5:] == [880] * 5
    with PageIndex.open(tmp_path / "index", embedder) as index:
        assert index.search(vectors[201], 1)[0].page.number == 201
        assert (index.stats().search.pages, index.stats().search.vectors) == (800, 800)


# -- odd values ---------------------------------------------------------------------------------------------------------


@pytest.fixture(params=["flat", "ivf"])
def mixed(request: pytest.FixtureRequest, many: tuple[Given, list[Page]]) -> Iterator[tuple[PageIndex, Given]]:
    embedder, pages = many
    with PageIndex.open(embedder=embedder, ann=Ann(request.param)) as index:
        index.add(pages[:1500])
        index.add([embedder.page([], 9001), embedder.page(np.zeros(DIM), 9002), embedder.page(np.full((2, DIM), 50), 9003)])
        index.search(clustered(1), 1)
        trained(index)
        yield index, embedder


def test_pages_without_vectors_or_of_nothing(mixed: tuple[PageIndex, Given]) -> None:
    index, embedder = mixed
    ones = np.ones(DIM, dtype=np.float32)
    assert index.search(ones, 1)[0].page.number == 9003
    everything = {hit.page.number: hit.score for hit in index.search(ones, 10_000)}
    assert len(everything) == 1502 and 9001 not in everything and everything[9002] == 0
    assert len(index.search(np.zeros(DIM, dtype=np.float32), 10)) == 10
    numbers = [9001, 9002]
    assert [hit.page.number for hit in index.search(ones, 5, filter={"glyph_n": {"$in": numbers}})] == [9002]
    assert [len(v) for v in index.vectors([page.id for page in index.pages(filter={"glyph_n": {"$in": numbers}})])] == [0, 1]
    with pytest.raises(QueryError):
        index.search(np.full(DIM, np.nan, dtype=np.float32))
    with pytest.raises(ModelError):
        index.add([embedder.page(np.full(DIM, np.nan), 9009)])
    assert len(index) == 1503


def test_an_empty_index_finds_nothing() -> None:
    embedder = Given()
    with PageIndex.open(embedder=embedder, ann=Ann("ivf")) as index:
        assert index.search(np.ones(DIM, dtype=np.float32)) == []
        assert index.stats().search.pages == 0
        index.add([embedder.page([], 1)])
        assert index.search(np.ones((3, DIM), dtype=np.float32), 5) == []
        assert index.vectors([]) == []


# -- diversity ----------------------------------------------------------------------------------------------------------


def test_diverse_pages_are_near_the_question_and_unlike_each_other() -> None:
    embedder = Given(metric="cosine")
    axes = np.eye(DIM, dtype=np.float32)
    near = [axes[0] + 0.02 * (n + 1) * axes[5 + n] for n in range(5)]  # five that say the same
    with PageIndex.open(embedder=embedder) as index:
        index.add(embedder.page(own, n, kind=n % 2) for n, own in enumerate([*near, axes[0] + axes[1], axes[2], []]))
        query = axes[0] + 0.8 * axes[1]

        def numbers(**arguments: Any) -> list[int]:
            return [hit.page.number for hit in index.diverse(query, **arguments)]

        assert numbers(k=3, lambda_mult=1) == [hit.page.number for hit in index.search(query, 3)]
        first = index.search(query, 1)[0].page.number
        assert numbers(k=2)[0] == numbers(k=2, lambda_mult=0)[0] == first == 5
        assert len(set(numbers(k=3)) & {0, 1, 2, 3, 4}) == 1
        assert numbers(k=2, lambda_mult=0) == [5, 6]
        assert len(numbers(k=7)) == 7 == len(set(numbers(k=7)))
        assert set(numbers(k=9, filter={"kind": 1})) == {1, 3, 5}
        assert numbers(k=2, fetch_k=1) == numbers(k=2, fetch_k=2)
        for wrong in ({"lambda_mult": 1.5}, {"k": 0}, {"mode": "magic"}):
            with pytest.raises(QueryError):
                index.diverse(query, **wrong)  # type: ignore[arg-type]


def test_diverse_pages_by_words_alone() -> None:
    with PageIndex.open() as index:
        texts = ["bears like honey", "bears like honey!", "bears like honey?", "bears sleep all winter", "a river"]
        index.add(Page(text, STYLE, (), number=n) for n, text in enumerate(texts))
        assert {hit.page.number for hit in index.search("bears like", 2)} <= {0, 1, 2}
        assert [hit.page.number for hit in index.diverse("bears like", 2)][1] == 3
        assert index.diverse("zebra", 2) == index.diverse(" ", 2) == []


# -- MaxSim -------------------------------------------------------------------------------------------------------------


@settings(max_examples=50, deadline=None)
@given(
    counts=st.lists(st.integers(0, 4), max_size=8), queries=st.integers(1, 3), found=st.integers(1, 6),
    seed=st.integers(0, 10**6),
)  # fmt: skip
def test_max_sim_and_its_estimate_from_above(counts: list[int], queries: int, found: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    pages = [rng.integers(-3, 4, (count, 3)).astype(np.float32) for count in counts]
    query = rng.integers(-3, 4, (queries, 3)).astype(np.float32)
    exact = Bags.of(range(len(pages)), pages, 3).max_sim(query)
    true = {n: float((query @ own.T).max(axis=1).mean()) for n, own in enumerate(pages) if len(own)}
    assert dict(zip(exact.rows.tolist(), exact.scores.tolist(), strict=True)) == pytest.approx(true, abs=1e-5)
    assert exact.scores.tolist() == sorted(exact.scores.tolist(), reverse=True)
    if not true:
        return
    products = query @ np.concatenate(pages).T
    ids = np.repeat(np.arange(len(pages)), counts)
    best = np.argsort(-products, axis=1)[:, :found]
    scores = np.take_along_axis(products, best, axis=1)
    pad = ((0, 0), (0, max(0, found - scores.shape[1])))
    guess = estimated(np.pad(ids[best], pad, constant_values=-1), np.pad(scores, pad, constant_values=-np.inf))
    assert set(guess.rows.tolist()) == set(ids[best].ravel().tolist())
    assert all(score >= true[row] - 1e-5 for row, score in zip(guess.rows.tolist(), guess.scores.tolist(), strict=True))
