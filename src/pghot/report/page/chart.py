"""A section of the report: a chart with its words and its table, or why there is none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

Spec = dict[str, Any]
Cell = str | float | int | None

SERIES = 8
"""Colours that lines have before they come again, with another dash."""

LABEL_PX = 420
"""Room for the name of a run at its longest."""

LEGEND, SYMBOL = 150, 4
"""Characters beside each other in a legend, and those that a line's symbol takes of them."""

COUNT_AXIS: Spec = {"labelExpr": "datum.value % 1 ? '' : format(datum.value, ',d')"}
"""Axis of counts: labels where they are whole."""

DASHES: tuple[list[int], ...] = ([1, 0], [6, 3], [2, 2])


@dataclass(frozen=True, slots=True)
class ReportTable:
    """Rows of cells under heads, with a caption."""

    caption: str
    heads: Sequence[str]
    rows: Sequence[Sequence[Cell]]


@dataclass(frozen=True, slots=True)
class View:
    """A Vega-Lite specification, what it shows in words, and its data.

    The page's script makes rows of `heat`, a map, or `lines`: by name the seconds of a column
    and the values.  `name` tells a view from others in a choice.
    """

    name: str
    words: str
    spec: Spec
    tables: Sequence[ReportTable]
    heat: dict[str, Any] | None = None
    lines: dict[str, tuple[float, list[float | None]]] | None = None


@dataclass(frozen=True, slots=True)
class Section:
    """A heading, and below it views, tables or lines that say why there are none.

    `choice`: one view at a time, the first to begin with.  `zoom`: buttons to zoom them.
    """

    key: str
    title: str
    views: Sequence[View] = ()
    tables: Sequence[ReportTable] = ()
    lines: Sequence[str] = field(default_factory=list)
    choice: bool = False
    zoom: bool = False


def line_scales(names: Sequence[str], order: Sequence[str]) -> Spec:
    """The encodings that tell lines apart: colour, then dash; those of a bar without."""
    places = _places(names, order)
    dashes = [DASHES[place // SERIES % len(DASHES)] for place in places]
    colour = bar_colour(names, order)
    dash = {
        "field": "run", "type": "nominal", "legend": colour["legend"],
        "scale": {"domain": list(names), "range": dashes},
    }  # fmt: skip
    return {"color": colour, "strokeDash": dash}


def bar_colour(names: Sequence[str], order: Sequence[str]) -> Spec:
    """The colours of runs, each the same in every chart: by its place in `order`."""
    longest = max(map(len, names), default=1)
    legend = {
        "title": None, "orient": "top", "labelLimit": LABEL_PX,
        "columns": max(LEGEND // (longest + SYMBOL), 1), "symbolOpacity": 1,
    }  # fmt: skip
    colours = [f"var(--s{place % SERIES})" for place in _places(names, order)]
    return {
        "field": "run", "type": "nominal", "scale": {"domain": list(names), "range": colours},
        "legend": legend if len(names) > 1 else None,
    }  # fmt: skip


def _places(names: Sequence[str], order: Sequence[str]) -> list[int]:
    """The place of each name; names that are none of a run come after all runs."""
    known = {name: place for place, name in enumerate(order)}
    return [known.setdefault(name, len(known)) for name in names]


def time_axis() -> Spec:
    """The x axis of charts over time; its domain starts with the run."""
    return {
        "field": "t", "type": "quantitative", "title": "time, s",
        "scale": {"domainMin": 0, "nice": False},
    }  # fmt: skip


def base(words: str, height: int = 290) -> Spec:
    """What all specifications have."""
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
        "description": words,
        "width": "container",
        "height": height,
        "autosize": {"type": "fit", "contains": "padding"},
    }
