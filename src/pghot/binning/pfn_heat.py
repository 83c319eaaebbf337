"""Accesses by PFN and time, for a machine whose nodes are known (a replay)."""

from __future__ import annotations

from collections.abc import Sequence

import cython
import numpy as np
import numpy.typing as npt

from pghot.binning.columns import TimeColumns, added
from pghot.binning.forms import HeatMap
from pghot.binning.heat_maps import HeatScope
from pghot.engine.memory import Node, U64Array
from pghot.engine.pfn_ranges import PfnRange, merge

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
        while sum(map(self._grains, self._nodes)) > GRAINS:
            self._shift += 1
        self._firsts = np.cumsum([0, *map(self._grains, self._nodes)])
        self._spans = self._all_spans()
        self._counts: npt.NDArray[np.uint32] = np.zeros((COLUMNS, self._firsts[-1]), np.uint32)
        self._columns = TimeColumns(step_us, COLUMNS)
        self._columns.keep(self._counts, added)

    def add(self, instant: int, pfns: U64Array) -> None:
        """Count the accesses that were made until `instant` (us) since the one before."""
        if len(self._spans):
            count(self._counts[self._columns.at(instant)], pfns, self._spans, self._shift)

    def reach(self, instant: int) -> None:
        """Have the maps go on until `instant` (us), accesses or not."""
        self._columns.at(instant)

    def maps(self) -> list[HeatMap]:
        """The maps, of the node with most accesses first."""
        places = sorted(map(self._place, range(len(self._nodes))), key=lambda p: -p.accesses)
        return [heat for place in places[:PLACES] for heat in place.maps()]

    def _stretches(self, node: Node) -> tuple[PfnRange, ...]:
        """The grains that have a page of the node, numbered from its first PFN on."""
        start, shift = node.start_pfn, self._shift
        return merge(
            PfnRange(one.start - start >> shift, (one.end - 1 - start >> shift) + 1)
            for one in node.ranges
        )

    def _grains(self, node: Node) -> int:
        return sum(stretch.pages for stretch in self._stretches(node))

    def _all_spans(self) -> U64Array:
        """What `count` goes by: all ranges of all nodes, ascending."""
        spans = []
        for node, first in zip(self._nodes, self._firsts.tolist(), strict=False):
            stretches = iter(self._stretches(node))
            stretch, before = next(stretches), first
            for one in node.ranges:
                at = one.start - node.start_pfn >> self._shift
                while at >= stretch.end:
                    before += stretch.pages
                    stretch = next(stretches)
                base = node.start_pfn + (at << self._shift)
                spans.append((one.start, one.end, base, before + at - stretch.start))
        return np.array(sorted(spans), np.uint64).reshape(-1, 4)

    def _place(self, row: int) -> HeatScope:
        node = self._nodes[row]
        first, end = self._firsts[row], self._firsts[row + 1]
        counts = self._counts[: self._columns.used, first:end]
        seen = np.flatnonzero(counts.any(axis=0))
        positions = np.concatenate([np.arange(*one) for one in self._stretches(node)])
        return HeatScope(
            f"node {node.id}", "PFN", node.start_pfn, 1 << self._shift,
            positions[seen], counts[:, seen], self._columns.step_us,
        )  # fmt: skip


def count(
    counts: npt.NDArray[np.uint32],
    pfns: U64Array,
    spans: U64Array,
    shift: cython.int,
) -> None:
    """Count accesses in the grains of their ranges; those to none are left out.

    A row of `spans`, which ascend, is a range's first PFN, the PFN after its last, the first
    PFN of the grain that it begins in, and that grain.
    """
    count_of: cython.p_uint = u32(counts)
    pfn_of: cython.p_ulong = u64(pfns)
    span: cython.p_ulong = u64(spans.reshape(-1))
    ranges: cython.long = len(spans)
    accesses: cython.long = len(pfns)
    i: cython.long
    at: cython.long = 0
    grain: cython.ulong
    with cython.nogil:
        for i in range(accesses):
            if not _holds(span, at, pfn_of[i]):
                at = _range_of(span, ranges, pfn_of[i])
                if not _holds(span, at, pfn_of[i]):
                    continue
            grain = span[4 * at + 3] + ((pfn_of[i] - span[4 * at + 2]) >> shift)
            if count_of[grain] < _MOST:
                count_of[grain] += 1


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def _holds(span: cython.p_ulong, at: cython.long, pfn: cython.ulong) -> cython.bint:
    """Whether a PFN is in a range."""
    return span[4 * at] <= pfn < span[4 * at + 1]


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def _range_of(span: cython.p_ulong, ranges: cython.long, pfn: cython.ulong) -> cython.long:
    """Row of the last range that begins at a PFN or below it; 0 where none does."""
    low: cython.long = 0
    high: cython.long = ranges
    middle: cython.long
    while high - low > 1:
        middle = (low + high) >> 1
        if span[4 * middle] <= pfn:
            low = middle
        else:
            high = middle
    return low
