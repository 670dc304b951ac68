"""An advisor: a language model that is shown the scores so far, and proposes styles."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from ..errors import StyleError
from ..reading import PageModel, TextPart, Turn
from .search_space import Range, SearchSpace, Value
from .trial import Trial, pareto_front

Advisor = Callable[[str], str]
"""A prompt in, an answer out: ``as_advisor`` of an adapter makes one of any LangChain chat model or LlamaIndex LLM."""

PATIENCE = 3
"""An advisor that fails so often in a row is asked no more."""

_SHOWN = 12
_MANY = 200  # objects of an answer that are looked at
_PROMPT = """Text is drawn as page images for a vision-language model. Find page styles that are read with few errors and \
cost few tokens. Tokens grow with the pixels of the page: smaller or narrower letters, tighter lines and less margin cost \
less, and from some point on they are misread.

A style has one value for each of these knobs (lengths are points, 72 to an inch; line height is font_size + leading):
{space}

Scored so far (error: share of characters misread; tokens: for 1,000 characters). The best, from cheapest to dearest:
{front}
Others:
{others}

Propose {count} new styles that might be cheaper than those read equally well, or read better than those equally cheap. Change \
several knobs at once where that helps, and explore knobs whose effect the scores do not show yet. Answer with a JSON array of \
{count} objects alone, each with every knob:
[{{{example}}}, ...]"""


@dataclass
class Advice:
    """What came of asking an advisor.

    Attributes:
        asked: how often.
        failed: how often it raised something, or answered without any object of JSON.
        proposed: objects in its answers.
        entered: proposals that became styles of the search.
        refused: why others did not, and how many.
    """

    asked: int = 0
    failed: int = 0
    proposed: int = 0
    entered: int = 0
    refused: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        refused = self.refused.total()
        return f"asked {self.asked} times, proposed {self.proposed}, entered {self.entered}, refused {refused}"


def advisor_of(model: PageModel, max_tokens: int = 4000) -> Advisor:
    """Any `PageModel` that can answer a plain text as an advisor, such as `OpenAIModel`."""
    return lambda prompt: model.read([Turn("user", [TextPart(prompt)])], max_tokens=max_tokens).text


def prompt_for(space: SearchSpace, trials: Sequence[Trial], count: int) -> str:
    """What an advisor is asked: the knobs, the front and some others, and how many styles it may propose."""
    front = pareto_front(trials)
    shown = front[:: max(1, len(front) // _SHOWN)]
    others = [trial for trial in trials if trial not in front and not trial.failure][-_SHOWN:]
    knobs = "\n".join(f"- {name}: {_told(space, name)}" for name in space.axes)
    return _PROMPT.format(
        space=knobs,
        front="\n".join(_row(space, trial) for trial in shown) or "none yet",
        others="\n".join(_row(space, trial) for trial in others) or "none",
        count=count,
        example=", ".join(f'"{name}": ...' for name in space.axes),
    )


def proposals(space: SearchSpace, answer: str, most: int, advice: Advice) -> Iterator[dict[str, Value]]:
    """The valid proposals of an answer, at most so many; what is wrong with others is counted in ``advice``."""
    found = 0
    for values in islice(_objects(answer), _MANY):
        advice.proposed += 1
        found += 1
        if found > most:
            advice.refused["more than it was asked for"] += 1
            continue
        try:
            yield space.read(values)
        except StyleError as error:
            advice.refused[str(error)] += 1
    if not found:
        advice.failed += 1


def _told(space: SearchSpace, name: str) -> str:
    axis, values = getattr(space, name), space.axes[name]
    if isinstance(axis, Range) and len(values) > 1:
        return f"{values[0]} to {values[-1]} in steps of {axis.step:g}"
    return " or ".join(json.dumps(value) for value in values)


def _row(space: SearchSpace, trial: Trial) -> str:
    values = json.dumps(space.nearest(trial.style), ensure_ascii=False)
    return f"error {trial.error:.4f}, tokens {trial.tokens:.1f}: {values}"


def _objects(answer: str) -> Iterator[dict[str, Any]]:
    """The objects of JSON in a text, whatever stands about them; of one that holds lists of objects, those."""
    decoder = json.JSONDecoder()
    at = 0
    for match in islice(re.finditer(r"\{", answer), _MANY):
        if match.start() < at:
            continue
        try:
            values, at = decoder.raw_decode(answer, match.start())
        except (ValueError, RecursionError):
            continue
        inner = [x for value in values.values() if isinstance(value, list) for x in value if isinstance(x, dict)]
        yield from inner or [values]
