"""Random streams: each access takes a folio by its weight, whatever came before."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pghot.workloads.calendar import Calendar
from pghot.workloads.stream import NEVER, Clocks, Folios, Nids, ProtNoneTouches
from pghot.workloads.table import Phase, Weights, WeightTable


class _Past(NamedTuple):
    start: float
    end: float
    table: WeightTable
    shift: int


class _Scanned:
    """Folios that are prot_none; made when the first is, for many never are."""

    def __init__(self, folios: int) -> None:
        self.calendar = Calendar(folios)
        self.prot_none_at = np.full(folios, NEVER)
        """Clock at which each was made prot_none; NEVER where it is not."""
        self.touched_at = np.full(folios, -NEVER)
        """Clock at which it was last noticed."""


class RandomStream:
    """Independent accesses, by weights that stay the same for a phase.

    Accesses to a folio of weight w are a Poisson process of rate w in the clock, so its next
    access after any clock is Exp(1) / w away, and it was accessed in a span of d with
    probability 1 - exp(-w d).  What is known of a folio counts: one that is prot_none and was
    not touched was not accessed since, one that was touched was.  Draws are independent of
    that.

    `phases`, of which an endless iterator is one, follow each other; the last never ends.
    """

    end_clock = NEVER

    def __init__(
        self, phases: Iterable[Phase] | WeightTable | Weights, rng: np.random.Generator
    ) -> None:
        if isinstance(phases, np.ndarray):
            phases = WeightTable(phases)
        if isinstance(phases, WeightTable):
            phases = [Phase(NEVER, phases)]
        self._rng = rng
        self._to_come = iter(phases)
        self._past: list[_Past] = []
        self._phase_start = 0.0
        self._phase = next(self._to_come)
        self._next: Phase | None = next(self._to_come, None)
        self._weight = self._phase.table.by_folio(self._phase.shift)
        self.folios = len(self._weight)
        self._nid: Nids = np.zeros(self.folios, np.int16)
        self._by_node: npt.NDArray[np.float64] = np.ones(1)
        self._scanned: _Scanned | None = None

    def place(self, nid: Nids) -> None:
        """Take note of the node of every folio (`Stream`)."""
        self._nid = nid.astype(np.int16)
        self._add_up()

    def _add_up(self) -> None:
        summed: Any = np.bincount(self._nid, self._weight, len(self._by_node))
        self._by_node = summed

    def moved(self, folios: Folios, from_nid: Nids, to_nid: int) -> None:
        """Take note that folios, each named once, are on `to_nid` now (`Stream`)."""
        weight = self._weight[folios]
        taken = np.bincount(from_nid, weight, max(to_nid + 1, len(self._by_node)))
        self._by_node = np.append(self._by_node, np.zeros(len(taken) - len(self._by_node)))
        self._by_node -= taken
        self._by_node[to_nid] += weight.sum()
        self._nid[folios] = to_nid

    def shares(self, _start: float, _end: float) -> npt.NDArray[np.float64]:
        """The weights by node, exact multiples of `table.QUANTUM` (`Stream`)."""
        return self._by_node.copy()

    def make_prot_none(self, folios: Folios, clock: float) -> None:
        """Have the next access of each folio after `clock` noticed (`Stream`)."""
        if self._scanned is None:
            self._scanned = _Scanned(self.folios)
        fresh = folios[self._scanned.prot_none_at[folios] == NEVER]
        self._scanned.prot_none_at[fresh] = clock
        self._put(self._scanned.calendar, fresh, clock)

    def _put(self, calendar: Calendar, folios: Folios, clock: float) -> None:
        with np.errstate(divide="ignore"):
            away = self._rng.standard_exponential(len(folios)) / self._weight[folios]
        calendar.put(folios, clock + away)

    def end_prot_none(self, folios: Folios) -> None:
        """Notice the next access of these no longer (`Stream`)."""
        if self._scanned is not None:
            self._scanned.calendar.remove(folios)
            self._scanned.prot_none_at[folios] = NEVER

    def advance(self, _start: float, end: float) -> ProtNoneTouches:
        """The prot_none folios that are due by `end` (`Stream`)."""
        if self._scanned is None:
            return ProtNoneTouches(np.empty(0, np.int64), np.empty(0))
        touched = self._scanned.calendar.take(end)
        self._scanned.prot_none_at[touched.folios] = NEVER
        self._scanned.touched_at[touched.folios] = touched.clocks
        return touched

    def draw(self, clocks: Clocks) -> Folios:
        """A folio by weight for each clock (`Stream`)."""
        return self._phase.table.draw(len(clocks), self._rng, self._phase.shift)

    def seen(self, folios: Folios, since: Clocks, clock: float) -> npt.NDArray[np.bool_]:
        """Which folios were accessed after `since`, up to `clock` (`Stream`)."""
        scanned = self._scanned
        until: Clocks | float = clock
        if scanned is not None:
            until = np.minimum(scanned.prot_none_at[folios], clock)
        expected = self._weight[folios] * _overlap(since, until, self._phase_start, clock)
        earliest = since.min(initial=NEVER)
        for past in reversed(self._past):
            if past.end <= earliest:
                break
            span = _overlap(since, until, past.start, past.end)
            expected += past.table.of(folios, past.shift) * span
        seen = self._rng.standard_exponential(len(folios)) < expected
        return seen if scanned is None else seen | (scanned.touched_at[folios] > since)

    def weights(self) -> npt.NDArray[np.float64]:
        """The weight of each folio in the present phase (`Stream`)."""
        return self._weight.copy()

    def next_change(self) -> float:
        """The clock at which the present phase ends (`Stream`)."""
        return NEVER if self._next is None else self._phase_start + self._phase.length

    def change(self, clock: float) -> None:
        """Go into the next phase: what is prot_none is due anew, without memory (`Stream`)."""
        if self._next is None:
            return
        self._past.append(_Past(self._phase_start, clock, *self._phase[1:]))
        self._phase, self._next = self._next, next(self._to_come, None)
        self._phase_start = clock
        self._weight = self._phase.table.by_folio(self._phase.shift)
        self._add_up()
        if self._scanned is not None:
            self._scanned.calendar.clear()
            folios = np.flatnonzero(self._scanned.prot_none_at < NEVER)
            self._put(self._scanned.calendar, folios, clock)


def _overlap(since: Clocks, until: Clocks | float, start: float, end: float) -> Clocks:
    """How much of (since, until] lies in (start, end], item by item."""
    return np.maximum(np.minimum(until, end) - np.maximum(since, start), 0)
