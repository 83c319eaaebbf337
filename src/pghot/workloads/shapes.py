"""Weights of units as programs spread their accesses: uniform, Zipf, hot and cold.

All sizes are in units; weights are relative, `table.Table` scales them.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pghot.workloads.stream import NEVER, Units
from pghot.workloads.table import Phase, Weights, WeightTable


def uniform(units: int) -> WeightTable:
    """Every unit as often as any other."""
    return WeightTable(np.ones(units))


def zipf_weights(count: int, s: float, first: int = 1) -> Weights:
    """rank**-s for `count` ranks from `first` on."""
    weights: Weights = np.arange(first, first + count, dtype=np.float64) ** -s
    return weights


def zipf(units: int, s: float, rng: np.random.Generator | None = None) -> WeightTable:
    """Popularity falls with rank**-s; ranks are permuted over the units, or are the units."""
    return WeightTable(zipf_weights(units, s), None if rng is None else rng.permutation(units))


def hot_units(units: int, hot_share: float) -> int:
    """How many units are hot: one at the least."""
    return min(max(round(units * hot_share), 1), units)


def hot_cold(
    units: int,
    hot_share: float,
    hot_accesses: float,
    *,
    everywhere: bool = False,
    order: Units | None = None,
) -> WeightTable:
    """Have `hot_share` of the units, the hot set, take `hot_accesses` of the accesses.

    The other accesses go to the other units, or, with `everywhere`, to all of them (as in
    GUPS with a hot set).  The hot set comes first in `order`.  Where all units are hot,
    all are alike.
    """
    hot = hot_units(units, hot_share)
    weights = np.zeros(units)
    if everywhere or hot == units:
        weights += (1 - hot_accesses) / units
        weights[:hot] += hot_accesses / hot
    else:
        weights[:hot] = hot_accesses / hot
        weights[hot:] = (1 - hot_accesses) / (units - hot)
    return WeightTable(weights, order)


def moving(table: WeightTable, every: float, by: int) -> Iterator[Phase]:
    """Move the weights on by so many places each time that so many accesses have been made."""
    shift = 0
    while True:
        yield Phase(every, table, shift)
        shift = (shift + by) % table.units


def steady(table: WeightTable) -> Iterator[Phase]:
    """Keep the weights for good."""
    yield Phase(NEVER, table)


def once_around(units: int, rng: np.random.Generator) -> Units:
    """The units in order, from one drawn at random: where a set in one piece begins."""
    return np.roll(np.arange(units), -int(rng.integers(units)))
