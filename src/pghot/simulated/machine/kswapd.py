"""kswapd of the top-tier nodes: makes room by demoting what was not used lately.

As mm/vmscan.c does it, in outline: the oldest active folios are deactivated and their
accessed bits cleared; a folio that reaches the end of the inactive list unused goes to a
lower tier, one that was used is active again.  It works until the promo mark is reached.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pghot.engine.page_flags import OFF_LRU, UNMOVABLE
from pghot.simulated.machine.folios import Folios
from pghot.simulated.machine.lru import LruLists
from pghot.simulated.machine.regions import seen_since
from pghot.simulated.world import World

SWAP_CLUSTER_MAX = 32
ROUND = 64 * SWAP_CLUSTER_MAX
"""Pages looked at together; the kernel takes 32 at a time, and moves those together."""

MAX_RECLAIM_RETRIES = 16
"""Times that it looks at every page and frees none before it gives up."""

HOPELESS_S = 1.0
"""How long it leaves a node alone that it gave up."""

_STUCK = UNMOVABLE | OFF_LRU


class Kswapd:
    """kswapd of every top-tier node, each with its own time."""

    def __init__(self, world: World) -> None:
        self._world = world
        memory = world.memory
        self._tops = [node.id for node in memory.all.values() if node.toptier]
        self._lru = {nid: LruLists(memory.folios.pages) for nid in self._tops}
        self._awake: dict[int, float] = {}
        self._fruitless = dict.fromkeys(self._tops, 0)
        self._rest_until = dict.fromkeys(self._tops, 0.0)
        world.on_allocated.append(self._allocated)
        memory.tell(self._moved)

    def check(self, now: float) -> None:
        """Wake where a node was found short of room; where awake, work since the last time."""
        short = self._world.memory.short
        for nid, since in list(self._awake.items()):
            if since > now:
                continue  # busy with what it began before
            need, left_s = self._balance(nid, now, now - since)
            if need > 0:
                self._awake[nid] = now - min(left_s, 0)
            else:
                del self._awake[nid]
        for nid in sorted(short):
            if nid in self._lru and nid not in self._awake and now >= self._rest_until[nid]:
                self._awake[nid] = now
        short.clear()

    def _balance(self, nid: int, now: float, time_s: float) -> tuple[int, float]:
        """Demote for `time_s`; the pages still wanted and the seconds left, or overrun."""
        memory, lru = self._world.memory, self._lru[nid]
        pages = memory.folios.pages
        # Woken for a large folio, it wants a block free above the mark (pgdat_balanced()).
        mark, left_s = memory.all[nid].wmark.promo + memory.largest - 1, time_s
        page_s = self._world.costs.kswapd_page_ns * 1e-9
        need = mark - memory.free_pages(nid)
        while left_s > 0 and need > 0:
            looked = lru.age(now)
            tail, used = self._look(nid, max(need, SWAP_CLUSTER_MAX))
            lru.activate(tail[used])
            moved, seconds = self._demote(nid, tail[~used])
            left_s -= (looked + len(tail)) * page_s + seconds
            need = mark - memory.free_pages(nid)
            self._fruitless[nid] = 0 if moved else self._fruitless[nid] + int(pages[tail].sum())
            if not len(tail) or self._fruitless[nid] > MAX_RECLAIM_RETRIES * lru.total:
                self._rest_until[nid] = now + HOPELESS_S
                self._fruitless[nid] = 0
                need = 0
                break
        self._world.spend("kswapd", time_s - left_s)
        return need, left_s

    def _look(self, nid: int, pages: int) -> tuple[Folios, npt.NDArray[np.bool_]]:
        """Take folios off the tail until so many pages are unused; which were used.

        It takes many together where the last ones were all in use.
        """
        lru = self._lru[nid]
        tail = lru.tail(ROUND if self._fruitless[nid] else min(pages, ROUND))
        used = self._used(nid, tail)
        unused = np.cumsum(np.where(used, 0, self._world.memory.folios.pages[tail]))
        enough = int(np.searchsorted(unused, pages)) + 1
        lru.untail(tail[enough:])
        return tail[:enough], used[:enough]

    def _used(self, nid: int, folios: Folios) -> npt.NDArray[np.bool_]:
        """Which folios were accessed since their bit was cleared, or cannot move."""
        used = (self._world.memory.folios.flags[folios] & _STUCK) > 0
        since = self._lru[nid].since[folios]
        for region, places in self._world.by_region(folios):
            used[places] |= seen_since(region, folios[places], since[places])
        return used

    def _demote(self, nid: int, folios: Folios) -> tuple[int, float]:
        """Move folios to the nearest lower-tier node with room: how many, and the seconds."""
        memory = self._world.memory
        seconds, count = 0.0, 0
        for low in self._lower(nid) if len(folios) else ():
            room = memory.free_pages(low) - memory.all[low].wmark.low
            fits = folios[np.cumsum(memory.folios.pages[folios]) <= room]
            before = memory.folios.nid[fits]
            moved = memory.move(fits, low)
            if np.any(moved):
                took = self._world.copying(fits[moved], before[moved], low)
                number = int(np.count_nonzero(moved))
                self._world.unreachable(fits[moved], took, -(-number // SWAP_CLUSTER_MAX))
                seconds += took
                count += number
                folios = folios[~np.isin(folios, fits[moved])]
        self._lru[nid].activate(folios)  # found no room: stays
        return count, seconds

    def _lower(self, nid: int) -> list[int]:
        """The lower-tier nodes, nearest first (mm/memory-tiers.c, demotion targets)."""
        memory, distance = self._world.memory, self._world.traffic.distance
        lower = [low for low in memory.nodes() if not memory.node_is_toptier(low)]
        return sorted(lower, key=lambda low: (distance(nid, low), low))

    def _allocated(self, folios: Folios, now: float) -> None:
        nids = self._world.memory.folios.nid[folios]
        for nid, lru in self._lru.items():
            lru.add(folios[nids == nid], now)
            lru.age(now)

    def _moved(self, folios: Folios, from_nid: npt.NDArray[np.int16], to_nid: int) -> None:
        for nid, lru in self._lru.items():
            leaving = folios[from_nid == nid]
            if nid != to_nid and len(leaving):
                lru.remove(leaving)
        if to_nid in self._lru:
            self._lru[to_nid].add(folios, self._world.now)
