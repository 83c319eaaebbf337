"""Bounds are bounds: nothing beats the oracle, and presets begin where that is a contest."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pghot.engine.sizes import parse_size
from pghot.report.sim_facts import start_of
from pghot.simulated.policies.best_places import NOWHERE, best_places
from pghot.simulated.policies.registry import POLICIES
from pghot.simulated.policies.simulate import simulate
from pghot.simulated.scenario.file import load_scenario, preset_text, presets
from pghot.simulated.scenario.scaling import scaled
from tests.simulated.test_golden import GOLDEN

OTHER_START = {"hot-added", "published-1"}
SLICES = [(1 / 64, 1), (1 / 128, 2), (1 / 128, 3)]
QUICK = ("none", "interleave", "numab2", "pghot-hwhint")


@pytest.mark.parametrize("name", presets())
def test_no_policy_of_a_preset_is_faster_than_the_oracle(name: str) -> None:
    """At scale 1/64: what the golden results are of."""
    bound = GOLDEN[name]["oracle"]["run_s"]
    assert all(result["run_s"] >= bound * (1 - 1e-9) for result in GOLDEN[name].values())


@pytest.mark.compiled
@pytest.mark.parametrize(("scale", "seed"), SLICES)
@pytest.mark.parametrize("name", [name for name in presets() if name != "hot-added"])
def test_nor_is_it_in_another_slice_or_with_another_seed(
    name: str, scale: float, seed: int
) -> None:
    scenario = scaled(load_scenario(name, POLICIES), scale)
    bound = simulate(scenario, "oracle", seed=seed).run_s
    for policy in QUICK:
        assert simulate(scenario, policy, seed=seed).run_s >= bound * (1 - 1e-9), policy


@pytest.mark.compiled
def test_all_fast_and_all_slow_lie_on_both_sides() -> None:
    scenario = scaled(load_scenario("zipf", POLICIES), 1 / 256)
    fast, oracle, none, slow = (
        simulate(scenario, policy).run_s for policy in ("all-fast", "oracle", "none", "all-slow")
    )
    assert fast < oracle < none < slow
    assert simulate(scenario, "all-fast").fast_share == 1
    assert simulate(scenario, "all-slow").fast_share == 0


@pytest.mark.parametrize("name", presets())
def test_a_preset_begins_by_first_touch_on_a_top_tier_too_small_for_it(name: str) -> None:
    scenario = load_scenario(name, POLICIES)
    if name in OTHER_START:
        assert "# Another start than first touch: " in preset_text(name)
        return
    assert start_of(scenario) == "first-touch"
    top = sum(parse_size(node.size) for node in scenario.node if node.toptier)
    assert sum(parse_size(region.size) for region in scenario.region) > top


FOLIOS = st.lists(
    st.tuples(st.integers(0, 20), st.integers(0, 20), st.sampled_from([1, 1, 1, 2])),
    min_size=1,
    max_size=9,
)


@given(FOLIOS, st.integers(0, 5), st.integers(0, 5))
@settings(deadline=None)
def test_an_assignment_keeps_to_the_room_and_takes_nothing_that_gains_nothing(
    folios, one, other
) -> None:
    *gains, pages = (np.array(column) for column in zip(*folios, strict=True))
    gain = np.array(gains, float).T
    chosen = best_places(gain, pages.astype(np.int32), [one, other])
    for node, room in enumerate((one, other)):
        assert pages[chosen == node].sum() <= room
        assert (gain[chosen == node, node] > 0).all()


@given(st.lists(st.integers(0, 20), min_size=1, max_size=9), st.integers(0, 9))
@settings(deadline=None)
def test_one_node_gets_the_pages_that_gain_most(gains, room) -> None:
    gain = np.array(gains, float)[:, np.newaxis]
    chosen = best_places(gain, np.ones(len(gains), np.int32), [room])
    assert gain[chosen == 0].sum() == sum(sorted(gains, reverse=True)[:room])


def test_of_two_sockets_each_gets_what_its_own_cpus_access() -> None:
    own, far = 161.0, 107.0
    gain = np.array([[own, far]] * 4 + [[far, own]] * 4) * np.array([4, 3, 2, 1] * 2)[:, None]
    chosen = best_places(gain, np.ones(8, np.int32), [2, 2])
    assert chosen.tolist() == [0, 0, NOWHERE, NOWHERE, 1, 1, NOWHERE, NOWHERE]
