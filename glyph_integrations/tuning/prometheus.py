"""Counters of a `QualityMonitor` in Prometheus' text format: https://prometheus.io/docs/instrumenting/exposition_formats/"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from .tally import BUCKETS, Counts, Tally

_PAGES = {
    "seen": "Pages sent to a model as images.",
    "sampled": "Of these, pages chosen to be read back.",
    "dropped": "Of the sampled ones, pages not read because too many were waiting.",
    "skipped": "Of the sampled ones, pages that the engine cannot read: pictures from files, unknown scripts.",
    "failed": "Of the sampled ones, pages at which the engine failed.",
}
_READ = {
    "pages": ("pages_read", "Pages read back."),
    "lines": ("lines_read", "Lines read back."),
    "characters": ("characters_read", "Characters drawn on these lines."),
    "errors": ("character_errors", "Characters to replace, add or drop in what was read of them."),
    "unread": ("lines_unread", "Lines of which nothing was read."),
    "misread": ("pages_misread", "Pages with more errors than the monitor warns of."),
}


def exposition(counts: Counts, tallies: Mapping[tuple[str, int], Tally]) -> str:
    """The counters as text, one sample a line."""
    lines: list[str] = []
    for name, told in _PAGES.items():
        lines += _family(f"glyph_pages_{name}_total", "counter", told, [("", getattr(counts, name))])
    labelled = [(f'style="{_escaped(style)}",dpi="{dpi}"', tally) for (style, dpi), tally in sorted(tallies.items())]
    for attribute, (name, told) in _READ.items():
        samples = [(f"{{{labels}}}", getattr(tally, attribute)) for labels, tally in labelled]
        lines += _family(f"glyph_{name}_total", "counter", told, samples)
    name = "glyph_page_error_rate"
    lines += _family(name, "histogram", "Characters misread for each one drawn, by page.", [])
    for labels, tally in labelled:
        lines += [f'{name}_bucket{{{labels},le="{bound}"}} {n}' for bound, n in zip(BUCKETS, tally.buckets, strict=True)]
        lines.append(f'{name}_bucket{{{labels},le="+Inf"}} {tally.pages}')
        lines += [f"{name}_sum{{{labels}}} {tally.error_rates!r}", f"{name}_count{{{labels}}} {tally.pages}"]
    return "\n".join(lines) + "\n"


def _family(name: str, kind: str, told: str, samples: Iterable[tuple[str, int]]) -> list[str]:
    return [f"# HELP {name} {told}", f"# TYPE {name} {kind}", *(f"{name}{labels} {value}" for labels, value in samples)]


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
