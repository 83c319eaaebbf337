"""The distribution of heat: records by frequency, and where the threshold cuts them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pghot.report.page.chart import COUNT_AXIS, ReportTable, Section, Spec, View, bar_colour, base
from pghot.report.page.missing import why
from pghot.report.page.model import Run
from pghot.report.page.words import percent


def heat_section(runs: Sequence[Run]) -> Section:
    """The records by frequency, and where the threshold cuts them."""
    shown = {run.name: run for run in runs if any((run.frequency or [])[1:])}
    values: list[dict[str, Any]] = []
    width = 0.8 / max(len(shown), 1)
    for place, run in enumerate(shown.values()):
        for freq, count in enumerate(run.frequency or []):
            if freq:
                left = freq - 0.4 + place * width
                values.append(
                    {"x": left, "x2": left + width, "n": count, "run": run.name, "f": freq}
                )
    lines = why(runs, "heat", {run.name for run in runs if run.frequency is not None})
    lines += [
        f"{run.name}: no record is left, so there is no distribution."
        for run in runs
        if run.frequency is not None and run.name not in shown
    ]
    if not shown:
        return Section("heat", "Distribution of heat", lines=lines)
    lines.append(
        "Records at the end of the run. A page that was promoted has none any more: these are "
        "the pages that stayed."
    )
    words = "Records by the number of accesses they count (frequency). " + " ".join(
        _cut(run) for run in shown.values()
    )
    most = max(len(run.frequency or []) for run in shown.values()) - 1
    colour = bar_colour(list(shown), [run.name for run in runs])
    spec = base(words) | {"layer": [_frequency_bars(values, colour, most)]}
    for threshold in sorted({run.threshold for run in shown.values() if run.threshold}):
        spec["layer"] += _threshold(threshold)
    rows = [
        [freq, *(_at(run.frequency, freq) for run in shown.values())]
        for freq in range(1, most + 1)
    ]
    table = ReportTable("records by frequency", ["frequency", *shown], rows)
    view = View("heat", words, spec, [table])
    return Section("heat", "Distribution of heat", [view], lines=lines)


def _frequency_bars(values: list[dict[str, Any]], colour: Spec, most: int) -> Spec:
    return {
        "data": {"values": values},
        "mark": {"type": "rect", "tooltip": False},
        "encoding": {
            "x": {"field": "x", "type": "quantitative", "title": "frequency of the record",
                  "scale": {"domain": [0.5, most + 0.5], "nice": False},
                  "axis": {"values": list(range(1, most + 1)), "format": "d", "grid": False}},
            "x2": {"field": "x2"},
            "y": {"field": "n", "type": "quantitative", "title": "records",
                  "axis": COUNT_AXIS, "scale": {"domainMin": 0}},
            "y2": {"datum": 0},
            "color": colour,
            "tooltip": [
                {"field": "run", "type": "nominal"},
                {"field": "f", "type": "quantitative", "title": "frequency"},
                {"field": "n", "type": "quantitative", "title": "records", "format": ","},
            ],
        },
    }  # fmt: skip


def _threshold(threshold: int) -> list[Spec]:
    data = {"values": [{"cut": threshold - 0.5}]}
    x = {"field": "cut", "type": "quantitative"}
    mark = {"color": "var(--limit)"}
    return [
        {"data": data, "encoding": {"x": x},
         "mark": mark | {"type": "rule", "strokeDash": [8, 4], "strokeWidth": 2}},
        {"data": data, "encoding": {"x": x, "y": {"value": 0}},
         "mark": mark | {"type": "text", "text": f"freq_threshold {threshold}: ready from here →",
                         "align": "left", "baseline": "top", "dx": 6, "dy": 4}},
    ]  # fmt: skip


def _cut(run: Run) -> str:
    counts = run.frequency or []
    total = sum(counts[1:])
    if not run.threshold:
        return f"{run.name}: {total:,} records."
    ready = sum(counts[run.threshold :])
    return (
        f"{run.name}: of {total:,} records {ready:,} ({percent(ready / total)}) reach "
        f"freq_threshold {run.threshold}."
    )


def _at(counts: list[int] | None, place: int) -> int:
    return counts[place] if counts and place < len(counts) else 0
