"""The result of a simulation: a run a policy."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet

from pghot.binning.forms import BINNED, Binned, read_binned
from pghot.errors import InputError
from pghot.files.bounded import check_table
from pghot.files.parquet_pages import check_pages
from pghot.report.page.facts import ResultFacts
from pghot.report.page.made import made_of
from pghot.report.page.model import ReportTimeline, Run, binned_sum, group_of
from pghot.report.page.read_replay import NO_BINNED

TIMELINE, SCENARIO = "timeline.parquet", "scenario.json"
_COLUMNS = ("time_s", "accesses", "fast_accesses", "promoted", "demoted")

NO_ENGINE = "this policy has no records"
NO_BATCHES = "this policy has no batches"

Amount = Annotated[float, msgspec.Meta(ge=0, le=1e18)]
Count = Annotated[int, msgspec.Meta(ge=0)]


class PolicySummary(ResultFacts, kw_only=True):
    """What is read of a policy in summary.json."""

    run_s: Amount
    accesses: Amount
    fast_share: Amount
    promoted: Count
    demoted: Count
    ping_pong: Count
    coverage: Amount
    overhead_s: dict[str, Amount]
    refused: dict[str, Count]
    vmstat: dict[str, int]
    mode: str | None = None
    accuracy: Amount | None = None
    hot_fast_s: Amount | None = None
    ratio: Amount | None = None
    notes: list[str] = msgspec.field(default_factory=list)


class SimSummary(msgspec.Struct):
    """What is read of summary.json."""

    scenario: str
    title: str
    scale: Amount
    seed: Count
    policies: dict[str, PolicySummary]


def read_sim(path: Path, summary: SimSummary) -> list[Run]:
    """A run a policy."""
    timelines = _timelines(path / TIMELINE)
    known = {run.name: run for run in read_binned(path / BINNED)} if _has_binned(path) else {}
    base = summary.policies.get("none")
    return [
        _run(name, policy, timelines.get(name), known.get(name), base, summary)
        for name, policy in summary.policies.items()
    ]


def _has_binned(path: Path) -> bool:
    return (path / BINNED).exists()


def _run(
    name: str,
    policy: PolicySummary,
    timeline: ReportTimeline | None,
    binned: Binned | None,
    base: PolicySummary | None,
    summary: SimSummary,
) -> Run:
    tunables = binned.tunables if binned else {}
    return Run(
        name=name,
        kind="simulation",
        about=f"{summary.title} (scale {summary.scale:g}, seed {summary.seed})",
        elapsed_s=policy.run_s,
        run_s=policy.run_s,
        timeline=timeline or ReportTimeline(max(policy.run_s, 0.1)),
        promoted=policy.promoted,
        demoted=policy.demoted,
        accesses=policy.accesses,
        share=min(policy.fast_share, 1.0),
        share_without=min(base.fast_share, 1.0) if base and policy is not base else None,
        refused=policy.refused,
        frequency=binned.frequency if binned else None,
        threshold=tunables.get("freq_threshold"),
        batches=binned.batches if binned else None,
        latency_ms=binned.latency_ms if binned else None,
        heat=binned.heat if binned else [],
        rate_limit_MBps=tunables.get("pghot_promote_rate_limit_MBps"),
        tunables=tunables,
        counters=policy.vmstat,
        figures=_figures(policy),
        why=_why(binned),
        notes=policy.notes,
        steady_share=policy.steady_fast_share,
        baselines=policy.shares(),
        time=policy.told_time(),
        made_of=made_of(policy, policy.mode)
        | {"scale": f"{summary.scale:g}", "seed": f"{summary.seed}"},
    )


def _figures(policy: PolicySummary) -> dict[str, object]:
    return {
        "to the run time without promotion": policy.ratio,
        "promoted again within 10 s": policy.ping_pong,
        "promoted pages that were hot": policy.accuracy,
        "hot set that was fast, average": policy.coverage,
        "90 % of the hot set fast after, s": policy.hot_fast_s,
        **{f"CPU time, {what}, s": spent for what, spent in policy.overhead_s.items()},
    }


def _why(binned: Binned | None) -> dict[str, str]:
    if binned is None:
        return dict.fromkeys(("map", "heat", "batches", "latencies"), NO_BINNED)
    return {"heat": NO_ENGINE, "batches": NO_BATCHES, "latencies": NO_BATCHES}


def _timelines(path: Path) -> dict[str, ReportTimeline]:
    """The timelines by policy, binned."""
    if not path.exists():
        return {}
    try:
        with pa.OSFile(os.fsencode(path), "rb") as stream:
            file = pa.parquet.ParquetFile(stream)
            check_table(path, file.metadata)
            names = ["policy", *_COLUMNS]
            check_pages(path, stream, file.metadata, names)
            table = file.read(columns=names, use_threads=False)
        policies = table["policy"].to_numpy(zero_copy_only=False)
        rows = {name: table[name].to_numpy() for name in _COLUMNS}
    except (OSError, pa.ArrowException, ValueError, KeyError) as error:
        why = " ".join(str(error).split())
        raise InputError(f"{path}: not what pghot writes: {why}") from error
    found = {}
    for policy in dict.fromkeys(policies.tolist()):
        own = {name: values[policies == policy] for name, values in rows.items()}
        found[str(policy)] = _timeline(own)
    return found


def _timeline(rows: dict[str, np.ndarray[tuple[int], np.dtype[np.float64]]]) -> ReportTimeline:
    time_s = rows["time_s"]
    every = float(time_s[0]) if len(time_s) else 0.1
    group = group_of(len(time_s))
    return ReportTimeline(
        step_s=max(every, 1e-6) * group,
        accesses=binned_sum(rows["accesses"], group),
        fast=binned_sum(rows["fast_accesses"], group),
        promoted=binned_sum(rows["promoted"], group),
        demoted=binned_sum(rows["demoted"], group),
    )
