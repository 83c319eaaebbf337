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


class Asked(NamedTuple):
    """Folios of a process that were hot and admitted, and those of them that moved."""

    hot: int
    promoted: int


class Tally:
    """Counts accesses by process and region, hot and moved folios by process.

    Rows are kept as they come and counted once a second.  Memory goes with the rows of a
    second and the regions that were accessed in the window.
    """

    def __init__(self) -> None:
        self._fresh: list[U64Array] = []
        self._last: deque[Counter[int]] = deque([Counter()])
        self._regions: Counter[int] = Counter()
        self._hot: Counter[int] = Counter()
        self._promoted: Counter[int] = Counter()

    def see(self, rows: Columns) -> None:
        """Count the rows of a wake-up (`pid`, `vaddr`)."""
        keys = rows["pid"].astype(np.uint64) << np.uint64(_REGION_BITS)
        self._fresh.append(keys | rows["vaddr"] >> np.uint64(REGION_SHIFT))

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
        if len(self._last) > WINDOW_S:
            self._regions -= self._last.popleft()

    def regions(self, count: int) -> Sequence[tuple[int, int, int]]:
        """Give (pid, start address, accesses) of the regions accessed most, most first."""
        self._count()
        mask = (1 << _REGION_BITS) - 1
        return [
            (key >> _REGION_BITS, (key & mask) << REGION_SHIFT, accesses)
            for key, accesses in self._regions.most_common(count)
        ]

    def processes(self, count: int) -> Sequence[tuple[int, int, Asked]]:
        """Give (pid, accesses, folios) of the processes with most accesses, most first."""
        self._count()
        accesses: Counter[int] = Counter()
        for key, number in self._regions.items():
            accesses[key >> _REGION_BITS] += number
        for pid, _hot in self._hot.most_common(count):
            accesses[pid] += 0
        return [
            (pid, number, Asked(self._hot[pid], self._promoted[pid]))
            for pid, number in accesses.most_common(count)
        ]

    def _count(self) -> None:
        """Count the rows that came since the last time."""
        if self._fresh:
            found = _counted(np.concatenate(self._fresh))
            self._fresh = []
            self._last[-1].update(found)
            self._regions.update(found)


def _counted(values: npt.NDArray[Any]) -> dict[int, int]:
    found, counts = np.unique(values, return_counts=True)
    return dict(zip(found.tolist(), counts.tolist(), strict=True))
