"""One boot a kernel: run the chosen tests inside, and keep what each said."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

from tests.vm import kernels, layout, machine

TIMEOUT_S = float(os.environ.get("PGHOT_VM_TIMEOUT", "1800"))
"""For all tests on a kernel."""

BOOTS = 3
"""Boots that a kernel gets: an emulated one dies now and then."""

BY_INSTRUCTIONS = layout.Layout(instruction_ns=layout.INSTRUCTION_NS)
"""However busy the host is, nothing in the guest comes late."""

PYTEST = (sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:xdist", "-q")


class CannotBootError(Exception):
    """No guest can be booted on this machine; the message says what is missing."""


@dataclasses.dataclass(frozen=True)
class Said:
    """How one test inside ended: its outcome, and the failure's text or skip's reason."""

    outcome: str
    text: str

    def after(self, before: Said) -> Said:
        """Give both as one, which failed if either did."""
        failed = "failed" in {before.outcome, self.outcome}
        return Said("failed" if failed else self.outcome, f"{before.text}\n{self.text}")


@dataclasses.dataclass(frozen=True)
class Boot:
    """A finished boot, and what the tests in it said, by their names inside."""

    finished: machine.Finished
    said: Mapping[str, Said]

    def of(self, test: str) -> Said:
        """What a test said, failed where it never came to say anything."""
        silent = f"the guest said nothing of it; {self.finished.explain()}"
        return self.said.get(test) or Said("failed", f"{silent}\n\n{self.finished.output}")


class Boots:
    """By kernel: its boot.  The first that is asked for starts all that the cores can bear.

    To be closed at the end: what still runs then is killed.
    """

    def __init__(self, scratch: Path, chosen: Iterable[Mapping[str, Any]]) -> None:
        self._scratch = scratch
        self._tests: dict[str, list[str]] = {}
        for row in chosen:
            if {"which", "test"} <= row.keys():
                self._tests.setdefault(row["which"], []).append(row["test"])
        self._finding = threading.Lock()
        self._closed = threading.Event()
        # A guest's CPUs take turns on one of the host's.
        self._pool = ThreadPoolExecutor(max_workers=os.cpu_count() or 1)
        self._boots: dict[str, Future[Boot]] = {}

    def __getitem__(self, which: str) -> Boot:
        """A kernel's boot, when all its tests have run; an exception where it has none."""
        if absent := machine.missing():
            raise CannotBootError(
                f"not installed: {', '.join(absent)}; scripts/test installs them"
            )
        warm()
        for name in (which, *self._tests):
            if name not in self._boots:
                self._boots[name] = self._pool.submit(self._boot, name)
        return self._boots[which].result()

    def close(self) -> None:
        """Kill what still runs."""
        self._closed.set()
        self._pool.shutdown(cancel_futures=True)

    def _boot(self, which: str) -> Boot:
        with self._finding:  # by one package client at a time
            kernel = kernels.find(which)
        tests = self._tests.get(which, [])
        return run(kernel, tests, self._scratch / which, self._closed)


def run(
    kernel: kernels.Kernel, tests: Iterable[str], scratch: Path, closed: threading.Event
) -> Boot:
    """Boot `kernel` and run these tests in it; once more for those a panic left unsaid.

    Once more, too, for those that failed where the emulator ran the kernel wrongly.  It ends
    early once `closed` is set.
    """
    names, said, doubtful = list(tests), {}, {}
    end = time.monotonic() + TIMEOUT_S
    for attempt in range(1, BOOTS + 1):
        shared = scratch / str(attempt)
        shared.mkdir(parents=True)
        left = [test for test in names if test not in said]
        finished = boot(kernel, left, shared, end - time.monotonic(), closed)
        for test, outcome in results(shared).items():
            failed = outcome.outcome == "failed"
            (doubtful if failed and finished.misran else said)[test] = outcome
        asked_all = finished.status is not None and not doubtful.keys() - said.keys()
        if asked_all or time.monotonic() > end or closed.is_set():
            break
        print(f"{kernel.version} died at boot {attempt}: {finished.explain()}", file=sys.stderr)
    return Boot(finished, doubtful | said)


def boot(
    kernel: kernels.Kernel,
    tests: Sequence[str],
    shared: Path,
    timeout: float,
    closed: threading.Event,
) -> machine.Finished:
    """Boot once, for these tests; `shared` is an empty directory."""
    (shared / "tests").write_text("".join(f"{test}\n" for test in tests))
    command = [*PYTEST, f"@{shared}/tests"] if tests else ["true"]
    return machine.run(
        kernel, command, shared, timeout=timeout, layout=BY_INSTRUCTIONS, closed=closed
    )


def results(shared: Path) -> dict[str, Said]:
    """What tests have said so far, by name: one may fail, and its tear-down after it."""
    path = shared / "results"
    said: dict[str, Said] = {}
    for row in map(json.loads, path.read_text().splitlines() if path.exists() else []):
        now = Said(row["outcome"], row["text"])
        before = said.get(row["test"])
        said[row["test"]] = now.after(before) if before else now
    return said


@cache
def warm() -> None:
    """Compile modules to byte code on the host, where it is ten times faster."""
    command = [sys.executable, "-m", "compileall", "-q", "src", "tests/vm"]
    subprocess.run(command, cwd=machine.ROOT, check=True)


@cache
def collect() -> tuple[str, ...]:
    """The names of the tests inside, without running any."""
    environment = os.environ | {machine.INSIDE: "collecting"}
    command = [*PYTEST, "tests/vm/inside", "--collect-only", "-p", "no:randomly"]
    listed = subprocess.run(
        command, cwd=machine.ROOT, env=environment, check=False, capture_output=True, text=True
    )
    if listed.returncode:
        raise RuntimeError(f"tests inside cannot be collected:\n{listed.stdout}{listed.stderr}")
    return tuple(line for line in listed.stdout.splitlines() if "::" in line)
