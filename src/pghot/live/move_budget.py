"""What moving pages may cost: a share of a CPU, by folios and pages times prices.

As with hint faults (`scan_pace`) no clock is read for the cost: in an emulator, or on a busy
machine, it would tell of something else.  What is not spent is saved up for a second.
"""

from __future__ import annotations

import numpy as np

from pghot.engine.memory import U64Array

FOLIO_NS, PAGE_NS = 2000, 380
"""Nanoseconds of a folio by itself, and of each 4 KiB page in it.

4 KiB folios were measured to move at 1.72 GB/s, 2 MiB folios at 10.7 (docs/live.md).
"""

SAVED_NS = 1_000_000_000
"""Nanoseconds whose share may be spent at once."""


class MoveBudget:
    """How many folios may move now; `share` is of one CPU."""

    def __init__(self, share: float) -> None:
        self._share = share
        self._left_ns = share * SAVED_NS
        self._at_ns: int | None = None
        self.spent_ns = 0
        """What was moved so far has cost, by its price."""

    def fits(self, pages: U64Array, now_ns: int) -> int:
        """How many of these folios, from the first, may move at `now_ns`.

        One that costs more than was left goes with it, and what follows waits the longer.
        """
        passed = now_ns - (now_ns if self._at_ns is None else self._at_ns)
        self._at_ns = now_ns
        self._left_ns = min(self._left_ns + self._share * passed, self._share * SAVED_NS)
        before = np.cumsum(_price(pages)) - _price(pages)
        return int(np.searchsorted(before, max(self._left_ns, 0)))

    def spend(self, pages: U64Array) -> None:
        """Take in that these folios were asked for."""
        cost = int(_price(pages).sum())
        self._left_ns -= cost
        self.spent_ns += cost


def _price(pages: U64Array) -> U64Array:
    price: U64Array = np.uint64(FOLIO_NS) + np.uint64(PAGE_NS) * pages
    return price
