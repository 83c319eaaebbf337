"""The real `pghot run` in the guest."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pghot.linux.host import Host
from tests.vm import commands

PGHOT = commands.PGHOT
START_S = 300
"""Python starts some ten times slower in the guest than on the host."""

PATIENT = ("--mode", "precise", "--set", "pghot_promote_freq_window_ms=15000")
"""Two accesses in 15 s, not 3, make a page hot: on a slow machine the kernel scans seldom."""

UNBOUND = ("--fault-budget", "1000", "--sample-budget", "1000")
"""A load that sleeps between its rounds leaves hint faults little to cost: tests do not wait."""

SCAN = Path("/sys/kernel/debug/sched/numa_balancing")
BALANCING = Path("/proc/sys/kernel/numa_balancing")
SETTINGS = (
    BALANCING,
    Path("/proc/sys/kernel/numa_balancing_promote_rate_limit_MBps"),
    *(SCAN / name for name in ("scan_delay_ms", "scan_period_min_ms", "scan_period_max_ms")),
    SCAN / "scan_size_mb",
)
"""All that pghot may change on a host."""


def settings() -> dict[str, str]:
    """The value of each."""
    return {str(path): path.read_text().strip() for path in SETTINGS}


def pghot(*words: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    with tempfile.TemporaryDirectory() as scratch:
        out, err = Path(scratch, "out"), Path(scratch, "err")
        with commands.running(words, out, err) as command:
            status = command.wait(START_S)
        return subprocess.CompletedProcess(words, status, out.read_text(), err.read_text())


class Daemon:
    """A running `pghot run`; what it says goes to files, so that no pipe can fill."""

    def __init__(self, process: commands.Command, out: Path, err: Path) -> None:
        self.process = process
        self._out = out
        self._err = err

    @property
    def said(self) -> str:
        """What it has told on stderr so far."""
        return self._err.read_text()

    def wait_until_watching(self) -> float:
        """Wait until its last setting is made; give when, on CLOCK_MONOTONIC."""
        end = time.monotonic() + START_S
        while BALANCING.read_text().strip() != "2":
            assert self.process.poll() is None, self.said
            assert time.monotonic() < end, f"no run after {START_S} s: {self.said}"
            time.sleep(0.02)
        return time.monotonic()

    def wait_for(self, start: str) -> str:
        """Wait for a line of stderr that starts so, from the launched command; give the rest."""
        end = time.monotonic() + START_S
        while True:
            for line in self.said.splitlines():
                if line.startswith(start):
                    return line.removeprefix(start)
            assert self.process.poll() is None, self.said
            assert time.monotonic() < end, f"no {start!r} after {START_S} s: {self.said}"
            time.sleep(0.05)

    def stop(self, number: int = signal.SIGTERM) -> dict[str, Any]:
        """Send it a signal and give its result."""
        self.process.send_signal(number)
        return self.result()

    def result(self) -> dict[str, Any]:
        """Wait for its end and give what it prints as JSON."""
        status = self.process.wait(START_S)
        assert status == 0, self.said
        result: dict[str, Any] = json.loads(self._out.read_text())
        return result


@contextlib.contextmanager
def running(*words: str, environment: dict[str, str] | None = None) -> Iterator[Daemon]:
    """Start `pghot run --json WORDS`, and end it at the end if it still runs."""
    with tempfile.TemporaryDirectory() as scratch:
        out, err = Path(scratch, "out"), Path(scratch, "err")
        every = ("run", "--json", *UNBOUND, *words)
        with commands.running(every, out, err, environment) as command:
            yield Daemon(command, out, err)


def kernel_promoted() -> int:
    """The pages that the kernel has promoted itself since boot."""
    rows = dict(line.split() for line in Host().text("/proc/vmstat").splitlines())
    return int(rows["pgpromote_success"])
