"""Features of text in any script, and their hashed vectors."""

from __future__ import annotations

import subprocess
import sys
import unicodedata

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from glyph_integrations.embedding import Embedder, LexicalEmbedder, lexical_features
from glyph_integrations.embedding.embedder import checked_vectors
from glyph_integrations.embedding.lexical import joined_features
from glyph_integrations.errors import ModelError
from glyph_integrations.page import Fragment, Page
from glyph_integrations.style import PageStyle


def page(text: str) -> Page:
    lines = ((Fragment(0, len(text), 10, 100),),) if text else ()
    return Page(text=text, style=PageStyle(newline="keep"), lines=lines)


@pytest.mark.parametrize(
    ("text", "features"),
    [
        ("", []),
        (" \n\t—!", []),
        ("cat", ["cat"]),
        ("Houses", ["hous", "ouse", "uses"]),
        ("STRASSE Straße", ["stra", "tras", "rass", "asse"] * 2),
        ("Дома", ["дома"]),
        ("सिद्धान्त", ["सिद्", "िद्ध", "द्धा", "्धान", "धान्", "ान्त"]),  # vowel signs belong to the word
        ("黑豹队的防守", ["黑豹", "豹队", "队的", "的防", "防守"]),
        ("24 次", ["24", "次"]),
        ("ประเทศ", ["ปร", "ระ", "ะเ", "เท", "ทศ"]),
        ("東京タワーsky", ["東京", "京タ", "タワ", "ワー", "sky"]),
        ("한국어를", ["한국", "국어", "어를"]),
        ("ﬁre ２０２４", ["fire", "2024"]),  # compatibility forms
        ("co\u00adop in\u200dto", ["coop", "into"]),  # invisible characters do not cut words
        ("don't snake_case", ["don", "t", "snak", "nake", "case"]),
        ("a\ud800b", ["a", "b"]),
    ],
)
def test_features_of_each_script(text: str, features: list[str]) -> None:
    assert lexical_features(text) == features
    assert sorted(joined_features(text).split()) == sorted(features)


@given(st.text())
def test_features_hold_no_space_and_ignore_case_and_form(text: str) -> None:
    features = lexical_features(text)
    assert all(feature and not any(char.isspace() for char in feature) for feature in features)
    assert lexical_features(unicodedata.normalize("NFD", text)) == features
    assert sorted(joined_features(text).split(" ") if features else []) == sorted(features)


@given(st.text(max_size=300), st.text(max_size=300))
def test_features_of_two_paragraphs_are_those_of_each(one: str, other: str) -> None:
    assert lexical_features(f"{one}\n{other}") == lexical_features(one) + lexical_features(other)


def test_a_page_is_one_vector_and_depends_on_its_text_alone() -> None:
    embedder = LexicalEmbedder(dim=512)
    assert isinstance(embedder, Embedder)
    alone = embedder.embed_pages([page("the quick brown fox")])[0]
    among = embedder.embed_pages([page("something else"), page("the quick brown fox"), page("")])
    assert [v.shape for v in among] == [(1, 512)] * 3
    assert among[1].dtype == np.float32
    np.testing.assert_array_equal(alone, among[1])
    assert not among[2].any()


def test_vectors_are_equal_in_every_process() -> None:
    code = (
        "from glyph_integrations.embedding import LexicalEmbedder\n"
        "v = LexicalEmbedder(64).embed_query('Wie heißt 黑豹队 der Fluss?')\nprint(v.tobytes().hex())"
    )
    runs = [
        subprocess.run([sys.executable, "-c", code], env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
                       capture_output=True, text=True, check=True).stdout.strip()
        for seed in ("1", "2")
    ]  # fmt: skip
    assert runs[0] == runs[1] == LexicalEmbedder(64).embed_query("Wie heißt 黑豹队 der Fluss?").tobytes().hex()


def test_inner_product_orders_pages_by_the_share_of_the_question() -> None:
    embedder = LexicalEmbedder()
    texts = ["The river Danube flows through Vienna.", "The river Rhine flows through Basel.", "Cats sleep all day."]
    pages = np.concatenate(embedder.embed_pages([page(text) for text in texts]))
    scores = (pages @ embedder.embed_query("Which river flows through Vienna?").T).ravel()
    assert scores[0] > scores[1] > scores[2]
    assert 0 <= scores[0] <= 1


def test_rarity_weighs_on_the_query_alone() -> None:
    embedder = LexicalEmbedder()
    danube, rhine = embedder.embed_pages([page("danube water water"), page("water rhine rhine")])
    plain = embedder.embed_query("danube rhine")
    weighed = embedder.embed_query("danube rhine", idf=lambda feature: 5.0 if feature in lexical_features("danube") else 0.1)
    assert (weighed @ danube.T).item() > (plain @ danube.T).item()
    assert (weighed @ danube.T).item() > (weighed @ rhine.T).item()
    assert not embedder.embed_query("danube", idf=lambda feature: 0.0).any()


def test_what_an_embedder_returns_is_checked() -> None:
    embedder = LexicalEmbedder(dim=4)
    good = np.ones((2, 4), dtype=np.float32)
    assert checked_vectors(embedder, [good], 1)[0].tolist() == good.tolist()
    for bad, count in (
        ([good], 2),
        ([np.ones(4, dtype=np.float32)], 1),
        ([np.ones((1, 5), dtype=np.float32)], 1),
        ([np.array([[1, np.nan, 0, 0]], dtype=np.float32)], 1),
        ([np.array([[1, np.inf, 0, 0]], dtype=np.float32)], 1),
        ([np.array([[1e6, 0, 0, 0]], dtype=np.float32)], 1),
    ):
        with pytest.raises(ModelError, match="lexical"):
            checked_vectors(embedder, bad, count)
