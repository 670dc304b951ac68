"""What the app answers over HTTP: documents, pages, questions, summaries, the knowledge base."""

from __future__ import annotations

import json
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from urllib.parse import quote

import pytest
from chat_server import chat_server, images_of, text_of
from glyph_command import CHINESE, FACT, FILLER, QUESTION
from pdf_files import encrypted_pdf
from PIL import Image

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")
from app_server import PAGES, Browser, app_server

from glyph_integrations import PageIndex, PageStyle, Renderer, VisionProfile, count_text_tokens

STORY = "\n\n".join(f"Chapter {n}\n\n" + FILLER * 30 + (FACT if n == 7 else "") for n in range(1, 16)) + "\n"


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with app_server() as address:
        yield address


@pytest.fixture
def browser(address: str) -> Iterator[Browser]:
    with Browser(address) as browser:
        yield browser


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("root")
    (folder / "sub").mkdir()
    (folder / "story.txt").write_text(STORY, encoding="utf-8")
    (folder / "sub" / "monkey.txt").write_text(CHINESE, encoding="utf-8")
    (folder / ".hidden.txt").write_text("secret", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def library(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """An app with a knowledge base and a folder."""
    with PageIndex.open(tmp_path_factory.mktemp("index")) as index:
        for name in ("story.txt", "sub/monkey.txt"):
            index.add(Renderer().paginate((folder / name).read_text(encoding="utf-8"), source=name))
        with app_server(index=index, root=folder) as address, Browser(address) as browser:
            yield browser


def colours(image: Image.Image) -> set[object]:
    return {colour for _, colour in image.getcolors(1 << 24) or ()}


def test_the_page_and_all_it_needs_come_from_the_server_itself(browser: Browser) -> None:
    page = browser.get("/")
    assert page.status_code == 200 and "<title>glyph</title>" in page.text
    linked = [part.split('"')[0] for key in ('src="', 'href="') for part in page.text.split(key)[1:]]
    assert linked and all(link.startswith(("/static/", "#")) for link in linked)
    for link in [link for link in linked if link.startswith("/")]:
        assert browser.get(link).status_code == 200, link
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "script-src 'self'" in policy and "unsafe" not in policy


def test_the_first_view_shows_a_real_page_with_its_real_cost(browser: Browser) -> None:
    response = browser.get("/api/sample.png")
    assert Image.open(BytesIO(response.content)).height > 800
    told = json.loads(response.headers["x-page"])
    assert told["text_tokens"] > 2 * told["tokens"] > 0


def test_fifty_thousand_chinese_characters_become_pages_counted_as_the_model_counts(browser: Browser) -> None:
    text = "".join(f"第{n}回，话说天下大势，分久必合，合久必分。" for n in range(2700))
    assert len(text) > 50_000
    browser.add(text)
    told = browser.draw()
    pages = list(Renderer().paginate(text, source="pasted.txt"))
    glyph = VisionProfile.get("glyph")
    assert [p["id"] for p in told["pages"]["pages"]] == [p.id for p in pages[:4]]
    assert told["account"]["pages"] == len(pages) > 5
    assert told["account"]["tokens"] == sum(glyph.count(*Renderer().size(p, vision=glyph)) for p in pages)
    assert told["account"]["text_tokens"] == pytest.approx(count_text_tokens(text).count, rel=0.01)
    assert told["account"]["characters"] == len(text)


def test_a_page_is_shown_with_the_pixels_that_are_sent(browser: Browser) -> None:
    browser.add(STORY)
    page = next(Renderer().paginate(STORY, source="pasted.txt"))
    shown = browser.draw()["pages"]["pages"][0]
    sent = browser.get(f"/api/picture/{shown['id']}", params={"family": "glyph"}).content
    assert sent == Renderer().png(page, vision="glyph")
    assert Image.open(BytesIO(sent)).size == (shown["width"], shown["height"])


def test_style_controls_change_the_pages(browser: Browser) -> None:
    browser.add(STORY)
    plain = browser.draw()["account"]
    large = browser.draw(style={"preset": "glyph-72", "font_size": 14, "line_height": 16, "columns": 2})["account"]
    assert large["pages"] > plain["pages"]
    dark = browser.draw(style={"preset": "glyph-72", "paper": "dark"})["pages"]
    assert PageStyle.parse(dark["style"]).background < 64
    other = browser.draw(family="qwen3-vl")["account"]
    assert other["pages"] == plain["pages"] and other["tokens"] != plain["tokens"]
    assert {f["name"]: f["tokens"] for f in plain["families"]}["qwen3-vl"] == other["tokens"]


@pytest.mark.parametrize(
    ("style", "message"),
    [
        ({"preset": "glyph-72", "margin_x": 200, "width": 300}, "leave"),
        ({"preset": "glyph-72", "dpi": 9000}, "choose a number from 36 to 240"),
        ({"preset": "baroque"}, "unknown style"),
        ({"preset": "glyph-72", "font": "/etc/passwd"}, "choose one of sans, mono"),
        ({"preset": "glyph-72", "width": 1200, "height": 1700, "dpi": 240}, "too large a picture"),
        ({"preset": "glyph-72", "ink": "blue"}, "unknown style control"),
        ("glyph-72", "expected an object"),
    ],
)
def test_an_impossible_style_is_explained(browser: Browser, style: object, message: str) -> None:
    browser.add(STORY)
    response = browser.post("/api/preview", json={"style": style})
    assert response.status_code == 400 and message in response.json()["error"]


def test_further_pages_come_in_portions(browser: Browser) -> None:
    name = browser.add(STORY)["id"]
    total = browser.draw()["account"]["pages"]
    pages = browser.get("/api/pages", params={"document": name, "first": 4, "count": 50}).json()["pages"]
    assert [p["number"] for p in pages] == list(range(5, total + 1))


def test_a_question_is_answered_with_citations_that_open_their_page(browser: Browser) -> None:
    browser.add(STORY)
    events = browser.events("POST", "/api/ask", json={**PAGES, "question": QUESTION})
    kinds = [event["kind"] for event in events]
    assert kinds.index("found") < kinds.index("sent") < kinds.index("text") and kinds[-1] == "answer"
    answer = events[-1]
    assert "".join(e["text"] for e in events if e["kind"] == "text") == answer["text"]
    citation = next(c for c in answer["citations"] if "Mackinnon" in c["quote"])
    (place,) = citation["places"]
    marks = ",".join(f"{a}-{b}" for a, b in place["marks"])
    page = browser.get(f"/api/text/{place['id']}", params={"marks": marks}).json()
    assert citation["verified"] and page["text"][slice(*place["marks"][0])].startswith("The lighthouse keeper")
    assert 0 <= page["top"] <= 1 and page["number"] == place["number"] and page["previous"] and page["next"]
    plain, marked = (
        Image.open(BytesIO(browser.get(f"/api/picture/{place['id']}", params={"dpi": 144, **more}).content)).convert("RGB")
        for more in ({}, {"marks": marks})
    )
    assert plain.size == marked.size and (255, 226, 84) in colours(marked) - colours(plain)


def test_several_questions_in_turn_are_kept_until_the_conversation_begins_anew(browser: Browser) -> None:
    browser.add(STORY)
    browser.ask(QUESTION)
    browser.ask("How many bees did Mackinnon keep?")
    talk = browser.get("/api/about").json()["talks"]["documents"]
    assert [said["question"] for said in talk] == [QUESTION, "How many bees did Mackinnon keep?"]
    assert "Mackinnon" in talk[0]["text"] and "forty-one" in talk[1]["text"]
    browser.delete("/api/conversation/documents")
    assert browser.get("/api/about").json()["talks"]["documents"] == []


def test_a_document_that_was_removed_is_asked_no_more(browser: Browser) -> None:
    first = browser.add(STORY)
    assert "Mackinnon" in browser.ask(QUESTION)["text"]
    browser.delete(f"/api/documents/{first['id']}")
    browser.add("The weather in Paris was mild all year. " * 50, "paris.txt")
    again = browser.ask("What was the keeper called?")
    assert "Mackinnon" not in again["text"] and again["citations"] == []


def test_nothing_found_is_said(browser: Browser) -> None:
    browser.add(STORY)
    assert "No page matches" in browser.ask("zyzzyva xylophone")["text"]


def test_a_model_server_gets_pages_as_images_and_the_conversation_before(
    browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("openai")
    monkeypatch.setenv("OPENAI_API_KEY", "a secret of this machine")
    browser.add(STORY)
    with chat_server() as server:
        server.answer = "“The lighthouse keeper of Skerryvore was called Alasdair Mackinnon” (Page 5)"
        model = {"kind": "server", "base_url": server.url, "model": "zai-org/Glyph"}
        first = browser.ask(QUESTION, model=model)
        assert first["citations"][0]["verified"] and first["report"]["images"] > 0
        assert any(images_of(message) for message in server.messages)
        browser.ask("And how many bees did he keep?", model=model)
        said = "\n".join(text_of(message) for message in server.messages)
        assert QUESTION in said and "called Alasdair Mackinnon" in said
        assert [m["role"] for m in server.messages] == ["system", "user", "assistant", "user"]
        assert "how many bees" in text_of(server.messages[-1])


def test_a_model_that_cannot_be_reached_is_an_error_in_the_stream(browser: Browser) -> None:
    pytest.importorskip("openai")
    browser.add(STORY)
    model = {"kind": "server", "base_url": "http://127.0.0.1:9/v1", "model": "zai-org/Glyph"}
    last = browser.ask(QUESTION, model=model)
    assert last["kind"] == "error" and "cannot be reached" in last["message"]
    assert browser.get("/api/about").json()["talks"]["documents"] == []


def test_a_summary_cites_its_pages_without_a_model(browser: Browser) -> None:
    browser.add(STORY)
    events = browser.events("POST", "/api/summary", json={**PAGES, "style_of_summary": "bullets"})
    summary = events[-1]
    assert summary["kind"] == "summary" and summary["citations"] and summary["faithfulness"] == 1
    place = summary["citations"][0]["places"][0]
    assert browser.get(f"/api/picture/{place['id']}", params={"dpi": 144}).status_code == 200


def test_a_summary_by_a_model_server_is_in_the_style_asked_for(browser: Browser) -> None:
    pytest.importorskip("openai")
    browser.add(STORY)
    with chat_server() as server:
        server.answer = "The lighthouse keeper of Skerryvore was called Alasdair Mackinnon [p. 5]."
        model = {"kind": "server", "base_url": server.url, "model": "zai-org/Glyph"}
        wish = {**PAGES, "model": model, "style_of_summary": "question", "question": QUESTION, "language": "German"}
        summary = browser.events("POST", "/api/summary", json=wish)[-1]
        said = "\n".join(text_of(m) for request in server.requests for m in request["messages"])
    assert "Mackinnon" in summary["text"] and QUESTION in said and "German" in said
    response = browser.post("/api/summary", json={**PAGES, "style_of_summary": "question"})
    assert response.json().get("error") or "type the question" in response.text


def test_documents_come_from_the_folder_and_nowhere_else(library: Browser) -> None:
    assert library.get("/api/files").json()["files"] == ["story.txt", "sub/monkey.txt"]
    (taken,) = library.events("POST", "/api/documents", json={"file": "sub/monkey.txt"})
    assert taken["kind"] == "document" and taken["characters"] == len(CHINESE)
    for name in ("../root/story.txt", "/etc/passwd", ".hidden.txt", "sub/../story.txt", ""):
        assert library.events("POST", "/api/documents", json={"file": name})[0]["kind"] == "error", name
    library.delete(f"/api/documents/{taken['id']}")
    assert library.get("/api/about").json()["documents"] == []


def test_the_knowledge_base_is_searched_read_and_asked(library: Browser) -> None:
    overview = library.get("/api/knowledge").json()
    assert overview["sources"] == 2 and overview["pages"] > 5 and "lexical" in overview["modes"]
    assert library.get("/api/knowledge/sources", params={"like": "MONK"}).json()["of"] == 1
    for mode in overview["modes"]:
        hits = library.post("/api/knowledge/search", json={"question": QUESTION, "mode": mode, "k": 3}).json()["hits"]
        assert any("Mackinnon" in hit["excerpt"] for hit in hits), mode
    within = {"question": "金箍棒", "source": "sub/monkey.txt", "k": 2}
    assert {h["source"] for h in library.post("/api/knowledge/search", json=within).json()["hits"]} == {"sub/monkey.txt"}
    first = library.get("/api/knowledge/pages", params={"source": "story.txt"}).json()["pages"]
    page = library.get(f"/api/text/{first[1]['id']}").json()
    assert page["previous"] == first[0]["id"] and page["next"] == first[2]["id"]
    answer = library.ask(QUESTION, scope="index")
    assert "Mackinnon" in answer["text"]
    place = answer["citations"][0]["places"][0]
    assert (
        library.get(f"/api/picture/{place['id']}", params={"dpi": 96, "marks": "0-20"}).headers["content-type"] == "image/png"
    )
    summary = library.events("POST", "/api/summary", json={**PAGES, "scope": "index"})[-1]
    assert {part["source"] for part in summary["parts"]} == {"story.txt", "sub/monkey.txt"}


def test_a_pdf_shows_its_own_pages(browser: Browser, corpora: Path) -> None:
    pdf = min((corpora / "pdfs").glob("*.pdf"), key=lambda path: path.stat().st_size)
    browser.add(pdf.read_bytes(), pdf.name)
    page = browser.draw()["pages"]["pages"][0]
    assert page["file"]
    assert Image.open(BytesIO(browser.get(f"/api/picture/{page['id']}", params={"dpi": 96}).content)).width > 300


def test_the_password_of_an_encrypted_pdf_is_asked_for_and_opens_it(browser: Browser) -> None:
    data = encrypted_pdf("Secret words", "sesame & %41")
    assert browser.add(data, "locked.pdf") == {"kind": "password", "wrong": False}
    wrong = browser.events("PUT", "/api/documents", params={"name": "a.pdf"}, content=data, headers={"X-Password": "simsim"})
    assert wrong[-1] == {"kind": "password", "wrong": True}
    assert browser.get("/api/about").json()["documents"] == []
    right = {"X-Password": quote("sesame & %41")}
    taken = browser.events("PUT", "/api/documents", params={"name": "locked.pdf"}, content=data, headers=right)[-1]
    assert taken["kind"] == "document" and taken["name"] == "locked.pdf"
    page = browser.draw()["pages"]["pages"][0]
    picture = browser.get(f"/api/picture/{page['id']}", params={"dpi": 96})
    assert len(colours(Image.open(BytesIO(picture.content)))) > 1
    with app_server() as address, Browser(address) as other:  # of one process, which has that file open
        assert other.add(data, "locked.pdf") == {"kind": "password", "wrong": False}


def test_an_encrypted_file_of_the_folder_opens_with_its_password(tmp_path: Path) -> None:
    (tmp_path / "locked.pdf").write_bytes(encrypted_pdf("Secret words", "sesame"))
    with app_server(root=tmp_path) as address, Browser(address) as browser:
        for password, kind in (("", "password"), ("simsim", "password"), ("sesame", "document")):
            asked = {"file": "locked.pdf", "password": password}
            assert browser.events("POST", "/api/documents", json=asked)[-1]["kind"] == kind
        assert browser.post("/api/documents", json={"file": "locked.pdf", "password": ["sesame"]}).status_code == 400
    assert [file.name for file in tmp_path.iterdir()] == ["locked.pdf"]


def test_the_encoding_of_a_text_that_is_not_utf8_is_asked_for_and_opens_it(browser: Browser, tmp_path: Path) -> None:
    data = "红楼梦第一回，甄士隐梦幻识通灵。".encode("gb18030")
    asked = browser.add(data, "a.txt")
    assert asked["kind"] == "encoding" and not asked["wrong"] and "gb18030" in dict(asked["choices"])
    assert browser.get("/api/about").json()["documents"] == []
    wrong, right = ({"name": "a.txt", "encoding": encoding} for encoding in ("euc-jp", "gb18030"))
    assert browser.events("PUT", "/api/documents", params=wrong, content=data)[-1]["wrong"]
    assert browser.events("PUT", "/api/documents", params=right, content=data)[-1]["kind"] == "document"
    page = browser.draw()["pages"]["pages"][0]
    assert "甄士隐" in browser.get(f"/api/text/{page['id']}").text
    for crafted in ("punycode", "idna", "../x", "g" * 500):  # the first two take time that grows with the square
        assert browser.put("/api/documents", params={"name": "a.txt", "encoding": crafted}, content=data).status_code == 400
    (tmp_path / "b.txt").write_bytes(data)
    with app_server(root=tmp_path) as address, Browser(address) as other:
        for encoding, kind in (("", "encoding"), ("gb18030", "document")):
            asked = {"file": "b.txt", "encoding": encoding}
            assert other.events("POST", "/api/documents", json=asked)[-1]["kind"] == kind


def test_two_documents_of_one_name_are_told_apart(browser: Browser) -> None:
    assert browser.add(STORY)["name"] == "pasted.txt"
    assert browser.add(STORY)["name"] == "pasted (2).txt"
    assert len(browser.draw()["account"]["documents"]) == 2


@pytest.mark.slow
def test_a_checkpoint_on_this_machine_answers(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    import checkpoints

    folder = checkpoints.build_reciter(tmp_path, "Alsdir McKno")
    with app_server(checkpoints=(str(folder),)) as address, Browser(address) as browser:
        assert browser.get("/api/about").json()["readers"]["checkpoints"] == [folder.name]
        browser.add(STORY)
        events = browser.events(
            "POST", "/api/ask", json={**PAGES, "question": QUESTION, "model": {"kind": "checkpoint", "number": 0}}
        )
    assert "Loading the model" in [event.get("what") for event in events]
    assert events[-1]["kind"] == "answer" and events[-1]["text"] == "Alsdir McKno"
    assert events[-1]["report"]["images"] > 0


@pytest.mark.slow
def test_ocr_reads_the_pixels_and_tells_how_far_it_is(browser: Browser) -> None:
    pytest.importorskip("rapidocr")
    browser.add(FACT + " " + FILLER * 12)
    model = {"kind": "ocr"}
    events = browser.events("POST", "/api/ask", json={**PAGES, "question": QUESTION, "model": model})
    assert any("Reading the pixels" in event.get("what", "") for event in events)
    assert "Mackinnon" in events[-1]["text"] and events[-1]["report"]["images"] == 1
