"""How many places of an order are on each node, between any two of them, at a glance."""

from __future__ import annotations

import cython
import numpy as np
import numpy.typing as npt

from pghot.workloads.stream import Folios, Nids

if cython.compiled:
    from cython.cimports.pghot.engine.arrays import i16, i64
else:
    from pghot.engine.arrays import i16, i64

BLOCK_SHIFT = 10
BLOCK = 1 << BLOCK_SHIFT
"""Places whose counts are kept together."""

_SHIFT = cython.declare(cython.long, BLOCK_SHIFT)

Counts = npt.NDArray[np.int64]


class NodeCounts:
    """The node of each place, with counts for blocks of places."""

    def __init__(self, places: int) -> None:
        self.place(np.zeros(places, np.int16))

    def place(self, nid: Nids) -> None:
        """Take the node of every place."""
        self._nid = nid.astype(np.int16)
        self._blocks = np.zeros((-(-len(nid) // BLOCK), int(nid.max()) + 1), np.int64)
        _count_blocks(self._nid, self._blocks)
        self.total: Counts = self._blocks.sum(axis=0)
        """Places by node id."""

    def moved(self, places: Folios, to_nid: int) -> None:
        """Take note that places are on `to_nid` now."""
        missing = to_nid + 1 - self._blocks.shape[1]
        if missing > 0:
            self._blocks = np.pad(self._blocks, ((0, 0), (0, missing)))
        _move(self._nid, self._blocks, np.ascontiguousarray(places), to_nid)
        self.total = self._blocks.sum(axis=0)

    def at(self, place: int) -> int:
        """The node of a place."""
        return int(self._nid[place])

    def between(self, first: int, end: int) -> Counts:
        """Count the places first .. end - 1 by node id; beyond the last comes the first again."""
        rounds, first_at = divmod(first, len(self._nid))
        end_at = end - rounds * len(self._nid)
        laps, end_at = divmod(end_at, len(self._nid))
        # From the first place to first_at is what the laps have too much.
        counted: Counts = laps * self.total + self._before(end_at) - self._before(first_at)
        return counted

    def _before(self, end: int) -> Counts:
        """Count the places before `end` by node id."""
        counts = np.zeros(self._blocks.shape[1], np.int64)
        _count(self._nid, self._blocks, end, counts)
        return counts


def _count_blocks(nid: Nids, blocks: Counts) -> None:
    """Count all places into blocks that are still empty."""
    node: cython.p_short = i16(nid)
    counts: cython.p_long = i64(blocks.reshape(-1))
    width: cython.long = blocks.shape[1]
    places: cython.long = len(nid)
    place: cython.long
    with cython.nogil:
        for place in range(places):
            counts[(place >> _SHIFT) * width + node[place]] += 1


def _move(nid: Nids, blocks: Counts, places: Folios, to_nid: cython.short) -> None:
    """Move places, and what counts them."""
    node: cython.p_short = i16(nid)
    counts: cython.p_long = i64(blocks.reshape(-1))
    width: cython.long = blocks.shape[1]
    moved: cython.p_long = i64(places)
    count: cython.long = len(places)
    block: cython.long
    i: cython.long
    with cython.nogil:
        for i in range(count):
            block = (moved[i] >> _SHIFT) * width
            counts[block + node[moved[i]]] -= 1
            counts[block + to_nid] += 1
            node[moved[i]] = to_nid


def _count(nid: Nids, blocks: Counts, end: cython.long, counts: Counts) -> None:
    """Count the places before `end` by node, whole blocks at a time."""
    node: cython.p_short = i16(nid)
    of_blocks: cython.p_long = i64(blocks.reshape(-1))
    counted: cython.p_long = i64(counts)
    width: cython.long = blocks.shape[1]
    whole: cython.long = end >> _SHIFT
    i: cython.long
    n: cython.long
    with cython.nogil:
        for i in range(whole):
            for n in range(width):
                counted[n] += of_blocks[i * width + n]
        for i in range(whole << _SHIFT, end):
            counted[node[i]] += 1
