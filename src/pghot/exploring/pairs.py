"""Trials of v7 and of v8 on one scenario, each run once, and one for both where that is known."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor

from pghot.exploring.candidates import under_v7
from pghot.exploring.policy_runs import Candidate, CandidateTrial, run_trials, shortened
from pghot.simulated.scenario.scenario import Scenario


class PairedTrials:
    """What has been tried of a scenario, with one seed.

    A candidate of v8 is run under v7 first: where none of the rules came up that v8 changed
    (`CandidateTrial.either`), that is its run as well.
    """

    def __init__(self, scenario: Scenario, executor: Executor, seed: int | None) -> None:
        self._scenario = scenario
        self._executor = executor
        self._seed = seed
        self._done: dict[tuple[float, Candidate], CandidateTrial] = {}

    def run(self, candidates: Sequence[Candidate], part: float = 1) -> list[CandidateTrial]:
        """Run candidates on the first part (of 1) of the scenario."""
        self._run([under_v7(candidate) for candidate in candidates], part)
        apart = []
        for candidate in candidates:
            other = self._done[part, under_v7(candidate)]
            if other.either:
                self._done[part, candidate] = other._replace(candidate=candidate)
            else:
                apart.append(candidate)
        self._run(apart, part)
        return [self._done[part, candidate] for candidate in candidates]

    def _run(self, candidates: Sequence[Candidate], part: float) -> None:
        fresh = [one for one in dict.fromkeys(candidates) if (part, one) not in self._done]
        scenario = self._scenario if part == 1 else shortened(self._scenario, part)
        trials = run_trials(scenario, fresh, self._executor, self._seed)
        self._done |= {(part, one): trial for one, trial in zip(fresh, trials, strict=True)}
