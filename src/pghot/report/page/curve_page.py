"""The report of a curve: shares by size, of the whole log, its second half and its parts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import msgspec
import numpy as np

from pghot.errors import InputError
from pghot.files.bounded import read_bounded
from pghot.report.page.chart import ReportTable, Section, View, base, line_scales
from pghot.report.page.over_time import alike, widths
from pghot.report.page.page import Content
from pghot.report.page.words import percent
from pghot.report.plain import plain
from pghot.report.sizes import size

NAMES = {
    "bound": "hottest that fit",
    "bound_held_out": "hottest, without chance",
    "bound_by_latency": "hottest, by latency of faults",
    "lru": "LRU",
    "first_touch": "first touch",
    "interleave": "interleave",
}
PARTS = {"whole": "whole log", "steady": "second half"}
PAGES_A_MIB = 256

Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Count = Annotated[int, msgspec.Meta(ge=0)]


class LineForm(msgspec.Struct):
    """A line of `curve.json`."""

    name: str
    part: str
    share: list[Share]
    error: list[float]


class ScopeForm(msgspec.Struct):
    """The curves of the log, or of a process in it."""

    name: str
    accesses: Count
    pages: Count
    fast_pages: list[Count]
    lines: list[LineForm]
    knee_pages: Count | None = None
    cost: list[float] | None = None


class CurveForm(msgspec.Struct):
    """What is read of `curve.json`."""

    log: str
    whole: ScopeForm
    scopes: list[ScopeForm] = []
    notes: list[str] = []
    taken_by: str = ""


def curve_content(path: Path) -> Content:
    """Read `curve.json`; InputError where it is none."""
    try:
        form = msgspec.json.decode(read_bounded(path), type=CurveForm)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from error
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not what pghot writes: {error}") from error
    scopes = [form.whole, *form.scopes]
    for scope in scopes:
        if any(len(line.share) != len(scope.fast_pages) for line in scope.lines):
            raise InputError(f"{path}: not what pghot writes: a line has not a share a size")
    about = f"curve of {plain(form.log)}" + (f", taken by {form.taken_by}" * bool(form.taken_by))
    return Content(about, _summary(form), [_section(at, scope) for at, scope in enumerate(scopes)])


def _summary(form: CurveForm) -> list[str]:
    whole = form.whole
    lines = [f"{whole.accesses:,} accesses to {whole.pages:,} pages, {size(whole.pages)}."]
    for name in ("bound", "lru", "first_touch"):
        line = next((x for x in whole.lines if (x.name, x.part) == (name, "whole")), None)
        if line is None:
            continue
        at = next((i for i, share in enumerate(line.share) if share >= 0.95), None)
        if at is not None:
            lines.append(f"{NAMES[name]} serves 95 % from {size(whole.fast_pages[at])} on.")
    if whole.knee_pages is not None:
        lines.append(f"The knee is at {size(whole.knee_pages)}.")
    return lines + [f"{note}." for note in form.notes]


def _section(at: int, scope: ScopeForm) -> Section:
    title = plain(scope.name) or "Accesses served fast, by fast memory"
    views = [
        view for part, words in PARTS.items() if (view := _view(scope, part, words)) is not None
    ]
    return Section(f"curve{at}", title, views, choice=True)


def _view(scope: ScopeForm, part: str, name: str) -> View | None:
    lines = [line for line in scope.lines if line.part == part]
    if not lines:
        return None
    names = [NAMES.get(line.name, line.name) for line in lines]
    drawn = {n: (1.0, np.array(line.share)) for n, line in zip(names, lines, strict=True)}
    words = (
        f"Share of accesses served fast, by size of fast memory, {name}. {alike(drawn)}".strip()
    )
    values = [row for line in lines for row in _points(scope, line)]
    spec = base(words) | {
        "data": {"values": values},
        "encoding": {"x": {"field": "x", "type": "quantitative", "title": "fast memory, MiB",
                           "scale": {"nice": False}}},
        "layer": [_band(names), _line(names, widths(drawn)), *_knee(scope, part)],
    }  # fmt: skip
    heads = ["fast memory, MiB", *names]
    rows: list[list[Any]] = [
        [pages / PAGES_A_MIB, *(percent(line.share[i]) for line in lines)]
        for i, pages in enumerate(scope.fast_pages)
    ]
    return View(name, words, spec, [ReportTable(words, heads, rows)])


def _points(scope: ScopeForm, line: LineForm) -> list[dict[str, Any]]:
    return [
        {
            "run": NAMES.get(line.name, line.name),
            "x": pages / PAGES_A_MIB,
            "v": 100 * share,
            "low": 100 * max(share - error, 0.0),
            "high": 100 * min(share + error, 1.0),
        }
        for pages, share, error in zip(scope.fast_pages, line.share, line.error, strict=True)
    ]


def _line(names: list[str], width: dict[str, Any]) -> dict[str, Any]:
    y = {"field": "v", "type": "quantitative", "title": "accesses served fast, %",
         "scale": {"domain": [0, 100]}}  # fmt: skip
    return {
        "mark": {"type": "line", "tooltip": True},
        "encoding": {"y": y} | line_scales(names, names) | width,
    }


def _band(names: list[str]) -> dict[str, Any]:
    """The interval of 95 % around lines that are of samples."""
    colour = line_scales(names, names)["color"]  # with its legend: the lines share it
    return {
        "mark": {"type": "area", "opacity": 0.15, "tooltip": False},
        "encoding": {
            "y": {"field": "low", "type": "quantitative"},
            "y2": {"field": "high"},
            "color": colour,
        },
    }


def _knee(scope: ScopeForm, part: str) -> list[dict[str, Any]]:
    if scope.knee_pages is None or part != "whole":
        return []
    data = {"values": [{"knee": scope.knee_pages / PAGES_A_MIB}]}
    x = {"field": "knee", "type": "quantitative"}
    return [
        {"data": data, "encoding": {"x": x},
         "mark": {"type": "rule", "strokeDash": [8, 4], "color": "var(--limit)"}},
        {"data": data, "encoding": {"x": x, "y": {"value": 0}},
         "mark": {"type": "text", "text": "knee", "align": "left", "baseline": "top", "dx": 6,
                  "dy": 4, "color": "var(--limit)"}},
    ]  # fmt: skip
