"""Laws that hold of every policy: nothing is lost, and better machines do no worse."""

from __future__ import annotations

from dataclasses import fields
from itertools import zip_longest
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from pghot.simulated.policies.policy import Policy
from pghot.simulated.policies.registry import ENTRIES
from pghot.simulated.policies.simulate import Simulation, simulate
from pghot.simulated.result import Outcome
from pghot.simulated.scenario.scenario import Scenario
from pghot.simulated.world import World
from tests.simulated.invariants import check_memory
from tests.simulated.small_machines import (
    FAST,
    FAST_NS,
    SLOW,
    SLOW_NS,
    link,
    machine,
    node,
    region,
    threads,
)

STILL = ("none", "interleave", "all-fast", "all-slow")
"""Policies that move nothing up."""

HOT = {"kind": "hot-cold", "hot_share": 0.2, "hot_accesses": 0.9}
CROWDED = [
    node(FAST, "24 MiB", toptier=True, cpus="0-7", promo_wmark=600),
    node(SLOW, "256 MiB"),
]


def crowded(**more: Any) -> Scenario:
    """Give a machine with all at once: two processes, both orders, what is stuck, kswapd."""
    return machine(
        **{
            "node": CROWDED,
            "region": [
                region("memory", "24 MiB", place=[FAST, SLOW], memcg=2, unmovable=0.02),
                region("large", "16 MiB", order=9, memcg=3, process="other"),
                region("file", "4 MiB", shared_executable=True, off_lru=0.1),
            ],
            "threads": [
                threads("one", 3, stream=HOT | {"move_every": 20_000_000}, store_share=0.4),
                threads("two", 2, region="large", start_s=0.7, stream={"kind": "zipf"}),
                threads("three", 1, region="file", end_s=2.3, stream={"kind": "scan"}),
                threads("four", 1, stream_of="one", accesses=100_000_000),
            ],
            "demotion": True,
            "sampler": {"pace_hz": 3000},
            "seconds": 4,
        }
        | more
    )


def ran(scenario: Scenario, policy: str, seed: int | None = None) -> tuple[World, Policy]:
    ready = Simulation(scenario, policy, seed=seed)
    world, chosen = ready.world, ready.policy
    world.run()
    return world, chosen


@pytest.fixture(params=list(ENTRIES))
def policy(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_accesses_of_all_groups_add_up(policy: str) -> None:
    world, _ = ran(crowded(), policy)
    made = sum(group.made for group in world.groups)
    assert made == pytest.approx(world.account.sums["accesses"], rel=1e-9)
    clocks = {group.flow.name: group.flow.clock for group in world.groups}
    assert made == pytest.approx(sum(clocks.values()), rel=1e-9)
    assert 0 <= world.account.sums["fast_accesses"] <= made * (1 + 1e-12)


def test_every_page_is_somewhere_and_free_pages_add_up(policy: str) -> None:
    world, _ = ran(crowded(), policy)
    check_memory(world.memory)
    pages = world.memory.folios.pages
    free = sum(world.memory.free_pages(nid) for nid in (FAST, SLOW))
    total = sum(world.memory.all[nid].pages for nid in (FAST, SLOW))
    assert free + pages.sum() == total
    assert world.memory.free_pages(FAST) >= world.memory.all[FAST].wmark.min


def test_moves_change_the_free_pages_by_what_they_count(policy: str) -> None:
    world = Simulation(crowded(), policy).world
    placed: list[int] = []
    world.on_allocated.append(
        lambda folios, _now: placed.append(
            int(world.memory.folios.pages[folios][world.memory.folios.nid[folios] == FAST].sum())
        )
    )
    world.run()
    total = world.account.total
    used = world.memory.all[FAST].pages - world.memory.free_pages(FAST)
    assert used == sum(placed) + total["promoted"] - total["demoted"]


def test_what_is_promoted_is_counted_alike_everywhere(policy: str) -> None:
    world, chosen = ran(crowded(), policy)
    counters, figures = chosen.figures().counters, chosen.figures()
    if policy == "oracle":  # its moves are nobody's
        assert counters["pgpromote_success"] == 0
        return
    promoted = world.account.total["promoted"]
    assert counters["pgpromote_success"] == counters["numa_pages_migrated"] == promoted
    assert sum(figures.memcg_promoted.values()) == promoted
    assert (promoted > 0) == (policy not in STILL)


def test_samples_are_the_profilers_and_faults_no_more_than_marks(policy: str) -> None:
    world, chosen = ran(crowded(), policy)
    counters, total = chosen.figures().counters, world.account.total
    events = counters["hwhint_total_events"]
    assert total["samples"] == events
    assert events == counters["hwhint_dram_accesses"] + counters["hwhint_extmem_accesses"]
    assert counters["hwhint_useful_events"] <= events
    assert counters["pghot_recorded_hwhints"] <= counters["hwhint_useful_events"]
    assert (events > 0) == policy.endswith("hwhint")
    assert total["hint_faults"] == counters["numa_hint_faults"] <= counters["numa_pte_updates"]
    assert (total["hint_faults"] > 0) == (policy.endswith("hintfault") or policy == "numab2")
    assert counters["pghot_recorded_hintfaults"] in (0, counters["numa_hint_faults"])


def test_the_rows_of_the_timeline_add_up_to_the_totals(policy: str) -> None:
    outcome = simulate(crowded(), policy)
    rows = outcome.timeline
    assert rows.time_s[-1] == outcome.run_s == 4
    assert np.all(np.diff(rows.time_s) >= 0)
    for name in ("accesses", "fast_accesses"):
        assert getattr(rows, name).sum() == pytest.approx(getattr(outcome, name), rel=1e-9)
    for name in ("promoted", "demoted"):
        assert getattr(rows, name).sum() == getattr(outcome, name)
    assert rows.hint_faults.sum() == outcome.counters["numa_hint_faults"]
    assert rows.samples.sum() == outcome.counters["hwhint_total_events"]
    assert outcome.migrated_bytes == 4096 * (outcome.promoted + outcome.demoted)


def test_no_time_is_made_or_lost(policy: str) -> None:
    """What threads have run is what their accesses took and what they paid of their debts."""
    stuck = machine(threads=[threads(count=4, accesses=2_000_000)], link=SAME)
    world, _ = ran(stuck, policy)
    (group,) = world.groups
    spent = world.account.overhead_s
    borne = sum(spent[what] for what in ("hint faults", "sampling", "scanner", "waiting"))
    borne += spent["migration"] if policy == "numab2" else 0.0
    ran_s = 4 * world.now
    accesses_s = group.made * FAST_NS * 1e-9
    assert ran_s == pytest.approx(accesses_s + borne - group.debt_s, rel=1e-6)


SAME = [link(FAST, FAST_NS), link(SLOW, FAST_NS)]
"""Both nodes are as near: time does not depend on the placement."""


# Better machines.

FASTER = (600.0, 400.0, 250.0, 150.0)


def test_a_faster_slow_tier_never_slows_the_run(policy: str) -> None:
    work = [threads(count=4, accesses=3_000_000, stream=HOT)]
    runs = [
        simulate(machine(threads=work, link=[link(FAST, FAST_NS), link(SLOW, ns)]), policy).run_s
        for ns in FASTER
    ]
    assert runs == sorted(runs, reverse=True)


def test_a_wider_slow_link_never_slows_the_run(policy: str) -> None:
    work = [threads(count=4, accesses=3_000_000, stream=HOT)]
    runs = []
    for gbps in (0.2, 0.4, 0.8, 1.6):
        links = [link(FAST, FAST_NS), link(SLOW, SLOW_NS, gbps=gbps)]
        runs.append(simulate(machine(threads=work, link=links), policy).run_s)
    assert runs == sorted(runs, reverse=True)


def sized(mebi: int, **more: Any) -> Scenario:
    nodes = [node(FAST, f"{mebi} MiB", toptier=True, cpus="0-7"), node(SLOW, "256 MiB")]
    return machine(
        **{
            "node": nodes,
            "region": [region(size="32 MiB")],
            "threads": [threads(count=4, stream={"kind": "zipf"})],
            "seconds": 4,
            "demotion": True,
        }
        | more
    )


def test_a_larger_fast_tier_never_lowers_the_oracles_fast_share() -> None:
    shares = [simulate(sized(mebi), "oracle").fast_share for mebi in (4, 8, 12, 16, 24, 32, 48)]
    assert shares == sorted(shares)
    assert shares[0] < shares[-1] == pytest.approx(1)


@pytest.mark.parametrize("mebi", [8, 24, 48])
@pytest.mark.parametrize("order", [0, 9])
def test_no_policy_serves_more_from_the_top_than_the_oracle(mebi: int, order: int) -> None:
    scenario = sized(mebi, region=[region(size="32 MiB", order=order)])
    bound = simulate(scenario, "oracle").fast_share
    for name in [name for name, entry in ENTRIES.items() if not entry.bound]:
        assert simulate(scenario, name).fast_share <= bound * (1 + 1e-9)


# One run does not know of another.


def same(one: Outcome, other: Outcome) -> bool:
    def columns(outcome: Outcome) -> list[npt.NDArray[np.float64]]:
        return [np.asarray(getattr(outcome.timeline, f.name)) for f in fields(outcome.timeline)]

    figures = [f.name for f in fields(Outcome) if f.name != "timeline"]
    alike = all(getattr(one, name) == getattr(other, name) for name in figures)
    pairs = zip(columns(one), columns(other), strict=True)
    return alike and all(np.array_equal(a, b) for a, b in pairs)


def test_the_same_seed_gives_the_same_outcome_and_another_one_another(policy: str) -> None:
    first = simulate(crowded(), policy, seed=3)
    assert same(first, simulate(crowded(), policy, seed=3))
    assert not same(first, simulate(crowded(), policy, seed=4))


def test_the_seed_is_the_scenarios_unless_another_is_given() -> None:
    given = simulate(crowded(seed=8), "pghot-hwhint")
    assert same(given, simulate(crowded(seed=1), "pghot-hwhint", seed=8))


def test_two_worlds_in_turns_give_what_each_gives_alone() -> None:
    """Steps of one are made between those of the other."""

    def trace(*names: str) -> dict[str, list[tuple[float, int, float]]]:
        worlds = {name: Simulation(crowded(seconds=2), name).world for name in names}
        rows: dict[str, list[tuple[float, int, float]]] = {name: [] for name in names}
        for _ in zip_longest(*(world.steps() for world in worlds.values())):
            for name, world in worlds.items():
                moved, made = world.account.total["promoted"], world.account.sums["accesses"]
                rows[name].append((world.now, moved, made))
        return rows

    pair = ("pghot-hwhint", "improved-hintfault")
    together = trace(*pair)
    for name in pair:
        alone = trace(name)[name]
        assert together[name][: len(alone)] == alone
        assert len(alone) > 100
