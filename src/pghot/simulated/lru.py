"""Active and inactive folios of a node, as first-in first-out queues."""

from __future__ import annotations

from math import isqrt

import numpy as np
import numpy.typing as npt

from pghot.engine.units import PAGE_SHIFT
from pghot.simulated.units import Units

GONE, ACTIVE, INACTIVE = range(3)


class _Queue:
    """Entries (unit, stamp) in arrays; the oldest come out first."""

    def __init__(self) -> None:
        self._parts: list[tuple[Units, npt.NDArray[np.int64]]] = []

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
                self._parts.pop(0)
            else:
                self._parts[0] = units[count:], stamps[count:]
            count -= len(taken[-1][0])
        empty = np.zeros(0, np.int64)
        return (
            np.concatenate([units for units, _ in taken] or [empty]),
            np.concatenate([stamps for _, stamps in taken] or [empty]),
        )


class Lru:
    """The two lists of one node (mm/vmscan.c).

    Entries are never taken out of the middle: each carries a stamp, and is void where the
    unit has had another one since.
    """

    def __init__(self, units: int) -> None:
        self._state: npt.NDArray[np.uint8] = np.zeros(units, np.uint8)
        self._stamp: npt.NDArray[np.int64] = np.zeros(units, np.int64)
        self._next = 1
        self.since: npt.NDArray[np.float64] = np.zeros(units)
        """When the accessed bit of each unit was last cleared, in seconds."""
        self._queues = {ACTIVE: _Queue(), INACTIVE: _Queue()}
        self.count = {ACTIVE: 0, INACTIVE: 0}

    @property
    def total(self) -> int:
        """Folios on both lists."""
        return sum(self.count.values())

    def add(self, units: Units, now: float) -> None:
        """Take in folios that have come to the node; they are active."""
        self.since[units] = now
        self._put(ACTIVE, units)

    def remove(self, units: Units) -> None:
        """Let go of folios that have left the node."""
        for state in (ACTIVE, INACTIVE):
            self.count[state] -= int(np.count_nonzero(self._state[units] == state))
        self._state[units] = GONE
        self._stamp[units] = 0

    def age(self, now: float, node_bytes: int) -> int:
        """Deactivate the oldest active folios until enough are inactive; give how many."""
        wanted = self.total // (1 + inactive_ratio(node_bytes))
        units = self._take(ACTIVE, wanted - self.count[INACTIVE])
        self.since[units] = now
        self._put(INACTIVE, units)
        return len(units)

    def tail(self, count: int) -> Units:
        """Take the folios that were inactive longest; the caller puts them somewhere."""
        return self._take(INACTIVE, count)

    def activate(self, units: Units) -> None:
        """Put folios that `tail` gave among the active ones."""
        self._put(ACTIVE, units)

    def _put(self, state: int, units: Units) -> None:
        stamps = np.arange(self._next, self._next + len(units))
        self._next += len(units)
        self._state[units] = state
        self._stamp[units] = stamps
        self.count[state] += len(units)
        self._queues[state].put(units, stamps)

    def _take(self, state: int, count: int) -> Units:
        taken = []
        while count > 0 and self.count[state] > 0:
            units, stamps = self._queues[state].take(count)
            units = units[self._stamp[units] == stamps]
            self.count[state] -= len(units)
            self._state[units] = GONE
            taken.append(units)
            count -= len(units)
        return np.concatenate(taken) if taken else np.zeros(0, np.int64)


def inactive_ratio(node_bytes: int) -> int:
    """Give how many active folios there are to an inactive one (inactive_is_low())."""
    gib = node_bytes >> 30
    return isqrt(10 * gib) if gib else 1


def pages_to_bytes(pages: int) -> int:
    """Give the bytes of so many pages."""
    return pages << PAGE_SHIFT
