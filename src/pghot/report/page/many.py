"""Many runs: a row each, and a small chart each; their lines in one nobody tells apart."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import Any

from pghot.report.page.chart import LABEL_PX, ReportTable, Section, Spec, View, base
from pghot.report.page.model import Run
from pghot.report.page.words import OLD, percent

LINES = 16
"""Runs of one chart at the most."""

POINTS = 24
"""Points of a small chart at the most."""

ACROSS, WIDTH_PX = 4, 170
"""Small charts beside each other, and how wide one is."""

SHORT = 28
"""Characters of a name above a small chart; where one is longer, charts are twice as wide."""


def many_section(runs: Sequence[Run]) -> Section:
    """The table, and the share of accesses served fast over time, a chart a run."""
    timed = all(run.run_s is not None for run in runs)
    order = sorted(runs, key=_rank(timed=timed))
    heads = ["run", "run time, s" if timed else "time, s", "verdict", "served fast",
             "second half", "by first touch", "promoted, pages", "refused"]  # fmt: skip
    table = ReportTable("runs, the best first", heads, [_row(run) for run in order])
    values = [row for run in order for row in _points(run)]
    words = "Share of accesses served fast, by time, a chart for each run; the best first."
    views = [View("many", words, _spec(words, values, order), [table])] if values else []
    return Section("many", "All runs", views, [table])


def _rank(*, timed: bool) -> Any:
    if timed:
        return lambda run: run.run_s
    return lambda run: -(run.share or 0.0)


def _row(run: Run) -> list[Any]:
    first_touch = run.baselines.get("first_touch", (None, None))[0]
    return [
        run.name,
        round(run.run_s if run.run_s is not None else run.elapsed_s, 3),
        (run.time or OLD)["verdict"],
        *(None if s is None else percent(s) for s in (run.share, run.steady_share, first_touch)),
        run.promoted,
        None if run.refused is None else sum(run.refused.values()),
    ]


def _points(run: Run) -> list[dict[str, Any]]:
    share = run.timeline.share(run.timeline.fast)
    if share is None:
        return []
    step_s = run.timeline.step_s
    every = max(-(-len(share) // POINTS), 1)
    return [
        {
            "run": run.name,
            "t": round(step_s * (at + 1), 3),
            "v": round(value * 100, 1),
        }
        for at, value in enumerate(share.tolist())
        if at % every == 0 and isfinite(value)
    ]


def _spec(words: str, values: list[dict[str, Any]], order: Sequence[Run]) -> Spec:
    spec = base(words)
    wide = 1 + any(len(run.name) > SHORT for run in order)
    for name in ("width", "height", "autosize"):
        del spec[name]
    return spec | {
        "data": {"values": values},
        "facet": {"field": "run", "type": "nominal", "title": None,
                  "sort": [run.name for run in order],
                  "header": {"labelLimit": LABEL_PX, "labelColor": "var(--fg)"}},
        "columns": ACROSS // wide,
        "spec": {
            "width": WIDTH_PX * wide + (wide - 1) * 50, "height": 70,
            "mark": {"type": "line", "strokeWidth": 2, "color": "var(--s0)"},
            "encoding": {
                "x": {"field": "t", "type": "quantitative", "title": None},
                "y": {"field": "v", "type": "quantitative", "title": None,
                      "scale": {"domain": [0, 100]}, "axis": {"tickCount": 2}},
            },
        },
    }  # fmt: skip
