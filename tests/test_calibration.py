"""Calibration finds the cheapest style a model reads, and what it finds is used wherever the model is named."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from glyph_command import error_of, glyph, isolate, ok

from glyph_integrations import ContextBuilder, ExtractiveModel, PageStyle, Renderer, VisionProfile, calibrate
from glyph_integrations.errors import ModelError, StyleError
from glyph_integrations.reading import Answer, Gate, PagePart, Prompt, TextPart, Turn
from glyph_integrations.tuning.calibration import LADDERS
from glyph_integrations.tuning.needles import exam
from glyph_integrations.vision import Calibration, calibration_file

FILLER = "The ferry crossed the grey water twice a day, and nobody counted the passengers. " * 40
TEXT = f"{FILLER}The invoice 4711-AB of 12 May 1987 was paid in Husum. {FILLER}"


class Reader:
    """A model that finds a name on a page when its letters are at least so many pixels high, and strings when ``exact``."""

    name = "acme/Reader-1"

    def __init__(self, pixels: float, *, exact: bool = True, stops_after: int = 10**6, refuses: bool = False) -> None:
        self.vision: VisionProfile | None = VisionProfile.get("glyph", calibrated=False)
        self.pixels, self.exact, self.refuses = pixels, exact, refuses
        self.left = stops_after
        self.asked: list[str] = []

    def read(self, turns: Sequence[Turn], **options: Any) -> Answer:
        if self.left == 0:
            raise ModelError("http://127.0.0.1:9/v1 cannot be reached; is the server running?")
        self.left -= 1
        label, shown, *rest = turns[-1].parts
        question = (rest or [shown])[-1].text
        self.asked.append(question)
        if isinstance(shown, TextPart):
            return Answer(self._found(label.text, question))
        assert isinstance(shown, PagePart)
        if self.refuses:
            raise ModelError("http://127.0.0.1:9/v1 answered 400: this model takes no images")
        style = shown.page.style
        if style.font_size * style.dpi / 72 < self.pixels:
            return Answer("I cannot make it out.")
        return Answer(self._found(shown.page.text, question))

    def _found(self, text: str, question: str) -> str:
        place = re.search(r"of (\w+)", question)
        assert place
        found = re.search(rf"of {place[1]} is (?:called )?(\S+(?: \S+)?)(?: today)?\.", text)
        assert found
        answer = found[1].removesuffix(" today")
        return answer if self.exact or "called" in question else answer.replace("1", "l").replace("0", "O")


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GLYPH_CALIBRATIONS", str(tmp_path / "kept"))
    return tmp_path / "kept"


@pytest.mark.parametrize("language", ["en", "zh"])
def test_pages_hide_what_is_asked_for(language: Any) -> None:
    for style in LADDERS[language]:
        page, needles = exam(Renderer(), style, language, 3, strings=5)
        assert [page.text.count(needle.answer) for needle in needles] == [1] * 9
        assert exam(Renderer(), style, language, 3, strings=5) == (page, needles)
        assert not any(needle.answer in needle.question for needle in needles)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_no_question_has_two_answers(language: Any) -> None:
    for seed in range(40):
        _, needles = exam(Renderer(), PageStyle.preset("cjk-72"), language, seed, names=4, strings=5)
        assert len({needle.question for needle in needles}) == 9


def test_a_page_too_small_to_hide_anything_is_refused() -> None:
    with pytest.raises(StyleError, match="too small to hide"):
        exam(Renderer(), PageStyle(height=32))


@pytest.mark.parametrize("pixels", [5, 7.5, 8.5, 9.5, 11, 14, 18, 25])
def test_the_cheapest_style_that_is_read_is_chosen_in_some_twenty_calls(pixels: float) -> None:
    model = Reader(pixels)
    found = calibrate(model)
    sizes = {str(style): style.font_size * style.dpi / 72 for style in LADDERS["en"]}
    readable = [str(style) for style in LADDERS["en"] if sizes[str(style)] >= pixels]
    assert found.reads_pages == bool(readable)
    assert found.calls == len(model.asked) <= 22
    if readable:
        assert sizes[found.style] >= pixels
        assert min(sizes[style] for style in readable) == sizes[found.style]
        assert found.exact_strings and len(found.strings) == 5
    else:
        assert found.calls == 5 and "found 0, though it finds one in a text" in found.reason


def test_one_misread_string_is_enough_not_to_trust_them() -> None:
    found = calibrate(Reader(0, exact=False))
    assert found.reads_pages and not found.exact_strings
    assert any(not string.exact and string.read for string in found.strings)


def test_a_string_with_a_character_too_many_is_not_exact() -> None:
    class Stutterer(Reader):
        def _found(self, text: str, question: str) -> str:
            found = super()._found(text, question)
            return found if "called" in question else f"It is {found}{found[-1]}."

    assert not any(string.exact for string in calibrate(Stutterer(0)).strings)
    with pytest.raises(ValueError, match="choose en or zh"):
        calibrate(Reader(0), language="de")  # type: ignore[arg-type]


def test_a_model_that_refuses_pictures_but_answers_text_is_told_from_a_server_that_is_gone() -> None:
    found = calibrate(Reader(0, refuses=True))
    assert not found.reads_pages and "takes no images" in found.reason
    for calls in (0, 1, 7):
        with pytest.raises(ModelError, match=rf"stopped after {calls} calls: .*cannot be reached"):
            calibrate(Reader(0, stops_after=calls))


class _ServerError(Exception):
    def __init__(self, status_code: int, said: str) -> None:
        super().__init__(said)
        self.status_code = status_code


@pytest.mark.parametrize(
    ("cause", "refusal"),
    [
        (_ServerError(400, "no such content type"), True),
        (_ServerError(500, "image input is not supported, you may need to provide the mmproj"), True),
        (_ServerError(500, "out of memory"), False), (_ServerError(503, "starting"), False),
        (_ServerError(429, "too many requests for this vision model"), False), (TimeoutError("slow"), False),
        (ConnectionResetError("gone"), False),
    ],
)  # fmt: skip
def test_a_server_in_trouble_is_no_model_that_refuses_pictures(cause: Exception, refusal: bool) -> None:
    class Troubled(Reader):
        def read(self, turns: Sequence[Turn], **options: Any) -> Answer:
            if any(isinstance(part, PagePart) for part in turns[-1].parts):
                raise ModelError(f"the server failed: {cause}") from cause
            return super().read(turns, **options)

    if refusal:
        found = calibrate(Troubled(0))
        assert not found.reads_pages and found.reason == f"it refused a picture: the server failed: {cause}"
    else:
        with pytest.raises(ModelError, match=f"stopped after 1 calls: the server failed: {cause}"):
            calibrate(Troubled(0))


def test_an_interrupted_calibration_goes_on_where_it_stopped(tmp_path: Path) -> None:
    journal = tmp_path / "reader.partial"
    with pytest.raises(ModelError):
        calibrate(Reader(8, stops_after=9), journal=journal)
    with open(journal, "a") as file:
        file.write('{"key": "torn')
    model = Reader(8)
    found = calibrate(model, journal=journal)
    assert len(model.asked) == found.calls - 9
    assert found == calibrate(Reader(8))


def test_a_calibration_survives_its_file_and_changes_the_profile_of_its_model_alone(kept: Path) -> None:
    found = calibrate(Reader(11))
    path = found.save()
    assert path == calibration_file("acme/Reader-1") and path.parent == kept
    assert Calibration.load(path) == found
    for profile in (VisionProfile.get("acme/Reader-1"), VisionProfile.get("reader-1"), VisionProfile.get(str(path))):
        assert (profile.style, profile.reads_pages, profile.exact_strings) == (found.style, True, True)
        assert profile.count(588, 840) == VisionProfile.get("glyph").count(588, 840)
    assert VisionProfile.get("acme/Reader-1", calibrated=False) == VisionProfile.get("glyph")
    assert VisionProfile.get("glyph").style == "glyph-72"


def test_no_two_models_share_a_calibration(kept: Path) -> None:
    names = ["千问", "智谱", "qwen2.5vl:7b", "qwen2.5vl_7b", "acme eyes", "acme/eyes", "naïve", "na_ve"]
    assert len({calibration_file(name) for name in names}) == len(names)
    assert calibration_file("zai-org/Glyph") == kept / "glyph.json" == calibration_file("GLYPH")


def test_what_a_file_says_is_checked(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    good = json.loads(calibrate(Reader(0)).save(path).read_text())
    for change in ({"style": "glyph-73"}, {"reads_pages": "no"}, {"glyph_calibration": 9}, {"more": 1}, {"rungs": [1]}):
        path.write_text(json.dumps({**good, **change}))
        with pytest.raises(ModelError, match="is no calibration"):
            Calibration.load(path)
    path.write_text("{")
    with pytest.raises(ModelError, match="glyph calibrate"):
        VisionProfile.get(str(path))
    with pytest.raises(ModelError, match="cannot read"):
        VisionProfile.get(str(tmp_path / "absent.json"))


def _calibrated(reads: bool, exact: bool, style: str = "glyph-120") -> Calibration:
    return Calibration("acme/Reader-1", "glyph", reads, "so", style, exact)


def test_prompts_follow_a_calibration(kept: Path) -> None:
    page = next(Renderer().paginate(TEXT, source="invoices.txt"))
    question = "Which invoice was paid in Husum?"

    def built() -> tuple[ContextBuilder, list[Turn], Any]:
        builder = ContextBuilder("acme/Reader-1", sharp=0)
        return builder, *builder.build(question, [page])

    _calibrated(reads=True, exact=False).save()
    _, turns, report = built()
    assert "Exact strings" in turns[0].text and report.images[0].dpi == 120
    _calibrated(reads=True, exact=True).save()
    _, turns, _ = built()
    assert "Exact strings" not in turns[0].text
    assert ContextBuilder("acme/Reader-1", sidecar=96).sidecar == 96
    _calibrated(reads=False, exact=False).save()
    builder, turns, report = built()
    assert not report.images and page.text in turns[0].text
    assert "cannot read pages" in report.placements[0].reason
    assert builder.budget == 128 * 1024 * 3 // 4
    tagged, _ = Prompt("acme/Reader-1").build([Turn("user", [PagePart(page), TextPart(question)])])
    assert not any(isinstance(part, PagePart) for turn in tagged for part in turn.parts)
    assert Gate("acme/Reader-1").profile and Gate("acme/Reader-1").vision is None


def test_a_model_known_to_read_no_pages_can_be_calibrated_again(kept: Path) -> None:
    _calibrated(reads=False, exact=False).save()
    model = Reader(0)
    model.vision = ExtractiveModel("acme/Reader-1").vision
    with pytest.raises(ModelError, match="calibrated=False"):
        calibrate(model)


def test_both_frameworks_stay_with_text_for_a_model_that_cannot_read_pages(kept: Path) -> None:
    pytest.importorskip("langchain_core")
    pytest.importorskip("llama_index.core")
    from llama_index.core.llms import ChatMessage, TextBlock

    from glyph_integrations.langchain import ChatGlyph, ChatPageModel, GlyphVectorStore, PageSplitter
    from glyph_integrations.llama_index import GlyphLLM, PageModelLLM

    store = GlyphVectorStore()
    store.add_documents(PageSplitter().split_documents([_document()]))
    tagged = store.as_retriever(k=1).invoke("Which invoice was paid in Husum?")[0].page_content
    for reads in (True, False):
        _calibrated(reads=reads, exact=False).save()
        model = ExtractiveModel("acme/Reader-1")
        chat = ChatGlyph(llm=ChatPageModel(model=model)).invoke(f"{tagged}\n\nWhich invoice was paid in Husum?")
        llm = GlyphLLM(llm=PageModelLLM(model)).chat(
            [ChatMessage(role="user", blocks=[TextBlock(text=f"{tagged}\n\nWhich invoice was paid in Husum?")])]
        )
        for report in (chat.response_metadata["glyph"]["report"], llm.additional_kwargs["glyph"]["report"]):
            assert bool(report["image_tokens"]) == reads
        assert "4711-AB" in chat.text and "4711-AB" in str(llm.message.content)


def _document() -> Any:
    from langchain_core.documents import Document

    return Document(TEXT, metadata={"source": "invoices.txt"})


# -- with a server that reads nothing but pixels, and a model that reads nothing at all -------------------------------------


@pytest.fixture(scope="module")
def server() -> Iterator[Any]:
    pytest.importorskip("openai")
    pytest.importorskip("rapidocr")
    from ocr_server import ocr_server, shared_reader

    from glyph_integrations import OcrModel

    with ocr_server(OcrModel(shared_reader())) as running:
        yield running


SMALL = [f"{name};height=100" for name in ("glyph-120", "glyph-72", "glyph-72;font_size=4;line_height=5")]


@pytest.mark.slow
def test_the_command_calibrates_a_server_and_goes_on_after_it_stopped(
    server: Any, kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    isolate(tmp_path, monkeypatch)
    styles = [argument for style in SMALL for argument in ("--style", style)]
    options = ("--base-url", server.url, "--model", "zai-org/Glyph", *styles)
    server.behave("", "", "cut", "cut", "cut", "cut", "cut", "cut")
    said = error_of("calibrate", "-q", *options)
    assert "stopped after 2 calls" in said and "run the same command again" in said
    assert not calibration_file("zai-org/Glyph").exists()
    server.behave()
    before = len(server.requests)
    told = ok("calibrate", *options)
    found = Calibration.load(calibration_file("zai-org/Glyph"))
    assert len(server.requests) - before == found.calls - 2
    assert not list(kept.glob("*.partial"))
    assert found.reads_pages and found.style == SMALL[1]  # letters of four pixels are not legible
    assert "Cheapest style: glyph-72" in told and "4 of 4" in told
    assert VisionProfile.get("zai-org/Glyph").style == SMALL[1]


@pytest.mark.slow
def test_a_server_that_takes_no_images_is_reported_and_sent_text(
    server: Any, kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    isolate(tmp_path, monkeypatch)
    (tmp_path / "note.txt").write_text("The keeper of the lighthouse was called Hinrich Quedens. " * 60)
    server.behave(*["refuse images"] * 50)
    told = ok("calibrate", "--base-url", server.url, "--model", "zai-org/Glyph", "--style", SMALL[0])
    assert "cannot read pages: it refused a picture" in told
    asked = ok("ask", "note.txt", "Who was the keeper?", "--base-url", server.url, "--model", "zai-org/Glyph")
    assert "as text" in asked and "Hinrich Quedens" in asked and not server.images()
    server.behave()


@pytest.mark.slow
def test_a_checkpoint_of_random_weights_is_reported_as_unable_to_read(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    from checkpoints import Checkpoints

    from glyph_integrations import TransformersModel

    model = TransformersModel(Checkpoints(tmp_path)("qwen2.5-vl"), device="cpu")
    found = calibrate(model, styles=[PageStyle.parse(SMALL[0])], max_tokens=12)
    assert not found.reads_pages and found.calls == 5
    assert "found 0, and did not find one in a text either" in found.reason
    assert found.family and found.model == model.name


def test_the_command_refuses_what_cannot_be(kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("openai")
    isolate(tmp_path, monkeypatch)
    base = ("calibrate", "--base-url", "http://127.0.0.1:9/v1", "--model")
    assert "no vision profile" in error_of(*base, "llama-3-8b")
    assert glyph(*base, "glyph", "--language", "fr").exit_code == 2
    assert glyph(*base, "glyph", "-o", "result.txt").exit_code == 2
    assert not kept.exists() and not list(tmp_path.glob("*.json"))
