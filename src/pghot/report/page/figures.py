"""Every tunable and counter, in tables."""

from __future__ import annotations

from collections.abc import Sequence

from pghot.report.page.chart import ReportTable, Section
from pghot.report.page.model import Run


def figures_section(runs: Sequence[Run]) -> Section:
    """Tunables, vmstat counters and nodes."""
    names = [run.name for run in runs]
    tables = [
        ReportTable(caption, ["name", *names], rows)
        for caption, rows in (
            ("tunables", _rows([run.tunables for run in runs])),
            ("vmstat counters", _rows([run.counters for run in runs])),
        )
        if rows
    ]
    for run in runs:
        if run.nodes:
            heads = dict.fromkeys(name for node in run.nodes.values() for name in node)
            rows = [[nid, *(node.get(name) for name in heads)] for nid, node in run.nodes.items()]
            caption = "nodes" if len(runs) == 1 else f"nodes of {run.name}"
            tables.append(ReportTable(caption, ["node", *heads], rows))
    lines = [f"{run.name}: {note}" for run in runs for note in run.notes]
    untuned = [run.name for run in runs if not run.tunables]
    if untuned:
        lines.append(f"No tunables of {', '.join(untuned)}: no engine ran, or they were not kept.")
    return Section("figures", "Tunables and counters", (), tables, lines)


def _rows(tables: Sequence[dict[str, int]]) -> list[list[str | int | None]]:
    names = dict.fromkeys(name for table in tables for name in table)
    return [[name, *(table.get(name) for table in tables)] for name in names]
