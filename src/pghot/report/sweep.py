"""What came of a sweep, on a terminal."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pghot.exploring.pareto import MOVES, axes_of, front
from pghot.exploring.store import TABLE
from pghot.exploring.sweep_result import Sweep
from pghot.report.sizes import size

MOST = 20
"""Points that are shown."""


def print_sweep(sweep: Sweep, output: Path, *, as_json: bool) -> None:
    """Print the points that no other beats, and where the table is; or every point as JSON."""
    if as_json:
        for row in sweep.rows:
            print(json.dumps(row))  # noqa: T201 - for programs
        return
    console = Console(highlight=False, soft_wrap=False)
    failed = f", {len(sweep.failed)} failed" if sweep.failed else ""
    console.print(
        f"{_counted(len(sweep.rows), 'point')} ({sweep.ran:,} ran now{failed}): "
        f"{escape(str(output / TABLE))}",
        soft_wrap=True,
    )
    for error, count in Counter(row["error"] for row in sweep.failed).most_common(3):
        console.print(f"  {_counted(count, 'time')}: {escape(error)}", soft_wrap=True)
    best = front(sweep.rows)
    if best:
        console.print("Points that no other beats in all of time, moves and fast memory:")
        console.print(_table(best))
        if len(best) > MOST:
            console.print(f"and {len(best) - MOST} more", style="dim")


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'s' if count != 1 else ''}"


def _table(rows: list[dict[str, Any]]) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    several = len({row["input"] for row in rows}) > 1
    for head in ("point", *(("input",) if several else ()), "policy", "settings"):
        table.add_column(head, overflow="fold")
    for head in ("fast memory", axes_of(rows[0])[0], MOVES):
        table.add_column(head, justify="right", no_wrap=True)
    for row in rows[:MOST]:
        settings = " ".join(f"{name}={text}" for name, text in row["settings"].items())
        fast = "as it is" if row["fast_pages"] is None else size(row["fast_pages"])
        figures = row["figures"]
        time = f"{figures['run_s']:,.2f}" if "run_s" in figures else f"{figures['fast_share']:.1%}"
        table.add_row(
            str(row["point"]),
            *([Path(row["input"]).name] if several else []),
            row["policy"],
            escape(settings),
            fast,
            time,
            f"{figures[MOVES]:,}",
        )
    return table
