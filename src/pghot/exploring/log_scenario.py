"""A log as a scenario: its rows at their times, first touch, and a kernel that demotes.

A replay moves pages up only, so that fast memory fills up once; here kswapd makes room.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from pghot.engine.units import PAGE_SHIFT, USEC_PER_SEC
from pghot.errors import InputError
from pghot.results.prices import Prices
from pghot.simulated.policies.registry import POLICIES
from pghot.simulated.scenario.file import from_dict
from pghot.simulated.scenario.scenario import Scenario

TICK_MS = 50
"""Step of the simulation: five times the usual one, which moves shares by less than a point."""

SLACK_PAGES = 1 << 14
"""Pages (64 MiB) that the slow node has beside what a log touches."""

SAMPLED_OPS = 16
"""The least period of the sampler, and operations to an access: every row can be sampled."""


class LogExtent(NamedTuple):
    """What a scenario takes of a log."""

    path: Path
    rows: int
    pages: int
    span_us: int


def scenario_of_log(log: LogExtent, fast_pages: int, prices: Prices) -> Scenario:
    """A scenario whose accesses are the rows of a log, at their times.

    Each row is an access of one thread; all pages are allocated by first touch on a fast
    node of `fast_pages`.  InputError where that is no node.
    """
    if not log.span_us:
        raise InputError(f"{log.path}: all rows are at one instant: there is no pace to run them")
    nodes = {
        0: ("ddr", fast_pages, prices.fast_ns),
        1: ("cxl-x8-ocp", log.pages + SLACK_PAGES, prices.slow_ns),
    }
    table = {
        "title": f"the accesses of {log.path.name}",
        "shows": "what each policy does with the accesses of a log",
        "demotion": True,
        "tick_ms": TICK_MS,
        "seconds": log.span_us / USEC_PER_SEC + 1,
        "node": [
            {"id": nid, "size": f"{pages << PAGE_SHIFT >> 10} KiB", **_role(nid)}
            for nid, (_kind, pages, _ns) in nodes.items()
        ],
        "link": [
            {"cpus": [0], "memory": nid, "distance": 10 + 40 * nid, "kind": kind,
             "read_latency_ns": ns}
            for nid, (kind, _pages, ns) in nodes.items()
        ],
        "region": [{"name": "log", "size": f"{log.pages << PAGE_SHIFT} B", "place": [0, 1]}],
        "threads": [
            {
                "name": "rows",
                "count": 1,
                "node": 0,
                "region": "log",
                "stream": {"kind": "log", "path": str(log.path), "wraps": False},
                "paced": True,
            }
        ],
        "sampler": {"period": SAMPLED_OPS, "ops_per_access": float(SAMPLED_OPS)},
    }  # fmt: skip
    return from_dict(table, str(log.path), POLICIES)


def _role(nid: int) -> dict[str, object]:
    return {"toptier": True, "cpus": "0"} if nid == 0 else {}
