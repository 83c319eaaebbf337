"""Shares that placements without promotion serve fast, for many sizes of fast memory.

Each size gives what `baselines` gives for that room, to the bit.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pghot.baselines.folios import FirstTouches, Headroom, I64Array
from pghot.baselines.placements import first_touch, interleaved

Shares = npt.NDArray[np.float64]


def bound_shares(touched: FirstTouches, accesses: I64Array, sizes: I64Array) -> Shares:
    """The most that any placement serves (`baselines.placements.hottest`) at each size.

    `accesses` of each folio, of the whole log or of its second half; sizes in pages.
    """
    heat = accesses / touched.pages
    order = np.argsort(-heat, kind="stable")
    ends = np.concatenate([[0], np.cumsum(touched.pages[order])])
    served = np.concatenate([[0], np.cumsum(accesses[order])])
    whole = np.searchsorted(ends, sizes, side="right") - 1
    left = sizes - ends[whole]
    next_heat = np.append(heat[order], 0.0)[whole]
    return _shares(served[whole].astype(np.float64) + left * next_heat, accesses)


def first_touch_shares(touched: FirstTouches, accesses: I64Array, sizes: I64Array) -> Shares:
    """The share where the top tier is filled in the order of first touch."""
    if (touched.pages == 1).all():
        served = np.concatenate([[0], np.cumsum(accesses)])
        return _shares(served[np.minimum(sizes, len(accesses))].astype(np.float64), accesses)
    fast = [accesses[first_touch(touched, Headroom(size, 0))].sum() for size in sizes.tolist()]
    return _shares(np.array(fast, np.float64), accesses)


def interleave_shares(
    touched: FirstTouches, accesses: I64Array, sizes: I64Array, slow: int
) -> Shares:
    """The share where folios are dealt out in proportion to the room, `slow` below."""
    fast = [accesses[interleaved(touched, Headroom(size, slow))].sum() for size in sizes.tolist()]
    return _shares(np.array(fast, np.float64), accesses)


def held_out_shares(touched: FirstTouches, odd: I64Array, sizes: I64Array) -> Shares:
    """What the hottest pages by every other access serve of the accesses between.

    The pages that samples show as hottest are partly so by chance, and the bound is too
    high by that; chosen by one half of the samples and judged by the other it is not.
    """
    even = touched.accesses - odd
    totals = [
        _served_by(chosen_by, judged_by, sizes)
        for chosen_by, judged_by in ((odd, even), (even, odd))
    ]
    return _shares(np.sum(totals, axis=0), touched.accesses)


def _served_by(chosen_by: I64Array, judged_by: I64Array, sizes: I64Array) -> Shares:
    order = np.argsort(-chosen_by, kind="stable")
    served = np.concatenate([[0], np.cumsum(judged_by[order])])
    return served[np.minimum(sizes, len(order))].astype(np.float64)


def _shares(served: Shares, accesses: I64Array) -> Shares:
    total = int(accesses.sum())
    return served / total if total else np.zeros(len(served))
