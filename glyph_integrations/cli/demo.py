"""``glyph demo``: the whole journey on a long document that every Python has."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import DocumentError
from .options import PicturesOption, QuietOption
from .terminal import Terminal
from .walkthrough import Walkthrough

if TYPE_CHECKING:
    from ..sources import SourceDocument

_QUESTIONS = (
    "When are default parameter values evaluated?",
    "Which exception is raised when a name is not found?",
)


def demo(
    output: PicturesOption = Path("glyph-demo"),
    quiet: QuietOption = False,
) -> None:
    """Try everything on Python's own language reference: draw it as pages, ask it two questions, cite the answers.

    Needs no network, no model and no GPU; takes a few seconds.
    """
    from ..reading import ExtractiveModel
    from ..rendering import Renderer

    terminal = Terminal(quiet)
    walkthrough = Walkthrough(terminal, Renderer(), ExtractiveModel("glyph"))
    with walkthrough.read_document(_language_reference()) as index:
        for question in _QUESTIONS:
            terminal.step("", "")
            walkthrough.answer(index, question, 5, output)
    terminal.step("", "")
    terminal.step("Next", *_next_steps())


def _language_reference() -> SourceDocument:
    from ..sources import SourceDocument

    try:
        from pydoc_data.topics import topics
    except ImportError:
        raise DocumentError("this Python comes without pydoc_data; try: glyph ask FILE QUESTION") from None
    lines = {topic: {line.strip() for line in body.splitlines() if len(line) > 30} for topic, body in topics.items()}
    parts = [  # a topic whose lines nearly all stand in a longer one would only be found twice
        f"{topic}\n{'=' * len(topic)}\n\n{body.strip()}\n"
        for topic, body in topics.items()
        if not any(len(topics[o]) > len(body) and len(lines[topic] & lines[o]) >= 0.9 * len(lines[topic]) for o in topics)
    ]
    return SourceDocument("\n\n".join(parts), name="python_language_reference.txt")


def _next_steps() -> list[str]:
    steps = [
        'glyph ask FILE "your question"                               your own document',
        'glyph ask FILE "..." --base-url http://HOST/v1 --model NAME  read by a vision-language model',
        "glyph tokens FILE                                            what it costs each model family",
    ]
    for title, package, adapters in (
        ("LangChain", "langchain_core", "langchain"),
        ("LlamaIndex", "llama_index.core", "llama_index"),
    ):
        try:
            installed = find_spec(package) is not None
        except ModuleNotFoundError:
            installed = False
        use = f"from glyph_integrations.{adapters} import GlyphRetriever"
        how = use if installed else f"pip install 'glyph-integrations[{adapters.replace('_', '-')}]'"
        steps.append(f"{how:<61}pages in {title}")
    return steps
