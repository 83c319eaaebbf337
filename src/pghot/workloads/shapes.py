"""Weights of folios as programs spread their accesses: uniform, Zipf, hot and cold.

All sizes are in folios; weights are relative, `table.Table` scales them.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pghot.workloads.stream import NEVER, Folios
from pghot.workloads.table import Phase, Weights, WeightTable


def uniform(folios: int) -> WeightTable:
    """Every folio as often as any other."""
    return WeightTable(np.ones(folios))


def zipf_weights(count: int, s: float, first: int = 1) -> Weights:
    """rank**-s for `count` ranks from `first` on."""
    weights: Weights = np.arange(first, first + count, dtype=np.float64) ** -s
    return weights


def zipf(folios: int, s: float, rng: np.random.Generator | None = None) -> WeightTable:
    """Popularity falls with rank**-s; ranks are permuted over the folios, or are the folios."""
    return WeightTable(zipf_weights(folios, s), None if rng is None else rng.permutation(folios))


def hot_folios(folios: int, hot_share: float) -> int:
    """How many folios are hot: one at the least."""
    return min(max(round(folios * hot_share), 1), folios)


def hot_cold(
    folios: int,
    hot_share: float,
    hot_accesses: float,
    *,
    everywhere: bool = False,
    order: Folios | None = None,
) -> WeightTable:
    """Have `hot_share` of the folios, the hot set, take `hot_accesses` of the accesses.

    The other accesses go to the other folios, or, with `everywhere`, to all of them (as in
    GUPS with a hot set).  The hot set comes first in `order`.  Where all folios are hot,
    all are alike.
    """
    hot = hot_folios(folios, hot_share)
    weights = np.zeros(folios)
    if everywhere or hot == folios:
        weights += (1 - hot_accesses) / folios
        weights[:hot] += hot_accesses / hot
    else:
        weights[:hot] = hot_accesses / hot
        weights[hot:] = (1 - hot_accesses) / (folios - hot)
    return WeightTable(weights, order)


def moving(table: WeightTable, every: float, by: int) -> Iterator[Phase]:
    """Move the weights on by so many places each time that so many accesses have been made."""
    shift = 0
    while True:
        yield Phase(every, table, shift)
        shift = (shift + by) % table.folios


def steady(table: WeightTable) -> Iterator[Phase]:
    """Keep the weights for good."""
    yield Phase(NEVER, table)


def once_around(folios: int, rng: np.random.Generator) -> Folios:
    """The folios in order, from one drawn at random: where a set in one piece begins."""
    return np.roll(np.arange(folios), -int(rng.integers(folios)))
