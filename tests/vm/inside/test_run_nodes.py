"""`pghot run` on a stock kernel whose nodes are not two plain ones, and within limits."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pghot.engine.pfn_ranges import PfnRange
from pghot.linux.host import Host
from pghot.linux.nodes.topology import Topology, read_topology
from tests.vm import daemon, hotplug, load
from tests.vm.groups import group
from tests.vm.layout import FAST, SLOW, SPARE
from tests.vm.promotion import wait_for, wait_until_fast

pytestmark = pytest.mark.usefixtures("settings_come_back")

BUSY = ("--pause-us", "0")
ONLINE = Path("/sys/devices/system/memory/auto_online_blocks")


@contextlib.contextmanager
def plugged(name: str, *, node: int, state: str) -> Iterator[None]:
    """Memory of 128 MiB plugged into a node, its blocks online or not; taken away at the end."""
    before, blocks = ONLINE.read_text().strip(), _blocks(node)
    ONLINE.write_text(state)
    try:
        hotplug.add_memory(name, node=node, mib=128)
        wait_for(lambda: "" if _blocks(node) > blocks else f"node {node} has no new block")
    finally:
        ONLINE.write_text(before)
    new = _blocks(node) - blocks
    yield
    wait_for(lambda: _offline(new), every=1)
    hotplug.remove_memory(name)
    wait_for(lambda: "" if _blocks(node) == blocks else f"{new} are still there")


def _blocks(node: int) -> set[str]:
    place = Path(f"/sys/devices/system/node/node{node}")
    return {path.name for path in place.glob("memory[0-9]*")} if place.exists() else set()


def _offline(blocks: set[str]) -> str:
    try:
        for block in blocks:
            Path(f"/sys/devices/system/memory/{block}/state").write_text("offline")
    except OSError as error:
        return f"{blocks} cannot be taken offline: {error.strerror}"
    return ""


def _topology(tiers: str | None = None) -> Topology:
    return read_topology(Host(), tiers)


def _doctor(*words: str, limit: str = "") -> dict[str, Any]:
    """The doctor's checks by name, after what a shell sets."""
    command = f"{limit} exec {daemon.PGHOT} doctor --json {' '.join(words)}"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    said = json.loads(done.stdout)
    return {"can_run": said["can_run"], **{check["name"]: check for check in said["checks"]}}


SHARER = """
import ctypes, mmap, os, sys, time
import numpy as np
memory = np.frombuffer(mmap.mmap(-1, 2 << 20), np.uint8)
mask = ctypes.c_ulong(int(sys.argv[1]))
MBIND, BIND, NUMA_BALANCING = 237, 2, 1 << 13
done = ctypes.CDLL(None, use_errno=True).syscall(
    MBIND, ctypes.c_void_p(memory.ctypes.data), ctypes.c_ulong(memory.nbytes),
    BIND | NUMA_BALANCING, ctypes.byref(mask), ctypes.c_ulong(64), 0)
assert done == 0, os.strerror(ctypes.get_errno())
pages = memory[::4096]
pages.sum()
parent = os.getpid()
if os.fork() == 0:
    pages.sum()
    while os.getppid() == parent:
        time.sleep(0.1)
    os._exit(0)
time.sleep(1)
print(pages.ctypes.data, flush=True)
while True:
    pages.sum()
    time.sleep(0.005)
"""
"""Shared memory that two processes map: pages that are copied on write get no hint faults.

Of its nodes it says by a policy that it may be balanced: 6.12 scans no shared memory that has none
(vma_policy_mof() of mm/mempolicy.c).
"""


@contextlib.contextmanager
def sharing(prefix: Sequence[str]) -> Iterator[tuple[int, np.ndarray]]:
    """A process, and the addresses of pages that its child maps as well."""
    command = [*prefix, sys.executable, "-c", SHARER, str(1 << SLOW | 1 << SPARE)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            first = int(process.stdout.readline())
            yield process.pid, np.uint64(first) + np.arange(512, dtype=np.uint64) * np.uint64(4096)
        finally:
            process.kill()


def test_pages_go_to_the_fast_node_that_the_cpuset_has_and_shared_ones_where_it_is_asked() -> None:
    """A second fast node, by --tiers, that alone is in the cpuset of what is watched."""
    tiers = ("--tiers", f"{FAST},{SPARE}/{SLOW}", "--move-shared")
    with plugged("second", node=SPARE, state="online_movable"), group("pghot-near") as ours:
        ours.allow(f"{SLOW}-{SPARE}")
        with (
            load.running(16, 4, options=BUSY, prefix=ours.inside) as process,
            sharing(ours.inside) as (sharer, shared),
            daemon.running(*daemon.PATIENT, *tiers, "-p", f"{process.pid},{sharer}") as pghot,
        ):
            hot, cold = process.addresses(16)
            wait_for(lambda: _not_on(SPARE, process.pid, hot), every=0.2)
            wait_for(lambda: _not_on(SPARE, sharer, shared), every=0.2)
            live = pghot.stop()["live"]
            assert np.isin(process.nodes(cold), [SLOW, SPARE]).all()
            assert FAST not in process.nodes(hot)
            assert process.verify().startswith("checksum ok")
    assert live["promoted_pages"] >= 0.98 * (len(hot) + len(shared))


def _not_on(node: int, pid: int, pages: np.ndarray) -> str:
    share = np.mean(Host().move_pages(pid, pages, None) == node)
    return "" if share >= 0.99 else f"{share:.1%} of the pages of {pid} are on node {node}"


def test_memory_added_to_the_fast_node_lies_above_the_slow_one_and_is_its_own() -> None:
    slow = _topology().node(SLOW)
    assert slow
    with plugged("above", node=FAST, state="online_movable"):
        fast = _topology().node(FAST)
        assert fast
        assert fast.pfns[-1].start >= slow.pfns[-1].end
        assert len(fast.pfns) > 1
        with (
            load.running(16, 4, options=BUSY) as process,
            daemon.running(*daemon.PATIENT, "-p", str(process.pid)) as pghot,
        ):
            wait_until_fast(process, process.addresses(16)[0])
            pghot.stop()


def test_a_node_that_is_offline_is_named_and_the_command_onlines_it() -> None:
    with plugged("offline", node=SPARE, state="offline"):
        node = _topology().node(SPARE)
        assert node
        assert (node.pfns, len(node.offline)) == ((), 1)
        topology = _topology()
        shown = subprocess.run(
            [daemon.PGHOT, "topology"], capture_output=True, text=True, check=True
        ).stdout
        (line,) = [line for line in shown.splitlines() if "to bring online" in line]
        assert f"node {SPARE}: memory block {node.offline[0]} offline" in line
        command = line.partition("to bring online: ")[2].replace("sudo ", "")
        subprocess.run(["bash", "-c", command], check=True, capture_output=True)
        after = _topology().node(SPARE)
        assert after
        assert (len(after.pfns), after.offline) == (1, ())
        assert isinstance(after.pfns[0], PfnRange)
        assert topology.fast == _topology().fast


def test_descriptors_are_counted_and_the_soft_limit_is_no_matter() -> None:
    few = _doctor(limit="ulimit -n 40;")
    assert not few["can_run"]
    assert "the hard limit is 40" in few["descriptors"]["detail"]
    assert _doctor(limit="ulimit -Sn 16;")["can_run"]
    run = f"ulimit -Sn 16; exec {daemon.PGHOT} run -a -d 1 --json"
    done = subprocess.run(["sh", "-c", run], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
