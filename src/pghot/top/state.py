"""The state of a run at one time as the live view shows it, whatever its source."""

from __future__ import annotations

from typing import Any

import msgspec

from pghot.driving.run_state import CallLatency

WINDOW_S = 10
"""Seconds that the accesses of processes and regions are counted over."""


class NodeState(msgspec.Struct, frozen=True):
    """A node: its id, whether it is top tier, its pages and how many of them are free."""

    nid: int
    toptier: bool
    pages: int
    free: int


class SourceState(msgspec.Struct, frozen=True):
    """A source of accesses: samples seen, and lost; None where they are not counted."""

    name: str
    seen: int
    lost: int | None = None


class ProcessState(msgspec.Struct, frozen=True):
    """A process, or a group of threads: accesses a second, hot folios, folios promoted.

    Accesses of the last ten seconds of the run's time; of samples, where those are all that
    is known.  None where a count is not known.
    """

    name: str
    per_s: float
    pid: int | None = None
    hot: int | None = None
    promoted: int | None = None


class RegionState(msgspec.Struct, frozen=True):
    """A stretch of memory, by its addresses or its name: accesses a second, as a process.

    `pid` is None where the region belongs to no known process; `pages` and `fast_pages`
    (those on the top tier) where they are known.
    """

    name: str
    per_s: float
    pid: int | None = None
    promoted: int | None = None
    pages: int | None = None
    fast_pages: int | None = None


class TopState(msgspec.Struct, frozen=True):
    """A run at one time.  Counts are since the start, in pages where nothing else is said.

    Of a live run it is what the view shows of its `RunState` (`published`); a replay and a
    simulation fill in what they know, and all else is None or empty.

    `kind` is `run`, `replay` or `simulation`, `name` what is watched, `started` tells one
    run from another, `time_s` is the run's own time.  `dry_run`: nothing really moves.
    `fast_share`: of the accesses, those that the top tier served; None where nobody knows;
    `fast_before` of those before the first promotion, `fast_last` of the last ten seconds.
    `slow_faults` are hint faults on slow pages, None where they are no source.  `progress` says
    how far a trial is, empty where there is none.
    `found` are folios found hot, None where the policy finds none that way; `refused` is by
    reason; `ended` says why it ended, empty while it goes on.  Processes and regions come
    hottest first.
    """

    kind: str
    name: str
    time_s: float
    started: float = 0.0
    pid: int | None = None
    mode: str = ""
    fidelity: str = ""
    dry_run: bool = False
    accesses: int = 0
    found: int | None = None
    promoted: int = 0
    demoted: int | None = None
    refused: dict[str, int] = {}
    batches: int | None = None
    latency: CallLatency | None = None
    nodes: list[NodeState] = []
    sources: list[SourceState] = []
    processes: list[ProcessState] = []
    regions: list[RegionState] = []
    tunables: dict[str, int] = {}
    ended: str = ""
    fast_share: float | None = None
    fast_before: float | None = None
    fast_last: float | None = None
    slow_faults: int | None = None
    progress: str = ""

    def to_dict(self) -> dict[str, Any]:
        """As plain values: the content of `pghot top --json`."""
        plain: dict[str, Any] = msgspec.to_builtins(self)
        return plain
