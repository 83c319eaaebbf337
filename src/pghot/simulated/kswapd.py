"""kswapd of the top-tier nodes: makes room by demoting what was not used lately.

As mm/vmscan.c does it, in outline: the oldest active folios are deactivated and their
accessed bits cleared; a folio that reaches the end of the inactive list unused goes to a
lower tier, one that was used is active again.  It works until the promo mark is reached.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pghot.engine.mem_map import OFF_LRU, UNMOVABLE
from pghot.simulated.lru import Lru, pages_to_bytes
from pghot.simulated.regions import seen_since
from pghot.simulated.units import Units
from pghot.simulated.world import World

SWAP_CLUSTER_MAX = 32
ROUND = 64 * SWAP_CLUSTER_MAX
"""Folios looked at together; the kernel takes 32 at a time."""

MAX_RECLAIM_RETRIES = 16
HOPELESS_S = 0.1
"""How long kswapd leaves it after so many rounds that freed nothing."""

_STUCK = UNMOVABLE | OFF_LRU


class Kswapd:
    """One for all top-tier nodes, each with a time of its own."""

    def __init__(self, world: World) -> None:
        self._world = world
        memory = world.memory
        self._tops = [node.id for node in memory.all.values() if node.toptier]
        self._lru = {nid: Lru(len(memory.units.pfn)) for nid in self._tops}
        self._busy_until = dict.fromkeys(self._tops, 0.0)
        world.on_allocated.append(self._allocated)
        memory.tell(self._moved)

    def check(self, now: float) -> None:
        """Wake where a node was found short of room."""
        short, memory = self._world.memory.short, self._world.memory
        for nid in sorted(short):
            if nid not in self._lru or memory.free_pages(nid) >= memory.all[nid].wmark.promo:
                short.discard(nid)
            elif now >= self._busy_until[nid]:
                self._busy_until[nid] = now + self._balance(nid, now)

    def _balance(self, nid: int, now: float) -> float:
        """Demote until the node is balanced, or nothing comes; give the seconds it took."""
        memory, costs = self._world.memory, self._world.costs
        node, lru = memory.all[nid], self._lru[nid]
        taken_s = 0.0
        fruitless = 0
        while (need := node.wmark.promo - memory.free_pages(nid)) > 0:
            looked = lru.age(now, pages_to_bytes(node.pages))
            tail = lru.tail(min(max(need, SWAP_CLUSTER_MAX), ROUND))
            looked += len(tail)
            used = self._used(nid, tail)
            lru.activate(tail[used])
            moved, seconds = self._demote(nid, tail[~used])
            taken_s += looked * costs.kswapd_page_ns * 1e-9 + seconds
            fruitless = 0 if moved else fruitless + 1
            if not len(tail) or fruitless == MAX_RECLAIM_RETRIES:
                taken_s += HOPELESS_S
                break
        self._world.spend("kswapd", taken_s)
        return taken_s

    def _used(self, nid: int, units: Units) -> npt.NDArray[np.bool_]:
        """Tell which folios were accessed since their bit was cleared, or cannot move."""
        used = (self._world.memory.units.flags[units] & _STUCK) > 0
        since = self._lru[nid].since[units]
        for region, places in self._world.by_region(units):
            used[places] |= seen_since(region, units[places], since[places])
        return used

    def _demote(self, nid: int, units: Units) -> tuple[int, float]:
        """Move folios to the first lower-tier node with room: how many, and the seconds."""
        memory = self._world.memory
        seconds, count = 0.0, 0
        for low in memory.nodes():
            if memory.node_is_toptier(low) or not len(units):
                continue
            room = memory.free_pages(low) - memory.all[low].wmark.low
            fits = units[np.cumsum(memory.units.pages[units]) <= room]
            before = memory.units.nid[fits]
            moved = memory.move(fits, low)
            if np.any(moved):
                seconds += self._world.copying(fits[moved], before[moved], low)
                count += int(np.count_nonzero(moved))
                units = units[~np.isin(units, fits[moved])]
        self._lru[nid].activate(units)  # found no room: stays
        return count, seconds

    def _allocated(self, units: Units, now: float) -> None:
        nids = self._world.memory.units.nid[units]
        for nid, lru in self._lru.items():
            lru.add(units[nids == nid], now)
            lru.age(now, pages_to_bytes(self._world.memory.all[nid].pages))

    def _moved(self, units: Units, from_nid: npt.NDArray[np.int16], to_nid: int) -> None:
        for nid, lru in self._lru.items():
            leaving = units[from_nid == nid]
            if nid != to_nid and len(leaving):
                lru.remove(leaving)
        if to_nid in self._lru:
            self._lru[to_nid].add(units, self._world.now)
