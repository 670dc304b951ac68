"""How precisely vectors are kept: recorded, refused when it does not fit, and good enough to find pages by."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_index import STYLE
from test_vectors import Given, clustered, trained

from glyph_integrations.embedding.embedder import Metric, Vectors, unit
from glyph_integrations.embedding.pooling import pool_roughly
from glyph_integrations.errors import IndexMismatchError, ModelError, QueryError
from glyph_integrations.index import Ann, PageIndex, copy_index
from glyph_integrations.index.intake import FIRST
from glyph_integrations.index.precision import Form
from glyph_integrations.page import Page

SIZES = {"fp16": 2 * 16, "int8": 16 + 4, "bits": 2}
PRECISIONS: Any = pytest.mark.parametrize("precision", list(SIZES))


def bags(count: int, seed: int = 3) -> list[Vectors]:
    """Pages of 3 to 7 unit vectors of 16 numbers."""
    rng = np.random.default_rng(seed)
    return [
        own / np.linalg.norm(own, axis=1, keepdims=True) for own in (rng.standard_normal((3 + n % 5, 16)) for n in range(count))
    ]


def best(pages: dict[int, Vectors], query: Vectors) -> list[int]:
    """Numbers of pages by MaxSim."""
    scores = {number: float((query @ own.T).max(axis=1).mean()) for number, own in pages.items()}
    return sorted(scores, key=lambda number: -scores[number])


@given(st.integers(0, 30), st.integers(1, 40), st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_what_is_packed_comes_back_as_far_as_it_is_kept(count: int, dim: int, seed: int) -> None:
    vectors = np.random.default_rng(seed).standard_normal((count, dim)).astype(np.float32)
    largest = np.abs(vectors).max(axis=1, keepdims=True, initial=0)
    for precision, off in (("fp16", 2**-10), ("int8", 0.51 / 127)):
        form = Form(dim, precision)  # type: ignore[arg-type]
        data = form.pack(vectors)
        assert len(data) == count * form.size
        assert (np.abs(form.unpack(data) - vectors) <= off * largest + 1e-6).all()
    half = Form(dim)
    assert np.array_equal(half.unpack(half.pack(vectors)), vectors.astype(np.float16).astype(np.float32))
    signs = Form(dim, "bits")
    assert len(signs.pack(vectors)) == count * signs.size == count * -(-dim // 8)
    assert (np.sign(signs.unpack(signs.pack(vectors))) == np.where(vectors > 0, 1, -1)).all()


def test_every_finite_half_comes_back_as_it_is() -> None:
    every = np.arange(65536, dtype=np.uint16).view(np.float16)
    finite = every[np.isfinite(every)]
    assert np.array_equal(Form(1).unpack(finite.astype("<f2").tobytes())[:, 0], finite.astype(np.float32))


@PRECISIONS
def test_precision_is_recorded_and_need_not_be_said_again(precision: Any, tmp_path: Path) -> None:
    embedder, pages = Given(metric="cosine"), bags(40)
    with PageIndex.open(tmp_path / "index", embedder, precision=precision) as index:
        ids = index.add(embedder.page(own, n) for n, own in enumerate(pages))
    with sqlite3.connect(tmp_path / "index" / "pages.sqlite") as database:
        assert database.execute("SELECT sum(length(data)) FROM vectors").fetchone() == (
            SIZES[precision] * sum(map(len, pages)),
        )
    database.close()
    for said in (None, precision):
        with PageIndex.open(tmp_path / "index", embedder, precision=said) as index:
            assert index.precision == index.stats().precision == precision
            assert index.stats().vectors == sum(map(len, pages))
            kept = dict(enumerate(index.vectors(ids)))
            for query in (pages[7], pages[8][:1]):
                hits = index.search(query, 5)
                assert [hit.page.number for hit in hits] == best(kept, query)[:5]
                score = float((query @ kept[hits[0].page.number].T).max(axis=1).mean())
                assert hits[0].score == pytest.approx(score, abs=2e-3)
            assert index.verify() == []
    other: Any = next(one for one in SIZES if one != precision)
    with pytest.raises(IndexMismatchError, match=precision):
        PageIndex.open(tmp_path / "index", embedder, precision=other)


@pytest.mark.parametrize(("metric", "precision"), [("ip", "bits"), ("cosine", "fp8"), ("ip", "")])
def test_precision_that_cannot_be_is_refused_and_nothing_is_made(metric: Metric, precision: Any, tmp_path: Path) -> None:
    with pytest.raises(QueryError, match="precision"):
        PageIndex.open(tmp_path / "index", Given(metric=metric), precision=precision)
    assert not (tmp_path / "index").exists()


def test_an_index_from_before_there_was_a_choice_opens_as_half_precision(tmp_path: Path) -> None:
    import json

    from glyph_integrations.index.record import digest

    embedder = Given()
    with PageIndex.open(tmp_path / "index", embedder) as index:
        index.add([embedder.page(clustered(4), 1)])
    database = sqlite3.connect(tmp_path / "index" / "pages.sqlite")
    made = json.loads(database.execute("SELECT value FROM meta").fetchone()[0])
    del made["precision"]
    database.execute("UPDATE meta SET value = ?, checksum = ?", (json.dumps(made), digest(json.dumps(made))))
    database.commit()
    database.close()
    with PageIndex.open(tmp_path / "index", embedder) as index:
        assert index.precision == "fp16" and len(index.search(clustered(1), 3)) == 1
        assert index.verify() == []


@PRECISIONS
def test_a_copy_and_a_repair_keep_the_precision(precision: Any, tmp_path: Path) -> None:
    embedder, pages = Given(metric="cosine"), bags(20)
    with PageIndex.open(tmp_path / "index", embedder, precision=precision) as index:
        index.add(embedder.page(own, n) for n, own in enumerate(pages))
        copy_index(index, tmp_path / "copy")
        wanted = index.vectors(index.ids())
    assert PageIndex.repair(tmp_path / "index", embedder).kept == 20
    for name in ("index", "copy"):
        with PageIndex.open(tmp_path / name, embedder) as index:
            assert index.precision == precision and index.verify() == []
            for own, other in zip(index.vectors(index.ids()), wanted, strict=True):
                assert np.allclose(own, other, atol=3e-3)


def test_both_vector_stores_pass_it_on(tmp_path: Path) -> None:
    langchain = pytest.importorskip("glyph_integrations.langchain")
    llama_index = pytest.importorskip("glyph_integrations.llama_index")
    store = langchain.GlyphVectorStore.from_texts(["a page"], path=tmp_path / "one", precision="int8")
    assert store.index.precision == "int8"
    with pytest.raises(ValueError, match="not both"):
        langchain.GlyphVectorStore(index=store.index, precision="int8")
    assert llama_index.GlyphVectorStore(path=tmp_path / "two", precision="int8").client.precision == "int8"


# -- many vectors a page --------------------------------------------------------------------------------------------------


@given(st.integers(1, 90), st.integers(1, 20), st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_rough_pooling_keeps_at_most_so_many_of_the_same_length(count: int, most: int, seed: int) -> None:
    vectors = clustered(count, seed) * 3
    pooled = pool_roughly(vectors, most)
    assert 1 <= len(pooled) <= min(count, most) and pooled.dtype == np.float32
    assert np.allclose(np.linalg.norm(pooled, axis=1), 3, atol=1e-3)


def test_rough_pooling_joins_what_is_alike() -> None:
    centres = clustered(5, dim=64, seed=4)
    vectors = np.repeat(centres, 20, axis=0)
    assert np.allclose((pool_roughly(vectors, 5) @ centres.T).max(axis=1), 1, atol=1e-4)
    assert len(pool_roughly(np.zeros((9, 4), dtype=np.float32), 2)) >= 1


@pytest.fixture(scope="module")
def patches() -> tuple[Given, list[Page], list[Vectors]]:
    """2,000 pages of 24 near duplicates of 6 vectors, and questions of 5 from one page each."""
    embedder, rng, pages = Given(metric="cosine"), np.random.default_rng(5), []
    regions = clustered(2000 * 6, 6).reshape(2000, 6, 16)
    vectors = np.repeat(regions, 4, axis=1) + 0.05 * rng.standard_normal((2000, 24, 16))
    pages = [embedder.page(own, n) for n, own in enumerate(vectors)]
    questions = [
        unit((vectors[n][rng.permutation(24)[:5]] + 0.1 * rng.standard_normal((5, 16))).astype(np.float32))
        for n in rng.integers(0, 2000, 20)
    ]
    return embedder, pages, questions


@pytest.mark.parametrize("kind", ["flat", "ivf"])
def test_few_vectors_a_page_find_what_all_of_them_would(
    kind: Any, patches: tuple[Given, list[Page], list[Vectors]], tmp_path: Path
) -> None:
    embedder, pages, questions = patches
    with PageIndex.open(tmp_path / "index", embedder, ann=Ann(kind, page_vectors=6)) as index:
        ids = index.add(pages)
        index.search(questions[0], 10)
        trained(index)
        stats = index.stats().search
        assert stats.kind == kind and stats.pooled and 2000 * 5 < stats.vectors <= 2000 * 6
        assert kind == "flat" or stats.recall >= 0.98
        kept = dict(enumerate(index.vectors(ids)))
        found = [
            len({hit.page.number for hit in index.search(question, 10)} & set(best(kept, question)[:10]))
            for question in questions
        ]
        assert sum(found) >= 0.98 * 10 * len(questions)
        one = questions[0][:1]
        assert index.search(one, 1)[0].score == pytest.approx(
            max(float((one @ own.T).max()) for own in kept.values()), abs=2e-3
        )
        index.delete(ids[:100])
        assert all(hit.page.number >= 100 for hit in index.search(questions[0], 200))
        assert index.verify() == []
    with PageIndex.open(tmp_path / "index", embedder, ann=Ann(kind, page_vectors=6)) as index:
        assert index.search(questions[1], 3) and index.stats().search.pooled
    with PageIndex.open(tmp_path / "index", embedder, ann=Ann(kind, page_vectors=30)) as index:
        index.search(questions[1], 3)
        assert not index.stats().search.pooled and index.stats().search.pages == 1900


@pytest.mark.parametrize("kind", ["flat", "ivf"])
def test_questions_asked_together_are_answered_as_one_by_one(
    kind: Any, patches: tuple[Given, list[Page], list[Vectors]]
) -> None:
    embedder, pages, questions = patches
    asked: list[Any] = [*questions[:6], questions[6][0], "page 3 of 3", " ", questions[7][:1], "zebra"]
    embedder.told["page 3 of 3"], embedder.told["zebra"] = questions[8], questions[9]
    with PageIndex.open(embedder=embedder, ann=Ann(kind, page_vectors=6)) as index:
        index.add(pages)
        index.search(questions[0], 10)
        trained(index)
        for arguments in (
            {},
            {"filter": {"glyph_n": {"$gte": 1000}}},
            {"filter": {"glyph_n": {"$lt": 9}}},
            {"mode": "lexical"},
        ):
            together = index.search_many(asked, 7, **arguments)  # type: ignore[arg-type]
            for query, hits in zip(asked, together, strict=True):
                alone = index.search(query, 7, **arguments)  # type: ignore[arg-type]
                assert [hit.page.number for hit in hits] == [hit.page.number for hit in alone]
                assert [hit.score for hit in hits] == pytest.approx([hit.score for hit in alone], abs=1e-5)
        assert together[8] == [] and index.search_many([]) == []
        with pytest.raises(QueryError):
            index.search_many(asked, 0)


# -- slow embedders -------------------------------------------------------------------------------------------------------


class Slow(Given):
    """Takes its time, by a clock of its own, and stops in the middle."""

    def __init__(self, seconds: float, stop: int) -> None:
        super().__init__()
        self.seconds, self.stop = seconds, stop
        self.now, self.embedded = 0.0, 0
        self.batches: list[int] = []

    def embed_pages(self, pages: Sequence[Page]) -> list[Vectors]:
        self.batches.append(len(pages))
        self.now += self.seconds * len(pages)
        self.embedded += len(pages)
        if self.embedded > self.stop:
            raise ModelError("out of luck")
        return super().embed_pages(pages)


@pytest.mark.parametrize(("seconds", "most"), [(1.0, FIRST), (0.05, 200), (0.0, 256)])
def test_an_interruption_costs_some_seconds_of_a_slow_embedder(
    seconds: float, most: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    embedder = Slow(seconds, 700)
    monkeypatch.setattr("glyph_integrations.index.intake.time", SimpleNamespace(monotonic=lambda: embedder.now))
    pages = [embedder.page(own, n) for n, own in enumerate(clustered(1000))]
    with PageIndex.open(tmp_path / "index", embedder) as index:
        with pytest.raises(ModelError):
            index.add(pages)
        assert embedder.batches[0] == FIRST and max(embedder.batches) == most
        assert 700 - most <= len(index) <= 700
        assert seconds * embedder.batches[-1] <= 10  # what was lost, in seconds
        embedder.stop = 10**6
        kept, embedder.embedded = len(index), 0
        index.add(pages)
        assert len(index) == 1000 and embedder.embedded == 1000 - kept


def test_a_batch_is_no_larger_for_pages_that_are_there_already(tmp_path: Path) -> None:
    embedder = Slow(0, 10**6)
    page = Page("the same", STYLE, ())
    embedder.told["the same"] = clustered(1)
    with PageIndex.open(tmp_path / "index", embedder) as index:
        index.add([page] * 600)
        assert embedder.batches == [1] and len(index) == 1
