"""A simulation as a feed (`pghot top --sim`)."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

import numpy as np

from pghot.errors import PghotError
from pghot.simulated.policies.pghot import Pghot
from pghot.simulated.policies.simulate import Simulation
from pghot.simulated.scenario.scenario import Scenario
from pghot.top.state import (
    WINDOW_S,
    NodeState,
    ProcessState,
    RegionState,
    SourceState,
    TopState,
)
from pghot.top.virtual_feed import VirtualFeed


class _Recent:
    """What was counted in the last seconds, by name, from counts since the start."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, Mapping[str, float]]] = deque([(0.0, {})])

    def per_s(self, now_s: float, counts: Mapping[str, float]) -> dict[str, float]:
        """The counts a second, as of `now_s`."""
        while len(self._seen) > 1 and self._seen[1][0] <= now_s - WINDOW_S:
            self._seen.popleft()
        since_s, before = self._seen[0]
        self._seen.append((now_s, counts))
        seconds = max(now_s - since_s, 1e-9)
        return {name: (count - before.get(name, 0.0)) / seconds for name, count in counts.items()}


class SimFeed(VirtualFeed):
    """A scenario with one policy."""

    def __init__(
        self,
        scenario: Scenario,
        policy: str,
        *,
        name: str,
        seed: int | None = None,
        speed: float = 1.0,
        period_s: float = 1.0,
        until_s: float | None = None,
    ) -> None:
        super().__init__(speed, period_s, until_s)
        self._groups, self._clocks = _Recent(), _Recent()
        self._name = f"{name}, {policy}"
        self._simulation = Simulation(scenario, policy, seed=seed)
        self._world = self._simulation.world
        policy_of = self._simulation.policy
        self._pghot = policy_of if isinstance(policy_of, Pghot) else None
        self._engine = self._pghot.engine if self._pghot else None

    def _work(self) -> TopState:
        self._world.run(self._reached)
        return self._state(self._world.now, ended="the simulation is at its end")

    def _reached(self, now_s: float, _end_s: float) -> None:
        """Wait until the step just made has come: a state is of its end."""
        self.pacer.reach(now_s, self._state, self._write)

    def _state(self, now_s: float, ended: str = "") -> TopState:
        account = self._world.account
        figures = self._simulation.policy.figures()
        engine = self._engine
        made = account.sums["accesses"]
        return TopState(
            kind="simulation",
            name=self._name,
            time_s=now_s,
            mode=engine.layout.name if engine else "",
            fidelity=engine.fidelity.name if engine else "",
            accesses=int(account.sums["accesses"]),
            fast_share=account.sums["fast_accesses"] / made if made else None,
            found=engine.found if engine else None,
            promoted=account.total["promoted"],
            demoted=account.total["demoted"],
            refused=dict(sorted(figures.refused.items())),
            nodes=self._nodes(),
            sources=self._sources(figures.counters),
            processes=self._processes(now_s),
            regions=self._regions(now_s),
            tunables=engine.tunables.as_dict() if engine else {},
            ended=ended,
        )

    def _nodes(self) -> list[NodeState]:
        memory = self._world.memory
        return [
            NodeState(nid, memory.all[nid].toptier, memory.all[nid].pages, memory.free_pages(nid))
            for nid in memory.nodes()
        ]

    def _sources(self, counters: dict[str, int]) -> list[SourceState]:
        dropped = self._pghot.dropped if self._pghot else 0
        samples = self._world.account.total["samples"]
        return [
            SourceState("hintfault", counters["numa_hint_faults"], 0),
            SourceState("hwhint", samples, dropped),
        ]

    def _processes(self, now_s: float) -> list[ProcessState]:
        groups = self._world.groups
        per_s = self._groups.per_s(now_s, {group.table.name: group.made for group in groups})
        found = [
            ProcessState(f"{group.table.name} ({len(group.cpus)})", per_s[group.table.name])
            for group in groups
        ]
        return sorted(found, key=lambda process: -process.per_s)

    def _regions(self, now_s: float) -> list[RegionState]:
        memory, regions = self._world.memory, self._world.regions.values()
        per_s = self._clocks.per_s(
            now_s, {region.name: sum(flow.clock for flow in region.flows) for region in regions}
        )
        tops = np.array([nid for nid, node in memory.all.items() if node.toptier])
        found = []
        for region in regions:
            fast = np.isin(memory.folios.nid[region.rows], tops)
            found.append(
                RegionState(
                    region.name,
                    per_s[region.name],
                    pages=region.folios * region.pages,
                    fast_pages=int(np.count_nonzero(fast)) * region.pages,
                )
            )
        return sorted(found, key=lambda region: -region.per_s)

    def _write(self, name: str, text: str) -> None:
        if self._engine is None:
            raise PghotError(f"{name}: the policy has no tunables while it runs")
        self._engine.write(name, text, int(self._world.now * self._engine.hz))
