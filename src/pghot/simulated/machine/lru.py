"""Active and inactive folios of a node, as first-in first-out queues; sizes in pages."""

from __future__ import annotations

from collections import deque
from math import isqrt

import numpy as np
import numpy.typing as npt

from pghot.engine.units import PAGE_SHIFT
from pghot.simulated.machine.folios import Units

GONE, ACTIVE, INACTIVE = range(3)


class _Queue:
    """Entries (unit, stamp) in arrays; the oldest come out first."""

    def __init__(self) -> None:
        self._parts: deque[tuple[Units, npt.NDArray[np.int64]]] = deque()

    def put(self, units: Units, stamps: npt.NDArray[np.int64]) -> None:
        if len(units):
            self._parts.append((units, stamps))

    def take(self, count: int) -> tuple[Units, npt.NDArray[np.int64]]:
        """Take up to `count` entries."""
        taken = []
        while self._parts and count > 0:
            units, stamps = self._parts[0]
            taken.append((units[:count], stamps[:count]))
            if len(units) <= count:
                self._parts.popleft()
            else:
                self._parts[0] = units[count:], stamps[count:]
            count -= len(taken[-1][0])
        empty = np.zeros(0, np.int64)
        return (
            np.concatenate([units for units, _ in taken] or [empty]),
            np.concatenate([stamps for _, stamps in taken] or [empty]),
        )

    def put_back(self, units: Units, stamps: npt.NDArray[np.int64]) -> None:
        """Put entries where `take` took them."""
        if len(units):
            self._parts.appendleft((units, stamps))


class LruLists:
    """The two lists of one node (mm/vmscan.c).

    Entries are never taken out of the middle: each carries a stamp, and is void where the
    unit has had another one since.
    """

    def __init__(self, pages: npt.NDArray[np.int32]) -> None:
        """`pages` of every unit of the machine."""
        units = len(pages)
        self._pages = pages
        self._state: npt.NDArray[np.uint8] = np.zeros(units, np.uint8)
        self._stamp: npt.NDArray[np.int64] = np.zeros(units, np.int64)
        self._next = 1
        self.since: npt.NDArray[np.float64] = np.zeros(units)
        """When the accessed bit of each unit was last cleared, in seconds."""
        self._queues = {ACTIVE: _Queue(), INACTIVE: _Queue()}
        self.count = {ACTIVE: 0, INACTIVE: 0}

    @property
    def total(self) -> int:
        """Pages on both lists."""
        return sum(self.count.values())

    def add(self, units: Units, now: float) -> None:
        """Take in folios that have come to the node; they are active."""
        self.since[units] = now
        self._put(ACTIVE, units)

    def remove(self, units: Units) -> None:
        """Let go of folios that have left the node."""
        for state in (ACTIVE, INACTIVE):
            self.count[state] -= int(self._pages[units[self._state[units] == state]].sum())
        self._state[units] = GONE
        self._stamp[units] = 0

    def age(self, now: float) -> int:
        """Deactivate the oldest active folios until enough are inactive; how many."""
        wanted = self.total // (1 + inactive_ratio(self.total))
        units = self._take(ACTIVE, wanted - self.count[INACTIVE])
        self.since[units] = now
        self._put(INACTIVE, units)
        return len(units)

    def tail(self, pages: int) -> Units:
        """Take the folios that were inactive longest; the caller puts them somewhere."""
        return self._take(INACTIVE, pages)

    def untail(self, units: Units) -> None:
        """Put folios that `tail` gave last back where they were."""
        self._put(INACTIVE, units, first=True)

    def activate(self, units: Units) -> None:
        """Put folios that `tail` gave among the active ones."""
        self._put(ACTIVE, units)

    def _put(self, state: int, units: Units, *, first: bool = False) -> None:
        stamps = np.arange(self._next, self._next + len(units))
        self._next += len(units)
        self._state[units] = state
        self._stamp[units] = stamps
        self.count[state] += int(self._pages[units].sum())
        queue = self._queues[state]
        (queue.put_back if first else queue.put)(units, stamps)

    def _take(self, state: int, pages: int) -> Units:
        """Take the oldest folios that make up `pages`, the last of them whole."""
        taken = []
        while pages > 0 and self.count[state] > 0:
            units, stamps = self._queues[state].take(pages)
            valid = self._stamp[units] == stamps
            units, stamps = units[valid], stamps[valid]
            sizes = self._pages[units]
            before = np.cumsum(sizes) - sizes
            enough = int(np.searchsorted(before, pages))
            self._queues[state].put_back(units[enough:], stamps[enough:])
            units = units[:enough]
            size = int(sizes[:enough].sum())
            self.count[state] -= size
            self._state[units] = GONE
            taken.append(units)
            pages -= size
        return np.concatenate(taken) if taken else np.zeros(0, np.int64)


def inactive_ratio(pages: int) -> int:
    """How many active pages there are to an inactive one (inactive_is_low())."""
    gib = pages << PAGE_SHIFT >> 30
    return isqrt(10 * gib) if gib else 1
