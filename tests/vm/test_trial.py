"""A trial on a stock kernel, in a boot of its own; where PGHOT_VM_ALL=1 asks for everything."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from tests.vm import kernels, machine

PAIRS, BLOCK_S = 6, 24
pytestmark = [
    pytest.mark.vm,
    pytest.mark.skipif(os.environ.get("PGHOT_VM_ALL") != "1", reason="wants PGHOT_VM_ALL=1"),
]


@pytest.fixture(scope="module", params=kernels.WHICH)
def told(request: pytest.FixtureRequest) -> dict[str, Any]:
    """What the guest tells of it."""
    kernel = kernels.find(request.param)
    words = [sys.executable, "-m", "tests.vm.trial", str(PAIRS), str(BLOCK_S)]
    why = ""
    for _ in range(2):
        with tempfile.TemporaryDirectory(prefix="pghot-trial-") as scratch:
            done = machine.run(kernel, words, Path(scratch), timeout=1200)
            for line in done.output.splitlines():
                if line.startswith("result "):
                    result: dict[str, Any] = json.loads(line.removeprefix("result "))
                    return result | {"intact": done.status == 0}
            why = f"{done.output[-2000:]}\n{done.explain()}"
    pytest.fail(why, pytrace=False)


def test_the_metric_of_the_sudo_user_says_that_promotion_helps(told: dict[str, Any]) -> None:
    assert told["status"] == 0, told["said"]
    trial = told["trial"]
    assert (trial["by"], trial["verdict"]) == ("metric", "better"), told
    metric = trial["measures"]["metric"]
    assert metric["pairs"] == PAIRS
    low, high = metric["interval"]
    assert low <= metric["difference"] <= high < 0
    assert -17 < metric["difference"] < -8  # 16 MiB are hot
    assert metric["means"][1] > 63  # moved back: nearly all of 64 MiB is slow again


def test_it_leaves_settings_and_contents_as_they_were(told: dict[str, Any]) -> None:
    assert told["settings_same"]
    assert told["intact"]


def test_one_that_is_killed_is_put_back_by_restore(told: dict[str, Any]) -> None:
    assert told["killed"] == {"changed": True, "restored": 0, "same": True}
