"""Pages that go to a model are sampled and read back, beside the answer and never in its way."""

from __future__ import annotations

import copy
import logging
import os
import pickle
import threading
import time
from typing import Any

import pytest
from PIL import Image

from glyph_integrations import ContextBuilder, ExtractiveModel, Page, PageStyle, QualityMonitor, Renderer
from glyph_integrations.errors import DocumentError
from glyph_integrations.ocr import Stretch
from glyph_integrations.reading import Gate, PagePart, Prompt, TextPart, Turn
from glyph_integrations.tuning.tally import BUCKETS

STYLE = PageStyle(height=160)
TEXT = "The ferry crossed the grey water twice a day, and nobody on the island counted the passengers. " * 90


class Engine:
    """An engine that reads ``text`` on every line it is shown, or does whatever ``act`` does."""

    name = "engine"
    scripts: tuple[str, ...] = ("LATIN",)

    def __init__(self, text: str = "", act: Any = None, lines: int | None = None) -> None:
        self.text, self.act, self.lines, self.pictures = text, act, lines, 0

    def read(self, image: Image.Image) -> list[Stretch]:
        self.pictures += 1
        if self.act:
            self.act()
        return [Stretch(self.text, y, y + 10) for y in range(10, image.height, 20)][: self.lines] if self.text else []


def pages(text: str = TEXT) -> list[Page]:
    return list(Renderer(STYLE).paginate(text, source="ferry.txt"))


def ask(monitor: QualityMonitor | None, shown: list[Page], times: int = 1) -> None:
    builder = ContextBuilder("glyph", monitor=monitor)
    for _ in range(times):
        builder.build("Who counted the passengers?", shown)


def test_a_share_of_the_pages_is_sampled_by_seed() -> None:
    shown = pages()[:4]
    sampled = []
    for seed in (1, 1, 2):
        with QualityMonitor(0.25, Engine(), seed=seed, waiting=1000) as monitor:
            ask(monitor, shown, 40)
            assert monitor.counts.seen == 160
            sampled.append(monitor.counts.sampled)
    assert sampled[0] == sampled[1] != sampled[2]
    assert all(20 < count < 60 for count in sampled)
    with QualityMonitor(0, engine := Engine()) as monitor:
        ask(monitor, shown)
        assert monitor.counts.sampled == engine.pictures == 0
        assert not any(thread.name == "glyph-quality" and thread.is_alive() for thread in threading.enumerate())


def test_what_was_read_is_compared_and_the_worst_pages_are_kept(caplog: pytest.LogCaptureFixture) -> None:
    shown = pages()
    with QualityMonitor(1, Engine("nothing of the kind"), worst=3, waiting=100) as monitor, caplog.at_level(logging.WARNING):
        ask(monitor, shown[:5], 2)
        assert monitor.wait(20)
    total = monitor.total
    assert total.pages == monitor.counts.sampled == total.misread == 10
    assert total.lines <= 120 and 0.5 < total.error_rate <= 1.5 and total.buckets[0] == 0
    assert [m.error_rate for m in monitor.worst] == sorted((m.error_rate for m in monitor.worst), reverse=True)
    assert len(monitor.worst) == 3 and all(m.page in shown and m.drawn in TEXT for m in monitor.worst)
    warnings = [record for record in caplog.records if "was misread" in record.message]
    assert 1 <= len(warnings) <= len(monitor.tallies)  # once a minute for each style
    assert "ferry.txt" in warnings[0].message


def test_pages_that_are_read_well_are_no_news(caplog: pytest.LogCaptureFixture) -> None:
    page = next(Renderer(STYLE).paginate("ferry " * 12, source="a.txt"))
    engine = Engine(" ".join(page.line_text(1).split()), lines=1)
    with QualityMonitor(1, engine) as monitor, caplog.at_level(logging.WARNING):
        monitor.watch(*_report(page))
        assert monitor.wait(20)
    assert monitor.total.errors == 0 and monitor.total.buckets == [1] * len(BUCKETS)
    assert not caplog.records


def _report(page: Page) -> tuple[Any, Gate]:
    builder = ContextBuilder("glyph", sharp=0)
    _, report = builder.build("?", [page])
    if not report.images:  # a short page would go as text
        from dataclasses import replace

        report = replace(report, placements=tuple(replace(p, sent_as="image", dpi=72) for p in report.placements))
    return report, builder.gate


def test_a_slow_engine_makes_nobody_wait_and_what_does_not_fit_the_queue_is_counted() -> None:
    release = threading.Event()
    with QualityMonitor(1, Engine("x", lambda: release.wait(20)), waiting=2) as monitor:
        shown = pages()[:2]
        ask(None, shown, 3)
        before = time.perf_counter()
        ask(None, shown, 20)
        off = time.perf_counter() - before
        before = time.perf_counter()
        ask(monitor, shown, 20)
        assert time.perf_counter() - before < 3 * off + 0.5
        counts = monitor.counts
        assert counts.sampled == 40 and 36 <= counts.dropped <= 38
        assert not monitor.wait(0.05)
        release.set()
    assert monitor.total.pages + monitor.counts.dropped == 40  # closing reads nothing more, and loses no count


@pytest.mark.parametrize("error", [RuntimeError("out of paper"), DocumentError("gone"), KeyError("x")])
def test_an_engine_that_fails_fails_no_answer(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> None:
        raise error

    with QualityMonitor(1, Engine(act=fail)) as monitor, caplog.at_level(logging.WARNING):
        ask(monitor, pages()[:3])
        assert monitor.wait(20)
        ask(monitor, pages()[:1])
        assert monitor.wait(20)
    assert monitor.counts.failed == 4 and monitor.total.pages == 0
    assert len([r for r in caplog.records if type(error).__name__ in r.message]) == 1  # said once


def test_what_the_engine_cannot_read_is_skipped() -> None:
    with QualityMonitor(1, engine := Engine()) as monitor:
        ask(monitor, pages("Паром пересекал серую воду дважды в день, и никто не считал пассажиров. " * 40)[:2])
        assert monitor.wait(20)
    assert monitor.counts.skipped == 2 and engine.pictures == 0


def test_lines_that_were_sent_alone_are_read_alone() -> None:
    page = Renderer().paginate(TEXT).__next__()
    with QualityMonitor(1, Engine("x")) as monitor:
        Prompt("glyph", monitor=monitor).build([Turn("user", [PagePart(page, 96, (9, 12)), TextPart("Who?")])])
        assert monitor.wait(20)
    ((style, dpi),) = monitor.tallies
    assert (dpi, monitor.total.lines) == (96, 4) and style == str(page.style)
    assert 9 <= monitor.worst[0].line <= 12
    assert monitor.worst[0].drawn == " ".join(page.line_text(monitor.worst[0].line).split())


def test_counters_are_valid_prometheus_text() -> None:
    parser = pytest.importorskip("prometheus_client.parser")
    with QualityMonitor(1, Engine("The ferry crossed"), waiting=100) as monitor:
        assert list(parser.text_string_to_metric_families(monitor.prometheus()))
        ask(monitor, pages()[:3])
        quoted = Renderer(PageStyle(height=160, newline="marked")).paginate(TEXT)  # its name has quotation marks
        ask(monitor, [next(quoted)])
        assert monitor.wait(20)
    families = {family.name: family for family in parser.text_string_to_metric_families(monitor.prometheus())}
    assert families["glyph_pages_seen"].samples[0].value == 4
    read = families["glyph_pages_read"].samples
    assert sum(s.value for s in read) == 4
    assert {PageStyle.parse(s.labels["style"]).newline for s in read} == {"keep", "marked"}
    rates = [s for s in families["glyph_page_error_rate"].samples if s.name.endswith("_bucket")]
    for style, dpi in monitor.tallies:
        own = [s.value for s in rates if s.labels["style"] == style and s.labels["dpi"] == str(dpi)]
        assert own == sorted(own) and len(own) == len(BUCKETS) + 1
    assert families["glyph_page_error_rate"].type == "histogram"


async def test_both_frameworks_can_be_watched_and_counting_tokens_is_no_sending() -> None:
    pytest.importorskip("langchain_core")
    pytest.importorskip("llama_index.core")
    from langchain_core.documents import Document
    from langchain_core.messages import HumanMessage
    from llama_index.core.llms import ChatMessage
    from llama_index.core.schema import NodeWithScore, TextNode

    from glyph_integrations.langchain import ChatGlyph, ChatPageModel, PageSplitter, tag_pages
    from glyph_integrations.llama_index import GlyphLLM, GlyphSynthesizer, PageModelLLM

    model = ExtractiveModel("glyph")
    document = tag_pages.invoke(PageSplitter().split_documents([Document(TEXT, metadata={"source": "f.txt"})]))[0]
    asked = f"{document.page_content}\n\nWho counted the passengers?"
    with QualityMonitor(1, Engine("x")) as monitor:
        chat = ChatGlyph(llm=ChatPageModel(model=model), monitor=monitor)
        assert chat.get_num_tokens_from_messages([HumanMessage(asked)]) > 0
        assert monitor.counts.seen == 0
        chat.invoke(asked)
        assert monitor.counts.seen == 1
        list(chat.stream(asked))
        assert monitor.counts.seen == 2
        GlyphLLM(llm=PageModelLLM(model), monitor=monitor).chat([ChatMessage(role="user", content=asked)])
        assert monitor.counts.seen == 3
        node = NodeWithScore(node=TextNode(text=TEXT), score=1.0)
        GlyphSynthesizer(model, monitor=monitor).synthesize("Who counted the passengers?", [node])
        assert monitor.counts.seen == 4
        await chat.ainvoke(asked)
        assert monitor.counts.seen == 5
        await GlyphLLM(llm=PageModelLLM(model), monitor=monitor).achat([ChatMessage(role="user", content=asked)])
        assert monitor.counts.seen == 6
        await GlyphSynthesizer(model, monitor=monitor).asynthesize("Who counted the passengers?", [node])
        assert monitor.counts.seen == 7
        assert copy.deepcopy(monitor) is monitor


def test_another_process_watches_with_the_same_settings() -> None:
    shown = pages()[:6]
    with QualityMonitor(0.5, Engine("x"), warn_above=9.0, waiting=3, worst=2, seed=7) as first:
        second = pickle.loads(pickle.dumps(first))
        for monitor in (first, second):
            for _ in range(4):
                ask(monitor, shown[:3])
                assert monitor.wait(20)
        assert second.counts == first.counts and second.worst == first.worst and len(second.worst) == 2
        assert second.total.pages > 2 and second.total.misread == 0
        second.close()


def test_a_page_that_comes_while_the_monitor_is_closed_leaves_nobody_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monitor = QualityMonitor(1, Engine("x"))
    ask(monitor, pages()[:1])
    assert monitor.wait(20)

    def closing() -> float:
        closer = threading.Thread(target=monitor.close)
        closer.start()
        closer.join(0.3)
        return 0.0

    monkeypatch.setattr(monitor._dice, "random", closing)
    ask(monitor, pages()[:1])
    assert monitor.wait(5)
    assert (monitor.counts.sampled, monitor.total.pages + monitor.counts.dropped) == (2, 2)
    ask(monitor, pages()[:1])
    assert monitor.counts.seen == 2  # nothing is watched any more


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_process_is_watched_and_counts_for_itself() -> None:
    shown = pages()[:4]
    with QualityMonitor(1, Engine("x"), warn_above=9.0) as monitor:
        ask(monitor, shown[:2])
        assert monitor.wait(20)
        with monitor._lock:  # as when another thread is counting at that moment
            child = os.fork()
        if child == 0:
            ask(monitor, shown)
            right = monitor.wait(20) and monitor.counts.seen == monitor.total.pages == 4
            os._exit(0 if right else 1)
        assert os.waitpid(child, 0)[1] == 0
        assert monitor.counts.seen == monitor.total.pages == 2


@pytest.mark.parametrize("settings", [{"rate": 1.5}, {"rate": -1}, {"waiting": 0}, {"worst": 0}])
def test_settings_are_checked(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must be"):
        QualityMonitor(**{"rate": 0.1, "reader": Engine(), **settings})


@pytest.mark.slow
def test_ocr_tells_legible_pages_from_illegible_ones() -> None:
    pytest.importorskip("rapidocr")
    from ocr_server import shared_reader

    with QualityMonitor(1, shared_reader()) as monitor:
        for size in (9.0, 3.5):
            style = PageStyle(height=80, font_size=size, line_height=size + 1)
            ask(monitor, [next(Renderer(style).paginate(TEXT, source=f"{size}.txt"))])
        assert monitor.wait(120)
    rates = {page.page.source: page.error_rate for page in monitor.worst}
    assert rates["9.0.txt"] < 0.05 < 0.3 < rates["3.5.txt"]
