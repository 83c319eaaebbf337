"""Charts over time: accesses served fast, pages promoted and demoted."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import combinations
from math import isfinite

import numpy as np

from pghot.report.page.chart import ReportTable, Section, Spec, View, base, line_scales, time_axis
from pghot.report.page.missing import why
from pghot.report.page.model import Run, Values
from pghot.report.page.words import PAGES_A_MB, percent

WITHOUT = "nothing promoted"
ABOVE = 3
"""A rate limit that is further above the highest column than this is told, not drawn to scale."""

NEAR, MOST = 0.005, 0.5
"""Lines coincide that are so near (share of the highest value) in so many of their columns."""

WIDTH, WIDER = 2, 2
"""Pixels that a line is wide, and by which it is wider for each one above it."""

POINTS = 1600
"""Points of a chart at the most, all its lines together."""


def fast_section(runs: Sequence[Run]) -> Section:
    """The share of accesses served fast."""
    lines: dict[str, tuple[float, Values]] = {}
    names = [run.name for run in runs]
    for run in runs:
        share = run.timeline.share(run.timeline.fast)
        if share is not None:
            lines[run.name] = run.timeline.step_s, share * 100
    lines |= _without(runs)
    words = "; ".join(
        f"{run.name}: {percent(run.share)} over the whole run" for run in runs
        if run.share is not None
    )  # fmt: skip
    views = []
    if lines:
        words = f"Share of accesses served by the top tier, by time. {words}."
        views = [_view("fast", words, lines, "accesses served fast, %", names, domain=[0, 100])]
    return Section("fast", "Accesses served fast", views, lines=why(runs, "fast", lines))


def _without(runs: Sequence[Run]) -> dict[str, tuple[float, Values]]:
    """What would have been fast had nothing been promoted; of several alike, once."""
    found: list[tuple[str, float, Values]] = []
    for run in runs:
        share = run.timeline.share(run.timeline.fast_without)
        step = run.timeline.step_s
        if share is None or any(
            step == other and np.array_equal(share * 100, values, equal_nan=True)
            for _, other, values in found
        ):
            continue
        found.append((run.name, step, share * 100))
    alone = len(found) == 1
    return {
        WITHOUT if alone else f"{name}, {WITHOUT}": (step, values) for name, step, values in found
    }


def moves_section(runs: Sequence[Run]) -> Section:
    """Promotions, with the rate limit, and demotions."""
    views = []
    lines: list[str] = []
    names = [run.name for run in runs]
    for key, verb in (("promotions", "promoted"), ("demotions", "demoted")):
        found = {
            run.name: (run.timeline.step_s, pages / run.timeline.step_s / PAGES_A_MB)
            for run in runs
            if (pages := getattr(run.timeline, verb)) is not None
        }
        if found:
            words = f"Memory {verb}, MB/s, by time. {_peaks(found)}"
            view = _view(key, words, found, f"{verb}, MB/s", names)
            if verb == "promoted":
                lines += _draw_limits(view, runs, found)
            views.append(view)
        lines += why(runs, key, found)
    return Section("moves", "Promotions and demotions", views, lines=lines)


def _draw_limits(
    view: View, runs: Sequence[Run], found: dict[str, tuple[float, Values]]
) -> list[str]:
    """Draw the rate limits that the axis reaches; give a line on each that it does not."""
    peak = max((float(values.max()) for _, values in found.values() if len(values)), default=0.0)
    limits = sorted({run.rate_limit_MBps for run in runs if run.rate_limit_MBps is not None})
    near = [limit for limit in limits if limit <= peak * ABOVE]
    told = []
    for limit in limits:
        label = f"rate limit {limit:,} MB/s"
        reach = limit in near
        view.spec["layer"] += _limit(label if reach else f"↑ {label}, far above", limit, reach)
        if not reach:
            told.append(f"The rate limit, {limit:,} MB/s, is far above this axis.")
    return told


def _limit(label: str, limit: int, reach: bool) -> list[Spec]:
    """The rule of a limit and its words; above the upper edge where the axis ends before."""
    data = {"values": [{"limit": limit}]}
    y: Spec = {"field": "limit", "type": "quantitative"} if reach else {"value": 0}
    mark: Spec = {"color": "var(--limit)"}
    text = {
        "data": data,
        "mark": mark | {
            "type": "text", "text": label, "align": "right",
            "baseline": "top" if reach else "bottom", "dx": -6, "dy": 4 if reach else -4,
        },
        "encoding": {"y": y, "x": {"value": "width"}},
    }  # fmt: skip
    rule = {
        "data": data,
        "mark": mark | {"type": "rule", "strokeDash": [8, 4], "strokeWidth": 2},
        "encoding": {"y": y},
    }
    return [rule, text] if reach else [text]


def _view(
    name: str,
    words: str,
    lines: dict[str, tuple[float, Values]],
    title: str,
    order: Sequence[str],
    domain: list[int] | None = None,
) -> View:
    lines = _thinned(lines)
    words = f"{words} {alike(lines)}".strip()
    points = sum(len(column) for _, column in lines.values())
    scale: Spec = {"domain": domain} if domain else {"domainMin": 0, "nice": True}
    encoding = {
        "x": time_axis(),
        "y": {"field": "v", "type": "quantitative", "title": title, "scale": scale},
        **line_scales(list(lines), order),
        **widths(lines),
        "tooltip": [
            {"field": "run", "type": "nominal", "title": "run"},
            {"field": "t", "type": "quantitative", "title": "time, s", "format": ",.2f"},
            {"field": "v", "type": "quantitative", "title": title, "format": ",.2f"},
        ],
    }
    spec = base(words) | {
        "data": {"values": []},
        "layer": [
            {
                "mark": {"type": "line", "interpolate": "linear",
                         "point": {"size": 14, "filled": True} if points < 80 else False},
                "encoding": encoding,
            }
        ],
    }  # fmt: skip
    known = {run: (step, _rounded(values)) for run, (step, values) in lines.items()}
    return View(name, words, spec, _tables(lines, title), lines=known)


def widths(lines: dict[str, tuple[float, Values]]) -> Spec:
    """Draw a line wider for each one above it that coincides with it: so that it shows.

    For a mark without a width of its own, which Vega-Lite would go by instead.
    """
    below = [one for one, _other in _pairs(lines)]
    # A scale of its own would share the legend of the colours, which has another say in it.
    each = [
        {"test": f"datum.run === {json.dumps(run)}", "value": WIDTH + WIDER * below.count(run)}
        for run in dict.fromkeys(below)
    ]
    return {"strokeWidth": {"condition": each, "value": WIDTH} if each else {"value": WIDTH}}


def alike(lines: dict[str, tuple[float, Values]]) -> str:
    """Which lines coincide over most of their columns."""
    pairs = [f"{one} and {other}" for one, other in _pairs(lines)]
    if not pairs:
        return ""
    more = f", and {len(pairs) - 3} more pairs" if len(pairs) > 3 else ""
    return f"Lines that coincide, the wider one below: {'; '.join(pairs[:3])}{more}."


def _pairs(lines: dict[str, tuple[float, Values]]) -> list[tuple[str, str]]:
    """Lines that coincide, the one that is drawn first before the other."""
    return [
        (one, other)
        for (one, (step, values)), (other, (same, others)) in combinations(lines.items(), 2)
        if step == same and len(values) == len(others) and _coincide(values, others)
    ]


def _coincide(values: Values, others: Values) -> bool:
    top = max(float(np.nanmax(np.append(np.abs(values), 0.0))), 1e-9)
    return bool(np.mean(np.abs(values - others) <= NEAR * top) > MOST)


def _rounded(values: Values) -> list[float | None]:
    """Values of five digits; None where nothing happened."""
    return [float(f"{value:.5g}") if isfinite(value) else None for value in values.tolist()]


def _thinned(lines: dict[str, tuple[float, Values]]) -> dict[str, tuple[float, Values]]:
    """Wider columns where the lines together have too many: the mean of what is known."""
    most = max(POINTS // max(len(lines), 1), 20)
    found = {}
    for name, (step, values) in lines.items():
        group = max(-(-len(values) // most), 1)
        if group > 1:
            starts = np.arange(0, len(values), group)
            known = np.add.reduceat(np.isfinite(values).astype(float), starts)
            total = np.add.reduceat(np.nan_to_num(values), starts)
            with np.errstate(divide="ignore", invalid="ignore"):
                values = np.where(known > 0, total / known, np.nan)  # noqa: PLW2901
        found[name] = step * group, values
    return found


def _tables(lines: dict[str, tuple[float, Values]], title: str) -> list[ReportTable]:
    """One table where all lines have the same columns of time, else one each."""
    if len({(step, len(values)) for step, values in lines.values()}) == 1:
        step = next(step for step, _ in lines.values())
        columns = [values.tolist() for _, values in lines.values()]
        rows = [[step * (at + 1), *cells] for at, cells in enumerate(zip(*columns, strict=True))]
        return [ReportTable(title, ["until, s", *lines], rows)]
    return [
        ReportTable(
            f"{title}: {name}",
            ["until, s", title],
            [[step * (at + 1), value] for at, value in enumerate(values.tolist())],
        )
        for name, (step, values) in lines.items()
    ]


def _peaks(found: dict[str, tuple[float, Values]]) -> str:
    return f"{'; '.join(_peak(name, step, values) for name, (step, values) in found.items())}."


def _peak(name: str, step: float, values: Values) -> str:
    if not len(values) or values.max() <= 0:
        return f"{name}: none"
    at = step * (int(values.argmax()) + 0.5)
    return f"{name}: at most {values.max():,.1f} MB/s, at {at:,.1f} s"
