"""Batches: how large they were, and how long they took."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, log2
from typing import Any

from pghot.binning.forms import Histogram
from pghot.report.page.chart import COUNT_AXIS, Cell, ReportTable, Section, View, bar_colour, base
from pghot.report.page.missing import why
from pghot.report.page.model import Run


def batch_section(runs: Sequence[Run]) -> Section:
    """Batch sizes and latencies."""
    views = []
    lines = []
    for key, title, unit, least, known in (
        ("batches", "folios a batch", "folios", 1.0, [run.batches for run in runs]),
        ("latencies", "time of a batch", "ms", 1e-3, [run.latency_ms for run in runs]),
    ):
        found = {
            run.name: _coarse(histogram, least)
            for run, histogram in zip(runs, known, strict=True)
            if histogram is not None and any(histogram.counts)
        }
        if found:
            views.append(_histogram(key, title, unit, found, [run.name for run in runs]))
        lines += why(runs, key, found)
    return Section("batches", "Batches", views, lines=lines)


def _histogram(
    key: str, title: str, unit: str, found: dict[str, Histogram], order: Sequence[str]
) -> View:
    bounds = sorted({bound for histogram in found.values() for bound in histogram.upto})
    labels = {bound: _bound(bound, unit) for bound in bounds}
    values: list[dict[str, Any]] = [
        {"run": name, "upto": labels[bound], "n": count}
        for name, histogram in found.items()
        for bound, count in zip(histogram.upto, histogram.counts, strict=True)
    ]
    words = f"{title.capitalize()}: " + "; ".join(
        f"{name}: {sum(h.counts):,}, half up to {_bound(_half(h), unit)[2:]}"
        for name, h in found.items()
    )
    named = title if unit in title else f"{title}, {unit}"
    spec = base(words + ".") | {
        "data": {"values": values},
        "mark": {"type": "bar", "tooltip": True},
        "encoding": {
            "x": {"field": "upto", "type": "ordinal", "title": named,
                  "sort": [labels[bound] for bound in bounds],
                  "axis": {"labelAngle": 0, "labelOverlap": "greedy"}},
            "xOffset": {"field": "run", "type": "nominal", "sort": list(found)},
            "y": {"field": "n", "type": "quantitative", "title": "batches",
                  "axis": COUNT_AXIS},
            "color": bar_colour(list(found), order),
        },
    }  # fmt: skip
    if key == "latencies":
        spec["encoding"]["y"]["title"] = "calls, or passes"
    rows: list[list[Cell]] = [[row["run"], row["upto"], row["n"]] for row in values if row["n"]]
    return View(key, words + ".", spec, [ReportTable(title, ["run", unit, "count"], rows)])


def _coarse(histogram: Histogram, least: float) -> Histogram:
    """A histogram by powers of two of its least value (1 folio, 1 us)."""
    counts: dict[int, int] = {}
    for bound, count in zip(histogram.upto, histogram.counts, strict=True):
        exponent = max(ceil(log2(max(bound, least) / least) - 1e-9), 0)
        counts[exponent] = counts.get(exponent, 0) + count
    exponents = range(min(counts), max(counts) + 1)
    return Histogram(
        upto=[least * 2.0**exponent for exponent in exponents],
        counts=[counts.get(exponent, 0) for exponent in exponents],
    )


def _half(histogram: Histogram) -> float:
    left = sum(histogram.counts) / 2
    for bound, count in zip(histogram.upto, histogram.counts, strict=True):
        left -= count
        if left <= 0:
            return bound
    return histogram.upto[-1]


def _bound(bound: float, unit: str) -> str:
    if unit == "ms" and bound < 1:
        return f"≤ {bound:.2g}"
    return f"≤ {bound:,.0f}"
