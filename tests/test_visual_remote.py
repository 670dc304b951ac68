"""A visual model behind vLLM's pooling API: pages go there as pictures, and troubles of the server are told."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pooling_server import DIM, PoolingServer, pooling_server

from glyph_integrations import Page, PageIndex, PageStyle, RemoteVisualEmbedder, Renderer
from glyph_integrations.embedding import Embedder
from glyph_integrations.errors import IndexMismatchError, MissingExtraError, ModelError, QueryError

pytest.importorskip("openai")
STYLE = PageStyle(width=300, height=300)


@pytest.fixture
def server() -> Iterator[PoolingServer]:
    with pooling_server() as running:
        yield running


def pages(count: int) -> list[Page]:
    draw, renderer = np.random.default_rng(0), Renderer(STYLE)
    letters = [*"aeioumnrstwl", *" " * 3]
    return [next(renderer.paginate("".join(draw.choice(letters, 1500)), f"{n}.txt")) for n in range(count)]


def remote(server: PoolingServer, **options: Any) -> RemoteVisualEmbedder:
    return RemoteVisualEmbedder("some/col-model", server.url, page_pixels=100_000, **options)


@pytest.mark.parametrize("single", [False, True])
def test_pages_are_found_by_their_pictures(single: bool, server: PoolingServer) -> None:
    server.single = single
    embedder, made, renderer = remote(server), pages(20), Renderer()
    assert isinstance(embedder, Embedder) and embedder.dim == DIM
    with PageIndex.open(embedder=embedder) as index:
        ids = index.add(made)
        for number in (0, 7, 19):
            assert index.search(embedder.embed_query(renderer.draw(made[number])), 1)[0].page.id == ids[number]
        assert len(index.search("some words", 3, mode="dense")) == 3
    assert len(embedder.embed_query("two words")) == (1 if single else 2)


def test_the_protocol_is_vllms(server: PoolingServer) -> None:
    embedder = remote(server, query_prompt="Query: {}")
    server.requests.clear()
    embedder.embed_pages(pages(1))
    embedder.embed_query("Who {}?")
    page, question = server.requests
    assert page["model"] == "some/col-model" and page["encoding_format"] == "float"
    ((picture, text),) = [message["content"] for message in page["messages"]]
    assert picture["image_url"]["url"].startswith("data:image/png;base64,") and text["text"] == "Describe the image."
    assert question == {"model": "some/col-model", "encoding_format": "float", "input": "Query: Who {}?"}


def test_order_progress_pooling_and_blank_pages(server: PoolingServer) -> None:
    reports: list[tuple[int, int]] = []
    embedder = remote(server, at_once=3, progress=lambda done, count: reports.append((done, count)))
    made = pages(9)
    made.insert(4, Page(" ", STYLE.replace(newline="keep"), ()))
    found = embedder.embed_pages(made)
    assert [len(vectors) for vectors in found] == [64] * 4 + [0] + [64] * 5 and reports == [(n + 1, 10) for n in range(10)]
    for page, vectors in zip(made, found, strict=True):
        assert np.allclose(remote(server).embed_pages([page])[0], vectors)
    pooled = remote(server, pool=4).embed_pages(made[:1])[0]
    assert len(pooled) == 16 and (found[0] @ pooled.T).max(axis=1).mean() > 0.5
    with pytest.raises(QueryError, match="nothing on the picture"):
        embedder.embed_query(Image.new("RGB", (50, 50), "white"))


def test_base_urls_may_end_as_those_of_other_apis(server: PoolingServer) -> None:
    for url in (server.url, server.url + "/", server.url + "/v1", server.url + "/v1/"):
        assert RemoteVisualEmbedder("m", url).dim == DIM


@pytest.mark.parametrize("status", [429, 500, 503])
def test_passing_troubles_are_tried_again(status: int, server: PoolingServer) -> None:
    embedder = remote(server)
    server.troubles = [status, status]
    assert len(embedder.embed_pages(pages(1))[0]) == 64


@pytest.mark.parametrize(
    ("status", "advice"),
    [(400, "too many tokens; .*lower page_pixels"), (401, "API key"), (404, "--runner pooling"), (500, "server's log")],
)
def test_lasting_troubles_are_told(status: int, advice: str, server: PoolingServer) -> None:
    embedder = remote(server, max_retries=1)
    server.troubles = [status] * 9
    with pytest.raises(ModelError, match=f"{server.url} answered {status}.*{advice}"):
        embedder.embed_pages(pages(3))
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("glyph-remote")]


def test_a_server_that_is_slow_or_gone(server: PoolingServer) -> None:
    embedder = remote(server, timeout=0.2, max_retries=0)
    server.wait = 1
    with pytest.raises(ModelError, match=r"did not answer within 0.2 s"):
        embedder.embed_query("Who?")
    with pooling_server() as other:
        url = other.url
    with pytest.raises(ModelError, match="cannot be reached"):
        RemoteVisualEmbedder("m", url, max_retries=0)


@pytest.mark.parametrize(
    "answer", [b"", b"[1]", b"{}", b'{"data": []}', b'{"data": [{"data": "words"}]}', b'{"data": [{"data": [[[1.0]]]}]}',
               b'{"data": [{"data": [[1.0], [1.0, 2.0]]}]}', b"<html>"],
)  # fmt: skip
def test_answers_that_are_no_vectors(answer: bytes, server: PoolingServer) -> None:
    embedder = remote(server)
    server.answer = answer
    with pytest.raises(ModelError, match="answered with something else"):
        embedder.embed_query("Who?")


def test_a_model_that_does_not_see_is_refused(server: PoolingServer) -> None:
    server.answer = b'{"data": [{"data": [[1.0, 0.0]]}]}'
    with pytest.raises(ModelError, match="different pages get the same vectors"):
        remote(server)


def test_another_model_behind_the_address_is_noticed(server: PoolingServer) -> None:
    embedder = remote(server)
    server.dim = 16
    with pytest.raises(ModelError, match="length 16, not 32 as before"):
        embedder.embed_pages(pages(1))
    with pytest.raises(ModelError, match="length 16, not 32 as before"):
        embedder.embed_query("Who?")


def test_what_changes_vectors_is_another_index(server: PoolingServer, tmp_path: Any) -> None:
    PageIndex.open(tmp_path, remote(server)).close()
    PageIndex.open(tmp_path, remote(server, at_once=2, timeout=9)).close()
    for options in (
        {"pool": 2},
        {"trim": False},
        {"grid": 32},
        {"revision": "2"},
        {"image_prompt": ""},
        {"query_prompt": "Q: {}"},
    ):
        with pytest.raises(IndexMismatchError):
            PageIndex.open(tmp_path, remote(server, **options))


def test_wrong_options_and_a_missing_library(server: PoolingServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for options in ({"pool": 0}, {"at_once": 0}, {"grid": 0}, {"query_prompt": "no place"}):
        with pytest.raises(ValueError, match="must"):
            remote(server, **options)
    monkeypatch.setitem(sys.modules, "openai", None)
    with pytest.raises(MissingExtraError, match=r"\[openai\]"):
        remote(server)


def test_an_interruption_does_not_wait_for_a_server_that_hangs(server: PoolingServer, monkeypatch: pytest.MonkeyPatch) -> None:
    class Interrupted(list[Image.Image]):
        def __iter__(self) -> Iterator[Image.Image]:
            yield from list.__iter__(self)
            assert asked.wait(20)
            raise KeyboardInterrupt

    embedder, asked, released = remote(server), threading.Event(), threading.Event()

    def hang(request: dict[str, Any]) -> Any:
        asked.set()
        released.wait(60)
        raise ModelError("too late")

    monkeypatch.setattr(embedder, "_ask", hang)
    began = time.monotonic()
    try:
        with pytest.raises(KeyboardInterrupt):
            embedder.embed_images(Interrupted([Image.effect_noise((100, 100), 80)] * 4))
        assert time.monotonic() - began < 20
    finally:
        released.set()
