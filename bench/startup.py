"""Whole processes: `pghot --help` and a replay of the example log, against an empty Python."""

from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from _measure import interleave, options, rows, show

EXAMPLE = Path(__file__).parent.parent / "examples" / "sqlite.parquet"


def main() -> None:
    args = options(__doc__)
    pghot = [sys.executable, "-m", "pghot"]
    commands = {
        "python -c pass": [sys.executable, "-c", "pass"],
        "import numpy": [sys.executable, "-c", "import numpy"],
        "pghot --help": [*pghot, "--help"],
    }
    if EXAMPLE.is_file() and EXAMPLE.stat().st_size:
        commands["pghot replay sqlite"] = [*pghot, "replay", str(EXAMPLE), "--json"]
    work = {name: process(command) for name, command in commands.items()}
    timing = interleave(work, 3 if args.quick else 9, clock=children_seconds)
    found = rows("process", timing, 1000, dict.fromkeys(work, "python -c pass"))
    show("CPU time of whole processes", found, as_json=args.json, unit="us")


def process(command: list[str]) -> Callable[[], object]:
    """Give a function that runs a command and waits for it."""
    return lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def children_seconds(work: Callable[[], object]) -> float:
    """Give the CPU time of the processes that `work` waits for."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    work()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    main()
