"""Accesses and promotions by region: heap, stack, files, libraries, anonymous memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pghot.binning.forms import NamedRegionHeat
from pghot.report.page.chart import LABEL_PX, ReportTable, Section, View, bar_colour, base
from pghot.report.page.model import Run
from pghot.report.plain import plain

BARS = 12
"""Regions of a run that are drawn; the table has more."""


def region_section(runs: Sequence[Run]) -> list[Section]:
    """The figure and the table; no section where no result names a region."""
    known = [run for run in runs if run.regions]
    if not known:
        return []
    rows: list[list[Any]] = []
    values: list[dict[str, Any]] = []
    for run in known:
        total = sum(region.accesses for region in run.regions)
        for place, region in enumerate(run.regions):
            share = round(100 * region.accesses / max(total, 1), 1)
            rows.append(_row(run, region, share))
            if place < BARS:
                values.append({"run": run.name, "region": plain(region.name), "v": share})
    words = "Share of the accesses by region."
    table = ReportTable(
        "regions, those with most accesses first",
        ["run", "region", "accesses", "of all accesses, %", "promoted, folios"],
        rows,
    )
    spec = _spec(words, values, [run.name for run in runs])
    return [Section("regions", "By region", [View("regions", words, spec, [table])], [table])]


def _row(run: Run, region: NamedRegionHeat, share: float) -> list[Any]:
    return [run.name, plain(region.name), region.accesses, share, region.promoted]


def _spec(words: str, values: list[dict[str, Any]], names: list[str]) -> dict[str, Any]:
    bars = len({(value["run"], value["region"]) for value in values})
    return base(words, 80 + 24 * bars) | {
        "data": {"values": values},
        "mark": {"type": "bar", "tooltip": True},
        "encoding": {
            "y": {"field": "region", "type": "nominal", "title": None, "sort": "-x",
                  "axis": {"labelLimit": LABEL_PX}},
            "yOffset": {"field": "run", "type": "nominal", "sort": names},
            "x": {"field": "v", "type": "quantitative", "title": "of all accesses, %",
                  "scale": {"domainMin": 0}},
            "color": bar_colour(names, names),
        },
    }  # fmt: skip
