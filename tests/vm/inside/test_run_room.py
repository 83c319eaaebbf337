"""`pghot run` on a stock kernel: nodes that are full, that grow, that come and go."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from pghot.linux.host import Host
from tests.vm import daemon, hotplug, load, room
from tests.vm.groups import group
from tests.vm.layout import FAST, SPARE
from tests.vm.promotion import fast, wait_for, wait_until_fast

pytestmark = pytest.mark.usefixtures("settings_come_back")

BUSY = ("--pause-us", "0")
_COUNTS = re.compile(r"promoted ([\d,]+) .* refused ([\d,]+)")
ONLINE = Path("/sys/devices/system/memory/auto_online_blocks")


def test_a_nearly_full_fast_node_takes_what_it_has_room_for_and_the_rest_is_told() -> None:
    busy = (*BUSY, "--write")
    with (
        group("pghot-room") as ours,
        daemon.running(*daemon.PATIENT, "-G", ours.name) as pghot,
    ):
        pghot.wait_until_watching()
        with (
            room.filling(FAST) as filler,
            load.running(64, 48, options=busy, prefix=ours.inside) as process,
        ):
            hot, cold = process.addresses(64)
            wait_for(lambda: _none_moved(filler, process, hot), every=0.2)
            wait_for(lambda: _undecided(filler, pghot, process, hot), every=0.2)
            wait_for(lambda: _at_min(filler), every=0.2)
            live = pghot.stop()["live"]  # before the comparison, which makes cold pages warm
            moved, others = (fast(process.pid, pages) for pages in (hot, cold))
            print(f"{moved} of {len(hot)} hot pages moved; {live['refused']}")
            assert process.verify().startswith("checksum ok")
            assert process.stop().startswith("checksum ok")
    assert live["promoted_pages"] == pytest.approx(moved + others, abs=16)
    assert moved > 0
    assert others <= 0.01 * len(cold)
    if moved < len(hot):
        assert sum(live["refused"].values()) > 0


def _at_min(filler: room.Filler) -> str:
    """Give room back where everybody who allocates has to wait, for kswapd may have given up."""
    zone = room.main_zone(FAST)
    if zone.free > zone.min:
        return ""
    filler.leave(0)
    return f"no more than min is free: {zone}"


def _none_moved(filler: room.Filler, process: load.Load, hot: np.ndarray) -> str:
    """Keep a little room, whoever else takes of it, until some of the pages are there."""
    filler.leave(8)
    return "" if fast(process.pid, hot) else f"no page moved; {room.main_zone(FAST)}"


def _undecided(
    filler: room.Filler, pghot: daemon.Daemon, process: load.Load, hot: np.ndarray
) -> str:
    """Take what room kswapd makes until a status tells of pages moved and of others refused.

    Or until all have moved: kswapd may be the faster.
    """
    filler.leave(0, give_back=False)
    told = _COUNTS.findall(pghot.said)
    if told and "0" not in told[-1]:
        return ""
    moved = fast(process.pid, hot)
    return "" if moved == len(hot) else f"{moved} moved; (promoted, refused): {told[-1:]}"


def test_a_slow_node_that_comes_during_a_run_is_followed(tmp_path: Path) -> None:
    log = tmp_path / "log.parquet"
    end = max(zone.end_pfn for zone in _zones())
    watching = (*daemon.PATIENT, "--record", str(log), "-G", "pghot-more")
    spare = (*BUSY, "--node", str(SPARE))
    with group("pghot-more") as ours, daemon.running(*watching) as pghot:
        pghot.wait_until_watching()
        with _added("run-spare", node=SPARE, mib=128):
            with load.running(32, 8, options=spare, prefix=ours.inside) as process:
                hot, _cold = process.addresses(32)
                wait_until_fast(process, hot)
                assert process.verify().startswith("checksum ok")
            wait_for(lambda: _taken_offline(SPARE), every=1)
            live = pghot.stop()["live"]
    assert live["promoted_pages"] >= 0.99 * len(hot)
    assert np.mean(pq.read_table(log)["pfn"].to_numpy() >= end) > 0.5


def _taken_offline(node: int) -> str:
    """Take all memory of a node offline; say what the kernel has against it."""
    try:
        for state in Path(f"/sys/devices/system/node/node{node}").glob("memory*/state"):
            state.write_text("offline")
    except OSError as error:
        return f"node {node} cannot be taken offline: {error.strerror}"
    return ""


@contextlib.contextmanager
def _added(name: str, *, node: int, mib: int) -> Iterator[None]:
    """Add memory that can be taken away again, which whoever is inside does before the end."""

    def present() -> int:
        return sum(zone.present for zone in _zones() if zone.node == node)

    before = ONLINE.read_text().strip()
    wanted = present() + mib * room.MIB_PAGES
    ONLINE.write_text("online_movable")
    try:
        hotplug.add_memory(name, node=node, mib=mib)
        wait_for(lambda: "" if present() >= wanted else f"node {node} did not grow")
    finally:
        ONLINE.write_text(before)
    yield
    hotplug.remove_memory(name)
    gone = Path(f"/sys/devices/system/node/node{node}")
    wait_for(lambda: f"node {node} is still there" if gone.exists() else "")


def _zones() -> tuple[room.ZoneInfo, ...]:
    return room.read_zoneinfo(Host())


def test_numa_balancing_switched_off_by_somebody_else_is_told_and_left_so() -> None:
    line = f"{daemon.BALANCING} was set to 0 by somebody else; it was 2"
    with daemon.running("-a") as pghot:
        wait_for(lambda: _unsaid(pghot, "samples"), every=0.1)
        daemon.BALANCING.write_text("0")
        wait_for(lambda: _unsaid(pghot, line), every=0.1)
        pghot.stop()
    assert daemon.BALANCING.read_text().strip() == "0"


def _unsaid(pghot: daemon.Daemon, words: str) -> str:
    return "" if words in pghot.said else f"{words!r} was not said: {pghot.said}"
