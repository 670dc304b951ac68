"""``--embedder``: the embedding model that an index is made with, and opened with again."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ..embedding import Embedder, TextEmbedder, VisualEmbedder

EmbedderOption = Annotated[
    str | None,
    typer.Option(
        "--embedder",
        metavar="NAME|DIR",
        help="The embedding model (sentence-transformers) that the index was made with; without it an index is searched by "
        "words alone.",
        show_default=False,
    ),
]


def indexing_maker(given: str | None, by_sight: bool, folder: Path) -> Callable[[], Embedder] | None:
    """What makes the embedder that documents are indexed with, here or in another process: the one that the index has, or for a
    new index a text model or one that sees pages. None for words alone."""
    from ..embedding import LexicalEmbedder, TextEmbedder, VisualEmbedder
    from ..index import PageIndex, recorded_embedder

    if not PageIndex.exists(folder):
        if given is not None:
            return partial(VisualEmbedder, given) if by_sight else partial(TextEmbedder, given)
        if by_sight:
            raise typer.BadParameter("needs the name of a model: add --embedder NAME", param_hint="--by-sight")
        return None
    recorded = recorded_embedder(folder)
    if given is None and not isinstance(recorded, LexicalEmbedder):
        raise typer.BadParameter(f"this index was made with {recorded.name!r}; name that model", param_hint="--embedder")
    make = None if given is None else recorded_maker(given, folder)
    if by_sight and (make is None or make.func is not VisualEmbedder):
        raise typer.BadParameter("this index finds pages by their words; make another index", param_hint="--by-sight")
    return make


def recorded_or(given: str | None, folder: Path) -> Embedder:
    """The embedder an index was made with, its settings as the index recorded them; without its name one that only reads."""
    from ..index import recorded_embedder

    return recorded_embedder(folder) if given is None else recorded_maker(given, folder)()


def recorded_maker(given: str, folder: Path) -> partial[TextEmbedder] | partial[VisualEmbedder]:
    """What makes the embedder that an index was made with."""
    from ..embedding import LexicalEmbedder, TextEmbedder, VisualEmbedder
    from ..index import recorded_embedder

    recorded = recorded_embedder(folder)
    if isinstance(recorded, LexicalEmbedder):
        raise typer.BadParameter("this index was made without a model", param_hint="--embedder")
    if match := re.search(r"/w(\d+)$", recorded.revision):
        return partial(TextEmbedder, given, window=int(match[1]), name=recorded.name)
    if match := re.search(r"/size\d+x(\d+)x(\d+)/pool([\d.]+)/trim([01])/text([01])$", recorded.revision):
        pixels = max(int(match[1]) or int(match[2]) ** 2, 4096)  # the area, or the longer side
        pool, trim, text = float(match[3]), match[4] == "1", match[5] == "1"
        return partial(VisualEmbedder, given, page_pixels=pixels, pool=pool, trim=trim, text=text, name=recorded.name)
    raise typer.BadParameter(
        f"the index was made with {recorded.name!r}, which only Python can open: PageIndex.open(folder, embedder)",
        param_hint="--embedder",
    )
