"""Active and inactive folios of a node, as first-in first-out queues; sizes in pages."""

from __future__ import annotations

from collections import deque
from math import isqrt

import numpy as np
import numpy.typing as npt

from pghot.engine.units import PAGE_SHIFT
from pghot.simulated.machine.folios import Folios

GONE, ACTIVE, INACTIVE = range(3)


class _Queue:
    """Entries (folio, stamp) in arrays; the oldest come out first."""

    def __init__(self) -> None:
        self._parts: deque[tuple[Folios, npt.NDArray[np.int64]]] = deque()

    def put(self, folios: Folios, stamps: npt.NDArray[np.int64]) -> None:
        if len(folios):
            self._parts.append((folios, stamps))

    def take(self, count: int) -> tuple[Folios, npt.NDArray[np.int64]]:
        """Take up to `count` entries."""
        taken = []
        while self._parts and count > 0:
            folios, stamps = self._parts[0]
            taken.append((folios[:count], stamps[:count]))
            if len(folios) <= count:
                self._parts.popleft()
            else:
                self._parts[0] = folios[count:], stamps[count:]
            count -= len(taken[-1][0])
        empty = np.zeros(0, np.int64)
        return (
            np.concatenate([folios for folios, _ in taken] or [empty]),
            np.concatenate([stamps for _, stamps in taken] or [empty]),
        )

    def put_back(self, folios: Folios, stamps: npt.NDArray[np.int64]) -> None:
        """Put entries where `take` took them."""
        if len(folios):
            self._parts.appendleft((folios, stamps))


class LruLists:
    """The two lists of one node (mm/vmscan.c).

    Entries are never taken out of the middle: each carries a stamp, and is void where the
    folio has had another one since.
    """

    def __init__(self, pages: npt.NDArray[np.int32]) -> None:
        """`pages` of every folio of the machine."""
        folios = len(pages)
        self._pages = pages
        self._state: npt.NDArray[np.uint8] = np.zeros(folios, np.uint8)
        self._stamp: npt.NDArray[np.int64] = np.zeros(folios, np.int64)
        self._next = 1
        self.since: npt.NDArray[np.float64] = np.zeros(folios)
        """When the accessed bit of each folio was last cleared, in seconds."""
        self._queues = {ACTIVE: _Queue(), INACTIVE: _Queue()}
        self.count = {ACTIVE: 0, INACTIVE: 0}

    @property
    def total(self) -> int:
        """Pages on both lists."""
        return sum(self.count.values())

    def add(self, folios: Folios, now: float) -> None:
        """Take in folios that have come to the node; they are active."""
        self.since[folios] = now
        self._put(ACTIVE, folios)

    def remove(self, folios: Folios) -> None:
        """Let go of folios that have left the node."""
        for state in (ACTIVE, INACTIVE):
            self.count[state] -= int(self._pages[folios[self._state[folios] == state]].sum())
        self._state[folios] = GONE
        self._stamp[folios] = 0

    def age(self, now: float) -> int:
        """Deactivate the oldest active folios until enough are inactive; how many."""
        wanted = self.total // (1 + inactive_ratio(self.total))
        folios = self._take(ACTIVE, wanted - self.count[INACTIVE])
        self.since[folios] = now
        self._put(INACTIVE, folios)
        return len(folios)

    def tail(self, pages: int) -> Folios:
        """Take the folios that were inactive longest; the caller puts them somewhere."""
        return self._take(INACTIVE, pages)

    def untail(self, folios: Folios) -> None:
        """Put folios that `tail` gave last back where they were."""
        self._put(INACTIVE, folios, first=True)

    def activate(self, folios: Folios) -> None:
        """Put folios that `tail` gave among the active ones."""
        self._put(ACTIVE, folios)

    def _put(self, state: int, folios: Folios, *, first: bool = False) -> None:
        stamps = np.arange(self._next, self._next + len(folios))
        self._next += len(folios)
        self._state[folios] = state
        self._stamp[folios] = stamps
        self.count[state] += int(self._pages[folios].sum())
        queue = self._queues[state]
        (queue.put_back if first else queue.put)(folios, stamps)

    def _take(self, state: int, pages: int) -> Folios:
        """Take the oldest folios that make up `pages`, the last of them whole."""
        taken = []
        while pages > 0 and self.count[state] > 0:
            folios, stamps = self._queues[state].take(pages)
            valid = self._stamp[folios] == stamps
            folios, stamps = folios[valid], stamps[valid]
            sizes = self._pages[folios]
            before = np.cumsum(sizes) - sizes
            enough = int(np.searchsorted(before, pages))
            self._queues[state].put_back(folios[enough:], stamps[enough:])
            folios = folios[:enough]
            size = int(sizes[:enough].sum())
            self.count[state] -= size
            self._state[folios] = GONE
            taken.append(folios)
            pages -= size
        return np.concatenate(taken) if taken else np.zeros(0, np.int64)


def inactive_ratio(pages: int) -> int:
    """How many active pages there are to an inactive one (inactive_is_low())."""
    gib = pages << PAGE_SHIFT >> 30
    return isqrt(10 * gib) if gib else 1
