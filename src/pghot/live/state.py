"""What other threads are told of a run each second, as plain values (docs/ctl.md)."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import Any

from pghot.engine import reasons
from pghot.engine.units import PAGE_SHIFT
from pghot.linux.pages.move_latency import LatencyHistogram
from pghot.linux.processes.procstat import read_stat
from pghot.live.hot_processes import REGION_SHIFT, HotProcesses
from pghot.live.result import LiveResult
from pghot.live.session import Session

VERSION = 1
"""Of the state's form; a reader that knows another one should say so."""

SHOWN = 32
"""Processes, regions and targets that a state holds at the most."""

_NS_PER_S = 10**9


class States:
    """Makes the states of one run."""

    def __init__(self, session: Session, tally: HotProcesses) -> None:
        self._session = session
        self._tally = tally
        self._started = time.time()

    def of(self, result: LiveResult) -> dict[str, Any]:
        """The state: the run's `figures()`, and what is of the moment."""
        summary = result.figures()
        refused = {name: count for name, (count, _words) in result.refusals().items()}
        return summary | {
            "version": VERSION,
            "pid": os.getpid(),
            "started": self._started,
            "time": time.time(),
            "page_size": result.machine.topology.page_size,
            "targets": self._targets(),
            "nodes": _nodes(result, summary["nodes"]),
            "refused": {name: refused.get(name, 0) for name in reasons.LIVE},
            "batch_seconds": _seconds(result.mover.budget.latencies),
            "processes": self._processes(),
            "regions": [
                {"pid": pid, "start": start, "end": start + (1 << REGION_SHIFT), "accesses": n}
                for pid, start, n in self._tally.regions(SHOWN)
            ],
        }

    def second(self) -> None:
        """Take in that a second has gone."""
        self._tally.second()

    def _targets(self) -> dict[str, Any]:
        options, members = self._session.options, self._session.targets.members
        return {
            "pids": list(options.pids),
            "everything": options.everything,
            "cgroup": options.cgroup,
            "command": list(options.command),
            "count": len(members),
            "members": sorted(members)[:SHOWN],
        }

    def _processes(self) -> list[dict[str, Any]]:
        return [
            {
                "pid": pid,
                "name": self._name(pid),
                "accesses": accesses,
                "hot": asked.hot,
                "promoted": asked.promoted,
            }
            for pid, accesses, asked in self._tally.processes(SHOWN)
        ]

    def _name(self, pid: int) -> str:
        """A process's name, empty where it has gone."""
        stat = read_stat(self._session.host, pid)
        return "" if stat is None else stat.comm


def _nodes(result: LiveResult, nodes: Mapping[str, dict[str, int]]) -> dict[str, dict[str, Any]]:
    """Add to the figures of each node what it is; pages are of 4 KiB."""
    topology = result.machine.topology
    scale = topology.page_size >> PAGE_SHIFT
    told: dict[str, dict[str, Any]] = {}
    for node in topology.nodes:
        kmigrated = result.engine.kmigrated.get(node.id)
        told[str(node.id)] = nodes[str(node.id)] | {
            "pages": sum(zone.present for zone in node.zones) * scale,
            "toptier": node.toptier,
            "rank": node.rank,
            "cpus": list(node.cpus),
            "found_hot": kmigrated.found if kmigrated else 0,
        }
    return told


def _seconds(latencies: LatencyHistogram) -> dict[str, Any]:
    return {
        "count": latencies.count,
        "sum": latencies.sum_ns / _NS_PER_S,
        "within": [[bound / _NS_PER_S, count] for bound, count in latencies.within()],
    }
