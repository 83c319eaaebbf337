"""Hot pages are promoted by what hardware would see alone: an emulator's samples, from outside."""

from __future__ import annotations

import json
import os
import struct
import sys
from pathlib import Path
from typing import Any

import pytest

from pghot.sources.access_form import from_bytes
from tests.left_out import leave_out
from tests.vm import kernels, machine, relay, tier_count
from tests.vm.layout import Layout

PORT = "pghot.samples"
LAYOUT = Layout(fast_mib=768, slow_mib=1536, extra_mib=1024)
"""All of it below 4 GiB, where the plugin tells addresses as they are: q35 splits 2,816 MiB."""

EVERY = 200
"""Accesses that miss the cache, between two samples."""

SECONDS = 120
LOAD = ("-s", "-i", "500", "64", "hot", "16", "0", "1")
"""16 MiB that are accessed evenly, of 64 MiB; all are slow at first."""

HOT_PAGES = 16 << 8
COLD_PAGES = 48 << 8


def test_a_sample_of_the_plugin_is_passed_on_as_a_bare_frame() -> None:
    samples = struct.pack("<QQQII", 5, 0x20_0000_0000, 0x1_2345_6789, 1, 1)
    done = from_bytes(relay.records(samples), 0, (0, 1))
    assert done.bad == 0
    assert done.records.tolist() == [(0, 0x12_3456, 0, 1, 1, -1, 1)]


def run_once(kernel: kernels.Kernel, directory: Path) -> machine.Finished:
    directory.mkdir()
    tier_count.compile_heat(directory)
    layout = tier_count.sampled(LAYOUT, directory, EVERY)
    words = [sys.executable, "-m", "tests.vm.outside", PORT, str(SECONDS), *LOAD]
    return machine.run(kernel, words, directory, timeout=600, layout=layout)


@pytest.fixture
def told(tmp_path: Path, request: pytest.FixtureRequest) -> dict[str, Any]:
    """What came of it; a guest that dies is booted once more."""
    if absent := machine.missing():
        leave_out(request.config, "a VM test", f"not installed: {', '.join(absent)}")
    try:
        kernel = kernels.find(kernels.NEWEST)
    except kernels.NoKernelError as reason:
        leave_out(request.config, "a VM test", str(reason))
    for attempt in ("1", "2"):
        done = run_once(kernel, tmp_path / attempt)
        if done.status == 0 or not done.misran:
            break
    for line in done.output.splitlines():
        if line.startswith("result "):
            return json.loads(line.removeprefix("result "))
    pytest.fail(f"{done.output[-4000:]}\n{done.explain()}")


@pytest.mark.vm
@pytest.mark.skipif(os.environ.get("PGHOT_VM_ALL") != "1", reason="wants PGHOT_VM_ALL=1")
def test_hot_pages_and_no_others_are_promoted_by_samples_from_outside_alone(told) -> None:
    live = told["result"]["live"]
    print(
        f"hot {told['hot']:.1%} fast after {told['at']} s, cold {told['cold']}; {live['sources']}"
    )
    assert told["hot"] >= 0.99
    assert told["cold"] <= 0.01 * COLD_PAGES
    assert live["promoted_pages"] >= 0.99 * HOT_PAGES
    assert list(live["sources"]) == ["external"]
    counts = live["sources"]["external"]
    assert counts["seen"] > HOT_PAGES
    assert (counts["corrupt"], counts["lost"]) == (0, 0)
    assert told["balancing"] == "0", "hint faults had a part in it"
    assert told["result"]["vmstat"]["pghot_recorded_hintfaults"] == 0
    assert told["result"]["vmstat"]["pghot_recorded_hwhints"] > 0
