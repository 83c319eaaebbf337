"""Small tiered machines: a fast node 0 with CPUs, a slow node 1, one region that starts slow."""

from __future__ import annotations

from typing import Any

from pghot.simulated.policies.registry import POLICIES
from pghot.simulated.scenario.file import from_dict
from pghot.simulated.scenario.scenario import Scenario

FAST, SLOW = 0, 1
FAST_NS, SLOW_NS = 100.0, 300.0
WIDE_GBPS = 1e6
FREE = dict.fromkeys(
    (
        "hint_fault_us", "sample_us", "fault_isolate_us", "kmigrated_wake_us",
        "kmigrated_pfn_ns", "kmigrated_batch_us", "scanner_step_us", "scanner_pte_ns",
        "scanner_mark_ns", "kswapd_page_ns", "drain_sample_ns",
    ),
    0.0,
)  # fmt: skip
"""Costs of a kernel that works for nothing; pages still take time to move."""


def node(nid: int, size: str, **more: Any) -> dict[str, Any]:
    return {"id": nid, "size": size} | more


def link(memory: int, ns: float, gbps: float = WIDE_GBPS, **more: Any) -> dict[str, Any]:
    """A link whose latency is the same under any load, up to its bandwidth."""
    latency = {"read_latency_ns": ns, "write_latency_ns": ns}
    width = {"read_GBps": gbps, "write_GBps": gbps, "total_GBps": gbps}
    return {"cpus": [FAST], "memory": memory, "a": 0.0, "c": 0.0} | latency | width | more


def region(name: str = "memory", size: str = "16 MiB", **more: Any) -> dict[str, Any]:
    return {"name": name, "size": size, "place": [SLOW]} | more


def threads(name: str = "threads", count: int = 2, **more: Any) -> dict[str, Any]:
    return {"name": name, "count": count, "node": FAST, "region": "memory"} | more


def machine(**more: Any) -> Scenario:
    """A checked scenario; `more` replaces whole tables and keys of it."""
    tables: dict[str, Any] = {
        "title": "A small machine",
        "shows": "What a test needs.",
        "node": [node(FAST, "256 MiB", toptier=True, cpus="0-7"), node(SLOW, "1 GiB")],
        "link": [link(FAST, FAST_NS), link(SLOW, SLOW_NS)],
        "region": [region()],
        "threads": [threads(accesses=1_000_000)],
        "policies": ["none"],
        "tunables": {"freq_threshold": "1"},
        "sampler": {"pace_hz": 1000},
    }
    return from_dict(tables | more, "small", POLICIES)
