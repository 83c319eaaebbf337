"""Which node a hot page goes to: the nearest to the CPU that accessed it, where it may be.

Top-tier nodes, or those one tier up, in order of their distance from that CPU; only nodes of
the process's cpuset and of the mapping's policy; the first with headroom.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Protocol

import numpy as np

from pghot.engine.distinct import distinct
from pghot.engine.memory import BoolArray, I64Array, U64Array
from pghot.engine.placing import by_distance, first_with_headroom
from pghot.linux.nodes.topology import Topology
from pghot.live.placement import AllowedNodes, AllowedPlaces
from pghot.live.rmap import Owner

FAR = 1 << 30
"""The distance to a node of which it is not told: it came during the run."""


class Steps(Protocol):
    """Which nodes pages of a node go up to."""

    def __call__(self, topology: Topology, from_nid: int) -> tuple[int, ...]:
        """Ids of the nodes, ascending."""
        ...


def to_the_top(topology: Topology, from_nid: int) -> tuple[int, ...]:  # noqa: ARG001 - of any node
    """All top-tier nodes."""
    return topology.fast


def one_up(topology: Topology, from_nid: int) -> tuple[int, ...]:
    """The nodes of the next faster tier that has memory; of the tier below the top, all of it."""
    node = topology.node(from_nid)
    if node is None or node.rank is None:
        return topology.fast
    slower = {
        one.rank
        for one in topology.nodes
        if one.serves and not one.toptier and one.rank is not None and one.rank < node.rank
    }
    if not slower:
        return topology.fast
    return tuple(
        one.id
        for one in topology.nodes
        if one.serves and not one.toptier and one.rank == max(slower)
    )


class Aiming:
    """Chooses the targets of candidates of one node after the other."""

    def __init__(
        self,
        steps: Steps,
        owners: Callable[[U64Array], Owner],
        pages: Callable[[U64Array], I64Array],
        placement: AllowedPlaces,
    ) -> None:
        """`owners` and `pages` are of folios by their first PFN."""
        self._steps = steps
        self._owners = owners
        self._pages = pages
        self._placement = placement

    def is_target(self, topology: Topology, nid: int) -> bool:
        """Whether pages of some node go up to this one."""
        return any(nid in self._steps(topology, slow) for slow in topology.slow)

    def targets(
        self,
        topology: Topology,
        from_nid: int,
        pfns: U64Array,
        cpu_nids: I64Array,
        default: I64Array,
        headroom: Callable[[int], int],
    ) -> I64Array:
        """The node of each folio; NOWHERE where it may go to none, or that is not known yet.

        `headroom` gives the pages that a node has headroom for.
        """
        ups = self._steps(topology, from_nid)
        allowed = self._allowed(pfns, ups)
        unknown = np.where(np.isin(default, ups), default, from_nid)
        near = np.where(cpu_nids >= 0, cpu_nids, unknown)
        orders = {
            nid: by_distance(nid, ups, partial(_distance, topology))
            for nid in distinct(near).tolist()
        }
        return first_with_headroom(near, orders, allowed, self._pages(pfns), headroom)

    def _allowed(self, pfns: U64Array, ups: tuple[int, ...]) -> Mapping[int, BoolArray]:
        """Of each node, which folios may go there."""
        owner = self._owners(pfns)
        allowed = {nid: np.ones(len(pfns), np.bool_) for nid in ups}
        for pid in distinct(owner.pid).tolist():
            rows = np.flatnonzero(owner.pid == pid)
            rights = self._placement.of(pid) if pid else AllowedNodes()  # nobody's stay anyway
            for nid in ups:
                allowed[nid][rows] = _may(rights, nid, owner.vaddr[rows])
        return allowed


def _may(rights: AllowedNodes | None, nid: int, vaddrs: U64Array) -> BoolArray | bool:
    """Which addresses of a process may have their pages on a node."""
    if rights is None or (rights.mems is not None and nid not in rights.mems):
        return False
    policies = rights.policies
    if not policies.sets:
        return True
    may = np.array([nid in nodes for nodes in policies.sets] + [True])
    found: BoolArray = may[policies.of(vaddrs)]
    return found


def _distance(topology: Topology, nid: int, to: int) -> int:
    node = topology.node(nid)
    return FAR if node is None else node.distances.get(to, FAR)
