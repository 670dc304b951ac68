"""Documents laid out and embedded by the workers of a Ray cluster, here one on this machine. Runs offline.

On a real cluster it would be ``RayIngestion(partial(VisualEmbedder, "vidore/colqwen2-v1.0"), "ray://head:10001")``, with an
actor for each GPU.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from pydoc_data.topics import topics

import numpy as np

from glyph_integrations import LexicalEmbedder, PageIndex, Renderer
from glyph_integrations.index.ray_ingestion import RayIngestion

try:
    import ray
except ImportError:
    raise SystemExit("Ray is not installed; run: pip install 'glyph-integrations[ray]'") from None

folder = Path(tempfile.mkdtemp())
texts = sorted(set(topics.values()), key=len)[-12:]
files = {f"topic{n:02}.txt": folder / f"topic{n:02}.txt" for n in range(len(texts))}
for file, text in zip(files.values(), texts, strict=True):
    file.write_text(text, encoding="utf-8")


class Letters(LexicalEmbedder):
    """Stands in for a model: hashed words, kept in the index as a model's vectors are."""

    stored = True


with RayIngestion(Letters, "local", actors=2) as workers, PageIndex.open(folder / "index", workers.embedder) as index:
    for name, synced in workers.sync(index, files, Renderer()):
        print(f"{name}: {synced.added} pages added")
    again = dict(workers.sync(index, files, Renderer()))
    print(f"a second time: {sum(synced.added for synced in again.values())} pages added")
    page = next(iter(index))
    same = np.allclose(index.vectors([page.id])[0], Letters().embed_pages([page])[0], atol=1e-2)
    print(f"{len(index)} pages; vectors as one process makes them: {same}")
ray.shutdown()
