"""What an index holds: add, get, delete, sync, filters, search; in memory and on disk alike."""

from __future__ import annotations

import json
import tempfile
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from glyph_integrations.embedding import LexicalEmbedder
from glyph_integrations.embedding.embedder import Metric, Vectors
from glyph_integrations.errors import GlyphError, IndexMismatchError, ModelError, PageFormatError, QueryError
from glyph_integrations.index import Mode, PageIndex, Synced
from glyph_integrations.page import Fragment, Page, Scalar
from glyph_integrations.rendering import Renderer
from glyph_integrations.rendering.fonts import FontSet
from glyph_integrations.style import PageStyle

STYLE = PageStyle(newline="keep")


def page(text: str, source: str = "a.txt", number: int = 1, start: int = 0, **metadata: Scalar) -> Page:
    lines = ((Fragment(0, len(text), 10, 100),),) if text else ()
    return Page(text=text, style=STYLE, lines=lines, source=source, number=number, start=start, metadata=metadata)


class Letters:
    """Counts of a to z: a vector per line of the page, and one for a query (or one per line of it)."""

    name, revision, dim, stored = "letters", "1", 26, True

    def __init__(self, metric: Metric = "cosine") -> None:
        self.metric: Metric = metric
        self.calls: list[str] = []

    def embed_pages(self, pages: Sequence[Page]) -> list[Vectors]:
        self.calls += [page.text for page in pages]
        return [self._embed(page.text) for page in pages]

    def embed_query(self, text: str) -> Vectors:
        return self._embed(text)

    def _embed(self, text: str) -> Vectors:
        rows = [[line.lower().count(chr(97 + i)) for i in range(26)] for line in text.splitlines()]
        return np.array(rows, dtype=np.float32).reshape(-1, 26)


@pytest.fixture(params=["memory", "disk"])
def index(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[PageIndex]:
    with PageIndex.open(None if request.param == "memory" else tmp_path / "new" / "index") as index:
        yield index


TOWNS = [
    page("Vienna lies on the river Danube.", "towns.txt", 1, land="Austria", people=2_000_000, capital=True),
    page("Basel lies on the river Rhine.", "towns.txt", 2, land="Switzerland", people=170_000, capital=False),
    page("Bern has bears and a river called Aare.", "towns.txt", 3, land="Switzerland", people=130_000, capital=True),
    page("黑豹队的防守只丢了 308分，在联赛中排名第六。", "zh.txt", 1),
]


def test_what_was_added_comes_back_equal(index: PageIndex) -> None:
    ids = index.add(TOWNS)
    assert ids == [p.id for p in TOWNS]
    assert len(index) == 4
    assert list(index) == index.get(ids) == TOWNS
    assert [p.metadata for p in index] == [p.metadata for p in TOWNS]
    assert index.sources() == {"towns.txt": 3, "zh.txt": 1}
    assert [p.number for p in index.pages(source="towns.txt")] == [1, 2, 3]
    assert ids[0] in index and "nothing" not in index and 7 not in index
    assert index.get(["nothing", ids[2], ids[0]]) == [TOWNS[2], TOWNS[0]]
    assert index.verify() == []


def test_odd_texts_and_metadata_come_back_equal(index: PageIndex) -> None:
    odd = [page(""), page("a\x00b"), page("\ud800 lone", "\udcff.txt"), page("x", "", 2, **{'q"$.': "\ud800", "glyph_mine": 1})]
    index.add(odd)
    assert [(p, dict(p.metadata)) for p in index] == [(p, dict(p.metadata)) for p in odd]
    assert index.ids({'q"$.': "\ud800"}) == [odd[3].id]
    assert set(index.sources()) == {"a.txt", "\udcff.txt", ""}


def test_add_streams_and_keeps_the_order_of_its_input(index: PageIndex) -> None:
    taken = []

    def stream() -> Iterator[Page]:
        for n in range(600):
            taken.append(len(index))
            yield page(f"page number {n % 500}", number=n % 500)

    ids = index.add(stream())
    assert len(ids) == 600 and ids[:100] == ids[500:]
    assert len(index) == 500
    assert taken[0] == 0 and taken[300] == 256 and taken[-1] == 500  # earlier batches were stored by then


def test_adding_again_replaces_and_costs_nothing_when_equal(index: PageIndex) -> None:
    index.add(TOWNS)
    moved = [page(p.text, p.source, p.number + 1, start=7, **p.metadata) for p in TOWNS]
    assert index.add([*moved, moved[0]]) == [p.id for p in [*TOWNS, TOWNS[0]]]
    assert len(index) == 4
    assert [(p.number, p.start) for p in index] == [(p.number + 1, 7) for p in TOWNS]
    assert index.search("Danube", k=9)[0].page == moved[0]


def test_delete_removes_only_what_it_names(index: PageIndex) -> None:
    ids = index.add(TOWNS)
    assert index.search("river Rhine", k=9)[0].page == TOWNS[1]
    assert index.delete([ids[1], ids[1], "nothing"]) == 1
    assert index.delete([ids[1]]) == 0
    assert [p.number for p in index.pages("towns.txt")] == [1, 3]
    assert TOWNS[1] not in [hit.page for hit in index.search("river Rhine", k=9)]
    assert index.delete_source("towns.txt") == 2
    assert index.delete_source("towns.txt") == 0
    assert list(index) == [TOWNS[3]]
    assert index.add(TOWNS) == ids
    assert index.search("river Rhine", k=9)[0].page == TOWNS[1]
    assert index.verify() == []


def test_sync_adds_what_is_new_and_drops_what_is_gone(index: PageIndex) -> None:
    assert index.sync("towns.txt", TOWNS[:3]) == Synced(3, 0, 0, 0)
    index.add([TOWNS[3]])
    new = [TOWNS[0], page("Linz lies on the Danube too.", "towns.txt", 2), page(TOWNS[2].text, "towns.txt", 4)]
    assert index.sync("towns.txt", new) == Synced(1, 1, 1, 1)
    assert sorted(p.id for p in index.pages("towns.txt")) == sorted(p.id for p in new)
    assert TOWNS[3].id in index
    assert index.sync("towns.txt", []) == Synced(0, 0, 0, 3)
    with pytest.raises(PageFormatError, match=r"zh\.txt"):
        index.sync("towns.txt", TOWNS)


@pytest.mark.parametrize("mode", ["hybrid", "dense", "lexical"])
def test_search_finds_the_page_in_every_mode_and_script(index: PageIndex, mode: Mode) -> None:
    index.add(TOWNS)
    assert index.search("Which town has bears?", mode=mode)[0].page == TOWNS[2]
    assert index.search("黑豹队丢了多少分？", mode=mode)[0].page == TOWNS[3]
    hits = index.search("a river called Danube", k=100, mode=mode)
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    assert all(0 < hit.relevance <= 1 for hit in hits if hit.score > 0)
    assert len(index.search("river", k=1, mode=mode)) == 1


@pytest.mark.parametrize("mode", ["hybrid", "dense", "lexical"])
def test_nothing_matching_is_an_empty_answer(index: PageIndex, mode: Mode) -> None:
    assert index.search("anything", mode=mode) == []
    index.add(TOWNS)
    assert index.search("", mode=mode) == index.search(" ?! ", mode=mode) == index.search("zzzz qqqq", mode=mode) == []
    index.delete(index.ids())
    assert index.search("river", mode=mode) == []


def test_relevance_grows_with_the_share_of_the_question(index: PageIndex) -> None:
    index.add(TOWNS)
    whole, part = index.search("river Danube Vienna")[0], index.search("Danube steamship captains gambling")[0]
    assert whole.page == part.page == TOWNS[0]
    assert whole.relevance > part.relevance > 0


@pytest.mark.parametrize(
    ("filter", "numbers"),
    [
        ({}, [1, 2, 3, 1]),
        ({"land": "Switzerland"}, [2, 3]),
        ({"land": "Switzerland", "capital": True}, [3]),
        ({"people": 170_000.0}, [2]),
        ({"people": "170000"}, []),
        ({"land": {"$in": ["Austria", "Norway"]}}, [1]),
        ({"land": {"$in": []}}, []),
        ({"land": None}, [1]),
        ({"capital": {"$in": [None, True]}}, [1, 3, 1]),
        ({"source": "zh.txt"}, [1]),
        ({"glyph_source": "towns.txt", "glyph_n": {"$in": [2, 3]}}, [2, 3]),
        ({"unknown": {"$exists": True, "$eq": 1}}, []),
        ({"land": "x' OR 1=1 --"}, []),
    ],
)
def test_filters(index: PageIndex, filter: dict[str, object], numbers: list[int]) -> None:
    index.add(TOWNS)
    assert [p.number for p in index.pages(filter=filter)] == numbers
    assert len(index.ids(filter)) == len(numbers)
    found = index.search("river 黑豹", k=9, filter=filter)
    assert sorted(hit.page.number for hit in found) == sorted(numbers)
    assert len(index.search("river 黑豹", k=9, filter=filter, mode="dense")) == len(numbers)


def test_the_callers_own_source_is_filtered_on_before_the_pages() -> None:
    with PageIndex.open() as index:
        mine = Page("one", STYLE, (), source="a.txt", metadata={"source": "web"})
        index.add([mine, page("two", "web")])
        assert sorted(p.text for p in index.pages(filter={"source": "web"})) == ["one", "two"]
        assert index.ids({"source": "a.txt"}) == []
        assert index.ids({"glyph_source": "a.txt"}) == [mine.id]


@pytest.mark.parametrize("mode", ["hybrid", "dense", "lexical"])
@pytest.mark.parametrize("embedder", [LexicalEmbedder(256), Letters()])
def test_a_filter_gives_exactly_k(mode: Mode, embedder: LexicalEmbedder | Letters) -> None:
    with PageIndex.open(embedder=embedder) as index:
        index.add(page(f"river number {n}\nwith stones", number=n, tenth=n % 10, rare=n % 397 == 0) for n in range(800))
        assert len(index.search("river", k=7, filter={"rare": True}, mode=mode)) == 3
        assert len(index.search("river", k=80, filter={"tenth": 3}, mode=mode)) == 80
        hits = index.search("river", k=50, filter={"tenth": {"$in": [3, 4]}}, mode=mode)
        assert len(hits) == 50 and {hit.page.metadata["tenth"] for hit in hits} <= {3, 4}


@pytest.mark.parametrize(
    "arguments",
    [
        {"k": 0}, {"k": -1}, {"k": True}, {"mode": "magic"}, {"filter": {"a": {"$near": 1}}}, {"filter": {"a": {}}},
        {"filter": {"a": {"$in": "abc"}}}, {"filter": {"a": [1]}}, {"filter": {"a": float("nan")}}, {"filter": {1: 1}},
        {"filter": {"glyph_lines": 1}}, {"filter": {"unknown": 1}}, {"query": np.ones(3, dtype=np.float32)},
        {"query": np.full(8192, np.nan, dtype=np.float32)}, {"query": ["river"]}, {"query": [[1.0, 2.0], [3.0]]},
    ],
)  # fmt: skip
def test_a_search_that_cannot_be_run_says_so(arguments: dict[str, object]) -> None:
    with PageIndex.open() as index:
        index.add(TOWNS)
        with pytest.raises(QueryError):
            index.search(**{"query": "river", **arguments})  # type: ignore[arg-type]


def test_one_string_is_not_taken_for_a_list_of_ids(index: PageIndex) -> None:
    (first, *_) = index.add(TOWNS)
    for ask in (index.delete, index.get, index.vectors):
        with pytest.raises(QueryError, match="not one string"):
            ask(first)
    with pytest.raises(QueryError, match="not one string"):
        index.search_many("river")
    assert len(index) == len(TOWNS)


def test_what_is_no_embedder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="'all-MiniLM-L6-v2' is no embedder"):
        PageIndex.open(tmp_path / "index", "all-MiniLM-L6-v2")  # type: ignore[arg-type]
    assert not (tmp_path / "index").exists()


def test_bad_pages_are_refused_before_anything_is_written(index: PageIndex) -> None:
    for bad in ("text", page("x", number=1, bad=object()), page("x", number=1, bad=float("nan"))):  # type: ignore[arg-type]
        with pytest.raises(PageFormatError):
            index.add([TOWNS[0], bad])  # type: ignore[list-item]
    assert len(index) == 0


@pytest.mark.parametrize(("name", "first"), [("xquad12_zh", 0.95), ("xquad12_ar", 0.84), ("xquad12_en", 0.88)])
def test_the_default_search_finds_the_pages_that_answer(corpora: Path, name: str, first: float) -> None:
    if FontSet().face_for("中") is None and name.endswith("zh"):
        pytest.skip("no font with Chinese characters is installed: pages would hold a few codes each")
    document = json.loads((corpora / f"{name}.docs.jsonl").read_text(encoding="utf-8"))
    lines = (corpora / f"{name}.queries.jsonl").read_text(encoding="utf-8").splitlines()
    with PageIndex.open() as index:
        index.add(Renderer(STYLE.replace(height=100)).paginate(document["text"], source=name))
        assert len(index) > 15
        found = 0
        for question in map(json.loads, lines):
            best = index.search(question["question"], k=1)[0].page
            found += any(start < best.end and end > best.start for start, end in question["gold"])
    assert found / len(lines) >= first


# -- vectors ------------------------------------------------------------------------------------------------------------


def test_dense_scores_are_mean_maxsim() -> None:
    with PageIndex.open(embedder=Letters()) as index:
        index.add([page("aaa\nbbb"), page("ab"), page("ccc"), page("")])
        hits = index.search("aa\nb", mode="dense", k=9)
        assert [hit.page.text for hit in hits] == ["aaa\nbbb", "ab", "ccc"]
        assert [round(hit.score, 3) for hit in hits] == [1.0, round(2**-0.5, 3), 0.0]
        assert index.search("aa\nb", k=1)[0].relevance == pytest.approx(1, abs=1e-3)
        assert index.search(index.vectors([page("ccc").id])[0], k=1)[0].page.text == "ccc"
        assert index.search(np.eye(26, dtype=np.float32)[1], k=1)[0].page.text == "aaa\nbbb"


def test_dense_search_agrees_with_scoring_every_page() -> None:
    rng = np.random.default_rng(0)
    texts = ["\n".join("".join(rng.choice(list("abcdefgh"), 6)) for _ in range(rng.integers(1, 6))) for _ in range(300)]
    embedder = Letters()
    with PageIndex.open(embedder=embedder) as index:
        index.add(page(text, number=n) for n, text in enumerate(texts))
        index.delete(index.ids()[::7])
        query = index.search("abba\ncafe", k=20, mode="dense")
        pages = list(index)
        vectors = index.vectors([p.id for p in pages])
        mine = embedder.embed_query("abba\ncafe")
        mine = mine / np.linalg.norm(mine, axis=1, keepdims=True)
        scores = sorted(((mine @ v.T).max(axis=1).mean() for v in vectors), reverse=True)
        assert [hit.score for hit in query] == pytest.approx(scores[:20], abs=2e-3)


def test_hybrid_fuses_words_and_vectors() -> None:
    with PageIndex.open(embedder=Letters()) as index:
        index.add([page("listen to the band"), page("silent night"), page("tinsel"), page("zebra")])
        lexical, dense = (index.search("silent", k=2, mode=mode) for mode in ("lexical", "dense"))
        assert [hit.page.text for hit in lexical] == ["silent night"]
        assert dense[0].page.text == "tinsel"
        assert {hit.page.text for hit in index.search("silent", k=2)} == {"silent night", "tinsel"}


def test_equal_content_is_embedded_once_and_kept_while_needed() -> None:
    embedder = Letters()
    with PageIndex.open(embedder=embedder) as index:
        one, other = page("same text", "a.txt"), page("same text", "b.txt")
        index.add([one])
        index.add([one, other, page("same text", "a.txt", 9)])
        assert embedder.calls == ["same text"]
        index.delete([one.id])
        assert index.search("same", mode="dense")[0].page == other
        assert index.verify() == []
        index.delete([other.id])
        index.add([one])
        assert embedder.calls == ["same text"] * 2


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e9])
def test_vectors_that_are_no_numbers_are_refused(value: float) -> None:
    class Broken(Letters):
        def embed_pages(self, pages: Sequence[Page]) -> list[Vectors]:
            return [np.full((1, 26), value, dtype=np.float32) for _ in pages]

    with PageIndex.open(embedder=Broken("ip")) as index:
        with pytest.raises(ModelError, match="letters"):
            index.add([page("x")])
        assert len(index) == 0


# -- one index, many hands ----------------------------------------------------------------------------------------------


def test_threads_share_an_index(index: PageIndex) -> None:
    failures: list[BaseException] = []

    def work(worker: int) -> None:
        try:
            for n in range(8):
                mine = [page(f"worker {worker} round {n} page {i}", f"{worker}.txt", i) for i in range(4)]
                ids = index.add(mine)
                assert index.get(ids) == mine
                assert index.search(f"worker {worker} round {n}", k=3, filter={"source": f"{worker}.txt"})
                assert index.delete(ids[:2]) == 2
                list(index)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(index) == 4 * 8 * 2
    assert index.verify() == []


def test_a_closed_index_says_so(index: PageIndex) -> None:
    index.close()
    index.close()
    with pytest.raises(GlyphError, match="closed"):
        index.search("x")


def test_another_embedder_is_refused_by_name(tmp_path: Path) -> None:
    PageIndex.open(tmp_path / "words").close()
    PageIndex.open(tmp_path / "small", LexicalEmbedder(64)).close()
    PageIndex.open(tmp_path / "letters", Letters()).close()
    for name, embedder, told in (
        ("words", Letters(), ["lexical", "letters"]),
        ("words", LexicalEmbedder(64), ["8192", "64"]),
        ("letters", None, ["letters"]),
        ("letters", Letters("ip"), ["cosine", "ip"]),
    ):
        with pytest.raises(IndexMismatchError) as refused:
            PageIndex.open(tmp_path / name, embedder)
        assert all(word in str(refused.value) for word in told)
    with PageIndex.open(tmp_path / "small") as index:
        assert index.embedder.dim == 64
    PageIndex.open(tmp_path / "letters", Letters()).close()


def test_a_path_that_is_something_else_is_refused_and_left_alone(tmp_path: Path) -> None:
    file, folder = tmp_path / "file", tmp_path / "folder"
    file.write_text("mine")
    folder.mkdir()
    (folder / "notes.txt").write_text("mine")
    for path in (file, folder):
        with pytest.raises(IndexMismatchError, match=path.name):
            PageIndex.open(path)
        assert not PageIndex.exists(path)
    assert [p.name for p in folder.iterdir()] == ["notes.txt"]
    with pytest.raises(GlyphError):
        PageIndex.open(file / "below")
    (tmp_path / "empty").mkdir()
    PageIndex.open(tmp_path / "empty").close()
    assert PageIndex.exists(tmp_path / "empty")


# -- against a model ----------------------------------------------------------------------------------------------------

WORDS = ["river", "danube", "bears", "silent", "night", "黑豹队", "防守"]
pages_drawn = st.lists(
    st.builds(
        lambda words, source, number, tag: page(" ".join(words), source, number, tag=tag),
        st.lists(st.sampled_from(WORDS), min_size=1, max_size=3), st.sampled_from("ab"), st.integers(1, 3), st.integers(0, 2),
    ),
    max_size=6,
)  # fmt: skip


class AgainstDict(RuleBasedStateMachine):
    """An index does what a dict from id to page does, whatever happens in between."""

    @initialize(dense=st.booleans())
    def start(self, dense: bool) -> None:
        self.path = Path(tempfile.mkdtemp(dir=TEMPORARY[0]))
        self.make = Letters if dense else LexicalEmbedder
        self.index = PageIndex.open(self.path, self.make())
        self.model: dict[str, Page] = {}

    @rule(pages=pages_drawn)
    def add(self, pages: list[Page]) -> None:
        assert self.index.add(iter(pages)) == [p.id for p in pages]
        self.model |= {p.id: p for p in pages}

    @rule(pages=pages_drawn, source=st.sampled_from("ab"))
    def sync(self, pages: list[Page], source: str) -> None:
        mine = {p.id: p for p in pages if p.source == source}
        done = self.index.sync(source, [p for p in pages if p.source == source])
        assert done.added + done.updated + done.unchanged == len(mine)
        self.model = {key: p for key, p in self.model.items() if p.source != source} | mine

    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        ids = data.draw(st.lists(st.sampled_from([*sorted(self.model), "nothing"])))
        assert self.index.delete(ids) == len(set(ids) & set(self.model))
        self.model = {key: p for key, p in self.model.items() if key not in ids}

    @rule(lose=st.sampled_from(["", "bm25/state.json", "bm25/meta.json", "vectors.faiss"]))
    def reopen(self, lose: str) -> None:
        self.index.close()
        if lose:
            (self.path / lose).unlink(missing_ok=True)
        self.index = PageIndex.open(self.path, self.make())

    @rule(word=st.sampled_from(WORDS), tag=st.integers(0, 3), mode=st.sampled_from(["lexical", "dense", "hybrid"]))
    def search(self, word: str, tag: int, mode: Mode) -> None:
        among = {key for key, p in self.model.items() if p.metadata["tag"] == tag}
        found = {hit.page.id for hit in self.index.search(word, k=50, filter={"tag": tag}, mode=mode)}
        assert {key for key in among if word in self.model[key].text} <= found <= among

    @invariant()
    def same(self) -> None:
        if hasattr(self, "model"):
            assert {p.id: (p, p.number, p.metadata) for p in self.index} == {
                key: (p, p.number, p.metadata) for key, p in self.model.items()
            }
            assert len(self.index) == len(self.model)

    def teardown(self) -> None:
        if hasattr(self, "index"):
            assert self.index.verify() == []
            self.index.close()


TEMPORARY: list[Path] = []


def test_an_index_does_what_a_dict_does(tmp_path: Path) -> None:
    TEMPORARY[:] = [tmp_path]
    run_state_machine_as_test(AgainstDict, settings=settings(max_examples=25, stateful_step_count=15, deadline=None))
