"""A batch of kmigrated that falls to many processes: one call for all pages of each."""

from __future__ import annotations

import numpy as np
import pytest

from pghot.engine.reasons import MOVED, NOT_TARGET, STALE
from pghot.linux.nodes.topology import read_topology
from pghot.linux.pages.batch_size import LatencyBudget
from pghot.linux.pages.kpage import KPages
from pghot.linux.processes.targets import Pids
from pghot.live.machine import HostMachine
from pghot.live.mover import HostMover
from pghot.live.rmap import Rmap
from tests.live.world import FAST, PAGE, World

PROCESSES = range(1000, 1100)
PAGES = (16, 17, 40)


class Made:
    """A mover, and folios of many processes: one of each process after the other."""

    def __init__(self, root, budget: LatencyBudget) -> None:
        world = self.world = World(root)
        world.process(40)
        for pid in PROCESSES:
            world.process(pid, ppid=40)
        self.owned = [(pid, page) for page in PAGES for pid in PROCESSES]
        self.pfns = np.array([world.map(*one) for one in self.owned], np.uint64)
        targets = self.targets = Pids([40])
        targets.resolve(world)
        rmap = Rmap(1 << 26)
        self.kpages = KPages(world)
        self.mover = HostMover(world, targets, self.kpages, rmap, budget, clock=world.clock.now_ns)
        machine = HostMachine(world, read_topology(world), self.mover)
        self.mover.of(machine)
        pids, pages = np.array(self.owned).T
        rmap.see(
            machine.mem_map.indices(self.pfns),
            pids.astype(np.int32),
            pages.astype(np.uint64) * np.uint64(PAGE),
        )

    def move(self) -> list[bool]:
        return self.mover.move(self.pfns, FAST).tolist()

    def close(self) -> None:
        self.kpages.close()
        self.mover.pagemap.close()


@pytest.fixture
def made(tmp_path):
    made = Made(tmp_path / "host", LatencyBudget(20))
    yield made
    made.close()


def test_a_process_gets_one_call_for_all_its_pages(made):
    assert all(made.move())
    assert made.world.moves == [(pid, list(PAGES), FAST) for pid in PROCESSES]
    assert made.mover.answers.tolist() == [MOVED] * len(made.owned)


def test_what_is_over_the_latency_budget_is_another_call(tmp_path):
    made = Made(tmp_path / "host", LatencyBudget(20, maximum=2, start=2))
    assert all(made.move())
    made.close()
    calls = [(pid, pages) for pid, pages, _nid in made.world.moves]
    assert calls[:2] == [(1000, [16, 17]), (1000, [40])]
    assert len(calls) == 2 * len(PROCESSES)


def test_each_folio_is_answered_for_by_itself(made):
    world, gone, ended, other = made.world, (1001, 17), 1002, 1003
    world.unmap(*gone)
    world.exit(ended)
    made.targets.exited(ended)
    made.targets.changed({}, {other: 1000}, None)
    world.busy = {(1004, 40)}
    moved = dict(zip(made.owned, made.move(), strict=True))
    refused = {gone, (1004, 40)} | {(pid, page) for pid in (ended, other) for page in PAGES}
    assert {one for one, is_moved in moved.items() if not is_moved} == refused
    answers = dict(zip(made.owned, made.mover.answers.tolist(), strict=True))
    assert answers[gone] == STALE
    assert {answers[ended, page] for page in PAGES} == {NOT_TARGET}
    assert {answers[other, page] for page in PAGES} == {NOT_TARGET}
    assert answers[1004, 40] == "EBUSY"
    assert sum(made.mover.before.values()) == len(refused) - 1
    calls = [pid for pid, _pages, _nid in world.moves]
    assert calls == [pid for pid in PROCESSES if pid not in {ended, other}]
