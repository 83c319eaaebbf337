"""The state that a live run publishes (docs/ctl.md) as the view takes it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pghot.errors import PghotError
from pghot.top.figures import printable
from pghot.top.heat import address_range
from pghot.top.state import (
    WINDOW_S,
    Latency,
    NodeState,
    ProcessState,
    RegionState,
    SourceState,
    TopState,
    state_from,
)

VERSION = 1
"""Of the form that is known here."""


def state_of_run(plain: Mapping[str, Any]) -> TopState:
    """Read a published state; PghotError where it is none, or of another version."""
    if plain.get("version", VERSION) != VERSION:
        raise PghotError(f"the run speaks version {plain['version']}, this pghot {VERSION}")
    try:
        return state_from(_state(plain).to_dict())  # and so check every type
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise PghotError(f"what came is no state of a run: {error!r}") from error


def _state(plain: Mapping[str, Any]) -> TopState:
    live = plain["live"]
    return TopState(
        kind="run",
        name=printable(_targets(plain["targets"])),
        time_s=live["real_s"],
        started=plain["started"],
        pid=plain["pid"],
        mode=plain["mode"],
        fidelity=live["fidelity"],
        dry_run=live["dry_run"],
        accesses=plain["accesses"],
        found=live["found_hot"],
        promoted=live["promoted_pages"],
        refused=plain.get("refused", live["refused"]),
        batches=plain["batches"],
        latency=_latency(live["batch_latency"]),
        nodes=[
            NodeState(int(nid), node["toptier"], node["pages"], node["free_pages"])
            for nid, node in plain["nodes"].items()
        ],
        sources=[
            SourceState(name, counts["seen"], counts["lost"])
            for name, counts in live["sources"].items()
        ],
        processes=[_process(row) for row in plain["processes"]],
        regions=[_region(row) for row in plain["regions"]],
        tunables=plain["tunables"],
        ended=live["ended"],
        progress=live.get("trial_progress", ""),
        **_helps(live.get("helps") or {}),
    )


def _helps(helps: Mapping[str, Any]) -> dict[str, Any]:
    """What is known of whether it helps."""
    served, faults = helps.get("served"), helps.get("slow_faults")
    known: dict[str, Any] = {"slow_faults": faults["all"]["faults"]} if faults else {}
    if served and served["since"] is None:
        return known | {"fast_share": served["all"]["fast_share"]}
    if served:
        spans = {"fast_share": "since", "fast_before": "before", "fast_last": "last"}
        known |= {field: served[span]["fast_share"] for field, span in spans.items()}
    return known


def _targets(targets: Mapping[str, Any]) -> str:
    """What the run watches."""
    if targets["everything"]:
        return "every process"
    if targets["cgroup"] is not None:
        return f"control group {targets['cgroup']}"
    if targets["command"]:
        return " ".join(targets["command"])
    return f"pids {', '.join(map(str, targets['pids']))}"


def _latency(found: Mapping[str, Any]) -> Latency | None:
    if not found["count"]:
        return None
    names = ("count", "p50_ms", "p99_ms", "max_ms", "over_budget")
    return Latency(*(found[name] for name in names))


def _process(row: Mapping[str, Any]) -> ProcessState:
    per_s = row["accesses"] / WINDOW_S
    return ProcessState(printable(row["name"]), per_s, row["pid"], row["hot"], row["promoted"])


def _region(row: Mapping[str, Any]) -> RegionState:
    name = address_range(row["start"], row["end"])
    return RegionState(name, row["accesses"] / WINDOW_S, row["pid"])
