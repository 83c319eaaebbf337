"""Where fast memory is full, on a stock kernel: each load in a boot of its own.

These take minutes each, so they run where PGHOT_VM_ALL=1 asks for everything.  What is served
fast is counted by the emulator, access by access (tier_count.c).
"""

from __future__ import annotations

import os

import pytest

from pghot.live.attending import FLAT
from tests.left_out import leave_out
from tests.vm import kernels, machine
from tests.vm.compare import HEAD, Told, row, run_one, shares

SECONDS = 90
PAGES = 1500 << 8
STILL = 0.001
"""The share of the pages that may move in a minute where nothing can be won."""

pytestmark = [
    pytest.mark.vm(by_instructions=True),
    pytest.mark.skipif(os.environ.get("PGHOT_VM_ALL") != "1", reason="wants PGHOT_VM_ALL=1"),
]


@pytest.fixture(params=kernels.WHICH)
def kernel(request: pytest.FixtureRequest) -> kernels.Kernel:
    if absent := machine.missing():
        leave_out(request.config, "pressure in a VM", f"not installed: {', '.join(absent)}")
    try:
        return kernels.find(request.param)
    except kernels.NoKernelError as reason:
        leave_out(request.config, f"pressure on {request.param}", str(reason))


def ran(kernel: kernels.Kernel, mib: str, load: str, quiet_mib: int = 0) -> Told:
    """What came of a load beside `pghot run`; its figures are printed."""
    told = run_one(kernel, "pghot", SECONDS, [mib, *load.split()], quiet_mib=quiet_mib)
    print(f"{HEAD}\n{row(told)}")
    return told


def demoted_soon(told: Told) -> float:
    """Of promoted pages that were looked at after a minute, the share that was demoted."""
    live = told["live"]
    return live["demoted_within_a_minute"] / max(live["looked_at_after_a_minute"], 1)


@pytest.mark.parametrize(
    ("load", "more"),
    [("zipf 0.99", 0.1), ("hot 300", 0.2), ("hot 300 45", 0.05)],
    ids=["zipf", "hot set that fits", "phase change"],
)
def test_where_some_pages_are_hotter_more_is_served_fast_at_the_end(kernel, load, more) -> None:
    told = ran(kernel, "1500", load)
    found = shares(told)
    assert told["intact"]
    assert max(found.second, found.end) > found.start + more
    assert demoted_soon(told) <= 0.25


def test_a_late_program_beside_a_quiet_one_gets_fast_memory(kernel) -> None:
    told = ran(kernel, "500", "hot 200", quiet_mib=1000)
    found = shares(told)
    assert told["intact"]
    assert found.end > found.start + 0.2


@pytest.mark.parametrize("load", ["uniform", "hot 1200"])
def test_what_cannot_be_won_is_told_and_left_alone(kernel, load) -> None:
    told = ran(kernel, "1500", load)
    assert told["intact"]
    assert told["live"]["fault_latency"]["flat"]
    assert FLAT in told["output"]
    late = [point for point in told["points"] if point["at"] >= SECONDS * 2 / 3]
    moved = late[-1]["migrated"] - late[0]["migrated"]
    assert moved < STILL * PAGES * (late[-1]["at"] - late[0]["at"]) / 60
