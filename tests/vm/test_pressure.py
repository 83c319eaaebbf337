"""Where fast memory is full, on a stock kernel: each load in a boot of its own.

These take minutes each, so they run where PGHOT_VM_ALL=1 asks for everything.
"""

from __future__ import annotations

import os

import pytest

from tests.vm import kernels
from tests.vm.compare import run_one, shares

SECONDS = 90
PAGES = 1500 << 8

pytestmark = [
    pytest.mark.vm,
    pytest.mark.skipif(os.environ.get("PGHOT_VM_ALL") != "1", reason="wants PGHOT_VM_ALL=1"),
]


@pytest.fixture(params=kernels.WHICH)
def kernel(request: pytest.FixtureRequest) -> kernels.Kernel:
    return kernels.find(request.param)


@pytest.mark.parametrize(
    "load", [("zipf", "0.99"), ("hot", "300"), ("hot", "300", "45")], ids=" ".join
)
def test_where_some_pages_are_hotter_more_is_served_fast_at_the_end(kernel, load) -> None:
    told = run_one(kernel, "pghot", SECONDS, ["1500", *load])
    start, _whole, second, end = shares(told["points"])
    assert told["intact"]
    assert max(second, end) > start + 0.05
    assert told["live"]["demoted_within_a_minute"] <= told["live"]["looked_at_after_a_minute"] / 4


@pytest.mark.parametrize("load", [("uniform",), ("hot", "1200")], ids=" ".join)
def test_what_cannot_be_won_is_told_and_left_alone(kernel, load) -> None:
    told = run_one(kernel, "pghot", SECONDS, ["1500", *load])
    assert told["intact"]
    assert told["live"]["fault_latency"]["flat"]
    assert told["pgpromote_success"] < PAGES // 100
