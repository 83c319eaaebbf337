"""How often pages are accessed, by the time from a scan to the hint fault that it brings.

A hint fault says that a page was accessed, not how often; how soon it comes says that.  Where
accesses of a page come at random at a rate r, the wait for the first after the scan is 1/r on
the average (NUMA balancing's "hint page fault latency", Huang Ying, Linux 5.18).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pghot.baselines.folios import I64Array
from pghot.log.schema import SOURCES, Columns
from pghot.workloads.page_folios import PageFolios

LATENCY = "latency_us"
MOST_PAGES = 1 << 22
"""Pages that are told apart: 16 GiB of them."""

Floats = npt.NDArray[np.float64]


class FaultRates:
    """Takes rows; of each page it keeps its faults and the sum of their latencies (us)."""

    def __init__(self) -> None:
        self._units = PageFolios()
        self._faults = np.zeros(0, np.int64)
        self._waited = np.zeros(0, np.int64)
        self._first_us = self._last_us = 0
        self.too_many = False
        """Whether there were more pages than are told apart: nothing is known then."""

    def add(self, rows: Columns) -> None:
        """Take rows: `time_us`, `pfn`, `source`, `latency_us`; a latency of -1 is unknown."""
        known = (rows["source"] == SOURCES["hintfault"]) & (rows[LATENCY] >= 0)
        if self.too_many or not known.any():
            return
        times = rows["time_us"][known]
        self._first_us = self._first_us if self._units.count else int(times[0])
        self._last_us = int(times[-1])
        units = self._units.of(np.ascontiguousarray(rows["pfn"][known]))
        count = self._units.count
        self.too_many = count > MOST_PAGES
        waited = np.bincount(units, rows[LATENCY][known], minlength=count).astype(np.int64)
        self._faults = _longer(self._faults, count) + np.bincount(units, minlength=count)
        self._waited = _longer(self._waited, count) + waited

    def rates(self) -> Floats:
        """Accesses a microsecond of each page, the highest first; none where none is known.

        (n - 1) / sum of n faults and the sum of their latencies, which is right on the average
        whatever n is (n / sum is too high by n / (n - 1)), and n by the time of the log at least.
        """
        if self.too_many or not len(self._faults):
            return np.zeros(0)
        span = max(self._last_us - self._first_us, 1)
        rates = (self._faults - 1) / np.maximum(self._waited, self._faults)
        found: Floats = np.sort(np.maximum(rates, self._faults / span))[::-1]
        return found

    def shares(self, sizes: I64Array) -> Floats:
        """The share of accesses that the hottest pages that fit serve, at sizes in pages."""
        served = np.concatenate([[0.0], np.cumsum(self.rates())])
        shares: Floats = served[np.minimum(sizes, len(served) - 1)] / max(served[-1], 1e-300)
        return shares


def _longer(values: I64Array, count: int) -> I64Array:
    return np.concatenate([values, np.zeros(count - len(values), np.int64)])
