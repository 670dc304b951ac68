"""``glyph demo``: the whole journey on a long document that every Python has."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from .options import PicturesOption, QuietOption
from .terminal import Terminal
from .walkthrough import Walkthrough

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
    from ..sources.sample import language_reference

    terminal = Terminal(quiet)
    walkthrough = Walkthrough(terminal, Renderer(), ExtractiveModel("glyph"))
    with walkthrough.read_document(language_reference()) as index:
        for question in _QUESTIONS:
            terminal.step("", "")
            walkthrough.answer(index, question, 5, output)
    terminal.step("", "")
    terminal.step("Next", *_next_steps())


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
