"""Whether a hot folio may be promoted now (R4).

Unsigned 32-bit arithmetic wherever the series' C has `unsigned int`.
"""

from __future__ import annotations

from dataclasses import dataclass

from tests.twin.records import U32, Compact, Precise, jiffies_to_msecs

GIB_IN_PAGES = 262144
THRESHOLD_PERIOD_MS = 60000


@dataclass
class NodeState:
    """A node of the machine file, its free pages, counters and throttle."""

    id: int
    ranges: tuple[tuple[int, int], ...]
    pages: int
    toptier: bool
    free_pages: int
    promo_wmark: int
    work_requested: bool = False

    success: int = 0
    candidate: int = 0
    candidate_nrl: int = 0

    threshold: int = 0
    threshold_start: int = 0
    threshold_candidates: int = 0
    limit_start: int = 0
    limit_candidates: int = 0


@dataclass
class Throttle:
    layout: Compact | Precise
    rate_limit_mbps: int = 65536

    @property
    def limit_pages(self) -> int:
        """Pages a second; MB_TO_PAGES shifts an unsigned int."""
        return self.rate_limit_mbps << 8 & U32

    def reset(self, target: NodeState, jiffies: int) -> None:
        """What switching memory tiering on does to a node."""
        target.threshold = 0
        target.threshold_candidates = target.candidate
        target.threshold_start = jiffies_to_msecs(jiffies, self.layout.hz)

    def lets_pass(self, pages: int, target: NodeState, time: int, jiffies: int) -> bool:
        if self.has_room_enough(target):
            target.threshold = 0
            target.candidate_nrl += pages
            return True
        now_ms = jiffies_to_msecs(jiffies, self.layout.hz)
        self.adjust_threshold(target, now_ms)
        threshold = target.threshold or self.layout.window_ms
        if self.layout.latency_ms(time, jiffies) >= threshold:
            return False
        return not self.is_over_limit(target, pages, now_ms)

    def has_room_enough(self, target: NodeState) -> bool:
        if not target.pages:  # no populated zone
            return False
        enough = max(GIB_IN_PAGES, target.pages // 16)
        return target.free_pages > target.promo_wmark + enough

    def adjust_threshold(self, target: NodeState, now_ms: int) -> None:
        if (now_ms - target.threshold_start) & U32 <= THRESHOLD_PERIOD_MS:
            return
        target.threshold_start = now_ms
        expected = self.limit_pages * THRESHOLD_PERIOD_MS // 1000
        seen = target.candidate - target.threshold_candidates
        window = self.layout.window_ms
        twice = window * 2 & U32
        unit = twice // 16
        threshold = target.threshold or window
        if seen > expected * 11 // 10:
            threshold = max((threshold - unit) & U32, unit)
        elif seen < expected * 9 // 10:
            threshold = min((threshold + unit) & U32, twice)
        target.threshold_candidates = target.candidate
        target.threshold = threshold

    def is_over_limit(self, target: NodeState, pages: int, now_ms: int) -> bool:
        target.candidate += pages
        if (now_ms - target.limit_start) & U32 > 1000:
            target.limit_start = now_ms
            target.limit_candidates = target.candidate
        return target.candidate - target.limit_candidates >= self.limit_pages
