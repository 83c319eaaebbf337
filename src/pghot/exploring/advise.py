"""How much fast memory, which settings, and whether to promote at all."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import AbstractContextManager, nullcontext
from math import sqrt
from pathlib import Path

from pghot.engine.units import USEC_PER_SEC
from pghot.errors import InputError
from pghot.exploring.advice import Advice
from pghot.exploring.case import Case, case_of_log, case_of_scenario
from pghot.exploring.changes import changes_of
from pghot.exploring.choosing import STEP_ERROR, promote_answer, settings_answer
from pghot.exploring.grid import is_scenario
from pghot.exploring.groups import this_machine
from pghot.exploring.log_scenario import TICK_MS
from pghot.exploring.placement import placement_of
from pghot.exploring.price import Price
from pghot.exploring.sizes import FastSize
from pghot.exploring.sizing import size_answer
from pghot.exploring.thin import too_thin
from pghot.log.machine import Machine
from pghot.results.verdict import TWO_SIGMA

TARGET = 0.95

LEAST_TRIES, MOST_TRIES = 16, 10_000
"""Of fewer, the search knows nothing yet; a grid does better."""

Tell = Callable[[str], None]


def advise(
    source: Path | str,
    *,
    target: float = TARGET,
    fast: FastSize | None = None,
    machine: Machine | Path | str | None = None,
    latency_ns: tuple[float, float] | None = None,
    price: Price | None = None,
    scale: float = 1.0,
    tries: int = 0,
    executor: Executor | None = None,
    tell: Tell | None = None,
) -> Advice:
    """Answer the questions of a capacity planner about a log or a scenario.

    How much fast memory serves `target` of the accesses; which settings of a kernel with the
    series serve most of them, found on one part and confirmed on another; whether promotion
    pays against first touch, at `fast` or else at the size that the first answer gives.
    `latency_ns` of fast and slow memory, else the machine's own, else assumed.  `tries`
    candidates of all tunables are searched by Optuna (extra `pghot[optuna]`) instead of the
    grid of a few.  `executor` runs the simulations, else processes on all CPUs here.  `tell`
    is told what is under way.
    InputError for what cannot be used; what cannot be told is in `Advice.untold`.

    >>> import pghot
    >>> advice = pghot.advise("gups", scale=0.001)
    >>> advice
    <advice on gups: size, settings, promote>
    >>> advice.promote.verdict in ("pays", "does not pay", "cannot be told")
    True
    """
    if not 0 < target <= 1:
        raise InputError(f"--target {target:g}: wants a share above 0, up to 1 or 100%")
    if tries and not LEAST_TRIES <= tries <= MOST_TRIES:
        raise InputError(f"--tries {tries}: wants {LEAST_TRIES} to {MOST_TRIES}")
    tell = tell or (lambda _line: None)
    tell("counting")
    if is_scenario(str(source)):
        case = case_of_scenario(str(source), scale)
    else:
        case = case_of_log(Path(source), machine, latency_ns)
    with _executor(executor) as pool:
        return _answers(case, target, fast, price, tries, pool, tell)


def _answers(
    case: Case,
    target: float,
    fast: FastSize | None,
    price: Price | None,
    tries: int,
    pool: Executor,
    tell: Tell,
) -> Advice:
    asked = None if fast is None else fast.of(case.footprint)
    if fast is not None and not asked:
        raise InputError(f"--fast {fast.text}: wants some fast memory, such as 8G or 25%")
    thin = too_thin(case)
    untold = dict.fromkeys(("settings", "promote"), thin) if thin else {}
    settings = promote = None
    chosen = case.choose(target, asked)
    if not thin:
        tell("trying settings")
        settings = settings_answer(case, chosen, pool, tries)
        tell("holding promotion against first touch")
        promote = promote_answer(case, chosen, settings, pool)
    tell("sizing")
    best = None if settings is None else settings.best.candidate
    size = size_answer(case, target, chosen, best, pool)
    return Advice(
        source=case.name,
        kind=case.kind,
        size=size,
        settings=settings,
        promote=promote,
        changes=changes_of(case, size, promote, price),
        assumed=_assumed(case, simulated=promote is not None),
        untold=untold,
        notes=case.curve.notes if case.curve else (),
        regions=placement_of(case.curve),
    )


def _assumed(case: Case, *, simulated: bool) -> list[str]:
    lines = [f"latencies: {case.prices.latency_source}"]
    if case.kind == "log":
        lines.append(f"moves: {case.prices.page_us:.1f} us a page; {case.prices.move_source}")
        rows = case.accesses_a_row
        lines.append(
            "a row stands for "
            + ("an unknown number of accesses" if rows is None else f"{rows:g} accesses")
        )
    if case.kind == "log" and simulated:
        lines.append(
            "simulated: rows at their times, each of which can be sampled; pages begin by first "
            f"touch, kswapd demotes what was not referenced; {case.span_us / USEC_PER_SEC:,.1f} s"
        )
        chance = 100 * TWO_SIGMA * sqrt(0.25 / max(case.rows, 1))
        lines.append(
            f"simulated shares are off by up to {100 * STEP_ERROR:g} points by the step of "
            f"{TICK_MS} ms, and {chance:.2g} by chance"
        )
    return lines


def _executor(executor: Executor | None) -> AbstractContextManager[Executor]:
    return this_machine() if executor is None else nullcontext(executor)
