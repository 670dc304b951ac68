"""``--ray``: documents laid out and embedded by a Ray cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

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
def ingestion(address: str | None, make: Callable[[], Embedder] | None) -> Iterator[RayIngestion | None]:
    """Workers on the cluster at an address, for as long as the block lasts; None without one."""
    if address is None:
        yield None
        return
    from ..index.ray_ingestion import RayIngestion

    with RayIngestion(make, address) as workers:
        yield workers
