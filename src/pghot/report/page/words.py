"""What came of runs, in sentences."""

from __future__ import annotations

from collections.abc import Sequence

from pghot.engine import reasons
from pghot.report.helps import trial_lines
from pghot.report.page.model import Run
from pghot.report.sizes import size
from pghot.report.table import BASELINES
from pghot.report.verdict import verdict_lines

OVER = (
    "The limit does not hold for a node with enough free pages (pgpromote_candidate_nrl), and "
    "is on the candidates of a second: a shorter column may hold all of them."
)
"""Why a rate may be over its limit (patch 5, as numa_promotion_rate_limit() in mm/migrate.c)."""

POINT = 0.01
"""A difference in the share of fast accesses, or in run time, that is worth the name."""

PAGES_A_MB = 256

OLD = {"verdict": "cannot be told", "why": "the result says nothing of time: an older pghot's"}
"""Stands for the verdict of a result that has none."""


def summary(runs: Sequence[Run]) -> list[str]:
    """The sentences: whether promotion paid, how much, what was refused and why."""
    if len(runs) == 1:
        return _alone(runs[0])
    lines = _compared(runs)
    return lines + [
        " ".join(filter(None, [f"{run.name}:", _against_none(run), _moved(run), _refused(run)]))
        for run in runs
    ]


def _alone(run: Run) -> list[str]:
    tried = trial_lines(run.trial)[:1] if run.trial else []
    lines = [*tried, *_paid(run), *run.helps, _moved(run), _refused(run)]
    if pace := _pace(run):
        lines.append(pace)
    if hot := _hottest(run):
        lines.append(hot)
    return lines


def _paid(run: Run) -> list[str]:
    """The verdict, and the shares beside those without promotion."""
    what = f"{run.accesses:,.0f} accesses in {run.elapsed_s:,.1f} s"
    if run.kind == "run":
        what = f"{run.accesses:,.0f} accesses were seen in {run.elapsed_s:,.1f} s"
    if not run.accesses:
        return [f"Nothing was accessed in {run.elapsed_s:,.1f} s."]
    verdict = verdict_lines(run.time or OLD)
    if run.share is None:
        why = run.why.get("fast", "")
        return [verdict[0], f"What the top tier served is not known ({why}): {what}."]
    return [verdict[0], f"The top tier served {percent(run.share)} of {what}.", *_beside(run),
            *verdict[1:]]  # fmt: skip


def _beside(run: Run) -> list[str]:
    """What would have been served fast without promotion."""
    known = {
        BASELINES[name]: shares for name, shares in run.baselines.items() if name in BASELINES
    }
    if not known:
        if run.share_without is None:
            return []
        return [f"Without promotion it would have been {percent(run.share_without)}."]
    parts = [
        f"{words} {percent(whole)}" for words, (whole, _) in known.items() if whole is not None
    ]
    line = f"The same accesses, {', '.join(parts)}."
    steady = [f"{words} {percent(late)}" for words, (_, late) in known.items() if late is not None]
    if run.steady_share is None or not steady:
        return [line]
    return [line, f"In the second half: {percent(run.steady_share)}; {', '.join(steady)}."]


def _against_none(run: Run) -> str | None:
    """The verdict on a replay or run among several."""
    if run.run_s is not None or run.share is None:
        return None
    return verdict_lines(run.time or OLD)[0]


def _moved(run: Run) -> str:
    if not run.promoted:
        return "Nothing was promoted."
    text = f"{run.promoted:,} pages ({size(run.promoted)}) were promoted"
    if run.demoted is not None and run.kind == "simulation":
        text += f", {run.demoted:,} ({size(run.demoted)}) demoted"
    return text + "."


def _refused(run: Run) -> str:
    if run.refused is None:
        return f"What was refused is not known: {run.why.get('refused', 'it was not written')}."
    found = {name: count for name, count in run.refused.items() if count}
    if not found:
        return "No page that was found hot was refused."
    parts = [
        f"{count:,} times {reasons.words(name).partition('; ')[0]}"
        for name, count in sorted(found.items(), key=lambda item: -item[1])
    ]
    return (
        f"A page that was found hot was refused {sum(found.values()):,} times: {'; '.join(parts)}."
    )


def _pace(run: Run) -> str | None:
    pages, limit = run.timeline.promoted, run.rate_limit_MBps
    if pages is None or not run.promoted or limit is None:
        return None
    peak = float(pages.max()) / run.timeline.step_s / PAGES_A_MB
    part = f"{percent(peak / limit)} of the rate limit" if limit else "the rate limit is 0"
    line = f"At most {peak:,.1f} MB/s were promoted (over {run.timeline.step_s:g} s), {part}."
    return f"{line}  {OVER}" if peak > limit else line


def _hottest(run: Run) -> str | None:
    if not run.heat:
        return None
    heat = run.heat[0]
    pages = heat.rows * heat.pages_a_row
    part = "hottest part" if heat.part == "hottest" else "accessed part"
    return f"The {part} of {heat.place}, {size(pages)}, had {percent(heat.share)} of its accesses."


def _compared(runs: Sequence[Run]) -> list[str]:
    timed = [run for run in runs if run.run_s is not None]
    base = next((run for run in timed if run.name.startswith("none")), None)
    if len(timed) != len(runs):
        return [_by_share(runs)]
    if base is None:
        ranked = sorted(timed, key=lambda run: run.run_s or 0)
        return [f"By run time: {'; '.join(f'{r.name} {r.run_s:,.2f} s' for r in ranked)}."]
    lines = [f"Without promotion the run took {base.run_s:,.2f} s."]
    others = sorted((run for run in timed if run is not base), key=lambda run: run.run_s or 0)
    for run in others:
        gain = 1 - (run.run_s or 0) / (base.run_s or 1)
        verdict = (
            f"pays: {percent(gain)} less time" if gain >= POINT
            else f"does not pay: {percent(-gain)} more time" if gain <= -POINT
            else "cannot be told to pay: under 1.0 % of the time apart, with one seed"
        )  # fmt: skip
        share = f", {percent(run.share)} of the accesses fast" if run.share is not None else ""
        lines.append(f"{run.name} {verdict} ({run.run_s:,.2f} s{share}).")
    return lines


def _by_share(runs: Sequence[Run]) -> str:
    known = [run for run in runs if run.share is not None]
    if not known:
        return "In none of these runs is the share of fast accesses known."
    best = max(known, key=lambda run: run.share or 0)
    worst = min(known, key=lambda run: run.share or 0)
    if (best.share or 0) - (worst.share or 0) < POINT:
        return f"All served about the same share of accesses fast: {percent(best.share or 0)}."
    return (
        f"{best.name} served most accesses fast, {percent(best.share or 0)}; "
        f"{worst.name} fewest, {percent(worst.share or 0)}."
    )


def percent(share: float) -> str:
    """Write a share; one that is neither 0 nor 1 is not written as if it were."""
    if 0 < share < 0.001:
        return "under 0.1 %"
    if 0.999 < share < 1:
        return "over 99.9 %"
    return f"{share * 100:,.1f} %"
