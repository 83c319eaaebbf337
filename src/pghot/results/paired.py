"""An interval for the mean of paired differences, exact where the order was by chance.

Each pair of blocks had one of either kind, and which came first was drawn at random.  So the part
of a difference that is not the effect has a random sign: it is symmetric about zero, however the
blocks follow from each other (drift, autocorrelation).  Of numbers that are
independent and symmetric about a centre, the means of all non-empty subsets cut the line into
2^n intervals, and the centre is in each with the same probability (J. A. Hartigan, "Using
subsample values as typical values", JASA 64, 1969).  No distribution is assumed, and no table
of one needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

CONFIDENCE = 0.95
"""The least confidence of an interval; what it has is told with it."""

FEWEST = 6
"""Pairs below which no interval has it: 2 / 2^n is above 5 % with 5."""

WHOLE = 16
"""Pairs up to which all subsets are looked at; of more, as many chosen at random."""

MOST = 60
"""Pairs at the most: a subset is a number of 64 bits."""


class Interval(NamedTuple):
    """From `low` to `high`, and how probable it is that the mean is there."""

    low: float
    high: float
    confidence: float


def interval(differences: Sequence[float], seed: int = 0) -> Interval | None:
    """The interval of the mean of differences; None of fewer than `FEWEST`; at most `MOST`.

    `seed` is of the choice of subsets where there are more than `WHOLE`.
    """
    if len(differences) < FEWEST:
        return None
    means = np.sort(_subset_means(np.array(differences, np.float64), seed))
    pieces = len(means) + 1
    outside = int(pieces * (1 - CONFIDENCE) / 2)
    low, high = float(means[outside - 1]), float(means[-outside])
    return Interval(low, high, 1 - 2 * outside / pieces)


def _subset_means(values: npt.NDArray[np.float64], seed: int) -> npt.NDArray[np.float64]:
    """The mean of each subset that is not empty, or of different ones chosen at random."""
    count = len(values)
    subsets = np.arange(1, 1 << min(count, WHOLE), dtype=np.uint64)
    if count > WHOLE:
        import random  # noqa: PLC0415 - it takes a while, and a run without a trial needs none

        draw = random.Random(seed)  # noqa: S311 - no secret
        drawn: set[int] = set()
        while len(drawn) < len(subsets):
            drawn.add(draw.randrange(1, 1 << count))
        subsets = np.array(sorted(drawn), np.uint64)
    members = subsets[:, None] >> np.arange(count, dtype=np.uint64) & np.uint64(1)
    means: npt.NDArray[np.float64] = members @ values / members.sum(axis=1)
    return means
