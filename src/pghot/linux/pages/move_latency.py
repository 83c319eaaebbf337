"""A histogram of how long batches of moves take, in nanoseconds that the caller measures."""

from __future__ import annotations

from bisect import bisect_left
from itertools import accumulate

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
        """A bound that `percent` of the durations do not exceed; 0 where there are none.

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
        """Of each of BOUNDS_NS how many durations it is not exceeded by; exact."""
        return list(zip(BOUNDS_NS, accumulate(self._up_to), strict=False))

    def buckets(self) -> list[tuple[float, int]]:
        """The buckets that have any: their upper bounds in ms, and counts."""
        return [
            (_last_ns(bucket) / NS_PER_MS, count)
            for bucket, count in enumerate(self._buckets)
            if count
        ]

    def summary(self) -> dict[str, float]:
        """The figures in milliseconds, for a table or JSON."""
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
    """The largest duration of a bucket."""
    shift = max((bucket >> _SUB_BITS) - 1, 0)
    return ((bucket - (shift << _SUB_BITS) + 1) << shift) - 1
