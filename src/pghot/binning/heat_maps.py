"""Heat maps of a place: all that was accessed of it, and its hottest part in more detail."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from pghot.binning.forms import HeatMap

ROWS = 64
"""Rows of a map at the most, and grains of a hottest part at the least."""

HALF = 0.5
"""Share of a place's accesses that its hottest part has at least."""

GAP_PAGES = 1 << 18
"""So many pages (1 GiB) without an access part one range of a process from the next."""


@dataclass(frozen=True, slots=True)
class HeatScope:
    """What was accessed of a node, a process or a region.

    `positions` (ascending) number the accessed grains of `grain_pages` pages; `counts` has
    a row a column of time of `step_us` and a column a grain.  Page 0 is page `origin` of
    what `unit` counts.
    """

    name: str
    unit: str
    origin: int
    grain_pages: int
    positions: npt.NDArray[np.int64]
    counts: npt.NDArray[Any]
    step_us: int

    @property
    def accesses(self) -> float:
        """All of its accesses."""
        return float(self.counts.sum(dtype=np.float64))

    def ranges(self) -> list[HeatScope]:
        """Split it where a GiB was not accessed."""
        gap = max(GAP_PAGES // self.grain_pages, 1)
        cuts = np.flatnonzero(np.diff(self.positions) > gap) + 1
        edges = [0, *cuts.tolist(), len(self.positions)]
        return [self._cut(*edge) for edge in pairwise(edges)]

    def maps(self) -> list[HeatMap]:
        """The map of the hottest part, where that is less than half, and of all."""
        if not len(self.positions) or not self.accesses:
            return []
        first, last = int(self.positions[0]), int(self.positions[-1])
        heat = self.counts.sum(axis=0, dtype=np.float64)
        start, width = hottest(self.positions, heat)
        whole = self._map("whole", first, last - first + 1)
        if width * 2 > last - first + 1:
            return [whole]
        start = max(first, min(start, last + 1 - width))
        return [self._map("hottest", start, width), whole]

    def _cut(self, start: int, end: int) -> HeatScope:
        return HeatScope(
            self.name, self.unit, self.origin, self.grain_pages,
            self.positions[start:end], self.counts[:, start:end], self.step_us,
        )  # fmt: skip

    def _map(self, part: str, first: int, width: int) -> HeatMap:
        grains = -(-width // ROWS)
        rows = -(-width // grains)
        inside = (self.positions >= first) & (self.positions < first + rows * grains)
        places = (self.positions[inside] - first) // grains
        counts = self.counts[:, inside].astype(np.float64)
        table = np.zeros((rows, len(counts)))
        np.add.at(table, places, counts.T)
        return HeatMap(
            place=self.name,
            part=part,
            unit=self.unit,
            first=self.origin + first * self.grain_pages,
            pages_a_row=grains * self.grain_pages,
            rows=rows,
            step_us=self.step_us,
            columns=len(counts),
            share=min(float(counts.sum()) / self.accesses, 1.0),
            counts=np.rint(table).astype(np.int64).ravel().tolist(),
        )


def hottest(positions: npt.NDArray[np.int64], heat: npt.NDArray[np.float64]) -> tuple[int, int]:
    """Start and width, in grains, of the smallest window that has half of the heat.

    Of widths 64, 128, 256, ...; of one width the hottest, each starting with a grain that
    was accessed.
    """
    sums = np.concatenate([[0.0], np.cumsum(heat)])
    width = ROWS
    while True:
        ends = np.searchsorted(positions, positions + width)
        inside = sums[ends] - sums[:-1]
        best = int(np.argmax(inside))
        if inside[best] >= sums[-1] * HALF:
            return int(positions[best]), width
        width *= 2
