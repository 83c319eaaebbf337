"""A recorded access log as a stream: its rows in order, each one access."""

from __future__ import annotations

from math import ceil, floor
from typing import Any

import numpy as np
import numpy.typing as npt

from pghot.engine.jit import compiled
from pghot.workloads.log_rows import LogRows, Window
from pghot.workloads.stream import NEVER, Clocks, Nids, Touched, Units

_MARK = 1
"""Lowest bit of a unit's state: marked; above it the number of its last access."""


class LoggedStream:
    """Row k, counted from 1, takes the clock from k - 1 to k and happens at k.

    Times, nodes and weights of the rows are not used: how fast accesses follow each other
    is the machine's to say.  A stream that `wraps` begins anew after the last row; one that
    does not has no access after `end_clock`, and goes on as if at its last row.
    """

    def __init__(self, rows: LogRows, units: int, *, wraps: bool = True) -> None:
        self.units = units
        self.end_clock = NEVER if wraps else float(rows.rows)
        self._share = rows.counts / rows.rows
        self._window = Window(rows, wraps=wraps)
        self._nid: Nids = np.zeros(units, np.int16)
        self._nodes = 1
        self._state = np.zeros(units, np.int64)
        self._marks = 0
        self._noted = 0
        self._touched: list[Touched] = []

    def place(self, nid: Nids) -> None:
        """Take note of the node of every unit (`Stream`)."""
        self._nid = nid.astype(np.int16)
        self._nodes = int(nid.max()) + 1

    def moved(self, units: Units, from_nid: Nids, to_nid: int) -> None:  # noqa: ARG002
        """Take note that units are on `to_nid` now (`Stream`)."""
        self._nid[units] = to_nid
        self._nodes = max(self._nodes, to_nid + 1)

    def shares(self, start: float, end: float) -> npt.NDArray[np.float64]:
        """Count the rows in (start, end], a row under way by its part.

        Where `end` is `start`, the share is that of the next row (`Stream`).
        """
        end = min(end, self.end_clock)
        start = min(start, max(end - 1, 0)) if start >= self.end_clock else start
        first = floor(start)
        last = max(ceil(end), first + 1)
        rows = self._window.between(first + 1, last)
        spent = count(rows, self._nid, self._nodes)
        if last == first + 1:
            return spent
        spent[self._nid[rows[0]]] -= start - first
        spent[self._nid[rows[-1]]] -= last - end
        return spent / (end - start)

    def mark(self, units: Units, clock: float) -> None:
        """Have the next access of each unit after `clock` noticed (`Stream`)."""
        self._note(floor(clock))
        self._marks += set_marks(self._state, units)

    def unmark(self, units: Units) -> None:
        """Notice the next access of these no longer (`Stream`)."""
        self._marks -= clear_marks(self._state, units)

    def advance(self, start: float, end: float) -> Touched:
        """Give the marked units that the rows up to `end` take (`Stream`)."""
        self._window.forget(min(floor(start), self._noted))
        self._note(floor(end))
        units, clocks = (np.concatenate(column) for column in zip(*self._touched, strict=True))
        self._touched.clear()
        return Touched(units, clocks)

    def _note(self, last: int) -> None:
        """Go through the rows up to `last` that have not been gone through."""
        rows = self._window.between(self._noted + 1, last)
        room = min(self._marks, len(rows))
        touched = Touched(np.empty(room, np.int64), np.empty(room))
        found = go_through(rows, self._noted, self._state, touched.units, touched.clocks)
        self._noted += len(rows)
        self._marks -= found
        self._touched.append(Touched(touched.units[:found], touched.clocks[:found]))

    def draw(self, clocks: Clocks) -> Units:
        """Give the unit of the row that takes each clock (`Stream`)."""
        number = np.ceil(np.clip(clocks, 1, self.end_clock)).astype(np.int64)
        if not len(number):
            return number
        first = int(number.min())
        rows = self._window.between(first, int(number.max()))
        return rows[number - first].astype(np.int64)

    def seen(self, units: Units, since: Clocks, clock: float) -> npt.NDArray[np.bool_]:
        """Tell which units had a row after `since`, up to `clock` (`Stream`)."""
        self._note(floor(clock))
        return (self._state[units] >> _MARK) > since

    def weights(self) -> npt.NDArray[np.float64]:
        """Give the share of each unit in the whole log (`Stream`)."""
        return self._share.copy()

    def next_change(self) -> float:
        """Give NEVER: a log is one phase (`Stream`)."""
        return NEVER

    def change(self, clock: float) -> None:
        """Do nothing: there is one phase (`Stream`)."""


@compiled
def count(rows: Any, nid: Any, nodes: int) -> Any:
    """Count rows by the node of their unit, two at a time: a count waits for the one before."""
    counts = np.zeros((2, nodes), np.int64)
    even = len(rows) - len(rows) % 2
    for i in range(0, even, 2):
        counts[0, nid[rows[i]]] += 1
        counts[1, nid[rows[i + 1]]] += 1
    for i in range(even, len(rows)):
        counts[0, nid[rows[i]]] += 1
    return counts.sum(axis=0).astype(np.float64)


@compiled
def go_through(rows: Any, before: int, state: Any, units: Any, clocks: Any) -> Any:
    """Note each row as its unit's last, take marks off; give how many units were marked.

    `before` is the number of the row before the first.
    """
    found = 0
    for i in range(len(rows)):
        unit = rows[i]
        number = before + i + 1
        if state[unit] & _MARK:
            units[found], clocks[found] = unit, number
            found += 1
        state[unit] = number << _MARK
    return found


@compiled
def set_marks(state: Any, units: Any) -> Any:
    """Mark units; give how many were not marked yet."""
    fresh = 0
    for i in range(len(units)):
        fresh += 1 - (state[units[i]] & _MARK)
        state[units[i]] |= _MARK
    return fresh


@compiled
def clear_marks(state: Any, units: Any) -> Any:
    """Take marks off; give how many there were."""
    taken = 0
    for i in range(len(units)):
        taken += state[units[i]] & _MARK
        state[units[i]] &= ~_MARK
    return taken
