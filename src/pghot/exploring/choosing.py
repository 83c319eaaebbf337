"""Which settings, and whether promotion pays: trials on one part, judged by another."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import replace
from math import sqrt

from pghot.baselines.shares import Baselines, Share
from pghot.engine.units import USEC_PER_SEC
from pghot.exploring.advice import PromoteAnswer, SettingsAnswer
from pghot.exploring.candidates import (
    DEFAULTS,
    FIRST_TOUCH,
    INTERLEAVE,
    POSTINGS,
    candidates,
)
from pghot.exploring.case import Case
from pghot.exploring.halving import halving, kept
from pghot.exploring.on_optuna import searched
from pghot.exploring.pairs import PairedTrials
from pghot.exploring.policy_runs import Candidate, CandidateTrial, run_trials
from pghot.results.verdict import ONE_SEED, TWO_SIGMA, run_time_verdict, verdict_of

PARTS = (1 / 8, 1 / 4)
"""Parts of the whole that all candidates run, and then the best quarter of them."""

TRAINED = 1 / 2
"""The part that the last ones run: of a log the first half, which judges nothing."""

FINALISTS = 3
STEP_ERROR = 0.005
"""How far a share of a simulation is off by its step (`log_scenario.TICK_MS`)."""


def settings_answer(case: Case, pages: int, pool: Executor, tries: int) -> SettingsAnswer:
    """Find the best settings of v7 and of v8 at a size, each held against its own defaults.

    Of the grid, or with `tries` so many of all tunables (`on_optuna`) of each posting.
    The posting that did better where settings were chosen answers; v7 where both did the same.
    """
    scenario = case.at(pages)
    tried = PairedTrials(scenario, pool, case.train_seed)
    judged = PairedTrials(scenario, pool, case.test_seed)
    answers = [_of_posting(case, name, tried, judged, tries) for name in POSTINGS]
    recommended = [answer.recommended.candidate for answer in answers]
    first, second = _costs(case, tried.run(recommended, TRAINED))
    winner, other = reversed(answers) if second < first else answers
    lead = _gain(case, winner.recommended, other.recommended)
    return replace(winner, other=other, lead=lead)


def _of_posting(
    case: Case, posting: str, tried: PairedTrials, judged: PairedTrials, tries: int
) -> SettingsAnswer:
    """Find the best settings of one posting, and hold them against its defaults' best."""

    def costs(some: Sequence[Candidate], part: float) -> list[float]:
        return _costs(case, tried.run(some, part))

    first, *longer = PARTS
    if tries:
        every = searched(tries, lambda some: costs(some, first), posting)
        short = halving(kept(every, FINALISTS), longer, costs, finalists=FINALISTS)
    else:
        every = candidates(posting)
        short = halving(every, PARTS, costs, finalists=FINALISTS)
    defaults = [Candidate(policy) for policy in DEFAULTS[posting]]
    finalists = list(dict.fromkeys([*defaults, *short]))
    trained = halving(finalists, [TRAINED], costs, finalists=len(finalists))
    default = next(candidate for candidate in trained if candidate in defaults)
    best, base = judged.run([trained[0], default])
    return SettingsAnswer(best, base, len(every), *_gain(case, best, base))


def _gain(case: Case, best: CandidateTrial, base: CandidateTrial) -> tuple[float, float]:
    """What one serves more than another where it is judged, and half of its interval."""
    if case.kind == "log":
        return best.late - base.late, _error(base.late, case.rows / 2)
    return 1 - best.run_s / base.run_s, ONE_SEED


def promote_answer(
    case: Case, pages: int, settings: SettingsAnswer, pool: Executor
) -> PromoteAnswer:
    """Hold promotion against what is done without it."""
    without = [Candidate(FIRST_TOUCH), Candidate(INTERLEAVE)]
    first_touch, interleave = run_trials(case.at(pages), without, pool, case.test_seed)
    trials = {
        "first touch": first_touch,
        "interleave": interleave,
        "defaults": settings.default,
        "best settings": settings.best,
    }
    found, low, high = _held(case, settings.best, first_touch)
    return PromoteAnswer(trials, found, (low, high), _held(case, settings.best, interleave))


def _held(
    case: Case, best: CandidateTrial, against: CandidateTrial
) -> tuple[str, float | None, float | None]:
    """A verdict, and the seconds saved from the least to the most."""
    if case.kind != "log":
        verdict = run_time_verdict(against.run_s, best.run_s, against.candidate.policy)
        return verdict["verdict"], *verdict["saved_s"]
    unknown = Share(None, None)
    found = verdict_of(
        Share(best.share, None),
        Baselines(unknown, Share(against.share, None), unknown, unknown),
        case.rows,
        case.prices.moves_s(best.moves, 0),
        case.span_us / USEC_PER_SEC,
        case.accesses_a_row,
        case.prices,
    )
    return found.verdict, found.low_s, found.high_s


def _costs(case: Case, trials: Sequence[CandidateTrial]) -> list[float]:
    return [_cost(case, trial) for trial in trials]


def _cost(case: Case, trial: CandidateTrial) -> float:
    """What a trial costs: its run time, or of a log the time of its accesses and moves.

    Where nobody knows how many accesses a row stands for, moves are left out.
    """
    if trial.error is not None:
        return float("inf")
    if case.kind != "log":
        return trial.run_s
    slow_s = (1 - trial.share) * (case.prices.slow_ns - case.prices.fast_ns) * 1e-9
    if case.accesses_a_row is None:
        return slow_s
    rows = case.rows * case.accesses_a_row
    return slow_s * rows + case.prices.moves_s(trial.moves, 0)


def _error(share: float, rows: float) -> float:
    """The error of the difference of two shares of as many rows."""
    return TWO_SIGMA * sqrt(2 * share * (1 - share) / max(rows, 1)) + STEP_ERROR
