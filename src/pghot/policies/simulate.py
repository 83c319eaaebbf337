"""A scenario run with one policy."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from pghot.engine.engine import Engine
from pghot.errors import InputError
from pghot.policies.pghot import Pghot
from pghot.policies.policy import Policy
from pghot.policies.registry import ENTRIES
from pghot.simulated.kswapd import Kswapd
from pghot.simulated.result import Outcome
from pghot.simulated.scenario import Scenario
from pghot.simulated.world import World


def prepared(scenario: Scenario, policy: str, *, seed: int | None = None) -> tuple[World, Policy]:
    """Give the world of a scenario with a policy in it, before anything runs; see `simulate`."""
    if policy not in ENTRIES:
        raise InputError(f"no policy {policy}; there are: {', '.join(ENTRIES)}")
    rng = np.random.Generator(np.random.PCG64(scenario.seed if seed is None else seed))
    world = World(scenario, rng)
    chosen = ENTRIES[policy].make()
    chosen.prepare(world)
    if scenario.demotion:
        world.after_step.append(Kswapd(world).check)
    return world, chosen


def simulate(
    scenario: Scenario,
    policy: str,
    *,
    seed: int | None = None,
    progress: Callable[[float, float], None] | None = None,
    observe: Callable[[Engine], object] | None = None,
) -> Outcome:
    """Run a scenario with the policy of this name; the same seed gives the same outcome.

    `progress` is told the virtual time done and the end to be expected, in seconds.
    `observe` may put an observer into the policy's engine; policies without one are refused.
    InputError for a policy that is not there, or a scenario that cannot run.
    """
    world, chosen = prepared(scenario, policy, seed=seed)
    if observe is not None:
        if not isinstance(chosen, Pghot):
            raise InputError(f"the policy {policy} has no engine that events could be told of")
        observe(chosen.engine)
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
    )
