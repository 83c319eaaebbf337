"""What a stock kernel does, as the live command relies on it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from pghot.linux.host import Host
from tests.vm import hotplug, load
from tests.vm.daemon import START_S
from tests.vm.layout import FAST, SLOW
from tests.vm.perf_ring import Faults
from tests.vm.promotion import wait_for

BALANCING = "/proc/sys/kernel/numa_balancing"
RATE_LIMIT = "/proc/sys/kernel/numa_balancing_promote_rate_limit_MBps"
TIERS = "/sys/devices/virtual/memory_tiering"
HOST = Host()


def vmstat() -> dict[str, int]:
    rows = (line.split() for line in HOST.text("/proc/vmstat").splitlines())
    return {name: int(count) for name, count in rows}


@pytest.fixture
def detecting() -> Iterator[None]:
    """NUMA balancing in tiering mode with its own promotion held at nothing."""
    before = {name: HOST.text(name) for name in (RATE_LIMIT, BALANCING)}
    HOST.write(RATE_LIMIT, "0")
    HOST.write(BALANCING, "2")
    yield
    for name, value in reversed(before.items()):
        HOST.write(name, value)


def test_both_nodes_are_online_and_only_the_fast_one_has_cpus() -> None:
    assert HOST.text("/sys/devices/system/node/online") == f"{FAST}-{SLOW}"
    assert HOST.text("/sys/devices/system/node/has_cpu") == str(FAST)
    print(f"up {HOST.text('/proc/uptime').split()[0]} s after the kernel's start")


def test_the_fast_tier_has_the_lower_number() -> None:
    tiers = {
        int(name.removeprefix("memory_tier")): HOST.text(f"{TIERS}/{name}/nodelist")
        for name in HOST.names(TIERS)
        if name.startswith("memory_tier")
    }
    assert [nodes for _tier, nodes in sorted(tiers.items())] == [str(FAST), str(SLOW)]


def test_zoneinfo_has_a_promo_watermark_above_high() -> None:
    text = HOST.text("/proc/zoneinfo")
    zone = text[text.index(f"Node {FAST}, zone    DMA32") :].split("\nNode")[0]
    marks = [line.split() for line in zone.splitlines()]
    value = {row[0]: int(row[1]) for row in marks if row[0] in {"min", "low", "high", "promo"}}
    assert value["min"] < value["low"] < value["high"] < value["promo"]


def test_the_load_starts_on_the_slow_node_and_stays_intact() -> None:
    with load.running(16, 4, options=("--write",)) as process:
        hot, cold = process.addresses(16)
        assert (len(hot), len(cold)) == (1024, 3072)
        assert set(process.nodes(np.concatenate([hot, cold]))) == {SLOW}
        assert process.verify().startswith("checksum ok")
        assert process.stop().startswith("checksum ok")
        assert process.process.returncode == 0


def test_a_corrupt_page_does_not_pass_for_intact() -> None:
    with load.running(4, 1) as process:
        with Path(f"/proc/{process.pid}/mem").open("r+b", buffering=0) as memory:
            memory.seek(process.base + 5 * load.PAGE + 8)
            memory.write(b"corrupt!")
        assert process.stop() == "checksum bad pages 1 first 5"
        assert process.process.returncode == 1


def test_move_pages_moves_single_pages() -> None:
    with load.running(8, 1) as process:
        hot, cold = process.addresses(8)
        HOST.move_pages(process.pid, hot, np.full(len(hot), FAST, np.int32))
        assert set(process.nodes(hot)) == {FAST}
        assert set(process.nodes(cold)) == {SLOW}
        assert process.stop().startswith("checksum ok")


def test_move_pages_moves_a_huge_folio_by_its_head() -> None:
    with load.running(8, 2, options=("--huge",)) as process:
        hot, cold = process.addresses(8)
        assert len(hot) == 1
        HOST.move_pages(process.pid, hot, np.full(1, FAST, np.int32))
        pages = hot[0] + np.arange(512, dtype=np.uint64) * np.uint64(load.PAGE)
        assert set(process.nodes(pages)) == {FAST}
        assert set(process.nodes(cold)) == {SLOW}
        assert process.stop().startswith("checksum ok")


@pytest.mark.usefixtures("detecting")
def test_tiering_mode_without_a_rate_shows_hot_pages_and_promotes_none() -> None:
    with load.running() as process:
        hot, cold = process.addresses(64)
        before = vmstat()
        ring = Faults(process.pid)
        faults = ring.until_all_seen(map(int, hot), START_S)
        seconds = time.monotonic() - process.started
        ring.close()
        # A fault is sampled before it is counted: the last may still be on its way.
        wait_for(lambda: _too_few_hint_faults(before, len(hot)))
        assert vmstat()["pgpromote_success"] == before["pgpromote_success"]
        assert set(process.nodes(hot)) == {SLOW}
        seen = {fault.address & -load.PAGE for fault in faults}
        assert seen.isdisjoint({int(address) for address in cold})
        assert all(fault.physical for fault in faults)
        print(f"all hot pages seen {seconds:.2f} s after the load's start")
        print(f"{len(faults)} samples, {ring.lost} lost")


def _too_few_hint_faults(before: dict[str, int], wanted: int) -> str:
    """Each page that was seen had been there: its fault was a hint, and the kernel counts it."""
    counted = vmstat()["numa_hint_faults"] - before["numa_hint_faults"]
    return "" if counted >= wanted else f"{counted} hint faults of {wanted} counted"


def test_memory_can_be_added_to_the_slow_node() -> None:
    def total() -> int:
        text = HOST.text(f"/sys/devices/system/node/node{SLOW}/meminfo")
        return int(text.split("MemTotal:")[1].split()[0])

    wanted = total() + (256 << 10)
    hotplug.add_memory("fact", node=SLOW, mib=256)
    # It comes online block by block.
    wait_for(lambda: "" if total() >= wanted else f"{total()} of {wanted} KiB", every=0.1)
    assert total() == wanted


def test_the_emulator_computes_right() -> None:
    random = np.random.default_rng(1)
    for size in range(100, 5000, 100):
        values = random.integers(0, 1000, size).astype(np.uint64)
        found, inverse = np.unique(values, return_inverse=True)
        assert found.tolist() == sorted(set(values.tolist()))
        assert found[inverse].tolist() == values.tolist()
