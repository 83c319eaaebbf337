"""Streams that go round: sequential scans and pointer chases, exact to the access."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pghot.workloads.calendar import Calendar
from pghot.workloads.nodes import NodeCounts
from pghot.workloads.stream import NEVER, Clocks, Folios, Nids, ProtNoneTouches


class CyclicStream:
    """Each folio in turn, `accesses_per_folio` accesses in a row, and from the first again.

    Access number k, counted from 1, takes the clock from k - 1 to k and happens at k.
    `order` gives the folios in turn (a permutation); None goes by their numbers.
    """

    end_clock = NEVER

    def __init__(
        self, folios: int, accesses_per_folio: int = 1, order: Folios | None = None
    ) -> None:
        self.folios = folios
        self._run = accesses_per_folio
        self._lap = folios * accesses_per_folio
        self._order = order
        self._turn: Folios | None = None
        if order is not None:
            self._turn = np.empty_like(order)
            self._turn[order] = np.arange(folios)
        self._nodes = NodeCounts(folios)
        self._calendar = Calendar(folios)

    def place(self, nid: Nids) -> None:
        """Take note of the node of every folio (`Stream`)."""
        self._nodes.place(nid if self._order is None else nid[self._order])

    def moved(self, folios: Folios, from_nid: Nids, to_nid: int) -> None:  # noqa: ARG002
        """Take note that folios are on `to_nid` now (`Stream`)."""
        self._nodes.moved(self._turn_of(folios), to_nid)

    def _turn_of(self, folios: Folios) -> Folios:
        return folios if self._turn is None else self._turn[folios]

    def shares(self, start: float, end: float) -> npt.NDArray[np.float64]:
        """Count exactly what is accessed in (start, end], an access under way by its part.

        Where `end` is `start`, the share is that of the next access (`Stream`).
        """
        first, last = int(start // self._run), int(end // self._run)
        spent = np.zeros(len(self._nodes.total))
        if first == last:
            spent[self._nodes.at(first % self.folios)] = 1
            return spent
        spent += self._run * self._nodes.between(first + 1, last)
        spent[self._nodes.at(first % self.folios)] += (first + 1) * self._run - start
        spent[self._nodes.at(last % self.folios)] += end - last * self._run
        return spent / (end - start)

    def make_prot_none(self, folios: Folios, clock: float) -> None:
        """Have the next access of each folio after `clock` noticed (`Stream`)."""
        self._calendar.put(folios, self._next(folios, clock))

    def _next(self, folios: Folios, clocks: Clocks | float) -> Clocks:
        """The clock of the first access of each folio after a clock."""
        at = np.floor(clocks).astype(np.int64)  # accesses made; the next has this number
        in_lap = at % self._lap
        first = self._turn_of(folios) * self._run
        ahead = first - in_lap
        ahead = np.where(ahead >= 0, ahead, np.where(ahead > -self._run, 0, ahead + self._lap))
        next_clock: Clocks = (at + ahead + 1).astype(np.float64)
        return next_clock

    def end_prot_none(self, folios: Folios) -> None:
        """Notice the next access of these no longer (`Stream`)."""
        self._calendar.remove(folios)

    def advance(self, _start: float, end: float) -> ProtNoneTouches:
        """The prot_none folios whose turn comes by `end` (`Stream`)."""
        return self._calendar.take(end)

    def draw(self, clocks: Clocks) -> Folios:
        """The folio whose access takes each clock (`Stream`)."""
        number = np.maximum(np.ceil(clocks).astype(np.int64) - 1, 0)
        turn = number // self._run % self.folios
        return turn if self._order is None else self._order[turn]

    def seen(self, folios: Folios, since: Clocks, clock: float) -> npt.NDArray[np.bool_]:
        """Which folios had an access after `since`, up to `clock` (`Stream`)."""
        return self._next(folios, since) <= clock

    def weights(self) -> npt.NDArray[np.float64]:
        """The share of each folio in a whole round: all the same (`Stream`)."""
        return np.full(self.folios, 1 / self.folios)

    def next_change(self) -> float:
        """NEVER: all rounds are alike (`Stream`)."""
        return NEVER

    def change(self, clock: float) -> None:
        """Do nothing: there is one phase (`Stream`)."""


def sequential(folios: int, accesses_per_folio: int = 64) -> CyclicStream:
    """Scan the folios in order; by default a 4 KiB page cache line by cache line."""
    return CyclicStream(folios, accesses_per_folio)


def pointer_chase(folios: int, rng: np.random.Generator) -> CyclicStream:
    """Follow pointers through all folios, one access each: a random permutation of one cycle."""
    return CyclicStream(folios, order=rng.permutation(folios))
