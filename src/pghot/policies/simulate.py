"""A scenario run with one policy."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import numpy as np

from pghot.binning.forms import Binned, HeatMap
from pghot.errors import InputError
from pghot.policies.policy import Figures
from pghot.policies.registry import ENTRIES
from pghot.simulated.kswapd import Kswapd
from pghot.simulated.region_heat import RegionHeat
from pghot.simulated.result import Outcome
from pghot.simulated.scenario import Scenario
from pghot.simulated.world import World


def simulate(
    scenario: Scenario,
    policy: str,
    *,
    seed: int | None = None,
    progress: Callable[[float, float], None] | None = None,
) -> Outcome:
    """Run a scenario with the policy of this name; the same seed gives the same outcome.

    `progress` is told the virtual time done and the end to be expected, in seconds.
    InputError for a policy that is not there, or a scenario that cannot run.
    """
    if policy not in ENTRIES:
        raise InputError(f"no policy {policy}; there are: {', '.join(ENTRIES)}")
    rng = np.random.Generator(np.random.PCG64(scenario.seed if seed is None else seed))
    world = World(scenario, rng)
    heat = RegionHeat(world)
    chosen = ENTRIES[policy].make()
    chosen.prepare(world)
    if scenario.demotion:
        world.after_step.append(Kswapd(world).check)
    world.run(progress)
    figures, account = chosen.figures(), world.account
    return Outcome(
        policy=policy,
        run_s=world.now,
        accesses=account.sums["accesses"],
        fast_accesses=account.sums["fast_accesses"],
        promoted=account.total["promoted"],
        demoted=account.total["demoted"],
        ping_pong=account.total["ping_pong"],
        accuracy=account.accuracy,
        coverage=account.coverage(world.now),
        hot_fast_s=account.hot_fast_s,
        overhead_s=dict(sorted(account.overhead_s.items())),
        counters=figures.counters,
        refused=dict(sorted(figures.refused.items())),
        memcg_promoted=dict(sorted(figures.memcg_promoted.items())),
        group_s={
            group.table.name: group.ended_s if group.ended_s is not None else world.now
            for group in world.groups
        },
        timeline=account.timeline(),
        notes=figures.notes,
        binned=_binned(policy, figures, heat.maps()),
    )


def _binned(policy: str, figures: Figures, heat: list[HeatMap]) -> Binned:
    """Give what a report needs beside the figures: of the engine, where there is one, and heat."""
    own = figures.binned or Binned(kind="simulation", name="", fidelity="")
    refused = dict(sorted(figures.refused.items()))
    return msgspec.structs.replace(own, name=policy, refused=refused, heat=heat)
