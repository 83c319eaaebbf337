"""Made-up states, and a feed that gives them in order."""

from __future__ import annotations

import time
from typing import Any

from pghot.engine.errors import TunableError
from pghot.top.published import state_of_run
from pghot.top.state import TopState

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


def published(second: int, **more: Any) -> dict[str, Any]:
    """What a run publishes in this second of its life (docs/ctl.md)."""
    n = second
    live = {
        "fidelity": "improved",
        "sources": {
            "hintfault": {"seen": 40_000 * n, "lost": 0},
            "hwhint": {"seen": 1_250_000 * n, "lost": 37 * n},
        },
        "found_hot": 3_000 * n,
        "promoted_pages": 2_500 * n,
        "refused": {},
        "batch_latency": {
            "count": 30 * n,
            "p50_ms": 4.21,
            "p99_ms": 17.5,
            "max_ms": 120.0,
            "over_budget": 2,
        },
        "dry_run": False,
        "real_s": 10.0 + n,
        "ended": "",
    }
    return {
        "version": 1,
        "mode": "default",
        "tunables": dict(TUNABLES),
        "batches": 32 * n,
        "accesses": 900_000 * n,
        "pid": 4711,
        "started": 1_700_000_000.0,
        "targets": {
            "pids": [],
            "everything": False,
            "cgroup": None,
            "command": ["redis-server", "--save", ""],
            "count": 3,
            "members": [812, 813, 814],
        },
        "nodes": {
            "0": {"toptier": True, "pages": 64 * GIB, "free_pages": 9 * GIB - 2_500 * n},
            "1": {"toptier": True, "pages": 64 * GIB, "free_pages": 31 * GIB},
            "2": {"toptier": False, "pages": 256 * GIB, "free_pages": 100 * GIB + 2_500 * n},
        },
        "refused": {"threshold": 120 * n, "rate_limit": 5 * n, "isolation": 0, "busy": 9 * n},
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
        "live": live,
    } | more


def run_state(second: int, **more: Any) -> TopState:
    return state_of_run(published(second, **more))


class Given:
    """Gives states one by one; writes are judged by one rule and noted."""

    paced = False
    speed = 1.0

    def __init__(self, states: list[TopState], said: str = "") -> None:
        self.states = list(states)
        self.said = said
        self.over = False
        self.written: list[tuple[str, str]] = []

    def next_state(self, timeout_s: float) -> TopState | None:
        if self.states:
            return self.states.pop(0)
        time.sleep(min(timeout_s, 0.01))  # who waits in vain need not wait long
        return None

    def write(self, name: str, text: str) -> None:
        if not text.isdigit():
            raise TunableError(22, f"{name}: {text!r} is no number")
        self.written.append((name, text))

    def hold(self, held: bool) -> None:
        pass

    def step(self) -> None:
        pass

    def set_speed(self, speed: float) -> None:
        self.speed = speed

    def close(self) -> None:
        pass
