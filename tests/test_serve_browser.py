"""The page people open, in a headless Chromium: every feature once, as a person would use it."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from chat_server import chat_server
from glyph_command import CHINESE, FACT, FILLER, QUESTION

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")
pytest.importorskip("selenium")
from app_server import app_server
from pdf_files import encrypted_pdf
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.select import Select

from glyph_integrations import PageIndex, Renderer

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (CHROMIUM and DRIVER), reason="no Chromium with its driver on this machine (Debian: chromium, chromium-driver)"
    ),
]
STORY = "\n\n".join(f"Chapter {n}\n\n" + FILLER * 30 + (FACT if n == 7 else "") for n in range(1, 16)) + "\n"
FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
)  # fmt: skip


class Person:
    """Somebody in front of the page."""

    def __init__(self, driver: Any, address: str) -> None:
        self.driver = driver
        self.address = address

    def all(self, selector: str) -> list[WebElement]:
        return [e for e in self.driver.find_elements(By.CSS_SELECTOR, selector) if e.is_displayed()]

    def see(self, selector: str, holding: str = "", seconds: float = 20) -> WebElement:
        """Wait until something is there, and holds a text."""

        def found() -> WebElement | None:
            return next((e for e in self.all(selector) if holding in e.text), None)

        return self.until(found, f"{selector} with {holding!r}", seconds)

    def until(self, happens: Callable[[], Any], what: str, seconds: float = 20) -> Any:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                if found := happens():
                    return found
            except Exception as error:  # an element that is just being replaced
                if "stale" not in str(error).lower():
                    raise
            time.sleep(0.05)
        raise AssertionError(f"never seen: {what}; errors shown: {[e.text for e in self.all('.banner')]}")

    def click(self, selector: str, holding: str = "") -> None:
        element = self.see(selector, holding)
        self.driver.execute_script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", element)
        time.sleep(0.05)
        element.click()

    def write(self, selector: str, text: str) -> None:
        """As if pasted: `send_keys` takes a minute for a long text."""
        script = "arguments[0].value = arguments[1]; arguments[0].dispatchEvent(new Event('input', {bubbles: true}))"
        self.driver.execute_script(script, self.see(selector), text)

    def paste(self, text: str) -> None:
        self.write(".add-box textarea", text)
        self.click(".add-box .primary")
        self.see("#grid .page")

    def pictures(self) -> list[str]:
        script = "return [...document.querySelectorAll('#grid img')].filter(i => i.complete && i.naturalWidth).map(i => i.src)"
        return list(self.driver.execute_script(script))

    def complaints(self) -> list[str]:
        """What the browser's console says: errors of scripts, and what the policy forbids."""
        return [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] == "SEVERE"]


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    os.environ["SE_OFFLINE"] = "true"  # Selenium looks for nothing elsewhere
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(str(DRIVER)))
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with PageIndex.open(tmp_path_factory.mktemp("index")) as index:
        index.add(Renderer().paginate(STORY, source="story.txt"))
        index.add(Renderer().paginate(CHINESE, source="monkey.txt"))
        with app_server(index=index, max_upload=3_000_000) as address:
            yield address


@pytest.fixture
def person(driver: Any, address: str) -> Iterator[Person]:
    driver.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": 1360, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    )
    driver.get(address)
    driver.execute_script("localStorage.clear()")
    driver.delete_all_cookies()
    driver.get(address)
    person = Person(driver, address)
    person.click("#tab-pages")
    person.see("#try-sample")
    person.complaints()
    yield person
    assert person.complaints() == []
    assert "undefined" not in driver.execute_script("return document.body.textContent")


def test_the_sample_is_one_click_away_and_its_questions_another(person: Person) -> None:
    person.see(".specimen figcaption", "tokens")
    person.click("#try-sample")
    person.see(".numbers", "374,")
    person.until(lambda: len(person.pictures()) > 4, "pictures of pages")
    person.click("#tab-ask")
    person.click(".suggestion")
    person.see(".exchange .chip.verified")


def test_a_long_chinese_text_is_pasted_drawn_and_drawn_otherwise(person: Person) -> None:
    text = "".join(f"第{n}回，话说天下大势，分久必合，合久必分。" for n in range(2700))
    person.paste(text)
    person.see(".numbers", f"{len(text):,}")
    person.see(".bar-line.pages", "as pages")
    person.until(lambda: len(person.pictures()) >= 4, "pictures of pages")
    before = person.see(".numbers").text, person.pictures()
    slider = person.see("#style-font_size")
    for _ in range(8):
        slider.send_keys(Keys.ARROW_RIGHT)
    person.until(lambda: person.see(".numbers").text != before[0], "other counts")
    person.until(lambda: person.pictures() and not set(person.pictures()) & set(before[1]), "other pictures")
    counted = person.see(".bar-line.pages").text
    person.driver.execute_script(
        "const s = document.getElementById('family'); s.value = 'qwen3-vl'; s.dispatchEvent(new Event('change'))"
    )
    person.until(lambda: person.see(".bar-line.pages").text != counted, "counts of another family")
    person.click(".comparison summary")
    assert "qwen3-vl" in person.see("tr.mine").text


def test_larger_letters_take_their_lines_apart_with_them(person: Person) -> None:
    person.paste(STORY)

    def height() -> str:
        return str(person.see("#style-line_height").get_attribute("value"))

    letters = person.see("#style-font_size")
    before = float(str(letters.get_attribute("value"))), height()
    letters.send_keys(Keys.END)
    assert float(height()) > 24 > before[0]
    while float(str(letters.get_attribute("value"))) > before[0]:
        letters.send_keys(Keys.ARROW_LEFT)
    assert height() == before[1]
    person.see("#style-line_height").send_keys(Keys.HOME)  # whoever wants lines closer than that may have them
    assert float(height()) == 5
    person.until(lambda: len(person.pictures()) >= 1, "pictures of pages")


def test_pages_are_shown_to_their_last_line(person: Person) -> None:
    person.paste(STORY)
    person.until(lambda: person.pictures(), "pictures of pages")
    script = """return [...document.querySelectorAll('#grid img')].filter(i => i.naturalWidth).map(i => {
        const cut = i.parentElement.getBoundingClientRect(), whole = i.getBoundingClientRect();
        return [whole.bottom - cut.bottom, whole.height / whole.width - i.naturalHeight / i.naturalWidth];
    })"""
    for below, out_of_shape in person.driver.execute_script(script):
        assert below < 2
        assert abs(out_of_shape) < 0.02


def test_files_are_chosen_and_removed_and_too_large_ones_refused_before_they_are_sent(person: Person, tmp_path: Path) -> None:
    (tmp_path / "story.md").write_text("# Title\n\n" + STORY, encoding="utf-8")
    (tmp_path / "huge.txt").write_text("x" * 3_000_001, encoding="utf-8")
    box = person.driver.find_element(By.CSS_SELECTOR, "#welcome input[type=file]")
    box.send_keys(str(tmp_path / "huge.txt"))
    person.see(".banner.error", "may have 3 MB")
    person.click(".banner .close")
    box.send_keys(str(tmp_path / "story.md"))
    person.see(".documents .name", "story.md")
    person.click(".documents .close")
    person.see("#try-sample")


def test_the_password_of_a_locked_file_is_asked_for_and_kept_nowhere(person: Person, tmp_path: Path) -> None:
    name = "a long name of a " + "report " * 20 + ".pdf"
    (tmp_path / name).write_bytes(encrypted_pdf("Secret words", "sesame"))
    box = person.driver.find_element(By.CSS_SELECTOR, "#welcome input[type=file]")
    box.send_keys(str(tmp_path / name))
    assert "written nowhere" in person.see("#opening", f"{name} is encrypted").text
    person.see("#document-password").send_keys("simsim" + Keys.ENTER)
    person.see("#opening", "not its password")
    person.see("#document-password").send_keys("sesame")
    person.click("#opening .primary")
    person.see(".documents .name", "a long name")
    assert person.driver.execute_script(
        "const side = document.getElementById('side'); return side.scrollWidth <= side.clientWidth"
    )
    person.until(person.pictures, "the picture of its page")
    assert not person.driver.find_element(By.ID, "opening").get_attribute("innerHTML")
    stored = "return JSON.stringify([localStorage, sessionStorage, performance.getEntries().map(e => e.name)])"
    assert "sesame" not in person.driver.execute_script(stored)
    person.click(".documents .close")
    box.send_keys(str(tmp_path / name))
    person.click("#opening .quiet", "Leave it out")
    person.until(lambda: not person.all("#opening"), "the sheet is closed")
    assert not person.all(".documents li") and not person.all(".banner")


def test_the_encoding_of_a_text_that_is_not_utf8_is_chosen(person: Person, tmp_path: Path) -> None:
    (tmp_path / "novel.txt").write_bytes(CHINESE.encode("gb18030"))
    person.driver.find_element(By.CSS_SELECTOR, "#welcome input[type=file]").send_keys(str(tmp_path / "novel.txt"))
    assert "novel.txt is not UTF-8" in person.see("#opening", "In which encoding?").text
    Select(person.see("#document-encoding")).select_by_visible_text("Chinese, simplified (GB 18030, GBK)")
    person.click("#opening .primary")
    person.see(".documents .name", "novel.txt")
    person.until(person.pictures, "the picture of its page")


def test_an_answer_on_its_way_stays_in_sight_when_a_document_comes(person: Person) -> None:
    pytest.importorskip("openai")
    person.paste(STORY)
    with chat_server() as server:
        go, answer = threading.Event(), server.message
        server.message = lambda request: answer(request) if go.wait(20) else {}  # type: ignore[method-assign]
        server.answer = "“The lighthouse keeper of Skerryvore was called Alasdair Mackinnon” (Page 5)."
        person.click("#reader-button")
        person.click(".option", "Model server")
        person.write("#base-url", server.url)
        person.write("#model-name", "zai-org/Glyph")
        person.click("#reader .primary")
        person.click("#tab-ask")
        person.see("#question").send_keys(QUESTION + Keys.ENTER)
        person.see(".exchange .progress", "reading")
        person.click("#tab-pages")
        person.click("#add-more")
        person.write("#adder textarea", CHINESE)
        person.click("#adder .add-box .primary")
        person.see(".documents .name", "pasted (2).txt")
        person.click("#tab-ask")
        person.see(".exchange .question", QUESTION)
        go.set()
        person.see(".cite.verified", "Mackinnon")


def test_questions_follow_each_other_and_a_citation_opens_its_page_with_the_lines_marked(person: Person) -> None:
    person.paste(STORY)
    person.click("#tab-ask")
    for question, answer in ((QUESTION, "Mackinnon"), ("How many bees did Mackinnon keep?", "forty-one")):
        person.see("#question").send_keys(question + Keys.ENTER)
        person.see(".exchange:last-child .cite.verified", answer)
        person.until(lambda: person.see("#ask-button").text == "Ask", "the end of the answer")
    assert [e.text for e in person.all(".question")] == [QUESTION, "How many bees did Mackinnon keep?"]
    person.click(".cite.verified", "Mackinnon")
    script = "const i = document.querySelector('#viewer img'); return i && i.naturalWidth && i.src"
    source = person.until(lambda: person.driver.execute_script(script), "the cited page")
    assert "marks=" in source and "dpi=144" in source
    person.click("#viewer header button", "Text")
    assert person.see("#viewer mark").text.startswith("The lighthouse keeper")
    page = person.see("#viewer h2").text
    person.see("#viewer .viewer-body").send_keys(Keys.ARROW_RIGHT)
    person.until(lambda: person.see("#viewer h2").text != page, "the next page")
    person.driver.switch_to.active_element.send_keys(Keys.ESCAPE)
    person.until(lambda: not person.all("#viewer"), "the page closed")
    person.driver.refresh()  # the conversation is still there
    person.click("#tab-ask")
    assert len(person.until(lambda: person.all(".exchange"), "the conversation")) == 2
    person.click("#panel-ask .quiet", "New conversation")
    person.until(lambda: not person.all(".exchange"), "an empty conversation")


def test_a_model_server_is_chosen_and_its_answer_streams(person: Person) -> None:
    pytest.importorskip("openai")
    person.paste(STORY)
    with chat_server() as server:
        server.answer = (
            "“The lighthouse keeper of Skerryvore was called Alasdair Mackinnon” (Page 5), and “he fed goats” (Page 5)."
        )
        person.click("#reader-button")
        person.click(".option", "Model server")
        person.write("#base-url", server.url)
        person.write("#model-name", "zai-org/Glyph")
        person.write("#api-key", "very-secret")
        person.click("#reader .primary")
        assert "zai-org/Glyph" in person.see("#reader-button").text
        person.click("#tab-ask")
        person.see("#question").send_keys(QUESTION + Keys.ENTER)
        person.see(".cite.verified", "Mackinnon")
        person.see(".cite.missing", "he fed goats")
        person.see(".sent", "as images")
    assert "very-secret" not in str(person.driver.execute_script("return JSON.stringify(localStorage)"))
    person.see("#question").send_keys("Is anybody there?" + Keys.ENTER)
    person.see(".banner.error", "cannot be reached")


def test_a_summary_is_made_and_its_citations_open(person: Person) -> None:
    person.paste(STORY)
    person.click("#tab-summary")
    person.click(".summary-form .segments button", "Bullet points")
    person.click("#summarize")
    person.see(".summary .badge", "borne out")
    person.click(".summary .chip")
    person.until(lambda: person.driver.execute_script("return document.querySelector('#viewer img')?.naturalWidth"), "the page")
    person.click("#viewer .close")
    person.click(".summary-form .segments button", "Knowledge base")
    person.click("#summarize")
    person.see(".summary", "Document by document")


def test_a_citation_leads_to_the_document_it_names_however_long_the_name_is(person: Person) -> None:
    names = ["letters/" + "a very long name of a chapter " * 3 + f"({part}).txt" for part in ("one", "two")]
    cited = [(1, names[0]), (1, names[1]), (2, names[0]), (1, names[0])]
    text = " ".join(f"Said again [p. {number} of {name}]." for number, name in cited)
    citations = [
        {"quote": "", "verified": True, "note": "", "places": [{"id": "", "number": number, "source": name, "marks": []}]}
        for number, name in reversed(cited[:3])
    ]
    script = (
        "const [text, citations, done] = arguments; import('/static/answer.js').then(({answerText}) => "
        "done([...answerText(text, citations).querySelectorAll('.cite')].map(link => [link.textContent, link.className])))"
    )
    links = person.driver.execute_async_script(script, text, citations)
    assert [link for link, _ in links] == [f"[p. {number} of {name}]" for number, name in cited]
    assert [state for _, state in links] == ["cite verified"] * 3 + ["cite again"]


def test_the_knowledge_base_is_searched_and_read(person: Person) -> None:
    person.click("#tab-knowledge")
    person.see(".sources", "monkey.txt")
    person.see("#search").send_keys(QUESTION + Keys.ENTER)
    person.click(".result", "Mackinnon")
    source = person.until(lambda: person.driver.execute_script("return document.querySelector('#viewer img')?.src"), "the page")
    assert "marks=" in source
    person.click("#viewer .close")
    person.click(".sources button", "monkey.txt")
    person.see(".within .chip", "monkey.txt")
    person.see("#search").clear()
    person.click(".sources button", "monkey.txt")
    person.click(".result", "Page 1")
    person.see("#viewer h2", "Page 1")
    person.click("#viewer .close")
    person.see("#search").send_keys(QUESTION)
    person.click(".within .chip")
    person.click(".results .quiet", "Ask this")
    person.see("#question").send_keys(Keys.ENTER)
    person.see(".cite.verified", "Mackinnon")


def test_html_and_script_are_shown_and_never_run(person: Person) -> None:
    pytest.importorskip("openai")
    hostile = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"
    person.paste(f"{hostile} is what the lighthouse wrote. " * 40 + STORY)
    with chat_server() as server:
        server.answer = (
            f"{hostile} “{hostile} is what the lighthouse wrote.” (Page 1) [p. 1](javascript:document.title='owned')"
        )
        person.click("#reader-button")
        person.click(".option", "Model server")
        person.write("#base-url", server.url)
        person.write("#model-name", "<b>zai-org/Glyph</b>")
        person.click("#reader .primary")
        person.click("#tab-ask")
        person.see("#question").send_keys(f"What did the lighthouse write? {hostile}" + Keys.ENTER)
        person.see(".answer-text", "<script>")
        person.click(".chip")
        person.click("#viewer header button", "Text")
        assert "<script>" in person.see(".page-text").text
        person.click("#viewer .close")
        person.click("#tab-summary")
        person.click("#summarize")
        person.see(".summary", "onerror")
    assert person.driver.title == "glyph"
    found = person.driver.execute_script(
        "return document.querySelectorAll('main img[src=x], main script, dialog script, b b').length"
    )
    assert found == 0


def test_long_work_can_be_stopped(person: Person) -> None:
    person.paste("".join(f"{n} {FILLER}\n\n" for n in range(28_000)))
    person.click("#tab-summary")
    person.click("#summarize")
    person.click("#summarize", "Stop")
    person.see(".summary-out", "Stopped.")
    person.see("#summarize", "Summarize")
    assert not person.all(".banner")


def test_a_narrow_window_shows_everything_without_scrolling_sideways(person: Person, tmp_path: Path) -> None:
    metrics = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
    person.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def wide() -> bool:
        return bool(person.driver.execute_script("return document.documentElement.scrollWidth > 391"))

    assert not wide()
    for name in ("a long name of a report " * 8, "x" * 200):
        (tmp_path / f"{name}.txt").write_text(STORY, encoding="utf-8")
        person.driver.find_element(By.CSS_SELECTOR, "#welcome input[type=file]").send_keys(str(tmp_path / f"{name}.txt"))
        person.see(".documents .name", name[:20])
    person.see("#grid .page")
    for tab in ("pages", "ask", "summary", "knowledge"):
        person.click(f"#tab-{tab}")
        assert not wide(), tab
    person.click("#tab-ask")
    person.see("#question").send_keys(QUESTION + Keys.ENTER)
    person.see(".cite.verified")
    person.click(".sent summary", "as images")
    person.see(".sent li", "Page 3 of")
    assert not wide()
    person.click("#tab-summary")
    person.click("#summarize")
    person.see(".summary.card")
    assert not wide()
    person.click("#reader-button")
    assert person.see("#reader").size["width"] <= 390


def test_the_views_are_reached_with_the_keyboard_alone(person: Person) -> None:
    person.driver.execute_script("document.getElementById('tab-pages').focus()")
    for name in ("ask", "summary", "knowledge", "pages"):
        person.driver.switch_to.active_element.send_keys(Keys.ARROW_RIGHT)
        assert person.driver.switch_to.active_element.get_attribute("id") in (f"tab-{name}", "question")
        assert person.see(f"#tab-{name}").get_attribute("aria-selected") == "true"
        person.driver.execute_script(f"document.getElementById('tab-{name}').focus()")


def test_a_token_is_asked_for_and_an_address_with_it_opens(driver: Any) -> None:
    with app_server(token="correct-horse-battery") as address:
        driver.get(address)
        person = Person(driver, address)
        person.see(".gate input").send_keys("wrong" + Keys.ENTER)
        person.see(".banner.error", "not the token")
        driver.get("about:blank")
        driver.get(f"{address}/#token=correct-horse-battery")
        person.see("#try-sample")
        assert "token" not in driver.current_url
        driver.get_log("browser")
