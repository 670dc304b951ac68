"""Filters on metadata: what they match, that every k of them is found, and that they keep up with the pages."""

from __future__ import annotations

import random
import shutil
import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from test_index import Letters, page

from glyph_integrations.embedding import LexicalEmbedder
from glyph_integrations.errors import IndexCorruptError, QueryError
from glyph_integrations.index import Mode, PageIndex
from glyph_integrations.page import Page

BOOKS = [
    page("one", "a.txt", 1, lang="en", year=1851, price=9.5, seen=True),
    page("two", "a.txt", 2, lang="de", year=1927, seen=False),
    page("three", "b.txt", 1, lang="en", year="unknown", price=12),
    page("four", "b.txt", 2, year=2001, tags=["sea", "whale", 7], lang=None),
    page("five", "c.txt", 1, lang="zh", tags=[], author={"name": "Wu"}),
]


@pytest.fixture(scope="module")
def books() -> Iterator[PageIndex]:
    with PageIndex.open() as index:
        index.add(BOOKS)
        yield index


@pytest.mark.parametrize(
    ("filter", "expected"),
    [
        ({}, "one two three four five"),
        ({"lang": "en"}, "one three"),
        ({"lang": {"$eq": "en"}, "year": 1851.0}, "one"),
        ({"lang": {"$ne": "en"}}, "two four five"),  # "four" and "five" count: they do not have it
        ({"lang": {"$ne": None}}, "one two three five"),
        ({"lang": {"$in": ["de", "zh", "fr"]}}, "two five"),
        ({"lang": {"$nin": ["de", "zh"]}}, "one three four"),
        ({"lang": {"$in": []}}, ""),
        ({"lang": {"$nin": []}}, "one two three four five"),
        ({"lang": None}, "four"),
        ({"tags": None}, "one two three five"),
        ({"lang": {"$in": [None, "zh"]}}, "four five"),
        ({"lang": {"$exists": True}}, "one two three four five"),
        ({"price": {"$exists": True}}, "one three"),
        ({"price": {"$exists": False}}, "two four five"),
        ({"year": {"$gt": 1851}}, "two four"),
        ({"year": {"$gte": 1851, "$lt": 2001}}, "one two"),
        ({"year": {"$lte": 1851.5}}, "one"),
        ({"year": {"$gt": "a"}}, "three"),
        ({"year": {"$lt": ""}}, ""),
        ({"lang": {"$gte": "en", "$lte": "zh"}}, "one three five"),
        ({"seen": 1}, "one"),
        ({"seen": {"$lt": True}}, "two"),
        ({"tags": "sea"}, "four"),
        ({"tags": {"$gt": 6}}, "four"),
        ({"tags": {"$ne": "sea"}}, "one two three five"),
        ({"author": {"$exists": True}}, "five"),
        ({"author": None}, "one two three four"),
        ({"$or": [{"lang": "de"}, {"price": {"$gt": 10}}]}, "two three"),
        ({"$or": [{"lang": "de"}], "seen": True}, ""),
        ({"$and": [{"lang": "en"}, {"$not": {"year": 1851}}]}, "three"),
        ({"$not": {"lang": "en", "year": 1851}}, "two three four five"),
        ({"$not": {"$or": [{"lang": "en"}, {"lang": {"$exists": True, "$eq": None}}]}}, "two five"),
        ({"source": "a.txt"}, "one two"),
        ({"glyph_source": {"$gt": "a.txt"}, "glyph_n": {"$lt": 2}}, "three five"),
        ({"glyph_id": {"$nin": [BOOKS[0].id, "unknown"]}}, "two three four five"),
        ({"lang": "x' OR 1=1 --"}, ""),
        ({"shelf": None}, "one two three four five"),
        ({"shelf": {"$exists": True, "$gt": 7}}, ""),
    ],
)
def test_what_a_filter_matches(books: PageIndex, filter: dict[str, Any], expected: str) -> None:
    assert " ".join(p.text for p in books.pages(filter=filter)) == expected
    assert books.ids(filter) == [p.id for p in BOOKS if p.text in expected.split()]


@pytest.mark.parametrize(
    ("filter", "told"),
    [
        ({"year": {"$near": 1}}, r"'year'.*\$near.*\$gte"),
        ({"$nor": [{"year": 1}]}, r"\$nor.*\$and"),
        ({"year": {}}, "no operator"),
        ({"year": [1851]}, r"\[1851\]"),
        ({"year": {"$in": "abc"}}, "list of values"),
        ({"year": {"$in": {"a": 1}}}, "list of values"),
        ({"year": {"$in": [object()]}}, "not a string"),
        ({"year": float("nan")}, "finite"),
        ({"year": {"$gt": float("inf")}}, "finite"),
        ({"year": {"$gt": None}}, "a number or a string"),
        ({"year": {"$gt": [1]}}, r"\[1\]"),
        ({"year": {"$exists": 1}}, "True or False"),
        ({"$and": []}, r"\$and.*one or more"),
        ({"$or": {"year": 1}}, r"\$or.*list"),
        ({"$not": [{"year": 1}]}, "a filter is a dict"),
        ({"$or": [{"year": 1}, None]}, "a filter is a dict"),
        ({7: 1}, "must be a string"),
        ({"glyph_lines": 1}, "glyph_source"),
        ({"yaer": 1851}, "no page has it; did you mean 'year'"),
        ({"$or": [{"lang": "en"}, {"$not": {"Lang": {"$ne": "en"}}}]}, "'Lang'.*'lang'"),
        ({"shelf": {"$ne": 3}}, "pages have .*lang, .*exists"),
    ],
)
def test_a_filter_that_cannot_be_kept_is_refused_with_a_reason(books: PageIndex, filter: dict[Any, Any], told: str) -> None:
    asked = (lambda: books.ids(filter), lambda: list(books.pages(filter=filter)), lambda: books.search("one", filter=filter))
    for ask in (*asked, lambda: books.delete(filter=filter)):
        with pytest.raises(QueryError, match=told):
            ask()
    assert len(books) == len(BOOKS)


def test_filters_nest_32_deep_and_no_deeper(books: PageIndex) -> None:
    filter: dict[str, Any] = {"lang": "en"}
    for _ in range(15):
        filter = {"$not": {"$and": [filter]}}
    assert len(books.ids({"$not": filter})) == 2  # 16 negations, 32 dicts
    filter["$not"] = filter
    with pytest.raises(QueryError, match="32 deep"):
        books.ids(filter)


def test_an_empty_index_answers_any_filter_with_nothing() -> None:
    with PageIndex.open() as index:
        assert index.ids({"anything": {"$gt": 1}}) == [] == index.search("x", filter={"anything": 1})
        ids = index.add(BOOKS)
        index.delete(filter={"lang": "en"})
        with pytest.raises(QueryError, match="'price'"):  # only deleted pages had one
            index.ids({"price": 12})
        index.delete(ids)
        assert index.ids({"anything": {"$gt": 1}}) == []


def test_long_texts_are_told_apart_and_ordered_by_their_beginning() -> None:
    texts = ["x" * 200, "x" * 300, "x" * 299 + "y", "x" * 199 + "é", "x" * 150 + "é" * 100, "w" * 500, "y"]
    with PageIndex.open() as index:
        ids = dict(zip(texts, index.add(page(str(n), url=text) for n, text in enumerate(texts)), strict=True))
        for text in texts:
            assert index.ids({"url": text}) == [ids[text]]
            assert len(index.ids({"url": {"$ne": text}})) == 6
            assert ids[text] in index.ids({"url": {"$gte": text, "$lte": text}})
        assert set(index.ids({"url": {"$gt": "x" * 200}})) == {*ids.values()} - {ids["x" * 200], ids["w" * 500]}


# -- against plain Python -----------------------------------------------------------------------------------------------

VALUES: list[Any] = [
    None, True, False, 0, 1, 1.0, -0.0, 0.1, -7.5, 1e300, 2**53, 2**53 + 1, float(2**53), 2**63 - 1, -(2**63), 2**63, 2**64 + 1,
    float(2**64), -(2**80), "", "1", "a", "A", "ä", "黑豹", "\ud800", "a\x00b", "null", "object", "x" * 300, "x" * 200,
]  # fmt: skip
FIELDS = ["a", "b", "a b", 'q"$.', "source"]
scalars = st.one_of(
    st.sampled_from(VALUES), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=3)
)
metadatas = st.dictionaries(
    st.sampled_from(FIELDS),
    st.one_of(scalars, scalars, st.lists(scalars, max_size=3), st.just([{}, [1]]), st.just({"a": 1})),
)
tests = st.one_of(
    scalars,
    st.dictionaries(
        st.sampled_from(["$eq", "$ne", "$gt", "$gte", "$lt", "$lte", "$in", "$nin", "$exists"]),
        st.none(), min_size=1, max_size=3,
    ).flatmap(
        lambda names: st.fixed_dictionaries(
            {
                name: st.booleans() if name == "$exists"
                else st.lists(scalars, max_size=3) if name in ("$in", "$nin")
                else scalars if name in ("$eq", "$ne")
                else scalars.filter(lambda value: value is not None)
                for name in names
            }
        )
    ),
)  # fmt: skip
filters = st.recursive(
    st.dictionaries(st.sampled_from([*FIELDS, "glyph_n", "glyph_source"]), tests, max_size=2),
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=2).map(lambda parts: {"$and": parts}),
        st.lists(inner, min_size=1, max_size=2).map(lambda parts: {"$or": parts}),
        inner.map(lambda part: {"$not": part}),
    ),
    max_leaves=4,
)
ANY = {"$or": [{}, *({name: {"$exists": True}} for name in FIELDS)]}
"""Matches everything, and allows fields that no page has."""


def matches(filter: Mapping[str, Any], p: Page) -> bool:
    """What the documentation says, in Python."""
    for name, wanted in filter.items():
        if name in ("$and", "$or"):
            holds = (all if name == "$and" else any)([matches(part, p) for part in wanted])
        elif name == "$not":
            holds = not matches(wanted, p)
        else:
            operators = wanted if isinstance(wanted, Mapping) else {"$eq": wanted}
            holds = all(passes(operator, operand, name, p) for operator, operand in operators.items())
        if not holds:
            return False
    return True


def passes(operator: str, operand: Any, field: str, p: Page) -> bool:
    found: dict[str, Any] = {**p.metadata, "glyph_n": p.number, "glyph_source": p.source}
    if field == "source" and found.get(field) is None:
        found[field] = p.source
    if operator == "$exists":
        return (field in found) == operand
    if operator in ("$ne", "$nin"):
        return not passes({"$ne": "$eq", "$nin": "$in"}[operator], operand, field, p)
    value = found.get(field)
    values = (value or [None]) if isinstance(value, list) else [value]
    values = [rounded(v) for v in values if not isinstance(v, list | dict)]
    if operator == "$in":
        return any(rounded(v) in values for v in operand)
    bound = rounded(operand)
    if operator == "$eq":
        return bound in values
    alike = [v for v in values if v is not None and isinstance(v, str) == isinstance(bound, str)]
    if operator.startswith("$gt"):
        return any(v > bound or (v == bound and operator == "$gte") for v in alike)
    return any(v < bound or (v == bound and operator == "$lte") for v in alike)


def rounded(value: Any) -> Any:
    return float(value) if isinstance(value, int) and not -(2**63) <= value < 2**63 else value


@settings(max_examples=100, deadline=None)
@given(st.lists(metadatas, max_size=6), st.lists(filters, min_size=1, max_size=4), st.sampled_from(["", "a"]))
def test_filters_match_what_plain_python_matches(metadata: list[dict[str, Any]], asked: list[Any], source: str) -> None:
    pages = [Page(f"page {n}", page("").style, (), source, n, metadata=values) for n, values in enumerate(metadata)]
    with PageIndex.open() as index:
        index.add(pages)
        for filter in asked:
            expected = [p.id for p in pages if matches(filter, p)]
            for _ in range(2):
                assert index.ids({"$and": [filter, ANY]}) == expected
            hits = index.search("page", k=9, filter={"$and": [filter, ANY]})
            assert {hit.page.id for hit in hits} == set(expected)


# -- exactly k ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["hybrid", "dense", "lexical"])
@pytest.mark.parametrize("embedder", [LexicalEmbedder(256), Letters()])
def test_every_operator_gives_exactly_k(mode: Mode, embedder: LexicalEmbedder | Letters) -> None:
    def words(n: int) -> str:
        return f"river number {n}\nwith stones" + (" and more of the river, river, river" if n % 2 else "")

    with PageIndex.open(embedder=embedder) as index:
        index.add(page(words(n), number=n, half=n % 2, tenth=n % 10, rare=n % 197 == 0) for n in range(400))
        for filter, count in (
            ({"half": 0}, 200),  # what the best pages for the question are not
            ({"half": {"$ne": 0}}, 200),
            ({"rare": True}, 3),
            ({"glyph_n": {"$lt": 45}, "half": 0}, 23),
            ({"$or": [{"tenth": {"$in": [3, 4]}}, {"rare": True}]}, 82),
            ({"$not": {"glyph_n": {"$gte": 17}}}, 17),
        ):
            allowed = set(index.ids(filter))
            assert len(allowed) == count
            for k in (1, 10, 50, 300):
                hits = index.search("river", k=k, filter=filter, mode=mode)
                assert len({hit.page.id for hit in hits}) == len(hits) == min(k, count), (filter, k)
                assert {hit.page.id for hit in hits} <= allowed


def test_a_common_filter_ranks_as_a_rare_one_does() -> None:
    with PageIndex.open() as index:
        index.add(page(f"river {'stone ' * (n % 7)} {n}", number=n, half=n % 2) for n in range(400))
        every = index.search("river stone", k=400)
        for filter in ({"half": 1}, {"glyph_n": {"$in": [1, 5, 9]}}):
            allowed = set(index.ids(filter))
            expected = [hit.score for hit in every if hit.page.id in allowed][:3]
            assert [hit.score for hit in index.search("river stone", k=3, filter=filter)] == pytest.approx(expected)


# -- deleting -----------------------------------------------------------------------------------------------------------


def test_pages_are_deleted_by_filter() -> None:
    with PageIndex.open() as index:
        ids = index.add(BOOKS)
        assert index.delete(filter={"year": {"$gt": 3000}}) == 0
        assert index.delete(ids[:2], filter={"lang": "en"}) == 1
        assert [p.text for p in index] == ["two", "three", "four", "five"]
        assert index.delete(filter={"lang": {"$ne": "zh"}}) == 3
        with pytest.raises(QueryError, match="ids or a filter"):
            index.delete()
        assert index.ids() == ids[4:]
        assert index.delete(filter={}) == 1
        assert index.verify() == []


# -- keeping up ---------------------------------------------------------------------------------------------------------


class KeepsUp(RuleBasedStateMachine):
    """Filters answer as plain Python would, whatever was added, changed and deleted, in this index or by another process."""

    @initialize()
    def start(self) -> None:
        self.path = TEMPORARY[0] / str(len(list(TEMPORARY[0].iterdir())))
        self.index, self.reader = PageIndex.open(self.path), PageIndex.open(self.path)
        self.model: dict[str, Page] = {}

    @rule(numbers=st.lists(st.integers(0, 9), max_size=5), tag=st.integers(0, 2))
    def add(self, numbers: list[int], tag: int) -> None:
        pages = [page(f"page {n}", number=n, tag=tag, even=n % 2 == 0) for n in numbers]
        self.index.add(pages)
        self.model |= {p.id: p for p in pages}

    @rule(tag=st.integers(0, 2))
    def delete(self, tag: int) -> None:
        gone = [key for key, p in self.model.items() if p.metadata["tag"] == tag]
        assert self.index.delete(filter={"tag": {"$exists": True, "$eq": tag}}) == len(gone)
        self.model = {key: p for key, p in self.model.items() if key not in gone}

    @rule(damage=st.sampled_from(["", "", "lost", "cut"]))
    def reopen(self, damage: str) -> None:
        self.index.close()
        file = self.path / "fields.bin"
        if damage and file.exists():
            file.write_bytes(file.read_bytes()[:-9]) if damage == "cut" else file.unlink()
        self.index = PageIndex.open(self.path)

    @invariant()
    def same(self) -> None:
        if not hasattr(self, "model"):
            return
        for filter in ({"tag": {"$exists": True, "$gte": 1}}, {"even": {"$exists": True, "$ne": True}}):
            expected = {p.id for p in self.model.values() if matches(filter, p)}
            assert set(self.index.ids(filter)) == set(self.reader.ids(filter)) == expected

    def teardown(self) -> None:
        if hasattr(self, "model"):
            self.index.close()
            self.reader.close()
            with PageIndex.open(self.path) as index:
                assert index.verify() == []


TEMPORARY: list[Path] = []


@pytest.mark.parametrize("dead", [0, 1000])
def test_filters_keep_up_with_the_pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dead: int) -> None:
    monkeypatch.setattr("glyph_integrations.index.fields.DEAD", dead)
    TEMPORARY[:] = [tmp_path]
    run_state_machine_as_test(KeepsUp, settings=settings(max_examples=8, stateful_step_count=12, deadline=None))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with PageIndex.open(tmp_path / "index") as index:
        index.add(BOOKS)
        assert len(index.ids({"lang": "en"})) == 2
    return tmp_path / "index"


def test_what_was_derived_is_kept_on_disk(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: object) -> Iterator[Any]:
        raise AssertionError("the pages are read again")

    monkeypatch.setattr("glyph_integrations.index.store.Store.scan_fields", refuse)
    with PageIndex.open(folder) as index:
        index.add([page("six", lang="en")])
        assert len(index.ids({"lang": "en"})) == 3
    (folder / "fields.bin").unlink()
    with PageIndex.open(folder) as index, pytest.raises(AssertionError):
        index.ids({"lang": "en"})


def test_a_damaged_or_foreign_file_is_built_again(folder: Path, tmp_path: Path) -> None:
    file, rng = folder / "fields.bin", random.Random(3)
    sound = file.read_bytes()
    with PageIndex.open(tmp_path / "other") as other:
        other.add([page("x", lang="en")])
        other.ids({"lang": "en"})
    damaged = [(tmp_path / "other" / "fields.bin").read_bytes(), sound[:-1], sound[: len(sound) // 2], b"", sound + b"x"]
    for _ in range(12):
        data = bytearray(sound)
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        damaged.append(bytes(data))
    for data in damaged:
        file.write_bytes(data)
        with PageIndex.open(folder) as index:
            assert [p.text for p in index.pages(filter={"lang": "en"})] == ["one", "three"]
        assert file.read_bytes() != data
    file.unlink()
    file.mkdir()  # cannot even be written
    with PageIndex.open(folder) as index:
        assert [p.text for p in index.pages(filter={"lang": "en"})] == ["one", "three"]


def test_a_file_of_another_time_is_caught_up_or_built_again(folder: Path, tmp_path: Path) -> None:
    old = shutil.copytree(folder, tmp_path / "old")
    with PageIndex.open(folder) as index:
        index.delete(filter={"lang": "de"})
        index.add([page("six", lang="en"), page("three", "b.txt", 1, lang="fr")])
        newer = index.ids({"lang": "en"})
    shutil.copy(old / "fields.bin", tmp_path / "behind")
    shutil.copy(folder / "fields.bin", old / "fields.bin")  # ahead
    shutil.copy(tmp_path / "behind", folder / "fields.bin")
    with PageIndex.open(folder) as index:
        assert index.ids({"lang": "en"}) == newer
        assert index.verify() == []
    with PageIndex.open(old) as index:
        assert [p.text for p in index.pages(filter={"lang": "en"})] == ["one", "three"]
        assert index.verify() == []


@pytest.mark.parametrize(
    "column", ["metadata = replace(metadata, '\"en\"', '\"de\"')", "number = number + 1", "source = x'61'"]
)
@pytest.mark.parametrize("built", [True, False])
def test_fields_changed_behind_its_back_are_refused(folder: Path, column: str, built: bool) -> None:
    if built:
        with PageIndex.open(folder) as index:
            index.add([page("three", "b.txt", 9, lang="en")])  # changed, and not caught up with yet
    else:
        (folder / "fields.bin").unlink()
    database = sqlite3.connect(folder / "pages.sqlite")
    database.execute(f"UPDATE pages SET {column} WHERE CAST(text AS TEXT) = 'three'")
    database.commit()
    database.close()
    with PageIndex.open(folder) as index:
        for _ in range(2):
            with pytest.raises(IndexCorruptError, match="checksum"):
                index.ids({"lang": "de"})


# -- through the frameworks ---------------------------------------------------------------------------------------------

NODES: list[dict[str, Any]] = [
    {"lang": "en", "year": 1851, "tags": ["sea", "whale"]},
    {"lang": "de", "year": 1927, "tags": ["war"]},
    {"lang": "en", "year": 2001, "tags": []},
    {"lang": "", "year": 0.5},
    {},
]


@pytest.fixture(scope="module")
def nodes() -> Any:
    """A LlamaIndex store with a node for each of `NODES`."""
    pytest.importorskip("llama_index.core")
    from llama_index.core.schema import TextNode

    from glyph_integrations.llama_index import GlyphVectorStore

    store = GlyphVectorStore()
    store.add([TextNode(id_=str(n), text=f"node {n}", metadata=dict(values)) for n, values in enumerate(NODES)])
    return store


@pytest.mark.parametrize(
    ("key", "operator", "value", "expected"),
    [
        ("lang", "==", "en", "02"),
        ("lang", "!=", "en", "134"),
        ("year", ">", 1851, "12"),
        ("year", ">=", 1851, "012"),
        ("year", "<", 1851, "3"),
        ("year", "<=", 1851, "03"),
        ("lang", "in", ["de", "fr", ""], "13"),
        ("lang", "nin", ["de", ""], "024"),
        ("tags", "any", ["war", "whale", "peace"], "01"),
        ("tags", "all", ["whale", "sea"], "0"),
        ("lang", "all", [], "0123"),
        ("tags", "contains", "sea", "0"),
        ("lang", "contains", "en", "02"),
        ("tags", "is_empty", None, "234"),
        ("lang", "is_empty", None, "34"),
        ("shelf", "is_empty", None, "01234"),
    ],
)
def test_llama_index_operators(nodes: Any, key: str, operator: str, value: Any, expected: str) -> None:
    from llama_index.core.vector_stores import FilterOperator, MetadataFilter, MetadataFilters, VectorStoreQuery
    from llama_index.core.vector_stores.utils import build_metadata_filter_fn

    filters = MetadataFilters(filters=[MetadataFilter(key=key, value=value, operator=FilterOperator(operator))])
    assert "".join(node.node_id for node in nodes.get_nodes(filters=filters)) == expected
    found = nodes.query(VectorStoreQuery(query_str="node", similarity_top_k=9, filters=filters)).ids
    assert sorted(found) == list(expected)
    if (key, operator) != ("lang", "contains"):  # there LlamaIndex looks for a part of the text
        theirs = build_metadata_filter_fn(lambda n: NODES[int(n)], filters)
        assert [str(n) for n in range(len(NODES)) if theirs(str(n))] == list(expected)


def test_llama_index_conditions_nest(nodes: Any) -> None:
    from llama_index.core.vector_stores import FilterCondition, FilterOperator, MetadataFilter, MetadataFilters

    def ids(condition: FilterCondition, *filters: Any) -> str:
        made = MetadataFilters(filters=list(filters), condition=condition)
        return "".join(node.node_id for node in nodes.get_nodes(filters=made))

    english = MetadataFilter(key="lang", value="en")
    old = MetadataFilter(key="year", value=1900, operator=FilterOperator.LT)
    assert ids(FilterCondition.AND, english, old) == "0"
    assert ids(FilterCondition.OR, english, old) == "023"
    assert ids(FilterCondition.NOT, english, old) == "14"
    neither = MetadataFilters(filters=[english, old], condition=FilterCondition.NOT)
    inner = MetadataFilters(filters=[neither, english], condition=FilterCondition.OR)
    assert ids(FilterCondition.AND, inner, MetadataFilter(key="tags", value=["war"], operator=FilterOperator.ANY)) == "1"
    for condition in FilterCondition:
        assert ids(condition) == "01234"


def test_llama_index_filters_that_cannot_be_kept_are_refused(nodes: Any) -> None:
    from llama_index.core.vector_stores import FilterOperator, MetadataFilter, MetadataFilters

    for key, operator, value, told in (
        ("lang", FilterOperator.TEXT_MATCH, "e", "'text_match'.*text_search"),
        ("lang", FilterOperator.TEXT_MATCH_INSENSITIVE, "e", "'text_match_insensitive'"),
        ("lang", FilterOperator.IN, "en", "'in' takes a list"),
        ("tags", FilterOperator.ALL, "sea", "'all' takes a list"),
        ("year", FilterOperator.GT, None, "a number or a string"),
        ("lnag", FilterOperator.EQ, "en", "did you mean 'lang'"),
    ):
        filters = MetadataFilters(filters=[MetadataFilter(key=key, value=value, operator=operator)])
        for ask in (nodes.get_nodes, nodes.delete_nodes):
            with pytest.raises(QueryError, match=told):
                ask(filters=filters)
    with pytest.raises(QueryError, match="clear"):
        nodes.delete_nodes(filters=MetadataFilters(filters=[]))
    nodes.delete("no such document")
    nodes.delete_nodes(["no such node"])
    assert len(nodes.client) == len(NODES)


def test_llama_index_nodes_are_deleted_by_filter() -> None:
    pytest.importorskip("llama_index.core")
    from llama_index.core.schema import TextNode
    from llama_index.core.vector_stores import FilterOperator, MetadataFilter, MetadataFilters

    from glyph_integrations.llama_index import GlyphVectorStore

    store = GlyphVectorStore()
    store.add([TextNode(id_=str(n), text=f"node {n}", metadata={"n": n}) for n in range(5)])
    small = MetadataFilters(filters=[MetadataFilter(key="n", value=3, operator=FilterOperator.LT)])
    store.delete_nodes(["0", "4"], filters=small)
    assert [node.node_id for node in store.get_nodes()] == ["1", "2", "3", "4"]
    store.delete_nodes(filters=small)
    assert [node.node_id for node in store.get_nodes()] == ["3", "4"]


async def test_langchain_takes_filters_everywhere() -> None:
    pytest.importorskip("langchain_core")
    from langchain_core.embeddings import DeterministicFakeEmbedding

    from glyph_integrations.langchain import GlyphVectorStore

    embedding = DeterministicFakeEmbedding(size=8)
    ids = [f"id{n}" for n in range(30)]
    store = GlyphVectorStore.from_texts([f"text {n}" for n in range(30)], embedding, [{"n": n} for n in range(30)], ids=ids)
    filter = {"$or": [{"n": {"$gte": 25}}, {"n": {"$in": [3]}}]}
    wanted = {"id3", "id25", "id26", "id27", "id28", "id29"}
    for found in (
        store.similarity_search("text", k=6, filter=filter),
        await store.asimilarity_search("text", k=6, filter=filter, mode="lexical"),
        [d for d, _ in store.similarity_search_with_score("text", k=6, filter=filter)],
        [d for d, _ in store.similarity_search_with_relevance_scores("text", k=6, filter=filter, mode="dense")],
        store.similarity_search_by_vector(embedding.embed_query("text"), k=6, filter=filter),
        store.max_marginal_relevance_search("text", k=6, filter=filter),
        await store.amax_marginal_relevance_search("text", k=6, filter=filter),
        store.as_retriever(search_type="mmr", k=6, filter=filter).invoke("text"),
        store.as_retriever(k=6).invoke("text", filter=filter),
    ):
        assert {d.id for d in found} == wanted and len(found) == 6
    store.delete(["never", "heard of"])
    assert store.get_by_ids(["never"]) == []
    store.delete(["id3", "id4"], filter=filter)
    await store.adelete(filter={"n": {"$gte": 10}})
    assert {d.id for d in store.get_by_ids(ids)} == {*ids[:10]} - {"id3"}
    with pytest.raises(QueryError, match="no page has it"):
        store.delete(filter={"m": 1})
    assert len(store.index) == 9
    store.index.close()
