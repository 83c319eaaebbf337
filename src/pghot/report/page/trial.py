"""A trial's section: its answer, its measures with their intervals, and its blocks by time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pghot.report.helps import SHORT, figure, trial_lines
from pghot.report.page.chart import Cell, ReportTable, Section, View, bar_colour, base, time_axis
from pghot.report.page.model import Run


def trial_section(runs: Sequence[Run]) -> Section | None:
    """The trials of runs; None where none has one."""
    tried = [(run.name, run.trial) for run in runs if run.trial is not None]
    if not tried:
        return None
    several = len(runs) > 1
    views, tables, lines = [], [], []
    for name, trial in tried:
        of = f"{name}: " if several else ""
        lines += [f"{of}{line}" for line in trial_lines(trial)]
        tables.append(_measures(f"{of}trial, {trial['pairs_complete']} pairs", trial))
        views += [_view(f"{of}{SHORT[measure]}", measure, trial) for measure in trial["measures"]]
    return Section("trial", "Does it help? A trial", views, tables, lines, choice=len(views) > 1)


def _measures(caption: str, trial: dict[str, Any]) -> ReportTable:
    heads = ["measure", *trial["arms"], "difference", "from", "to", "confidence", "verdict"]
    return ReportTable(
        caption, heads, [_row(name, found) for name, found in trial["measures"].items()]
    )


def _row(measure: str, found: dict[str, Any]) -> list[Cell]:
    values = [*found["means"], found["difference"], *(found["interval"] or (None, None))]
    confidence = found["confidence"]
    return [
        SHORT[measure],
        *(None if value is None else figure(measure, value) for value in values),
        None if confidence is None else f"{confidence:.1%}",
        found["verdict"],
    ]


def _view(name: str, measure: str, trial: dict[str, Any]) -> View:
    arms = list(trial["arms"])
    scale = 1 if measure == "metric" else 100
    unit = SHORT[measure] if measure == "metric" else f"{SHORT[measure]}, %"
    rows = [
        {
            "run": arms[block["arm"]],
            "t": block["measured_s"],
            "t2": block["end_s"],
            "v": block["values"][measure] * scale,
        }
        for block in trial["blocks"]
        if not block["why"] and measure in block["values"]
    ]
    words = (
        f"{unit.capitalize()} of each block that counts, by time, its warm-up left out; the order "
        f"within pairs is by seed {trial['seed']}."
    )
    spec = base(words) | {
        "data": {"values": rows},
        "mark": {"type": "rule", "strokeWidth": 5, "tooltip": True},
        "encoding": {
            "x": time_axis(),
            "x2": {"field": "t2"},
            "y": {"field": "v", "type": "quantitative", "title": unit, "scale": {"zero": False}},
            "color": bar_colour(arms, arms),
        },
    }
    cells: list[list[Cell]] = [[row["run"], row["t"], row["t2"], row["v"]] for row in rows]
    return View(
        name, words, spec, [ReportTable(words, ["block", "from, s", "until, s", unit], cells)]
    )
