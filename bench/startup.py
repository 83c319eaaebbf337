"""Whole processes from their start to their end, against `python -c "import numpy"`.

CPU time of the child, by wait4(2), in interleaved rounds; the median of the rounds' ratios.
Byte code is kept, as it is where pghot is installed: here in a directory of the benchmark's own,
whatever PYTHONDONTWRITEBYTECODE says.
A command that wants an answer of the host (`topology`, `doctor`) is measured by what it says
here, whatever that is.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from _measure import interleave, options, rows, show

EXAMPLE = Path(__file__).parent.parent / "examples" / "sqlite.parquet"
YARDSTICK = "import numpy"
TARGETS = {
    "--help": 0.6,
    "topology": 2,
    "doctor": 2,
    "config show": 2,
    "ctl get": 2,
    "help tunables": 2,
    "restore --help": 2,
    "replay EXAMPLE": 5,
    "replay EXAMPLE --json": 5,
}
"""A command line of pghot, and how many times as long as the yardstick it may take."""


def main() -> None:
    args = options(__doc__)
    commands = {
        "python -c pass": [sys.executable, "-c", "pass"],
        YARDSTICK: [sys.executable, "-c", YARDSTICK],
    }
    for line in TARGETS:
        words = [str(EXAMPLE) if word == "EXAMPLE" else word for word in line.split()]
        commands[f"pghot {line}"] = [sys.executable, "-m", "pghot", *words]
    with tempfile.TemporaryDirectory() as kept:
        environment = {
            name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"
        } | {"PYTHONPYCACHEPREFIX": kept}
        work = {name: process(command, environment) for name, command in commands.items()}
        timing = interleave(work, 3 if args.quick else 15, clock=lambda run: run())
    yardsticks = dict.fromkeys(work, YARDSTICK)
    targets = {f"pghot {line}": most for line, most in TARGETS.items()}
    found = rows("process", timing, 1_000_000, yardsticks, targets)
    show("CPU time of whole processes", found, as_json=args.json, unit="ms")


def process(command: list[str], environment: Mapping[str, str]) -> Callable[[], float]:
    """A function that runs a command, and gives the CPU time that it took."""

    def run() -> float:
        null = os.open(os.devnull, os.O_RDWR)
        try:
            actions = [(os.POSIX_SPAWN_DUP2, null, to) for to in range(3)]
            child = os.posix_spawn(command[0], command, environment, file_actions=actions)
        finally:
            os.close(null)
        _pid, _status, used = os.wait4(child, 0)
        return used.ru_utime + used.ru_stime

    return run


if __name__ == "__main__":
    main()
