"""Clearing records before their time field wraps (fidelity `improved`; defect 2).

A record tells its age modulo `Layout.wrap`.  If every record older than the window is
cleared at least every `period` jiffies, with window + period < wrap, no age is ever taken
for a smaller one.
"""

from __future__ import annotations

from pghot.engine.candidates import layout_row
from pghot.engine.hotmap import HotMap
from pghot.engine.units import PAGES_PER_SECTION
from pghot.engine.walk import expire

_MARGIN = 2
"""Time units kept free below the wrap: the two ends of an age are both rounded down."""


class Ageing:
    """Sweeps the touched sections of a hot map at multiples of a period, in jiffies."""

    def __init__(self, hot_map: HotMap, window: int) -> None:
        self._hot_map = hot_map
        self._window = window
        self._swept = 0

    @property
    def due(self) -> int:
        """Time of the next sweep in jiffies; accesses before it need none."""
        return self._swept + self._period

    @property
    def _period(self) -> int:
        layout = self._hot_map.layout
        unit = 1 << layout.time_bucket_shift
        return max(layout.wrap - self._window - _MARGIN * unit, unit)

    def advance(self, now: int, window: int) -> None:
        """Make every sweep that is due by `now`; go by `window` jiffies from then on."""
        if now - self._swept > 2 * self._hot_map.layout.wrap:
            # The newest record was made before the last sweep fell due: all are too old.
            self._clear()
            # Where the sweep would be that was made each time: a run that looks all along and a
            # replay that passes over the pause go on alike.
            self._swept += (now - self._swept) // self._period * self._period
        while now >= self.due:
            self._swept = self.due
            self._sweep(self._swept)
        if window != self._window:
            self._window = window
            self._swept = now
            self._sweep(now)

    def _sweep(self, now: int) -> None:
        layout = self._hot_map.layout
        oldest = self._window >> layout.time_bucket_shift
        for slot in self._hot_map.mem_map_order(self._hot_map.touched):
            start = int(slot) * PAGES_PER_SECTION
            left = expire(
                self._hot_map.maps(),
                start,
                start + PAGES_PER_SECTION,
                layout.time_of(now),
                layout_row(layout),
                oldest,
            )
            self._hot_map.touched[slot] = left > 0

    def _clear(self) -> None:
        for slot in self._hot_map.mem_map_order(self._hot_map.touched):
            start = int(slot) * PAGES_PER_SECTION
            self._hot_map.records[start : start + PAGES_PER_SECTION] = 0
            self._hot_map.touched[slot] = 0
