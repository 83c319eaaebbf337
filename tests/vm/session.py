"""One boot a kernel: run the chosen tests inside, and keep what each said."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from tests.vm import kernels, machine

TIMEOUT_S = float(os.environ.get("PGHOT_VM_TIMEOUT", "1500"))
"""For one boot with all of its tests."""

PYTEST = (sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q")


class CannotBootError(Exception):
    """No guest can be booted on this machine; the message says what is missing."""


@dataclasses.dataclass(frozen=True)
class Said:
    """How one test inside ended: its outcome, and the failure's text or skip's reason."""

    outcome: str
    text: str


@dataclasses.dataclass(frozen=True)
class Boot:
    """A finished boot, and what the tests in it said, by their names inside."""

    finished: machine.Finished
    said: Mapping[str, Said]

    def of(self, test: str) -> Said:
        """Give what a test said, failed where it never came to say anything."""
        silent = f"the guest said nothing of it; {self.finished.explain()}"
        return self.said.get(test) or Said("failed", f"{silent}\n\n{self.finished.output}")


class Boots(dict[str, Boot]):
    """By kernel: a boot made when first asked for."""

    def __init__(self, scratch: Path, chosen: Iterable[Mapping[str, Any]]) -> None:
        super().__init__()
        self.scratch = scratch
        self.chosen = [
            (row["which"], row["test"]) for row in chosen if {"which", "test"} <= row.keys()
        ]

    def __missing__(self, which: str) -> Boot:
        """Boot, once the machine and the kernel are there."""
        if absent := machine.missing():
            raise CannotBootError(
                f"not installed: {', '.join(absent)}; scripts/test installs them"
            )
        shared = self.scratch / which
        shared.mkdir()
        self[which] = run(
            kernels.find(which), [test for name, test in self.chosen if name == which], shared
        )
        return self[which]


def run(kernel: kernels.Kernel, tests: Iterable[str], shared: Path) -> Boot:
    """Boot `kernel` and run these tests in it."""
    warm()
    names = list(tests)
    (shared / "tests").write_text("".join(f"{test}\n" for test in names))
    command = [*PYTEST, f"@{shared}/tests"] if names else ["true"]
    finished = machine.run(kernel, command, shared, timeout=TIMEOUT_S)
    results = shared / "results"
    lines = results.read_text().splitlines() if results.exists() else []
    said = {row["test"]: Said(row["outcome"], row["text"]) for row in map(json.loads, lines)}
    return Boot(finished, said)


@cache
def warm() -> None:
    """Compile the loops of pghot on the host, where it is ten times faster."""
    environment = os.environ | machine.numba()
    warmer = [sys.executable, "-m", "tests.vm.warm"]
    subprocess.run(warmer, cwd=machine.ROOT, env=environment, check=True)


@cache
def collect() -> tuple[str, ...]:
    """Give the names of the tests inside, without running any."""
    environment = os.environ | {machine.INSIDE: "collecting"}
    command = [*PYTEST, "tests/vm/inside", "--collect-only", "-p", "no:randomly"]
    listed = subprocess.run(
        command, cwd=machine.ROOT, env=environment, check=False, capture_output=True, text=True
    )
    if listed.returncode:
        raise RuntimeError(f"tests inside cannot be collected:\n{listed.stdout}{listed.stderr}")
    return tuple(line for line in listed.stdout.splitlines() if "::" in line)
