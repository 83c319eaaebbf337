"""What the harness does where things go wrong."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.vm import kernels, machine


def run_pytest(*options: str, **environment: str) -> list[str]:
    command = [sys.executable, "-m", "pytest", "tests/vm/test_inside.py", "-q", "-rs"]
    command += ["-p", "no:cacheprovider", "-k", "lower_number", *options]
    finished = subprocess.run(
        command,
        cwd=machine.ROOT,
        env={"PATH": "/nowhere", "HOME": os.environ.get("HOME", "/")} | environment,
        check=False,
        capture_output=True,
        text=True,
    )
    assert finished.returncode == 0, finished.stdout
    return finished.stdout.splitlines()


def test_without_qemu_the_tests_skip_and_say_what_is_missing() -> None:
    lines = run_pytest()
    assert any("not installed: qemu-system-x86" in line for line in lines)
    assert not lines[-1].startswith("NOT RUN:")


@pytest.mark.parametrize("processes", ["0", "1"])
def test_in_ci_the_last_line_names_what_did_not_run(processes: str) -> None:
    last = run_pytest("-n", processes, "--dist", "loadfile", CI="true")[-1]
    assert last.startswith("NOT RUN: VM tests on ")
    assert "not installed: qemu-system-x86" in last
    assert all(which in last for which in kernels.WHICH)


@pytest.mark.vm
def test_a_machine_that_takes_too_long_is_killed(tmp_path: Path) -> None:
    if absent := machine.missing():
        pytest.skip(f"not installed: {', '.join(absent)}")
    try:
        kernel = kernels.find("release")
    except kernels.NoKernelError as error:
        pytest.skip(str(error))
    finished = machine.run(kernel, ["true"], tmp_path, timeout=2)
    assert finished.status is None
    running = subprocess.run(["ps", "-eo", "args"], check=True, capture_output=True, text=True)
    assert str(tmp_path) not in running.stdout
    assert "console ended with" in finished.explain()
