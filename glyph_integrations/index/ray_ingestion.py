"""`RayIngestion`: documents laid out and embedded by the workers of a Ray cluster, written by one process, this one."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from ..embedding import Embedder
from ..embedding.embedder import Metric, Vectors
from ..errors import GlyphError, MissingExtraError, ModelError
from ..page import Page
from ..rendering import Renderer
from ..sources import open_document
from .intake import Synced
from .log import PORTION
from .page_index import PageIndex

if TYPE_CHECKING:
    from PIL.Image import Image

_RETRIES = 3  # of a worker that was lost: killed, out of memory, on a machine that went away
_AHEAD = 4 * PORTION  # pages that are laid out and embedded before they are written
_DOCUMENTS = 16  # that are laid out at once


class RayIngestion:
    """Workers for `PageIndex.sync` on a Ray cluster (extra ``ray``).

    Documents are read here and laid out in tasks; pages are embedded in actors, each with a model of its own; the index is
    written here, in the order of the documents. What an index is given is what it would be given without Ray: the same pages
    with the same ids, embedded in the same portions. Pages that the index has are not embedded again, so a run that was
    interrupted goes on. What a lost worker was doing is done again by another, three times at most.

    The package must be installed on every node. Ray moves values between its processes by pickling them, so use clusters that
    you trust. Use it as a context manager, or `close` it.

    Args:
        make: makes an embedder in each actor, such as ``functools.partial(TextEmbedder, "all-MiniLM-L6-v2")``. None: words
            only, nothing is embedded.
        address: of a cluster (``ray://host:10001``, ``auto``, ``host:6379``), or ``local`` for one on this machine, started now
            and stopped by `close`. A connection of this process to a cluster is used as it is.
        actors: that embed. None: one for each GPU of the cluster, or else for each core.

    Attributes:
        embedder: to open the index with; None without ``make``.

    Raises:
        MissingExtraError: Ray is not installed.
        ModelError: there is no cluster at the address, or ``make`` failed.
        ValueError: ``actors`` below 1.
    """

    def __init__(
        self, make: Callable[[], Embedder] | None = None, address: str = "local", *, actors: int | None = None
    ) -> None:
        if actors is not None and actors < 1:
            raise ValueError(f"actors={actors}: must be at least 1")
        try:
            import ray
        except ImportError:
            raise MissingExtraError("ray", "ray") from None
        self._ray: Any = ray
        self._started = not ray.is_initialized()
        if self._started:
            self._connect(address)
        self.embedder: RayEmbedder | None = None
        try:
            self._lay_out: Any = ray.remote(num_cpus=0, max_retries=_RETRIES)(_lay_out)  # actors hold the cores
            if make is not None:
                self.embedder = RayEmbedder(ray, make, actors)
        except BaseException:
            self.close()
            raise

    def _connect(self, address: str) -> None:
        options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
        if address == "local":
            options |= {"address": "local", "include_dashboard": False}
        else:
            options["address"] = address
        try:
            self._ray.init(**options)
        except Exception as error:  # Ray raises ConnectionError, ValueError, RuntimeError and others
            told = str(error).strip().partition("\n")[0]
            raise ModelError(f"no Ray cluster at {address!r} ({told or type(error).__name__}); is it running?") from error

    def sync(
        self, index: PageIndex, files: Mapping[str, Path], renderer: Renderer, encoding: str | None = None
    ) -> Iterator[tuple[str, Synced]]:
        """Bring documents of an index up to date; yields the name of each, in order, and what `PageIndex.sync` did.

        Args:
            index: opened with this object's `embedder` (or, without one, with any that stores no vectors).
            files: documents by name.
            renderer: its style and fonts; fonts must be on every node.
            encoding: of texts; see `open_document`.

        Raises:
            DocumentError: a document cannot be read. What was yielded before is in the index.
            ModelError: the embedder failed, or workers were lost more often than is bearable.
        """
        waiting: deque[_Document] = deque()
        ready = 0
        for document in self._documents(files, renderer, encoding):
            waiting.append(document)
            ready += len(document.pages)
            if self.embedder is not None:
                self._ahead(index, document)
            while waiting and ready > _AHEAD:
                ready -= len(waiting[0].pages)
                yield self._write(index, waiting.popleft())
        while waiting:
            yield self._write(index, waiting.popleft())

    def _write(self, index: PageIndex, document: _Document) -> tuple[str, Synced]:
        synced = index.sync(document.name, document.pages)
        if self.embedder is not None:
            self.embedder.forget(document.pages)
        return document.name, synced

    def _documents(self, files: Mapping[str, Path], renderer: Renderer, encoding: str | None) -> Iterator[_Document]:
        """Documents laid out, in order; a few are under way."""
        source = iter(files.items())
        under_way: deque[tuple[str, Any, Any]] = deque()
        while True:
            for name, file in islice(source, _DOCUMENTS - len(under_way)):
                data = self._ray.put(file.read_bytes())
                under_way.append((name, data, self._lay_out.remote(data, name, renderer, encoding)))
            if not under_way:
                return
            name, data, future = under_way.popleft()
            pages = _result(self._ray, future, f"laying out {name}")
            pictured = any(page.picture for page in pages)
            if pictured:
                open_document(files[name], name=name)  # so that this process can draw them, too
            yield _Document(name, pages, data if pictured else None)

    def _ahead(self, index: PageIndex, document: _Document) -> None:
        """Start embedding the pages that the index does not have, in the portions that it will ask for."""
        assert self.embedder is not None
        for start in range(0, len(document.pages), PORTION):
            portion = document.pages[start : start + PORTION]
            by_content = {page.content_hash: page for page in portion}  # equal content is embedded once
            new = [page for page in by_content.values() if page.id not in index]
            self.embedder.start(new, document.data)

    def close(self) -> None:
        """Let the actors go, and stop a cluster that was started here. Safe to call twice."""
        if self.embedder is not None:
            self.embedder.close()
        if self._started:
            self._started = False
            self._ray.shutdown()

    def __enter__(self) -> RayIngestion:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


class _Document(NamedTuple):
    """A document laid out; ``data`` is a reference to its bytes where its pages are drawn from them."""

    name: str
    pages: list[Page]
    data: Any


class _Begun(NamedTuple):
    """The call in which a page is embedded, and its place there."""

    future: Any
    place: int


class RayEmbedder:
    """An embedder whose models are in the actors of a cluster. Made by `RayIngestion`."""

    def __init__(self, ray: Any, make: Callable[[], Embedder], actors: int | None) -> None:
        self._ray = ray
        resources = ray.cluster_resources()
        gpus = int(resources.get("GPU", 0))
        count = actors or gpus or max(1, int(resources.get("CPU", 1)))
        options = {"num_cpus": 1, "num_gpus": min(1.0, gpus / count), "max_restarts": _RETRIES, "max_task_retries": _RETRIES}
        if not gpus:
            del options["num_gpus"]
            options["num_cpus"] = min(1.0, int(resources.get("CPU", 1)) / count)
        worker = ray.remote(**options)(_Actor)
        self._actors = [worker.remote(make) for _ in range(count)]
        self._loads = [0] * count
        self._begun: dict[str, _Begun] = {}
        self._owner: dict[Any, int] = {}
        self._results: dict[Any, list[Vectors]] = {}
        described = _result(ray, self._actors[0].describe.remote(), "loading the embedding model")
        self.name: str
        self.revision: str
        self.dim: int
        self.metric: Metric
        self.stored: bool
        self.name, self.revision, self.dim, self.metric, self.stored, self._sees = described
        if self._sees:
            self.embed_images = self._embed_images  # by which one that looks at pictures is known

    def start(self, pages: Sequence[Page], data: Any = None) -> None:
        """Begin to embed pages in one call; ``data`` refers to the file that they are drawn from, if any."""
        pages = [page for page in pages if page.content_hash not in self._begun]
        if not pages or not self.stored:
            return
        future = self._call(pages, data)
        for place, page in enumerate(pages):
            self._begun[page.content_hash] = _Begun(future, place)

    def embed_pages(self, pages: Sequence[Page]) -> list[Vectors]:
        """One float32 array [n, dim] per page; those begun before are waited for, others embedded now.

        Raises:
            ModelError: the embedder failed, or its actor was lost too often.
        """
        others = [page for page in pages if page.content_hash not in self._begun]
        self.start(others)
        return [self._vectors(self._begun[page.content_hash]) for page in pages] if self.stored else self._now(pages)

    def _embed_images(self, images: Sequence[Image]) -> list[Vectors]:
        found: list[Vectors] = _result(self._ray, self._actors[0].embed_images.remote(list(images)), "embedding pictures")
        return found

    def embed_query(self, text: str | Image) -> Vectors:
        """A float32 array [n, dim], of a question, or of a picture where the embedder takes one."""
        found: Vectors = _result(self._ray, self._actors[0].embed_query.remote(text), "embedding a question")
        return found

    def forget(self, pages: Sequence[Page]) -> None:
        """Let go of the vectors of pages that were written."""
        for page in pages:
            self._begun.pop(page.content_hash, None)
        kept = {begun.future for begun in self._begun.values()}
        for future in [future for future in self._owner if future not in kept]:
            self._loads[self._owner.pop(future)] -= 1
            self._results.pop(future, None)

    def close(self) -> None:
        """Stop the actors."""
        for actor in self._actors:
            if self._ray.is_initialized():
                self._ray.kill(actor)
        self._actors = []

    def _call(self, pages: Sequence[Page], data: Any) -> Any:
        idle = min(range(len(self._actors)), key=self._loads.__getitem__)
        self._loads[idle] += 1
        future = self._actors[idle].embed.remote(list(pages), data if self._sees else None)
        self._owner[future] = idle
        return future

    def _vectors(self, begun: _Begun) -> Vectors:
        if begun.future not in self._results:
            self._results[begun.future] = _result(self._ray, begun.future, f"embedding with {self.name}")
        return self._results[begun.future][begun.place]

    def _now(self, pages: Sequence[Page]) -> list[Vectors]:
        made: list[Vectors] = _result(self._ray, self._actors[0].embed.remote(list(pages), None), f"embedding with {self.name}")
        return made


class _Actor:
    """What runs in an actor. The model is loaded by the first call, so that what goes wrong is the call's error."""

    def __init__(self, make: Callable[[], Embedder]) -> None:
        self._make = make

    @cached_property
    def _embedder(self) -> Embedder:
        return self._make()

    def describe(self) -> tuple[str, str, int, Metric, bool, bool]:
        e = self._embedder
        return e.name, e.revision, e.dim, e.metric, e.stored, hasattr(e, "embed_images")

    def embed(self, pages: list[Page], data: bytes | None) -> list[Vectors]:
        if data is not None:
            open_document(data, name=pages[0].source)  # keeps the file for drawing
        return self._embedder.embed_pages(pages)

    def embed_images(self, images: list[Image]) -> list[Vectors]:
        found: list[Vectors] = cast(Any, self._embedder).embed_images(images)
        return found

    def embed_query(self, text: str) -> Vectors:
        return self._embedder.embed_query(text)


def _lay_out(data: bytes, name: str, renderer: Renderer, encoding: str | None) -> list[Page]:
    """What runs in a task."""
    return list(renderer.paginate(open_document(data, name=name, encoding=encoding)))


def _result(ray: Any, future: Any, what: str) -> Any:
    """What a call returned.

    Raises:
        GlyphError: what it raised, if that was ours.
        ModelError: whatever else went wrong.
    """
    try:
        return ray.get(future)
    except ray.exceptions.RayTaskError as error:
        cause = error.cause
        if isinstance(cause, GlyphError):
            raise cause from error
        raise ModelError(f"{what} failed on a worker: {type(cause).__name__}: {cause}") from error
    except ray.exceptions.RayActorError as error:
        reason = str(error).strip().partition("\n")[0]
        raise ModelError(f"{what}: a worker was lost, and so were those after it ({reason})") from error
    except ray.exceptions.RayError as error:
        raise ModelError(f"{what}: {type(error).__name__}: {str(error).strip().partition(chr(10))[0]}") from error
