"""The search for a page style: what it finds, against presets, random styles, and random search; and with an advisor.

    python benchmarks/tuning.py [english] [chinese] [advisor] [formula] [--evaluations 100] [--seed 0] [--jobs 2]
                                [--kept FOLDER] [--output FOLDER]

english, chinese  pages of a novel, read by RapidOCR: the front on passages of the search, and again on three times as many
                  others; the chosen style against presets; 100 random styles; and the volume under the front (hypervolume, of
                  the rectangle from nothing to the text's own tokens and 10 % errors) of the search, of the genetic one, and of
                  random search
advisor           English again, with a scripted advisor, half of whose proposals are nonsense
formula           both samplers and random search over five seeds, where errors are a formula (letters and lines, by their
                  pixels), exact and as 600 characters would show them; the hypervolume is that of the exact errors

Random search is the same search with one generation as large as the budget: the presets that every search begins with, and
chance. With ``--kept`` scores are kept, and a run that was stopped goes on where it was; ``--output`` writes plots and pages.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import statistics
import time
from dataclasses import replace
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np

from glyph_integrations import PageStyle, open_document
from glyph_integrations.style import PRESETS
from glyph_integrations.tuning import (
    OcrEvaluator,
    Sample,
    Score,
    StyleSearch,
    Trial,
    choose,
    hypervolume,
    pareto_front,
    plot,
    side_by_side,
)
from glyph_integrations.tuning.style_search import START

CORPORA = Path(os.environ.get("GLYPH_CORPORA", Path(__file__).resolve().parents[2] / "shared" / "corpora"))
TEXTS = {"english": "call_of_the_wild.txt", "chinese": "xiyouji_ch1-20.txt"}
COMPARED = {"english": ("glyph-72", "dense-72", "glyph-96"), "chinese": ("glyph-72", "cjk-72", "glyph-96", "cjk-96")}
POPULATION = 10
WORST = 0.10  # errors of the hypervolume's corner
RANDOM = 100
CONFIRMED = 6


def sample_of(text: str) -> Sample:
    return Sample.of([open_document(CORPORA / "texts" / TEXTS[text])])


def search_of(sample: Sample, args: argparse.Namespace, population: int = POPULATION, **options: Any) -> StyleSearch:
    evaluator = OcrEvaluator(threads=1 if args.jobs > 1 else None)
    return StyleSearch(sample, evaluator, population=population, seed=args.seed, kept=args.kept, jobs=args.jobs, **options)


def run(search: StyleSearch, evaluations: int, name: str) -> list[Trial]:
    began = time.perf_counter()
    trials = list(search.run(evaluations=evaluations))
    seconds = time.perf_counter() - began
    print(f"{name}: {len(trials)} styles in {seconds:.0f} s ({search.stopped}), {len(search.failed)} failed", flush=True)
    for reason, count in search.rejected.most_common():
        print(f"    {count} not drawn: {reason}", flush=True)
    return trials


def row(name: str, trial: Trial) -> None:
    error = f"{100 * trial.error:6.2f} +- {100 * trial.score.standard_error:.2f} %"
    print(f"    {name:16}{trial.tokens:>8.1f} tokens{error:>20}  {trial.origin:8}{trial.style}", flush=True)


def volumes(name: str, trials: list[Trial], most: float, steps: range) -> None:
    cells = "".join(f"{hypervolume(trials[:n], most, WORST):>9.4f}" for n in steps)
    print(f"    {name:16}{cells}", flush=True)


def compare(text: str, args: argparse.Namespace) -> None:
    sample = sample_of(text)
    print(f"\n{text}: {TEXTS[text]}, passages of {sum(p.end - p.start for p in sample.passages)} characters", flush=True)
    search = search_of(sample, args)
    trials = run(search, args.evaluations, "search")
    genetic = run(search_of(sample, args, sampler="nsga2"), args.evaluations, "genetic search (nsga2)")
    by_chance = run(search_of(sample, args, RANDOM + len(START)), RANDOM + len(START), "random search")
    print(f"front, on the passages of the search (no style may cost more than {search.most_tokens:.0f}):")
    for trial in search.front:
        row("", trial)

    front = [trial for trial in search.front if trial.error <= search.front[-1].error + WORST]
    kept = (
        front if len(front) <= CONFIRMED else [front[round(n * (len(front) - 1) / (CONFIRMED - 1))] for n in range(CONFIRMED)]
    )
    best_by_chance = choose([trial for trial in by_chance if trial.origin == "random"])
    named: dict[str, PageStyle] = {name: PRESETS[name] for name in COMPARED[text]}
    if best_by_chance:
        named["best random"] = best_by_chance.style
    styles = [*(trial.style for trial in kept), *named.values()]
    again = list(search.score(styles, sample.others(3 * len(sample.passages))))
    references = dict(zip(named, again[len(kept) :], strict=True))
    best = choose([*again[: len(kept)], *(trial for name, trial in references.items() if name in COMPARED[text])])
    print("read again, on three times as many other passages:")
    for name, trial in [*(("", trial) for trial in again[: len(kept)]), *references.items()]:
        row(f"{name} (chosen)".strip() if trial is best else name, trial)

    chance = [trial for trial in by_chance if trial.origin == "random"]
    print(f"{len(chance)} random styles, on the passages of the search:")
    errors, costs = [trial.error for trial in chance], [trial.tokens for trial in chance]
    for what, values, unit in (("errors", [100 * e for e in errors], "%"), ("tokens", costs, "")):
        low, middle, high = statistics.quantiles(values, n=4)
        print(f"    {what}: median {middle:.2f} {unit}, half of them from {low:.2f} to {high:.2f} {unit}")
    if best:
        searched = next(iter(search.score([best.style])))
        beaten = sum(t.tokens >= searched.tokens and t.error >= searched.error for t in chance)
        better = sum(t.tokens <= searched.tokens and t.error < searched.error for t in chance)
        print(f"    the chosen style is no worse than {beaten} of them in both figures; {better} of them beat it in both")

    steps = range(2 * POPULATION, args.evaluations + 1, 2 * POPULATION)
    print("hypervolume after    " + "".join(f"{n:>9}" for n in steps) + " styles")
    volumes("search", trials, search.most_tokens, steps)
    volumes("genetic search", genetic, search.most_tokens, steps)
    volumes("random search", by_chance, search.most_tokens, steps)
    if args.output:
        args.output.mkdir(parents=True, exist_ok=True)
        plot(trials, references, best, f"{text.capitalize()} novel, {len(trials)} styles, read by RapidOCR").save(
            args.output / f"tuning_{text}.png"
        )
        shown = ({"chosen": best} if best else {}) | {name: references[name] for name in COMPARED[text]}
        captions = {f"{name}\n{t.tokens:.0f} tokens, {100 * t.error:.2f} % errors": t.style for name, t in shown.items()}
        side_by_side(sample, captions, "glyph").save(args.output / f"tuning_{text}_pages.png")
        if best:
            best.style.save(args.output / f"tuning_{text}.json")


def scripted(prompt: str) -> str:
    """Takes the best styles that it is shown a step cheaper, and talks nonsense beside."""
    shown = [json.loads(line) for line in re.findall(r"^error .*?: (\{.*\})$", prompt.partition("Others:")[0], re.M)]
    children = []
    for values in shown[:3]:
        child = dict(values)
        child["leading"] = max(0, child["leading"] - 0.5)
        child["horizontal_scale"] = max(0.8, child["horizontal_scale"] - 0.05)
        child["margin_x"] = 0
        children.append(child)
    nonsense = [{**shown[0], "font_size": 400}, {**shown[0], "sparkle": True}] if shown else []
    return f"Certainly! Here are my styles:\n```json\n{json.dumps([*nonsense, *children])}\n```\nI hope this helps {{}}."


def advised(args: argparse.Namespace) -> None:
    print("\nadvisor: English, a scripted advisor that proposes two impossible styles and up to three real ones each time")
    search = search_of(sample_of("english"), args, advisor=scripted)
    trials = run(search, args.evaluations, "search with advisor")
    print(f"    {search.advice}; failed {search.advice.failed} times")
    for reason, count in search.advice.refused.most_common():
        print(f"    {count} refused: {reason}")
    entered = [trial for trial in trials if trial.origin == "advised"]
    front = pareto_front(trials)
    print(f"    {len(entered)} advised styles were scored, {sum(t in front for t in entered)} of them are on the front")
    steps = range(2 * POPULATION, args.evaluations + 1, 2 * POPULATION)
    print("hypervolume after    " + "".join(f"{n:>9}" for n in steps) + " styles")
    volumes("with advisor", trials, search.most_tokens, steps)
    if args.output:
        plot(trials, title="English novel, with a scripted advisor").save(args.output / "tuning_advisor.png")


class Formula:
    """Errors fall with the pixels of letters and lines. With ``noise``, as many as reading 600 characters might find."""

    blind, in_process = OcrEvaluator.blind, False

    def __init__(self, noise: bool) -> None:
        self.noise, self.name = noise, f"formula, noise {noise}"

    @staticmethod
    def error(style: PageStyle) -> float:
        scale = style.dpi / 72
        height, leading = scale * style.font_size, scale * (style.line_height - style.font_size)
        small = 0.25 * math.exp(1.3 * (5.2 - height)) + 0.1 * math.exp(1.5 * (4.8 - height * style.horizontal_scale))
        looks = 0.01 * (style.levels == 2) + 0.004 * (style.levels == 4) + 0.002 * (style.align == "justify")
        return min(1.0, small + 0.03 * math.exp(7 - height - 1.5 * leading) + looks)

    def evaluate(self, style: PageStyle, sample: Sample) -> Score:
        if not self.noise:
            return Score(self.error(style))
        misread = 2 * np.random.default_rng(crc32(str(style).encode())).poisson(300 * self.error(style))  # they come in pairs
        return Score(min(1.0, misread / 600), math.sqrt(2 * misread) / 600)


def by_formula(args: argparse.Namespace) -> None:
    sample = sample_of("english")
    steps = range(2 * POPULATION, args.evaluations + 1, 2 * POPULATION)
    for noise in (False, True):
        print(f"\nerrors by a formula, {'as 600 characters show them' if noise else 'exact'}; five seeds, mean +- deviation")
        for name in ("tpe", "nsga2", "random"):
            found = []
            for seed in range(5):
                population, sampler = (args.evaluations, "tpe") if name == "random" else (POPULATION, name)
                search = StyleSearch(sample, Formula(noise), population=population, seed=seed, sampler=sampler)
                trials = [replace(t, score=Score(Formula.error(t.style))) for t in search.run(evaluations=args.evaluations)]
                found.append([hypervolume(trials[:n], search.most_tokens, WORST) for n in steps])
            cells = (f"{statistics.mean(at):.3f}+-{statistics.stdev(at):.3f}" for at in zip(*found, strict=True))
            print(f"    {name:8}" + "".join(f"{cell:>14}" for cell in cells), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", nargs="*", metavar="TABLE", help="english, chinese, advisor, formula; default: all")
    parser.add_argument("--evaluations", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--kept", type=Path)
    parser.add_argument("--output", type=Path)
    args = parser.parse_args()
    known = [*TEXTS, "advisor", "formula"]
    if unknown := {*args.tables} - {*known}:
        parser.error(f"unknown table {', '.join(unknown)}; known: {', '.join(known)}")
    for table in args.tables or known:
        if table == "advisor":
            advised(args)
        elif table == "formula":
            by_formula(args)
        else:
            compare(table, args)


if __name__ == "__main__":
    main()
