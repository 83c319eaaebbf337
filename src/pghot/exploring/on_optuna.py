"""Candidates from a space too large for a grid, by Optuna (extra `pghot[optuna]`).

Its TPE: Bergstra, Bardenet, Bengio, Kégl, "Algorithms for Hyper-Parameter Optimization",
NIPS 2011.  The same candidates come of one seed, on any number of CPUs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import isfinite
from typing import TYPE_CHECKING, NamedTuple

from pghot.engine.fidelity import V8
from pghot.engine.layout import Layout
from pghot.engine.tunables import V8_BATCH_NR, V8_SLEEP_MS, v8_window_ms
from pghot.errors import PghotError
from pghot.exploring.candidates import (
    DEFAULTS,
    POSTINGS,
    THRESHOLD,
    WINDOW,
    layout_of,
    policies_of,
    posting_of,
)
from pghot.exploring.policy_runs import Candidate

if TYPE_CHECKING:
    from optuna import Study, Trial

SEED = 1
TOGETHER = 8
"""Candidates that are asked for at a time: what runs at once must not depend on the CPUs."""


class Range(NamedTuple):
    """Whole numbers that are tried of a tunable, as many below ten times as above; its default."""

    least: int
    most: int
    default: int


RANGES = {
    "kmigrated_sleep_ms": Range(10, 1000, 100),
    "kmigrated_batch_nr": Range(32, 4096, 512),
    "pghot_promote_rate_limit_MBps": Range(16, 65536, 65536),
}
"""Beside the threshold and the window, which go by the record layout."""

V8_RANGES = RANGES | {
    "kmigrated_sleep_ms": Range(*V8_SLEEP_MS, 100),
    "kmigrated_batch_nr": Range(*V8_BATCH_NR, 512),
}
WINDOW_MS = (100, 20_000)

Costs = Callable[[Sequence[Candidate]], Sequence[float]]


def searched(tries: int, costs: Costs, posting: str = POSTINGS[0]) -> list[Candidate]:
    """So many candidates of a posting, or a few less where some came twice; the best first.

    `costs` runs candidates; infinite where one could not run.  The defaults are among them.
    PghotError where Optuna is not installed.
    """
    study = _study()
    for policy in DEFAULTS[posting]:
        study.enqueue_trial({"policy": policy, **_defaults(layout_of(policy))})
    found: dict[Candidate, float] = {}
    for done in range(0, tries, TOGETHER):
        trials = [study.ask() for _ in range(min(TOGETHER, tries - done))]
        asked = [_candidate(trial, posting) for trial in trials]
        fresh = [one for one in dict.fromkeys(asked) if one not in found]
        found |= zip(fresh, costs(fresh), strict=True)
        for trial, candidate in zip(trials, asked, strict=True):
            _tell(study, trial, found[candidate])
    return sorted(found, key=found.__getitem__)


def _study() -> Study:
    try:
        import optuna  # noqa: PLC0415 - an extra
    except ImportError:
        raise PghotError("--tries needs the package optuna: pip install 'pghot[optuna]'") from None
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        return optuna.create_study(sampler=optuna.samplers.TPESampler(seed=SEED))
    finally:
        optuna.logging.set_verbosity(before)


def _tell(study: Study, trial: Trial, cost: float) -> None:
    if isfinite(cost):
        study.tell(trial, cost)
    else:
        from optuna.trial import TrialState  # noqa: PLC0415 - an extra

        study.tell(trial, state=TrialState.FAIL)


def _candidate(trial: Trial, posting: str) -> Candidate:
    """What is tried next; values that are the default are left out."""
    policy = trial.suggest_categorical("policy", policies_of(posting))
    layout = layout_of(policy)
    defaults = _defaults(layout)
    values = {
        _of(layout, THRESHOLD): trial.suggest_int(_of(layout, THRESHOLD), 1, layout.freq_max),
        _of(layout, WINDOW): trial.suggest_int(_of(layout, WINDOW), *_window(policy), log=True),
    }
    for name, (least, most, _default) in ranges_of(posting).items():
        values[name] = trial.suggest_int(name, least, most, log=True)
    chosen = {
        name.partition(" ")[0]: str(value)
        for name, value in values.items()
        if value != defaults[name]
    }
    return Candidate(policy, tuple(sorted(chosen.items())))


def _defaults(layout: Layout) -> dict[str, int]:
    return {
        _of(layout, THRESHOLD): 2,
        _of(layout, WINDOW): layout.default_window_ms,
        **{name: span.default for name, span in RANGES.items()},
    }


def _of(layout: Layout, name: str) -> str:
    """A name for what is not the same in two layouts: Optuna wants one range a name."""
    return f"{name} of {layout.name}"


def ranges_of(posting: str) -> dict[str, Range]:
    """What is tried of a posting's tunables, without the threshold and the window."""
    return V8_RANGES if posting == V8.name else RANGES


def _window(policy: str) -> tuple[int, int]:
    return v8_window_ms(layout_of(policy)) if posting_of(policy) == V8.name else WINDOW_MS
