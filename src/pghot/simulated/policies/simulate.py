"""A scenario run with one policy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np

from pghot.binning.forms import Binned
from pghot.engine.engine import Engine
from pghot.errors import InputError
from pghot.simulated.machine.kswapd import Kswapd
from pghot.simulated.policies.pghot import Pghot
from pghot.simulated.policies.policy import Figures, Policy, attach
from pghot.simulated.policies.registry import ENTRIES, POLICIES, make
from pghot.simulated.region_heat import RegionHeat
from pghot.simulated.result import Outcome
from pghot.simulated.scenario.file import load_scenario
from pghot.simulated.scenario.scaling import scaled
from pghot.simulated.scenario.scenario import Scenario
from pghot.simulated.world import World


def simulate(
    scenario: Scenario | Path | str,
    policy: str,
    *,
    seed: int | None = None,
    scale: float = 1.0,
    progress: Callable[[float, float], None] | None = None,
    observe: Callable[[Engine], object] | None = None,
) -> Outcome:
    """Run a scenario with the policy of this name; the same seed gives the same outcome.

    `scenario`: one, the path of its file, or the name of a preset (`pghot sim --list`);
    `scale` below 1 runs a slice of it.
    `progress` is told the virtual time done and the end to be expected, in seconds.
    `observe` may put an observer into the policy's engine; policies without one are refused.
    InputError for a policy that is not there, or a scenario that cannot run.

    >>> import pghot
    >>> outcome = pghot.simulate("gups", "none", scale=0.001)
    >>> outcome.promoted
    0
    >>> outcome
    <none: 30.60 s, 41.7% served fast, 0 pages promoted, 0 demoted>
    >>> outcome.to_arrow().column_names[:3]
    ['time_s', 'accesses', 'fast_accesses']
    """
    if not isinstance(scenario, Scenario):
        scenario = load_scenario(str(scenario), POLICIES)
    simulation = Simulation(scaled(scenario, scale), policy, seed=seed)
    if observe is not None:
        observe(simulation.engine())
    simulation.world.run(progress)
    return simulation.outcome()


class Simulation:
    """A scenario with its policy, ready to run: `world.run()`, then `outcome()`.

    Arguments and errors as for `simulate`.
    """

    def __init__(self, scenario: Scenario, policy: str, *, seed: int | None = None) -> None:
        self.policy: Policy = make(policy)
        rng = np.random.Generator(np.random.PCG64(scenario.seed if seed is None else seed))
        self.name = policy
        self.world = World(scenario, rng)
        self._heat = RegionHeat(self.world)
        attach(self.policy, self.world)
        bound = policy in ENTRIES and ENTRIES[policy].bound
        if scenario.demotion and not bound:
            self.world.after_step.append(Kswapd(self.world).check)

    def engine(self) -> Engine:
        """The policy's engine; InputError where it has none."""
        if not isinstance(self.policy, Pghot):
            raise InputError(f"the policy {self.name} has no engine that events could be told of")
        return self.policy.engine

    def outcome(self) -> Outcome:
        """What came of it so far."""
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
            binned=self._binned(figures),
            busy_s=sum(group.busy_s for group in world.groups),
            late_s=max(
                (g.flow.late_s for g in world.groups if g.flow.schedule is not None), default=None
            ),
        )

    def _binned(self, figures: Figures) -> Binned:
        """What a report needs beside the figures: of the engine, if any, and heat."""
        own = figures.binned or Binned(kind="simulation", name="", fidelity="")
        refused = dict(sorted(figures.refused.items()))
        heat = self._heat.maps()
        return msgspec.structs.replace(own, name=self.name, refused=refused, heat=heat)
