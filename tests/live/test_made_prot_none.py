"""A run knows how many pages the scan made prot_none, and promotes those that fault first."""

from __future__ import annotations

import numpy as np
import pytest

import pghot
from pghot.engine.fault_latency import FIRST_SHIFT
from pghot.live.options import LiveOptions
from pghot.replaying.replay import replay
from pghot.sources.prot_none import Ends, Ranges
from tests.live.world import FAST, MS, PAGE, Heard, World, run, state_in

SCANNED, FAULTING = 512, 200
"""Pages of process 40 that are made prot_none; those of them that are accessed later on."""

FIRST = SCANNED >> FIRST_SHIFT
SCAN_MS = 110
"""Milliseconds from the start to the step of the scan: after the first wake-up."""


class Scans:
    """A probe that tells of one step as it ends."""

    lost = 0

    def __init__(self, world: World) -> None:
        self._world = world
        self._told = False

    def enable(self) -> None:
        """Start."""

    def close(self) -> None:
        """Take it away."""

    def drain(self) -> tuple[Ranges, Ends]:
        """The step of the process, and one of another process."""
        count = 2 * (not self._told and self._world.clock.now_us() > SCAN_MS * MS)
        self._told |= count > 0
        at = np.full(count, self._world.clock.start_ns + SCAN_MS * MS * 1000, np.uint64)
        pid = np.array([40, 41][:count], np.int32)
        start = np.zeros(count, np.uint64)
        pages = np.array([SCANNED, 1 << 20][:count], np.uint64)
        end = np.full(count, SCANNED * PAGE, np.uint64)
        return Ranges(at, pid, pid, start, end), Ends(at, pid, pid, pages)


@pytest.fixture
def pressed(tmp_path, monkeypatch) -> World:
    """A host without room, where pages of process 40 are accessed one after the other."""
    state_in(tmp_path / "state", monkeypatch)
    monkeypatch.setattr("pghot.live.session.ProtNone", Scans)
    world = World(tmp_path / "host")
    world.free[FAST] = 3000
    world.process(40)
    world.map(40, 99)
    world.heat(40, 99, times=2)  # hot by its count: the first pass looks at what room there is
    for page in range(100, 100 + FAULTING):
        world.map(40, page)
        world.heat(40, page, start_ms=SCAN_MS + page - 80, times=1)
    return world


def test_those_that_fault_first_of_all_that_were_made_prot_none_are_promoted(pressed) -> None:
    run(pressed, LiveOptions(pids=(40,), duration=1))
    fast = [page for page in range(100, 100 + FAULTING) if pressed.nid_of(40, page) == FAST]
    assert fast == list(range(100, 100 + FIRST))


def test_a_replay_of_a_run_knows_it_too(pressed, tmp_path) -> None:
    log, again = tmp_path / "log.parquet", Heard()
    live, heard, _status = run(pressed, LiveOptions(pids=(40,), duration=1), record=log)
    settings = pghot.Settings(fidelity=live.engine.fidelity)
    result = replay(log, settings=settings, observer=again)
    assert result.as_live
    assert again.batches == heard.batches
    assert result.pages_promoted == 1 + FIRST
