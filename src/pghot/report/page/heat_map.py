"""The heat map: accesses by address and time."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import msgspec
import numpy as np
import numpy.typing as npt

from pghot.binning.forms import BINNED, HeatMap
from pghot.engine.units import PAGE_SHIFT, USEC_PER_SEC
from pghot.report.page.chart import ReportTable, Section, Spec, View, base
from pghot.report.page.missing import why
from pghot.report.page.model import Run
from pghot.report.page.words import percent
from pghot.report.plain import plain
from pghot.report.sizes import size

CELLS = 40_000
"""Cells of all maps of a report at the most; columns are joined, then maps left out, for it."""

FEWEST = 32
"""Columns that a map keeps however many maps there are."""

SOLID = 0.95
"""Share of a map's cells of which one shade makes it a solid block."""

FEW_CELLS = 64
"""A map of fewer cells is read cell by cell."""

DIGITS = 10_000
SHADES = 7
CLOSE = 4
"""Times that the hottest cell may have of a cool one and both count as about as hot."""

TABLE = 12
"""Rows and columns of the table of a map at the most."""

_UNITS = ((1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"))


def map_section(runs: Sequence[Run]) -> Section:
    """The maps of all runs, the hottest part of each place before the whole.

    Runs that promoted something come before those that did not.
    """
    order = sorted(runs, key=lambda run: not run.promoted)
    known = [(run, heat) for run in order for heat in run.heat]
    shown = [(run, heat) for run, heat in known if not _solid(heat)]
    maps = _fitting(shown)
    lines = why(runs, "map", {run.name for run in runs if run.heat})
    if alike := len(known) - len(shown):
        lines.append(f"{alike} maps are left out: all of what they show was accessed alike.")
    if left := len(shown) - len(maps):
        lines.append(f"{left} more maps are in {BINNED} of the results.")
    views = [_view(run, heat, several=len(runs) > 1) for run, heat in maps]
    return Section(
        "map", "Accesses by address and time", views, lines=lines, choice=True, zoom=bool(views)
    )


def _solid(heat: HeatMap) -> bool:
    """Whether a map would be one block of one shade."""
    table = np.array(heat.counts, np.float64)
    if len(table) < FEW_CELLS or not table.any():
        return False
    shades = np.bincount(np.searchsorted(_bounds(table), table[table > 0], side="right"))
    return bool(shades.max() >= SOLID * len(table))


def _fitting(maps: list[tuple[Run, HeatMap]]) -> list[tuple[Run, HeatMap]]:
    """Maps of which all together have no more than CELLS."""
    while sum(heat.rows * heat.columns for _, heat in maps) > CELLS:
        if all(heat.columns <= FEWEST for _, heat in maps):
            maps = maps[:-1]
        else:
            maps = [(run, _joined(heat)) for run, heat in maps]
    return maps


def _joined(heat: HeatMap) -> HeatMap:
    """The map with two columns made one, unless it has few."""
    if heat.columns <= FEWEST:
        return heat
    table = np.array(heat.counts, np.int64).reshape(heat.rows, heat.columns)
    table = np.add.reduceat(table, np.arange(0, heat.columns, 2), axis=1)
    return msgspec.structs.replace(
        heat,
        columns=table.shape[1],
        step_us=heat.step_us * 2,
        counts=table.ravel().tolist(),
    )


def _view(run: Run, heat: HeatMap, *, several: bool) -> View:
    table = np.array(heat.counts, np.float64).reshape(heat.rows, heat.columns)
    origin, unit, scale = _axis(heat)
    row_bytes = heat.pages_a_row << PAGE_SHIFT
    step_s = heat.step_us / USEC_PER_SEC
    name = f"{heat.place}, {heat.part}{' part' if heat.part == 'hottest' else ''}"
    name = f"{run.name}: {name}" if several else name
    mapped = f" Mapped there: {', '.join(map(plain, heat.regions))}." if heat.regions else ""
    at = int(table.sum(axis=1).argmax())
    words = (
        f"Accesses to {name}, {size(heat.rows * heat.pages_a_row)} from {origin} on, with "
        f"{percent(heat.share)} of the accesses to {heat.place}. A row is "
        f"{size(heat.pages_a_row)}, a column {step_s:g} s. The hottest row starts at "
        f"{at * row_bytes / scale:,.6g} {unit} and has "
        f"{percent(float(table[at].sum() / table.sum()))} of the accesses shown.{mapped}"
    )
    bounds = _bounds(table)
    scale_n = _unit_of_counts(float(table.max()))
    rows = {
        "rows": heat.rows, "columns": heat.columns, "dt": step_s, "da": row_bytes / scale,
        "unit": scale_n, "counts": np.rint(table.ravel() / scale_n).astype(int).tolist(),
        "bounds": bounds, "labels": _labels(bounds),
    }  # fmt: skip
    title = f"{unit} above {origin}"
    spec = _spec(words, title, unit, bounds, heat)
    return View(name, words, spec, [_table(table, heat, title)], rows)


def _spec(words: str, title: str, unit: str, bounds: list[int], heat: HeatMap) -> Spec:
    shades = [f"var(--h{number})" for number in _shades(len(bounds) + 1)]
    step_s = heat.step_us / USEC_PER_SEC
    color = {
        "field": "k", "type": "ordinal",
        "scale": {"domain": _labels(bounds), "range": shades},
        "legend": {
            "title": f"accesses to {size(heat.pages_a_row)} in {step_s:g} s",
            "orient": "top", "symbolType": "square", "symbolSize": 180, "titleLimit": 400,
        },
    }  # fmt: skip
    scale_bytes = next(factor for factor, name in (*_UNITS, (1, "B")) if name == unit)
    height = heat.rows * (heat.pages_a_row << PAGE_SHIFT) / scale_bytes
    encoding = {
        "x": {"field": "t", "type": "quantitative", "title": "time, s",
              "scale": {"domain": [0, heat.columns * step_s], "nice": False}},
        "x2": {"field": "t2"},
        "y": {"field": "a", "type": "quantitative", "title": title,
              "scale": {"domain": [0, height], "nice": False, "zero": False}},
        "y2": {"field": "a2"},
        "color": color,
        "tooltip": [
            {"field": "t", "type": "quantitative", "title": "from, s", "format": ",.2f"},
            {"field": "t2", "type": "quantitative", "title": "to, s", "format": ",.2f"},
            {"field": "a", "type": "quantitative", "title": f"from, {unit}", "format": ",.6~g"},
            {"field": "a2", "type": "quantitative", "title": f"to, {unit}", "format": ",.6~g"},
            {"field": "n", "type": "quantitative", "title": "accesses", "format": ","},
        ],
    }  # fmt: skip
    return base(words, 460) | {
        "data": {"name": "cells"},
        "params": [
            {
                "name": "zoom", "bind": "scales",
                "select": {"type": "interval", "zoom": "wheel![event.shiftKey]"},
            }
        ],
        "mark": {"type": "rect", "clip": True, "strokeWidth": 0},
        "encoding": encoding,
    }  # fmt: skip


def _axis(heat: HeatMap) -> tuple[str, str, int]:
    """What addresses count from, their unit, and its bytes."""
    span = heat.rows * heat.pages_a_row << PAGE_SHIFT
    scale, unit = next(((factor, name) for factor, name in _UNITS if span >= factor * 2), (1, "B"))
    if heat.unit == "PFN":
        origin = f"PFN {heat.first:#x}"
    elif heat.unit == "virtual page":
        origin = f"address {heat.first << PAGE_SHIFT:#x}"
    else:
        origin = f"page {heat.first:,} of the region"
    return origin, unit, scale


def _bounds(table: npt.NDArray[np.float64]) -> list[int]:
    """The counts that shades begin with, the lightest but for what is below all.

    Evenly spread from few accesses to many: by their logarithm, or as they are where all
    cells are about as hot.
    """
    some = table[table > 0]
    most, few = float(some.max()), float(np.quantile(some, 0.05))
    space = np.linspace if few * CLOSE > most else np.geomspace
    bounds = (_rounded(bound) for bound in space(few, most, SHADES + 1)[1:-1].tolist())
    return sorted({bound for bound in bounds if 1 < bound <= most}) or [max(round(most), 1)]


def _unit_of_counts(most: float) -> int:
    """The power of ten that counts are written in: four digits, so that a map is small."""
    unit = 1
    while most >= unit * DIGITS:
        unit *= 10
    return unit


def _rounded(bound: float) -> int:
    """Two digits of a count."""
    return int(float(f"{bound:.1e}"))


def _labels(bounds: Sequence[int]) -> list[str]:
    """From where to where a shade goes."""
    between = [
        f"{low:,}" if high - low == 1 else f"{low:,} to {high - 1:,}"
        for low, high in pairwise(bounds)
    ]
    return [f"under {bounds[0]:,}", *between, f"{bounds[-1]:,} and more"]


def _shades(count: int) -> list[int]:
    return [round(at) for at in np.linspace(0, SHADES - 1, count).tolist()]


def _table(table: npt.NDArray[np.float64], heat: HeatMap, title: str) -> ReportTable:
    """The map in coarser cells."""
    rows, columns = (-(-length // TABLE) for length in table.shape)
    coarse = np.add.reduceat(table, np.arange(0, heat.rows, rows), axis=0)
    coarse = np.add.reduceat(coarse, np.arange(0, heat.columns, columns), axis=1)
    _origin, _unit, scale = _axis(heat)
    da = rows * (heat.pages_a_row << PAGE_SHIFT) / scale
    step_s = heat.step_us * columns / USEC_PER_SEC
    heads = [f"from, {title}"]
    heads += [f"until {step_s * (at + 1):,.1f} s" for at in range(coarse.shape[1])]
    cells = [[at * da, *map(round, row)] for at, row in enumerate(coarse.tolist())]
    return ReportTable("accesses, in larger cells", heads, cells)
