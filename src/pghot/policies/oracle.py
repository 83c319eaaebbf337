"""The bound: knows how hot every page will be, and has it in the right place at no cost."""

from __future__ import annotations

import numpy as np

from pghot.policies.policy import Policy
from pghot.simulated.frames import NONE
from pghot.simulated.world import World


class Oracle(Policy):
    """Keeps the hottest folios that fit on the top tier, from the start of each phase."""

    def start(self, world: World) -> None:
        """Keep the world, whose heat it knows.  Its moves count in no vmstat counter."""
        self._world = world

    def new_heat(self, now: float) -> None:
        """Fill the top-tier nodes, in id order, with folios by their heat a page."""
        del now
        memory, heat = self._world.memory, self._world.heat()
        units = memory.units
        allocated = np.flatnonzero(units.nid != NONE)
        density = heat[allocated] / units.pages[allocated]
        order = allocated[np.argsort(-density, kind="stable")]
        order = order[heat[order] > 0]
        wanted = np.full(len(units.nid), NONE, np.int64)
        tops = [nid for nid in memory.nodes() if memory.node_is_toptier(nid)]
        for nid in tops:
            mine = units.pages[(units.nid == nid)].sum()
            space = memory.free_pages(nid) + int(mine) - memory.all[nid].wmark.promo
            fits = np.cumsum(units.pages[order]) <= space
            wanted[order[fits]] = nid
            order = order[~fits]
        self._make_room(tops, wanted)
        for nid in tops:
            memory.move(np.flatnonzero((wanted == nid) & (units.nid != nid)), nid)

    def _make_room(
        self, tops: list[int], wanted: np.ndarray[tuple[int], np.dtype[np.int64]]
    ) -> None:
        memory = self._world.memory
        units = memory.units
        for nid in tops:
            need = int(units.pages[(wanted == nid) & (units.nid != nid)].sum())
            spare = memory.free_pages(nid) - memory.all[nid].wmark.promo
            leaving = np.flatnonzero((units.nid == nid) & (wanted != nid))
            for low in memory.nodes():
                if need <= spare or memory.node_is_toptier(low):
                    continue
                some = leaving[np.cumsum(units.pages[leaving]) <= need - spare + 511]
                moved = memory.move(some, low)
                spare += int(units.pages[some[moved]].sum())
                leaving = leaving[~np.isin(leaving, some[moved])]
