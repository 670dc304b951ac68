"""The Python of the README and the quickstart runs as it stands, against a server on loopback."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path

import pytest
from chat_server import chat_server, images_of

ROOT = Path(__file__).resolve().parents[1]
BOOK = "\n\n".join(
    f"Chapter {n}\n\n"
    + ("Mr. Collins praised his patroness, Lady Catherine de Bourgh. " if n == 7 else "")
    + "It rained all day. " * 150
    for n in range(1, 20)
)


def blocks(name: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", (ROOT / name).read_text(encoding="utf-8"), re.S)


@pytest.mark.parametrize(
    ("name", "number"), [(name, n) for name in ("README.md", "docs/quickstart.md") for n in range(len(blocks(name)))]
)
def test_the_code_runs(name: str, number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = blocks(name)[number]
    if "path/to" in code:
        pytest.skip("names a file that only the reader has")
    if "llama_index.llms" in code:
        pytest.importorskip("llama_index.llms.openai_like")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "book.txt").write_text(BOOK, encoding="utf-8")
    out = io.StringIO()
    with chat_server() as server, contextlib.redirect_stdout(out):
        server.answer = "“his patroness, Lady Catherine de Bourgh” (Page 1)"
        code = code.replace("http://localhost:8000/v1", server.url)
        exec(compile(code, name, "exec"), {"__name__": "readme"})
        if "localhost" in blocks(name)[number]:
            assert "Lady Catherine" in out.getvalue()
            images = [url for message in server.messages for url in images_of(message)]
            assert images and all(url.startswith("data:image/png;base64,") for url in images)
        else:
            assert re.search(r"^\d+:\d+$", out.getvalue(), re.M)
