"""How many places of an order are on each node, between any two of them, at a glance."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from pghot.engine.jit import compiled
from pghot.workloads.stream import Nids, Units

BLOCK = 1024
"""Places whose counts are kept together."""

Counts = npt.NDArray[np.int64]


class NodeCounts:
    """The node of each place, with counts for blocks of places."""

    def __init__(self, places: int) -> None:
        self.place(np.zeros(places, np.int16))

    def place(self, nid: Nids) -> None:
        """Take the node of every place."""
        self._nid = nid.astype(np.int16)
        self._blocks = np.zeros((-(-len(nid) // BLOCK), int(nid.max()) + 1), np.int64)
        count_blocks(self._nid, self._blocks)
        self.total: Counts = self._blocks.sum(axis=0)
        """Places by node id."""

    def moved(self, places: Units, to_nid: int) -> None:
        """Take note that places are on `to_nid` now."""
        missing = to_nid + 1 - self._blocks.shape[1]
        if missing > 0:
            self._blocks = np.pad(self._blocks, ((0, 0), (0, missing)))
        move(self._nid, self._blocks, places, to_nid)
        self.total = self._blocks.sum(axis=0)

    def at(self, place: int) -> int:
        """Give the node of a place."""
        return int(self._nid[place])

    def between(self, first: int, end: int) -> Counts:
        """Count the places first .. end - 1 by node id; beyond the last comes the first again."""
        rounds, first_at = divmod(first, len(self._nid))
        end_at = end - rounds * len(self._nid)
        laps, end_at = divmod(end_at, len(self._nid))
        # From the first place to first_at is what the laps have too much.
        ahead = count(self._nid, self._blocks, end_at)
        behind = count(self._nid, self._blocks, first_at)
        counted: Counts = laps * self.total + ahead - behind
        return counted


@compiled
def count_blocks(nid: Any, blocks: Any) -> None:
    """Count all places into blocks that are still empty."""
    for place in range(len(nid)):
        blocks[place // BLOCK, nid[place]] += 1


@compiled
def move(nid: Any, blocks: Any, places: Any, to_nid: int) -> None:
    """Move places, and what counts them."""
    for i in range(len(places)):
        place = places[i]
        blocks[place // BLOCK, nid[place]] -= 1
        blocks[place // BLOCK, to_nid] += 1
        nid[place] = to_nid


@compiled
def count(nid: Any, blocks: Any, end: int) -> Any:
    """Count the places before `end` by node, whole blocks at a time."""
    counts = np.zeros(blocks.shape[1], np.int64)
    for block in range(end // BLOCK):
        for node in range(len(counts)):
            counts[node] += blocks[block, node]
    for place in range(end - end % BLOCK, end):
        counts[nid[place]] += 1
    return counts
