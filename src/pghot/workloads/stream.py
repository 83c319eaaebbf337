"""What the simulator asks of an access stream."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

Folios = npt.NDArray[np.int64]
Clocks = npt.NDArray[np.float64]
Nids = npt.NDArray[np.int16]

NEVER = float("inf")


class ProtNoneTouches(NamedTuple):
    """Prot_none folios in the order of their first access, and the clock of each."""

    folios: Folios
    clocks: Clocks


class Stream(Protocol):
    """Accesses to one region, whose folios are `0 .. folios - 1`.

    A clock is a number of accesses since the stream began, of all its threads together;
    it is real-valued: accesses of independent threads arrive as a Poisson process in it
    where the stream is random.  All methods are given clocks that never go backwards.
    Nothing is drawn but from the generator that the stream was made with.
    """

    folios: int

    end_clock: float
    """Clock after which there are no accesses; NEVER where they go on."""

    def place(self, nid: Nids) -> None:
        """Take note of the node of every folio; the array is the caller's and may change."""

    def moved(self, folios: Folios, from_nid: Nids, to_nid: int) -> None:
        """Take note that folios are on `to_nid` now; `from_nid` is of each."""

    def shares(self, start: float, end: float) -> npt.NDArray[np.float64]:
        """Share of the accesses in (start, end] by node id, as folios are placed now.

        Shape: (largest node id so far + 1,); sums to 1.  Expected value where the stream is
        random; exact where it is not, an access under way at either end by its part.
        """

    def make_prot_none(self, folios: Folios, clock: float) -> None:
        """The next access of each folio after `clock` faults; no change for those already so."""

    def end_prot_none(self, folios: Folios) -> None:
        """Notice the next access of these no longer."""

    def advance(self, start: float, end: float) -> ProtNoneTouches:
        """Let the clock go from `start` to `end`: prot_none folios that fault, no longer so."""

    def draw(self, clocks: Clocks) -> Folios:
        """The folio that the access at each clock takes (what a sampler sees)."""

    def seen(self, folios: Folios, since: Clocks, clock: float) -> npt.NDArray[np.bool_]:
        """Which folios were accessed between the clock `since` of each and `clock`."""

    def weights(self) -> npt.NDArray[np.float64]:
        """Share of each folio in the accesses to come, as far as the present phase goes."""

    def next_change(self) -> float:
        """Clock at which the weights next change; NEVER where they do not."""

    def change(self, clock: float) -> None:
        """Go into the next phase; `clock` is what `next_change` gave."""
