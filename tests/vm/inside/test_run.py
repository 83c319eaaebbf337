"""`pghot run` on a stock kernel with two tiers: what it moves, and what it leaves behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tests.vm import daemon, load
from tests.vm.groups import group
from tests.vm.layout import FAST, SLOW
from tests.vm.perf_ring import Faults
from tests.vm.promotion import share_fast, wait_until_fast

pytestmark = pytest.mark.usefixtures("settings_come_back")

BUSY = ("--pause-us", "0")
"""The kernel first looks at a process after a second of its CPU time."""


MB = 1_000_000


def test_a_run_is_ready_within_three_imports_of_numpy_and_holds_at_most_80_megabytes() -> None:
    imports, starts, held = [], [], []
    with load.running(32, 8) as process:
        for _ in range(3):
            began = time.monotonic()
            subprocess.run([sys.executable, "-c", "import numpy"], check=True)
            imports.append(time.monotonic() - began)
            began = time.monotonic()
            with daemon.running("-p", str(process.pid)) as running:
                starts.append(running.wait_until_watching() - began)
                held.append(held_by(running.process.pid))
    print(f"import numpy {imports}, ready {starts} s; {held} bytes")
    assert min(starts) <= 3 * min(imports)
    assert max(held) <= 80 * MB


def held_by(pid: int) -> int:
    """The bytes of memory that a process holds."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def test_hot_pages_and_no_others_become_fast_intact_by_pghot_alone(tmp_path: Path) -> None:
    before = daemon.kernel_promoted()
    prefix = (daemon.PGHOT, "run", "-o", str(tmp_path / "result"), "--")
    with load.running(64, 16, options=("--write", *BUSY), prefix=prefix) as process:
        hot, cold = process.addresses(64)
        seconds = wait_until_fast(process, hot)
        # Before the comparison, which reads every page, and so makes cold ones warm.
        cold_moved = int(np.count_nonzero(process.nodes(cold) == FAST))
        assert process.verify().startswith("checksum ok")
        assert process.stop().startswith("checksum ok")
    assert cold_moved <= 0.01 * len(cold)
    live = json.loads((tmp_path / "result/summary.json").read_text())["live"]
    assert live["kernel_promoted_pages"] == 0
    assert daemon.kernel_promoted() == before
    assert live["promoted_pages"] >= 0.99 * len(hot)
    assert live["fault_latency"]["ready"] > 0, "no probe tells latencies here"
    assert live["cpu_s"] > 0
    assert live["batch_latency"]["count"] > 0
    lost = live["sources"]["hintfault"]["lost"]
    print(f"99 % of the hot pages fast after {seconds:.2f} s, {cold_moved} cold pages moved")
    print(f"cpu {live['cpu_s'] / live['real_s']:.1%}, lost {lost}, {live['batch_latency']}")


def test_huge_folios_move_whole_and_stay_huge() -> None:
    with load.running(64, 16, options=("--huge", *BUSY)) as process:
        hot, cold = process.addresses(64)
        huge = _huge_kib(process.pid)
        with daemon.running(*daemon.PATIENT, "-p", str(process.pid)) as pghot:
            wait_until_fast(process, hot)
            pages = hot[:, None] + np.arange(512, dtype=np.uint64) * np.uint64(load.PAGE)
            assert set(process.nodes(pages.ravel())) == {FAST}
            assert share_fast(process, cold) == 0
            assert _huge_kib(process.pid) == huge == 64 << 10
            pghot.stop(signal.SIGINT)
        assert process.stop().startswith("checksum ok")


def _huge_kib(pid: int) -> int:
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return int(text.split("AnonHugePages:")[1].split()[0])


def test_of_two_control_groups_only_the_chosen_one_is_moved_and_counted() -> None:
    with (
        group("pghot-yes") as yes,
        group("pghot-no") as no,
        load.running(32, 8, options=BUSY, prefix=yes.inside) as ours,
        load.running(32, 8, options=BUSY, prefix=no.inside) as other,
    ):
        hot, _cold = ours.addresses(32)
        with daemon.running(*daemon.PATIENT, "-G", yes.name) as pghot:
            pghot.wait_until_watching()
            ring = Faults(other.pid)
            wait_until_fast(ours, hot)
            ring.until_all_seen(map(int, other.addresses(32)[0]), daemon.START_S)
            ring.close()
            others = np.concatenate(other.addresses(32))
            assert set(other.nodes(others)) == {SLOW}
            live = pghot.stop(signal.SIGHUP)["live"]
    assert live["memcg_promoted"] == {str(yes.inode): live["promoted_pages"]}
    assert live["left_out"]["of other processes"] > 0


def test_what_kills_leave_is_put_back_by_the_next_run_and_by_restore() -> None:
    before = daemon.settings()
    command = ("--", "sh", "-c", "echo up $$ >&2; exec sleep 1000")
    for number, instant in enumerate((0.0, 1.3)):
        with daemon.running(*command) as pghot:
            launched = pghot.wait_for("up ")
            told = "put back what a killed pghot left: " in pghot.said
            assert told == (number > 0), pghot.said
            assert daemon.settings() != before
            if not number:
                second = daemon.pghot("run", "-a")
                assert second.returncode == 1
                assert f"pghot runs here already: pid {pghot.process.pid}," in second.stderr
                assert second.stderr.count("\n") == 1
            time.sleep(instant)
            pghot.process.kill()
            pghot.process.wait()
            os.kill(int(launched), signal.SIGKILL)
    restored = daemon.pghot("restore")
    assert restored.returncode == 0, restored.stderr
    assert "/proc/sys/kernel/numa_balancing: " in restored.stdout
    assert daemon.settings() == before


def test_a_launched_command_is_the_sudo_users_and_its_status_comes_through() -> None:
    user = {"SUDO_UID": "65534", "SUDO_GID": "65534", "SUDO_USER": "nobody"}
    script = "test $(id -u) = 65534 && test $(id -g) = 65534 && exit 7"
    with daemon.running("--", "sh", "-c", script, environment=user) as pghot:
        assert pghot.process.wait(daemon.START_S) == 7, pghot.said
