"""Ten retrieved pages through the nine response modes of LlamaIndex: how many reach the model as images, in how many calls, and
what is said of the others.

    python benchmarks/response_modes.py [--pages 10]      # needs llama-index-core; no model, no server

The pictures are put on the nodes by `PageImagePostprocessor`; the last row is `GlyphSynthesizer`, which asks once. The context
windows are what LlamaIndex is told, in tokens.
"""

from __future__ import annotations

import argparse
import logging
from typing import Any

from llama_index.core import Settings, get_response_synthesizer
from llama_index.core.response_synthesizers import ResponseMode
from llama_index.core.schema import NodeWithScore

from glyph_integrations import ExtractiveModel, Renderer
from glyph_integrations.llama_index import GlyphSynthesizer, PageImagePostprocessor, PageModelLLM
from glyph_integrations.llama_index.page_nodes import page_node
from glyph_integrations.reading import Answer, Turn

WINDOWS = (32_000, 16_000, 8_000, 4_000)
QUESTION = "What did the ferry take?"
PROSE = "The lighthouse keeper of Amrum wrote his log every night, and every morning the ferry took a copy of it ashore. "


class Recorder(ExtractiveModel):
    def __init__(self) -> None:
        super().__init__("glyph")
        self.calls: list[list[Turn]] = []

    def read(self, turns: Any, **options: Any) -> Answer:
        self.calls.append(list(turns))
        return super().read(turns, **options)

    def delivered(self) -> int:
        return len({page.id for turns in self.calls for turn in turns for page in turn.pages})


class Warnings(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.left_out = 0

    def emit(self, record: logging.LogRecord) -> None:
        self.left_out += "left out" in record.getMessage()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pages", type=int, default=10, help="how many pages are retrieved")
    wanted = parser.parse_args().pages
    texts = [f"Part {n}. {PROSE * 60}" for n in range(wanted)]
    nodes = [NodeWithScore(node=page_node(next(Renderer().paginate(text, f"part-{n}.txt")))) for n, text in enumerate(texts)]
    drawn = PageImagePostprocessor("glyph").postprocess_nodes(nodes)
    heard = Warnings()
    logging.getLogger("glyph_integrations").addHandler(heard)
    Settings.llm = PageModelLLM(ExtractiveModel())
    print(f"{'mode':24}" + "".join(f"{window:>22,}" for window in WINDOWS))
    lost = 0
    for mode in (*ResponseMode, "GlyphSynthesizer"):
        row = f"{getattr(mode, 'value', mode):24}"
        for window in WINDOWS:
            model, heard.left_out = Recorder(), 0
            llm = PageModelLLM(model, context_window=window)
            if isinstance(mode, ResponseMode):
                get_response_synthesizer(llm=llm, response_mode=mode, multimodal=True).synthesize(QUESTION, drawn)
                reported = heard.left_out > 0 or not model.delivered()
            else:
                response = GlyphSynthesizer(llm).synthesize(QUESTION, nodes)
                report = (response.metadata or {})["glyph"]["report"]
                reported = any(page["sent_as"] != "image" for page in report["pages"])
            count = model.delivered()
            lost += count < wanted and not reported
            cell = f"{count} in {len(model.calls)}" if model.calls else "no call"
            row += f"{cell + (', told' if 0 < count < wanted and reported else ''):>22}"
        print(row)
    print(f"\npages delivered in calls; told: the rest was reported. Lost without a word: {lost}")


if __name__ == "__main__":
    main()
