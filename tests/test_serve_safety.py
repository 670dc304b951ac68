"""The app and those who mean it no good: other sites, other machines, hostile documents, too much of everything."""

from __future__ import annotations

import io
import socket
import threading
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from chat_server import chat_server
from glyph_command import FACT, FILLER, QUESTION

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")
from app_server import PAGES, Browser, app_server
from typer.testing import CliRunner

from glyph_integrations import PageStyle, Renderer
from glyph_integrations.app import ModelServer, Settings, serve
from glyph_integrations.app.session import FullError, Layout, Session, Sessions
from glyph_integrations.cli import app as command
from glyph_integrations.sources import SourceDocument, open_document

TOKEN = "correct-horse-battery-staple"
STORY = (FILLER * 30 + "\n\n") * 3 + FACT + "\n\n" + (FILLER * 30 + "\n\n") * 3


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with app_server(max_upload=2_000_000) as address:
        yield address


@pytest.fixture
def browser(address: str) -> Iterator[Browser]:
    with Browser(address) as browser:
        yield browser


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 421),
        ({"Host": "evil.example:80", "Origin": "http://evil.example:80"}, 421),
        ({"Host": "127.0.0.1.evil.example"}, 421),
        ({"Host": "[::1"}, 421),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://127.0.0.1:1"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}, 403),
        ({"Content-Encoding": "gzip"}, 415),
    ],
)
def test_requests_of_other_sites_are_refused(browser: Browser, headers: dict[str, str], status: int) -> None:
    assert browser.post("/api/documents", json={"sample": True}, headers=headers).status_code == status
    assert browser.get("/api/about").json()["documents"] == []


def test_the_page_may_be_opened_from_a_link_elsewhere_but_nothing_else_may(browser: Browser) -> None:
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert browser.get("/", headers=link).status_code == 200
    assert (
        browser.get("/api/sample.png", headers={"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}).status_code == 403
    )


def test_behind_a_proxy_that_speaks_tls_the_page_works_and_other_sites_do_not() -> None:
    with app_server(names=("docs.example",)) as address, httpx.Client(base_url=address, trust_env=False) as client:
        for origin, status in (("https://docs.example", 200), ("https://evil.example", 403), ("https://docs.example:444", 403)):
            headers = {"Host": "docs.example", "Origin": origin}
            assert client.post("/api/enter", json={}, headers=headers).status_code == status, origin


@pytest.mark.parametrize("other", ['theme={"dark": true}', "né=x", "a b=c", "=;;"])
def test_cookies_of_other_programs_on_this_machine_do_no_harm(browser: Browser, other: str) -> None:
    browser.add(STORY)
    mine = "; ".join(f"{cookie.name}={cookie.value}" for cookie in browser.cookies.jar)
    for cookies in (f"{other}; {mine}", f"{mine}; {other}"):
        told = httpx.get(f"{browser.base_url}/api/about", headers={"Cookie": cookies.encode()}, trust_env=False)
        assert len(told.json()["documents"]) == 1


def test_every_answer_carries_the_headers_that_keep_a_page_safe(browser: Browser) -> None:
    for path in ("/", "/static/main.js", "/api/about", "/nothing", "/api/picture/x"):
        headers = browser.get(path).headers
        assert headers["x-content-type-options"] == "nosniff" and "frame-ancestors 'none'" in headers["content-security-policy"]
    session = browser.cookies.jar
    assert all(cookie.has_nonstandard_attr("HttpOnly") for cookie in session)
    assert all(cookie.get_nonstandard_attr("SameSite") == "strict" for cookie in session)


def test_another_host_needs_a_token() -> None:
    for host in ("0.0.0.0", "192.168.1.7", "::", "example.org"):
        with pytest.raises(ValueError, match="a token is needed"):
            Settings(host=host)
        assert not Settings(host=host, token=TOKEN).loopback
    assert all(Settings(host=host).loopback for host in ("127.0.0.1", "localhost", "::1", "127.1.2.3"))
    public = Settings(host="0.0.0.0", token=TOKEN, names=("box.example",))
    assert all(public.answers_to(name) for name in ("192.168.1.7", "box.example", "localhost"))
    assert not public.answers_to("evil.example") and not Settings().answers_to("192.168.1.7")


def test_without_the_token_nothing_is_told() -> None:
    with app_server(token=TOKEN) as address, httpx.Client(base_url=address, trust_env=False) as client:
        assert client.get("/").status_code == 200  # the page asks for it
        for path in ("/api/about", "/api/sample.png", "/api/knowledge", "/api/text/" + "0" * 32):
            assert client.get(path).status_code == 401, path
        assert client.post("/api/ask", json={}).status_code == 401
        assert client.get("/api/about", headers={"Authorization": "Bearer wrong"}).status_code == 401
        assert client.get("/api/about", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200
        client.cookies.clear()
        assert client.post("/api/enter", json={"token": "wrong"}).status_code == 401
        assert client.post("/api/enter", json={"token": "ünïcode"}).status_code == 401
        entered = client.post("/api/enter", json={"token": TOKEN})
        assert (
            "httponly" in entered.headers["set-cookie"].lower() and "samesite=strict" in entered.headers["set-cookie"].lower()
        )
        assert client.get("/api/about").status_code == 200


@pytest.mark.parametrize("token", ["芝麻开门", "a;b c=%41", "ünïcode"])
def test_a_token_of_any_characters_lets_in(token: str) -> None:
    with app_server(token=token) as address, httpx.Client(base_url=address, trust_env=False) as client:
        assert client.post("/api/enter", json={"token": token + "x"}).status_code == 401
        assert client.post("/api/enter", json={"token": token}).status_code == 200
        assert client.get("/api/about").status_code == 200


def test_a_port_that_is_taken_is_an_error_to_catch() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=str(port)):
            serve(Settings(port=port))
        told = CliRunner().invoke(command, ["serve", "--port", str(port)])
    assert told.exit_code == 1 and str(port) in told.stderr and "Traceback" not in told.stderr


def test_the_command_makes_a_token_for_another_host_and_tells_it_once(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[Settings] = []
    monkeypatch.setattr("glyph_integrations.app.serve", ran.append)
    here = CliRunner().invoke(command, ["serve", "--port", "0"])
    assert here.exit_code == 0 and "token" not in here.output and ran[0].token is None and ran[0].loopback
    public = CliRunner().invoke(command, ["serve", "--host", "0.0.0.0"])
    assert ran[1].token and len(ran[1].token) >= 40
    assert public.stdout.count(ran[1].token) == 1 and ran[1].token not in repr(ran[1])
    monkeypatch.setenv("APP_TOKEN", TOKEN)
    given = CliRunner().invoke(command, ["serve", "--host", "0.0.0.0", "--token", "APP_TOKEN"])
    assert ran[2].token == TOKEN and TOKEN not in given.output


def test_the_command_explains_what_is_not_there(tmp_path: Path) -> None:
    assert "make one with: glyph index" in CliRunner().invoke(command, ["serve", "--index", str(tmp_path)]).output
    assert "is not a folder" in CliRunner().invoke(command, ["serve", "--root", str(tmp_path / "none")]).output


def test_a_document_that_is_too_large_is_refused_before_it_is_read(browser: Browser) -> None:
    began = time.monotonic()
    head = b"PUT /api/documents?name=a.txt HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 50000000000\r\n\r\n"
    with socket.create_connection((browser.base_url.host, browser.base_url.port)) as connection:
        connection.settimeout(5)
        connection.sendall(head)  # and not one byte of the body
        assert connection.recv(1000).startswith(b"HTTP/1.1 413")
    assert time.monotonic() - began < 4


def test_a_body_of_unknown_length_is_cut_off_at_the_limit(browser: Browser) -> None:
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        for _ in range(100):
            sent += 1
            yield b"x" * 100_000

    try:
        response = browser.put("/api/documents", params={"name": "a.txt"}, content=endless())
        assert response.status_code == 413 and "may have" in response.text
    except (httpx.WriteError, httpx.RemoteProtocolError, httpx.ReadError):
        pass  # hung up on
    assert browser.get("/api/about").json()["documents"] == []
    big = browser.post("/api/ask", content=b'{"question": "' + b"x" * 300_000 + b'"}')
    assert big.status_code == 413


def bomb() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        archive.writestr("word/document.xml", b"\0" * 40_000_000)
    return out.getvalue()


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("bomb.docx", bomb(), "possible bomb"),
        ("empty.txt", b"", "is empty"),
        ("blank.txt", b" \n\n ", "white space"),
        ("program", b"\x7fELF\x02\x01\x01" + b"\0" * 100, "a program"),
        ("broken.pdf", b"%PDF-1.7\nnothing", "broken.pdf"),
        ("wide.txt", "wide words".encode("utf-16-le"), "is a binary file"),
    ],
)
def test_a_bad_document_is_explained_and_leaves_nothing_behind(browser: Browser, name: str, data: bytes, message: str) -> None:
    last = browser.add(data, name)
    assert last["kind"] == "error" and message in last["message"]
    assert browser.get("/api/about").json()["documents"] == []


def test_a_path_as_the_name_of_a_document_stays_a_name(browser: Browser) -> None:
    for name in ("../../etc/passwd", "/etc/passwd", "C:\\Windows\\win.ini", "..", "a" * 400):
        taken = browser.add(STORY, name)
        assert ".." not in taken["name"] and not taken["name"].startswith("/") and len(taken["name"]) <= 210


@pytest.mark.parametrize(
    "path",
    [
        "/api/picture/..%2f..%2fetc%2fpasswd", "/api/picture/%2fetc%2fpasswd", "/api/text/..%2fserver.py",
        "/static/..%2fserver.py",
        "/static/../routes.py", "/static/%2e%2e/routes.py", "/static//etc/passwd", "/api/picture/" + "0" * 32,
    ],
)  # fmt: skip
def test_a_path_in_an_address_opens_nothing(browser: Browser, path: str) -> None:
    response = browser.get(path)
    assert response.status_code in (400, 404) and "root:" not in response.text and "import" not in response.text


def test_a_path_in_a_citation_is_text_and_leads_nowhere(browser: Browser) -> None:
    pytest.importorskip("openai")
    browser.add(STORY)
    with chat_server() as server:
        server.answer = (
            "“root:x:0:0” (Page 1 of ../../etc/passwd). See [p. 99 of /etc/shadow] and “file:///etc/hosts” (Page 2)."
        )
        model = {"kind": "server", "base_url": server.url, "model": "zai-org/Glyph"}
        answer = browser.ask(QUESTION, model=model)
    assert answer["text"].strip() == server.answer
    assert answer["citations"] and not any(citation["verified"] for citation in answer["citations"])
    assert {place["source"] for citation in answer["citations"] for place in citation["places"]} <= {"pasted.txt"}


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/api/ask", b"not json", 400),
        ("POST", "/api/ask", b"[" * 100_000, 400),
        ("POST", "/api/ask", b"[]", 400),
        ("POST", "/api/ask", b'{"question": " "}', 400),
        ("POST", "/api/ask", b'{"question": "x", "k": 1000}', 400),
        ("POST", "/api/ask", b'{"question": "x", "mode": "magic"}', 400),
        ("POST", "/api/ask", b'{"question": "x", "scope": "index"}', 404),
        ("POST", "/api/ask", b'{"question": "x", "family": "gpt-0"}', 400),
        ("POST", "/api/preview", b'{"documents": "all"}', 400),
        ("POST", "/api/preview", b"{}", 400),
        ("POST", "/api/documents", b'{"file": "/etc/passwd"}', 400),
        ("GET", "/api/pages?first=-1", b"", 400),
        ("GET", "/api/text/x?marks=1-2;3", b"", 400),
        ("GET", "/api/picture/x?dpi=100000", b"", 400),
        ("GET", "/api/knowledge", b"", 404),
        ("DELETE", "/api/about", b"", 405),
        ("GET", "/api/everything", b"", 404),
    ],
)
def test_requests_that_make_no_sense_are_explained(browser: Browser, method: str, path: str, body: bytes, status: int) -> None:
    assert browser.request(method, path, content=body).status_code == status


def test_a_model_server_is_only_asked_where_that_is_allowed(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("openai")
    browser.add(STORY)
    for url in ("file:///etc/passwd", "gopher://127.0.0.1/", "http://user:pass@127.0.0.1/v1", "127.0.0.1", ""):
        last = browser.ask(QUESTION, model={"kind": "server", "base_url": url, "model": "m"})
        assert last["kind"] == "error" and "looks like http://" in last["message"], url
    last = browser.ask(QUESTION, model={"kind": "checkpoint", "number": 0})
    assert last["kind"] == "error" and "not offered" in last["message"]


def test_a_public_app_asks_only_the_model_servers_it_was_given(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("openai")
    from glyph_integrations.app.readers import Readers
    from glyph_integrations.app.work import Job, Workers
    from glyph_integrations.errors import GlyphError
    from glyph_integrations.vision import VisionProfile

    monkeypatch.setenv("OPENAI_API_KEY", "a secret of this machine")
    listed = ModelServer("http://models.example/v1", "glyph", "listed key")
    readers = Readers(Settings(host="0.0.0.0", token=TOKEN, servers=(listed,)))
    job, glyph = Job(Workers().slots, lambda _: None), VisionProfile.get("glyph")
    assert not readers.offered()["any_server"]
    with pytest.raises(GlyphError, match="only the model servers named at the start"):
        readers.open(job, {"kind": "server", "base_url": "http://169.254.169.254/v1", "model": "m"}, glyph)
    model = readers.open(job, {"kind": "server", "base_url": "http://models.example/v1/"}, glyph)
    assert model.name == "glyph" and model._settings["api_key"] == "listed key"  # type: ignore[attr-defined]
    assert not Readers(Settings(names=("box.example",), servers=(listed,))).offered()["any_server"]  # others come by a proxy
    other = Readers(Settings()).open(job, {"kind": "server", "base_url": "http://other.example/v1", "model": "m"}, glyph)
    assert other._settings["api_key"] == "none"  # type: ignore[attr-defined]


def test_sessions_are_bounded_and_the_emptiest_goes_first() -> None:
    with app_server(max_sessions=2) as address, Browser(address) as busy, Browser(address) as empty:
        busy.add(STORY)
        with Browser(address) as third:
            assert third.add(STORY)["kind"] == "document"
            assert empty.get("/api/pages").status_code == 409  # ended: it held nothing
            assert len(busy.get("/api/about").json()["documents"]) == 1
            assert httpx.get(address + "/api/about", trust_env=False).status_code == 503  # both are in use


def test_documents_that_come_at_one_time_are_bounded_in_all() -> None:
    sessions = Sessions(8, 100)
    with sessions.room(60), pytest.raises(FullError, match="no room just now"), sessions.room(60):
        pass  # the first one is still being read
    with sessions.room(60):
        pass


def test_a_packed_document_counts_for_what_it_holds() -> None:
    session = Session(1000)
    session.add(SourceDocument("x" * 900), 10)
    with pytest.raises(FullError):
        session.add(SourceDocument("x" * 200), 10)


def test_neighbours_of_a_page_are_found_while_pages_are_laid_out() -> None:
    """Documents come one after the other into a layout that is being looked at."""
    session, layout = Session(1000), Layout(PageStyle(), ())
    session.start(layout)
    page = next(iter(Renderer().paginate("text")))

    class Growing(list[str]):
        def __len__(self) -> int:
            layout.of.setdefault(f"{len(layout.of)}", [])
            return 0

    layout.of["first"] = Growing()
    assert session.beside(page) is None


def test_documents_are_bounded_in_all() -> None:
    with app_server(max_held=100_000) as address, Browser(address) as browser:
        assert browser.add("word " * 8000)["kind"] == "document"
        last = browser.add("other " * 8000)
        assert last["kind"] == "error" and "50,000 bytes" in last["message"]


def test_work_stops_when_nobody_listens_any_more() -> None:
    with app_server() as address, Browser(address) as browser:
        browser.add("".join(f"{n} {FILLER}\n\n" for n in range(60_000)))
        for _ in range(4):  # more than the slots for heavy work
            stream = browser.stream_events("POST", "/api/ask", json={**PAGES, "question": QUESTION})
            assert next(stream)["kind"] in ("progress", "waiting")
            stream.close()
        began = time.monotonic()
        with Browser(address) as other:
            other.add(STORY)
            assert other.ask(QUESTION)["kind"] == "answer"
        assert time.monotonic() - began < 5


def test_a_document_whose_reading_was_stopped_is_not_taken(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    go, done = threading.Event(), threading.Event()

    def slow(*args: Any, **options: Any) -> SourceDocument:
        assert go.wait(10)
        done.set()
        return open_document(*args, **options)

    monkeypatch.setattr("glyph_integrations.app.documents.open_document", slow)
    with browser.stream("PUT", "/api/documents", params={"name": "a.txt"}, content=STORY.encode()):
        pass  # hung up, as the page does when stop is pressed
    time.sleep(0.3)
    go.set()
    assert done.wait(10)
    time.sleep(0.3)
    assert browser.get("/api/about").json()["documents"] == []


def test_ten_people_at_once_are_all_answered(address: str) -> None:
    answers: list[dict[str, object]] = []

    def person(number: int) -> None:
        with Browser(address) as browser:
            browser.add(f"The password of room {number} is tulip{number}.\n\n" + STORY)
            answers.append(browser.ask(f"What is the password of room {number}?") | {"number": number})

    people = [threading.Thread(target=person, args=(n,)) for n in range(10)]
    for each in people:
        each.start()
    for each in people:
        each.join(30)
    assert len(answers) == 10
    assert all(f"tulip{answer['number']}" in str(answer["text"]) for answer in answers)  # and each from their own document


@pytest.mark.slow
def test_a_fifty_megabyte_upload_does_not_hold_up_the_others() -> None:
    text = "".join(f"{n} {FILLER}\n\n" for n in range(500_000))[:49_000_000]
    waits: list[float] = []
    with (
        app_server() as address,
        Browser(
            address,
        ) as heavy,
        Browser(address) as other,
    ):
        other.add(STORY)
        other.draw()

        def upload() -> None:
            heavy.add(text)
            heavy.draw()

        busy = threading.Thread(target=upload)
        busy.start()
        while busy.is_alive():
            began = time.monotonic()
            stream = other.stream_events(
                "POST", "/api/preview", json={**PAGES, "style": {"preset": "glyph-72", "font_size": 8}}
            )
            assert next(stream)["kind"] == "pages"
            stream.close()
            waits.append(time.monotonic() - began)
        busy.join()
    assert len(waits) > 5 and sorted(waits)[len(waits) // 2] < 1 and max(waits) < 5
