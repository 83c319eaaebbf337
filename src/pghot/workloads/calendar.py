"""Which folios are due at which clock, given back in that order.

Folios due before a horizon are in a sorted run; those put in since, with clocks before it, in
a heap; all others in no order.  When the horizon is reached it moves on, past a small part
of the others, which are sorted: one heap of millions misses the caches at every level.

Folios that are taken out early leave their entry behind; it is known by a clock that is no
longer the folio's.
"""

from __future__ import annotations

import numpy as np

from pghot.workloads.calendar_entries import (
    Entries,
    drop_stale,
    forget,
    part,
    put_all,
    rebuild,
    take_due,
)
from pghot.workloads.stream import NEVER, Clocks, Folios, ProtNoneTouches

AT_A_TIME = 1 << 16
"""Folios taken in one call of the loop: what its output has room for."""

FEW = 4096
"""Entries that are sorted all at once."""

PARTS, SAMPLED = 32, 512
"""About one in 32 entries is sorted at a time, as 512 of them tell."""


class Calendar:
    """Folios, each at most once, with the clock it is due at."""

    def __init__(self, folios: int) -> None:
        self.due: Clocks = np.full(folios, NEVER)
        """Clock of each folio; NEVER where it is not in the calendar."""
        self._horizon = 0.0
        self._heap = _room_for(FEW)
        self._far = _room_for(FEW)
        self._run = _room_for(0)
        self._in_heap = self._in_far = self._taken = 0
        self._live = 0
        self._out = _room_for(AT_A_TIME)

    def __len__(self) -> int:
        return self._live

    def put(self, folios: Folios, dues: Clocks) -> None:
        """Put folios in; those that are in already stay as they are, those due NEVER stay out."""
        self._make_room(len(folios))
        before = self._in_heap + self._in_far
        self._in_heap, self._in_far = put_all(
            self._heap,
            self._far,
            self._in_heap,
            self._in_far,
            self._horizon,
            self.due,
            Entries(dues, folios),
        )
        self._live += self._in_heap + self._in_far - before

    def remove(self, folios: Folios) -> None:
        """Take folios out, of which some may not be in."""
        self._live -= forget(self.due, folios)

    def clear(self) -> None:
        """Take all folios out."""
        self.due.fill(NEVER)
        self._live = self._in_heap = self._in_far = 0
        self._taken = len(self._run.folios)

    def take(self, end: float) -> ProtNoneTouches:
        """Take out the folios due at `end` or before, in the order of their clocks."""
        pieces = [self._take_some(end)]
        while len(pieces[-1].folios) == AT_A_TIME or (self._horizon < end and self._in_far):
            if len(pieces[-1].folios) < AT_A_TIME:
                self._move_horizon(end)
            pieces.append(self._take_some(end))
        if len(pieces) == 1:
            return pieces[0]
        folios, clocks = (np.concatenate(column) for column in zip(*pieces, strict=True))
        return ProtNoneTouches(folios, clocks)

    def _take_some(self, end: float) -> ProtNoneTouches:
        self._in_heap, self._taken, found = take_due(
            self._heap, self._run, self._in_heap, self._taken, self.due, end, self._out
        )
        self._live -= found
        return ProtNoneTouches(self._out.folios[:found].copy(), self._out.clocks[:found].copy())

    def _move_horizon(self, end: float) -> None:
        """Sort what is due by `end`, and some more; the run has been taken to its end."""
        clocks = self._far.clocks[: self._in_far]
        if len(clocks) <= FEW:
            near = float(clocks.max())
        else:
            some = np.sort(clocks[:: max(len(clocks) // SAMPLED, 1)])
            near = float(some[len(some) // PARTS])
        self._horizon = max(near, end)
        run = _room_for(len(clocks))
        self._in_far, found = part(self._far, self._in_far, self._horizon, run)
        order = np.argsort(run.clocks[:found])
        self._run = Entries(run.clocks[order], run.folios[order])
        self._taken = 0

    def _make_room(self, more: int) -> None:
        room = len(self._far.folios)
        if self._in_heap + self._in_far + more <= room:
            return
        self._in_heap = rebuild(self._heap, self._in_heap, self.due)
        self._in_far = drop_stale(self._far, self._in_far, self.due)
        needed = self._in_heap + self._in_far + more
        if needed > room // 2:
            self._heap = _longer(self._heap, 2 * needed)
            self._far = _longer(self._far, 2 * needed)


def _room_for(entries: int) -> Entries:
    return Entries(np.empty(entries), np.empty(entries, np.int64))


def _longer(entries: Entries, room: int) -> Entries:
    """The entries in arrays with more room; what is not filled takes no memory yet."""
    longer = _room_for(room)
    longer.clocks[: len(entries.clocks)] = entries.clocks
    longer.folios[: len(entries.folios)] = entries.folios
    return longer
