"""What results are of: command, log, machine, settings; what differs comes first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pghot.engine.tunables import ALIASES
from pghot.report.page.chart import ReportTable, Section
from pghot.report.page.facts import MachineOfResult, ResultFacts
from pghot.report.page.model import Run
from pghot.report.plain import plain
from pghot.report.sizes import size

DIFFERS = "≠"
"""Marks what is not the same in all results."""

UNKNOWN = "not said by the result"
LABELS = 3
"""Differences that name a run at the most."""

SHORT = 24
_NO_LABEL = ("command line", "result", "log, SHA-256", "log, rows", "log, from first row to last")


def made_of(facts: ResultFacts, mode: str | None) -> dict[str, str]:
    """What a result says it is of, by its words."""
    rows = {
        "version of pghot": facts.version,
        "command line": facts.command,
        "mode": mode,
        "fidelity": facts.fidelity,
        "start": facts.start,
        "machine": facts.machine.name,
        **_nodes(facts.machine),
    }
    if log := facts.log:
        rows |= {
            "log": log.name,
            "log, SHA-256": log.sha256,
            "log, rows": f"{log.rows:,}",
            "log, from first row to last": f"{log.span_s:,.6g} s",
            "log, taken by": log.taken_by,
        }
    return {name: plain(text) for name, text in rows.items() if text}


def made_section(runs: Sequence[Run]) -> Section:
    """What each run is of, beside each other."""
    rows = [[_mark(runs, name), *cells] for name, cells in _rows(runs).items()]
    rows.sort(key=lambda row: not row[0].startswith(DIFFERS))
    lines = [f"{DIFFERS}: not the same in all of them."] if len(runs) > 1 else []
    table = ReportTable("what each result is of", ["", *(run.name for run in runs)], rows)
    return Section("made", "What was run", (), [table] if rows else [], lines)


def labelled(runs: Sequence[Run]) -> list[Run]:
    """Runs whose names end with what sets each apart from the others, if it is little."""
    differing = [
        (name, cells)
        for name, cells in _rows(runs).items()
        if name not in _NO_LABEL and len(set(cells)) > 1
    ]
    if len(runs) < 2 or not 0 < len(differing) <= LABELS:
        return list(runs)
    return [
        replace(run, name=f"{run.name} ({', '.join(_label(n, c[at]) for n, c in differing)})")
        for at, run in enumerate(runs)
    ]


def _label(name: str, value: str) -> str:
    value = value if len(value) <= SHORT else f"…{value[-SHORT + 1 :]}"
    return f"{name.removeprefix('tunable ')}: {value}"


def _mark(runs: Sequence[Run], name: str) -> str:
    return f"{DIFFERS} {name}" if len(set(_rows(runs)[name])) > 1 else name


def _rows(runs: Sequence[Run]) -> dict[str, list[str]]:
    """The cells of each row, a run each; of tunables those alone that differ, by one name."""
    tables = [run.made_of for run in runs]
    rows = {
        name: [table.get(name, UNKNOWN) for table in tables]
        for name in dict.fromkeys(name for table in tables for name in table)
    }
    with_engine = [run.tunables for run in runs if run.tunables]
    names = dict.fromkeys(name for table in with_engine for name in table)
    for name in (name for name in names if ALIASES.get(name) not in names):
        cells = [str(run.tunables.get(name, "-")) for run in runs]
        if len({table.get(name) for table in with_engine}) > 1:
            rows[f"tunable {name}"] = cells
    return rows


def _nodes(machine: MachineOfResult) -> dict[str, str]:
    return {
        f"node {node.id}": (
            f"{'top' if node.toptier else 'lower'} tier, {size(node.pages)}, "
            f"{size(node.free_pages)} free at first"
        )
        for node in machine.nodes
    }
