"""The search: which styles to try, learnt from the reading errors and tokens of those before."""

from __future__ import annotations

import logging
import math
import time
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from os import PathLike
from typing import Any, Literal, NamedTuple

from ..errors import BudgetError, DocumentError, GlyphError, MissingExtraError, ModelError, StyleError
from ..rendering import Renderer
from ..style import PRESETS, PageStyle
from ..vision import VisionProfile, count_text_tokens
from .advisor import PATIENCE, Advice, Advisor, prompt_for, proposals
from .evaluator import Evaluator, Score
from .kept_scores import KeptScores
from .sample import Sample, tokens_per_1000
from .scoring import Scoring
from .search_space import SearchSpace, Value
from .trial import Trial, pareto_front

_log = logging.getLogger("glyph_integrations")

START = ("glyph-72", "dense-72", "cjk-72", "dense-1bit", "glyph-96", "cjk-96")
"""Presets that a search begins with, as near to them as its space comes."""

UNREADABLE = 0.25
"""A style with more errors than this counts as dearer than any other: it is no bargain."""

FAILURES = 4
"""So many failures in a row, and the evaluator is taken to be out of order."""

_MOST_MISSING = 0.02
_ADVISED = 4
_MUTATION = 0.2  # of each axis of a child
_TRIES = 40  # for each style of a generation: many proposals are styles that were there before

Sampler = Literal["tpe", "nsga2"]


class _Asked(NamedTuple):
    """A style that is to be scored, and the trial of the sampler that stands for it."""

    trial: Any
    style: PageStyle
    tokens: float
    origin: str


class StyleSearch:
    """Searches page styles that are read well and cost little, on one's own documents.

    A generation of styles is scored, and the next one proposed from all that were. The first holds the presets of `START`, the
    rest of it is random. Styles that are impossible, that the model would resize, that cost more than the text itself, or that
    were scored before, are passed over before anything is drawn. A style that the evaluator fails on counts as the worst, and
    is listed.

    Scores are kept in a folder; a search that is interrupted and started again with the same arguments takes the same
    way, and is quickly where it was. With the same seed it draws the same styles, however many are scored at a time, unless
    time or an evaluator's failures cut a generation short.

    Args:
        sample: the documents, and the passages that are read.
        evaluator: says how badly a style is read.
        vision: the model that will see the pages: its tokens are counted.
        space: which styles there are. Axes that the evaluator is blind to stand still.
        population: styles in a generation, at least 4.
        seed: of everything random.
        sampler: who proposes, of Optuna (extra ``tuning``). ``tpe``: styles are ranked by non-dominated sorting, and new ones
            sought where good ones are denser than the rest (Multiobjective Tree-Structured Parzen Estimator, Ozaki et al.,
            2022). ``nsga2``: a genetic algorithm, the fittest are crossed and mutated (Deb et al., 2002); it finds less with
            a hundred styles, and takes less time for thousands.
        advisor: a language model that proposes four styles of each generation after the first, or a quarter of it if that is
            more. Nonsense is counted in `advice`, and passed over.
        most_tokens: for 1,000 characters; dearer styles are passed over. None: what the text itself costs, by estimate.
        kept: a folder for scores. None: they are not kept.
        jobs: how many styles are scored at a time, in processes or threads as the evaluator says.

    Attributes:
        trials: all that was scored, in order.
        rejected: why styles were passed over, and how many.
        advice: what came of asking the advisor.
        generations: how many were scored whole.
        calls: of the evaluator's model, so far; kept scores cost none.
        stopped: why the search ended; empty while it runs.

    Raises:
        MissingExtraError: Optuna is not installed.
        DocumentError: none of the fonts at hand draws the script of the documents.
        ValueError: ``population`` below 4, ``jobs`` below 1, or an unknown sampler.
    """

    def __init__(
        self,
        sample: Sample,
        evaluator: Evaluator,
        vision: VisionProfile | str = "glyph",
        *,
        space: SearchSpace | None = None,
        population: int = 10,
        seed: int = 0,
        sampler: Sampler = "tpe",
        advisor: Advisor | None = None,
        most_tokens: float | None = None,
        kept: str | PathLike[str] | None = None,
        jobs: int = 1,
    ) -> None:
        if population < 4 or jobs < 1:
            raise ValueError(f"population={population}, jobs={jobs}: must be at least 4 and 1")
        self.sample, self.evaluator, self.vision = sample, evaluator, VisionProfile.get(vision)
        self.space = _drawable(sample, (space or SearchSpace()).fixed(evaluator.blind))
        self.population = population
        self.most_tokens = most_tokens or 1000 * count_text_tokens(sample.text).count / len(sample.text)
        self.trials: list[Trial] = []
        self.rejected: Counter[str] = Counter()
        self.advice = Advice()
        self.generations = self.calls = 0
        self.stopped = ""
        self._advisor, self._advisor_failures = advisor, 0
        self._kept = KeptScores(kept)
        self._jobs = jobs
        self._seen: set[PageStyle] = set()
        self._study = _new_study(sampler, population, seed)
        for name in START:
            self._enqueue(self.space.nearest(PRESETS[name]), "start")

    @property
    def front(self) -> list[Trial]:
        """The trials that no other beats, the cheapest first."""
        return pareto_front(self.trials)

    @property
    def failed(self) -> list[Trial]:
        """The styles that the evaluator failed on."""
        return [trial for trial in self.trials if trial.failure]

    def run(self, *, seconds: float | None = None, evaluations: int | None = None, calls: int | None = None) -> Iterator[Trial]:
        """Search until a budget is used up, or no style is left; yields each trial as it is scored.

        Args:
            seconds: of wall time; what is being scored then is finished.
            evaluations: most styles scored, kept scores included.
            calls: most calls of the evaluator's model, kept scores costing none; what is being scored then is finished.

        Raises:
            BudgetError: not one style could be scored in the time.
            ModelError: the evaluator failed on every style there was time for.
        """
        limits = _Limits(seconds, evaluations, calls)
        with self._scoring(self.sample) as scoring:
            self.stopped = limits.reached(len(self.trials), scoring.calls)
            while not self.stopped:
                asked = self._generation(limits)
                yield from self._scored(asked, scoring, limits)
                self.stopped = self.stopped or limits.reached(len(self.trials), scoring.calls)
        if not self.trials:
            raise BudgetError(f"no style was scored: {self.stopped}; allow more")
        if len(self.failed) == len(self.trials):
            raise ModelError(f"{self.evaluator.name} failed on every style: {self.trials[-1].failure}")
        if not self.generations:
            _log.warning("the search ended within its first generation: these are presets and chance, nothing was learnt yet")

    def score(self, styles: Sequence[PageStyle], sample: Sample | None = None) -> Iterator[Trial]:
        """Styles scored apart from the search, in order, such as presets or the front on other passages; one that the evaluator
        fails on has a ``failure``.

        Args:
            sample: what is read. None: the passages of the search.

        Raises:
            GlyphError: a style cannot be laid out, or makes pages that the model does not take.
        """
        sample = sample or self.sample
        costs = [_cost(style, sample, self.vision) for style in styles]
        with self._scoring(sample) as scoring:
            for number, (style, cost, result) in enumerate(zip(styles, costs, scoring.scores(styles), strict=True)):
                score, failure = _result(result)
                yield Trial(number, style, cost, score, "", failure)

    @contextmanager
    def _scoring(self, sample: Sample) -> Iterator[Scoring]:
        with Scoring(self.evaluator, sample, self._kept, self._jobs) as scoring:
            try:
                yield scoring
            finally:
                self.calls += scoring.calls

    # -- a generation -----------------------------------------------------------------------------------------------------

    def _generation(self, limits: _Limits) -> list[_Asked]:
        """Styles to be scored next: new, possible and not too dear."""
        if self.generations:
            self._advise()
        size = self.population
        if limits.evaluations is not None:
            size = min(size, limits.evaluations - len(self.trials))
        found: list[_Asked] = []
        for _ in range(_TRIES * self.population):
            if len(found) >= size or self.stopped:
                break
            if limits.time_is_up:
                self.stopped = "the time is up"
                break
            trial = self._study.ask()
            values = self._values(trial)
            asked = self._checked(trial, values)
            if asked is None:
                self._study.tell(trial, state=_failed_state())
            else:
                found.append(asked)
        if not found and not self.stopped:
            self.stopped = "no new style was found: all that the search space has, or what it is drawn to, was scored"
        return found

    def _values(self, trial: Any) -> dict[str, Value]:
        values = {}
        for name, steps in self.space.axes.items():
            if self.space.is_ordered(name):
                values[name] = steps[trial.suggest_int(name, 0, len(steps) - 1)]
            else:
                values[name] = steps[trial.suggest_categorical(name, range(len(steps)))]
        return values

    def _checked(self, trial: Any, values: dict[str, Value]) -> _Asked | None:
        origin = trial.user_attrs.get("origin", "searched" if self.generations else "random")
        try:
            style = self.space.style(values)
            if style in self._seen:
                raise StyleError("it was scored before")
            cost = _cost(style, self.sample, self.vision)
            if cost > self.most_tokens:
                raise StyleError("it costs more than the text")
        except GlyphError as error:
            self.rejected[_kind(error)] += 1
            if origin == "advised":
                self.advice.refused[_kind(error)] += 1
            return None
        self._seen.add(style)
        if origin == "advised":
            self.advice.entered += 1
        return _Asked(trial, style, cost, origin)

    def _scored(self, asked: Sequence[_Asked], scoring: Scoring, limits: _Limits) -> Iterator[Trial]:
        styles = [one.style for one in asked]
        in_a_row = told = 0
        for one, result in zip(asked, scoring.scores(styles, limits.ends, limits.calls), strict=False):
            told += 1
            score, failure = _result(result)
            trial = Trial(len(self.trials), one.style, one.tokens, score, one.origin, failure)
            self.trials.append(trial)
            self._study.tell(one.trial, list(self._fitness(trial)))
            yield trial
            in_a_row = in_a_row + 1 if failure else 0
            if in_a_row >= FAILURES:
                self.stopped = f"the evaluator failed {FAILURES} times in a row: {failure}"
                break
        for one in asked[told:]:
            self._study.tell(one.trial, state=_failed_state())
            self._seen.discard(one.style)
        if asked and told == len(asked) == self.population:
            self.generations += 1

    def _fitness(self, trial: Trial) -> tuple[float, float]:
        if trial.error > UNREADABLE:
            return trial.error, self.most_tokens * (1 + trial.error)
        return trial.error, trial.tokens

    # -- advice ---------------------------------------------------------------------------------------------------------------

    def _advise(self) -> None:
        if self._advisor is None or self._advisor_failures >= PATIENCE:
            return
        most = max(_ADVISED, self.population // 4)
        prompt = prompt_for(self.space, self.trials, most)
        answer = self._kept.answer(prompt)
        before = self.advice.failed
        self.advice.asked += 1
        if answer is None:
            try:
                answer = str(self._advisor(prompt))
            except Exception as error:  # whatever a framework or a server raises; the search goes on without it
                _log.warning("the advisor failed, the search goes on without: %s", error)
                self.advice.failed += 1
            else:
                self._kept.keep_answer(prompt, answer)
        if answer is not None:
            for values in proposals(self.space, answer, most, self.advice):
                self._enqueue(values, "advised")
        self._advisor_failures = self._advisor_failures + 1 if self.advice.failed > before else 0

    def _enqueue(self, values: dict[str, Value], origin: str) -> None:
        numbers = {name: self.space.axes[name].index(value) for name, value in values.items()}
        self._study.enqueue_trial(numbers, user_attrs={"origin": origin})


class _Limits:
    """What a run may use up."""

    def __init__(self, seconds: float | None, evaluations: int | None, calls: int | None) -> None:
        self.ends = math.inf if seconds is None else time.monotonic() + seconds
        self.evaluations, self.calls = evaluations, math.inf if calls is None else calls

    @property
    def time_is_up(self) -> bool:
        return time.monotonic() >= self.ends

    def reached(self, evaluations: int, calls: int) -> str:
        if self.time_is_up:
            return "the time is up"
        if self.evaluations is not None and evaluations >= self.evaluations:
            return f"{evaluations} styles were scored"
        return f"{calls} calls were made" if calls >= self.calls else ""


def _drawable(sample: Sample, space: SearchSpace) -> SearchSpace:
    """The space without fonts that lack the script of the documents.

    Raises:
        DocumentError: there is none other.
    """
    lost = {font: sample.missing(str(font)) for font in space.axes["font"]}
    fonts = tuple(font for font, (share, _) in lost.items() if share <= _MOST_MISSING)
    if not fonts:
        share, worst = min(lost.values())
        raise DocumentError(
            f"no installed font draws {100 * share:.0f} % of the characters of these documents ({worst}); "
            "`glyph fonts FILE` says which font to install"
        )
    return SearchSpace.from_dict({**space.to_dict(), "font": fonts})


def _cost(style: PageStyle, sample: Sample, vision: VisionProfile) -> float:
    renderer = Renderer(style)
    return tokens_per_1000(sample.lay_out(renderer), renderer, vision)


def _result(result: Score | Exception) -> tuple[Score, str]:
    if isinstance(result, Score):
        return result, ""
    return Score(1.0), f"{type(result).__name__}: {result}"


def _kind(error: GlyphError) -> str:
    """An error without its numbers, so that equal ones can be counted."""
    return "".join("N" if c.isdigit() else c for c in str(error)).replace("NN", "N").replace("NN", "N")


def _new_study(sampler: Sampler, population: int, seed: int) -> Any:
    try:
        import optuna
    except ImportError:
        raise MissingExtraError("optuna", "tuning") from None
    spoken = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)  # of options unchanged since Optuna 3.0
            return optuna.create_study(directions=["minimize", "minimize"], sampler=_sampler(optuna, sampler, population, seed))
    finally:
        optuna.logging.set_verbosity(spoken)


def _sampler(optuna: Any, name: Sampler, population: int, seed: int) -> Any:
    if name == "tpe":  # axes together, and not twice where a style of the same generation is
        return optuna.samplers.TPESampler(multivariate=True, constant_liar=True, n_startup_trials=population, seed=seed)
    if name == "nsga2":
        blended = optuna.samplers.nsgaii.BLXAlphaCrossover()  # of a small population finds the most
        return optuna.samplers.NSGAIISampler(population_size=population, mutation_prob=_MUTATION, crossover=blended, seed=seed)
    raise ValueError(f"sampler={name!r}: choose tpe or nsga2")


def _failed_state() -> Any:
    from optuna.trial import TrialState

    return TrialState.FAIL
