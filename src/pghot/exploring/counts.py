"""Accesses by page of a log, or of a part of one, in memory that has a limit."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pghot.baselines.folios import FirstTouches
from pghot.exploring.reuse import Hashes, hashed
from pghot.workloads.page_folios import PageFolios

MOST_PAGES = 1 << 23
"""Pages that are counted one by one: 32 GiB of them.  Of more, a share that halves is."""

_LEAST = 1 << 12


class Sampled(NamedTuple):
    """Pages in the order of their first accesses, `odd` the accesses with odd row numbers.

    `rate`: share of all pages that these are, by a hash of the PFN; 1 where they are all.
    """

    touched: FirstTouches
    odd: npt.NDArray[np.int64]
    rate: float

    def split(self, number: int, splits: int) -> Sampled:
        """One of so many samples of these that share no page."""
        mine = hashed(self.touched.pfn) % np.uint64(splits) == number
        return Sampled(chosen(self.touched, mine), self.odd[mine], self.rate / splits)


class PageCounts:
    """Counts accesses by page; `MOST_PAGES` at the most, 40 bytes each."""

    def __init__(self, most: int = MOST_PAGES) -> None:
        self.most = most
        self.shift = 0
        self._units = PageFolios()
        self._counts = np.zeros((3, _LEAST), np.int64)
        """By page: accesses in the first half, in the second, and in odd rows."""
        self._rows = 0

    def add(self, pfns: npt.NDArray[np.uint64], part: int, odd: npt.NDArray[np.bool_]) -> None:
        """Take accesses; `part` 0 of the log's first half, 1 of its second."""
        if self.shift:
            mine = self._is_mine(hashed(pfns))
            pfns, odd = pfns[mine], odd[mine]
        units = self._units.of(np.ascontiguousarray(pfns))
        self._make_room(self._units.count)
        np.add.at(self._counts[part], units, 1)
        np.add.at(self._counts[2], units[odd], 1)
        while self._units.count > self.most:
            self._halve()

    def sampled(self) -> Sampled:
        """The counts."""
        count = self._units.count
        early, late, odd = self._counts[:, :count]
        pages = np.ones(count, np.int64)
        return Sampled(FirstTouches(self._units.keys(), pages, early, late), odd, 2.0**-self.shift)

    def _is_mine(self, hashes: Hashes) -> npt.NDArray[np.bool_]:
        mine: npt.NDArray[np.bool_] = hashes >> np.uint64(64 - self.shift) == 0
        return mine

    def _make_room(self, count: int) -> None:
        if count > self._counts.shape[1]:
            longer = np.zeros((3, 2 * count), np.int64)
            longer[:, : self._counts.shape[1]] = self._counts
            self._counts = longer

    def _halve(self) -> None:
        """Keep the pages with the lower half of the hashes, in their order."""
        self.shift += 1
        keys = self._units.keys()
        mine = self._is_mine(hashed(keys))
        kept = self._counts[:, : len(keys)][:, mine]
        self._units = PageFolios()
        self._units.of(np.ascontiguousarray(keys[mine]))
        self._counts = np.ascontiguousarray(kept)


def chosen(touched: FirstTouches, mine: npt.NDArray[np.bool_]) -> FirstTouches:
    """Some of the pages."""
    late = None if touched.late is None else touched.late[mine]
    return FirstTouches(touched.pfn[mine], touched.pages[mine], touched.early[mine], late)
