"""Training pairs from 10 MB of text: pages a second, an export killed and gone on with, checksums.

    python benchmarks/training_pairs.py [--megabytes 10] [--format sharegpt]

Texts are those of GLYPH_CORPORA, repeated with a number in each paragraph so that no two pages are equal.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from glyph_integrations.tuning import verify_pairs
from glyph_integrations.tuning.shards import MANIFEST, Manifest

CORPORA = Path(os.environ.get("GLYPH_CORPORA", Path(__file__).resolve().parents[2] / "shared" / "corpora"))


def write_documents(folder: Path, megabytes: float) -> int:
    """Documents of about half a megabyte; returns their bytes."""
    source = (CORPORA / "texts" / "pride_and_prejudice.txt").read_text(encoding="utf-8").split("\n\n")
    wanted, written, number = int(megabytes * 1e6), 0, 0
    while written < wanted:
        paragraphs = [f"{number}.{n} {paragraph}" for n, paragraph in enumerate(source)]
        data = "\n\n".join(paragraphs).encode()[: wanted - written].decode(errors="ignore")
        (folder / f"volume{number:03}.txt").write_text(data, encoding="utf-8")
        written += len(data.encode())
        number += 1
    return written


def command(documents: Path, out: Path, form: str) -> list[str]:
    return [sys.executable, "-m", "glyph_integrations", "export-pairs", str(documents), "-o", str(out), "-q", "--format", form]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--megabytes", type=float, default=10)
    parser.add_argument("--format", default="sharegpt")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as where:
        documents, whole, killed = (Path(where) / name for name in ("documents", "whole", "killed"))
        documents.mkdir()
        size = write_documents(documents, options.megabytes)
        began = time.perf_counter()
        subprocess.run(command(documents, whole, options.format), check=True)
        took = time.perf_counter() - began
        processor = os.times()
        manifest = Manifest.read(whole)
        assert manifest
        total = sum(shard.bytes for shard in manifest.shards)
        print(f"{size / 1e6:.1f} MB of text, {options.format}: {manifest.pairs:,} pages in {len(manifest.shards)} shards, "
              f"{total / 1e6:,.0f} MB, {took:.0f} s ({manifest.pairs / took:.0f} pages/s; "
              f"{manifest.pairs / processor.children_user:.0f} a second of processor time)")  # fmt: skip
        print(f"checksums: {verify_pairs(whole) or 'all right'}")
        process = subprocess.Popen(command(documents, killed, options.format))
        while process.poll() is None and len(list(killed.glob("shard-*"))) < len(manifest.shards) // 2:
            time.sleep(0.05)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        print(f"killed: {verify_pairs(killed)}, {len(Manifest.read(killed).shards)} shards whole")  # type: ignore[union-attr]
        began = time.perf_counter()
        subprocess.run(command(documents, killed, options.format), check=True)
        same = (whole / MANIFEST).read_bytes() == (killed / MANIFEST).read_bytes()
        print(f"gone on with: {time.perf_counter() - began:.0f} s, the same checksums: {same}")
        print(f"checksums: {verify_pairs(killed) or 'all right'}")


if __name__ == "__main__":
    main()
