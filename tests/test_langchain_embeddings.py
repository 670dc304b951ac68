"""`GlyphEmbeddings`: embedders of pages where a store wants one vector per text."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("langchain_core")

from glyph_integrations import LexicalEmbedder, Page, Renderer, TextEmbedder
from glyph_integrations.embedding.embedder import Vectors
from glyph_integrations.errors import DocumentError, QueryError
from glyph_integrations.langchain import GlyphEmbeddings


class Counting:
    """LangChain embeddings that count words."""

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [self.embed_query(text) for text in texts]

    def embed_query(self, text: str) -> list[float]:
        return [float(text.count(word)) for word in ("rain", "snow")]


class Looking(LexicalEmbedder):
    """Looks at the picture of a page: how dark its left and its right half are."""

    name = "looking"

    def __init__(self, vectors: int = 1) -> None:
        super().__init__(2)
        self.vectors = vectors

    def embed_pages(self, pages: Sequence[Page]) -> list[Vectors]:
        found = []
        for page in pages:
            grey = 255 - np.asarray(Renderer().draw(page), dtype=np.float32)
            half = grey.shape[1] // 2
            found.append(np.repeat([[grey[:, :half].mean(), grey[:, half:].mean()]], self.vectors, axis=0))
        return found

    def embed_query(self, text: str, idf: object = None) -> Vectors:
        return np.ones((self.vectors, 2), dtype=np.float32)


def test_texts_get_the_vectors_that_pages_get() -> None:
    embedder = LexicalEmbedder(64)
    embeddings = GlyphEmbeddings(embedder)
    (page,) = Renderer().paginate("A page about rain.")
    assert embeddings.embed_documents(["A page about rain.", ""]) == [embedder.embed_pages([page])[0][0].tolist(), [0.0] * 64]
    assert embeddings.embed_query("rain") == embedder.embed_query("rain")[0].tolist()
    assert GlyphEmbeddings().embed_documents([]) == []


def test_a_page_of_several_windows_counts_by_their_mean() -> None:
    embeddings = GlyphEmbeddings(TextEmbedder(Counting(), window=16))
    (vector,) = embeddings.embed_documents(["rain " * 60 + "snow " * 60])
    assert vector[0] == pytest.approx(vector[1], rel=0.3) and 0 < max(vector) <= 1
    assert embeddings.embed_documents([" \n"]) == [[0.0, 0.0]]


def test_an_embedder_that_matches_vectors_one_by_one_is_refused() -> None:
    embeddings = GlyphEmbeddings(Looking(vectors=3))
    for embed in (lambda: embeddings.embed_query("rain"), lambda: embeddings.embed_documents(["rain"])):
        with pytest.raises(QueryError, match="looking made 3 vectors where one is wanted"):
            embed()


def test_a_text_that_fits_on_no_page_is_refused() -> None:
    with pytest.raises(QueryError, match="fits on no page"):
        GlyphEmbeddings().embed_documents(["line\n" * 3000])


def test_picture_files_are_embedded_by_what_looks_at_them(tmp_path: Path) -> None:
    for name, left in (("left.png", True), ("right.png", False)):
        image = Image.new("L", (64, 32), 255)
        image.paste(0, (0, 0, 32, 32) if left else (32, 0, 64, 32))
        image.save(tmp_path / name)
    embeddings = GlyphEmbeddings(Looking())
    left, right = embeddings.embed_image([tmp_path / "left.png", (tmp_path / "right.png").as_uri()])
    assert left[0] > 200 > 50 > left[1] and right[1] > 200 > 50 > right[0]
    with pytest.raises(QueryError, match="it embeds text"):
        GlyphEmbeddings().embed_image([str(tmp_path / "left.png")])
    for uri in ("https://example.org/a.png", "data:image/png;base64,aGk="):
        with pytest.raises(DocumentError, match="not from"):
            embeddings.embed_image([uri])
    (tmp_path / "words.txt").write_text("rain")
    with pytest.raises(QueryError, match="a picture of one page"):
        embeddings.embed_image([str(tmp_path / "words.txt")])
    with pytest.raises(DocumentError):
        embeddings.embed_image([str(tmp_path / "missing.png")])
