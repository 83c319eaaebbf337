"""The bound: knows which CPUs will access each folio, and has it in the right place at no cost."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pghot.simulated.machine.frames import NONE
from pghot.simulated.policies.best_places import NOWHERE, best_places
from pghot.simulated.policies.policy import Policy
from pghot.simulated.world import World

Floats = npt.NDArray[np.float64]
Nids = npt.NDArray[np.int64]


class Oracle(Policy):
    """Has each folio where its accesses take least time, as far as there is headroom.

    Placed from the start of each phase, by idle latencies of the links.  Top-tier nodes are
    filled to their min watermark: further than any policy fills them.
    """

    def start(self, world: World) -> None:
        """Keep the world, whose heat it knows.  Its moves count in no vmstat counter."""
        self._world = world

    def new_heat(self, now: float) -> None:
        """Place all folios anew: who accesses what has changed."""
        del now
        memory = self._world.memory
        folios = memory.folios
        tops = [nid for nid in memory.nodes() if memory.node_is_toptier(nid)]
        lower = [nid for nid in memory.nodes() if nid not in tops]
        if not tops or not lower:
            return
        slow_ns = np.min([self._access_ns(nid) for nid in lower], axis=0)
        gain = np.array([slow_ns - self._access_ns(nid) for nid in tops]).T
        gain[folios.nid == NONE] = 0
        headroom = [
            memory.free_pages(nid) + int(folios.pages[folios.nid == nid].sum())
            - memory.all[nid].wmark.min
            for nid in tops
        ]  # fmt: skip
        best = best_places(gain, folios.pages, headroom)
        wanted = np.array([*tops, NONE])[np.where(best == NOWHERE, len(tops), best)]
        self._move(wanted, tops, lower)

    def _access_ns(self, nid: int) -> Floats:
        """What the accesses to each folio take, in all, were it on this node."""
        world = self._world
        total = np.zeros(len(world.memory.folios.pfn))
        for group in world.groups:
            if group.running:
                ns = world.traffic.idle_ns(group.table.node, nid, group.table.store_share)
                total[group.region.rows] += group.table.count * ns * group.flow.weights
        return total

    def _move(self, wanted: Nids, tops: list[int], lower: list[int]) -> None:
        """Move folios where they are wanted; what leaves a top-tier node goes by a lower one."""
        memory = self._world.memory
        on_top = np.isin(memory.folios.nid, tops)
        leaving = np.flatnonzero(on_top & (wanted != memory.folios.nid))
        needed = self._needed(wanted, leaving, tops)
        for nid in lower:
            moved = memory.move(needed, nid)
            needed = needed[~moved]
        for nid in tops:
            memory.move(np.flatnonzero((wanted == nid) & (memory.folios.nid != nid)), nid)

    def _needed(self, wanted: Nids, leaving: Nids, tops: list[int]) -> Nids:
        """The folios that have to leave: all that are wanted elsewhere, others for headroom."""
        memory = self._world.memory
        folios = memory.folios
        elsewhere = leaving[wanted[leaving] != NONE]
        needed = [elsewhere]
        for nid in tops:
            coming = int(folios.pages[(wanted == nid) & (folios.nid != nid)].sum())
            going = int(folios.pages[elsewhere[folios.nid[elsewhere] == nid]].sum())
            short = coming - going - memory.free_pages(nid) + memory.all[nid].wmark.min
            idle = leaving[(wanted[leaving] == NONE) & (folios.nid[leaving] == nid)]
            before = np.cumsum(folios.pages[idle]) - folios.pages[idle]
            needed.append(idle[before < short])
        return np.concatenate(needed)
