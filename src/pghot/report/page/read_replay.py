"""The result of a replay or of a live run (R10)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import msgspec
import numpy as np

from pghot.binning.forms import BINNED, Binned, Series, read_binned
from pghot.engine.layout import LAYOUTS
from pghot.engine.units import USEC_PER_SEC
from pghot.errors import InputError
from pghot.report.page.facts import ResultFacts
from pghot.report.page.made import made_of
from pghot.report.page.model import COLUMNS, ReportTimeline, Run, binned_sum, group_of
from pghot.report.page.promotions import read_promotions
from pghot.report.page.read_trial import TrialOfResult, read_helps
from pghot.report.page.records import frequencies

Seconds = Annotated[float, msgspec.Meta(ge=0, le=1e14)]
Count = Annotated[int, msgspec.Meta(ge=0)]

NO_BINNED = f"the result has no {BINNED} (an older pghot wrote it, or another program)"
NO_DEMOTION = "a replay does not demote"
NO_KERNEL = "the kernel demotes on its own; a run does not count that"
NO_TIME = "a pass of a replay takes no time"
AS_LIVE = "the log is of a live run, replayed with the host's own answers: no page moves here"
NOT_BY_TIME = "beside hint faults the share by time is not kept; that of the whole is known"
FAULTS_ONLY = "hint faults show accesses to slow memory alone, so the share is not known"


class ReplaySummary(ResultFacts, kw_only=True):
    """What is read of summary.json."""

    mode: str
    hz: Count
    tunables: dict[str, int]
    vmstat: dict[str, int]
    nodes: dict[str, dict[str, int]]
    batches: Count
    accesses: Count
    elapsed_s: Seconds
    live: dict[str, Any] | None = None
    trial: TrialOfResult | None = None
    taken_by: str = ""


def read_replay(path: Path, summary: ReplaySummary) -> Run:
    """The run of a directory."""
    if summary.mode not in LAYOUTS:
        raise InputError(f"{path}: mode {summary.mode!r}; there are {', '.join(LAYOUTS)}")
    binned = _binned(path)
    live = summary.live is not None
    series = binned.series if binned else None
    step_us, columns, group = _grid(summary, series)
    promoted, batches = read_promotions(path, step_us, columns)
    why = _why(binned, live=live, sampled=summary.fast_share is not None)
    trial: dict[str, Any] | None = msgspec.to_builtins(summary.trial)
    figures = {"batches": summary.batches}
    if summary.live:
        figures |= _live_figures(summary.live)
    frequency = frequencies(path, LAYOUTS[summary.mode])
    if frequency is None:
        why["heat"] = "the result has no records.npz"
    return Run(
        name=path.resolve().name,
        kind="run" if live else "replay",
        about=_about(summary, binned),
        elapsed_s=summary.elapsed_s,
        timeline=_timeline(series, step_us, group, promoted),
        promoted=summary.vmstat.get("pgpromote_success", 0),
        accesses=summary.accesses,
        share=_served(summary, series, live=live),
        share_without=_without(summary, series, live=live),
        refused=dict(binned.refused) if binned else None,
        frequency=frequency,
        threshold=summary.tunables.get("freq_threshold"),
        batches=batches,
        latency_ms=binned.latency_ms if binned else None,
        heat=binned.heat if binned else [],
        rate_limit_MBps=summary.tunables.get("pghot_promote_rate_limit_MBps"),
        tunables=summary.tunables,
        counters=summary.vmstat,
        nodes=summary.nodes,
        figures=figures,
        why=why,
        steady_share=summary.steady_fast_share,
        baselines=summary.shares(),
        time=summary.told_time(),
        made_of=made_of(summary, summary.mode),
        trial=trial,
        helps=[] if trial else read_helps(path, summary.live),
        regions=binned.regions if binned else [],
    )


def _binned(path: Path) -> Binned | None:
    if not (path / BINNED).exists():
        return None
    runs = read_binned(path / BINNED)
    return runs[0] if runs else None


def _grid(summary: ReplaySummary, series: Series | None) -> tuple[int, int, int]:
    """Width (us) and number of the columns, and how many of the series' make one."""
    if series is not None and series.accesses:
        group = group_of(len(series.accesses))
        return series.step_us * group, -(-len(series.accesses) // group), group
    elapsed_us = round(summary.elapsed_s * USEC_PER_SEC)
    step_us = max(-(-elapsed_us // COLUMNS), 1)
    return step_us, max(-(-elapsed_us // step_us), 1), 1


def _timeline(
    series: Series | None, step_us: int, group: int, promoted: np.ndarray[Any, Any] | None
) -> ReportTimeline:
    step_s = step_us / USEC_PER_SEC
    if series is None or not series.accesses:
        return ReportTimeline(step_s, promoted)
    return ReportTimeline(
        step_s,
        promoted,
        accesses=binned_sum(series.accesses, group),
        fast=None if series.fast is None else binned_sum(series.fast, group),
        fast_without=(
            None if series.fast_without is None else binned_sum(series.fast_without, group)
        ),
        refused={name: binned_sum(counts, group) for name, counts in series.refused.items()},
    )


def _share(fast: list[int] | None, series: Series | None) -> float | None:
    if fast is None or series is None or not sum(series.accesses):
        return None
    return min(sum(fast) / sum(series.accesses), 1.0)


def _served(summary: ReplaySummary, series: Series | None, *, live: bool) -> float | None:
    """The share that the top tier served; of a run beside hint faults, by its samples."""
    share = _share(series.fast if series else None, series)
    return summary.fast_share if share is None and live else share


def _without(summary: ReplaySummary, series: Series | None, *, live: bool) -> float | None:
    """The share had nothing been promoted, as the result says or by its series."""
    if "as_placed" in (known := summary.shares()):
        return known["as_placed"][0]
    return _share(series.fast_without if series and not live else None, series)


def _why(binned: Binned | None, *, live: bool, sampled: bool) -> dict[str, str]:
    why = {
        "demotions": NO_KERNEL if live else NO_DEMOTION,
        "latencies": "no call that moves pages was made" if live else NO_TIME,
    }
    if binned is None:
        return why | {"fast": NO_BINNED, "map": NO_BINNED, "refused": NO_BINNED}
    if binned.as_live:
        why["fast"] = AS_LIVE
    elif live:
        why["fast"] = NOT_BY_TIME if sampled else FAULTS_ONLY
    return why


def _about(summary: ReplaySummary, binned: Binned | None) -> str:
    kind = "replay" if summary.live is None else "live run"
    if summary.live is not None and summary.live.get("dry_run"):
        kind = "dry run on a live host (nothing was moved)"
    fidelity = f", {binned.fidelity}" if binned and binned.fidelity else ""
    taken_by = f", of a log taken by {summary.taken_by}" if summary.taken_by else ""
    return f"{kind}, {summary.mode} mode{fidelity}{taken_by}"


def _live_figures(live: dict[str, Any]) -> dict[str, Any]:
    names = ("found_hot", "late_rows", "kernel_promoted_pages", "real_s", "cpu_s", "ended")
    figures = {name: live[name] for name in names if name in live}
    for table in ("left_out", "batch_latency"):
        if isinstance(live.get(table), dict):
            figures |= {f"{table}: {name}": value for name, value in live[table].items()}
    return figures
