"""Accesses by region, page and time, as the streams share them out among their folios."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pghot.binning.columns import TimeColumns, summed
from pghot.binning.forms import HeatMap
from pghot.binning.heat_maps import HeatScope
from pghot.simulated.machine.regions import FolioRegion, StreamCursor
from pghot.simulated.world import IDLE_STEP_S, World

COLUMNS = 128
GRAINS = 1 << 12
"""Grains of a region at the most."""

PLACES = 6
"""Regions that get maps, of those with most accesses."""


class RegionHeat:
    """Looks at the clocks of a world's streams after each step; changes nothing."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._columns = TimeColumns(round(IDLE_STEP_S * 1e6), COLUMNS)
        self._counts: dict[str, npt.NDArray[np.float64]] = {}
        self._shares: dict[str, npt.NDArray[np.float64]] = {}
        self._clocks: dict[str, float] = {}
        for region in world.regions.values():
            grains = -(-region.folios // _folios_a_grain(region))
            self._counts[region.name] = np.zeros((COLUMNS, grains))
            self._columns.keep(self._counts[region.name], summed)
        world.on_new_heat.append(self._changed)
        world.after_step.append(self._take)

    def maps(self) -> list[HeatMap]:
        """The maps, of the region with most accesses first."""
        places = [self._place(region) for region in self._world.regions.values()]
        places.sort(key=lambda place: -place.accesses)
        return [heat for place in places[:PLACES] for heat in place.maps()]

    def _take(self, now: float) -> None:
        column = self._columns.at(round(now * 1e6))
        for region, flow in self._flows():
            made = flow.clock - self._clocks.get(flow.name, 0.0)
            if made and flow.name in self._shares:
                self._counts[region.name][column] += made * self._shares[flow.name]
            self._clocks[flow.name] = flow.clock

    def _changed(self, now: float) -> None:
        """Share out what was done so far, and from now on by the new weights."""
        self._take(now)
        for region, flow in self._flows():
            grains = np.arange(region.folios) // _folios_a_grain(region)
            self._shares[flow.name] = np.bincount(grains, flow.weights).astype(np.float64)

    def _flows(self) -> list[tuple[FolioRegion, StreamCursor]]:
        regions = self._world.regions.values()
        return [(region, flow) for region in regions for flow in region.flows]

    def _place(self, region: FolioRegion) -> HeatScope:
        counts = self._counts[region.name][: self._columns.used]
        seen = np.flatnonzero(counts.any(axis=0))
        name = (
            region.name if region.process in {"", "app"} else f"{region.name} of {region.process}"
        )
        return HeatScope(
            f"region {name}", "page of the region", 0,
            _folios_a_grain(region) * region.pages, seen, counts[:, seen], self._columns.step_us,
        )  # fmt: skip


def _folios_a_grain(region: FolioRegion) -> int:
    return -(-region.folios // GRAINS)
