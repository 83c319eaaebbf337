"""kill -9 at random instants of a run under pressure leaves nothing behind (tests.vm.kills)."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from tests.left_out import leave_out
from tests.vm import kernels, machine
from tests.vm.compare import PRESSURE
from tests.vm.tier_count import compile_heat

EVERYTHING = os.environ.get("PGHOT_VM_ALL") == "1"
KILLS = int(os.environ.get("PGHOT_VM_KILLS", "200" if EVERYTHING else "5"))
A_KILL_S = 60
"""What a start, a kill and a restore may take on a machine that is busy."""


@pytest.mark.vm(by_instructions=True)
@pytest.mark.parametrize("which", kernels.WHICH if EVERYTHING else (kernels.NEWEST,))
def test_after_a_kill_at_any_instant_restore_puts_all_back_and_every_page_is_intact(
    which: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if absent := machine.missing():
        leave_out(request.config, "kills in a VM", f"not installed: {', '.join(absent)}")
    try:
        kernel = kernels.find(which)
    except kernels.NoKernelError as reason:
        leave_out(request.config, f"kills on {which}", str(reason))
    words = [sys.executable, "-m", "tests.vm.kills", str(KILLS), "1", "1200", "zipf", "0.99"]
    for boot in range(2):  # a guest dies now and then of the emulator
        shared = tmp_path / str(boot)
        shared.mkdir()
        compile_heat(shared)
        done = machine.run(
            kernel,
            words,
            shared,
            timeout=300 + KILLS * A_KILL_S,
            layout=PRESSURE,
        )
        if done.status is not None and not done.misran:
            break
    assert done.status == 0, done.output[-3000:] or done.explain()
    told = json.loads(done.output.rsplit("result ", 1)[1])
    print(told)
    assert told["kills"] == KILLS
    assert told["with_settings_changed"] > 0
    assert told["migrated"] > 0
