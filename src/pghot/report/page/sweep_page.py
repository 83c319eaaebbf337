"""The report of a sweep: curves by size, heat maps of two settings, the Pareto front."""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from pghot.errors import InputError
from pghot.exploring.pareto import FAST_SHARE, MOVES, RUN_S, front
from pghot.files.bounded import bounded_memory, check_table
from pghot.files.parquet_pages import check_pages
from pghot.report.page.chart import ReportTable, Section, View, bar_colour, base, line_scales
from pghot.report.page.over_time import alike, widths
from pghot.report.page.page import Content
from pghot.report.plain import plain
from pghot.report.sizes import size

SET = "set."
COLUMNS = ("point", "input", "policy", "fast_pages", "seed", "error", RUN_S, FAST_SHARE, MOVES)
TIMES = {RUN_S, FAST_SHARE}
MAPS = 6
"""Heat maps of an input at the most."""

LINES = 16
PAGES_A_MIB = 256

Row = dict[str, Any]


def sweep_content(path: Path) -> Content:
    """Read `sweep.parquet`; InputError where it is none."""
    rows = _read(path)
    good = [row for row in rows if row["error"] is None and row["figures"].keys() & TIMES]
    failed = sum(row["error"] is not None for row in rows)
    summary = [f"{len(rows):,} points, {failed:,} failed."]
    sections = [_front_section(rows)]
    for number, name in enumerate(dict.fromkeys(row["input"] for row in good)):
        own = [row for row in good if row["input"] == name]
        sections.append(_size_section(number, name, own))
        sections.append(_map_section(number, name, own))
    if failed:
        sections.append(_failed_section(rows))
    return Content(f"sweep of {len(rows):,} points", summary, sections)


def _read(path: Path) -> list[Row]:
    try:
        with bounded_memory(path), pa.OSFile(os.fsencode(path), "rb") as stream:
            file = pa.parquet.ParquetFile(stream)
            check_table(path, file.metadata, rows=1 << 17)
            known = file.schema_arrow.names
            names = [n for n in known if n in COLUMNS or n.startswith(SET)]
            check_pages(path, stream, file.metadata, names)
            table = file.read(columns=names, use_threads=False)
        rows: list[Row] = table.to_pylist()
    except (OSError, pa.ArrowException, ValueError, KeyError) as error:
        raise InputError(
            f"{path}: not what pghot writes: {' '.join(str(error).split())}"
        ) from error
    if not rows or not {"point", "input", "policy", "error", MOVES} <= rows[0].keys():
        raise InputError(f"{path}: not what pghot writes: it has not the columns of a sweep")
    return [_row(row) for row in rows]


def _row(row: Row) -> Row:
    """A row as `exploring.pareto` takes it."""
    figures = {name: row[name] for name in (RUN_S, FAST_SHARE, MOVES) if row.get(name) is not None}
    settings = {
        n.removeprefix(SET): row[n] for n in row if n.startswith(SET) and row[n] is not None
    }
    fast, seed = row.get("fast_pages"), row.get("seed")
    error = row["error"] if row["error"] is not None or MOVES in figures else "no figures"
    return {
        "point": row["point"], "input": plain(row["input"]), "policy": plain(row["policy"]),
        "fast_pages": fast, "seed": seed, "error": error, "settings": settings,
        "figures": figures,
    }  # fmt: skip


def _figure(rows: Sequence[Row]) -> tuple[str, str, float]:
    """What is drawn: the run time where there is one, else the share; and its factor."""
    if all(RUN_S in row["figures"] for row in rows):
        return RUN_S, "run time, s", 1.0
    return FAST_SHARE, "accesses served fast, %", 100.0


def _series(row: Row) -> str:
    words = [row["policy"], *(f"{name}={text}" for name, text in row["settings"].items())]
    return " ".join([*words, *([f"seed {row['seed']}"] if row["seed"] is not None else [])])


def _size_section(number: int, name: str, rows: Sequence[Row]) -> Section:
    """The figure by size of fast memory, a line a policy with its settings."""
    key, title = f"sizes{number}", f"By fast memory: {Path(name).name}"
    sized = [row for row in rows if row["fast_pages"] is not None]
    figure, label, factor = _figure(rows)
    if len({row["fast_pages"] for row in sized}) < 2:
        return Section(key, title, lines=["The sweep has one size of fast memory."])
    names = list(dict.fromkeys(map(_series, sized)))
    shown = names[:LINES]
    values = [
        {"run": _series(row), "x": row["fast_pages"] / PAGES_A_MIB,
         "v": factor * row["figures"][figure]}
        for row in sized if _series(row) in shown
    ]  # fmt: skip
    words = f"{label.capitalize()}, by size of fast memory"
    words += "." if len(names) == len(shown) else f"; {len(names) - LINES} lines are left out."
    drawn = {name: (1.0, np.array([v["v"] for v in values if v["run"] == name])) for name in shown}
    words = f"{words} {alike(drawn)}".strip()
    spec = base(words) | {
        "data": {"values": values},
        "mark": {"type": "line", "point": True, "tooltip": True},
        "encoding": {
            "x": {"field": "x", "type": "quantitative", "title": "fast memory, MiB"},
            "y": {"field": "v", "type": "quantitative", "title": label,
                  "scale": {"zero": False}},
        } | line_scales(shown, shown) | widths(drawn),
    }  # fmt: skip
    table = ReportTable(words, ["policy", "fast memory, MiB", label],
                  [[v["run"], v["x"], v["v"]] for v in values])  # fmt: skip
    return Section(key, title, [View(key, words, spec, [table])])


def _map_section(number: int, name: str, rows: Sequence[Row]) -> Section:
    """A heat map of each two axes that have several values, the mean over the others."""
    key, title = f"maps{number}", f"Two settings: {Path(name).name}"
    axes = {
        axis: values
        for axis in ("fast_pages", *dict.fromkeys(n for row in rows for n in row["settings"]))
        if len(values := _values(rows, axis)) > 1
    }
    views = [_map(rows, x, y) for x, y in list(combinations(axes, 2))[:MAPS]]
    lines = [] if views else ["Fewer than two settings have several values."]
    return Section(key, title, views, lines=lines, choice=True)


def _value(row: Row, axis: str) -> Any:
    return row["fast_pages"] if axis == "fast_pages" else row["settings"].get(axis)


def _values(rows: Sequence[Row], axis: str) -> list[Any]:
    found = {_value(row, axis) for row in rows} - {None}
    return sorted(found, key=lambda value: (len(str(value)), str(value)))


def _shown(axis: str, value: Any) -> str:
    return size(value) if axis == "fast_pages" else str(value)


def _map(rows: Sequence[Row], x: str, y: str) -> View:
    figure, label, factor = _figure(rows)
    cells: dict[tuple[str, str], list[float]] = {}
    for row in rows:
        if _value(row, x) is not None and _value(row, y) is not None:
            at = (_shown(x, _value(row, x)), _shown(y, _value(row, y)))
            cells.setdefault(at, []).append(factor * row["figures"][figure])
    values: list[dict[str, Any]] = [
        {"x": a, "y": b, "v": sum(v) / len(v)} for (a, b), v in cells.items()
    ]
    found = [cell["v"] for cell in values]
    middle = (min(found) + max(found)) / 2
    names = [axis if axis != "fast_pages" else "fast memory" for axis in (x, y)]
    words = f"{label.capitalize()} by {names[0]} and {names[1]}, the mean over the rest."
    order = [[_shown(axis, value) for value in _values(rows, axis)] for axis in (x, y)]
    spec = base(words) | {
        "data": {"values": values},
        "encoding": {
            "x": {"field": "x", "type": "ordinal", "title": names[0], "sort": order[0],
                  "axis": {"labelAngle": 0, "labelOverlap": "greedy"}},
            "y": {"field": "y", "type": "ordinal", "title": names[1], "sort": order[1]},
        },
        "layer": [
            {"mark": {"type": "rect", "tooltip": True},
             "encoding": {"color": {"field": "v", "type": "quantitative", "title": label,
                                    "scale": {"scheme": "blues"}}}},
            {"mark": {"type": "text"},
             "encoding": {"text": {"field": "v", "type": "quantitative", "format": ",.1f"},
                          "color": {"condition": {"test": f"datum.v > {middle}", "value": "white"},
                                    "value": "black"}}},
        ],
    }  # fmt: skip
    table = ReportTable(words, [*names, label], [[v["x"], v["y"], v["v"]] for v in values])
    return View(f"{names[0]} and {names[1]}", words, spec, [table])


def _front_section(rows: Sequence[Row]) -> Section:
    best = front(rows)
    if not best:
        return Section(
            "front",
            "Points that no other beats",
            lines=["No point has ended with a share that is known."],
        )
    _figure_name, label, factor = _figure(best)
    cells = [
        [row["point"], Path(row["input"]).name, _series(row),
         None if row["fast_pages"] is None else size(row["fast_pages"]),
         factor * row["figures"][_figure_name], row["figures"][MOVES]]
        for row in best
    ]  # fmt: skip
    heads = ["point", "input", "policy", "fast memory", label, "pages moved"]
    words = "Pareto front of each input: no other point is as good in time, moves and memory."
    views = [_front_view(best, "fast_pages", label, factor)]
    if len({row["fast_pages"] for row in best}) == 1:
        views = [_front_view(best, MOVES, label, factor)]
    table = ReportTable(words, heads, cells)
    return Section("front", "Points that no other beats", views, [table])


def _front_view(best: Sequence[Row], axis: str, label: str, factor: float) -> View:
    """The front by fast memory, the pages moved as the size of a point; or by pages moved."""
    figure = _figure(best)[0]
    names = list(dict.fromkeys(Path(row["input"]).name for row in best))
    by_size = axis == "fast_pages"
    title = "fast memory, MiB" if by_size else "pages moved"
    values = [
        {"run": Path(row["input"]).name, "what": f"point {row['point']}: {_series(row)}",
         "x": row[axis] / PAGES_A_MIB if by_size else row["figures"][MOVES],
         "v": factor * row["figures"][figure], "moves": row["figures"][MOVES]}
        for row in best if not by_size or row[axis] is not None
    ]  # fmt: skip
    words = f"The front: {label} by {title}"
    words += "; the larger a point, the more pages it moved." if by_size else "."
    quantity = {"type": "quantitative", "scale": {"zero": False}}
    spec = base(words) | {
        "data": {"values": values},
        "mark": {"type": "point", "filled": True, "opacity": 0.6},
        "encoding": {
            "x": quantity | {"field": "x", "title": title},
            "y": quantity | {"field": "v", "title": label},
            "size": {"field": "moves", "type": "quantitative", "title": "pages moved",
                     "scale": {"range": [40, 400]}, "legend": {"columns": 1}},
            "color": bar_colour(names, names),
            "tooltip": [{"field": "what", "type": "nominal", "title": "point"},
                        {"field": "v", "type": "quantitative", "title": label},
                        {"field": "x", "type": "quantitative", "title": title},
                        {"field": "moves", "type": "quantitative", "title": "pages moved"}],
        },
    }  # fmt: skip
    rows = [[v["what"], v["x"], v["v"], v["moves"]] for v in values]
    return View("front", words, spec, [ReportTable(words, ["point", title, label, "moved"], rows)])


def _failed_section(rows: Sequence[Row]) -> Section:
    cells = [
        [row["point"], Path(row["input"]).name, _series(row), plain(row["error"])]
        for row in rows if row["error"] is not None
    ]  # fmt: skip
    return Section("failed", "Points that failed", tables=[
        ReportTable("points that failed, and why", ["point", "input", "policy", "error"], cells)
    ])  # fmt: skip
