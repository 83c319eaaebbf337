"""What a sweep costs beside its runs: the shipped log, replayed at so many points.

Usage: bench/sweep.py [POINTS], 1,000 points by default, on all CPUs that it may use.  CPU time
of the sweep and its workers over the CPU time that the runs themselves took in the workers, and
the like of wall time, which wants CPUs that do nothing else.
"""

from __future__ import annotations

import os
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pghot
from pghot.exploring import run_point

LOG = Path(__file__).parents[1] / "examples/sqlite.parquet"
SIZES, THRESHOLDS, LAYOUTS = 10, [1, 2], ["v7", "v7-precise"]

row_of = run_point._row  # noqa: SLF001 - a run and nothing else


def timed(*point: Any) -> dict[str, Any]:
    """Run a point, and note its CPU time beside its figures."""
    start = time.process_time()
    row = row_of(*point)
    return row | {"cpu_s": time.process_time() - start}


run_point._row = timed  # noqa: SLF001 - in the workers too, which import this file


def grid_of(points: int) -> pghot.Grid:
    """Sizes of fast memory, both layouts, two thresholds, and as many pauses as are wanted."""
    pauses = max(points // (SIZES * len(THRESHOLDS) * len(LAYOUTS)), 1)
    return pghot.Grid(
        inputs=[str(LOG)],
        fast=[f"{50 + 5 * step}%" for step in range(SIZES)],
        policy=LAYOUTS,
        set={
            "freq_threshold": THRESHOLDS,
            "kmigrated_sleep_ms": [50 + 5 * step for step in range(pauses)],
        },
    )


def cpu_s() -> float:
    """CPU time of this process and of those that it started and that have ended."""
    spent = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in spent)


def main(points: int = 1000) -> None:
    """Measure one sweep."""
    cpus = len(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as folder:
        cpu, start = cpu_s(), time.perf_counter()
        found = pghot.sweep(grid_of(points), Path(folder, "points"))
        cpu, wall = cpu_s() - cpu, time.perf_counter() - start
    runs, took = (sum(row[key] for row in found.rows) for key in ("cpu_s", "duration_s"))
    print(f"{found!r} on {cpus} CPUs, {wall:.1f} s")
    print(f"CPU time {cpu:.2f} s, of its runs {runs:.2f} s: {cpu / runs - 1:.1%} beside them")
    print(
        f"wall time {cpus} x {wall:.1f} s, of its runs {took:.1f} s: {cpus * wall / took - 1:.1%}"
    )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
