"""Similarity maps: each vector of a page is where the picture says, and each word of a question is told apart."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from visual_checkpoints import LATE, SINGLE

from glyph_integrations import LexicalEmbedder, PageStyle, Renderer, VisualEmbedder, open_document, similarity_map
from glyph_integrations.embedding import SimilarityMap
from glyph_integrations.embedding.seen import Seen
from glyph_integrations.embedding.similarity_map import patch_grid
from glyph_integrations.embedding.trim import Cut
from glyph_integrations.errors import ModelError, QueryError

pytest.importorskip("sentence_transformers")
Load = Callable[[str], VisualEmbedder]
MANY = (*LATE, "colqwen3")


def noise(width: int, height: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 255, (height, width), dtype=np.uint8)).convert("RGB")


@pytest.mark.parametrize("family", MANY)
@pytest.mark.parametrize(("across", "down"), [(0.1, 0.1), (0.9, 0.2), (0.3, 0.7), (0.85, 0.9)])
def test_what_changes_on_a_page_changes_the_vector_of_its_place(
    family: str, across: float, down: float, visual_embedder: Load
) -> None:
    embedder = visual_embedder(family)
    plain = noise(224, 224)
    spotted = plain.copy()
    x, y = int(across * 224) // 28 * 28, int(down * 224) // 28 * 28
    spotted.paste("black", (x, y, x + 28, y + 28))
    moved = []
    for picture in (plain, spotted):
        shown = embedder.encode_seen(Seen(picture, picture.convert("L"), Cut(0, 224, ((0, 224),)), picture.size))
        assert shown.tokens is not None
        moved.append(shown.vectors[patch_grid(embedder.processor, picture, shown.tokens)])
    change = np.linalg.norm(moved[0] - moved[1], axis=-1)
    rows, columns = change.shape
    row, column = divmod(int(change.argmax()), columns)
    assert abs((column + 0.5) / columns * 224 - (x + 14)) <= 28 and abs((row + 0.5) / rows * 224 - (y + 14)) <= 28


@pytest.mark.slow
def test_tiles_are_put_together_in_order(visual_checkpoint: Callable[[str], Path], tmp_path: Path) -> None:
    from visual_checkpoints import build

    embedder = VisualEmbedder(build("colmodernvbert", tmp_path, small=False), device="cpu")
    plain = noise(2048, 1024)
    spotted = plain.copy()
    spotted.paste("black", (1300, 600, 1500, 760))
    moved = []
    for picture in (plain, spotted):
        shown = embedder.encode_seen(Seen(picture, picture.convert("L"), Cut(0, 2048, ((0, 1024),)), picture.size))
        assert shown.tokens is not None
        moved.append(shown.vectors[patch_grid(embedder.processor, picture, shown.tokens)])
    change = np.linalg.norm(moved[0] - moved[1], axis=-1)
    assert change.shape == (16, 32)
    row, column = divmod(int(change.argmax()), 32)
    assert 1240 <= column * 64 <= 1500 and 540 <= row * 64 <= 760


@pytest.mark.parametrize("family", MANY)
def test_words_of_a_question_are_told_apart(family: str, visual_embedder: Load) -> None:
    page = next(Renderer().paginate("Some words on a page. " * 30))
    found = SimilarityMap.of(visual_embedder(family), "Who was paid, 图表 and the résumé's author?", page)
    assert found.words == ("Who", "was", "paid,", "图表", "and", "the", "résumé's", "author?")
    assert found.scores.shape[0] == 8 and np.abs(found.scores).max() <= 1.0001
    assert not np.allclose(found.scores[0], found.scores[3])


@pytest.mark.parametrize("family", MANY)
def test_a_word_is_answered_where_its_vectors_are(family: str, visual_embedder: Load) -> None:
    """A question made of one cell's own vector: the map's best place is that cell, on the whole page."""
    embedder = visual_embedder(family)
    picture = noise(200, 240).convert("L")
    page = Image.new("L", (400, 500), "white")
    page.paste(picture, (150, 200))
    found = SimilarityMap.of(embedder, "one", page)
    shown = embedder.encode_seen(found.seen)
    assert shown.tokens is not None
    cells = shown.vectors[patch_grid(embedder.processor, found.seen.image, shown.tokens)]
    rows, columns = cells.shape[:2]
    exact = SimilarityMap(("one",), np.einsum("d,rcd->rc", cells[rows // 2, columns // 2], cells)[None], found.seen)
    box = exact.best_place("one")
    middle = (box.left + box.right) / 2, (box.top + box.bottom) / 2
    assert abs(middle[0] - 250) < 45 and abs(middle[1] - 320) < 50
    heat = exact.heat("one")
    assert heat.shape == (500, 400) and heat[:190].max() == 0 and heat[:, :140].max() == 0
    y, x = divmod(int(heat.argmax()), 400)
    assert box.left <= x <= box.right and box.top <= y <= box.bottom


def test_the_overlay_is_a_picture_of_the_page(visual_embedder: Load, tmp_path: Path) -> None:
    embedder = visual_embedder("colqwen2")
    page = next(Renderer(PageStyle(width=400, height=500)).paginate("Words that stand on a page. " * 60))
    seen = embedder.see(page)
    assert seen is not None
    for word in (None, "paid?", 0):
        picture = similarity_map(embedder, "Who was paid?", page, word)
        assert picture.mode == "RGB" and picture.size == seen.whole.size
    picture.save(tmp_path / "map.png")
    assert Image.open(tmp_path / "map.png").size == seen.whole.size
    all_words, one = (np.asarray(similarity_map(embedder, "Who was paid?", page, word), int) for word in (None, "Who"))
    assert np.abs(all_words - one).max() > 50
    assert (one[..., 0] >= one[..., 2]).all()  # heat is red


def test_scans_and_pdf_pages_have_maps(visual_embedder: Load, corpora: Path) -> None:
    page = next(Renderer().paginate(open_document(corpora / "pdfs" / "multicolumn.pdf")))
    found = SimilarityMap.of(visual_embedder("colpali"), "two columns", page)
    assert found.overlay().size == found.seen.whole.size
    assert found.heat()[:, 0].max() == 0  # margins were not shown


def test_a_word_that_cannot_be_seen_is_framed_without_its_name(visual_embedder: Load) -> None:
    found = SimilarityMap.of(visual_embedder("colqwen2"), "Who \u200b paid?", noise(200, 200))
    assert "\u200b" in found.words and found.overlay().size == (200, 200)


def test_what_has_no_map_is_refused(visual_embedder: Load) -> None:
    page = next(Renderer().paginate("words"))
    with pytest.raises(QueryError, match="one vector of a page"):
        similarity_map(visual_embedder(SINGLE), "Who?", page)
    embedder = visual_embedder("colpali")
    with pytest.raises(QueryError, match="question is blank"):
        similarity_map(visual_embedder("colpali"), " ", noise(200, 200))
    with pytest.raises(QueryError, match="LexicalEmbedder does not tell"):
        similarity_map(LexicalEmbedder(), "Who?", noise(200, 200))  # type: ignore[arg-type]
    with pytest.raises(QueryError, match="nothing on the page"):
        similarity_map(embedder, "Who?", Image.new("L", (99, 99), "white"))
    for word in ("Whom", 7):
        with pytest.raises(QueryError, match=r"no word .*it has Who\?"):
            similarity_map(embedder, "Who?", page, word)
    with pytest.raises(ModelError, match="how ColPaliProcessor cuts"):
        patch_grid(embedder.processor, noise(10, 10), np.array([embedder.processor.image_token_id] * 7))
