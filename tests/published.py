"""Made-up states of a run, in the form that a run publishes (docs/ctl.md)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pghot.driving.run_state import RunState, read_state
from pghot.engine.vmstat import ORDER

GIB = 1 << 18
TUNABLES = {
    "enabled_sources": 3,
    "target_nid": 0,
    "freq_threshold": 2,
    "kmigrated_sleep_ms": 100,
    "kmigrated_batch_nr": 512,
    "pghot_promote_freq_window_ms": 3000,
    "pghot_promote_rate_limit_MBps": 65536,
    "numa_balancing_promote_rate_limit_MBps": 65536,
    "numa_balancing": 2,
}
CALLS = {"p50_ms": 4.21, "p99_ms": 17.5, "max_ms": 120.0, "over_budget": 2}
LATENCIES = {"ready": 0, "not_ready": 0, "threshold_us": 1_000_000, "excess": 0.0, "flat": False}


def published(
    second: int = 1, live: Mapping[str, Any] | None = None, **more: Any
) -> dict[str, Any]:
    """What a run publishes in this second of its life; `live` and `more` say what differs."""
    n = second
    host = {
        "fidelity": "improved",
        "sources": {
            "hintfault": {"seen": 40_000 * n, "lost": 0},
            "hwhint": {"seen": 1_250_000 * n, "lost": 37 * n},
        },
        "chosen": "both sources",
        "found_hot": 3_000 * n,
        "promoted_pages": 2_500 * n,
        "refused": {},
        "left_out": {},
        "late_rows": 0,
        "owners": {"kept": 1, "let_go": 0},
        "memcg_promoted": {},
        "memcg_names": {},
        "batch_latency": CALLS | {"count": 30 * n},
        "kernel_promoted_pages": 0,
        "dry_run": False,
        "real_s": 10.0 + n,
        "cpu_s": 0.1 * n,
        "ended": "",
        "lost_outputs": {},
        "fault_latency": LATENCIES,
        "hint_fault_cost": None,
        "move_cost": {"share_of_a_cpu": 0.01},
    }
    return {
        "mode": "default",
        "hz": 250,
        "tunables": dict(TUNABLES),
        "vmstat": dict.fromkeys(ORDER, n),
        "nodes": {
            "0": _node(64, 9 * GIB - 2_500 * n, toptier=True),
            "1": _node(64, 31 * GIB, toptier=True),
            "2": _node(256, 100 * GIB + 2_500 * n, toptier=False),
        },
        "batches": 32 * n,
        "accesses": 900_000 * n,
        "elapsed_s": 10.0 + n,
        "live": host | dict(live or {}),
        "version": 1,
        "pid": 4711,
        "started": 1_700_000_000.0,
        "time": 1_700_000_010.0 + n,
        "page_size": 4096,
        "targets": {
            "pids": [],
            "everything": False,
            "cgroup": None,
            "command": ["redis-server", "--save", ""],
            "count": 3,
            "members": [812, 813, 814],
        },
        "refused": {"threshold": 120 * n, "rate_limit": 5 * n, "isolation": 0, "busy": 9 * n},
        "batch_seconds": {"count": 30 * n, "sum": 0.2 * n, "within": [[0.001, 0], [5.0, 30 * n]]},
        "processes": [
            {"pid": 812, "name": "redis-server", "accesses": 81_000, "hot": 900, "promoted": 870},
            {"pid": 813, "name": "bio_close_file", "accesses": 1_200, "hot": 8, "promoted": 8},
            {"pid": 814, "name": "jemalloc_bg_thd", "accesses": 35, "hot": 0, "promoted": 0},
        ],
        "regions": [
            {"pid": 812, "start": 0x7F1200000000, "end": 0x7F1200200000, "accesses": 60_000},
            {"pid": 812, "start": 0x7F1200200000, "end": 0x7F1200400000, "accesses": 21_000},
            {"pid": 813, "start": 0x55D000000000, "end": 0x55D000200000, "accesses": 1_200},
        ],
    } | more


def published_state(
    second: int = 1, live: Mapping[str, Any] | None = None, **more: Any
) -> RunState:
    """The same as it is read."""
    return read_state(published(second, live, **more))


def helps(**parts: Any) -> dict[str, Any]:
    """What is known of whether a run helps; nothing but `parts`."""
    return {"served": None, "slow_faults": None, "memory_stall": None} | parts


def spans(every: Any, **parts: Any) -> dict[str, Any]:
    """The same figures of each span but for `parts`."""
    return {"all": every, "before": every, "since": every, "last": every} | parts


def _node(gib: int, free_pages: int, *, toptier: bool) -> dict[str, Any]:
    return {
        "pgpromote_success": 0,
        "pgpromote_candidate": 0,
        "pgpromote_candidate_nrl": 0,
        "free_pages": free_pages,
        "nbp_threshold": 0,
        "pages": gib * GIB,
        "toptier": toptier,
        "rank": 0 if toptier else 1,
        "cpus": [],
        "found_hot": 0,
    }
