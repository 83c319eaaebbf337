"""The same replay with compiled and with interpreted loops: what pghot.compiled.SLOWER says.

The shipped log, or with --quick its first 50,000 accesses; CPU time of a second replay in one
process, so that no import counts.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq

from _measure import interleave, options, rows, show

EXAMPLES = Path(__file__).parent.parent / "examples"
REPLAY = """
import sys, time
import pghot, pghot.compiled
log, machine, form, few = sys.argv[1:]
assert pghot.compiled.loops() == form
pghot.replay(few, machine)
start = time.process_time()
pghot.replay(log, machine)
print(time.process_time() - start)
"""


def main() -> None:
    args = options(__doc__)
    with tempfile.TemporaryDirectory() as folder:
        few = beginning(Path(folder, "few.parquet"), 1000)
        log = beginning(Path(folder, "log.parquet"), 50_000) if args.quick else shipped()
        accesses = pq.read_metadata(log).num_rows
        found = {form: seconds_of(form, log, few) for form in ("compiled", "interpreted")}
        timing = interleave(
            found, 1 if args.quick else 3, clock=lambda work: work(), warm_up=False
        )
    made = rows("replay", timing, accesses, dict.fromkeys(found, "compiled"))
    show(f"replay of {accesses:,} accesses: CPU time of one", made, as_json=args.json)


def shipped() -> Path:
    return EXAMPLES / "sqlite.parquet"


def beginning(path: Path, count: int) -> Path:
    """A log of the shipped one's first accesses."""
    pq.write_table(pq.read_table(shipped()).slice(0, count), path)
    return path


def seconds_of(form: str, log: Path, few: Path) -> Callable[[], float]:
    """A replay in a process of its own, in one form; returns its seconds."""
    machine = EXAMPLES / "two-tier.toml"
    command = [sys.executable, "-c", REPLAY, str(log), str(machine), form, str(few)]
    environment = os.environ | {"PGHOT_LOOPS": "" if form == "compiled" else form}

    def run() -> float:
        done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE)
        return float(done.stdout)

    return run


if __name__ == "__main__":
    main()
