"""A scenario run with one policy."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from pghot.errors import InputError
from pghot.policies.policy import Policy
from pghot.policies.registry import ENTRIES
from pghot.simulated.kswapd import Kswapd
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
    simulation = Simulation(scenario, policy, seed=seed)
    simulation.world.run(progress)
    return simulation.outcome()


class Simulation:
    """A scenario with its policy, ready to run: `world.run()`, then `outcome()`.

    Arguments and errors as for `simulate`.
    """

    def __init__(self, scenario: Scenario, policy: str, *, seed: int | None = None) -> None:
        if policy not in ENTRIES:
            raise InputError(f"no policy {policy}; there are: {', '.join(ENTRIES)}")
        rng = np.random.Generator(np.random.PCG64(scenario.seed if seed is None else seed))
        self.name = policy
        self.world = World(scenario, rng)
        self.policy: Policy = ENTRIES[policy].make()
        self.policy.prepare(self.world)
        if scenario.demotion:
            self.world.after_step.append(Kswapd(self.world).check)

    def outcome(self) -> Outcome:
        """Give what came of it so far."""
        world, figures, account = self.world, self.policy.figures(), self.world.account
        return Outcome(
            policy=self.name,
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
