"""Arrays of PFNs beside ranges of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from pghot.engine.pfn_ranges import PfnRange

U64Array = npt.NDArray[np.uint64]


def pfns_of(ranges: Iterable[PfnRange]) -> U64Array:
    """Every PFN of the ranges, in their order."""
    parts = [np.arange(one.start, one.end, dtype=np.uint64) for one in ranges]
    return np.concatenate([np.zeros(0, np.uint64), *parts])


def nth_pfns(ranges: Sequence[PfnRange], numbers: npt.NDArray[np.uint64]) -> U64Array:
    """The PFNs that come as number 0, 1, 2, ... of the ranges; all numbers are of theirs."""
    starts = np.array([one.start for one in ranges], np.uint64)
    before = np.cumsum([0, *(one.pages for one in ranges[:-1])]).astype(np.uint64)
    at = np.searchsorted(before, numbers, side="right") - 1
    return starts[at] + (numbers - before[at])


def contained(ranges: Sequence[PfnRange], pfns: U64Array) -> npt.NDArray[np.bool_]:
    """Of each PFN whether it is in one of the ranges, which ascend."""
    edges = np.array(ranges, np.uint64).ravel()
    return np.searchsorted(edges, pfns, side="right") % 2 == 1
