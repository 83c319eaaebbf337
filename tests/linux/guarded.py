"""A run that changes settings of a recorded tree, in a process of its own that may be killed.

`python -m tests.linux.guarded ROOT STATE KILL_AT` changes four settings, then restores.  The
process kills itself (SIGKILL) at the write or sync that KILL_AT counts to; KILL_AT "hold"
says "held" once all are changed and waits for a signal, under the command line's own rules.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

from pghot.cli import _stop
from pghot.linux.guard.settings import NUMA_BALANCING, RATE_LIMIT, SCAN
from pghot.linux.guard.settings_guard import SettingsGuard
from pghot.linux.host import Host
from tests.linux.host_trees import two_tier
from tests.linux.host_trees import write as write_file

FLAG = f"{SCAN}/scan_delay_ms"
"""Here a setting that reads back in another form, as booleans do."""

CHANGES = (
    (RATE_LIMIT, "0"),
    (NUMA_BALANCING, "2"),
    (f"{SCAN}/scan_size_mb", "1024"),
    (FLAG, "1"),
    (NUMA_BALANCING, "3"),
)
OLD = {RATE_LIMIT: "65536", NUMA_BALANCING: "0", f"{SCAN}/scan_size_mb": "256", FLAG: "false"}


class KernelHost(Host):
    """Reads booleans back as the kernel does, and has the old value or the new, as a sysctl."""

    def write(self, name: str, text: str) -> None:
        if name == FLAG:
            text = {"1": "true", "0": "false"}.get(text, text)
        super().write(name, text.ljust(16))  # in one step over what was there


def made_host(root: Path) -> None:
    two_tier(root)
    write_file(root, FLAG, "false")


def values(root: Path) -> dict[str, str]:
    return {name: Host(root).text(name) for name in OLD}


def kill_at(count: int) -> None:
    """Die at the `count`th step of disk and host that follows."""
    left = [count]

    def counted(function):
        def step(*arguments, **options):
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*arguments, **options)

        return step

    for name in ("pwrite", "fsync", "unlink", "replace"):
        setattr(os, name, counted(getattr(os, name)))


def main(root: str, state: str, when: str) -> None:
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, _stop)
    if when != "hold":
        kill_at(int(when))
    with SettingsGuard(KernelHost(root), Path(state)) as guard:
        for name, value in CHANGES:
            guard.set(name, value)
        if when == "hold":
            print("held", flush=True)
            time.sleep(60)
    print("done", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
