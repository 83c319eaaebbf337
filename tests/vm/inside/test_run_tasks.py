"""`pghot run` on a stock kernel: what becomes of its processes."""

from __future__ import annotations

import os
import signal

import pytest

from tests.vm import daemon, load
from tests.vm.promotion import fast, wait_until_fast

pytestmark = pytest.mark.usefixtures("settings_come_back")

BUSY = ("--pause-us", "0")


def test_targets_that_fork_and_execute_in_the_middle_are_followed() -> None:
    with load.running(16, 4, options=BUSY) as process:
        hot, cold = process.addresses(16)
        sharer = process.share()
        with daemon.running(*daemon.PATIENT, "-p", str(process.pid)) as pghot:
            pghot.wait_until_watching()
            child = process.spawn()
            childs_hot, _cold = child.addresses(16)
            assert child.pid != process.pid
            wait_until_fast(child, childs_hot)
            assert fast(process.pid, hot) == 0, "pages that are shared after a fork are nobody's"
            os.kill(sharer, signal.SIGKILL)
            wait_until_fast(process, hot)
            assert fast(process.pid, cold) == 0
            assert process.verify().startswith("checksum ok")
            anew = process.execute_anew()
            assert anew.pid == process.pid
            hot, cold = anew.addresses(16)
            wait_until_fast(anew, hot)
            assert anew.verify().startswith("checksum ok")
            assert child.verify().startswith("checksum ok")
            live = pghot.stop()["live"]
    assert live["promoted_pages"] >= 3 * 0.99 * len(hot)
    print(f"promoted {live['promoted_pages']}, refused {live['refused']}, {live['left_out']}")


def test_a_target_killed_in_the_middle_ends_the_run_cleanly() -> None:
    with (
        load.running(32, 8, options=BUSY) as process,
        daemon.running(*daemon.PATIENT, "-p", str(process.pid)) as pghot,
    ):
        wait_until_fast(process, process.addresses(32)[0])
        process.process.kill()
        process.process.wait()
        assert pghot.result()["live"]["ended"] == "the targets ended"
