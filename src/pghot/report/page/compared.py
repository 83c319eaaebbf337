"""Refusals by reason, and runs beside each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pghot.engine.reasons import by_words
from pghot.report.page.chart import (
    COUNT_AXIS,
    LABEL_PX,
    ReportTable,
    Section,
    View,
    bar_colour,
    base,
)
from pghot.report.page.missing import why
from pghot.report.page.model import Run
from pghot.report.page.words import OLD, percent
from pghot.report.table import BASELINES


def refused_section(runs: Sequence[Run]) -> Section:
    """Refusals by reason."""
    lines = why(runs, "refused", {run.name for run in runs if run.refused is not None})
    found: list[dict[str, Any]] = [
        {"run": run.name, "reason": reason, "n": count}
        for run in runs
        for reason, count in by_words(run.refused or {}).items()
        if count
    ]
    if not found:
        if len(lines) < len(runs):
            lines.append("No page that was found hot was refused.")
        return Section("refused", "Refused, and why", lines=lines)
    total = sum(row["n"] for row in found)
    words = f"Refusals of hot folios by reason, {total:,} in all."
    names = [run.name for run in runs]
    height = 130 + 26 * len({(row["run"], row["reason"]) for row in found})
    spec = base(words, height) | {
        "data": {"values": found},
        "mark": {"type": "bar", "tooltip": True},
        "encoding": {
            "y": {"field": "reason", "type": "nominal", "title": None, "sort": "-x",
                  "axis": {"labelLimit": 300}},
            "yOffset": {"field": "run", "type": "nominal", "sort": names},
            "x": {"field": "n", "type": "quantitative", "title": "times a hot folio was refused",
                  "axis": COUNT_AXIS},
            "color": bar_colour(names, names),
        },
    }  # fmt: skip
    table = ReportTable(words, ["run", "reason", "times"],
                  [[row["run"], row["reason"], row["n"]] for row in found])  # fmt: skip
    return Section("refused", "Refused, and why", [View("refused", words, spec, [table])],
                   lines=lines)  # fmt: skip


def compared_section(runs: Sequence[Run]) -> Section:
    """The runs side by side: run time, or the share of fast accesses."""
    names = order = [run.name for run in runs]
    timed = all(run.run_s is not None for run in runs)
    title = "run time, s" if timed else "accesses served fast, %"
    found: list[dict[str, Any]] = [
        {"run": run.name, "v": value}
        for run in runs
        if (value := run.run_s if timed else _percent(run.share)) is not None
    ]
    if timed:
        found.sort(key=lambda row: row["v"])
        names = [row["run"] for row in found]
    views = []
    if found and len(runs) > 1:
        words = f"{title} of each run: " + "; ".join(
            f"{row['run']} {row['v']:,.2f}" for row in found
        )
        spec = base(words, 80 + 30 * len(found)) | {
            "data": {"values": found},
            "encoding": {
                "y": {"field": "run", "type": "nominal", "title": None, "sort": names,
                      "axis": {"labelLimit": LABEL_PX}},
                "x": {"field": "v", "type": "quantitative", "title": title,
                      "scale": {"domainMin": 0}},
            },
            "layer": [
                {"mark": {"type": "bar", "tooltip": True},
                 "encoding": {"color": bar_colour(names, order) | {"legend": None}}},
                {"mark": {"type": "text", "align": "left", "dx": 4},
                 "encoding": {"text": {"field": "v", "type": "quantitative", "format": ",.2f"}}},
            ],
        }  # fmt: skip
        table = ReportTable(title, ["run", title], [[row["run"], row["v"]] for row in found])
        views = [View("compared", words + ".", spec, [table])]
    head = "Side by side" if len(runs) > 1 else "Figures"
    return Section("compared", head, views, [_figures(runs)])


def _figures(runs: Sequence[Run]) -> ReportTable:
    rows: list[list[Any]] = [
        ["what", *(run.about for run in runs)],
        ["time, s", *(round(run.elapsed_s, 3) for run in runs)],
        ["accesses", *(round(run.accesses) for run in runs)],
        ["accesses served fast", *(_share(run.share) for run in runs)],
        ["the same, nothing promoted", *(_share(run.share_without) for run in runs)],
        ["verdict", *((run.time or OLD)["verdict"] for run in runs)],
        ["accesses served fast, second half", *(_share(run.steady_share) for run in runs)],
        *_baselines(runs),
        ["promoted, pages", *(run.promoted for run in runs)],
        ["demoted, pages", *(run.demoted for run in runs)],
    ]
    refused = [by_words(run.refused or {}) for run in runs]
    rows += [
        [f"refused: {reason}", *(counts.get(reason, 0) for counts in refused)]
        for reason in dict.fromkeys(reason for counts in refused for reason in counts)
    ]
    more = dict.fromkeys(name for run in runs for name in run.figures)
    rows += [[name, *(run.figures.get(name) for run in runs)] for name in more]
    return ReportTable("figures of each run", ["", *(run.name for run in runs)], rows)


def _baselines(runs: Sequence[Run]) -> list[list[Any]]:
    known = dict.fromkeys(name for run in runs for name in run.baselines if name in BASELINES)
    return [
        [f"{BASELINES[name]}{half}",
         *(_share(run.baselines.get(name, (None, None))[at]) for run in runs)]
        for name in known
        for at, half in enumerate(("", ", second half"))
    ]  # fmt: skip


def _percent(share: float | None) -> float | None:
    return None if share is None else share * 100


def _share(share: float | None) -> str | None:
    return None if share is None else percent(share)
