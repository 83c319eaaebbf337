"""Share of accesses that find their page among the N used last, for every N at once.

That is what a fast node of N pages serves where every access to a slow page moves it there and
the page used longest ago makes room.  Reuse distances are sampled (`reuse`); the error comes
from samples of their own that share no page.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pghot.exploring.reuse import PARTS, ReuseSample, hashed

Shares = npt.NDArray[np.float64]

PAGES = 1 << 14
"""Pages of the sample at the most; distances are exact where the log has no more."""

SPLITS = 8
"""Samples that share no page, for the error."""

STUDENT_T = 2.365
"""95 % of Student's t with `SPLITS` - 1 degrees of freedom lie within +-this."""

_SPLIT_BITS = 8


class LruShares:
    """Takes accesses in order; memory is fixed, some MB, whatever the log."""

    def __init__(self, pages: int = PAGES) -> None:
        self._main = ReuseSample(pages, pages.bit_length())
        self._splits = [ReuseSample(pages // SPLITS, _SPLIT_BITS) for _ in range(SPLITS)]
        self._accesses = np.zeros(PARTS)

    @property
    def rate(self) -> float:
        """Share of the pages that are sampled; 1 where the distances are exact."""
        return 2.0**-self._main.shift

    @property
    def first(self) -> float:
        """Accesses, as far as known, that were their page's first: LRU serves none fast."""
        return float(self._main.first.sum()) / self.rate

    def add(self, pfns: npt.NDArray[np.uint64], part: int) -> None:
        """Take accesses; `part` 0 of the log's first half, 1 of its second."""
        hashes = hashed(pfns)
        self._main.add(hashes, part)
        self._accesses[part] += len(pfns)
        split = hashes & np.uint64(SPLITS - 1)
        for number, sample in enumerate(self._splits):
            sample.add(hashes[split == number], part)

    def shares(self, sizes: npt.NDArray[np.int64], parts: slice) -> tuple[Shares, Shares]:
        """The share served fast by each size (pages), and the error of it.

        The error is half of the interval that contains it 95 times of 100.
        """
        accesses = float(self._accesses[parts].sum())
        share = _shares(self._main, accesses, sizes, parts)
        if self._main.shift == 0:
            return share, np.zeros(len(sizes))
        each = [_shares(split, accesses, sizes, parts, SPLITS) for split in self._splits]
        error: Shares = STUDENT_T / np.sqrt(SPLITS) * np.std(each, axis=0, ddof=1)
        return share, error


def _shares(
    sample: ReuseSample,
    accesses: float,
    sizes: npt.NDArray[np.int64],
    parts: slice,
    splits: int = 1,
) -> Shares:
    """The shares by one sample, of which there are `splits`.

    What the sample's accesses fall short of its rate is counted as the shortest distance
    ("SHARDS-adj" of the paper): pages with very many accesses were left out, or taken in.
    """
    if not accesses:
        return np.zeros(len(sizes))
    expected = accesses * 2.0**-sample.shift / splits
    weights = sample.weights[parts].sum(axis=0)
    short = expected - float(weights.sum() + sample.first[parts].sum())
    within = np.concatenate([[0.0], np.cumsum(weights)]) + short
    longest = _longest(len(weights), sample.bits, splits)
    known = np.interp(sizes, np.concatenate([[0.0], longest]), within)
    shares: Shares = np.clip(np.where(sizes > 0, known / expected, 0.0), 0.0, 1.0)
    return shares


def _longest(buckets: int, bits: int, splits: int) -> npt.NDArray[np.float64]:
    """The longest distance of each bucket, in pages of the whole log."""
    number = np.arange(buckets)
    half = 1 << (bits - 1)
    octave = np.maximum(number // half - 1, 0)
    longest = (number - octave * half + 1) * 2.0**octave - 1
    whole: npt.NDArray[np.float64] = np.maximum((longest - 1) * splits + 1, 0.0)
    return whole
