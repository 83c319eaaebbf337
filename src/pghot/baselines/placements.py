"""Where folios would be without promotion: by first touch, interleaved, or by their heat.

Each gives a bool array, True for a folio on the top tier, in the order of the folios.
"""

from __future__ import annotations

import numpy as np

from pghot.baselines.folios import BoolArray, FirstTouches, Headroom, I64Array

_BITS = 31
"""Headroom and number of folios are multiplied in 64 bits."""


def first_touch(touched: FirstTouches, headroom: Headroom) -> BoolArray:
    """Fill the top tier as folios are first accessed; what does not fit goes below it.

    The default of Linux (MPOL_DEFAULT) for threads on CPUs of the top tier.
    """
    return filled(touched.pages, headroom.fast)


def slow_first(touched: FirstTouches, headroom: Headroom) -> BoolArray:
    """Fill the lower tiers as folios are first accessed; what does not fit goes above them."""
    return ~filled(touched.pages, headroom.slow)


def interleaved(touched: FirstTouches, headroom: Headroom) -> BoolArray:
    """Deal folios out among the tiers in proportion to headroom, in the order of first touch.

    As MPOL_WEIGHTED_INTERLEAVE with the headroom for weights (mm/mempolicy.c, since Linux 6.9).
    """
    shift = max((headroom.fast + headroom.slow).bit_length() - _BITS, 0)
    fast, both = headroom.fast >> shift, (headroom.fast + headroom.slow) >> shift
    turns = np.arange(len(touched) + 1, dtype=np.int64)
    turns *= fast
    turns //= max(both, 1)
    dealt: BoolArray = turns[1:] > turns[:-1]
    dealt[dealt] = filled(touched.pages[dealt], headroom.fast)
    return dealt


def hottest(accesses: I64Array, pages: I64Array, headroom: int) -> float:
    """The most accesses that any placement within `headroom` pages could serve fast.

    The folios with most accesses a page; of the first that does not fit a part counts, so
    that nothing whole does better (Dantzig's bound of the knapsack).
    """
    if headroom >= int(pages.sum()):
        return float(accesses.sum())
    if (pages == 1).all():  # what fits, fits exactly, and needs no order
        colder = len(accesses) - headroom
        return float(np.partition(accesses, colder - 1)[colder:].sum())
    heat = accesses / pages
    order = np.argsort(-heat, kind="stable")
    ends = np.cumsum(pages[order])
    whole = int(np.searchsorted(ends, headroom, side="right"))
    served = float(accesses[order[:whole]].sum())
    if whole < len(order):
        left = headroom - (int(ends[whole - 1]) if whole else 0)
        served += left * float(heat[order[whole]])
    return served


def filled(pages: I64Array, headroom: int) -> BoolArray:
    """Take folios of these sizes in their order as far as each fits what is left of `headroom`."""
    if int(pages.sum()) <= headroom:
        return np.ones(len(pages), np.bool_)
    taken = np.zeros(len(pages), np.bool_)
    if (pages == 1).all():
        taken[:headroom] = True
        return taken
    waiting = np.arange(len(pages))
    while len(waiting):
        waiting = waiting[pages[waiting] <= headroom]
        ends = np.cumsum(pages[waiting])
        fit = int(np.searchsorted(ends, headroom, side="right"))
        taken[waiting[:fit]] = True
        headroom -= int(ends[fit - 1]) if fit else 0
        waiting = waiting[fit:]
    return taken
