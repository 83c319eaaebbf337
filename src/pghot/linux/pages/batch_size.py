"""How large the next batch of moves may be, so that it takes no longer than it should.

No clock here: times are given, in nanoseconds.
"""

from __future__ import annotations

import numpy as np

from pghot.engine.memory import U64Array
from pghot.linux.pages.move_latency import NS_PER_MS, LatencyHistogram

AIM = 0.9
"""The share of the budget that a batch is meant to take: calls vary."""

LEAST = 0.25
"""The share of the budget that is the pages' in any case.

Where a call costs that much by itself (it drains every CPU's list of pages on their way to
an LRU list), moving fewer would only make more calls.
"""

FORGETTING = 0.9
"""What an older batch weighs beside the next one."""

FEWEST = 16
"""Pages that a batch may have in any case: a page takes microseconds.

Where so few take longer than the budget it is the call that does, or a machine that is busy.
"""

ALIKE = 1e-3
"""Variance of sizes, as a share of their mean squared, below which they tell nothing."""

CHEAPEST = 0.01
"""A page costs no less than this share of what a call and its pages cost, by the page."""


class LatencyBudget:
    """The size of the next batch, so that a batch takes no longer than `budget_ms`.

    As many pages as fit by what the last batches took, but at most twice and at least half
    as many as the one before.  Between FEWEST and `maximum`; a folio goes whole, alone if
    it must.  `start` is the size of the first batch.  All sizes in pages.
    """

    def __init__(self, budget_ms: float = 20, maximum: int = 4096, start: int = 512) -> None:
        if budget_ms <= 0 or maximum < 1 or start < 1:
            raise ValueError("budget_ms, maximum and start must be above 0")
        self._budget_ns = budget_ms * NS_PER_MS
        self._maximum = maximum
        self._cost = _Cost()
        self.pages = min(max(start, FEWEST), maximum)
        self.over = 0
        self.latencies = LatencyHistogram()

    def fits(self, folio_pages: U64Array) -> int:
        """How many of these folios, from the first, make the next batch: at least one."""
        if not len(folio_pages):
            return 0
        if int(folio_pages.sum()) <= self.pages:
            return len(folio_pages)
        total = np.cumsum(folio_pages)
        return max(1, int(np.searchsorted(total, self.pages, side="right")))

    def record(self, pages: int, elapsed_ns: int) -> None:
        """Take in that a batch of `pages` took so long."""
        self.latencies.add(elapsed_ns)
        self.over += elapsed_ns > self._budget_ns
        self._cost.add(pages, max(elapsed_ns, 1))
        fitting = self._fitting()
        if fitting < self.pages or pages * 2 > self.pages:  # a small one does not make it larger
            before = min(self.pages, pages)
            size = min(max(fitting, before / 2), before * 2)
            self.pages = int(min(max(size, FEWEST), self._maximum))

    def _fitting(self) -> float:
        call_ns, page_ns = self._cost.of_call_and_page()
        for_pages = max(AIM * self._budget_ns - call_ns, LEAST * self._budget_ns)
        fitting = for_pages / page_ns
        if not self._cost.alike:
            return fitting
        # Another size tells what a call itself costs.
        if self.pages <= FEWEST:
            return max(fitting, 2 * FEWEST)
        return max(fitting, self.pages + 1) if fitting > self.pages else fitting


class _Cost:
    """What a call costs by itself, and a page in it: a line through the last batches."""

    def __init__(self) -> None:
        self._sums = np.zeros(5)

    def add(self, pages: int, ns: int) -> None:
        """Take in a batch; those before count a little less from now on."""
        self._sums = self._sums * FORGETTING + (1, pages, ns, pages * pages, pages * ns)

    @property
    def alike(self) -> bool:
        """Whether all batches are of about a size: nothing tells a call's cost from a page's."""
        weight, x, _, xx, _ = self._sums.tolist()
        return weight * xx - x * x <= ALIKE * x * x

    def of_call_and_page(self) -> tuple[float, float]:
        """Both in ns, by least squares; neither below 0."""
        weight, x, y, xx, xy = self._sums.tolist()
        by_page = y / x
        slope = by_page if self.alike else (weight * xy - x * y) / (weight * xx - x * x)
        page_ns = min(max(slope, CHEAPEST * by_page), by_page)
        return (y - page_ns * x) / weight, page_ns
