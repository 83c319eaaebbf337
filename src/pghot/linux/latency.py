"""How long batches of moves take, and how large the next one may be.

No clock here: times are given, in nanoseconds.
"""

from __future__ import annotations

from bisect import bisect_left
from itertools import accumulate

import numpy as np

from pghot.engine.memory import U64Array

NS_PER_MS = 1_000_000

BOUNDS_NS = tuple(digit * 10**power // 10 for power in range(5, 10) for digit in (10, 25, 50))
"""Round numbers to count durations by: 0.1 ms, 0.25 ms, 0.5 ms, 1 ms, ... 5 s."""

_SUB_BITS = 3
"""Buckets to a power of two, as bits: a bucket is at most 1/8 wider than its lower end."""


class LatencyHistogram:
    """Durations in a bounded number of buckets: count, largest, percentiles."""

    def __init__(self) -> None:
        self._buckets = [0] * (64 << _SUB_BITS)
        self._up_to = [0] * (len(BOUNDS_NS) + 1)
        self.count = 0
        self.sum_ns = 0
        self.max_ns = 0

    def add(self, ns: int) -> None:
        """Count one duration; one below 0 (a clock put back) counts as 0."""
        ns = min(max(ns, 0), (1 << 62))
        self._buckets[_bucket(ns)] += 1
        self._up_to[bisect_left(BOUNDS_NS, ns)] += 1
        self.count += 1
        self.sum_ns += ns
        self.max_ns = max(self.max_ns, ns)

    def percentile_ns(self, percent: float) -> int:
        """Give a bound that `percent` of the durations do not exceed; 0 where there are none.

        At most 1/8 above the true value, and never above the largest.
        """
        rank = self.count * percent / 100
        seen = 0
        for bucket, count in enumerate(self._buckets):
            seen += count
            if count and seen >= rank:
                return min(_last_ns(bucket), self.max_ns)
        return self.max_ns

    def within(self) -> list[tuple[int, int]]:
        """Give of each of BOUNDS_NS how many durations it is not exceeded by; exact."""
        return list(zip(BOUNDS_NS, accumulate(self._up_to), strict=False))

    def summary(self) -> dict[str, float]:
        """Give the figures in milliseconds, for a table or JSON."""
        return {
            "count": self.count,
            "p50_ms": self.percentile_ns(50) / NS_PER_MS,
            "p99_ms": self.percentile_ns(99) / NS_PER_MS,
            "max_ms": self.max_ns / NS_PER_MS,
        }


def _bucket(ns: int) -> int:
    shift = max(ns.bit_length() - 1 - _SUB_BITS, 0)
    return (shift << _SUB_BITS) + (ns >> shift)


def _last_ns(bucket: int) -> int:
    """Give the largest duration of a bucket."""
    shift = max((bucket >> _SUB_BITS) - 1, 0)
    return ((bucket - (shift << _SUB_BITS) + 1) << shift) - 1


class LatencyBudget:
    """The size of the next batch, so that a batch takes no longer than `budget_ms`.

    A batch over the budget halves it; one that was full and took at most half the budget
    adds `step` pages.  Between one page and `maximum`; a folio goes whole, alone if it must.
    `start` is the size of the first batch.  All sizes in pages.
    """

    def __init__(
        self, budget_ms: float = 20, maximum: int = 4096, start: int = 512, step: int = 64
    ) -> None:
        if budget_ms <= 0 or maximum < 1 or start < 1 or step < 1:
            raise ValueError("budget_ms, maximum, start and step must be above 0")
        self._budget_ns = budget_ms * NS_PER_MS
        self._maximum = maximum
        self._step = step
        self.pages = min(start, maximum)
        self.over = 0
        self.latencies = LatencyHistogram()

    def fits(self, folio_pages: U64Array) -> int:
        """Give how many of these folios, from the first, make the next batch: at least one."""
        if not len(folio_pages):
            return 0
        total = np.cumsum(folio_pages)
        return max(1, int(np.searchsorted(total, self.pages, side="right")))

    def record(self, pages: int, elapsed_ns: int) -> None:
        """Take in that a batch of `pages` took so long."""
        self.latencies.add(elapsed_ns)
        if elapsed_ns > self._budget_ns:
            self.over += 1
            self.pages = max(1, min(self.pages, pages) // 2)
        elif elapsed_ns * 2 <= self._budget_ns and pages * 2 > self.pages:
            self.pages = min(self._maximum, self.pages + self._step)
