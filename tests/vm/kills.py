"""In the guest: a run under pressure is killed at random instants, again and again.

python -m tests.vm.kills COUNT SEED HEAT_ARGUMENT...

Each time `pghot run` looks at the load of heat.c until kill -9 comes: up to LONGEST_S after it
has changed the first setting, of four once up to LONGEST_S after it began; then `pghot restore`
must put every setting back that was changed, leave no journal and exit with 0.  At the end every
page of the load must be what it was.  Runs are forked off a process that has imported all, so
most kills hit a run and not its start.  One JSON object at the end.
"""

from __future__ import annotations

import importlib
import json
import os
import pkgutil
import random
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from pghot.cli import main as pghot_main
from tests.vm import daemon
from tests.vm.pressure import BALANCING, DEMOTION, LOADS, OURS, Heat, inside_a_guest, vmstat

LONGEST_S = 8.0
CHANGED_S = 120.0
JOURNAL = Path("/run/pghot/journal")
MOVED = "pgmigrate_success"


def forked(words: Sequence[str]) -> int:
    """A child that is a `pghot WORDS`; its pid."""
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        with open(os.devnull, "w") as nowhere:  # noqa: PTH123 - a device
            os.dup2(nowhere.fileno(), 1)
            os.dup2(nowhere.fileno(), 2)
        status = pghot_main(list(words))
    finally:
        os._exit(status)


def import_all() -> None:
    """Import what a run imports, once for all."""
    for name in ("live", "linux", "sources", "cli"):
        package = importlib.import_module(f"pghot.{name}")
        for module in pkgutil.iter_modules(package.__path__, f"pghot.{name}."):
            importlib.import_module(module.name)


def kill_one(
    target: int, after_s: float, before: dict[str, str], *, from_start: bool
) -> tuple[bool, list[str]]:
    """Kill a run after so long: whether it had changed settings, and what was not put back.

    So long after its start, or after the first setting that it changed, which it may take
    until CHANGED_S for.
    """
    run = forked(("run", "-p", str(target)))
    end = time.monotonic() + CHANGED_S
    while not from_start and daemon.settings() == before and time.monotonic() < end:
        time.sleep(0.02)
    time.sleep(after_s)
    changed = daemon.settings() != before
    os.kill(run, signal.SIGKILL)
    os.waitpid(run, 0)
    _, status = os.waitpid(forked(("restore",)), 0)
    wrong = [] if status == 0 else [f"restore: exit status {os.waitstatus_to_exitcode(status)}"]
    now = daemon.settings()
    wrong += [
        f"{path}: {now[path]}, was {value}" for path, value in before.items() if now[path] != value
    ]
    if JOURNAL.exists() and JOURNAL.stat().st_size:
        wrong.append(f"journal: {JOURNAL.read_text()}")
    return changed, wrong


def main() -> int:
    """Kill so many runs; 0 where all came back and all pages are intact."""
    inside_a_guest()
    count, seed, *load = sys.argv[1:]
    chance = random.Random(int(seed))
    os.sched_setaffinity(0, {OURS})
    BALANCING.write_text("0")
    DEMOTION.write_text("1")
    import_all()
    heat = Heat(load)
    os.sched_setaffinity(heat.pid, {LOADS})
    os.kill(heat.pid, signal.SIGCONT)
    before, moved, wrong, changed = daemon.settings(), vmstat([MOVED])[MOVED], [], 0
    for number in range(int(count)):
        after_s = chance.uniform(0, LONGEST_S)
        from_start = number % 4 == 3
        caught, left = kill_one(heat.pid, after_s, before, from_start=from_start)
        changed += caught
        wrong += [f"kill {number} after {after_s:.3f} s: {line}" for line in left]
        print(
            f"kill {number} after {after_s:.3f} s: {'changed' if caught else 'not begun'}",
            *left,
            flush=True,
        )
    moved = vmstat([MOVED])[MOVED] - moved
    _cold, intact = heat.end()
    told = {"kills": int(count), "with_settings_changed": changed, "wrong": wrong}
    print("result", json.dumps(told | {"migrated": moved, "intact": intact}))
    return 0 if intact and not wrong else 1


if __name__ == "__main__":
    sys.exit(main())
