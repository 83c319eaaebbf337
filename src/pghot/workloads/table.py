"""How the accesses of a random stream spread over folios, ready to be looked up and drawn."""

from __future__ import annotations

from functools import cached_property
from typing import NamedTuple

import cython
import numpy as np
import numpy.typing as npt

from pghot.workloads.stream import Folios

if cython.compiled:
    from cython.cimports.pghot.engine.arrays import f64, i64
else:
    from pghot.engine.arrays import f64, i64

Weights = npt.NDArray[np.float64]

QUANTUM = 2.0**-52
"""Weights are whole numbers of these, and so add up exactly, in whatever order."""


def quantised(weights: Weights) -> Weights:
    """Scale weights to a sum of exactly 1, each a whole number of quanta.

    A weight is off by a few quanta at most; one below a quantum becomes 0.  Sums of such
    weights are exact in 64-bit floats: shares that are kept by adding and subtracting
    folios equal those that are added up anew.  ValueError where a weight is negative or
    infinite or none is positive.
    """
    total = float(weights.sum())
    if not 0 < total < np.inf or weights.min() < 0:
        raise ValueError("weights want to be finite, not negative, and not all 0")
    quanta = np.floor(weights * (1 / (total * QUANTUM)))
    positive = np.flatnonzero(quanta)
    each, some = divmod(int(1 / QUANTUM) - int(quanta.sum()), len(positive))
    quanta[positive] += each
    quanta[positive[:some]] += 1
    return quanta * QUANTUM


class WeightTable:
    """Weights by position, and the folio at each position.

    `order` is a permutation of the folios, None where positions are folios.  With a shift,
    a folio takes the weight that is `shift` positions before its own: hot sets move by it.
    """

    def __init__(self, weights: Weights, order: Folios | None = None) -> None:
        self.weights = quantised(weights)
        self.folios = len(weights)
        self._order = order

    @cached_property
    def _place(self) -> Folios | None:
        if self._order is None:
            return None
        place = np.empty_like(self._order)
        place[self._order] = np.arange(self.folios)
        return place

    @cached_property
    def is_uniform(self) -> bool:
        """Whether all folios have the same weight, but for what quanta cannot divide."""
        return bool(np.ptp(self.weights) <= 2 * QUANTUM)

    @cached_property
    def _alias(self) -> tuple[Weights, Folios]:
        return alias_table(self.weights)

    def by_folio(self, shift: int = 0) -> Weights:
        """The weight of every folio; an array of the caller's."""
        shifted = np.roll(self.weights, shift)
        return shifted if self._place is None else shifted[self._place]

    def of(self, folios: Folios, shift: int = 0) -> Weights:
        """The weight of some folios."""
        place = folios if self._place is None else self._place[folios]
        return self.weights[(place - shift) % self.folios]

    def draw(self, count: int, rng: np.random.Generator, shift: int = 0) -> Folios:
        """Draw folios by their weights, independently of each other."""
        places = rng.integers(0, self.folios, count)
        if self.is_uniform:
            return places
        places = choose(*self._alias, places, rng.random(count))
        if shift:
            places = (places + shift) % self.folios
        return places if self._order is None else self._order[places]


class Phase(NamedTuple):
    """A time of unchanging weights: so many accesses long, the table's, shifted."""

    length: float
    table: WeightTable
    shift: int = 0


def alias_table(weights: Weights) -> tuple[Weights, Folios]:
    """Give, by place, how probably a draw of it stands, and what it becomes otherwise.

    A. J. Walker, "An efficient method for generating discrete random variables with general
    distributions", 1977; built as by M. D. Vose, 1991.
    """
    keep = weights * len(weights)
    other = np.arange(len(weights))
    _share_out(
        keep,
        other,
        np.flatnonzero(keep < 1),
        np.flatnonzero(keep >= 1),
        np.empty(len(keep), np.int64),
    )
    return keep, other


def choose(
    keep: Weights, other: Folios, places: Folios, chances: npt.NDArray[np.float64]
) -> Folios:
    """Each drawn place, or the other one that it stands in for."""
    chosen = np.empty(len(places), np.int64)
    _choose(keep, other, places, chances, chosen)
    return chosen


def _share_out(
    keep: Weights, other: Folios, small: Folios, large: Folios, emptied: Folios
) -> None:
    """Fill each place that has less than its part from one that has more.

    `emptied` has room for every place.
    """
    kept: cython.p_double = f64(keep)
    others: cython.p_long = i64(other)
    smalls: cython.p_long = i64(small)
    larges: cython.p_long = i64(large)
    again_small: cython.p_long = i64(emptied)
    small_ones: cython.long = len(small)
    large_ones: cython.long = len(large)
    waiting: cython.long = 0
    giver: cython.long = 0
    again: cython.long = 0
    place: cython.long
    i: cython.long
    with cython.nogil:
        while giver < large_ones and (waiting < small_ones or again):
            if again:
                again -= 1
                place = again_small[again]
            else:
                place = smalls[waiting]
                waiting += 1
            others[place] = larges[giver]
            kept[larges[giver]] -= 1 - kept[place]
            if kept[larges[giver]] < 1:
                again_small[again] = larges[giver]
                again += 1
                giver += 1
        # What is left over is 1 but for rounding.
        for i in range(waiting, small_ones):
            kept[smalls[i]] = 1
        for i in range(again):
            kept[again_small[i]] = 1
        for i in range(giver, large_ones):
            kept[larges[i]] = 1


def _choose(
    keep: Weights, other: Folios, places: Folios, chances: npt.NDArray[np.float64], chosen: Folios
) -> None:
    """Write each drawn place, or the other one that it stands in for."""
    kept: cython.p_double = f64(keep)
    others: cython.p_long = i64(other)
    drawn: cython.p_long = i64(places)
    chance: cython.p_double = f64(chances)
    out: cython.p_long = i64(chosen)
    count: cython.long = len(places)
    i: cython.long
    with cython.nogil:
        for i in range(count):
            out[i] = drawn[i] if chance[i] < kept[drawn[i]] else others[drawn[i]]
