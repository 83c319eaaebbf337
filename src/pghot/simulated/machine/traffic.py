"""Who asks which link for how much: threads' accesses, and pages that are copied."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from math import inf

import numpy as np
import numpy.typing as npt

from pghot.errors import InputError
from pghot.simulated.groups import Group
from pghot.simulated.machine.link_kinds import LinkKind, kind
from pghot.simulated.machine.links import EXTRA_MAX, LinkSolver
from pghot.simulated.scenario.scenario import LinkTable, Scenario

NO_LINK = -1
_GB = 1e9
_FIGURES = tuple(field.name for field in fields(LinkKind) if field.name != "source")


class Traffic:
    """The links of a scenario, and what goes over them."""

    def __init__(self, scenario: Scenario) -> None:
        tables = scenario.link
        self._kinds = [link_kind(table) for table in tables]
        self._solver = LinkSolver(self._kinds)
        nids = max(node.id for node in scenario.node) + 1
        self._link: npt.NDArray[np.int64] = np.full((nids, nids), NO_LINK, np.int64)
        for number, table in enumerate(tables):
            self._link[table.cpus, table.memory] = number
        self._ways: list[list[int]] = self._link.tolist()
        self._distance = {(cpu, t.memory): t.distance for t in tables for cpu in t.cpus}
        caps = [(kind.read_GBps, kind.write_GBps) for kind in self._kinds]
        self._most: npt.NDArray[np.float64] = np.array(caps) * _GB * EXTRA_MAX / 2
        self._waiting: npt.NDArray[np.float64] = np.zeros((len(tables), 2))
        self._waits = False
        self._nothing: npt.NDArray[np.float64] = np.zeros((len(tables), 2))
        self._copying = self._nothing

    def distance(self, cpu_node: int, nid: int) -> int:
        """Distance from a node's CPUs to a node; 255 (unreachable) where no link goes."""
        return self._distance.get((cpu_node, nid), 255)

    def idle_ns(self, cpu_node: int, nid: int, store_share: float) -> float:
        """The ns of an access from a node's CPUs to a node where nothing else goes on.

        Infinite where no link goes.
        """
        link = self._ways[cpu_node][nid]
        if link == NO_LINK:
            return inf
        kind = self._kinds[link]
        return kind.read_latency_ns * (1 - store_share) + kind.write_latency_ns * store_share

    def costs(
        self, groups: Sequence[Group], shares: Sequence[npt.NDArray[np.float64]], seconds: float
    ) -> list[float]:
        """The ns of an access of each group; `shares` of its accesses by node.

        `seconds`: how long that is about to hold.  Bytes that are still to be copied go
        over the links meanwhile, as far as these let them.
        """
        if not groups:
            return []
        rows = np.array(
            [
                (group.threads, group.table.think_ns, group.table.mlp, group.table.store_share)
                for group in groups
            ]
        )
        by_link = [[0.0] * len(self._kinds) for _ in groups]
        for row, group, share in zip(by_link, groups, shares, strict=True):
            for nid, part in enumerate(share.tolist()):
                if part:
                    row[self._way(group.table.node, nid)] += part
        self._copying = self._copies(seconds)
        solved = self._solver.solve(rows, np.array(by_link), self._copying / _GB)
        return solved.access_ns.tolist()

    def passed(self, seconds: float) -> None:
        """Let time pass: what was copied in it is no longer to be copied."""
        if self._copying is not self._nothing:
            self._waiting = np.maximum(self._waiting - self._copying * seconds, 0)
            self._waits = bool(self._waiting.any())

    def copied(self, from_nid: int, to_nid: int, size: int) -> None:
        """Put bytes on the links that a CPU near either node reads and writes."""
        near = to_nid if np.any(self._link[to_nid] != NO_LINK) else from_nid
        self._waits = True
        if self._link[near, from_nid] != NO_LINK:
            self._waiting[self._link[near, from_nid], 0] += size
        if self._link[near, to_nid] != NO_LINK:
            self._waiting[self._link[near, to_nid], 1] += size

    def _copies(self, seconds: float) -> npt.NDArray[np.float64]:
        """The bytes a second that are copied for a while."""
        if seconds <= 0 or not self._waits:
            return self._nothing
        return np.minimum(self._waiting / seconds, self._most)

    def _way(self, cpu_node: int, nid: int) -> int:
        link = self._ways[cpu_node][nid]
        if link == NO_LINK:
            raise InputError(f"no link goes from the CPUs of node {cpu_node} to node {nid}")
        return link


def link_kind(table: LinkTable) -> LinkKind:
    """What a link does: its kind, with the values that the table has of its own."""
    own = {name: getattr(table, name) for name in _FIGURES if getattr(table, name) is not None}
    if table.kind is not None:
        return replace(kind(table.kind), **own)
    missing = [name for name in _FIGURES if name not in own]
    if missing:
        raise InputError(f"link to node {table.memory}: no kind, and no {', '.join(missing)}")
    return LinkKind(**own)
