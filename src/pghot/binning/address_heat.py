"""Accesses by process, virtual address and time, of which only what comes is known (live)."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from pghot.binning.columns import TimeColumns, added
from pghot.binning.forms import HeatMap
from pghot.binning.heat_maps import HeatScope
from pghot.engine.distinct import distinct
from pghot.engine.units import PAGE_SHIFT

COLUMNS = 128
GRAINS = 1 << 14
"""Different grains at the most: with COLUMNS, 8 MiB of counts."""

PLACES = 6
"""Ranges of processes that get maps, of those with most accesses."""

_PID_BITS = 22
"""As many as the kernel has (PID_MAX_LIMIT is 4 Mi)."""

_PAGE_BITS = 64 - _PID_BITS


class AddressHeat:
    """Counts accesses in grains of 2^n pages; n grows by one when there are too many."""

    def __init__(self, step_us: int) -> None:
        self._shift = 0
        self._places: dict[int, int] = {}
        self._counts: npt.NDArray[np.uint32] = np.zeros((COLUMNS, GRAINS), np.uint32)
        self._columns = TimeColumns(step_us, COLUMNS)
        self._columns.keep(self._counts, added)

    def add(self, instant: int, pids: npt.NDArray[Any], vaddrs: npt.NDArray[np.uint64]) -> None:
        """Count the accesses that were made until `instant` (us) since the one before."""
        pages = vaddrs >> np.uint64(PAGE_SHIFT) & np.uint64((1 << _PAGE_BITS) - 1)
        keys = pids.astype(np.uint64) << np.uint64(_PAGE_BITS) | pages
        while True:
            found, times = np.unique(self._coarse(keys), return_counts=True)
            if self._make_room(found.tolist()):
                break
            if self._shift == _PAGE_BITS:  # more processes than grains: the latest go without
                known = np.array([key in self._places for key in found.tolist()], np.bool_)
                found, times = found[known], times[known]
                break
            self._widen()
        at = [self._places[key] for key in found.tolist()]
        row = self._counts[self._columns.at(instant)]
        row[at] = np.minimum(row[at].astype(np.uint64) + times.astype(np.uint64), 0xFFFF_FFFF)

    def reach(self, instant: int) -> None:
        """Have the maps go on until `instant` (us), accesses or not."""
        self._columns.at(instant)

    def maps(self) -> list[HeatMap]:
        """Maps of the ranges of processes with most accesses, the hottest first."""
        keys = np.array(sorted(self._places), np.uint64)
        order = [self._places[key] for key in keys.tolist()]
        pids = keys >> np.uint64(_PAGE_BITS)
        grains = (keys & np.uint64((1 << _PAGE_BITS) - 1)).astype(np.int64)
        counts = self._counts[: self._columns.used]
        ranges: list[HeatScope] = []
        for pid in distinct(pids).tolist():
            own = np.flatnonzero(pids == pid)
            place = HeatScope(
                f"pid {pid}", "virtual page", 0, 1 << self._shift, grains[own],
                counts[:, [order[at] for at in own.tolist()]], self._columns.step_us,
            )  # fmt: skip
            ranges += place.ranges()
        ranges.sort(key=lambda place: -place.accesses)
        return [heat for place in ranges[:PLACES] for heat in place.maps()]

    def _coarse(self, keys: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
        """The keys of the grains: the page's number in grains, below the pid."""
        low = np.uint64((1 << _PAGE_BITS) - 1)
        return keys & ~low | (keys & low) >> np.uint64(self._shift)

    def _make_room(self, keys: list[int]) -> bool:
        """Assign each grain its index; whether there are enough."""
        fresh = [key for key in keys if key not in self._places]
        if len(self._places) + len(fresh) > GRAINS:
            return False
        for key in fresh:
            self._places[key] = len(self._places)
        return True

    def _widen(self) -> None:
        """Make two grains one."""
        self._shift += 1
        keys = np.fromiter(self._places, np.uint64, len(self._places))
        low = np.uint64((1 << _PAGE_BITS) - 1)
        wider = keys & ~low | (keys & low) >> np.uint64(1)
        order = np.argsort(wider, kind="stable")
        found, starts = np.unique(wider[order], return_index=True)
        places = np.fromiter(self._places.values(), np.int64, len(keys))[order]
        counts = np.add.reduceat(self._counts[:, places], starts, axis=1, dtype=np.uint64)
        self._counts[:] = 0
        self._counts[:, : len(found)] = np.minimum(counts, 0xFFFF_FFFF)
        self._places = {key: place for place, key in enumerate(found.tolist())}
