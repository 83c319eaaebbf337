"""What the emulator's plugin counts and samples is what the guest's kernel says (tier_count.c)."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from pathlib import Path

import pytest

from tests.left_out import leave_out
from tests.vm import kernels, machine
from tests.vm.compare import PRESSURE
from tests.vm.tier_count import compile_heat, read_counts, sampled

SAMPLES = 2000
EVERY = 50


@pytest.mark.vm
@pytest.mark.skipif(os.environ.get("PGHOT_VM_ALL") != "1", reason="wants PGHOT_VM_ALL=1")
def test_samples_reach_the_guest_with_the_address_that_its_kernel_has(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if absent := machine.missing():
        leave_out(request.config, "the plugin in a VM", f"not installed: {', '.join(absent)}")
    try:
        kernel = kernels.find(kernels.NEWEST)
    except kernels.NoKernelError as reason:
        leave_out(request.config, "the plugin in a VM", str(reason))
    words = [sys.executable, "-m", "tests.vm.samples", str(SAMPLES), "1000", "uniform"]
    for boot in range(2):  # a guest dies now and then of the emulator
        shared = tmp_path / str(boot)
        shared.mkdir()
        compile_heat(shared)
        layout = sampled(dataclasses.replace(PRESSURE, instruction_ns=None), shared, EVERY)
        done = machine.run(kernel, words, shared, timeout=300, layout=layout)
        if done.status is not None and not done.misran:
            break
    assert done.status == 0, done.output[-3000:] or done.explain()
    told = json.loads(done.output.rsplit("result ", 1)[1])
    assert told["same_page"] >= 0.99 * SAMPLES, told
    assert told["pages"] > SAMPLES / 2
    assert told["cpus"] == [1]
    counts = read_counts(shared)
    assert counts[-1].fast > 0
    assert counts[-1].slow > 0
