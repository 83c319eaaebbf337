"""What each policy promotes, and what it leaves; sources and throttle at work in a machine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from errno import EOPNOTSUPP
from math import exp, sqrt
from typing import Any

import numpy as np
import pytest

from pghot.engine.errors import TunableError
from pghot.engine.migrated import Migrated
from pghot.errors import InputError
from pghot.simulated.machine.memory import SimulatedMemory
from pghot.simulated.policies.pghot import Pghot
from pghot.simulated.policies.simulate import Simulation, simulate
from pghot.simulated.result import Outcome
from pghot.simulated.scenario.scenario import Scenario
from pghot.simulated.world import World
from tests.simulated.invariants import check_memory
from tests.simulated.small_machines import (
    FAST,
    FAST_NS,
    SLOW,
    link,
    machine,
    node,
    region,
    threads,
)  # fmt: skip

PROMOTING = (
    "numab2", "pghot-hintfault", "pghot-hwhint", "precise-hintfault", "precise-hwhint",
    "v8-hintfault", "v8-hwhint", "v8-precise-hintfault", "v8-precise-hwhint",
    "improved-hintfault", "improved-hwhint",
)  # fmt: skip
PGHOT = PROMOTING[1:]
PAGES = 4096


def busy(seconds: float = 3, **more: Any) -> Scenario:
    """A machine whose pages are all accessed and sampled, many times over."""
    mine = {"threads": [threads(count=4)], "seconds": seconds, "sampler": {"pace_hz": 5000}}
    return machine(**mine | more)


class Moves:
    """A world run to its end: when each folio moved, and the sizes of kmigrated's batches."""

    def __init__(self, scenario: Scenario, policy: str) -> None:
        ready = Simulation(scenario, policy)
        self.world, self.policy = ready.world, ready.policy
        self.times: list[float] = []
        self.world.memory.tell(lambda *_move: self.times.append(self.world.now))
        self.batches: list[int] = []
        engine = getattr(self.policy, "engine", None)
        if engine is not None:
            engine.migrations = self._counting(engine.migrations)
        self.world.run()

    def _counting(self, migrations: Callable[[int], Iterator[Migrated]]) -> Any:
        def counted(now: int) -> Iterator[Migrated]:
            for migrated in migrations(now):
                self.batches += migrated.batches["folios"].tolist()
                yield migrated

        return counted


@pytest.mark.parametrize("policy", PROMOTING)
def test_where_there_is_room_all_that_is_accessed_becomes_fast(policy: str) -> None:
    outcome = simulate(busy(), policy)
    assert outcome.promoted == PAGES
    assert outcome.counters["pgpromote_success"] == PAGES
    assert outcome.hot_fast_s is not None


@pytest.mark.parametrize("policy", PROMOTING)
def test_a_large_folio_moves_as_one(policy: str) -> None:
    ready = Simulation(busy(region=[region(order=9)]), policy)
    world, chosen = ready.world, ready.policy
    sizes: list[int] = []
    world.memory.tell(lambda folios, _b, _n: sizes.extend(world.memory.folios.pages[folios]))
    world.run()
    assert sizes == [512] * 8
    assert chosen.figures().counters["pgpromote_success"] == PAGES
    check_memory(world.memory)


def test_a_verb_that_a_policy_does_not_have_is_not_called() -> None:
    assert Simulation(busy(), "none").world.on_faults is None
    assert Simulation(busy(), "pghot-hwhint").world.on_faults is None
    assert Simulation(busy(), "pghot-hintfault").world.on_faults is not None
    assert Simulation(busy(), "oracle").world.place_of is None


def test_kmigrated_promotes_at_its_wakes_and_between_them_nothing_moves() -> None:
    scenario = busy(tunables={"freq_threshold": "1", "kmigrated_sleep_ms": "250"})
    found = Moves(scenario, "pghot-hwhint")
    assert found.times[0] == pytest.approx(0.25)
    assert len(found.times) > 5
    assert min(np.diff(found.times)) >= 0.25


def test_batches_of_the_series_hold_a_folio_more_than_the_tunable_says() -> None:
    tunables = {"freq_threshold": "1", "kmigrated_batch_nr": "100"}
    for policy, most in (("pghot-hintfault", 101), ("improved-hintfault", 100)):
        found = Moves(busy(tunables=tunables), policy)
        full = PAGES // most
        assert found.batches[:full] == [most] * full
        assert found.batches[full:] == [PAGES % most]


def test_memcgs_are_not_mixed_in_a_batch_and_are_counted_each() -> None:
    regions = [region("memory", memcg=3), region("other", "4 MiB", memcg=8)]
    pair = [threads(count=4), threads("other", 4, region="other")]
    for policy in PROMOTING:
        outcome = simulate(busy(region=regions, threads=pair), policy)
        assert outcome.memcg_promoted == {3: PAGES, 8: PAGES // 4}


@pytest.mark.parametrize("policy", ["v8-hwhint", "precise-hintfault", "improved-hwhint"])
@pytest.mark.parametrize("fast", ["128 MiB", "8 MiB"])
@pytest.mark.parametrize("order", [0, 9])
def test_a_pass_is_moved_whole_as_it_would_be_batch_by_batch(
    monkeypatch: pytest.MonkeyPatch, policy: str, fast: str, order: int
) -> None:
    regions = [region("memory", "32 MiB", memcg=3, order=order), region("other", "8 MiB", memcg=8)]
    nodes = [node(FAST, fast, toptier=True, cpus="0-7"), node(SLOW, "1 GiB")]
    pair = [threads(count=4), threads("other", 4, region="other")]
    scenario = busy(region=regions, threads=pair, node=nodes, seconds=1.5)
    seen = []
    for batch_by_batch in False, True:
        if batch_by_batch:
            monkeypatch.setattr(SimulatedMemory, "mover", None)
        ready = Simulation(scenario, policy)
        ready.world.run()
        figures, folios = ready.policy.figures(), ready.world.memory.folios
        assert figures.counters["pgpromote_success"] > 0
        check_memory(ready.world.memory)
        seen.append((figures, folios.pfn.tolist(), ready.world.now))
    assert seen[0] == seen[1]


# R6.1, by contrast
def test_numa_balancing_promotes_in_the_fault_without_waiting_for_kmigrated() -> None:
    world = Simulation(busy(), "numab2").world
    times: list[float] = []
    world.memory.tell(lambda *_move: times.append(world.now))
    world.run()
    assert times[0] < 1.1
    assert times[-1] - times[0] < 0.1


def test_numa_balancing_leaves_what_is_touched_later_than_its_threshold() -> None:
    """Pages are touched every 4 s on average, and the threshold is 1 s: 1 - exp(-1/4)."""
    slow = [threads(count=2, think_ns=2_000_000 * 1.0)]
    outcome = simulate(machine(threads=slow, seconds=2.9), "numab2")
    faults = outcome.counters["numa_hint_faults"]
    assert outcome.refused == {"over the threshold": faults - outcome.promoted}
    expected = PAGES * (1 - exp(-1000 / PAGES))
    assert outcome.promoted == pytest.approx(expected, abs=4 * sqrt(expected))


# What is refused.


# R3.11
def test_a_shared_executable_is_left_by_numa_balancing_and_moved_by_the_series() -> None:
    shared = busy(region=[region(shared_executable=True)])
    outcome = simulate(shared, "numab2")
    assert outcome.promoted == 0
    assert outcome.refused["cannot be isolated"] >= PAGES
    for policy in PGHOT:
        assert simulate(shared, policy).promoted == PAGES


@pytest.mark.parametrize("policy", PGHOT)
def test_what_is_off_the_lru_is_reported_and_never_recorded(policy: str) -> None:
    outcome = simulate(busy(region=[region(off_lru=1.0)]), policy)
    source = "hintfaults" if policy.endswith("fault") else "hwhints"
    assert outcome.counters[f"pghot_recorded_{source}"] > 0
    assert outcome.counters["pghot_recorded_accesses"] == 0
    assert outcome.promoted == 0


@pytest.mark.parametrize("policy", PGHOT)
def test_what_cannot_be_moved_is_refused_by_name(policy: str) -> None:
    outcome = simulate(busy(region=[region(unmovable=0.5)]), policy)
    assert 0.45 * PAGES < outcome.promoted < 0.55 * PAGES
    assert set(outcome.refused) == {"migration"} or set(outcome.refused) == {"isolation"}


def test_numa_balancing_names_what_cannot_be_moved() -> None:
    outcome = simulate(busy(region=[region(unmovable=1.0)]), "numab2")
    assert outcome.promoted == 0
    assert set(outcome.refused) == {"cannot be isolated"}


@pytest.mark.parametrize("policy", PROMOTING)
def test_a_full_node_takes_nothing_and_its_min_mark_is_kept(policy: str) -> None:
    nodes = [node(FAST, "8 MiB", toptier=True, cpus="0-7"), node(SLOW, "1 GiB")]
    ready = Simulation(busy(node=nodes), policy)
    world, chosen = ready.world, ready.policy
    world.run()
    marks = world.memory.all[FAST].wmark
    # Folios are isolated while there is room over the high mark, a batch of them at a time.
    assert marks.min <= world.memory.free_pages(FAST) <= marks.high + 1
    assert sum(chosen.figures().refused.values()) > 0


# Switches.


def later(outcome: Outcome, column: str, time_s: float) -> int:
    rows = outcome.timeline
    return int(getattr(rows, column)[rows.time_s > time_s].sum())


@pytest.mark.parametrize("policy", ["numab2", "pghot-hintfault", "improved-hintfault"])
def test_numa_balancing_written_to_0_stops_the_scanner(policy: str) -> None:
    stuck = [region(unmovable=1.0)]
    off = [{"at_s": 2.5, "do": "write", "name": "numa_balancing", "value": "0"}]
    outcome = simulate(busy(5, region=stuck, event=off), policy)
    assert outcome.counters["numa_hint_faults"] == 2 * PAGES
    assert later(outcome, "hint_faults", 2.6) == 0
    again = [*off, {"at_s": 3.2, "do": "write", "name": "numa_balancing", "value": "2"}]
    outcome = simulate(busy(5, region=stuck, event=again), policy)
    assert later(outcome, "hint_faults", 3.2) > 0


@pytest.mark.parametrize("policy", ["numab2", "pghot-hintfault"])
def test_faults_after_tiering_was_switched_off_promote_nothing(policy: str) -> None:
    """Pages are marked at 1 s and touched long after."""
    slow = [threads(count=4, think_ns=2_000_000)]
    off = [{"at_s": 1.5, "do": "write", "name": "numa_balancing", "value": "0"}]
    outcome = simulate(machine(threads=slow, event=off, seconds=6), policy)
    assert later(outcome, "hint_faults", 1.8) > 500
    assert later(outcome, "promoted", 1.8) == 0


@pytest.mark.parametrize("policy", ["numab2", "pghot-hintfault"])
def test_a_kernel_without_tiering_refuses_mode_2(policy: str) -> None:
    with pytest.raises(TunableError, match="EOPNOTSUPP") as refused:
        simulate(busy(tiering=False), policy)
    assert refused.value.errno == EOPNOTSUPP
    assert simulate(busy(tiering=False), "pghot-hwhint").promoted == PAGES  # it needs none


def test_a_scenario_that_writes_mode_2_without_tiering_is_refused_in_a_line() -> None:
    on = [{"at_s": 1, "do": "write", "name": "numa_balancing", "value": "2"}]
    with pytest.raises(InputError, match="not built in") as refused:
        busy(tiering=False, event=on)
    assert "\n" not in str(refused.value)


def test_the_rate_limit_can_be_changed_during_the_run() -> None:
    name = "numa_balancing_promote_rate_limit_MBps"
    large = [region(size="220 MiB")]  # no free room is left that would let all pass
    limited = {"region": large, "tunables": {"freq_threshold": "1", name: "1"}}
    nodes = [node(FAST, "256 MiB", toptier=True, cpus="0-7"), node(SLOW, "1 GiB")]
    slow = simulate(busy(6, node=nodes, **limited), "numab2")
    assert slow.refused["rate limited"] > 0
    event = [{"at_s": 2.5, "do": "write", "name": name, "value": "65536"}]
    fast = simulate(busy(6, node=nodes, event=event, **limited), "numab2")
    assert later(fast, "promoted", 2.5) > 10 * max(later(slow, "promoted", 2.5), 1)


# Hardware and hotplug.


def test_a_cpu_that_goes_offline_gives_no_more_samples() -> None:
    gone = [{"at_s": 1, "do": "offline_cpu", "cpu": cpu} for cpu in (0, 1, 2)]
    outcome = simulate(busy(2, event=gone, sampler={"pace_hz": 1000}), "pghot-hwhint")
    expected = 1000 * (4 + 1)
    assert outcome.counters["hwhint_total_events"] == pytest.approx(expected, abs=8)
    assert outcome.timeline.samples.sum() == outcome.counters["hwhint_total_events"]
    assert outcome.overhead_s["sampling"] == pytest.approx(
        outcome.counters["hwhint_total_events"] * 2.6e-6
    )


def test_a_cpu_that_comes_back_samples_again() -> None:
    events = [
        {"at_s": 1, "do": "offline_cpu", "cpu": 0},
        {"at_s": 2, "do": "online_cpu", "cpu": 0},
    ]
    outcome = simulate(busy(3, event=events, sampler={"pace_hz": 1000}), "pghot-hwhint")
    assert outcome.counters["hwhint_total_events"] == pytest.approx(1000 * 11, abs=8)


@pytest.mark.parametrize("policy", ["pghot-hwhint", "improved-hwhint"])
def test_without_the_capability_there_is_no_profiler_and_a_note_says_so_once(policy: str) -> None:
    outcome = simulate(busy(sampler={"available": False}), policy)
    assert len(outcome.notes) == 1
    assert "no IBS Memory Profiler" in outcome.notes[0]
    assert not any(outcome.counters.values())
    assert not outcome.overhead_s or set(outcome.overhead_s) == {"kmigrated"}


def test_samples_without_a_valid_address_are_counted_and_not_used() -> None:
    sampler = {"pace_hz": 1000, "invalid_address_share": 0.25}
    counters = simulate(busy(sampler=sampler), "pghot-hwhint").counters
    share = counters["hwhint_useful_events"] / counters["hwhint_total_events"]
    assert share == pytest.approx(0.75, abs=0.03)
    assert counters["pghot_recorded_hwhints"] <= counters["hwhint_useful_events"]


@pytest.mark.parametrize(("policy", "leaves"), [
    ("pghot-hwhint", False), ("pghot-hintfault", False), ("v8-hwhint", False),
    ("improved-hwhint", True), ("improved-hintfault", True),
])  # fmt: skip
def test_from_a_node_added_after_boot_the_series_promotes_nothing(
    policy: str, leaves: bool
) -> None:
    added = [{"at_s": 1, "do": "add_node", "node": 2}]
    scenario = busy(
        5,
        node=[node(FAST, "256 MiB", toptier=True, cpus="0-7"), node(SLOW, "1 GiB"),
              node(2, "1 GiB")],
        link=[link(0, 100), link(1, 300), link(2, 300)],
        absent=[2],
        event=added,
        region=[region("memory"), region("new", place=[2])],
        threads=[threads(count=4), threads("new", 4, region="new", start_s=1.5)],
    )  # fmt: skip
    ready = Simulation(scenario, policy)
    world, chosen = ready.world, ready.policy
    world.run()
    old, new = world.memory.folios.nid.reshape(2, PAGES)
    assert np.all(old == FAST)
    assert np.all(new == (FAST if leaves else 2))
    assert chosen.figures().counters["pghot_recorded_accesses"] > PAGES
    check_memory(world.memory)


# Two processes, two nodes.


def test_precision_mode_promotes_to_the_node_of_the_cpu() -> None:
    nodes = [
        node(0, "256 MiB", toptier=True, cpus="0-3"),
        node(1, "1 GiB"),
        node(2, "256 MiB", toptier=True, cpus="4-7"),
    ]
    links = [link(nid, FAST_NS, cpus=[0, 2]) for nid in range(3)]
    far = [threads(count=4, node=2)]
    targets = {
        "pghot-hwhint": 0, "precise-hwhint": 2, "v8-hwhint": 0, "v8-precise-hwhint": 2,
        "numab2": 2,
    }  # fmt: skip
    for policy, target in targets.items():
        world = Simulation(busy(node=nodes, link=links, threads=far), policy).world
        world.run()
        assert np.all(world.memory.folios.nid == target)


# What work costs.


def test_kmigrated_pays_for_its_wakes_its_walks_its_batches_and_its_moves() -> None:
    costs = {"kmigrated_wake_us": 7.0, "kmigrated_pfn_ns": 30.0, "kmigrated_batch_us": 40.0}
    found = Moves(busy(costs=costs), "pghot-hintfault")
    assert isinstance(found.policy, Pghot)
    copied = PAGES * found.world.costs.move_us(0)
    walked = 32768 * 0.03
    batches = 40.0 * len(found.batches)
    spent_us = found.world.account.overhead_s["kmigrated"] * 1e6
    wakes = (spent_us - copied - walked - batches) / 7.0
    assert wakes == pytest.approx(round(wakes), abs=1e-6)
    assert 25 <= wakes <= 30


def world_of(policy: str, **more: Any) -> World:
    world = Simulation(busy(**more), policy).world
    world.run()
    return world


def test_promotion_in_the_fault_costs_the_fault_the_isolation_and_the_move() -> None:
    world = world_of("numab2")
    costs = world.costs
    assert world.account.overhead_s["migration"] == pytest.approx(
        PAGES * (costs.fault_isolate_us + costs.move_us(0)) * 1e-6
    )
    assert world.account.overhead_s["hint faults"] == pytest.approx(PAGES * 1e-6)
