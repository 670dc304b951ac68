"""The Python of the README and of the guides runs as it stands, against a server on loopback."""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from chat_server import ChatServer, chat_server, images_of

ROOT = Path(__file__).resolve().parents[1]
BOOK = "\n\n".join(
    f"Chapter {n}\n\n"
    + ("Mr. Collins praised his patroness, Lady Catherine de Bourgh. " if n == 7 else "")
    + "It rained all day. " * 150
    for n in range(1, 20)
)
QUESTIONS = '{"question": "Who is Mr. Collins\'s patroness?", "answer": "Lady Catherine de Bourgh"}\n'


def blocks(name: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", (ROOT / name).read_text(encoding="utf-8"), re.S)


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ChatServer]:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "book.txt").write_text(BOOK, encoding="utf-8")
    (tmp_path / "questions.jsonl").write_text(QUESTIONS, encoding="utf-8")
    with chat_server() as server:
        server.answer = "“his patroness, Lady Catherine de Bourgh” (Page 1)"
        yield server


def run(code: str, name: str, names: dict[str, object], server: ChatServer) -> str:
    """What the code prints, run with these names."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(code.replace("http://localhost:8000/v1", server.url), name, "exec"), names)
    return out.getvalue()


def images_sent(server: ChatServer) -> list[str]:
    return [url for request in server.requests for message in request["messages"] for url in images_of(message)]


@pytest.mark.parametrize(
    ("name", "number"), [(name, n) for name in ("README.md", "docs/quickstart.md") for n in range(len(blocks(name)))]
)
def test_each_block_runs_alone(name: str, number: int, server: ChatServer) -> None:
    code = blocks(name)[number]
    if "path/to" in code:
        pytest.skip("names a file that only the reader has")
    if "llama_index.llms" in code:
        pytest.importorskip("llama_index.llms.openai_like")
    out = run(code, name, {"__name__": "readme"}, server)
    if "localhost" in code:
        assert "Lady Catherine" in out
        images = images_sent(server)
        assert images and all(url.startswith("data:image/png;base64,") for url in images)
    else:
        assert re.search(r"^\d+:\d+$", out, re.M)


@pytest.mark.parametrize(
    ("name", "needs"),
    [
        ("docs/langchain-rag.md", "langchain_openai"),
        ("docs/llama-index-rag.md", "llama_index.llms.openai_like"),
        ("docs/agents.md", "langchain.agents"),
        ("docs/serving.md", "langchain_core"),
        ("docs/evaluating.md", "numpy"),
        ("docs/migrating.md", "llama_index.llms.openai_like"),
    ],
)
def test_the_blocks_of_a_guide_run_one_after_the_other(name: str, needs: str, server: ChatServer) -> None:
    pytest.importorskip(needs)
    names: dict[str, object] = {"__name__": "guide"}
    out = "".join(run(code, f"{name}, block {n}", names, server) for n, code in enumerate(blocks(name), 1))
    if name == "docs/evaluating.md":
        assert out.startswith("1.000 (95 %: ")
    elif name != "docs/serving.md":
        assert images_sent(server)
        if "print" in "".join(blocks(name)):
            assert "Lady Catherine" in out
