"""Fixtures shared by all tests."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # nothing is downloaded by a test
os.environ["GLYPH_CALIBRATIONS"] = str(Path(__file__).parent / "none")  # what the user calibrated is not there
# machines differ, so the suite as a whole is timed; CI tries the same examples each time, a run at hand tries new ones
settings.register_profile("house", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("house")


@pytest.fixture(scope="session")
def corpora() -> Path:
    """The folder of shared corpora: texts, PDFs and question sets that are not part of the project."""
    here = Path(__file__).resolve().parents[2] / "shared" / "corpora"
    path = Path(os.environ.get("GLYPH_CORPORA", here))
    if not path.is_dir():
        pytest.skip("shared corpora are not here; set GLYPH_CORPORA to their folder")
    return path


@pytest.fixture(scope="session")
def visual_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Family -> the folder of a tiny checkpoint that embeds pictures; see `visual_checkpoints.build`."""
    pytest.importorskip("sentence_transformers")
    import torch
    import visual_checkpoints

    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("visual")
    return cache(lambda family: visual_checkpoints.build(family, folder))


@pytest.fixture(scope="session")
def visual_embedder(visual_checkpoint: Callable[[str], Path]) -> Callable[[str], Any]:
    """Family -> a `VisualEmbedder` of its tiny checkpoint, on the CPU."""
    from glyph_integrations import VisualEmbedder

    return cache(lambda family: VisualEmbedder(visual_checkpoint(family), device="cpu"))
