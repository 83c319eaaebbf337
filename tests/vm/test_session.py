"""A kernel that dies in emulation is booted again for the tests that have said nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.vm import kernels, machine, session

KERNEL = kernels.Kernel(Path("/nowhere/1.2.3"))


@pytest.fixture
def boots(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Have each boot run one test and panic, but for the last, which runs all that are left."""
    told: list[list[str]] = []

    def run(_kernel, _command, shared: Path, *, timeout: float) -> machine.Finished:
        assert timeout > 0
        tests = (shared / "tests").read_text().split()
        told.append(tests)
        ran = tests if len(told) == session.BOOTS else tests[:1]
        rows = [{"test": test, "outcome": "passed", "text": ""} for test in ran]
        (shared / "results").write_text("".join(json.dumps(row) + "\n" for row in rows))
        (shared / "console.log").write_text("Kernel panic\n")
        return machine.Finished(0 if ran == tests else None, 1.0, shared, shared / "console.log")

    monkeypatch.setattr(machine, "run", run)
    monkeypatch.setattr(session, "warm", lambda: None)
    return told


def test_what_a_panic_left_unsaid_is_asked_in_another_boot(
    boots: list[list[str]], tmp_path: Path
) -> None:
    done = session.run(KERNEL, ["a", "b", "c", "d"], tmp_path)
    assert boots == [["a", "b", "c", "d"], ["b", "c", "d"], ["c", "d"]]
    assert set(done.said) == {"a", "b", "c", "d"}


def test_a_kernel_that_ends_in_good_order_is_booted_once(
    boots: list[list[str]], tmp_path: Path
) -> None:
    session.run(KERNEL, ["a"], tmp_path)
    assert boots == [["a"]]
