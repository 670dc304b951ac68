"""`glyph ask`: a document or an index, with and without a server, over loopback."""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import socket
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from glyph_command import CHINESE, FACT, FILLER, QUESTION, error_of, files_in, glyph, isolate, ok, write_story
from PIL import Image
from serving import serving

from glyph_integrations import Renderer, open_document


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return isolate(tmp_path, monkeypatch)


@pytest.fixture
def story(own_folder: Path) -> Path:
    return write_story(own_folder)


# -- ask ----------------------------------------------------------------------------------------------------------------------


def marked_rows(path: Path) -> set[int]:
    """Rows of a saved page that bear the marker's yellow."""
    with Image.open(path) as image:
        assert image.mode == "RGB"
        width = image.width
        pixels = image.tobytes()
    return {
        at // 3 // width
        for at in range(0, len(pixels), 3)
        if pixels[at] > 200 and pixels[at + 1] > 180 and pixels[at + 2] < 140
    }


def test_ask_tells_each_step_cites_the_line_and_marks_it(story: Path, own_folder: Path) -> None:
    out = ok("ask", story, QUESTION)
    renderer = Renderer()
    pages = list(renderer.paginate(open_document(story)))
    page = next(page for page in pages if FACT in page.text)
    line = page.line_of(page.text.index(FACT))
    assert f"{len(story.read_text()):,} characters" in out and "text tokens (estimate" in out
    assert f"{len(pages)} pages" in out and "ratio" in out
    assert "no model was asked" in out
    assert FACT in out
    assert re.search(rf"^  {page.number}:{line}  verified", out, re.M)
    picture = own_folder / "glyph-answer" / f"story_page_{page.number:04}.png"
    assert str(picture.relative_to(own_folder)) in out
    start = page.text.index(FACT)
    boxes = [box for _, box in renderer.boxes(page, start, start + len(FACT), dpi=144)]
    rows = marked_rows(picture)
    assert rows
    assert rows <= {y for box in boxes for y in range(box.top, box.bottom)}
    assert all(rows & set(range(box.top, box.bottom)) for box in boxes)


def test_ask_finds_the_patroness(corpora: Path) -> None:
    out = ok("ask", corpora / "texts/pride_and_prejudice.txt", "Who is Mr. Collins's patroness?")
    pages = {page.number: page for page in Renderer().paginate(open_document(corpora / "texts/pride_and_prejudice.txt"))}
    found = [pages[int(number)].text for number in re.findall(r"page (\d+)  relevance", out)]
    # the two places that say so in as many words
    told = ("fortunate in his patroness. Lady Catherine de Bourgh", "A fortunate chance had recommended him to Lady Catherine")
    assert any(words in text for words in told for text in found[:2])
    assert re.search(r"^  \d+:\d+  verified", out, re.M)


def test_ask_finds_the_weight_of_the_staff(corpora: Path) -> None:
    out = ok("ask", corpora / "texts/xiyouji_ch1-20.txt", "如意金箍棒重多少斤？", "--quiet")
    assert "重一万三千五百斤" in out.splitlines()[0]
    assert out.count("  verified  ") == out.count("“")


def test_ask_quietly_prints_the_answer_only(story: Path) -> None:
    out = ok("ask", story, QUESTION, "--quiet").splitlines()
    assert FACT in out[0] and "verified" in out[1] and out[2].strip().startswith("glyph-answer")
    assert len(out) == 3


def test_ask_says_that_wrapped_text_was_reflowed(own_folder: Path) -> None:
    Path("wrapped.txt").write_text("\n\n".join(textwrap.fill(FILLER * 5 + FACT * (n == 3), 70) for n in range(9)))
    out = ok("ask", "wrapped.txt", QUESTION)
    assert "wrapped by hand, so reflowed" in out
    assert FACT in out  # the quotation runs over the joined lines


def test_ask_an_index_of_several_documents(story: Path, own_folder: Path) -> None:
    (own_folder / "other.txt").write_text(FILLER * 100)
    ok("index", story, "other.txt", "--index", "idx")
    before = files_in(own_folder / "idx")
    out = ok("ask", "idx", QUESTION, "-k", 2, "-o", "cited")
    assert "2 documents" in out
    assert re.search(r"^  story\.txt \d+:\d+  verified", out, re.M)
    assert all(name.startswith("story_page_") for name in files_in(own_folder / "cited"))
    assert files_in(own_folder / "idx") == before


def test_ask_in_chinese(own_folder: Path) -> None:
    Path("书.txt").write_text(CHINESE, encoding="utf-8")
    out = ok("ask", "书.txt", "金箍棒有多重？")
    assert "如意金箍棒重一万三千五百斤。" in out and re.search(r"^  \d+:\d+  verified", out, re.M)
    assert len(list(Path("glyph-answer").glob("书_page_*.png"))) >= 1


def test_a_question_that_matches_nothing_gets_an_honest_empty_answer(story: Path, own_folder: Path) -> None:
    out = ok("ask", story, "Ποιος έγραψε την Οδύσσεια;")
    assert "No answer: no page matches the question." in out
    assert files_in(own_folder) == {"story.txt"}


def test_an_index_keeps_its_own_style(story: Path) -> None:
    ok("index", story, "--index", "idx", "--style", "glyph-72;font_size=12;line_height=14")
    result = glyph("ask", "idx", QUESTION, "--style", "glyph-96")
    assert result.exit_code == 2 and "--style" in result.stderr
    assert "verified" in ok("ask", "idx", QUESTION)


def test_documents_cannot_steer_the_terminal(own_folder: Path) -> None:
    Path("evil.txt").write_text("The password of Skerryvore is \x1b]0;owned\x07\x1b[2J swordfish.")
    result = glyph("ask", "evil.txt", "What is the password of Skerryvore?")
    assert "swordfish" in result.stdout
    assert "\x1b" not in result.output and "\x07" not in result.output


# -- ask a server -------------------------------------------------------------------------------------------------------------


@contextmanager
def server(answer: Callable[[dict[str, Any]], tuple[int, str]]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """An HTTP server on loopback: its base URL, and the requests it got (the header that authorises under ``key``)."""
    requests: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            requests.append({**request, "path": self.path, "key": self.headers["Authorization"]})
            status, body = answer(request)
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("x-should-retry", "false")  # the client library asks three times otherwise
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *arguments: object) -> None:
            pass

    with serving(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as running:
        yield f"http://127.0.0.1:{running.server_port}/v1", requests


def completion(text: str) -> tuple[int, str]:
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return 200, json.dumps({"id": "1", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice]})


def test_a_server_gets_pages_as_images_and_its_answer_is_checked(
    story: Path, own_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages = list(Renderer().paginate(open_document(story)))
    number = next(page.number for page in pages if FACT in page.text)
    monkeypatch.setenv("MY_KEY", "secret-1")
    text = f"Alasdair. “{FACT}” (Page {number}) He also said “I never liked the sea.” (Page {number})"
    with server(lambda _: completion(text)) as (url, requests):
        out = ok("ask", story, QUESTION, "--base-url", url, "--model", "zai-org/Glyph", "--api-key", "MY_KEY", "-k", 3)
    assert text in out and "by zai-org/Glyph" in out and "no model was asked" not in out
    assert len(re.findall(rf"^  {number}:\d+  verified", out, re.M)) == 1
    assert len(re.findall(r"NOT VERIFIED", out)) == 1
    [request] = requests
    assert request["key"] == "Bearer secret-1"
    assert request["model"] == "zai-org/Glyph"
    parts = [part for message in request["messages"] for part in message["content"]]
    images = [part["image_url"]["url"] for part in parts if part["type"] == "image_url"]
    assert len(images) == 3
    for url in images:
        with Image.open(BytesIO(base64.b64decode(url.removeprefix("data:image/png;base64,")))) as image:
            assert image.width % 28 == image.height % 28 == 0
    assert any(QUESTION in part["text"] for part in parts if part["type"] == "text")
    assert len(list((own_folder / "glyph-answer").iterdir())) == 1


def test_a_model_without_a_vision_profile_gets_text_unless_told(story: Path) -> None:
    with server(lambda _: completion("I do not know.")) as (url, requests):
        as_text = ok("ask", story, QUESTION, "--base-url", url, "--model", "mystery", "-k", 1)
        ok("ask", story, QUESTION, "--base-url", url, "--model", "mystery", "--vision", "qwen2.5-vl", "-k", 1)
    assert "1 page as text" in as_text and "takes no images" in as_text and "quotes no page" in as_text
    blind, seeing = (json.dumps(request["messages"]) for request in requests)
    assert "image_url" not in blind and "Mackinnon" in blind
    assert "image_url" in seeing


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (500, '{"error": {"message": "CUDA out of memory"}}', "500"),
        (200, "<html>Welcome to nginx</html>", "did not answer as an OpenAI server"),
        (200, '{"hello": "world"}', "127.0.0.1"),
        (404, '{"error": {"message": "no such model"}}', "404"),
    ],
)
def test_a_server_that_fails_is_one_line_and_nothing_is_written(
    story: Path, own_folder: Path, status: int, body: str, said: str
) -> None:
    with server(lambda _: (status, body)) as (url, _):
        assert said in error_of("ask", story, QUESTION, "--base-url", url, "--model", "glyph")
    assert files_in(own_folder) == {"story.txt"}


def test_a_server_that_is_down_is_one_line(story: Path, own_folder: Path) -> None:
    with socket.socket() as closed:  # bound, but not listening
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/v1"
        assert "cannot be reached" in error_of("ask", story, QUESTION, "--base-url", url, "--model", "glyph")
    assert files_in(own_folder) == {"story.txt"}


def test_a_key_given_instead_of_its_variable_is_not_echoed(story: Path) -> None:
    result = glyph("ask", story, QUESTION, "--base-url", "http://127.0.0.1:1/v1", "--model", "glyph", "--api-key", "sk-123")
    assert result.exit_code == 2
    assert "environment variable" in result.stderr and "sk-123" not in result.output


@pytest.mark.skipif(os.name == "nt", reason="sends SIGINT")
def test_ctrl_c_while_a_server_thinks_is_clean(story: Path, own_folder: Path) -> None:
    asked, release = threading.Event(), threading.Event()

    def think(_: dict[str, Any]) -> tuple[int, str]:
        asked.set()
        release.wait(20)
        return completion("late")

    with server(think) as (url, _):
        command = [
            sys.executable,
            "-m",
            "glyph_integrations",
            "ask",
            str(story),
            QUESTION,
            "--base-url",
            url,
            "--model",
            "glyph",
        ]
        pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        heard = partial(signal.signal, signal.SIGINT, signal.default_int_handler)  # a job in the background may be deaf to it
        process = subprocess.Popen(command, preexec_fn=heard, **pipes)
        assert asked.wait(20)
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=20)
        release.set()
    assert process.returncode == 130
    assert stderr == "error: interrupted\n"
    assert files_in(own_folder) == {"story.txt"}
