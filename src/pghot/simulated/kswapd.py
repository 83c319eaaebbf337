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
"""Times that it looks at every folio and frees none before it gives up."""

HOPELESS_S = 1.0
"""How long it leaves a node alone that it gave up."""

_STUCK = UNMOVABLE | OFF_LRU


class Kswapd:
    """One for all top-tier nodes, each with a time of its own."""

    def __init__(self, world: World) -> None:
        self._world = world
        memory = world.memory
        self._tops = [node.id for node in memory.all.values() if node.toptier]
        self._lru = {nid: Lru(len(memory.units.pfn)) for nid in self._tops}
        self._awake: dict[int, float] = {}
        self._fruitless = dict.fromkeys(self._tops, 0)
        self._rest_until = dict.fromkeys(self._tops, 0.0)
        world.on_allocated.append(self._allocated)
        memory.tell(self._moved)

    def check(self, now: float) -> None:
        """Wake where a node was found short of room; where awake, work since the last time."""
        short = self._world.memory.short
        for nid, since in list(self._awake.items()):
            self._awake[nid] = now
            if not self._balance(nid, now, now - since):
                del self._awake[nid]
        for nid in sorted(short):
            if nid in self._lru and nid not in self._awake and now >= self._rest_until[nid]:
                self._awake[nid] = now
        short.clear()

    def _balance(self, nid: int, now: float, time_s: float) -> bool:
        """Demote for as long as `time_s` of work takes; False when it may sleep."""
        memory, lru = self._world.memory, self._lru[nid]
        mark, left_s = memory.all[nid].wmark.promo, time_s
        page_s = self._world.costs.kswapd_page_ns * 1e-9
        need = mark - memory.free_pages(nid)
        while left_s > 0 and (need := mark - memory.free_pages(nid)) > 0:
            looked = lru.age(now, pages_to_bytes(memory.all[nid].pages))
            tail = lru.tail(min(max(need, SWAP_CLUSTER_MAX), ROUND))
            used = self._used(nid, tail)
            lru.activate(tail[used])
            moved, seconds = self._demote(nid, tail[~used])
            left_s -= (looked + len(tail)) * page_s + seconds
            self._fruitless[nid] = 0 if moved else self._fruitless[nid] + len(tail)
            if not len(tail) or self._fruitless[nid] > MAX_RECLAIM_RETRIES * lru.total:
                self._rest_until[nid] = now + HOPELESS_S
                self._fruitless[nid] = 0
                need = 0
                break
        self._world.spend("kswapd", time_s - max(left_s, 0))
        return need > 0

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
