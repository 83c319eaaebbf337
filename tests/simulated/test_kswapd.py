"""kswapd makes room on a top-tier node that a promotion found full, with what is cold."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pghot.simulated.machine.kswapd import SWAP_CLUSTER_MAX
from pghot.simulated.machine.lru import ACTIVE, INACTIVE, LruLists, inactive_ratio
from pghot.simulated.policies.simulate import Simulation, simulate
from pghot.simulated.scenario.scenario import Scenario
from pghot.simulated.world import World
from tests.simulated.invariants import check_memory
from tests.simulated.small_machines import FAST, SLOW, link, machine, node, region, threads

PROMO, HIGH = 1000, 72
NODES = [
    node(FAST, "16 MiB", toptier=True, cpus="0-7", min_wmark=24, low_wmark=48,
         high_wmark=HIGH, promo_wmark=PROMO),
    node(SLOW, "64 MiB"),
]  # fmt: skip
TOP_PAGES = 4096
HOT = {"kind": "hot-cold", "hot_share": 0.25, "hot_accesses": 0.99999}
"""Hot pages are accessed thousands of times a second, cold ones once in half a minute."""


def full_top(**more: Any) -> Scenario:
    """A machine whose top tier is full of mostly cold pages; the other hot ones are slow."""
    return machine(
        **{
            "node": NODES,
            "region": [region(size="24 MiB", place=[FAST, SLOW])],
            "threads": [threads(count=4, stream=HOT)],
            "demotion": True,
            "sampler": {"pace_hz": 2000},
            "seconds": 3,
        }
        | more
    )


class Watched:
    """A world and what was moved in it: folios, node of each before, node now, free then."""

    def __init__(self, scenario: Scenario, policy: str) -> None:
        self.world = Simulation(scenario, policy).world
        self.demoted: list[np.ndarray] = []
        self.free: list[int] = []
        self.sources: set[int] = set()
        self.world.memory.tell(self._moved)
        self.world.run()
        check_memory(self.world.memory)

    def _moved(self, folios: np.ndarray, before: np.ndarray, nid: int) -> None:
        if nid != FAST:
            self.demoted.append(folios)
            self.free.append(self.world.memory.free_pages(FAST))
            self.sources |= set(before.tolist())


@pytest.mark.parametrize("policy", ["pghot-hwhint", "pghot-hintfault", "numab2"])
def test_cold_pages_make_room_for_hot_ones(policy: str) -> None:
    watched = Watched(full_top(seconds=6), policy)
    demoted = np.concatenate(watched.demoted)
    hot = watched.world.heat() > 1 / 6144
    assert len(demoted) > 500
    assert np.mean(hot[demoted]) < 0.01
    assert watched.world.account.hot_fast > 0.95


def test_it_rests_at_the_promo_mark() -> None:
    watched = Watched(full_top(), "pghot-hwhint")
    assert PROMO <= max(watched.free) < PROMO + SWAP_CLUSTER_MAX
    assert watched.sources == {FAST}


def test_for_large_folios_it_makes_room_for_one_above_the_mark() -> None:
    large = [region(size="24 MiB", place=[FAST, SLOW], order=9)]
    hot = HOT | {"hot_accesses": 0.9999999}
    few = full_top(region=large, threads=[threads(count=4, stream=hot)], seconds=6)
    watched = Watched(few, "pghot-hwhint")
    assert PROMO + 511 <= max(watched.free) < PROMO + 511 + 512


# R3.12
def test_it_is_woken_by_a_promotion_that_finds_no_room_and_by_nothing_else() -> None:
    for policy in ("none", "pghot-hwhint"):
        outcome = simulate(full_top(), policy)
        woken = policy != "none"
        assert (outcome.demoted > 0) == woken
        assert ("kswapd" in outcome.overhead_s) == woken
    with_room = full_top(region=[region(size="12 MiB", place=[FAST, SLOW])])
    outcome = simulate(with_room, "pghot-hwhint")
    assert outcome.demoted == 0
    assert "kswapd" not in outcome.overhead_s


def test_a_batch_that_takes_the_last_room_wakes_nobody() -> None:
    """All that is slow just fits above the high mark."""
    size = f"{(TOP_PAGES - HIGH - 1) * 4} KiB"
    fits = full_top(region=[region(size=size)], threads=[threads(count=4)])
    outcome = simulate(fits, "pghot-hintfault")
    assert outcome.promoted == TOP_PAGES - HIGH - 1
    assert outcome.demoted == 0
    assert "kswapd" not in outcome.overhead_s


def test_without_demotion_a_full_node_stays_full() -> None:
    outcome = simulate(full_top(demotion=False), "pghot-hwhint")
    assert outcome.demoted == 0
    assert outcome.refused["isolation"] > 0


@pytest.mark.parametrize("stuck", ["unmovable", "off_lru"])
def test_what_cannot_move_is_not_demoted(stuck: str) -> None:
    some = [region(size="24 MiB", place=[FAST, SLOW]) | {stuck: 0.3}]
    watched = Watched(full_top(region=some), "pghot-hwhint")
    demoted = np.concatenate(watched.demoted)
    assert len(demoted) > 0
    assert not watched.world.memory.folios.flags[demoted].any()


def test_pages_go_to_the_nearest_lower_node_that_has_room() -> None:
    nodes = [*NODES, node(2, "64 MiB")]
    links = [link(0, 100), link(1, 300, distance=60), link(2, 300, distance=40)]
    watched = Watched(full_top(node=nodes, link=links), "pghot-hwhint")
    demoted = np.concatenate(watched.demoted)
    assert set(watched.world.memory.folios.nid[demoted].tolist()) <= {0, 2}
    assert 2 in watched.world.memory.folios.nid[demoted]


def test_demotion_takes_time_in_which_the_pages_cannot_be_touched() -> None:
    """Demoting what is hot, for nothing is cold, makes threads wait."""
    world = Simulation(full_top(), "none").world
    world.start_group(world.groups[0])
    world.run()
    before = world.groups[0].debt_s
    hottest = np.argsort(-world.heat())[:64]
    world.unreachable(hottest, 64 * world.costs.move_us(0) * 1e-6, 2)
    assert world.groups[0].debt_s > before or not world.groups[0].running


# Ping-pong.


def moves(world: World, folio: int, *plan: tuple[float, int]) -> None:
    """Put down moves of a folio: when, and where to."""
    for time, nid in plan:
        world.agenda.at(time, lambda _time, nid=nid: world.memory.move(np.array([folio]), nid))


def test_ping_pong_is_a_page_promoted_within_ten_seconds_of_its_demotion() -> None:
    world = Simulation(machine(threads=[threads()], seconds=30), "none").world
    moves(world, 0, (1, FAST), (2, SLOW), (5, FAST), (6, SLOW), (16.5, FAST))
    moves(world, 1, (1, FAST), (2, SLOW), (11.5, FAST))
    world.run()
    total = world.account.total
    assert (total["promoted"], total["demoted"], total["ping_pong"]) == (5, 3, 2)


# The lists.


@pytest.mark.parametrize(("gib", "ratio"), [(0.9, 1), (1, 3), (10, 10), (100, 31), (1024, 101)])
def test_active_pages_to_an_inactive_one_as_the_kernel_has_them(gib: float, ratio: int) -> None:
    assert inactive_ratio(int(gib * (1 << 18))) == ratio


def test_the_oldest_active_folios_become_inactive_until_half_are() -> None:
    lru = LruLists(np.ones(100, np.int32))
    lru.add(np.arange(60), 1.0)
    lru.add(np.arange(60, 100), 2.0)
    assert lru.age(3.0) == 50
    assert lru.count == {ACTIVE: 50, INACTIVE: 50}
    assert lru.tail(10).tolist() == list(range(10))
    assert np.all(lru.since[:50] == 3.0)
    assert np.all(lru.since[60:] == 2.0)


def test_a_list_is_counted_in_pages_and_gives_whole_folios() -> None:
    pages = np.array([1, 1, 512, 1, 512, 512], np.int32)
    lru = LruLists(pages)
    lru.add(np.arange(6), 0.0)
    assert lru.total == pages.sum()
    lru.age(1.0)
    assert lru.count[INACTIVE] == 1 + 1 + 512 + 1 + 512  # half of all, the last folio whole
    assert lru.tail(3).tolist() == [0, 1, 2]
    assert lru.tail(2).tolist() == [3, 4]
    assert lru.tail(1).tolist() == []


def test_a_folio_that_left_and_came_back_is_in_the_list_once() -> None:
    lru = LruLists(np.ones(8, np.int32))
    lru.add(np.arange(8), 0.0)
    lru.remove(np.array([0, 1]))
    lru.add(np.array([0]), 1.0)
    assert lru.total == 7
    lru.age(2.0)
    assert lru.tail(100).tolist() == [2, 3, 4]
    lru.activate(np.array([2, 3, 4]))
    lru.age(3.0)
    assert lru.tail(100).tolist() == [5, 6, 7]


def test_folios_that_were_looked_at_for_nothing_go_back_to_where_they_were() -> None:
    lru = LruLists(np.ones(20, np.int32))
    lru.add(np.arange(20), 0.0)
    lru.age(1.0)
    lru.untail(lru.tail(6)[2:])
    assert lru.count == {ACTIVE: 10, INACTIVE: 8}
    assert lru.tail(100).tolist() == [2, 3, 4, 5, 6, 7, 8, 9]
