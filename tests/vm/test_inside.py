"""Every test of tests/vm/inside, on every kernel, as a test of its own."""

from __future__ import annotations

import os

import pytest

from tests.vm import kernels, session

INSIDE = "tests/vm/inside/"

ONCE = (
    "test_run.py::test_what_kills_leave",
    "test_run.py::test_a_launched_command",
    "test_record.py::test_a_replay_of_a_run_makes_every_record_and_decision_the_same[precise]",
    "test_record.py::test_a_recording",
    "test_run_tasks.py",
    "test_run_room.py",
    "test_recipes.py",
    "test_run_nodes.py",
    "test_under_lockdown.py",
    "test_run_namespaces.py",
)
"""What the newest kernel alone runs: it hangs on no kernel's ways."""

ALL_ONLY = (
    "test_how_soon.py",
    "test_run_servers.py",
    "test_run.py::test_of_two_control_groups",
    "test_run_tasks.py::test_a_target_killed",
    "test_run_room.py::test_numa_balancing_switched_off",
    "test_run_nodes.py",
    "test_record.py::test_a_recording_knows_what_is_mapped",
    "test_run_room.py::test_a_slow_node_that_comes",
    "test_run_namespaces.py::test_in_a_container",
    "test_under_lockdown.py",
    "test_run_namespaces.py::test_from_outside",
    "test_run.py::test_a_run_is_ready_within_three_imports_of_numpy",
)
"""What runs only where PGHOT_VM_ALL=1 asks for everything on every kernel.

Measurements, and what is the second of its kind.
"""

ELSEWHERE = (
    "test_record.py::test_a_replay_of_a_run_makes_every_record_and_decision_the_same[default]"
)
"""What the newest kernel leaves to the other: the same of another mode."""

EVERYTHING = os.environ.get("PGHOT_VM_ALL") == "1"


def chosen(which: str, test: str) -> bool:
    name = test.removeprefix(INSIDE)
    kept = name != ELSEWHERE if which == kernels.NEWEST else not name.startswith(ONCE)
    return EVERYTHING or (kept and not name.startswith(ALL_ONLY))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "test" in metafunc.fixturenames:
        every = [(which, test) for test in session.collect() for which in kernels.WHICH]
        pairs = [(which, test) for which, test in every if chosen(which, test)]
        ids = [f"{test.removeprefix(INSIDE)}-{which}" for which, test in pairs]
        metafunc.parametrize(("which", "test"), pairs, ids=ids)
    elif "which" in metafunc.fixturenames:
        metafunc.parametrize("which", kernels.WHICH)


@pytest.mark.vm(by_instructions=True)
def test_on_a_stock_kernel(boot: session.Boot, test: str) -> None:
    said = boot.of(test)
    if said.outcome == "skipped":
        pytest.skip(said.text)
    if said.outcome != "passed":
        pytest.fail(said.text, pytrace=False)
    print(said.text)


@pytest.mark.vm(by_instructions=True)
def test_how_long_a_boot_took_is_told(boot: session.Boot) -> None:
    assert boot.finished.boot_s > 0, boot.finished.explain()
    print(f"booted in {boot.finished.boot_s:.1f} s")
