"""Run time, faults and samples are what arithmetic says, where arithmetic can say it."""

from __future__ import annotations

from math import sqrt
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from pghot.simulated.machine.folios import Folios
from pghot.simulated.numa.process_scanners import Scanning
from pghot.simulated.policies.simulate import Simulation, simulate
from pghot.simulated.scenario.scenario import Scenario
from pghot.simulated.world import FaultArrays, World
from tests.simulated.small_machines import (
    FAST,
    FAST_NS,
    FREE,
    SLOW,
    SLOW_NS,
    link,
    machine,
    node,
    region,
    threads,
)  # fmt: skip

ACCESSES, THREADS = 10_000_000, 4


def run_s(**more: Any) -> float:
    return simulate(machine(**more), "none").run_s


def group(**more: Any) -> list[dict[str, Any]]:
    return [threads(count=THREADS, accesses=ACCESSES, **more)]


@pytest.mark.parametrize(("nid", "ns"), [(FAST, FAST_NS), (SLOW, SLOW_NS)])
def test_on_one_node_an_access_takes_that_nodes_latency(nid: int, ns: float) -> None:
    seconds = run_s(region=[region(place=[nid])], threads=group())
    assert seconds == pytest.approx(ACCESSES * ns * 1e-9, rel=0.005)


def test_accesses_under_way_at_once_share_the_latency_and_thinking_comes_on_top() -> None:
    seconds = run_s(threads=group(mlp=4, think_ns=25))
    assert seconds == pytest.approx(ACCESSES * (25 + SLOW_NS / 4) * 1e-9, rel=0.005)


def test_stores_take_the_links_write_latency() -> None:
    links = [link(FAST, FAST_NS), link(SLOW, SLOW_NS, write_latency_ns=500)]
    seconds = run_s(link=links, threads=group(store_share=0.3))
    assert seconds == pytest.approx(ACCESSES * (0.7 * SLOW_NS + 0.3 * 500) * 1e-9, rel=0.005)


@pytest.mark.parametrize("kind", ["uniform", "scan", "chase"])
def test_a_fixed_split_takes_the_mean_of_both(kind: str) -> None:
    split = [region(place=[FAST, SLOW], interleave=True)]
    seconds = run_s(region=split, threads=group(stream={"kind": kind}))
    assert seconds == pytest.approx(ACCESSES * (FAST_NS + SLOW_NS) / 2 * 1e-9, rel=0.005)


def test_a_saturated_link_carries_its_bandwidth() -> None:
    """A load moves a line of 64 bytes, a store another one back."""
    links = [link(FAST, FAST_NS), link(SLOW, SLOW_NS, gbps=0.5)]
    seconds = run_s(link=links, threads=group(store_share=0.5))
    assert seconds == pytest.approx(ACCESSES * THREADS * 96 / 0.5e9, rel=0.005)


def test_in_a_fixed_split_the_saturated_link_sets_the_pace() -> None:
    links = [link(FAST, FAST_NS), link(SLOW, SLOW_NS, gbps=0.2)]
    split = [region(place=[FAST, SLOW], interleave=True)]
    seconds = run_s(link=links, region=split, threads=group())
    assert seconds == pytest.approx(ACCESSES * THREADS / 2 * 64 / 0.2e9, rel=0.005)


def test_threads_that_end_leave_the_link_to_the_others() -> None:
    links = [link(FAST, FAST_NS), link(SLOW, SLOW_NS, gbps=0.1)]
    both = [threads("short", 1, accesses=1_000_000), threads("long", 1, accesses=3_000_000)]
    outcome = simulate(machine(link=links, threads=both), "none")
    assert outcome.group_s["short"] == pytest.approx(2_000_000 * 64 / 0.1e9, rel=0.005)
    assert outcome.group_s["long"] == pytest.approx(4_000_000 * 64 / 0.1e9, rel=0.005)


def test_threads_on_two_nodes_each_go_their_own_way() -> None:
    """Two top-tier nodes with CPUs on both; what is near to one is far from the other."""
    nodes = [
        node(0, "256 MiB", toptier=True, cpus="0-3"),
        node(1, "1 GiB"),
        node(2, "256 MiB", toptier=True, cpus="4-7"),
    ]
    ways = {(0, 0): 100, (0, 1): 300, (0, 2): 200, (2, 0): 200, (2, 1): 400, (2, 2): 100}
    links = [link(to, ns, cpus=[cpus]) for (cpus, to), ns in ways.items()]
    pair = [
        threads("near", 2, accesses=2_000_000),
        threads("far", 2, node=2, stream_of="near", accesses=2_000_000),
    ]
    for place, near, far in ((0, 100, 200), (1, 300, 400), (2, 200, 100)):
        outcome = simulate(
            machine(node=nodes, link=links, region=[region(place=[place])], threads=pair), "none"
        )
        assert outcome.group_s["near"] == pytest.approx(2_000_000 * near * 1e-9, rel=0.005)
        assert outcome.group_s["far"] == pytest.approx(2_000_000 * far * 1e-9, rel=0.005)


def test_a_hint_fault_takes_its_time_from_the_threads() -> None:
    """Every page faults once after each of three passes; none can be moved."""
    stuck = [region(unmovable=1.0)]
    slow = {"costs": {"hint_fault_us": 50.0}, "region": stuck, "threads": group()}
    outcome = simulate(machine(**slow), "pghot-hintfault")
    faults = outcome.counters["numa_hint_faults"]
    assert faults == 4096 * 3  # a step a second marks all of it
    took = ACCESSES * SLOW_NS * 1e-9 + faults * 50e-6 / THREADS
    assert outcome.run_s == pytest.approx(took, rel=0.005)
    assert outcome.overhead_s["hint faults"] == pytest.approx(faults * 50e-6)


def test_bytes_that_are_copied_pass_over_the_links_and_are_gone() -> None:
    world = Simulation(machine(), "none").world
    world.traffic.copied(SLOW, FAST, 1 << 20)
    world.agenda.at(1.0, lambda _time: None)
    world.run()
    assert not world.traffic._waiting.any()


def test_copies_slow_down_what_shares_their_link() -> None:
    """Bytes enough to fill half of the link's reads as long as the threads run."""
    links = [link(FAST, FAST_NS), link(SLOW, SLOW_NS, gbps=0.5)]
    world = Simulation(
        machine(link=links, threads=[threads(count=4, accesses=1 << 20)]), "none"
    ).world
    world.traffic.copied(SLOW, FAST, 10 << 30)
    world.run()
    alone = 4 * (1 << 20) * 64 / 0.5e9
    share = 1 - world.traffic._most[1, 0] / 0.5e9
    assert world.now == pytest.approx(alone / share, rel=0.005)


# Faults and samples.


def marked_world(scenario: Scenario) -> tuple[World, list[FaultArrays]]:
    """A world in which every folio is marked at the start, and where its faults go."""
    world = Simulation(scenario, "none").world
    found: list[FaultArrays] = []
    world.on_faults = found.append
    world.agenda.at(0.0, lambda _time: world.make_prot_none(np.arange(len(world.prot_none))))
    return world, found


def distance_to_exponential(times: npt.NDArray[np.float64], mean: float) -> float:
    """The Kolmogorov-Smirnov statistic, times the root of the number."""
    expected = 1 - np.exp(-np.sort(times) / mean)
    ranks = np.arange(len(times) + 1) / len(times)
    return max(np.max(ranks[1:] - expected), np.max(expected - ranks[:-1])) * sqrt(len(times))


KS_1_PERCENT = 1.63


@pytest.mark.parametrize("tick_ms", [0.05, 10])
def test_first_accesses_after_a_mark_arrive_exponentially(tick_ms: float) -> None:
    scenario = machine(threads=group(), costs=FREE, tick_ms=tick_ms, seconds=0.02, seed=5)
    world, found = marked_world(scenario)
    world.run()
    times = np.concatenate([faults.times for faults in found])
    assert len(times) == 4096
    assert np.all(np.diff(times) >= 0)
    mean = 4096 * SLOW_NS * 1e-9 / THREADS
    assert distance_to_exponential(times, mean) < KS_1_PERCENT


def test_hot_pages_fault_as_much_sooner_as_they_are_hotter() -> None:
    hot = {"kind": "hot-cold", "hot_share": 0.25, "hot_accesses": 0.75, "scattered": False}
    scenario = machine(threads=group(stream=hot), costs=FREE, seconds=0.05, seed=5)
    world, found = marked_world(scenario)
    world.run()
    folios = np.concatenate([faults.folios for faults in found])
    times = np.concatenate([faults.times for faults in found])
    heat = world.heat()
    for share in (heat.max(), heat.min()):
        mine = times[heat[folios] == share]
        mean = SLOW_NS * 1e-9 / THREADS / share
        assert distance_to_exponential(mine, mean) < KS_1_PERCENT


def test_a_fault_is_reported_for_the_node_of_a_cpu_that_made_it() -> None:
    nodes = [
        node(0, "256 MiB", toptier=True, cpus="0-3"),
        node(1, "1 GiB"),
        node(2, "256 MiB", toptier=True, cpus="4-7"),
    ]
    links = [link(nid, 100, cpus=[0, 2]) for nid in range(3)]
    pair = [threads("one", 1), threads("three", 3, node=2, stream_of="one")]
    scenario = machine(node=nodes, link=links, threads=pair, costs=FREE, seconds=0.02)
    world, found = marked_world(scenario)
    world.run()
    nids = np.concatenate([faults.nids for faults in found])
    assert set(nids.tolist()) == {0, 2}
    assert np.mean(nids == 2) == pytest.approx(0.75, abs=4 * sqrt(0.75 * 0.25 / len(nids)))


def test_samples_by_time_follow_the_pace() -> None:
    scenario = machine(threads=group(), costs=FREE)
    outcome = simulate(scenario, "pghot-hwhint")
    expected = 1000 * THREADS * outcome.run_s
    assert outcome.counters["hwhint_total_events"] == pytest.approx(expected, abs=THREADS)


def test_samples_by_ops_follow_the_period() -> None:
    """An op in 10 is an access; the counter starts 7.5 ahead on average."""
    sampler = {"period": 1600, "ops_per_access": 10.0}
    outcome = simulate(machine(threads=group(), costs=FREE, sampler=sampler), "pghot-hwhint")
    expected = ACCESSES * THREADS / (1600 - 7.5)
    counted = outcome.counters["hwhint_total_events"]
    assert counted == pytest.approx(expected, abs=4 * sqrt(expected))


# The scanner.


def scanned(scenario: Scenario) -> list[tuple[float, Folios]]:
    """Run without promotion; give the time and folios of every step of the scanner."""
    world = Simulation(scenario, "none").world
    steps: list[tuple[float, Folios]] = []
    Scanning(world, lambda folios, _pages: steps.append((world.now, folios)), lambda: True)
    world.on_faults = lambda _faults: None
    world.run()
    return steps


def test_the_scanner_marks_256_mib_a_second_so_a_pass_takes_a_second_for_each() -> None:
    scenario = machine(region=[region(size="640 MiB")], threads=[threads(count=8)], seconds=9.5)
    steps = scanned(scenario)
    seconds, folios = zip(*steps, strict=True)
    assert np.diff(seconds) == pytest.approx(1.0, abs=0.02)
    assert seconds[0] == pytest.approx(1.0, abs=0.02)
    sizes = [len(some) for some in folios]
    assert sizes[:3] == [65536, 65536, 32768]
    assert np.array_equal(np.sort(np.concatenate(folios[:3])), np.arange(163840))


def test_each_process_is_scanned_by_a_scanner_of_its_own() -> None:
    regions = [
        region("first", "512 MiB", process="first"),
        region("second", "128 MiB", process="second"),
    ]
    both = [
        threads("first", 2, region="first"),
        threads("second", 2, region="second", start_s=2.0),
    ]
    steps = scanned(machine(region=regions, threads=both, seconds=6))
    by_process: list[list[float]] = [[], []]
    for time, folios in steps:
        (process,) = np.unique(folios >= 131072)
        by_process[int(process)].append(time)
        assert len(folios) == (32768 if process else 65536) or time > 3
    for times, first in zip(by_process, (1.0, 3.0), strict=True):
        assert times[0] == pytest.approx(first, abs=0.15)
        assert np.diff(times) == pytest.approx(1.0, abs=0.15)


def test_a_process_that_does_not_run_is_not_scanned() -> None:
    late = [threads(count=2, start_s=3.0, end_s=6.0)]
    steps = scanned(machine(threads=late, seconds=9))
    assert {3.0 < time < 6.2 for time, _ in steps} == {True}


# Time and phases.


def test_threads_that_all_start_late_are_waited_for() -> None:
    late = [threads(count=2, accesses=1_000_000, start_s=1.5)]
    for policy in ("none", "numab2", "pghot-hintfault", "pghot-hwhint", "oracle"):
        outcome = simulate(machine(threads=late, costs=FREE), policy)
        assert outcome.run_s >= (1.5 + 1_000_000 * FAST_NS * 1e-9) * (1 - 1e-9)
        assert outcome.accesses == pytest.approx(2_000_000)


def test_the_hot_set_is_of_the_threads_that_run() -> None:
    regions = [region("early"), region("late")]
    pair = [
        threads("early", 1, region="early", end_s=2.0),
        threads("late", 1, region="late", start_s=1.0),
    ]
    world = Simulation(machine(region=regions, threads=pair, seconds=3), "none").world
    hot: list[tuple[float, list[float]]] = []
    world.on_new_heat.append(
        lambda now: hot.append((now, [world.heat()[:4096].sum(), world.heat()[4096:].sum()]))
    )
    world.run()
    assert [time for time, _ in hot] == [0.0, 1.0, 2.0]
    assert [shares for _, shares in hot] == [
        pytest.approx([1, 0]), pytest.approx([0.5, 0.5]), pytest.approx([0, 1]),
    ]  # fmt: skip
