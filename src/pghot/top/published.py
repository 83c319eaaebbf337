"""The state of a live run (docs/ctl.md) as the view shows it."""

from __future__ import annotations

from typing import Any

from pghot.driving.run_state import (
    Helps,
    ProcessFigures,
    RegionFigures,
    RunState,
    WatchedTargets,
)
from pghot.top.figures import printable
from pghot.top.heat import address_range
from pghot.top.state import (
    WINDOW_S,
    NodeState,
    ProcessState,
    RegionState,
    SourceState,
    TopState,
)


def state_of_run(run: RunState) -> TopState:
    """What the view shows of it."""
    live = run.live
    return TopState(
        kind="run",
        name=printable(_watched(run.targets)),
        time_s=live.real_s,
        started=run.started,
        pid=run.pid,
        mode=run.mode,
        fidelity=live.fidelity,
        dry_run=live.dry_run,
        accesses=run.accesses,
        found=live.found_hot,
        promoted=live.promoted_pages,
        refused=dict(run.refused),
        batches=run.batches,
        latency=live.batch_latency if live.batch_latency.count else None,
        nodes=[
            NodeState(int(nid), node.toptier, node.pages, node.free_pages)
            for nid, node in run.nodes.items()
        ],
        sources=[
            SourceState(name, counts.seen, counts.lost) for name, counts in live.sources.items()
        ],
        processes=list(map(_process, run.processes)),
        regions=list(map(_region, run.regions)),
        tunables=run.tunables,
        ended=live.ended,
        progress=live.trial_progress,
        **_helps(live.helps),
    )


def _helps(helps: Helps | None) -> dict[str, Any]:
    """What is known of whether it helps."""
    if helps is None:
        return {}
    served, faults = helps.served, helps.slow_faults
    known: dict[str, Any] = {"slow_faults": faults.all.faults} if faults else {}
    if served is None:
        return known
    if served.since is None:
        return known | {"fast_share": served.all.fast_share}
    return known | {
        "fast_share": served.since.fast_share,
        "fast_before": served.before.fast_share,
        "fast_last": served.last.fast_share,
    }


def _watched(targets: WatchedTargets) -> str:
    """What the run watches."""
    if targets.everything:
        return "every process"
    if targets.cgroup is not None:
        return f"control group {targets.cgroup}"
    return " ".join(targets.command) or f"pids {', '.join(map(str, targets.pids))}"


def _process(row: ProcessFigures) -> ProcessState:
    per_s = row.accesses / WINDOW_S
    return ProcessState(printable(row.name), per_s, row.pid, row.hot, row.promoted)


def _region(row: RegionFigures) -> RegionState:
    return RegionState(address_range(row.start, row.end), row.accesses / WINDOW_S, row.pid)
