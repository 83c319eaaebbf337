"""Every test of tests/vm/inside, on every kernel, as a test of its own."""

from __future__ import annotations

import os

import pytest

from tests.vm import kernels, session

INSIDE = "tests/vm/inside/"

ONCE = ("test_run_servers.py", "test_run_tasks.py", "test_run_room.py")
"""What the newest kernel alone runs: it hangs on no kernel's ways."""

MEASURED = ("test_how_soon.py",)
"""What runs, with all the rest and on every kernel, where PGHOT_VM_ALL=1 asks for it."""

EVERYTHING = os.environ.get("PGHOT_VM_ALL") == "1"


def chosen(which: str, test: str) -> bool:
    name = test.removeprefix(INSIDE)
    kept = which == kernels.NEWEST or not name.startswith(ONCE)
    return EVERYTHING or (kept and not name.startswith(MEASURED))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "test" in metafunc.fixturenames:
        every = [(which, test) for test in session.collect() for which in kernels.WHICH]
        pairs = [(which, test) for which, test in every if chosen(which, test)]
        ids = [f"{test.removeprefix(INSIDE)}-{which}" for which, test in pairs]
        metafunc.parametrize(("which", "test"), pairs, ids=ids)
    elif "which" in metafunc.fixturenames:
        metafunc.parametrize("which", kernels.WHICH)


@pytest.mark.vm
def test_on_a_stock_kernel(boot: session.Boot, test: str) -> None:
    said = boot.of(test)
    if said.outcome == "skipped":
        pytest.skip(said.text)
    if said.outcome != "passed":
        pytest.fail(said.text, pytrace=False)
    print(said.text)


@pytest.mark.vm
def test_a_boot_takes_less_than_a_minute(boot: session.Boot) -> None:
    assert 0 < boot.finished.boot_s < 60, boot.finished.explain()
    print(f"booted in {boot.finished.boot_s:.1f} s")
