"""Outcomes beside each other, and beside what was published."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec

from pghot.report.sim_facts import BASE, policy_facts
from pghot.results.provenance import LogFacts, Made
from pghot.simulated.result import Outcome
from pghot.simulated.scenario.scenario import Scenario


class Figure(NamedTuple):
    """A published figure of a policy, and the run's own; `name` is `run_s` or a counter."""

    policy: str
    name: str
    published: float
    here: float
    fitted: bool

    @property
    def difference(self) -> float | None:
        """How far the run's figure is off, as a share of the published one."""
        return self.here / self.published - 1 if self.published else None


@dataclass(frozen=True, slots=True)
class Comparison:
    """A scenario as it was run, at this scale and with this seed, and what came of it."""

    name: str
    scenario: Scenario
    scale: float
    seed: int
    outcomes: Sequence[Outcome]
    made: Made | None = None
    log: LogFacts | None = None
    """The log whose accesses were simulated."""
    bounds: Mapping[str, float] = field(default_factory=dict)
    """Run times in seconds between which all lie: were all accesses fast, and all slow."""

    def ratio(self, outcome: Outcome) -> float | None:
        """The run time in parts of that without promotion; None where that did not run."""
        base = next((other.run_s for other in self.outcomes if other.policy == BASE), None)
        return outcome.run_s / base if base else None

    def published(self) -> list[Figure]:
        """Every published figure of the policies that ran."""
        figures = []
        for outcome in self.outcomes:
            table = self.scenario.published.get(outcome.policy)
            if table is None:
                continue
            known: dict[str, tuple[float, float]] = {
                name: (count, outcome.counters.get(name, 0))
                for name, count in table.counters.items()
            }
            if table.run_s is not None:
                known = {"run_s": (table.run_s, outcome.run_s)} | known
            figures += [
                Figure(outcome.policy, name, *pair, name in table.fitted)
                for name, pair in known.items()
            ]
        return figures

    def summary(self) -> dict[str, Any]:
        """The content of summary.json: all but the timelines."""
        return {
            "scenario": self.name,
            "title": self.scenario.title,
            "scale": self.scale,
            "seed": self.seed,
            "policies": {outcome.policy: self._policy(outcome) for outcome in self.outcomes},
            "published": [
                {**figure._asdict(), "difference": figure.difference}
                for figure in self.published()
            ],
            "bounds": {f"{name.replace(' ', '_')}_s": s for name, s in self.bounds.items()},
        }

    def settings(self) -> dict[str, Any]:
        """The content of scenario.json: every value that the run had."""
        scenario: dict[str, Any] = msgspec.to_builtins(self.scenario)
        return scenario | {"seed": self.seed}

    def _policy(self, outcome: Outcome) -> dict[str, Any]:
        name = self.name.encode(errors="replace").decode()
        facts = policy_facts(self.made, name, self.scenario, outcome, self.outcomes, log=self.log)
        return facts | {
            "run_s": outcome.run_s,
            "busy_s": outcome.busy_s,
            "late_s": outcome.late_s,
            "ratio": self.ratio(outcome),
            "accesses": outcome.accesses,
            "fast_accesses": outcome.fast_accesses,
            "fast_share": outcome.fast_share,
            "promoted": outcome.promoted,
            "demoted": outcome.demoted,
            "ping_pong": outcome.ping_pong,
            "accuracy": outcome.accuracy,
            "coverage": outcome.coverage,
            "hot_fast_s": outcome.hot_fast_s,
            "migrated_bytes": outcome.migrated_bytes,
            "overhead_s": outcome.overhead_s,
            "refused": outcome.refused,
            "memcg_promoted": {str(memcg): n for memcg, n in outcome.memcg_promoted.items()},
            "group_s": outcome.group_s,
            "vmstat": outcome.counters,
            "notes": outcome.notes,
        }
