"""How much fast memory a target needs, and what a step more or less changes."""

from __future__ import annotations

from concurrent.futures import Executor

import numpy as np

from pghot.exploring.advice import SizeAnswer
from pghot.exploring.candidates import FIRST_TOUCH, ORACLE
from pghot.exploring.case import Case
from pghot.exploring.curve_result import Scope
from pghot.exploring.policy_runs import Candidate, CandidateTrial, run_each
from pghot.exploring.tally import BOUND, LRU
from pghot.exploring.tally import FIRST_TOUCH as FIRST_TOUCH_LINE

STEP = 0.1
"""A step, as a share of what is touched."""

CLOSE, ROUNDS = 0.03, 4
"""How near, as a share of what is touched, the size that promotion needs is found, and by how
many rounds of simulations at the most."""

PROMOTION = "promotion"
QUARTERS = (0.25, 0.5, 0.75, 1.0)

Needed = tuple[int | None, int | None, int | None]


def size_answer(
    case: Case, target: float, chosen: int, best: Candidate | None, pool: Executor
) -> SizeAnswer:
    """Answer by a log's curve, or by simulations of a scenario at some sizes."""
    step = max(round(STEP * case.footprint), 1)
    sizes = sorted({max(chosen - step, 1), chosen, chosen + step})
    if case.curve is None:
        return _of_scenario(case, target, chosen, sizes, best, pool)
    whole = case.curve.whole
    trials: dict[int, float] = {}
    if best is not None:
        trials = _shares(case, best, sizes, pool)
    steps = {
        size: {name: whole.share(name, size) for name in (BOUND, LRU, FIRST_TOUCH_LINE)}
        | ({PROMOTION: trials[size]} if size in trials else {})
        for size in sizes
    }
    needed = {name: _needed(whole, name, target) for name in (BOUND, LRU, FIRST_TOUCH_LINE)}
    if best is not None:
        needed[PROMOTION] = _least(_bracketed(case, best, trials, target, pool), target)
    return SizeAnswer(target, case.footprint, chosen, needed, steps)


def _bracketed(
    case: Case, best: Candidate, known: dict[int, float], target: float, pool: Executor
) -> dict[int, float]:
    """Shares of more sizes, until two that are close have the target between them.

    Larger memory is taken to serve no less.  Two sizes at a time: they run beside each other.
    """
    shares = {0: 0.0} | {min(size, case.footprint): share for size, share in known.items()}
    for _round in range(ROUNDS):
        low = max(size for size in shares if shares[size] < target)
        high = min((size for size in shares if size > low), default=case.footprint)
        between = sorted({low + (high - low) * part // 3 for part in (1, 2)} - {low})
        if high not in shares:
            between.append(high)
        elif high - low <= CLOSE * case.footprint:
            break
        shares |= _shares(case, best, between, pool)
    del shares[0]
    return shares


def _of_scenario(
    case: Case,
    target: float,
    chosen: int,
    near: list[int],
    best: Candidate | None,
    pool: Executor,
) -> SizeAnswer:
    quarters = {max(round(part * case.footprint), 1) for part in QUARTERS}
    sizes = sorted({*near, *quarters})
    rules = {BOUND: Candidate(ORACLE), FIRST_TOUCH_LINE: Candidate(FIRST_TOUCH)}
    if best is not None:
        rules[PROMOTION] = best
    found = {name: _shares(case, rule, sizes, pool) for name, rule in rules.items()}
    steps = {
        size: {name: shares[size] for name, shares in found.items() if size in shares}
        for size in near
    }
    needed = {name: _least(shares, target) for name, shares in found.items()}
    return SizeAnswer(target, case.footprint, chosen, needed, steps)


def _shares(case: Case, rule: Candidate, sizes: list[int], pool: Executor) -> dict[int, float]:
    cases = [(case.at(size), rule, case.test_seed) for size in sizes]
    trials: list[CandidateTrial] = run_each(cases, pool)
    return {
        size: trial.share for size, trial in zip(sizes, trials, strict=True) if trial.error is None
    }


def _needed(whole: Scope, name: str, target: float) -> Needed:
    """The least size, by the line, and by what its error allows to both sides."""
    line = whole.line(name)
    found = []
    for share in (line.share + line.error, line.share, line.share - line.error):
        enough = np.flatnonzero(share >= target)
        found.append(int(whole.sizes[enough[0]]) if len(enough) else None)
    return found[0], found[1], found[2]


def _least(shares: dict[int, float], target: float) -> Needed:
    """The least of the sizes that were simulated; between it and the one below is more."""
    enough = [size for size in sorted(shares) if shares[size] >= target]
    if not enough:
        return None, None, None
    below = [size for size in shares if size < enough[0]]
    return max(below, default=enough[0]), enough[0], enough[0]
