"""``--ray``: documents laid out and embedded by a Ray cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .embedder import new_maker, recorded_maker

if TYPE_CHECKING:
    from ..embedding import Embedder
    from ..index.ray_ingestion import RayIngestion

RayOption = Annotated[
    str | None,
    typer.Option(
        "--ray",
        metavar="ADDRESS|local",
        help="Lay out and embed on a Ray cluster (extra ray): its address, or local for one on this machine.",
        show_default=False,
    ),
]


@contextmanager
def ingestion(address: str | None, folder: Path, given: str | None, by_sight: bool) -> Iterator[RayIngestion | None]:
    """Workers on the cluster at an address, for as long as the block lasts; None without one."""
    if address is None:
        yield None
        return
    from ..index.ray_ingestion import RayIngestion

    with RayIngestion(_maker(folder, given, by_sight), address) as workers:
        yield workers


def _maker(folder: Path, given: str | None, by_sight: bool) -> Callable[[], Embedder] | None:
    from ..embedding import LexicalEmbedder
    from ..index import PageIndex, recorded_embedder

    if not PageIndex.exists(folder):
        return new_maker(given, by_sight)
    if given is not None:
        return recorded_maker(given, folder)
    if isinstance(recorded := recorded_embedder(folder), LexicalEmbedder):
        return None
    raise typer.BadParameter(f"this index was made with {recorded.name!r}; name that model", param_hint="--embedder")
