"""Streams one access after the other, as plain Python, and how far chance may go.

Every test of a distribution here has a fixed seed and refuses what would happen by chance
once in a thousand times.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import ceil, floor, sqrt

import numpy as np

SIGNIFICANCE = 0.001
_NORMAL = 3.0902  # that quantile of the normal distribution
_KOLMOGOROV = 1.9495  # sqrt(-ln(0.001 / 2) / 2), of Kolmogorov's distribution


class Walk:
    """A stream whose access number k takes the clock from k - 1 to k, counted one by one."""

    def __init__(self, folio_at: Callable[[int], int], nid: Sequence[int]) -> None:
        self.folio_at = folio_at
        self.nid = list(nid)
        self.marked: set[int] = set()

    def advance(self, start: float, end: float) -> list[tuple[int, float]]:
        touched = []
        for number in range(floor(start) + 1, floor(end) + 1):
            folio = self.folio_at(number)
            if folio in self.marked:
                self.marked.remove(folio)
                touched.append((folio, float(number)))
        return touched

    def shares(self, start: float, end: float) -> list[float]:
        if start == end:
            start, end = floor(start), floor(start) + 1
        spent = [0.0] * (max(self.nid) + 1)
        for number in range(floor(start) + 1, ceil(end) + 1):
            part = min(end, number) - max(start, number - 1)
            spent[self.nid[self.folio_at(number)]] += part / (end - start)
        return spent

    def seen(self, folio: int, since: float, clock: float) -> bool:
        numbers = range(floor(since) + 1, floor(clock) + 1)
        return any(self.folio_at(number) == folio for number in numbers)


def first_accesses(weights, marked, until, rng):
    """Clock of the first access to each marked folio, NaN beyond `until`, access by access.

    Accesses come as a Poisson process of rate 1; each takes a folio by its weight.
    """
    first = {int(folio): np.nan for folio in marked}
    clock = rng.exponential()
    sums = np.cumsum(weights)
    while clock <= until:
        folio = int(np.searchsorted(sums, rng.random() * sums[-1], side="right"))
        if folio in first and np.isnan(first[folio]):
            first[folio] = clock
        clock += rng.exponential()
    return np.array([first[int(folio)] for folio in marked])


def fits(counts, expected) -> bool:
    """Pearson's test; the quantile of chi-squared is Wilson and Hilferty's."""
    counts, expected = np.asarray(counts, float), np.asarray(expected, float)
    assert expected.min() >= 5, "too few for Pearson's test"
    statistic = ((counts - expected) ** 2 / expected).sum()
    freedom = len(counts) - 1
    part = 2 / (9 * freedom)
    return bool(statistic < freedom * (1 - part + _NORMAL * sqrt(part)) ** 3)


def follows(values, cdf) -> bool:
    """Kolmogorov's test of values against a distribution."""
    at = cdf(np.sort(values))
    ranks = np.arange(len(at) + 1) / len(at)
    distance = max((ranks[1:] - at).max(), (at - ranks[:-1]).max())
    return bool(distance * sqrt(len(at)) < _KOLMOGOROV)


def alike(some, others) -> bool:
    """Smirnov's test of two samples."""
    values = np.concatenate([some, others])
    one = np.searchsorted(np.sort(some), values, side="right") / len(some)
    other = np.searchsorted(np.sort(others), values, side="right") / len(others)
    size = sqrt(len(some) * len(others) / (len(some) + len(others)))
    return bool(np.abs(one - other).max() * size < _KOLMOGOROV)


def is_near(count, expected, deviation) -> bool:
    """Whether a count is where a normal distribution would have it."""
    return bool(abs(count - expected) < _NORMAL * deviation)
