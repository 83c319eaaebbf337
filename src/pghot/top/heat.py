"""Which processes and regions of a log are hot, as its rows go by."""

from __future__ import annotations

from collections import Counter, deque
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pghot.engine.units import PAGE_SHIFT, USEC_PER_SEC
from pghot.top.state import WINDOW_S, ProcessState, RegionState

if TYPE_CHECKING:
    from pghot.engine.migrated import Batch
    from pghot.log.schema import Columns

REGION_SHIFT = 21
"""Regions are stretches of 2 MiB: what one huge page would hold."""

SHOWN = 100
"""Processes and regions that a state holds."""

NO_PID = -1
_PFN_SHIFT = REGION_SHIFT - PAGE_SHIFT

Place = tuple[int, int]
"""A region: its pid, and its address in units of 2 MiB."""


class HeatWindow:
    """Accesses by place in the last seconds.  Time must not go backwards."""

    def __init__(self) -> None:
        self._seconds: deque[tuple[int, Counter[Place]]] = deque()
        self.sums: Counter[Place] = Counter()

    def add(self, second: int, counts: dict[Place, int]) -> None:
        """Count accesses of a second."""
        if not self._seconds or self._seconds[-1][0] != second:
            self._seconds.append((second, Counter()))
        self._seconds[-1][1].update(counts)
        self.sums.update(counts)

    def forget_before(self, second: int) -> None:
        """Let go of the seconds before this one."""
        while self._seconds and self._seconds[0][0] < second:
            self.sums -= self._seconds.popleft()[1]


class Heat:
    """Takes the rows of a log, and counts those whose time has come.

    A region is 2 MiB of a process' addresses, or of physical memory where the log has no
    addresses.  A log without pids has no processes.
    """

    def __init__(self) -> None:
        self._held: deque[Columns] = deque()
        self._window = HeatWindow()
        self._owners: dict[int, Place] = {}
        self._moved: Counter[Place] = Counter()
        self._hot: Counter[int] = Counter()
        self._moved_of: Counter[int] = Counter()
        self._now_us = 0
        self._physical = True

    def takes(self, rows: Columns) -> None:
        """Keep rows until their time has come."""
        self._physical = "vaddr" not in rows
        if len(rows["time_us"]):
            self._held.append(rows)

    def count_until(self, time_us: int) -> None:
        """Count the rows up to `time_us`."""
        self._now_us = time_us
        while self._held:
            rows = self._held[0]
            end = int(np.searchsorted(rows["time_us"], np.uint64(time_us), side="right"))
            if end:
                self._count({name: column[:end] for name, column in rows.items()})
            if end < len(rows["time_us"]):
                self._held[0] = {name: column[end:] for name, column in rows.items()}
                break
            self._held.popleft()
        self._window.forget_before(time_us // USEC_PER_SEC - WINDOW_S + 1)

    def asked(self, batch: Batch) -> None:
        """Count the folios of a batch for whoever accessed them last."""
        for pfn, moved in zip(batch.pfns.tolist(), batch.moved.tolist(), strict=True):
            place = self._owners.get(pfn)
            if place is not None:
                self._hot[place[0]] += 1
                if moved:
                    self._moved[place] += 1
                    self._moved_of[place[0]] += 1

    def processes(self) -> list[ProcessState]:
        """The hottest processes; none where the log has no pids."""
        sums: Counter[int] = Counter()
        for (pid, _), accesses in self._window.sums.items():
            sums[pid] += accesses
        return [
            ProcessState("", self._per_s(n), pid, self._hot[pid], self._moved_of[pid])
            for pid, n in sorted(sums.items(), key=lambda item: (-item[1], item[0]))[:SHOWN]
            if pid != NO_PID
        ]

    def regions(self) -> list[RegionState]:
        """The hottest regions."""
        order = sorted(self._window.sums.items(), key=lambda item: (-item[1], item[0]))
        return [
            RegionState(
                self._kind + address_range(place[1] << REGION_SHIFT),
                self._per_s(accesses),
                None if place[0] == NO_PID else place[0],
                self._moved[place],
            )
            for place, accesses in order[:SHOWN]
        ]

    @property
    def _kind(self) -> str:
        return "phys " if self._physical else ""

    def _per_s(self, accesses: int) -> float:
        second = self._now_us % USEC_PER_SEC / USEC_PER_SEC
        return accesses / max(min(self._now_us / USEC_PER_SEC, WINDOW_S - 1 + second), 1.0)

    def _count(self, rows: Columns) -> None:
        pfns = rows["pfn"]
        pids = rows.get("pid", np.full(len(pfns), NO_PID, np.int32))
        if self._physical:
            places = pfns >> np.uint64(_PFN_SHIFT)
        else:
            places = rows["vaddr"] >> np.uint64(REGION_SHIFT)
        self._own(pfns, pids, places)
        seconds = (rows["time_us"] // np.uint64(USEC_PER_SEC)).astype(np.int64)
        starts = [0, *(np.flatnonzero(np.diff(seconds)) + 1).tolist(), len(seconds)]
        for start, end in pairwise(starts):
            piece = slice(start, end)
            self._window.add(int(seconds[start]), _counted(pids[piece], places[piece]))

    def _own(
        self,
        pfns: npt.NDArray[np.uint64],
        pids: npt.NDArray[np.int32],
        places: npt.NDArray[np.uint64],
    ) -> None:
        pages, last = np.unique(pfns[::-1], return_index=True)
        pids, places = pids[::-1][last], places[::-1][last]
        owners = zip(pids.tolist(), places.tolist(), strict=True)
        self._owners.update(zip(pages.tolist(), owners, strict=True))


def address_range(start: int, end: int | None = None) -> str:
    """The addresses of a region as /proc/PID/maps has them."""
    end = start + (1 << REGION_SHIFT) if end is None else end
    return f"{start:x}-{end:x}"


def _counted(pids: npt.NDArray[np.int32], places: npt.NDArray[np.uint64]) -> dict[Place, int]:
    pairs = np.empty(len(pids), [("pid", np.int64), ("place", np.uint64)])
    pairs["pid"], pairs["place"] = pids, places
    keys, counts = np.unique(pairs, return_counts=True)
    return dict(zip(map(tuple, keys.tolist()), counts.tolist(), strict=True))
