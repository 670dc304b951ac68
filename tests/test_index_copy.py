"""`copy_index`: an index in another folder, with its vectors."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from glyph_integrations import LexicalEmbedder, Page, PageIndex, Renderer
from glyph_integrations.embedding.embedder import Vectors
from glyph_integrations.errors import IndexMismatchError
from glyph_integrations.index import copy_index


class Counting(LexicalEmbedder):
    """Several vectors per page, and how many pages were embedded."""

    name = "counting"
    metric = "cosine"
    stored = True
    pages = 0

    def embed_pages(self, pages: Sequence[Page]) -> list[Vectors]:
        self.pages += len(pages)
        shared = super().embed_pages(pages)
        return [
            np.concatenate([vectors, -vectors, vectors + 1])[: 1 + len(page.text) % 3]
            for vectors, page in zip(shared, pages, strict=True)
        ]


PAGES = [
    page for i in range(40) for page in Renderer().paginate(f"Ship {i} sailed on day {i * 7}.", f"{i}.txt", {"day": i * 7})
]


def test_a_copy_holds_the_same_and_embeds_nothing(tmp_path: Path) -> None:
    embedder = Counting(64)
    with PageIndex.open(embedder=embedder) as index:
        index.add(PAGES)
        asked = embedder.pages
        copy_index(index, tmp_path / "copy")
        assert embedder.pages == asked
        with PageIndex.open(tmp_path / "copy", embedder) as copy:
            assert list(copy) == list(index) and copy.verify() == []
            for one, other in zip(copy.vectors(copy.ids()), index.vectors(index.ids()), strict=True):
                assert np.allclose(one, other, atol=2e-3)
            for mode in ("dense", "lexical"):
                expected = index.search("ship on day 77", 5, mode=mode)  # type: ignore[arg-type]
                found = copy.search("ship on day 77", 5, mode=mode)  # type: ignore[arg-type]
                assert found[0].page == expected[0].page and [h.score for h in found] == pytest.approx(
                    [h.score for h in expected], abs=2e-3
                )
        index.delete([PAGES[0].id])
        index.add([PAGES[1].with_metadata(day=0)])
        copy_index(index, tmp_path / "copy")  # brought up to date
        assert embedder.pages == asked
        with PageIndex.open(tmp_path / "copy", embedder) as copy:
            assert {p.id: p.metadata for p in copy} == {p.id: p.metadata for p in index}


def test_a_folder_of_another_embedder_is_left_alone_and_a_copy_onto_itself_does_nothing(tmp_path: Path) -> None:
    with PageIndex.open(tmp_path / "one") as one, PageIndex.open(tmp_path / "two", LexicalEmbedder(16)) as two:
        one.add(PAGES)
        copy_index(one, tmp_path / "one")
        two.add(PAGES[:1])
        two.close()
        with pytest.raises(IndexMismatchError):
            copy_index(one, tmp_path / "two")
        assert len(one) == len(PAGES)
    with PageIndex.open(tmp_path / "two", LexicalEmbedder(16)) as two:
        assert two.ids() == [PAGES[0].id]
