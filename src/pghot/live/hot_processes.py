"""Who is hot: accesses by process and by region in the last seconds, and what became of it."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pghot.engine.memory import BoolArray, U64Array
from pghot.log.schema import Columns

WINDOW_S = 10
"""Seconds that accesses count for."""

REGION_SHIFT = 21
"""A region is 2 MiB: what one huge page covers on x86 and on arm64 with 4 KiB pages."""

_REGION_BITS = 36
"""Bits of a region's number: addresses have 57 bits at the most."""

_KEPT = 4096
"""Processes whose folios are counted: those with most of them, once there are twice as many."""


_REGIONS = 1 << 13
"""Regions of a second that are counted on: the most accessed, once there are twice as many."""

_ROWS = 1 << 20
"""Rows that wait to be counted at the most."""


class Asked(NamedTuple):
    """Folios of a process that were hot and admitted, and those of them that moved."""

    hot: int
    promoted: int


class HotProcesses:
    """Counts accesses by process and region, hot and moved folios by process.

    Rows are kept as they come and counted once a second, or when there are _ROWS.  Memory
    goes with the regions that were accessed in the window, up to some hundred thousand.
    """

    def __init__(self) -> None:
        self._fresh: list[U64Array] = []
        self._last: deque[Counter[int]] = deque([Counter()])
        self._regions: Counter[int] = Counter()
        self._last_pids: deque[Counter[int]] = deque([Counter()])
        self._accesses: Counter[int] = Counter()
        self._waiting = 0
        self._hot: Counter[int] = Counter()
        self._promoted: Counter[int] = Counter()

    def see(self, rows: Columns) -> None:
        """Count the rows of a wake-up (`pid`, `vaddr`)."""
        keys = rows["pid"].astype(np.uint64) << np.uint64(_REGION_BITS)
        self._fresh.append(keys | rows["vaddr"] >> np.uint64(REGION_SHIFT))
        self._waiting += len(keys)
        if self._waiting > _ROWS:
            self._count()

    def asked(self, pids: npt.NDArray[np.int32], moved: BoolArray) -> None:
        """Count folios that kmigrated wanted moved, by whose they are."""
        for counter, which in ((self._hot, pids[pids > 0]), (self._promoted, pids[moved])):
            counter.update(_counted(which))
        if len(self._hot) > 2 * _KEPT:
            self._hot = Counter(dict(self._hot.most_common(_KEPT)))
            self._promoted = Counter({pid: self._promoted[pid] for pid in self._hot})

    def second(self) -> None:
        """Take in that a second has gone."""
        self._count()
        self._last.append(Counter())
        self._last_pids.append(Counter())
        if len(self._last) > WINDOW_S:
            self._regions -= self._last.popleft()
            self._accesses -= self._last_pids.popleft()

    def regions(self, count: int) -> Sequence[tuple[int, int, int]]:
        """(pid, start address, accesses) of the regions accessed most, most first."""
        self._count()
        mask = (1 << _REGION_BITS) - 1
        return [
            (key >> _REGION_BITS, (key & mask) << REGION_SHIFT, accesses)
            for key, accesses in self._regions.most_common(count)
        ]

    def processes(self, count: int) -> Sequence[tuple[int, int, Asked]]:
        """(pid, accesses, folios) of the processes with most accesses, most first."""
        self._count()
        accesses = self._accesses.copy()
        for pid, _hot in self._hot.most_common(count):
            accesses[pid] += 0
        return [
            (pid, number, Asked(self._hot[pid], self._promoted[pid]))
            for pid, number in accesses.most_common(count)
        ]

    def _count(self) -> None:
        """Count the rows that came since the last time."""
        if not self._fresh:
            return
        keys = np.concatenate(self._fresh)
        self._fresh, self._waiting = [], 0
        _add(_counted(keys >> np.uint64(_REGION_BITS)), self._last_pids[-1], self._accesses)
        _add(_counted(keys), self._last[-1], self._regions)
        if len(self._last[-1]) > 2 * _REGIONS:
            kept = Counter(dict(self._last[-1].most_common(_REGIONS)))
            self._regions -= self._last[-1] - kept
            self._last[-1] = kept


def _add(found: dict[int, int], *counters: Counter[int]) -> None:
    for counter in counters:
        counter.update(found)


def _counted(values: npt.NDArray[Any]) -> dict[int, int]:
    found, counts = np.unique(values, return_counts=True)
    return dict(zip(found.tolist(), counts.tolist(), strict=True))
