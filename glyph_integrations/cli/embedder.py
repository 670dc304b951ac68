"""``--embedder``: the embedding model that an index is made with, and opened with again."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ..embedding import Embedder

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


def new_embedder(given: str | None, by_sight: bool) -> Embedder | None:
    """What a new index is made with: a text model, or one that sees pages; None for words alone.

    Raises:
        ModelError, MissingExtraError: it cannot be loaded.
    """
    make = new_maker(given, by_sight)
    return make() if make else None


def new_maker(given: str | None, by_sight: bool) -> Callable[[], Embedder] | None:
    """What makes the embedder of `new_embedder`, here or in another process."""
    from ..embedding import TextEmbedder, VisualEmbedder

    if given is None:
        if by_sight:
            raise typer.BadParameter("needs the name of a model: add --embedder NAME", param_hint="--by-sight")
        return None
    return partial(VisualEmbedder, given) if by_sight else partial(TextEmbedder, given)


def recorded_or(given: str | None, folder: Path) -> Embedder:
    """The embedder an index was made with, its settings as the index recorded them; without its name one that only reads."""
    from ..index import recorded_embedder

    return recorded_embedder(folder) if given is None else recorded_maker(given, folder)()


def recorded_maker(given: str, folder: Path) -> Callable[[], Embedder]:
    """What makes the embedder that an index was made with."""
    from ..embedding import LexicalEmbedder, TextEmbedder, VisualEmbedder
    from ..index import recorded_embedder

    recorded = recorded_embedder(folder)
    if isinstance(recorded, LexicalEmbedder):
        raise typer.BadParameter("this index was made without a model", param_hint="--embedder")
    if match := re.search(r"/w(\d+)$", recorded.revision):
        return partial(TextEmbedder, given, window=int(match[1]), name=recorded.name)
    if match := re.search(r"/pool([\d.]+)/trim([01])/text([01])$", recorded.revision):
        pool, trim, text = float(match[1]), match[2] == "1", match[3] == "1"
        return partial(VisualEmbedder, given, pool=pool, trim=trim, text=text, name=recorded.name)
    raise typer.BadParameter(
        f"the index was made with {recorded.name!r}, which only Python can open: PageIndex.open(folder, embedder)",
        param_hint="--embedder",
    )
