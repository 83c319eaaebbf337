"""The heat of regions: every access of the streams is in a map, and looking changes nothing."""

from __future__ import annotations

import numpy as np
import pytest

from pghot.simulated.policies.registry import POLICIES
from pghot.simulated.policies.simulate import simulate
from pghot.simulated.scenario.file import load_scenario
from pghot.simulated.scenario.scaling import scaled

SCENARIOS = ("phase-change", "two-memcgs")


@pytest.mark.parametrize("name", SCENARIOS)
def test_maps_have_every_access(name: str) -> None:
    scenario = scaled(load_scenario(name, POLICIES), 1 / 64)
    outcome = simulate(scenario, "pghot-hwhint")
    assert outcome.binned is not None
    wholes = [heat for heat in outcome.binned.heat if heat.part == "whole"]
    assert {heat.place.split()[1] for heat in wholes} == {r.name for r in scenario.region}
    total = sum(sum(heat.counts) for heat in wholes)
    assert total == pytest.approx(outcome.accesses, rel=1e-3)


def test_a_hot_set_that_moves_is_elsewhere_in_each_phase() -> None:
    scenario = scaled(load_scenario("phase-change", POLICIES), 1 / 64)
    outcome = simulate(scenario, "none")
    assert outcome.binned is not None
    heat = outcome.binned.heat[-1]
    table = np.array(heat.counts, float).reshape(heat.rows, heat.columns)
    shares = table / table.sum(axis=0)
    first, last = shares[:, 1], shares[:, -2]
    assert np.abs(first - last).sum() > 0.05


def test_the_engines_batches_tunables_and_frequencies_are_kept() -> None:
    scenario = scaled(load_scenario("phase-change", POLICIES), 1 / 64)
    outcome = simulate(scenario, "pghot-hwhint")
    binned = outcome.binned
    assert binned is not None
    assert binned.batches is not None
    assert sum(binned.batches.counts) > 0
    assert binned.tunables["freq_threshold"] == 2
    assert binned.frequency is not None
    assert binned.refused == outcome.refused
