"""What a visual model must be able to do before anything is embedded: weights get lost silently."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image

from ..errors import ModelError
from .embedder import Vectors

QUESTIONS = ("What was the total of the invoice?", "A lake in the mountains")


def self_test(
    name: str, embed_images: Callable[[Sequence[Image.Image]], list[Vectors]], embed_query: Callable[[str], Vectors]
) -> int:
    """Embed three pictures of pages, one of them twice, and two questions; returns the length of a vector.

    Raises:
        ModelError: the vectors are not numbers, of several lengths or zero; all pictures or both questions have the same; or a
            picture embedded again is more like another than like itself.
    """
    pages = [canary(seed) for seed in range(3)]
    made = [*embed_images(pages), *embed_images(pages[:1])]
    asked = [embed_query(question) for question in QUESTIONS]
    found = [np.asarray(vectors, dtype=np.float32) for vectors in (*made, *asked)]
    if len(made) != 4 or any(vectors.ndim != 2 or not vectors.size for vectors in found):
        raise _failed(name, f"it made arrays of shapes {[vectors.shape for vectors in found]} of pictures and questions")
    dims = sorted({vectors.shape[1] for vectors in found})
    if len(dims) > 1:
        raise _failed(name, f"its vectors have several lengths: {dims}")
    if not all(np.isfinite(vectors).all() for vectors in found):
        raise _failed(name, "its vectors hold NaN or infinity")
    if not all(np.linalg.norm(vectors, axis=1).any() for vectors in found):
        raise _failed(name, "its vectors are all zero")
    again = made[3]
    own, *others = (_max_sim(again, page) for page in made[:3])
    if not all(np.isfinite([own, *others])) or max(others) >= own:
        same = all(vectors.shape == made[0].shape and np.allclose(vectors, made[0], atol=1e-6) for vectors in made[1:3])
        raise _failed(
            name,
            "different pages get the same vectors" if same else "a page embedded again is more like another than like itself",
        )
    first, second = asked
    if first.shape == second.shape and np.allclose(first, second, atol=1e-6):
        raise _failed(name, "different questions get the same vectors")
    return int(dims[0])


def canary(seed: int) -> Image.Image:
    """A picture that looks like a page from afar: 252 x 336 pixels, lines of words in grey, another for each seed."""
    draw = np.random.default_rng(seed)
    page = np.full((336, 252), 255, dtype=np.uint8)
    for top in range(14 + 7 * seed, 320, 14):
        left = 12
        while (right := left + int(draw.integers(8, 50))) < 240:
            page[top : top + 7, left:right] = draw.integers(0, 160)
            left = right + 7
    return Image.fromarray(page).convert("RGB")


def _max_sim(query: Vectors, page: Vectors) -> float:
    query, page = (vectors / (np.linalg.norm(vectors, axis=1, keepdims=True) + 1e-12) for vectors in (query, page))
    return float((query @ page.T).max(axis=1).mean())


def _failed(name: str, why: str) -> ModelError:
    return ModelError(
        f"visual model {name!r} fails its self-test: {why}. Its weights are damaged, or were not loaded into the right places: "
        "download it again, or try another version of transformers"
    )
