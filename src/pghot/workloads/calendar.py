"""Which units are due at which clock, given back in that order.

Units due before a horizon are in a sorted run; those put in since, with clocks before it, in
a heap; all others in no order.  When the horizon is reached it moves on, past a small part
of the others, which are sorted: one heap of millions misses the caches at every level.

Units that are taken out early leave their entry behind; it is known by a clock that is no
longer the unit's.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from pghot.engine.jit import compiled, prefetch
from pghot.workloads.stream import NEVER, Clocks, Touched, Units

AT_A_TIME = 1 << 16
"""Units taken in one call of the loop: what its output has room for."""

AHEAD = 16
"""Entries of the run between the one being taken and the one whose clock is asked for."""

FEW = 4096
"""Entries that are sorted all at once."""

PARTS, SAMPLED = 32, 512
"""About one in 32 entries is sorted at a time, as 512 of them tell."""


class Calendar:
    """Units, each at most once, with the clock it is due at."""

    def __init__(self, units: int) -> None:
        self.due: Clocks = np.full(units, NEVER)
        """Clock of each unit; NEVER where it is not in the calendar."""
        self._horizon = 0.0
        self._heap = np.empty(FEW), np.empty(FEW, np.int64)
        self._far = np.empty(FEW), np.empty(FEW, np.int64)
        self._run = np.empty(0), np.empty(0, np.int64)
        self._in_heap = self._in_far = self._taken = 0
        self._live = 0
        self._out = np.empty(AT_A_TIME), np.empty(AT_A_TIME, np.int64)

    def __len__(self) -> int:
        return self._live

    def put(self, units: Units, dues: Clocks) -> None:
        """Put units in; those that are in already stay as they are, those due NEVER stay out."""
        self._make_room(len(units))
        before = self._in_heap + self._in_far
        counts = self._in_heap, self._in_far, self._horizon
        self._in_heap, self._in_far = put_all(
            *self._heap, *self._far, *counts, self.due, units, dues
        )
        self._live += self._in_heap + self._in_far - before

    def remove(self, units: Units) -> None:
        """Take units out, of which some may not be in."""
        self._live -= forget(self.due, units)

    def clear(self) -> None:
        """Take all units out."""
        self.due.fill(NEVER)
        self._live = self._in_heap = self._in_far = 0
        self._taken = len(self._run[0])

    def take(self, end: float) -> Touched:
        """Take out the units due at `end` or before, in the order of their clocks."""
        pieces = [self._take_some(end)]
        while len(pieces[-1].units) == AT_A_TIME or (self._horizon < end and self._in_far):
            if len(pieces[-1].units) < AT_A_TIME:
                self._move_horizon(end)
            pieces.append(self._take_some(end))
        if len(pieces) == 1:
            return pieces[0]
        units, clocks = (np.concatenate(column) for column in zip(*pieces, strict=True))
        return Touched(units, clocks)

    def _take_some(self, end: float) -> Touched:
        clocks, units = self._out
        counts = self._in_heap, self._taken
        self._in_heap, self._taken, found = take_due(
            *self._heap, *self._run, *counts, self.due, end, clocks, units
        )
        self._live -= found
        return Touched(units[:found].copy(), clocks[:found].copy())

    def _move_horizon(self, end: float) -> None:
        """Sort what is due by `end`, and some more; the run has been taken to its end."""
        clocks = self._far[0][: self._in_far]
        if len(clocks) <= FEW:
            near = float(clocks.max())
        else:
            some = np.sort(clocks[:: max(len(clocks) // SAMPLED, 1)])
            near = float(some[len(some) // PARTS])
        self._horizon = max(near, end)
        run = np.empty(len(clocks)), np.empty(len(clocks), np.int64)
        self._in_far, found = part(*self._far, self._in_far, self._horizon, *run)
        order = np.argsort(run[0][:found])
        self._run = run[0][order], run[1][order]
        self._taken = 0

    def _make_room(self, more: int) -> None:
        room = len(self._far[0])
        if self._in_heap + self._in_far + more <= room:
            return
        self._in_heap = rebuild(*self._heap, self._in_heap, self.due)
        self._in_far = drop_stale(*self._far, self._in_far, self.due)
        needed = self._in_heap + self._in_far + more
        if needed > room // 2:
            self._heap = _longer(self._heap, 2 * needed)
            self._far = _longer(self._far, 2 * needed)


_Entries = tuple[Clocks, npt.NDArray[np.int64]]


def _longer(entries: _Entries, room: int) -> _Entries:
    """Give the entries in arrays with more room; what is not filled takes no memory yet."""
    clocks, units = np.empty(room), np.empty(room, np.int64)
    clocks[: len(entries[0])], units[: len(entries[1])] = entries
    return clocks, units


@compiled
def rise(keys: Any, heap: Any, at: int, clock: float, unit: int) -> None:
    """Put an entry at the free place `at`, or as far above it as it has to go."""
    while at > 0:
        above = (at - 1) >> 2
        if clock >= keys[above]:
            break
        keys[at], heap[at] = keys[above], heap[above]
        at = above
    keys[at], heap[at] = clock, unit


@compiled
def first_child(keys: Any, held: int, at: int) -> Any:
    """Give the place of the earliest of up to four children; `held` where there is none."""
    first = 4 * at + 1
    if first + 4 <= held:  # no branch on what none could foretell
        one = first + (keys[first + 1] < keys[first])
        other = first + 2 + (keys[first + 3] < keys[first + 2])
        return one if keys[one] <= keys[other] else other
    best = min(first, held)
    for child in range(first + 1, held):
        if keys[child] < keys[best]:
            best = child
    return best


@compiled
def replace_first(keys: Any, heap: Any, held: int, clock: float, unit: int) -> None:
    """Take the first entry out and put another in: down to the leaves, then up.

    The other comes from the leaves, so it seldom rises far.
    """
    at = 0
    child = first_child(keys, held, at)
    while child < held:
        keys[at], heap[at] = keys[child], heap[child]
        at = child
        child = first_child(keys, held, at)
    rise(keys, heap, at, clock, unit)


@compiled
def put_all(
    keys: Any,
    heap: Any,
    far_keys: Any,
    far: Any,
    in_heap: int,
    in_far: int,
    horizon: float,
    due: Any,
    units: Any,
    dues: Any,
) -> Any:
    """Add units that are not in `due` yet; give the numbers of entries (heap, far)."""
    for i in range(len(units)):
        unit, clock = units[i], dues[i]
        if due[unit] < NEVER or clock == NEVER:
            continue
        due[unit] = clock
        if clock <= horizon:
            rise(keys, heap, in_heap, clock, unit)
            in_heap += 1
        else:
            far_keys[in_far], far[in_far] = clock, unit
            in_far += 1
    return in_heap, in_far


@compiled
def part(far_keys: Any, far: Any, in_far: int, horizon: float, near_keys: Any, near: Any) -> Any:
    """Move what is due by the horizon out of `far`; give the numbers of entries (far, near)."""
    left = found = 0
    for i in range(in_far):  # both are written to, so that no branch is foretold wrongly
        clock, unit = far_keys[i], far[i]
        near_keys[found], near[found] = clock, unit
        far_keys[left], far[left] = clock, unit
        is_near = clock <= horizon
        found += is_near
        left += not is_near
    return left, found


@compiled
def drop_stale(far_keys: Any, far: Any, in_far: int, due: Any) -> Any:
    """Leave entries of no use out; give how many there are then."""
    kept = 0
    for i in range(in_far):
        if due[far[i]] == far_keys[i]:
            far_keys[kept], far[kept] = far_keys[i], far[i]
            kept += 1
    return kept


@compiled
def take_due(
    keys: Any,
    heap: Any,
    run_keys: Any,
    run: Any,
    in_heap: int,
    taken: int,
    due: Any,
    end: float,
    clocks: Any,
    units: Any,
) -> Any:
    """Take entries up to `end` until `units` is full; give (heap entries left, run, units)."""
    found = 0
    while found < len(units):
        next_run = run_keys[taken] if taken < len(run) else NEVER
        next_heap = keys[0] if in_heap else NEVER
        clock = min(next_run, next_heap)
        if clock > end or clock == NEVER:
            break
        if next_run <= next_heap:
            unit = run[taken]
            taken += 1
            if taken + AHEAD < len(run):
                prefetch(due, np.uint64(run[taken + AHEAD]))
        else:
            unit = heap[0]
            in_heap -= 1
            if in_heap:
                replace_first(keys, heap, in_heap, keys[in_heap], heap[in_heap])
        if due[unit] == clock:
            due[unit] = NEVER
            clocks[found], units[found] = clock, unit
            found += 1
    return in_heap, taken, found


@compiled
def forget(due: Any, units: Any) -> Any:
    """Have units due never; give how many were due."""
    removed = 0
    for i in range(len(units)):
        if due[units[i]] < NEVER:
            due[units[i]] = NEVER
            removed += 1
    return removed


@compiled
def rebuild(keys: Any, heap: Any, held: int, due: Any) -> Any:
    """Leave entries of no use out of the heap; give how many there are then."""
    kept = 0
    for i in range(held):
        if due[heap[i]] == keys[i]:
            rise(keys, heap, kept, keys[i], heap[i])
            kept += 1
    return kept
