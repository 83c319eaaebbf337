"""Streams that go round: sequential scans and pointer chases, exact to the access."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pghot.workloads.calendar import Calendar
from pghot.workloads.nodes import NodeCounts
from pghot.workloads.stream import NEVER, Clocks, MarkedTouches, Nids, Units


class CyclicStream:
    """Each unit in turn, `accesses_per_unit` accesses in a row, and from the first again.

    Access number k, counted from 1, takes the clock from k - 1 to k and happens at k.
    `order` gives the units in turn (a permutation); None goes by their numbers.
    """

    end_clock = NEVER

    def __init__(self, units: int, accesses_per_unit: int = 1, order: Units | None = None) -> None:
        self.units = units
        self._run = accesses_per_unit
        self._lap = units * accesses_per_unit
        self._order = order
        self._turn: Units | None = None
        if order is not None:
            self._turn = np.empty_like(order)
            self._turn[order] = np.arange(units)
        self._nodes = NodeCounts(units)
        self._calendar = Calendar(units)

    def place(self, nid: Nids) -> None:
        """Take note of the node of every unit (`Stream`)."""
        self._nodes.place(nid if self._order is None else nid[self._order])

    def moved(self, units: Units, from_nid: Nids, to_nid: int) -> None:  # noqa: ARG002
        """Take note that units are on `to_nid` now (`Stream`)."""
        self._nodes.moved(self._turn_of(units), to_nid)

    def _turn_of(self, units: Units) -> Units:
        return units if self._turn is None else self._turn[units]

    def shares(self, start: float, end: float) -> npt.NDArray[np.float64]:
        """Count exactly what is accessed in (start, end], an access under way by its part.

        Where `end` is `start`, the share is that of the next access (`Stream`).
        """
        first, last = int(start // self._run), int(end // self._run)
        spent = np.zeros(len(self._nodes.total))
        if first == last:
            spent[self._nodes.at(first % self.units)] = 1
            return spent
        spent += self._run * self._nodes.between(first + 1, last)
        spent[self._nodes.at(first % self.units)] += (first + 1) * self._run - start
        spent[self._nodes.at(last % self.units)] += end - last * self._run
        return spent / (end - start)

    def mark(self, units: Units, clock: float) -> None:
        """Have the next access of each unit after `clock` noticed (`Stream`)."""
        self._calendar.put(units, self._next(units, clock))

    def _next(self, units: Units, clocks: Clocks | float) -> Clocks:
        """The clock of the first access of each unit after a clock."""
        at = np.floor(clocks).astype(np.int64)  # accesses made; the next has this number
        in_lap = at % self._lap
        first = self._turn_of(units) * self._run
        ahead = first - in_lap
        ahead = np.where(ahead >= 0, ahead, np.where(ahead > -self._run, 0, ahead + self._lap))
        next_clock: Clocks = (at + ahead + 1).astype(np.float64)
        return next_clock

    def unmark(self, units: Units) -> None:
        """Notice the next access of these no longer (`Stream`)."""
        self._calendar.remove(units)

    def advance(self, _start: float, end: float) -> MarkedTouches:
        """The marked units whose turn comes by `end` (`Stream`)."""
        return self._calendar.take(end)

    def draw(self, clocks: Clocks) -> Units:
        """The unit whose access takes each clock (`Stream`)."""
        number = np.maximum(np.ceil(clocks).astype(np.int64) - 1, 0)
        turn = number // self._run % self.units
        return turn if self._order is None else self._order[turn]

    def seen(self, units: Units, since: Clocks, clock: float) -> npt.NDArray[np.bool_]:
        """Which units had an access after `since`, up to `clock` (`Stream`)."""
        return self._next(units, since) <= clock

    def weights(self) -> npt.NDArray[np.float64]:
        """The share of each unit in a whole round: all the same (`Stream`)."""
        return np.full(self.units, 1 / self.units)

    def next_change(self) -> float:
        """NEVER: all rounds are alike (`Stream`)."""
        return NEVER

    def change(self, clock: float) -> None:
        """Do nothing: there is one phase (`Stream`)."""


def sequential(units: int, accesses_per_unit: int = 64) -> CyclicStream:
    """Scan the units in order; by default a 4 KiB page cache line by cache line."""
    return CyclicStream(units, accesses_per_unit)


def pointer_chase(units: int, rng: np.random.Generator) -> CyclicStream:
    """Follow pointers through all units, one access each: a random permutation of one cycle."""
    return CyclicStream(units, order=rng.permutation(units))
