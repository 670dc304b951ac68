"""Pooling, 8 bits and 1 bit: what they keep, and that questions are scored against them as against the vectors themselves."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from glyph_integrations.embedding import from_bits, from_int8, pool_vectors, products, to_bits, to_int8
from glyph_integrations.embedding.embedder import Vectors
from glyph_integrations.errors import MissingExtraError

pytest.importorskip("scipy")


def unit(count: int, dim: int, seed: int = 0) -> Vectors:
    vectors = np.random.default_rng(seed).normal(size=(count, dim)).astype(np.float32)
    made: Vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return made


@given(st.integers(0, 60), st.floats(1, 8), st.integers(0, 99))
def test_pooling_keeps_one_in_so_many_unit_vectors(count: int, factor: float, seed: int) -> None:
    vectors = unit(count, 8, seed)
    pooled = pool_vectors(vectors, factor)
    assert len(pooled) == (count if factor == 1 else min(count, max(1, int(count / factor))))
    assert pooled.dtype == np.float32 and np.allclose(np.linalg.norm(pooled, axis=1), 1, atol=1e-4)


def test_pooling_joins_what_is_alike() -> None:
    centres = unit(5, 64)
    vectors = np.concatenate([centres + 0.01 * unit(5, 64, seed) for seed in range(1, 5)])
    pooled = pool_vectors(vectors.astype(np.float32), 4)
    assert pooled.shape == (5, 64) and np.allclose(np.sort((pooled @ centres.T).max(axis=1)), 1, atol=1e-3)
    same = np.repeat(centres[:1], 9, axis=0)
    assert np.allclose(pool_vectors(same, 3), centres[:1], atol=1e-5)


def test_pooling_agrees_with_sentence_transformers() -> None:
    module = pytest.importorskip("sentence_transformers.multi_vector_encoder.modules.token_pooling")
    torch = pytest.importorskip("torch")
    vectors = unit(200, 32)
    theirs = module.HierarchicalTokenPooling(3, num_protected_tokens=0).pool_one(torch.from_numpy(vectors)).numpy()
    assert np.allclose(pool_vectors(vectors, 3), theirs, atol=1e-5)


def test_a_missing_scipy_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "scipy.cluster.hierarchy", None)
    with pytest.raises(MissingExtraError, match=r"\[transformers\]"):
        pool_vectors(unit(9, 4), 2)
    assert len(pool_vectors(unit(9, 4), 1)) == len(pool_vectors(unit(9, 4), 0)) == 9


@given(st.integers(0, 40), st.integers(1, 200), st.integers(0, 99))
def test_small_vectors_are_scored_like_what_they_stand_for(count: int, dim: int, seed: int) -> None:
    vectors, query = unit(count, dim, seed), unit(3, dim, seed + 1)
    eight, one = to_int8(vectors), to_bits(vectors)
    assert eight.codes.nbytes == count * dim and one.bits.nbytes == count * -(-dim // 8)
    assert np.allclose(products(query, eight), query @ from_int8(eight).T, atol=1e-5)
    assert np.allclose(products(query, one), query @ from_bits(one).T, atol=1e-5)
    assert np.abs(from_int8(eight) - vectors).max(initial=0) <= 0.5 / 127 + 1e-6
    assert (np.sign(from_bits(one)) == np.where(vectors > 0, 1, -1)).all()


def test_zero_vectors_stay_zero_in_eight_bits() -> None:
    assert not from_int8(to_int8(np.zeros((2, 5), dtype=np.float32))).any()


def test_the_nearest_stay_nearest() -> None:
    """Each of 2,000 vectors, disturbed, finds itself again: by 8 bits always, by 1 bit nearly so."""
    vectors = unit(2000, 128)
    query = vectors[:200] + 0.05 * unit(200, 128, 1)
    for small, least in ((to_int8(vectors), 1.0), (to_bits(vectors), 0.99)):
        assert (products(query.astype(np.float32), small).argmax(axis=1) == np.arange(200)).mean() >= least
