"""Accesses in bulk come to what they come to one by one, on average over many seeds.

The means agree within `SURE` standard errors.  The spread need not: in bulk accesses are a
Poisson process in a clock and cost what they are expected to, which makes figures vary
otherwise by a part in the root of the number of accesses and of pages.
"""

from __future__ import annotations

import random
from math import sqrt
from typing import Any

import numpy as np
import pytest

from pghot.simulated.numa.process_scanners import Scanning
from pghot.simulated.policies.simulate import Simulation, simulate
from pghot.simulated.scenario.scenario import Scenario
from tests.simulated.plain_world import Machine, Walk, walk
from tests.simulated.small_machines import FREE, machine, region, threads

PAGES, THREADS = 256, 2
MLP = 1e-4
"""Stretches 300 and 100 ns to 3 and 1 ms, so that few accesses make seconds."""

SEEDS = 60
SURE = 4.0
"""Standard errors that two means of one distribution are practically never apart."""


def bulk(policy: str, accesses: int, sampler: dict[str, float]) -> tuple[Scenario, list[Walk]]:
    scenario = machine(
        region=[region(size=f"{PAGES * 4} KiB")],
        threads=[threads(count=THREADS, accesses=accesses, mlp=MLP)],
        costs=FREE | {"move_4k_GBps": 1e6},
        sampler=sampler,
        tick_ms=50,
    )
    walks = []
    for seed in range(SEEDS):
        outcome = simulate(scenario, policy, seed=seed)
        counters = outcome.counters
        noticed = counters["numa_hint_faults"] + counters["hwhint_total_events"]
        walks.append(Walk(outcome.run_s, outcome.fast_accesses, noticed, outcome.promoted))
    return scenario, walks


def marks(scenario: Scenario) -> list[float]:
    """The times of the scanner's steps, which no seed changes."""
    world = Simulation(scenario, "none").world
    times: list[float] = []
    Scanning(world, lambda _folios, _pages: times.append(world.now), lambda: True)
    world.on_faults = lambda _faults: None
    world.run()
    return times


def one_by_one(accesses: int, **noticing: Any) -> list[Walk]:
    plain = Machine(
        PAGES, accesses * THREADS, THREADS, slow_s=3e-3, fast_s=1e-3, sleep_s=0.1, **noticing
    )
    return [walk(plain, random.Random(seed)) for seed in range(SEEDS)]


def assert_alike(one: list[Walk], other: list[Walk]) -> None:
    for name in Walk._fields:
        a, b = (np.array([getattr(w, name) for w in walks], float) for walks in (one, other))
        error = sqrt((a.var() + b.var()) / SEEDS)
        assert a.std() > 0, f"{name} does not vary"
        assert abs(a.mean() - b.mean()) < SURE * error, f"{name}: {a.mean()} and {b.mean()}"


def test_hint_faults_in_bulk_are_those_of_accesses_one_by_one() -> None:
    """They end while some pages are still marked."""
    scenario, walks = bulk("pghot-hintfault", 480, {"pace_hz": 1000})
    assert_alike(walks, one_by_one(480, marks_s=marks(scenario)))


@pytest.mark.parametrize(("period", "ops"), [(64, 1), (160, 10)])
def test_samples_in_bulk_are_those_of_accesses_one_by_one(period: int, ops: int) -> None:
    _, walks = bulk("pghot-hwhint", 1500, {"period": period, "ops_per_access": ops})
    assert_alike(walks, one_by_one(1500, period=period, ops_per_access=ops))
