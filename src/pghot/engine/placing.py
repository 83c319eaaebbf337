"""Which of several nodes each hot folio goes to: the nearest allowed one with headroom."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from pghot.engine.memory import BoolArray, I64Array
from pghot.engine.units import NID_MAX

NOWHERE = NID_MAX
"""The node of a folio that may go to none: no machine seen has so many."""


def first_with_headroom(
    near: I64Array,
    orders: Mapping[int, Sequence[int]],
    allowed: Mapping[int, BoolArray],
    pages: I64Array,
    headroom: Callable[[int], int],
) -> I64Array:
    """Each folio, in order, the first of its nodes that it may go to and finds headroom on.

    `near` names the entry of `orders` that a folio goes by, nodes from the nearest on, all of
    one length; `allowed` says of each node which folios may go there; `headroom`, asked at most
    once for each, gives the pages that find room on it.  One that finds headroom on none keeps the
    first that it may go to; NOWHERE where there is none.
    """
    chosen = np.full(len(near), NOWHERE, np.int64)
    waiting = np.ones(len(near), np.bool_)
    left: dict[int, int] = {}
    for choice in range(len(allowed)):
        wants = np.full(len(near), NOWHERE, np.int64)
        for nid, order in orders.items():
            wants[near == nid] = order[choice]
        for up in allowed:
            rows = np.flatnonzero(waiting & (wants == up) & allowed[up])
            if not len(rows):
                continue
            if up not in left:
                left[up] = headroom(up)
            chosen[rows[chosen[rows] == NOWHERE]] = up
            placed = rows[np.cumsum(pages[rows]) <= left[up]]
            chosen[placed] = up
            waiting[placed] = False
            left[up] -= int(pages[placed].sum())
    return chosen


def by_distance(nid: int, ups: Sequence[int], distance: Callable[[int, int], int]) -> list[int]:
    """Nodes from the nearest on, as node `nid` sees them: itself first where it is one."""
    return sorted(ups, key=lambda up: (up != nid, distance(nid, up), up))
