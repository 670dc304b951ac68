"""A real server, ``transformers serve`` on loopback with a tiny checkpoint, asked by every client through the public doors."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import pytest
from checkpoints import Checkpoints

from glyph_integrations import OpenAIModel, PageStyle, Renderer, TransformersModel
from glyph_integrations.errors import ModelError
from glyph_integrations.reading import Answer, PagePart, TextPart, Turn

for package in ("torchvision", "transformers", "fastapi", "uvicorn", "accelerate", "openai"):
    if not find_spec(package):
        pytest.skip(f"transformers serve needs {package}", allow_module_level=True)

pytestmark = pytest.mark.slow  # the server takes ten seconds to start

SAID = "<think>hm</think>A copy.\u00e9"
RENDERER = Renderer(PageStyle.preset("glyph-72").replace(width=300, height=336))
PROSE = "The lighthouse keeper of Amrum wrote his log every night, and every morning the ferry took a copy of it ashore. "
PAGE = next(RENDERER.paginate(PROSE * 60, source="log.txt"))
QUESTION = "What did the ferry take?"
TURNS = [Turn("user", [TextPart("Page 1"), PagePart(PAGE, 96), TextPart(QUESTION)])]


class Serving(NamedTuple):
    url: str
    checkpoint: str


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    folder = tmp_path_factory.mktemp("serving")
    path = str(Checkpoints(folder).reciter(SAID))
    (folder / "cache").mkdir()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = shutil.which("transformers", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    assert command, "the transformers command is not installed"
    arguments = [command, "serve", path, "--host", "127.0.0.1", "--port", str(port), "--device", "cpu"]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": str(folder / "cache"), "OMP_NUM_THREADS": "1"}
    with (folder / "log.txt").open("wb") as log:
        process = subprocess.Popen(arguments, env=environment, stdout=log, stderr=log)
    try:
        _wait_for(f"http://127.0.0.1:{port}/health", process, folder / "log.txt")
        yield Serving(f"http://127.0.0.1:{port}/v1", path)
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_for(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + 120
    while time.monotonic() < end and process.poll() is None:
        try:
            with urllib.request.urlopen(address, timeout=5):
                return
        except OSError:
            time.sleep(0.2)
    pytest.fail(f"transformers serve did not start:\n{log.read_text(errors='replace')[-2000:]}")


@pytest.fixture(scope="module")
def model(serving: Serving) -> OpenAIModel:
    return OpenAIModel(serving.checkpoint, serving.url, vision="qwen2.5-vl", renderer=RENDERER, max_retries=0)


async def test_the_server_is_sent_what_a_local_model_is_shown(serving: Serving, model: OpenAIModel) -> None:
    local = TransformersModel(serving.checkpoint, renderer=RENDERER).read(TURNS, max_tokens=32)
    answer = model.read(TURNS, max_tokens=32)
    assert local.usage is not None and answer.usage is not None and local.usage.image_tokens
    assert (answer.text, answer.reasoning) == (local.text, local.reasoning) == ("A copy.\u00e9", "hm")
    assert answer.usage.input_tokens == local.usage.input_tokens  # the picture arrived: the server drops what it does not know
    assert await model.aread(TURNS, max_tokens=32) == answer


async def test_answers_are_streamed(model: OpenAIModel) -> None:
    answer = model.read(TURNS, max_tokens=32)
    chunks = list(model.stream(TURNS, max_tokens=32))  # the server sends no [DONE]
    assert len(chunks) > 3
    assert Answer.from_chunks(chunks).text == answer.text
    assert chunks[-1].usage == answer.usage
    assert Answer.from_chunks([chunk async for chunk in model.astream(TURNS, max_tokens=32)]).reasoning == "hm"


def test_an_error_of_the_server_is_said_with_its_address(serving: Serving) -> None:
    other = OpenAIModel("another/model", serving.url, max_retries=0)
    with pytest.raises(ModelError, match=r"127\.0\.0\.1:\d+/v1 answered 4\d\d: .*pinned"):
        other.read([Turn("user", QUESTION)])


async def test_chains_of_langchain_read_pages_through_it(serving: Serving, model: OpenAIModel) -> None:
    pytest.importorskip("langchain_openai")
    from langchain_core.prompts import ChatPromptTemplate
    from langchain_openai import ChatOpenAI

    from glyph_integrations.langchain import ChatGlyph
    from glyph_integrations.reading import REGISTRY, page_tag

    REGISTRY.register([PAGE])
    llm = ChatOpenAI(base_url=serving.url, model=serving.checkpoint, api_key="none", max_tokens=32, max_retries=0)  # type: ignore[arg-type]
    prompt = ChatPromptTemplate.from_messages([("user", "{context}\n{question}")])
    inputs = {"context": page_tag(PAGE), "question": QUESTION}
    bare = ChatOpenAI(base_url=serving.url, model=serving.checkpoint, api_key="none", max_tokens=32).invoke(QUESTION)  # type: ignore[arg-type]
    short = ChatGlyph.from_server(serving.url, serving.checkpoint, vision="qwen2.5-vl", renderer=RENDERER, max_tokens=32)
    for chat in (ChatGlyph(llm=llm, vision="qwen2.5-vl", renderer=RENDERER), short):
        answer = (prompt | chat).invoke(inputs)
        assert answer.text.endswith("A copy.\u00e9")
        (sent,) = answer.response_metadata["glyph"]["report"]["pages"]
        assert sent["sent_as"] == "image"
        assert answer.usage_metadata is not None and bare.usage_metadata is not None
        assert answer.usage_metadata["input_tokens"] >= bare.usage_metadata["input_tokens"] + sent["image_tokens"]
        pieces = [piece async for piece in (prompt | chat).astream(inputs)]
        assert "".join(piece.text for piece in pieces).endswith("A copy.\u00e9")
        assert [m.text for m in (prompt | chat).batch([inputs, inputs])] == [answer.text] * 2


async def test_llms_of_llama_index_read_pages_through_it(serving: Serving) -> None:
    pytest.importorskip("llama_index.llms.openai_like")
    from llama_index.core.base.llms.types import ChatMessage
    from llama_index.llms.openai_like import OpenAILike

    from glyph_integrations.llama_index import GlyphLLM
    from glyph_integrations.reading import REGISTRY, page_tag

    REGISTRY.register([PAGE])
    inner = OpenAILike(
        model=serving.checkpoint, api_base=serving.url, api_key="none", is_chat_model=True, max_tokens=32, max_retries=0
    )
    message = ChatMessage(content=f"{page_tag(PAGE)}\n{QUESTION}")
    short = GlyphLLM.from_server(serving.url, serving.checkpoint, vision="qwen2.5-vl", renderer=RENDERER, max_tokens=32)
    for llm in (GlyphLLM(llm=inner, vision="qwen2.5-vl", renderer=RENDERER), short):
        answer = llm.chat([message])
        assert (answer.message.content or "").endswith("A copy.\u00e9")
        (sent,) = answer.additional_kwargs["glyph"]["report"]["pages"]
        assert sent["sent_as"] == "image"
        assert answer.additional_kwargs["prompt_tokens"] > sent["image_tokens"]
        assert (list(llm.stream_chat([message]))[-1].message.content or "").endswith("A copy.\u00e9")
        assert ((await llm.achat([message])).message.content or "").endswith("A copy.\u00e9")
