"""The assignment of folios to nodes of bounded headroom that gains most, or nearly so."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

NOWHERE = -1
"""Stands for no node: the folio stays below the top tier."""

SWEEPS = 64
"""Rounds of prices at the most; two nodes take a few."""

EPSILON = 1e-12


def best_places(gain: Floats, pages: npt.NDArray[np.int32], headroom: Sequence[int]) -> Ints:
    """The node of each folio, by its column in `gain`, or `NOWHERE`.

    `gain`: what each folio (a row) gains on each node (a column); `headroom`: pages by node.
    A price a page is asked at each node, the lowest at which what wants to go there fits
    (D. Bertsekas, Auction algorithms, 1992).  Of one node, that is the densest that fit,
    which no other choice exceeds by more than a folio; of several, an approximation.
    """
    density = np.asarray(gain / pages[:, np.newaxis], np.float64)
    prices = _prices(density, pages, headroom)
    chosen: Ints = np.full(len(pages), NOWHERE, np.int64)
    left = list(headroom)
    # Those that prefer a node at its price, then those that are left, while there is headroom.
    for least in (-EPSILON, -np.inf):
        for node in _by_price(prices):
            net = density[:, node] - prices[node]
            keener = net - np.maximum(_best_of_others(density - prices, node), 0)
            free = (chosen == NOWHERE) & (density[:, node] > 0)
            wants = np.flatnonzero(free & (keener >= least * max(1.0, prices.max())))
            taken = _keenest(keener, pages, wants, left[node])
            chosen[taken] = node
            left[node] -= int(pages[taken].sum())
    return chosen


def _prices(density: Floats, pages: npt.NDArray[np.int32], headroom: Sequence[int]) -> Floats:
    """The price a page of each node: they rise until no node is asked for too much."""
    prices = np.zeros(len(headroom))
    for _ in range(SWEEPS):
        before = prices.copy()
        for node, space in enumerate(headroom):
            spare = density[:, node] - np.maximum(_best_of_others(density - prices, node), 0)
            prices[node] = _price(spare, pages, space)
        if np.allclose(prices, before, rtol=1e-9, atol=0):
            break
    return prices


def _price(spare: Floats, pages: npt.NDArray[np.int32], space: int) -> float:
    """What the first folio that finds no headroom would pay a page; 0 where all fit."""
    wanting = np.flatnonzero(spare > 0)
    order = wanting[np.argsort(-spare[wanting], kind="stable")]
    fit = int(np.searchsorted(np.cumsum(pages[order]), space, side="right"))
    return float(spare[order[fit]]) if fit < len(order) else 0.0


def _keenest(keener: Floats, pages: npt.NDArray[np.int32], which: Ints, space: int) -> Ints:
    order = which[np.argsort(-keener[which], kind="stable")]
    return order[np.cumsum(pages[order]) <= space]


def _best_of_others(net: Floats, node: int) -> Floats:
    others = np.delete(net, node, axis=1)
    if not others.shape[1]:
        return np.zeros(len(net))
    best: Floats = others.max(axis=1)
    return best


def _by_price(prices: Floats) -> list[int]:
    """The nodes, the dearest first."""
    return np.argsort(-prices, kind="stable").tolist()
