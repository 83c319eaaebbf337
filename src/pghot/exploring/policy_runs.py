"""Trials of policies with settings on one scenario, on all CPUs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import BrokenExecutor, Executor
from typing import Any, NamedTuple

import msgspec
import numpy as np

from pghot.errors import PghotError
from pghot.simulated.policies.pghot import Pghot
from pghot.simulated.policies.registry import POLICIES
from pghot.simulated.policies.simulate import Simulation
from pghot.simulated.result import Outcome
from pghot.simulated.scenario.scenario import Scenario, ThreadsTable
from pghot.simulated.scenario.settings import with_settings

Settings = tuple[tuple[str, str], ...]


class Candidate(NamedTuple):
    """A policy and what is set of it."""

    policy: str
    settings: Settings = ()

    def words(self) -> str:
        """As a person reads it."""
        return " ".join([self.policy, *(f"{name}={text}" for name, text in self.settings)])


class CandidateTrial(NamedTuple):
    """What came of a candidate.

    `share`: accesses served fast, `early` and `late` in the first and second half of the
    time.  `moves`: pages moved, both ways; `overhead_s`: CPU time of sampling, moving and
    scanning.  `error`: why it could not run.  `either`: v7 and v8 are known to do the same.
    """

    candidate: Candidate
    share: float = 0.0
    early: float = 0.0
    late: float = 0.0
    run_s: float = float("inf")
    moves: int = 0
    overhead_s: float = 0.0
    error: str | None = None
    either: bool = False


def run_trials(
    scenario: Scenario,
    candidates: Sequence[Candidate],
    executor: Executor,
    seed: int | None = None,
) -> list[CandidateTrial]:
    """Run candidates on one scenario; one that cannot run has its error."""
    plain = msgspec.to_builtins(scenario)
    futures = [executor.submit(_trial, plain, candidate, seed) for candidate in candidates]
    return [future.result() for future in futures]


def run_each(
    cases: Iterable[tuple[Scenario, Candidate, int | None]], executor: Executor
) -> list[CandidateTrial]:
    """Run each of these pairs of a scenario and a candidate, with its seed."""
    futures = [
        executor.submit(_trial, msgspec.to_builtins(scenario), candidate, seed)
        for scenario, candidate, seed in cases
    ]
    try:
        return [future.result() for future in futures]
    except BrokenExecutor:
        raise PghotError(
            "a process that simulated died: it was killed, or there was not enough memory"
        ) from None


def shortened(scenario: Scenario, part: float) -> Scenario:
    """The first part of a scenario's accesses and of its time."""

    def cut(threads: ThreadsTable) -> ThreadsTable:
        accesses = threads.accesses
        return msgspec.structs.replace(
            threads, accesses=None if accesses is None else max(round(accesses * part), 1)
        )

    seconds = scenario.seconds
    return msgspec.structs.replace(
        scenario,
        threads=[cut(threads) for threads in scenario.threads],
        seconds=None if seconds is None else seconds * part,
    )


def _trial(plain: dict[str, Any], candidate: Candidate, seed: int | None) -> CandidateTrial:
    try:
        scenario = msgspec.convert(plain, Scenario)
        settings = [f"{name}={text}" for name, text in candidate.settings]
        scenario = with_settings(scenario, settings, POLICIES)
        simulation = Simulation(scenario, candidate.policy, seed=seed)
        simulation.world.run()
        outcome = simulation.outcome()
    except (PghotError, ValueError) as error:
        return CandidateTrial(candidate, error=" ".join(str(error).split()))
    early, late = _halves(outcome)
    return CandidateTrial(
        candidate,
        outcome.fast_share,
        early,
        late,
        outcome.run_s,
        outcome.promoted + outcome.demoted,
        sum(outcome.overhead_s.values()),
        either=isinstance(simulation.policy, Pghot) and simulation.policy.either_posting,
    )


def _halves(outcome: Outcome) -> tuple[float, float]:
    """The shares of the two halves of the time, by the rows of the timeline."""
    timeline = outcome.timeline
    late = timeline.time_s > outcome.run_s / 2
    shares = []
    for half in (~late, late):
        made = float(np.sum(timeline.accesses[half]))
        shares.append(float(np.sum(timeline.fast_accesses[half])) / made if made else 0.0)
    return shares[0], shares[1]
