"""Accesses by PFN and time, for a machine whose nodes are known (a replay)."""

from __future__ import annotations

from collections.abc import Sequence

import cython
import numpy as np
import numpy.typing as npt

from pghot.binning.columns import Columns, added
from pghot.binning.forms import HeatMap
from pghot.binning.maps import Place
from pghot.engine.memory import Node, U64Array

if cython.compiled:
    from cython.cimports.pghot.engine.arrays import u32, u64
else:
    from pghot.engine.arrays import u32, u64

COLUMNS = 128
GRAINS = 1 << 17
"""Grains of the whole machine at the most: with COLUMNS, 64 MiB of counts."""

PLACES = 4
"""Nodes that get maps, of those with most accesses."""

_MOST = cython.declare(cython.uint, 0xFFFF_FFFF)


class PfnHeat:
    """Counts accesses in grains of 2^n pages, as fine as GRAINS lets them be."""

    def __init__(self, nodes: Sequence[Node], step_us: int) -> None:
        self._nodes = [node for node in nodes if node.pages]
        self._shift = 0
        while sum(self._grains(node) for node in self._nodes) > GRAINS:
            self._shift += 1
        # Start, end and first grain of each node.
        self._spans: U64Array = np.zeros((len(self._nodes), 3), np.uint64)
        total = 0
        for row, node in enumerate(self._nodes):
            self._spans[row] = node.start_pfn, node.start_pfn + node.pages, total
            total += self._grains(node)
        self._counts: npt.NDArray[np.uint32] = np.zeros((COLUMNS, total), np.uint32)
        self._columns = Columns(step_us, COLUMNS)
        self._columns.keep(self._counts, added)

    def add(self, instant: int, pfns: U64Array) -> None:
        """Count the accesses that were made until `instant` (us) since the one before."""
        if len(self._spans):
            count(self._counts[self._columns.at(instant)], pfns, self._spans, self._shift)

    def reach(self, instant: int) -> None:
        """Have the maps go on until `instant` (us), accesses or not."""
        self._columns.at(instant)

    def maps(self) -> list[HeatMap]:
        """Give the maps, of the node with most accesses first."""
        places = sorted(map(self._place, range(len(self._nodes))), key=lambda p: -p.accesses)
        return [heat for place in places[:PLACES] for heat in place.maps()]

    def _grains(self, node: Node) -> int:
        return -(-node.pages >> self._shift)

    def _place(self, row: int) -> Place:
        node = self._nodes[row]
        first = int(self._spans[row, 2])
        counts = self._counts[: self._columns.used, first : first + self._grains(node)]
        seen = np.flatnonzero(counts.any(axis=0))
        return Place(
            f"node {node.id}", "PFN", node.start_pfn, 1 << self._shift,
            seen, counts[:, seen], self._columns.step_us,
        )  # fmt: skip


def count(
    counts: npt.NDArray[np.uint32],
    pfns: U64Array,
    spans: U64Array,
    shift: cython.int,
) -> None:
    """Count accesses in the grains of their nodes; those to no node are left out.

    A row of `spans` is a node's first PFN, the PFN after its last, and its first grain.
    """
    count_of: cython.p_uint = u32(counts)
    pfn_of: cython.p_ulong = u64(pfns)
    span: cython.p_ulong = u64(spans.reshape(-1))
    nodes: cython.long = len(spans)
    accesses: cython.long = len(pfns)
    i: cython.long
    node: cython.long = 0
    grain: cython.ulong
    with cython.nogil:
        for i in range(accesses):
            if not _holds(span, node, pfn_of[i]):
                node = _node_of(span, nodes, pfn_of[i], node)
                if not _holds(span, node, pfn_of[i]):
                    continue
            grain = span[3 * node + 2] + ((pfn_of[i] - span[3 * node]) >> shift)
            if count_of[grain] < _MOST:
                count_of[grain] += 1


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def _holds(span: cython.p_ulong, node: cython.long, pfn: cython.ulong) -> cython.bint:
    """Whether a PFN is one of a node's."""
    return span[3 * node] <= pfn < span[3 * node + 1]


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def _node_of(
    span: cython.p_ulong, nodes: cython.long, pfn: cython.ulong, otherwise: cython.long
) -> cython.long:
    """Row of the node that a PFN belongs to."""
    node: cython.long
    for node in range(nodes):
        if _holds(span, node, pfn):
            return node
    return otherwise
