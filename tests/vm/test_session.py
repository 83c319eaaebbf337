"""A kernel that dies in emulation is booted again for the tests that have said nothing."""

from __future__ import annotations

import contextlib
import json
import threading
from pathlib import Path

import pytest

from tests.vm import kernels, machine, session

KERNEL = kernels.Kernel(Path("/nowhere/1.2.3"))


@pytest.fixture
def boots(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Have each boot run one test and panic, but for the last, which runs all that are left."""
    told: list[list[str]] = []

    def run(_kernel, _command, shared: Path, *, timeout: float, **_: object) -> machine.Finished:
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
    done = session.run(KERNEL, ["a", "b", "c", "d"], tmp_path, threading.Event())
    assert boots == [["a", "b", "c", "d"], ["b", "c", "d"], ["c", "d"]]
    assert set(done.said) == {"a", "b", "c", "d"}


def test_a_kernel_that_ends_in_good_order_is_booted_once(
    boots: list[list[str]], tmp_path: Path
) -> None:
    session.run(KERNEL, ["a"], tmp_path, threading.Event())
    assert boots == [["a"]]


@pytest.mark.parametrize("console", [b"BUG: ours", machine.MISRUN])
def test_what_failed_counts_unless_the_emulator_ran_the_kernel_wrongly(
    console: bytes, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked = []

    def run(_kernel, _command, shared: Path, **_: object) -> machine.Finished:
        asked.append((shared / "tests").read_text().split())
        outcomes = {"a": "passed", "b": "failed" if len(asked) == 1 else "passed"}
        rows = [{"test": test, "outcome": outcomes[test], "text": ""} for test in asked[-1]]
        (shared / "results").write_text("".join(json.dumps(row) + "\n" for row in rows))
        (shared / "console").write_bytes(console if len(asked) == 1 else b"")
        return machine.Finished(1, 1.0, shared, shared / "console")

    monkeypatch.setattr(machine, "run", run)
    done = session.run(KERNEL, ["a", "b"], tmp_path, threading.Event())
    again = console == machine.MISRUN
    assert asked[1:] == ([["b"]] if again else [])
    assert done.of("b").outcome == ("passed" if again else "failed")


def test_kernels_boot_side_by_side_each_with_its_own_tests(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    together = threading.Barrier(2, timeout=60)

    def run(kernel, tests, _scratch, _closed) -> session.Boot:
        together.wait()  # breaks where one waits for the other's end
        return session.Boot(kernel, dict.fromkeys(tests, session.Said("passed", "")))

    monkeypatch.setattr(machine, "missing", list)
    monkeypatch.setattr(kernels, "find", str.upper)
    monkeypatch.setattr(session, "warm", lambda: None)
    monkeypatch.setattr(session.os, "cpu_count", lambda: 4)
    monkeypatch.setattr(session, "run", run)
    chosen = [
        {"which": "new", "test": "a"},
        {"which": "old", "test": "a"},
        {"which": "new", "test": "b"},
        {"which": "no test"},
    ]
    with contextlib.closing(session.Boots(tmp_path, chosen)) as boots:
        assert boots["new"].said.keys() == {"a", "b"}
        assert boots["old"].said.keys() == {"a"}
        assert boots["old"].finished == "OLD"


def test_what_runs_is_stopped_when_nobody_waits_for_it_any_more(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ended = []
    started = threading.Event()

    def run(_kernel, _tests, _scratch, closed: threading.Event) -> session.Boot:
        started.set()
        ended.append(closed.wait(60))
        raise session.CannotBootError

    monkeypatch.setattr(machine, "missing", list)
    monkeypatch.setattr(kernels, "find", str.upper)
    monkeypatch.setattr(session, "warm", lambda: None)
    monkeypatch.setattr(session, "run", run)
    boots = session.Boots(tmp_path, [])
    waiting = threading.Thread(
        target=pytest.raises, args=(session.CannotBootError, boots.__getitem__, "new")
    )
    waiting.start()
    assert started.wait(60)
    boots.close()
    waiting.join(60)
    assert ended == [True]


def test_a_test_that_fails_tells_why_also_where_its_tear_down_fails_after_it(
    tmp_path: Path,
) -> None:
    rows = [("failed", "call: no page moved"), ("failed", "teardown: a setting stayed")]
    written = [{"test": "a", "outcome": outcome, "text": text} for outcome, text in rows]
    written.append({"test": "b", "outcome": "passed", "text": ""})
    (tmp_path / "results").write_text("".join(json.dumps(row) + "\n" for row in written))
    said = session.results(tmp_path)
    assert said["a"] == session.Said("failed", "call: no page moved\nteardown: a setting stayed")
    assert said["b"].outcome == "passed"
